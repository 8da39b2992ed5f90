//! The commands of one agent that go on after the call that started them has answered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_protocol::CallId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{GroupId, Running};

/// Terminals of one agent: each costs processes and descriptors, and a model that has lost count of so many will not miss one more.
pub const MAX_TERMINALS: usize = 64;

/// The name of a terminal for models and clients: the process id of its leader. So a later life of the agent does not give a name
/// that its history remembers to another command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i32);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::str::FromStr for SessionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a terminal is for, for those who look at the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The call that started it, which is its item's id.
    pub call: CallId,
    /// The command as the model gave it.
    pub command: String,
    /// Where it runs.
    pub cwd: PathBuf,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: SessionId,
    /// Its process group.
    pub group: GroupId,
    /// What it is for.
    pub about: About,
}

/// No terminal is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} terminals are running, which is the limit; end one of them, or wait until one has ended")]
pub struct Full {
    /// The limit.
    pub limit: usize,
}

/// A place for one terminal. Dropping it gives the place back.
#[derive(Debug)]
pub struct Room {
    _place: OwnedSemaphorePermit,
}

/// A terminal in the table. Whoever holds it keeps the command running, or its output readable, even after it was taken out.
#[derive(Debug)]
pub struct Terminal {
    /// What it is for.
    pub about: About,
    /// The command.
    pub running: Running,
    _room: Room,
}

/// The table. Clones share it. When the last clone is gone, so are the commands.
#[derive(Clone, Debug)]
pub struct Terminals {
    free: Arc<Semaphore>,
    table: Arc<Mutex<BTreeMap<SessionId, Arc<Terminal>>>>,
}

impl Default for Terminals {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MAX_TERMINALS)), table: Arc::default() }
    }
}

impl Terminals {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// A place for a command that is about to start, so that none is started for which there is no room. If all are taken, the oldest
    /// one that has ended makes room: what it wrote last is lost then.
    ///
    /// # Errors
    ///
    /// [`Full`], for the model to act on.
    pub fn room(&self) -> Result<Room, Full> {
        if self.free.available_permits() == 0 {
            let ended = self.table.lock().iter().find(|(_, one)| one.running.outcome().is_some()).map(|(id, _)| *id);
            ended.and_then(|id| self.remove(id));
        }
        let permit = self.free.clone().try_acquire_owned();
        permit.map(|_place| Room { _place }).map_err(|_| Full { limit: MAX_TERMINALS })
    }

    /// Keeps a command that its call does not wait for any longer.
    pub fn keep(&self, room: Room, running: Running, about: About) -> (SessionId, Arc<Terminal>) {
        let id = SessionId(running.group().id);
        let terminal = Arc::new(Terminal { about, running, _room: room });
        self.table.lock().insert(id, terminal.clone());
        (id, terminal)
    }

    /// The one of this name.
    pub fn get(&self, id: SessionId) -> Option<Arc<Terminal>> {
        self.table.lock().get(&id).cloned()
    }

    /// Takes one out: after its end has been told, or to end it by dropping it.
    pub fn remove(&self, id: SessionId) -> Option<Arc<Terminal>> {
        self.table.lock().remove(&id)
    }

    /// Those that run, by name.
    pub fn list(&self) -> Vec<Listed> {
        let table = self.table.lock();
        let running = table.iter().filter(|(_, one)| one.running.outcome().is_none());
        running.map(|(id, one)| Listed { id: *id, group: one.running.group(), about: one.about.clone() }).collect()
    }

    /// Asks one to end. It stays in the table until its end has been told. `false`: none of this name runs.
    pub fn terminate(&self, id: SessionId) -> bool {
        let running = self.get(id).filter(|one| one.running.outcome().is_none());
        running.inspect(|one| one.running.terminate()).is_some()
    }

    /// Asks all to end, and forgets those that have. How many were asked.
    pub fn clean(&self) -> usize {
        let mut table = self.table.lock();
        table.retain(|_, one| one.running.outcome().is_none());
        table.values().for_each(|one| one.running.terminate());
        table.len()
    }
}
