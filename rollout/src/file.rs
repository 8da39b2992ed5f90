//! A journal of files in Codex's layout, under Codex's locks.
//!
//! `sessions/YYYY/MM/DD/rollout-<local time>-<thread>.jsonl`, `archived_sessions/`, `thread-writer-locks/`.
//! Archived rollouts are found and read, not written. Compressed ones are listed with an error.

mod fork;
mod holder;
mod index;
mod inspect;
mod layout;
mod locks;
mod names;
mod shelf;
mod storage;
mod survey;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use sapwood_protocol::{Line, Millis, ThreadId};

use crate::faults;
use crate::head::Head;
use crate::log::OpenLog;
use crate::port::{Entry, Filter, Journal, Log, NewThread, OpenError, Rollout};
use crate::seen::Seen;
use crate::source::{self, OrdinalError, Source};
use crate::writer::{Birth, Writer, is_full};
use index::{Index, Place};
pub use inspect::{Inspection, Leftover, What};
use locks::Locks;
use storage::FileStorage;
pub use survey::{FileStamp, Found};

/// The longest first line that a list reads. A head with base instructions and tools has some 30 KB.
const LIST_HEAD_BYTES: usize = 1024 * 1024;

/// The rollouts of one home. Make one for a home and share it: it remembers where threads are.
///
/// Durability `process`: an append is in the hands of the system when it returns, so it survives the death of this
/// process and not that of the machine. It takes 2 us (half of it the write itself); nothing is ever synced.
///
/// A thread whose newest segment was made by Codex while this journal had already seen the thread is found after the
/// next [`Journal::list`], or once the place that was remembered is gone.
pub struct FileJournal {
    home: PathBuf,
    index: Index,
    locks: Arc<Locks>,
}

impl FileJournal {
    /// The journal of a home. Nothing is made or looked at before it is needed.
    pub fn new(home: PathBuf) -> Self {
        let locks = Locks::new(home.join("thread-writer-locks"));
        Self { index: Index::new(home.clone()), home, locks: Arc::new(locks) }
    }

    /// Gives a thread a name, as Codex does: the last one counts.
    pub fn set_name(&self, thread: ThreadId, name: &str, now: Millis) -> Result<(), OpenError> {
        names::append(&self.home, thread, name, now).map_err(|error| failed("write the names in", &self.home, &error))
    }

    fn find(&self, thread: ThreadId) -> Result<Place, OpenError> {
        let found = self.index.find(thread).map_err(|error| failed("search", &self.home, &error))?;
        let place =
            found.ok_or_else(|| OpenError::NotFound { thread, home: self.home.to_string_lossy().into_owned() })?;
        if place.name.compressed {
            return Err(corrupt(thread, &place.path, COMPRESSED.to_owned()));
        }
        Ok(place)
    }

    /// Opens the file of a thread. It may have been archived, or back, since it was last found.
    fn file(&self, thread: ThreadId, options: &OpenOptions) -> Result<(Place, File), OpenError> {
        let place = self.find(thread)?;
        match options.open(&place.path) {
            Ok(file) => Ok((place, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index.forget(thread);
                let place = self.find(thread)?;
                let file = options.open(&place.path).map_err(|error| failed("open", &place.path, &error))?;
                Ok((place, file))
            }
            Err(error) => Err(failed("open", &place.path, &error)),
        }
    }

    /// Writes the whole rollout under another name, then gives it its own: nobody ever sees a part of it.
    fn give_birth(&self, thread: ThreadId, path: &Path, bytes: &[u8]) -> Result<File, OpenError> {
        let folder = path.parent().unwrap_or(&self.home);
        let create = |error: io::Error| failed("create", path, &error);
        // We hold the writer lock, so nobody else uses this name.
        let unborn = folder.join(format!(".unborn-{thread}"));
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        let mut file = match options.open(&unborn).map_err(|error| (error.kind(), error)) {
            Ok(file) => Ok(file),
            // Left by a process that died here.
            Err((io::ErrorKind::AlreadyExists, _)) => fs::remove_file(&unborn).and_then(|()| options.open(&unborn)),
            // The first of the day.
            Err((io::ErrorKind::NotFound, _)) => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.and_then(|()| options.open(&unborn))
            }
            Err((_, error)) => Err(error),
        }
        .map_err(create)?;
        let born = faults::write(bytes, |bytes| file.write_all(bytes))
            .and_then(|()| faults::name(|| layout::rename_new(&unborn, path)));
        match born {
            Ok(()) => Ok(file),
            Err(error) => {
                // It has no rollout's name; if it cannot be removed now, the next attempt does.
                let _ = fs::remove_file(&unborn);
                match error.kind() {
                    io::ErrorKind::AlreadyExists => Err(OpenError::Exists { thread }),
                    _ => Err(create(error)),
                }
            }
        }
    }
}

const COMPRESSED: &str = "it is compressed (zstd), which this version does not read; `unzstd --rm` makes it readable";

fn failed(action: &'static str, place: &Path, error: &io::Error) -> OpenError {
    OpenError::Storage {
        action,
        place: place.to_string_lossy().into_owned(),
        why: error.to_string(),
        full: is_full(error),
    }
}

fn corrupt(thread: ThreadId, place: &Path, why: String) -> OpenError {
    OpenError::Corrupt { thread, place: place.to_string_lossy().into_owned(), why }
}

impl Journal for FileJournal {
    fn create(&self, new: &NewThread, lines: &[Line]) -> Result<Arc<dyn Log>, OpenError> {
        let thread = new.thread;
        let birth = Birth::of(thread, lines)?;
        let place = layout::place(&self.home, thread, new.created, &TimeZone::system());
        let lock = self.locks.acquire(thread)?;
        // Under any name: the same thread made again a second later would have another.
        if self.index.contains(thread).map_err(|error| failed("search", &self.home, &error))? {
            return Err(OpenError::Exists { thread });
        }
        let source = |thread| match self.file(thread, OpenOptions::new().read(true)) {
            Ok((_, file)) => Ok(file),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        // A first line is there: it was just looked at.
        let birth = match fork::placed(&lines[0], source).map_err(|why| corrupt(thread, &place.path, why))? {
            Some(first) => Birth::of(thread, &[&[first], &lines[1..]].concat())?,
            None => birth,
        };
        let file = self.give_birth(thread, &place.path, &birth.bytes)?;
        self.index.insert(place.clone());
        let storage = FileStorage::new(file, lock);
        let (reader, place) = (storage.file(), place.path.to_string_lossy().into_owned());
        Ok(OpenLog::new(thread, place, reader, Writer::born(thread, storage, &birth)))
    }

    fn open(&self, thread: ThreadId) -> Result<Arc<dyn Log>, OpenError> {
        self.find(thread)?;
        let lock = self.locks.acquire(thread).inspect_err(|_| {
            // Whoever holds it may be making a new segment.
            self.index.forget(thread);
        })?;
        let (place, file) = self.file(thread, OpenOptions::new().read(true).append(true))?;
        let wrong = |why| corrupt(thread, &place.path, why);
        if place.archived {
            return Err(wrong(
                "it is archived, which is for reading only; move it back to `sessions/` first".to_owned(),
            ));
        }
        let mut line = Vec::new();
        let len = source::first_line(&file, &mut line, usize::MAX).map_err(wrong)?;
        let paginated = Head::of(thread, &line[..len]).map_err(wrong)?.is_paginated()?;
        let storage = FileStorage::new(file, lock);
        let reader = storage.file();
        let writer = Writer::open(thread, paginated, storage).map_err(|error| match error {
            OrdinalError::Read(error) => failed("read", &place.path, &error),
            OrdinalError::Missing | OrdinalError::Last => wrong(error.to_string()),
        })?;
        Ok(OpenLog::new(thread, place.path.to_string_lossy().into_owned(), reader, writer))
    }

    fn read(&self, thread: ThreadId) -> Result<Rollout, OpenError> {
        let (place, mut file) = self.file(thread, OpenOptions::new().read(true))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| failed("read", &place.path, &error))?;
        Ok(Rollout::new(bytes.into()))
    }

    fn news(&self, thread: ThreadId, seen: &Seen) -> Result<Option<Rollout>, OpenError> {
        let (place, file) = self.file(thread, OpenOptions::new().read(true))?;
        let news = Source::len(&file).and_then(|end| seen.news(&file, end));
        Ok(news.map_err(|error| failed("read", &place.path, &error))?.map(Rollout::new))
    }

    fn tail(&self, thread: ThreadId, bytes: u64) -> Result<Rollout, OpenError> {
        let (place, file) = self.file(thread, OpenOptions::new().read(true))?;
        let read = || {
            let end = Source::len(&file)?;
            source::range(&file, source::tail_start(&file, end, bytes)?, end)
        };
        read().map(Rollout::new).map_err(|error| failed("read", &place.path, &error))
    }

    fn names(&self) -> Result<BTreeMap<ThreadId, String>, OpenError> {
        names::read(&self.home).map_err(|error| failed("read the names in", &self.home, &error))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, OpenError> {
        let places = self.index.scan().map_err(|error| failed("search", &self.home, &error))?;
        let zone = TimeZone::system();
        let holders = self.locks.holders();
        let mut scratch = Vec::new();
        let mut entries: Vec<Entry> = places
            .iter()
            .filter(|place| !place.archived)
            .filter_map(|place| {
                // Gone since the scan: archived or deleted.
                let metadata = fs::metadata(&place.path).ok()?;
                let thread = place.name.thread;
                let head = if place.name.compressed {
                    Err(COMPRESSED.to_owned())
                } else {
                    File::open(&place.path)
                        .map_err(|error| format!("it cannot be opened: {error}"))
                        .and_then(|file| source::first_line(&file, &mut scratch, LIST_HEAD_BYTES))
                        .and_then(|len| Head::of(thread, &scratch[..len]))
                };
                let updated = metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000;
                let updated = Millis(updated.try_into().unwrap_or(0));
                let created = place.name.created(&zone).unwrap_or(updated);
                let place = place.path.to_string_lossy().into_owned();
                let holder = holders.get(&thread).copied();
                Some(Entry { holder, ..Entry::new(thread, head, created, updated, place) })
            })
            .filter(|entry| filter.shows(entry))
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.created, entry.thread)));
        Ok(entries)
    }
}
