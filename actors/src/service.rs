//! The service facade: requests in, feeds out. `exec` uses it, and the app server will.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use sapwood_model::HistoryInitialization;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Body, Fork, InputLane};
use sapwood_protocol::{AgentPath, Ids, SessionId, ThreadId};
use sapwood_rollout::{Journal, OpenError};
use sapwood_supervisor::core::{Config, Need, Phase, Slot};
use sapwood_supervisor::driver::Supervisor;
use tokio::task::JoinHandle;

use crate::agent::fork::Inherited;
use crate::agent::{Agent, Settings};
use crate::clock::Clock;
use crate::host::{AgentHost, RactorSupervision};
use crate::neighbour::{self, Neighbour};
use crate::process::Processes;
use crate::seat::Seat;
use crate::shell::{Begin, Shell, ShellError, Slots};
use crate::tree::{Common, Refusal, Tree, Watcher};
use crate::workers::{Means, NoWorkers};

/// Everything that trees of a process share.
#[derive(Clone)]
pub struct Service {
    journal: Arc<dyn Journal>,
    means: Means,
    watcher: Option<Watcher>,
    neighbour: Option<Arc<dyn Neighbour>>,
    common: Arc<Common>,
}

/// Why a tree could not be started or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its root's rollout cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first input was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What process death left open could not be closed.
    #[error("what the last process left open in {path} could not be closed: {error}")]
    Closing {
        /// The agent.
        path: AgentPath,
        /// Why not.
        #[source]
        error: ShellError,
    },
    /// The thread is a child: its tree is resumed through its root.
    #[error(
        "thread {thread} is the agent {path} of the tree {session}; resume the tree: `sapwood exec resume {session}`"
    )]
    NotARoot {
        /// The thread.
        thread: ThreadId,
        /// Its path.
        path: AgentPath,
        /// Its tree.
        session: SessionId,
    },
    /// The supervisor refuses it.
    #[error("the tree could not be built: {0}")]
    Tree(String),
}

/// A tree that is loaded, and works.
pub struct Running {
    /// The tree.
    pub tree: Arc<Tree>,
    /// What went wrong while it was loaded, and did not keep it from being loaded.
    pub warnings: Vec<String>,
    supervisor: Supervisor<AgentHost>,
    ended: JoinHandle<()>,
}

/// What keeps an agent from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldUp {
    /// It is in line for a slot.
    Slot,
    /// It crashed, and is started again in a moment.
    Restart,
    /// Its storage fails, and is tried again.
    Storage,
}

impl Service {
    /// A service over this journal.
    pub fn new(
        journal: Arc<dyn Journal>,
        model: Arc<dyn sapwood_model::Model>,
        processes: Processes,
        shell: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let means = Means { model, processes, shell, clock };
        Self { journal, means, watcher: None, neighbour: None, common: Arc::default() }
    }

    /// The same service, whose trees tell `watcher` of each of their seats before anything happens in it.
    pub fn watched_by(self, watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// The same service beside another program: threads that it made are taken over when they are loaded.
    pub fn beside(self, neighbour: Arc<dyn Neighbour>) -> Self {
        Self { neighbour: Some(neighbour), ..self }
    }

    /// The processes of this service, to be closed at the end.
    pub fn processes(&self) -> &Processes {
        &self.means.processes
    }

    /// Starts a tree with what its user says first.
    pub async fn start(
        &self,
        settings: Settings,
        cwd: &str,
        text: String,
        mut ids: Ids,
    ) -> Result<Running, ServiceError> {
        let now = self.means.clock.now();
        let session = SessionId::from(ids.thread(now));
        let id = InputId::from(ids.uuid(now));
        let tree = self.tree(session, settings, ids);
        let body = Some(Body::user(text));
        let first = Accepted { id, place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
        let root = tree.make_root(cwd, Some(&first))?;
        let running = self.run(tree, Vec::new()).await?;
        // Nobody was there to be woken when the root was made.
        running.tree.wake(root.thread, Need::NewTurn);
        Ok(running)
    }

    /// Makes a tree whose user has said nothing yet.
    pub async fn open(&self, settings: Settings, cwd: &str, mut ids: Ids) -> Result<Running, ServiceError> {
        let session = SessionId::from(ids.thread(self.means.clock.now()));
        let tree = self.tree(session, settings, ids);
        tree.make_root(cwd, None)?;
        self.run(tree, Vec::new()).await
    }

    /// Makes a tree that continues another thread's history.
    pub async fn fork(
        &self,
        source: &Agent,
        point: Fork,
        settings: Settings,
        cwd: &str,
        mut ids: Ids,
    ) -> Result<Running, ServiceError> {
        let session = SessionId::from(ids.thread(self.means.clock.now()));
        let tree = self.tree(session, settings, ids);
        tree.fork_root(cwd, Some(&Inherited::by_user(source, point)), None)?;
        self.run(tree, Vec::new()).await
    }

    /// An agent as its rollout says. It is not loaded; when it is, soon after, its rollout is not folded again.
    pub fn look(&self, thread: ThreadId) -> Result<Agent, OpenError> {
        let (agent, seen) = self.common.rested.read(&*self.journal, thread)?;
        self.common.rested.keep(thread, seen, agent.clone());
        Ok(agent)
    }

    /// Where its rollouts are.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// The same service over another journal: for threads that leave no trace.
    pub fn over(&self, journal: Arc<dyn Journal>) -> Self {
        Self { journal, ..self.clone() }
    }

    /// Loads a tree: takes its locks, closes what process death left open, sends reports that are due. Runs nothing.
    pub async fn load(&self, session: SessionId, settings: Settings, ids: Ids) -> Result<Running, ServiceError> {
        let tree = self.tree(session, settings, ids);
        let warnings = load(&tree)?;
        self.run(tree, warnings).await
    }

    fn tree(&self, session: SessionId, settings: Settings, ids: Ids) -> Arc<Tree> {
        let (journal, clock) = (Arc::clone(&self.journal), Arc::clone(&self.means.clock));
        let tree = Tree::new(session, Arc::new(settings), journal, clock, ids);
        tree.share(Arc::clone(&self.common));
        if let Some(watcher) = &self.watcher {
            tree.watch(Arc::clone(watcher));
        }
        if let Some(neighbour) = &self.neighbour {
            tree.beside(Arc::clone(neighbour));
        }
        tree
    }

    async fn run(&self, tree: Arc<Tree>, warnings: Vec<String>) -> Result<Running, ServiceError> {
        let host = Arc::new(AgentHost::new(&tree, self.means.clone()));
        let seed = tree.new_ids().bits();
        let slots = tree.settings.slots;
        let config = Config { slots, max_seats: tree.settings.max_agents, seed, ..Config::default() };
        let (supervisor, ended) = Supervisor::start(host, config).await;
        tree.supervise(Box::new(RactorSupervision(supervisor.clone()))).map_err(ServiceError::Tree)?;
        Ok(Running { tree, warnings, supervisor, ended })
    }
}

impl Running {
    /// Says something to the root, and lets turns go on that only waited, or whose input is pending.
    pub fn say(&self, text: String, id: InputId) -> Result<(), Refusal> {
        if let Some(root) = self.tree.root() {
            self.tree.say(&root, id, Some(text))?;
        }
        for seat in self.tree.seats() {
            self.tree.go_on_pending(&seat);
        }
        Ok(())
    }

    /// Asks the whole tree to go on; see [`Tree::go_on`].
    pub fn go_on(&self) -> Result<usize, Refusal> {
        self.tree.go_on()
    }

    /// Waits until every agent of the tree is at rest, or the tree has closed by itself.
    pub async fn at_rest(&self) {
        self.tree.at_rest().await;
    }

    /// Why an agent cannot work now because its storage fails, if there is one. It is tried again by itself.
    pub fn storage_blocked(&self) -> Option<String> {
        self.supervisor.view().into_iter().find_map(|row| match row.phase {
            Phase::StorageBlocked { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// What keeps agents from working now, by the supervisor's table; who is not in it is not kept.
    pub fn held_up(&self) -> BTreeMap<ThreadId, HeldUp> {
        let held_up = |phase: Phase| match phase {
            Phase::Queued { .. } | Phase::Awake { slot: Slot::Wanted(_), .. } => Some(HeldUp::Slot),
            Phase::Restarting { .. } => Some(HeldUp::Restart),
            Phase::StorageBlocked { .. } => Some(HeldUp::Storage),
            _ => None,
        };
        self.supervisor.view().into_iter().filter_map(|row| Some((row.seat, held_up(row.phase)?))).collect()
    }

    /// Ends all incarnations in order. What is open stays open in the rollouts, and goes on when it is resumed. The rollouts are
    /// free for other writers when it returns, whoever still has the tree.
    pub async fn shutdown(self) {
        self.supervisor.shutdown().await;
        self.tree.close_terminals();
        // It ends with the supervisor; a panic of its own was already reported.
        let _ = self.ended.await;
        self.tree.seats().iter().for_each(|seat| seat.release());
    }
}

struct NoSlots;

impl Slots for NoSlots {
    fn want(&self, _: Need) {}
    fn give_back(&self) {}
}

/// Builds the seats of a tree from its rollouts, and closes what process death left open. Returns warnings.
pub fn load(tree: &Arc<Tree>) -> Result<Vec<String>, ServiceError> {
    let mut warnings = Vec::new();
    let root = ThreadId::from(tree.session);
    // Each with the one that names it.
    let mut found = vec![(root, None)];
    let mut seen = BTreeSet::from([root]);
    let (mut seats, mut out_of_service) = (Vec::new(), Vec::new());
    let mut root_read = None;
    while let Some((thread, spawner)) = found.pop() {
        let mut agent = match tree.rested().read(&*tree.journal, thread) {
            Ok((agent, seen)) => {
                if thread == root {
                    root_read = Some((agent.clone(), seen));
                }
                agent
            }
            // A child whose rollout never came to exist was never made, and its name is free.
            Err(OpenError::NotFound { .. }) if thread != root => continue,
            Err(error) if thread != root => {
                warnings.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if thread == root && agent.identity().parent.is_some() {
            let (path, session) = (agent.identity().path.clone(), agent.identity().session);
            return Err(ServiceError::NotARoot { thread, path, session });
        }
        if thread != root && agent.identity().parent != spawner {
            // A fork by copies names the children of its source, too. Its own one may name it yet.
            seen.remove(&thread);
            continue;
        }
        let adopted_into = match neighbour::adopt(tree, &mut agent) {
            Ok(log) => log,
            Err(error) if thread == root => return Err(error.into()),
            Err(error) => {
                warnings.push(error.to_string());
                None
            }
        };
        let identity = agent.identity();
        let closed = agent.adopted.as_ref().map(|adopted| &*adopted.closed).unwrap_or_default();
        let children = agent.spawned.keys().chain(&agent.named).filter(|child| !closed.contains(child));
        found.extend(children.filter(|child| seen.insert(**child)).map(|child| (*child, Some(thread))));
        let seat = match tree.seat_of(&agent, HistoryInitialization::ColdResume) {
            Ok(seat) => seat,
            Err(why) if thread != root => {
                warnings.push(why);
                continue;
            }
            Err(why) => return Err(ServiceError::Tree(why)),
        };
        if let Some(log) = adopted_into {
            seat.keep(log);
        }
        if thread == root {
            // The lease of the tree, before anything is written anywhere.
            seat.occupy(&*tree.journal)?;
        }
        let open = agent.turn.is_some() && !agent.parked();
        let due = agent.due().last();
        // A command of the user that ran is closed like a turn, whose end it may have outlived.
        let open = open || agent.shells.iter().any(|shell| shell.said.is_none());
        if agent.quarantined.is_none() && (open || due.is_some()) {
            seats.push((identity.path.depth(), Arc::clone(&seat), if open { None } else { due.map(|turn| turn.n) }));
        }
        if let Some(reason) = agent.quarantined.clone() {
            out_of_service.push((seat, agent, reason));
        }
    }
    // A report needs its requester's marks, which are in its seat: so the seats first, then the closings, and
    // the deepest agents before those who asked them.
    seats.sort_by_key(|(depth, seat, _)| (std::cmp::Reverse(*depth), seat.path.clone()));
    for (_, seat, only_report) in seats {
        // Most agents of an old tree have ended and reported: they are not even opened.
        if only_report.is_some_and(|n| tree.has_report(&seat, n)) {
            continue;
        }
        if let Err(error) = close(tree, &seat) {
            let path = seat.path.clone();
            if seat.parent.is_none() {
                return Err(ServiceError::Closing { path, error });
            }
            warnings.push(ServiceError::Closing { path, error }.to_string());
        }
    }
    for (seat, agent, reason) in out_of_service {
        tree.report_quarantine(&seat, &agent, &reason);
    }
    if let Some((agent, seen)) = root_read {
        tree.rested().keep(root, seen, agent);
    }
    // Turns that will go on, and tasks that will start, have room for their reports again.
    for seat in tree.seats() {
        let view = seat.view();
        if (view.parked || view.wakes)
            && let Err(error) = tree.reserve_report(&seat)
        {
            warnings.push(error);
        }
    }
    Ok(warnings)
}

fn close(tree: &Arc<Tree>, seat: &Arc<Seat>) -> Result<(), ShellError> {
    let mut shell = Shell::load(Arc::clone(tree), Arc::clone(seat), NoWorkers, NoSlots, false)?;
    shell.begin(Begin::Load)?;
    shell.stop();
    // What it shows as busy is what nobody has asked to go on.
    let mut view = seat.view.lock();
    view.quiet = true;
    tree.count(&mut view);
    Ok(())
}
