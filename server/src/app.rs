//! What stands behind the connections: the program, the trees that are loaded, and what is kept of the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sapwood_actors::agent::Settings;
use sapwood_actors::clock::Clock;
use sapwood_actors::seat::Seat;
use sapwood_actors::service::{Running, Service as Trees, ServiceError};
use sapwood_protocol::{Ids, SessionId, ThreadId};
use sapwood_rollout::MemoryJournal;
use serde_json::Value;
use uuid::Uuid;

use crate::connection::{Connection, Connections};
use crate::exec::{self, ClientCommands};
use crate::program::{HasProgram, Prepared, Program};
use crate::router::Router;
use crate::rpc::{Answered, RequestId, RpcError};
use crate::service::Service;
use crate::store::Store;
use crate::threads::tree::{Audience, Describe, LoadedTree, WatchedThreads};
use crate::{methods, threads};

/// A tree that nobody looks at and that has nothing to do leaves memory after this long (`hooks-guardian-mcp.md` C5).
pub const IDLE_UNLOAD: Duration = Duration::from_secs(30 * 60);

/// The app server's service.
pub struct AppServer {
    program: Arc<dyn Program>,
    pub(crate) trees: Trees,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) commands: ClientCommands,
    loaded: Mutex<Loaded>,
    /// One tree is loaded at a time: two clients that resume the same thread get the same tree.
    loading: tokio::sync::Mutex<()>,
    audience: Audience,
}

#[derive(Default)]
struct Loaded {
    trees: BTreeMap<SessionId, Arc<LoadedTree>>,
}

/// How a tree comes to be in memory.
pub(crate) enum Begin<'a> {
    /// It is made.
    New { cwd: &'a str },
    /// It continues another thread.
    Fork { source: &'a sapwood_actors::agent::Agent, point: sapwood_protocol::own::Fork, cwd: &'a str },
    /// It is in its rollouts.
    Load { session: SessionId },
}

impl AppServer {
    /// A service over these. `trees` has the journal of the home that `store` lists.
    pub fn new(
        program: Arc<dyn Program>,
        connections: Arc<Connections>,
        trees: Trees,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let kept = Arc::clone(&store);
        let describe: Arc<Describe> =
            Arc::new(move |tree: &LoadedTree, seat: &Seat| threads::describe(&kept, tree, seat));
        Arc::new(Self {
            program,
            trees,
            store,
            clock,
            commands: ClientCommands::default(),
            loaded: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            audience: Audience { connections, requests: Arc::default(), describe },
        })
    }

    /// Every client there is.
    pub(crate) fn connections(&self) -> &Connections {
        &self.audience.connections
    }

    /// Asks a connection that has come to a thread what is open there.
    pub(crate) fn ask_again(&self, thread: ThreadId, connection: &Connection) {
        for (id, question) in self.audience.requests.lock().subscribed(thread, connection.id()) {
            connection.request(&id, question.method, &question.params);
        }
    }

    /// Its methods.
    pub fn router() -> Router<Self> {
        Router::new().with(threads::table()).with(exec::table()).with(methods::table())
    }

    /// The loaded tree that a thread is of, with its seat.
    pub(crate) fn find(&self, thread: ThreadId) -> Option<(Arc<LoadedTree>, Arc<Seat>)> {
        let loaded = self.loaded.lock();
        loaded.trees.values().find_map(|tree| Some((Arc::clone(tree), tree.tree.seat(thread)?)))
    }

    /// The same, by what a client calls it.
    ///
    /// # Errors
    /// It is no id, or the thread is not loaded.
    pub(crate) fn loaded(&self, thread: &str) -> Result<(Arc<LoadedTree>, Arc<Seat>), RpcError> {
        let id = thread_id(thread)?;
        self.find(id).ok_or_else(|| RpcError::invalid(format!("thread not found: {thread}")))
    }

    /// All loaded trees.
    pub(crate) fn all(&self) -> Vec<Arc<LoadedTree>> {
        self.loaded.lock().trees.values().cloned().collect()
    }

    /// Brings a tree into memory; one that is there already is left as it is.
    pub(crate) async fn begin(
        &self,
        begin: Begin<'_>,
        prepared: Prepared,
        is_ephemeral: bool,
    ) -> Result<(Arc<LoadedTree>, Vec<String>), RpcError> {
        let _turn = self.loading.lock().await;
        if let Begin::Load { session } = begin
            && let Some(tree) = self.loaded.lock().trees.get(&session)
        {
            return Ok((Arc::clone(tree), Vec::new()));
        }
        let watched = Arc::new(WatchedThreads::default());
        let settings: Settings = prepared.settings.clone();
        let mut trees = self.trees.clone().watched_by(watched.watcher(settings.context_window));
        if is_ephemeral {
            trees = trees.over(Arc::new(MemoryJournal::new()));
        }
        let forked_from = match &begin {
            Begin::Fork { source, .. } => Some(source.identity().thread),
            _ => None,
        };
        let begun = match begin {
            Begin::New { cwd } => trees.open(settings, cwd, new_ids()).await,
            Begin::Fork { source, point, cwd } => trees.fork(source, point, settings, cwd, new_ids()).await,
            Begin::Load { session } => trees.load(session, settings, new_ids()).await,
        };
        let running: Running = begun.map_err(refused)?;
        let warnings = running.warnings.clone();
        let tree = LoadedTree::new(running, prepared, is_ephemeral, forked_from, watched, self.audience.clone());
        self.loaded.lock().trees.insert(tree.tree.session, Arc::clone(&tree));
        Ok((tree, warnings))
    }

    /// Takes a tree out of memory.
    pub(crate) async fn unload(&self, session: SessionId, leaving: threads::Leaving) {
        let _turn = self.loading.lock().await;
        let tree = self.loaded.lock().trees.remove(&session);
        if let Some(tree) = tree {
            tree.close().await;
            threads::tell_unloaded(self.connections(), &tree, leaving);
        }
    }

    /// Unloads what has been idle for so long.
    pub async fn unload_idle(&self, longer_than: Duration) {
        for tree in self.all() {
            if tree.idle_since().is_some_and(|since| since.elapsed() >= longer_than) {
                self.unload(tree.tree.session, threads::Leaving::Idle).await;
            }
        }
    }

    /// Ends all trees in order: what is open stays open in their rollouts.
    pub async fn close(&self) {
        let _turn = self.loading.lock().await;
        let trees = std::mem::take(&mut self.loaded.lock().trees);
        for tree in trees.into_values() {
            tree.close().await;
        }
        self.trees.processes().close().await;
    }
}

impl HasProgram for AppServer {
    fn program(&self) -> &Arc<dyn Program> {
        &self.program
    }

    fn thread_cwd(&self, thread: ThreadId) -> Option<PathBuf> {
        let (tree, seat) = self.find(thread)?;
        Some(tree.works(&seat, |works| works.cwd().into()))
    }
}

impl Service for AppServer {
    fn answered(&self, connection: &Arc<Connection>, id: RequestId, answer: Answered) {
        let Some(thread) = self.audience.requests.lock().answered(connection.id(), &id) else { return };
        let taken = self.find(thread).is_some_and(|(tree, seat)| take(&tree, &seat, &id, &answer));
        if !taken {
            self.audience.requests.lock().not_taken(&id);
        }
    }

    fn lagged(&self, connection: &Arc<Connection>, thread: &str, since: Option<&str>) {
        let Ok(id) = thread.parse() else { return };
        if let Some((tree, _)) = self.find(id) {
            tree.with(id, |watched, teller| watched.bring_up_to_date(connection.id(), since, teller));
        }
    }

    fn closed(&self, connection: &Arc<Connection>) {
        self.audience.requests.lock().disconnected(connection.id());
        self.commands.disconnected(connection.id());
        for tree in self.all() {
            for watched in tree.watched.all() {
                watched.lock().unsubscribe(connection.id());
            }
        }
    }

    async fn ended(&self) {
        self.close().await;
    }

    fn experimental(&self, method: &str, params: &serde_json::value::RawValue) -> Option<&'static str> {
        sapwood_protocol::app::experimental::gate(method, params)
    }
}

/// Gives an agent the answer to its question. What a client says that cannot be read allows nothing.
fn take(tree: &LoadedTree, seat: &Seat, id: &RequestId, answer: &Answered) -> bool {
    let asks = seat.look(|view| view.asks.clone());
    let Some(asked) = asks.iter().find(|asked| RequestId::from(asked.id.as_str()) == *id) else { return false };
    let result = answer.as_ref().ok().and_then(|result| serde_json::from_str::<Value>(result.get()).ok());
    tree.tree.answer(seat, &asked.id, asked.what.resolved(result.as_ref()))
}

/// A thread by what a client calls it.
///
/// # Errors
/// It is none.
pub(crate) fn thread_id(text: &str) -> Result<ThreadId, RpcError> {
    text.parse().map_err(|error| RpcError::invalid(format!("invalid thread id: {error}")))
}

fn new_ids() -> Ids {
    let (a, b) = Uuid::new_v4().as_u64_pair();
    Ids::seeded(a ^ b)
}

/// Why a tree could not be brought into memory, in the words that clients know.
fn refused(error: ServiceError) -> RpcError {
    use sapwood_rollout::OpenError;
    match &error {
        ServiceError::Open(OpenError::NotFound { thread, .. }) => {
            RpcError::invalid(format!("no rollout found for thread id {thread}"))
        }
        ServiceError::Open(OpenError::Held { .. }) => RpcError::invalid(error.to_string()),
        ServiceError::NotARoot { .. } => RpcError::invalid(error.to_string()),
        _ => RpcError::internal(error.to_string()),
    }
}
