//! A journal in memory that can be crashed at any byte: for the simulation, and for tests of what must survive.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sapwood_protocol::{Line, Millis, ThreadId, View};

use crate::head::Head;
use crate::log::OpenLog;
use crate::port::{Entry, Filter, Journal, Log, NewThread, OpenError, Rollout};
use crate::source::{self, Backwards, CHUNK_BYTES, Source};
use crate::writer::{Birth, Storage, Writer};

/// How far the durable watermark stays behind what was written. It always stands at the end of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// Not at all: what was written survives, as with durability `process`.
    #[default]
    None,
    /// The last so many writes are not durable yet.
    Writes(usize),
    /// The last writes are not durable yet that together have at most so many bytes.
    Bytes(u64),
}

/// An append that is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How much of the batch is written all the same, in bytes; at most all but one.
    pub written: usize,
    /// The reason is that no room is left.
    pub full: bool,
}

/// Rollouts in memory, under the same rules as files: ordinals, epochs, locks, repair of a broken tail.
///
/// Deterministic: no clock, no chance, everything in the order of thread ids. A clone is the same journal.
#[derive(Clone, Default)]
pub struct MemoryJournal {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rollouts: BTreeMap<ThreadId, Stored>,
    /// Crashes so far. A log that was opened in an earlier life is dead.
    life: u64,
    lag: Lag,
}

#[derive(Default)]
struct Stored {
    bytes: Vec<u8>,
    created: Millis,
    open: bool,
    /// The length it was made with. It is there whole or not at all.
    born: u64,
    durable: u64,
    /// Ends of the writes after `durable`.
    pending: VecDeque<u64>,
    failures: VecDeque<Failure>,
}

impl Stored {
    fn settle(&mut self, lag: Lag) {
        let len = self.bytes.len() as u64;
        let behind = |stored: &Self| match lag {
            Lag::None => false,
            Lag::Writes(writes) => stored.pending.len() <= writes,
            Lag::Bytes(bytes) => len - stored.durable <= bytes,
        };
        while !behind(self) {
            match self.pending.pop_front() {
                Some(end) => self.durable = end,
                None => break,
            }
        }
    }
}

impl MemoryJournal {
    /// An empty journal in which everything written is durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a rollout there as if another program had written it, or replaces one.
    pub fn put(&self, thread: ThreadId, created: Millis, bytes: Vec<u8>) {
        let durable = bytes.len() as u64;
        let stored = Stored { bytes, created, durable, ..Stored::default() };
        self.state.lock().rollouts.insert(thread, stored);
    }

    /// The threads that have a rollout.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.state.lock().rollouts.keys().copied().collect()
    }

    /// From the next write on, lets the watermark stay behind.
    pub fn set_lag(&self, lag: Lag) {
        self.state.lock().lag = lag;
    }

    /// Everything written of a thread is durable now.
    pub fn sync(&self, thread: ThreadId) {
        if let Some(stored) = self.state.lock().rollouts.get_mut(&thread) {
            stored.settle(Lag::None);
        }
    }

    /// The next append or admission to a thread fails; told twice, the next two.
    pub fn fail_next(&self, thread: ThreadId, failure: Failure) {
        if let Some(stored) = self.state.lock().rollouts.get_mut(&thread) {
            stored.failures.push_back(failure);
        }
    }

    /// The process dies. Each rollout is cut to the length that `keep(thread, durable length, length)` says, moved
    /// into that range. Cut below the length it was made with, it never existed: rollouts are born complete. Locks are
    /// gone, and logs that are still held by somebody answer with an error only.
    pub fn crash(&self, mut keep: impl FnMut(ThreadId, u64, u64) -> u64) {
        let mut state = self.state.lock();
        state.life += 1;
        for (thread, stored) in &mut state.rollouts {
            let len = stored.bytes.len() as u64;
            let kept = keep(*thread, stored.durable, len).clamp(stored.durable, len);
            stored.bytes.truncate(kept as usize);
            // What is there after a crash is on the disk.
            stored.durable = kept;
            stored.pending.clear();
            stored.failures.clear();
            stored.open = false;
        }
        state.rollouts.retain(|_, stored| stored.bytes.len() as u64 >= stored.born);
    }

    fn bytes(&self, thread: ThreadId) -> Result<Bytes, OpenError> {
        let state = self.state.lock();
        let stored = state.rollouts.get(&thread).ok_or_else(|| not_found(thread))?;
        Ok(Bytes::copy_from_slice(&stored.bytes))
    }

    fn storage(&self, thread: ThreadId, life: u64) -> MemoryStorage {
        MemoryStorage { handle: Handle { state: self.state.clone(), thread, life } }
    }
}

fn not_found(thread: ThreadId) -> OpenError {
    OpenError::NotFound { thread, home: "memory".to_owned() }
}

fn place(thread: ThreadId) -> String {
    format!("memory:{thread}")
}

impl Journal for MemoryJournal {
    fn create(&self, new: &NewThread, lines: &[Line]) -> Result<Arc<dyn Log>, OpenError> {
        let thread = new.thread;
        let birth = Birth::of(thread, lines)?;
        let life = {
            let mut state = self.state.lock();
            if state.rollouts.contains_key(&thread) {
                return Err(OpenError::Exists { thread });
            }
            let (bytes, created, born) = (birth.bytes.clone(), new.created, birth.bytes.len() as u64);
            let mut stored = Stored { bytes, created, open: true, born, ..Stored::default() };
            stored.pending.push_back(born);
            stored.settle(state.lag);
            state.rollouts.insert(thread, stored);
            state.life
        };
        let storage = self.storage(thread, life);
        let reader = storage.reader();
        Ok(OpenLog::new(thread, place(thread), reader, Writer::born(thread, storage, &birth)))
    }

    fn open(&self, thread: ThreadId) -> Result<Arc<dyn Log>, OpenError> {
        let corrupt = |why| OpenError::Corrupt { thread, place: place(thread), why };
        let bytes = self.bytes(thread)?;
        let mut line = Vec::new();
        let len = source::first_line(&bytes, &mut line, usize::MAX).map_err(corrupt)?;
        let paginated = Head::of(thread, &line[..len]).map_err(corrupt)?.is_paginated()?;
        let life = {
            let mut state = self.state.lock();
            let life = state.life;
            let stored = state.rollouts.get_mut(&thread).ok_or_else(|| not_found(thread))?;
            if std::mem::replace(&mut stored.open, true) {
                return Err(OpenError::Held { thread, holder: None });
            }
            life
        };
        let storage = self.storage(thread, life);
        let reader = storage.reader();
        let writer = Writer::open(thread, paginated, storage).map_err(|error| corrupt(error.to_string()))?;
        Ok(OpenLog::new(thread, place(thread), reader, writer))
    }

    fn read(&self, thread: ThreadId) -> Result<Rollout, OpenError> {
        self.bytes(thread).map(Rollout::new)
    }

    fn tail(&self, thread: ThreadId, bytes: u64) -> Result<Rollout, OpenError> {
        let all = self.bytes(thread)?;
        let start = source::tail_start(&all, all.len() as u64, bytes).map_err(|error| OpenError::Corrupt {
            thread,
            place: place(thread),
            why: error.to_string(),
        })?;
        Ok(Rollout::new(all.slice(start as usize..)))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, OpenError> {
        let mut entries = Vec::new();
        for thread in self.threads() {
            let Ok(bytes) = self.bytes(thread) else { continue };
            let created = self.state.lock().rollouts.get(&thread).map_or(Millis(0), |stored| stored.created);
            let mut line = Vec::new();
            let head = source::first_line(&bytes, &mut line, usize::MAX).and_then(|len| Head::of(thread, &line[..len]));
            let updated = last_written(&bytes).unwrap_or(created);
            entries.push(Entry::new(thread, head, created, updated, place(thread)));
        }
        entries.retain(|entry| filter.shows(entry));
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.created, entry.thread)));
        Ok(entries)
    }
}

/// There is no clock here: the last line that can be read says when it was written.
fn last_written(bytes: &Bytes) -> Option<Millis> {
    let mut lines = Backwards::new(bytes, bytes.len() as u64, CHUNK_BYTES);
    while let Ok(Some((_, line))) = lines.next() {
        if let Some(at) = View::parse(&line).ok().and_then(|view| view.at()) {
            return Some(at);
        }
    }
    None
}

/// One rollout in one life of the process.
#[derive(Clone)]
struct Handle {
    state: Arc<Mutex<State>>,
    thread: ThreadId,
    life: u64,
}

impl Handle {
    fn with<R>(&self, act: impl FnOnce(&mut Stored, Lag) -> R) -> io::Result<R> {
        let mut state = self.state.lock();
        let lag = state.lag;
        if state.life != self.life {
            return Err(io::Error::other("the process that held this rollout is dead; open it again"));
        }
        let stored = state.rollouts.get_mut(&self.thread).ok_or(io::ErrorKind::NotFound)?;
        Ok(act(stored, lag))
    }
}

impl Source for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|stored, _| stored.bytes.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|stored, _| {
            let end = at as usize + buffer.len();
            let part = stored.bytes.get(at as usize..end).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(part);
            Ok(())
        })?
    }
}

/// The handle that holds the writer lock.
struct MemoryStorage {
    handle: Handle,
}

impl Source for MemoryStorage {
    fn len(&self) -> io::Result<u64> {
        self.handle.len()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.handle.read_at(at, buffer)
    }
}

impl Storage for MemoryStorage {
    type Reader = Handle;

    fn reader(&self) -> Handle {
        self.handle.clone()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let write = |stored: &mut Stored, lag| {
            let failure = stored.failures.pop_front();
            let written = failure.map_or(bytes.len(), |f| f.written.min(bytes.len().saturating_sub(1)));
            if written > 0 {
                stored.bytes.extend_from_slice(&bytes[..written]);
                stored.pending.push_back(stored.bytes.len() as u64);
                stored.settle(lag);
            }
            match failure {
                None => Ok(()),
                Some(Failure { full: true, .. }) => Err((written, io::ErrorKind::StorageFull.into())),
                Some(Failure { full: false, .. }) => Err((written, io::Error::other("injected failure"))),
            }
        };
        self.handle.with(write).map_err(|error| (0, error))?
    }

    fn durable(&self, _len: u64) -> u64 {
        // A dead log promises nothing more.
        self.handle.with(|stored, _| stored.durable).unwrap_or(0)
    }
}

impl Drop for MemoryStorage {
    fn drop(&mut self) {
        // After a crash the lock is somebody else's, and `with` refuses.
        let _ = self.handle.with(|stored, _| stored.open = false);
    }
}
