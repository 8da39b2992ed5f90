//! Codex's writer locks: one writer a thread, over all processes of both programs.
//!
//! A thread is held by an exclusive `flock` of `<thread>.lock`. Codex unlinks the file when it releases it, so whoever
//! takes it compares the inode that it locked with the one of that name; both happen under a short `flock` of
//! `.coordination.lock`. A file that nobody locks means nothing: after kill -9 it stays, and the kernel dropped the lock.
//!
//! Some of ours stay when they are given back, and are renamed for the next thread: a file system that remembers for
//! minutes which inodes were deleted (ext4) looks through them for each file that is made, so thousands of agents that
//! come and go would pay for one another. What is left of them is unlinked when the journal goes.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};
use std::{io, mem};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, futimens, makedev};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sapwood_protocol::{Millis, ThreadId};

use super::layout::rename_new;
use super::{failed, holder};
use crate::port::{Holder, OpenError};

/// How long the coordination lock may be somebody else's. Everybody holds it for some ten microseconds; somebody who
/// was stopped inside must not stop us too.
const COORDINATION_PATIENCE: Duration = Duration::from_secs(2);

/// How long the lock of a dead process is waited for. Until it calls exec, a child has a copy of all its parent's files: a
/// parent that is killed just then leaves its locks to it.
const HEIR_PATIENCE: Duration = Duration::from_millis(500);

/// Lock files without a lock that are kept for the next threads, at most: about as many as there are slots for agents.
const SPARES: usize = 64;

/// The folder of the locks of one home.
pub(super) struct Locks {
    folder: PathBuf,
    /// The files that we gave back and kept. Our own threads queue for them, and not with the patience of strangers.
    spares: Mutex<Vec<PathBuf>>,
}

/// The writer lock of a thread. Dropping it gives it back.
pub(super) struct WriterLock {
    locks: Arc<Locks>,
    path: PathBuf,
    file: File,
}

impl Locks {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, spares: Mutex::default() }
    }

    /// Takes the writer lock of a thread, or says who has it.
    pub(super) fn acquire(self: &Arc<Self>, thread: ThreadId) -> Result<WriterLock, OpenError> {
        let start = Instant::now();
        loop {
            match self.try_acquire(thread) {
                Err(OpenError::Held { holder: Some(holder), .. })
                    if is_dead(holder.pid) && start.elapsed() < HEIR_PATIENCE =>
                {
                    sleep(Duration::from_millis(1));
                }
                result => return result,
            }
        }
    }

    fn try_acquire(self: &Arc<Self>, thread: ThreadId) -> Result<WriterLock, OpenError> {
        let path = self.folder.join(format!("{thread}.lock"));
        let lock = |error: io::Error| failed("lock", &path, &error);
        if !self.folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(lock)?;
        }
        let mut spares = self.spares.lock();
        let _coordination = self.coordinate().map_err(lock)?;
        let taken = match reuse(&mut spares, &path) {
            Some(file) => Taken::Ours(file),
            None => take(&path, || ()).map_err(lock)?,
        };
        match taken {
            Taken::Ours(file) => {
                // So others see since when. It holds without.
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
                Ok(WriterLock { locks: self.clone(), path, file })
            }
            Taken::Held(identity) => {
                let made = fs::metadata(&path).ok().map(|about| millis(&about));
                let holder = locked_by().get(&identity).map(|pid| holder::describe(*pid, made));
                Err(OpenError::Held { thread, holder })
            }
        }
    }

    /// The processes that hold threads: those that can be told.
    pub(super) fn holders(&self) -> BTreeMap<ThreadId, u32> {
        let locked = locked_by();
        let held = |(thread, about): (ThreadId, Metadata)| Some((thread, *locked.get(&identity(&about))?));
        self.files().into_iter().filter_map(held).collect()
    }

    /// All lock files: those that somebody holds, and those that nobody does. Where the system does not say who holds
    /// what, nothing is told of either.
    pub(super) fn look(&self) -> (Vec<(ThreadId, Holder)>, Vec<ThreadId>) {
        let (mut held, mut free) = (Vec::new(), Vec::new());
        if !Path::new("/proc/locks").exists() {
            return (held, free);
        }
        let files = self.files();
        // After the files: who takes a lock meanwhile is not taken for nobody.
        let locked = locked_by();
        for (thread, about) in files {
            match locked.get(&identity(&about)) {
                Some(pid) => held.push((thread, holder::describe(*pid, Some(millis(&about))))),
                None => free.push(thread),
            }
        }
        (held, free)
    }

    /// The lock files by thread.
    fn files(&self) -> BTreeMap<ThreadId, Metadata> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return BTreeMap::new() };
        let file = |entry: fs::DirEntry| {
            let name = entry.file_name();
            Some((name.to_str()?.strip_suffix(".lock")?.parse().ok()?, entry.metadata().ok()?))
        };
        entries.flatten().filter_map(file).collect()
    }

    /// The lock under which writer locks come and go; closing the file gives it back.
    fn coordinate(&self) -> io::Result<File> {
        let file = lock_file(&self.folder.join(".coordination.lock"))?;
        let start = Instant::now();
        let mut tries = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK) if start.elapsed() < COORDINATION_PATIENCE => {
                    tries += 1;
                    // There is no flock with a time limit; a holder is gone sooner than a sleep would end.
                    if tries < 64 { yield_now() } else { sleep(Duration::from_millis(1)) }
                }
                Err(Errno::WOULDBLOCK) => {
                    let why = "`.coordination.lock` is held for seconds; stop the process that holds it";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        let mut spares = self.locks.spares.lock();
        if spares.len() < SPARES && flock(&self.file, FlockOperation::Unlock).is_ok() {
            spares.push(mem::take(&mut self.path));
        } else if let Ok(_coordination) = self.locks.coordinate()
            && is_same(&self.file, &self.path).unwrap_or(false)
        {
            // Without the coordination lock the file stays, as it does after kill -9; closing it gives the lock back.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        let spares = mem::take(self.spares.get_mut());
        if spares.is_empty() {
            return;
        }
        if let Ok(_coordination) = self.coordinate() {
            for path in spares {
                if let Some(_held) = free(&path) {
                    let _ = fs::remove_file(&path);
                }
            }
        }
    }
}

/// Device and inode.
type Identity = (u64, u64);

/// What came of an attempt to take a lock.
enum Taken {
    Ours(File),
    Held(Identity),
}

/// Locks a spare file and gives it this name; nothing if there is none, or a file of that name. Under the coordination lock.
fn reuse(spares: &mut Vec<PathBuf>, path: &Path) -> Option<File> {
    if let Some(own) = spares.iter().position(|spare| spare == path) {
        spares.swap_remove(own);
        return None;
    }
    loop {
        let spare = spares.pop()?;
        let Some(file) = free(&spare) else { continue };
        if rename_new(&spare, path).is_err() {
            let _ = fs::remove_file(&spare);
            return None;
        }
        return is_same(&file, path).unwrap_or(false).then_some(file);
    }
}

/// The file of that name, locked, if nobody has it: it can be renamed and unlinked. It is not made.
fn free(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    let is_free =
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_same(&file, path).unwrap_or(false);
    is_free.then_some(file)
}

/// Locks the file of that name, without waiting. `between` runs after each lock and before the look at the name.
fn take(path: &Path, mut between: impl FnMut()) -> io::Result<Taken> {
    loop {
        let file = lock_file(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Taken::Held(identity(&file.metadata()?))),
            Err(error) => return Err(error.into()),
        }
        between();
        // Somebody without the coordination lock may have unlinked what we opened; such a lock holds nobody off.
        if is_same(&file, path)? {
            return Ok(Taken::Ours(file));
        }
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// When a file was last changed.
fn millis(metadata: &Metadata) -> Millis {
    Millis(u64::try_from(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000).unwrap_or(0))
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let held = identity(&file.metadata()?);
    match fs::metadata(path) {
        Ok(named) => Ok(held == identity(&named)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_dead(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Device and inode to the process that holds a `flock` of it, from `/proc/locks`. Where that cannot be read, or
/// names other devices than `stat` does (btrfs), nobody is told.
fn locked_by() -> BTreeMap<Identity, u32> {
    fs::read_to_string("/proc/locks").map(|text| text.lines().filter_map(parse_lock).collect()).unwrap_or_default()
}

/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`. Those who wait have a `->` in the second place.
fn parse_lock(line: &str) -> Option<(Identity, u32)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok().filter(|pid| *pid != 0)?;
    let mut place = fields.next()?.split(':');
    let major = u32::from_str_radix(place.next()?, 16).ok()?;
    let minor = u32::from_str_radix(place.next()?, 16).ok()?;
    let inode = place.next()?.parse().ok()?;
    Some(((makedev(major, minor), inode), pid))
}

#[cfg(test)]
mod tests;
