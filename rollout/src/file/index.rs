//! Which file a thread is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use sapwood_protocol::ThreadId;

use super::layout::Name;

/// A rollout that was found, or made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: Name,
    pub(super) path: PathBuf,
    pub(super) archived: bool,
}

impl Place {
    /// The live one of a thread's rollouts is the newest, and rather the one that is not archived.
    fn is_newer_than(&self, other: &Self) -> bool {
        (self.name.age(), !self.archived) > (other.name.age(), !other.archived)
    }
}

/// Thread to file, remembered. The folders are the truth.
pub(super) struct Index {
    home: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The folders have been looked through. Before that a thread may exist without being known.
    looked: bool,
    places: BTreeMap<ThreadId, Place>,
}

impl Index {
    pub(super) fn new(home: PathBuf) -> Self {
        Self { home, known: Mutex::default() }
    }

    /// The rollout of a thread, looked for in all folders if it is not known.
    pub(super) fn find(&self, thread: ThreadId) -> io::Result<Option<Place>> {
        let known = self.known.lock().places.get(&thread).cloned();
        match known {
            Some(place) => Ok(Some(place)),
            None => {
                self.scan()?;
                Ok(self.known.lock().places.get(&thread).cloned())
            }
        }
    }

    /// True if there is a rollout of that thread. Looks through the folders once and then trusts what it knows: a new
    /// id is random, and one that is used again belongs to a tree whose lock the caller holds.
    pub(super) fn contains(&self, thread: ThreadId) -> io::Result<bool> {
        if !self.known.lock().looked {
            self.scan()?;
        }
        Ok(self.known.lock().places.contains_key(&thread))
    }

    pub(super) fn insert(&self, place: Place) {
        self.known.lock().places.insert(place.name.thread, place);
    }

    /// Somebody else was at the thread: where it is must be looked up again.
    pub(super) fn forget(&self, thread: ThreadId) {
        let mut known = self.known.lock();
        known.places.remove(&thread);
        known.looked = false;
    }

    /// Looks through all folders; the live rollout of every thread, in no order that means anything.
    pub(super) fn scan(&self) -> io::Result<Vec<Place>> {
        let mut found = BTreeMap::new();
        visit(&self.home.join("archived_sessions"), 0, true, &mut found)?;
        visit(&self.home.join("sessions"), 3, false, &mut found)?;
        let mut known = self.known.lock();
        known.looked = true;
        // What was made while we looked is missing from what we found.
        for (thread, place) in std::mem::take(&mut known.places) {
            if !found.contains_key(&thread) && place.path.exists() {
                found.insert(thread, place);
            }
        }
        let places = found.values().cloned().collect();
        known.places = found;
        Ok(places)
    }
}

/// Collects rollouts `depth` folders below `folder`. A folder that is not there holds none.
fn visit(folder: &Path, depth: u32, archived: bool, found: &mut BTreeMap<ThreadId, Place>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if depth > 0 {
            if entry.file_type()?.is_dir() {
                visit(&entry.path(), depth - 1, archived, found)?;
            }
            continue;
        }
        let Some(name) = entry.file_name().to_str().and_then(Name::parse) else { continue };
        let thread = name.thread;
        let place = Place { name, path: entry.path(), archived };
        if found.get(&thread).is_none_or(|other| place.is_newer_than(other)) {
            found.insert(thread, place);
        }
    }
    Ok(())
}
