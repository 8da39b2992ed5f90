//! One loaded tree: its threads as clients know them, and the one task that tells their news.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use sapwood_actors::agent::manner::Works;
use sapwood_actors::feed::Bell;
use sapwood_actors::seat::Seat;
use sapwood_actors::service::Running;
use sapwood_actors::tree::{Tree, Watcher};
use sapwood_model::HistoryInitialization;
use sapwood_protocol::app::notices::{ThreadStarted, ThreadStatusChanged};
use sapwood_protocol::app::thread::Thread;
use sapwood_protocol::{Millis, ThreadId};
use tokio::task::JoinHandle;

use super::notify::notice;
use super::ready::Ready;
use super::settings;
use super::terminals::Elicitations;
use super::watched::{Teller, Watched};
use crate::connection::{ConnectionId, Connections};
use crate::program::Prepared;
use crate::requests::OpenRequests;

/// Agents of one tree whose children every client is told everything of, as Codex does. Beyond it clients are told that a
/// child is there and how it is, and of its items once they ask (`thread/resume`).
pub const ATTACHED_AGENTS: usize = 256;

/// Describes a thread from its rollout. Nothing if that cannot be read.
pub(crate) type Describe = dyn Fn(&LoadedTree, &Seat) -> Option<Thread> + Send + Sync;

/// Who is told of threads, and asked: the same for all trees of a server.
#[derive(Clone)]
pub(crate) struct Audience {
    /// All clients.
    pub connections: Arc<Connections>,
    /// What is asked of them, and not answered.
    pub requests: Arc<Mutex<OpenRequests<ConnectionId>>>,
    /// How a thread is described to them.
    pub describe: Arc<Describe>,
}

/// A loaded tree.
pub(crate) struct LoadedTree {
    pub tree: Arc<Tree>,
    /// What it was loaded with.
    pub prepared: Mutex<Prepared>,
    /// It leaves no trace.
    pub is_ephemeral: bool,
    /// The thread that it continues.
    pub forked_from: Option<ThreadId>,
    /// When it came into memory.
    pub made: Millis,
    pub watched: Arc<WatchedThreads>,
    pub elicitations: Elicitations,
    running: tokio::sync::Mutex<Option<Running>>,
    audience: Audience,
    /// When somebody last looked or something last happened.
    used: Mutex<Instant>,
    teller: Mutex<Option<Owned>>,
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The threads of one tree, from before its first seat on.
#[derive(Default)]
pub(crate) struct WatchedThreads {
    threads: Mutex<BTreeMap<ThreadId, Arc<Mutex<Watched>>>>,
    ready: Arc<Ready>,
}

impl WatchedThreads {
    /// What the tree is to call for each of its seats.
    pub fn watcher(self: &Arc<Self>, context_window: u64) -> Watcher {
        let this = Arc::clone(self);
        Arc::new(move |seat| {
            let bell = this.ready.bell(seat.thread);
            let watched = Watched::new(Arc::clone(seat), Arc::clone(&bell) as Arc<dyn Bell>, context_window);
            this.threads.lock().insert(seat.thread, Arc::new(Mutex::new(watched)));
            bell.ring();
        })
    }

    /// One of them.
    pub fn get(&self, thread: ThreadId) -> Option<Arc<Mutex<Watched>>> {
        self.threads.lock().get(&thread).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Mutex<Watched>>> {
        self.threads.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.lock().len()
    }
}

impl LoadedTree {
    /// Takes a running tree over, and begins to tell its news.
    pub fn new(
        running: Running,
        prepared: Prepared,
        is_ephemeral: bool,
        forked_from: Option<ThreadId>,
        watched: Arc<WatchedThreads>,
        audience: Audience,
    ) -> Arc<Self> {
        let loaded = Arc::new(Self {
            tree: Arc::clone(&running.tree),
            prepared: Mutex::new(prepared),
            is_ephemeral,
            forked_from,
            made: running.tree.clock.now(),
            watched,
            elicitations: Elicitations::default(),
            running: tokio::sync::Mutex::new(Some(running)),
            audience,
            used: Mutex::new(Instant::now()),
            teller: Mutex::default(),
        });
        let task = tokio::spawn(tell_news(Arc::downgrade(&loaded), Arc::clone(&loaded.watched.ready)));
        *loaded.teller.lock() = Some(Owned(task));
        loaded
    }

    /// Does something with a thread, after all its news were told and before the next are. `act` does not wait.
    pub fn with<T>(&self, thread: ThreadId, act: impl FnOnce(&mut Watched, &Teller<'_>) -> T) -> Option<T> {
        let watched = self.watched.get(thread)?;
        let mut watched = watched.lock();
        self.teller(|teller| {
            watched.tell(teller);
            *self.used.lock() = Instant::now();
            Some(act(&mut watched, teller))
        })
    }

    fn teller<T>(&self, act: impl FnOnce(&Teller<'_>) -> T) -> T {
        let settings = |seat: &Seat| settings::of(self, seat);
        act(&Teller {
            connections: &self.audience.connections,
            journal: &*self.tree.journal,
            now: self.tree.clock.now(),
            settings: &settings,
            requests: &self.audience.requests,
        })
    }

    /// How an agent works now.
    pub fn works<T>(&self, seat: &Seat, look: impl FnOnce(Works<'_>) -> T) -> T {
        seat.look(|view| look(Works::by(view.asking.manner.as_deref(), &seat.cwd, &self.tree.settings)))
    }

    /// What clients are told of a thread, without its turns.
    pub fn describe(&self, seat: &Seat) -> Option<Thread> {
        (self.audience.describe)(self, seat)
    }

    /// Tells the news of one thread. False if somebody else has it in hand: its bell is to be rung again.
    fn tell(&self, thread: ThreadId) -> bool {
        let Some(watched) = self.watched.get(thread) else { return true };
        let Some(mut watched) = watched.try_lock() else { return false };
        self.announce(&mut watched);
        self.teller(|teller| watched.tell(teller));
        true
    }

    /// A child that a model has just spawned: everybody is told, and while the tree is small attached to it.
    fn announce(&self, watched: &mut MutexGuard<'_, Watched>) {
        let is_new = watched.seat.parent.is_some() && watched.seat.history != HistoryInitialization::ColdResume;
        if !is_new || !watched.announce() {
            return;
        }
        let settings = settings::of(self, &watched.seat);
        watched.answered(settings, None);
        watched.had_ended(None);
        let readers = self.audience.connections.ready();
        if readers.is_empty() {
            return;
        }
        if let Some(thread) = self.describe(&watched.seat) {
            // As it was before its first turn, of which they are told next.
            let (name, thread_id, status) = (thread.id.to_string().into(), thread.id, watched.status());
            let thread = Thread { status: status.clone(), ..thread };
            self.audience.connections.broadcast(&notice(&name, &ThreadStarted { thread }));
            self.audience.connections.broadcast(&notice(&name, &ThreadStatusChanged { thread_id, status }));
        }
        if self.watched.count() <= ATTACHED_AGENTS {
            for connection in &readers {
                watched.subscribe(connection);
            }
        }
    }

    /// How long nothing has happened that anybody wanted; nothing while somebody looks or works, or is to answer.
    pub fn idle_since(&self) -> Option<Instant> {
        let activity = *self.tree.activity().borrow();
        let is_used = activity.working + activity.waiting > 0;
        // Also a question that nobody has looked at since the tree was loaded.
        let asks = || self.tree.seats().iter().any(|seat| seat.look(|view| !view.asks.is_empty()));
        let is_watched = || self.watched.all().iter().any(|watched| watched.lock().is_watched());
        if is_used || is_watched() || asks() {
            *self.used.lock() = Instant::now();
            return None;
        }
        Some(*self.used.lock())
    }

    /// Ends it in order. What is open stays open in the rollouts.
    pub async fn close(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.shutdown().await;
        }
        // The last words of its agents.
        for watched in self.watched.all() {
            self.teller(|teller| watched.lock().tell(teller));
        }
        self.teller.lock().take();
    }
}

async fn tell_news(tree: Weak<LoadedTree>, ready: Arc<Ready>) {
    loop {
        let thread = ready.next().await;
        let Some(tree) = tree.upgrade() else { return };
        if !tree.tell(thread) {
            // Whoever has it in hand has told its news by the time it is looked at again.
            ready.bell(thread).ring();
            drop(tree);
            tokio::task::yield_now().await;
        }
    }
}
