//! Archiving, taking back and deleting rollouts: whole threads, under their writer locks.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sapwood_protocol::ThreadId;

use super::index::Place;
use super::layout::{self, Name};
use super::{FileJournal, failed};
use crate::port::OpenError;

impl FileJournal {
    /// Moves a rollout, all its segments, to the archive. Nothing happens to one that is there.
    /// Fails as [`OpenError::Held`] while anybody writes it.
    pub fn archive(&self, thread: ThreadId) -> Result<(), OpenError> {
        let folder = self.home.join("archived_sessions");
        self.shelve(thread, false, |place| folder.join(file_name(place)))
    }

    /// Moves a rollout, all its segments, back to its day's folder, as one that was written just now.
    /// Fails as [`OpenError::Held`] while anybody writes it.
    pub fn unarchive(&self, thread: ThreadId) -> Result<(), OpenError> {
        self.shelve(thread, true, |place| {
            let day: PathBuf = place.name.stamp.split('T').next().unwrap_or_default().split('-').collect();
            self.home.join("sessions").join(day).join(file_name(place))
        })
    }

    /// Deletes a rollout, all its segments. Forks that go on from it are the caller's to look for.
    /// Fails as [`OpenError::Held`] while anybody writes it.
    pub fn delete(&self, thread: ThreadId) -> Result<(), OpenError> {
        let (_lock, places) = self.all_of(thread)?;
        for place in &places {
            match fs::remove_file(&place.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("delete", &place.path, &error));
                }
                _ => {}
            }
        }
        self.index.forget(thread);
        Ok(())
    }

    fn shelve(&self, thread: ThreadId, archived: bool, to: impl Fn(&Place) -> PathBuf) -> Result<(), OpenError> {
        let (_lock, places) = self.all_of(thread)?;
        for place in places.iter().filter(|place| place.archived == archived) {
            let to = to(place);
            move_to(&place.path, &to, archived).map_err(|error| failed("move", &place.path, &error))?;
        }
        self.index.forget(thread);
        Ok(())
    }

    /// The segments of a thread, the oldest first, so that the newest one says where the thread is until the end.
    fn all_of(&self, thread: ThreadId) -> Result<(super::locks::WriterLock, Vec<Place>), OpenError> {
        let search = |error: io::Error| failed("search", &self.home, &error);
        // One that is not there needs no lock.
        self.index
            .find(thread)
            .map_err(search)?
            .ok_or_else(|| OpenError::NotFound { thread, home: self.home.to_string_lossy().into_owned() })?;
        let lock = self.locks.acquire(thread)?;
        let mut places = Vec::new();
        visit(&self.home.join("archived_sessions"), 0, true, thread, &mut places).map_err(search)?;
        visit(&self.home.join("sessions"), 3, false, thread, &mut places).map_err(search)?;
        places.sort_by(|a, b| a.name.age().cmp(&b.name.age()));
        Ok((lock, places))
    }
}

fn file_name(place: &Place) -> PathBuf {
    place.path.file_name().map(PathBuf::from).unwrap_or_default()
}

fn move_to(from: &Path, to: &Path, touch: bool) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    layout::rename_new(from, to)?;
    match touch {
        true => File::options().append(true).open(to)?.set_times(FileTimes::new().set_modified(SystemTime::now())),
        false => Ok(()),
    }
}

/// Collects the rollouts of a thread `depth` folders below `folder`.
fn visit(folder: &Path, depth: u32, archived: bool, thread: ThreadId, found: &mut Vec<Place>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if depth > 0 {
            if entry.file_type()?.is_dir() {
                visit(&entry.path(), depth - 1, archived, thread, found)?;
            }
            continue;
        }
        let name = entry.file_name().to_str().and_then(Name::parse);
        if let Some(name) = name.filter(|name| name.thread == thread) {
            found.push(Place { name, path: entry.path(), archived });
        }
    }
    Ok(())
}
