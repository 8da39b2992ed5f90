//! All connections of the server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Serialize;

use super::{Connection, ConnectionId, Notification};

/// Connections at once. Each may cost a megabyte when it does not read.
pub const CONNECTIONS: usize = 256;

/// There are as many connections as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {CONNECTIONS} connections already: close one, and connect again")]
pub struct Full;

/// The connections that are open. Transports add and remove them; the service sends to all of them.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
    last: AtomicU64,
    /// The name of the first client of the process, which its answers begin with from then on.
    originator: OnceLock<String>,
}

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends to every connection whose client has said who it is.
    pub fn broadcast(&self, notification: &Notification) {
        for connection in self.open.lock().values().filter(|connection| connection.is_ready()) {
            connection.send(notification);
        }
    }

    /// The same, written only if there is one who wants it.
    pub fn tell_all(&self, method: &'static str, params: &impl Serialize) {
        let has_reader = self.open.lock().values().any(|connection| connection.is_ready() && connection.wants(method));
        if has_reader {
            self.broadcast(&Notification::new(method, params));
        }
    }

    /// The one of this number, while it is open.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.open.lock().get(&id).cloned()
    }

    /// Those that broadcasts reach, the oldest first.
    pub fn ready(&self) -> Vec<Arc<Connection>> {
        self.open.lock().values().filter(|connection| connection.is_ready()).cloned().collect()
    }

    /// How many there are, also before they said who they are.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// What the user agent begins with: the name of the first client.
    pub(crate) fn originator(&self, client: &str) -> &str {
        self.originator.get_or_init(|| client.to_owned())
    }

    pub(crate) fn add(&self) -> Result<Arc<Connection>, Full> {
        let mut open = self.open.lock();
        if open.len() >= CONNECTIONS {
            return Err(Full);
        }
        let id = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let connection = Arc::new(Connection::new(id));
        open.insert(id, Arc::clone(&connection));
        Ok(connection)
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        self.open.lock().remove(&id);
    }
}
