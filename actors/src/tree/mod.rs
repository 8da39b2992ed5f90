//! A tree of agents: its seats, who may be added, and how mail travels between them.
//!
//! Everything here is synchronous and knows no runtime: the ractor driver and the simulation use it alike. An
//! admission writes one line into the *receiver's* rollout and then cannot fail any more.

mod admission;
mod asks;
mod commands;
mod common;
mod queue;
mod reports;
mod rested;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::Mutex;
use sapwood_model::HistoryInitialization;
use sapwood_protocol::approval::{Permissions, SandboxPolicy};
use sapwood_protocol::own::Accepted;
use sapwood_protocol::{AgentPath, Ids, SessionId, ThreadId};
use sapwood_rollout::{Journal, NewThread, OpenError};
use sapwood_supervisor::core::Need;
use tokio::sync::watch;

use crate::agent::approval::Confinement;
use crate::agent::effect::Place;
use crate::agent::event::Event;
use crate::agent::fork::Inherited;
use crate::agent::frame::Frames;
use crate::agent::lines::{NewAgent, birth};
use crate::agent::manner::Works;
use crate::agent::{Agent, Settings};
use crate::clock::Clock;
use crate::neighbour::Neighbour;
use crate::nicknames::Nicknames;
use crate::process::SandboxMode;
use crate::process::sandbox::Shortfall;
use crate::seat::{Counted, Message, Seat, SeatView};
use crate::trace::Parent;
use crate::workers::Confined;

use admission::lane_of;
pub use admission::{Admitted, INBOX_COUNT, INPUT_BYTES, Refusal};
pub(crate) use common::Common;
pub use queue::{QUEUE_COUNT, QueueError};
pub use reports::REPORT_BYTES;
use rested::Rested;

/// Starts and wakes incarnations: the supervisor, or the simulation in its place.
pub trait Supervision: Send + Sync + 'static {
    /// A seat was added to the tree.
    fn add(&self, seat: &Arc<Seat>) -> Result<(), String>;
    /// Something was admitted to a seat, or an interrupt waits for it.
    fn wake(&self, thread: ThreadId, need: Need);
}

/// Told of each seat before anything happens in it: who subscribes to its feed here misses nothing.
pub type Watcher = Arc<dyn Fn(&Arc<Seat>) + Send + Sync>;

/// A tree of agents.
pub struct Tree {
    /// Names the tree.
    pub session: SessionId,
    /// What its agents share.
    pub settings: Arc<Settings>,
    /// Where its rollouts are.
    pub journal: Arc<dyn Journal>,
    /// The clock of its drivers.
    pub clock: Arc<dyn Clock>,
    seats: DashMap<ThreadId, Arc<Seat>>,
    names: Mutex<Names>,
    ids: Mutex<Ids>,
    supervision: OnceLock<Box<dyn Supervision>>,
    activity: watch::Sender<Activity>,
    watcher: OnceLock<Watcher>,
    neighbour: OnceLock<Arc<dyn Neighbour>>,
    common: OnceLock<Arc<Common>>,
    frames: OnceLock<Arc<Frames>>,
    melted: watch::Sender<Option<String>>,
    /// Where the newest turn stands that a request with a trace began.
    newest_trace: Mutex<Option<Parent>>,
    /// What sandboxes cannot do here and somebody was told of: one of each kind.
    shortfalls: Mutex<Vec<Shortfall>>,
}

/// How many agents of a tree are not at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Something is open or to be done.
    pub working: usize,
    /// Only wait for the mail of others.
    pub waiting: usize,
    /// Pause until somebody asks them to go on.
    pub paused: usize,
    /// Only wait for answers of people and clients.
    pub asking: usize,
}

impl Activity {
    /// True if nothing more happens by itself: nobody works, and who waits does so for agents that pause or ask.
    pub fn rests(&self) -> bool {
        self.working == 0 && (self.waiting == 0 || self.paused + self.asking > 0)
    }

    fn of(&mut self, counted: Counted) -> Option<&mut usize> {
        match counted {
            Counted::AtRest => None,
            Counted::Active => Some(&mut self.working),
            Counted::Waiting => Some(&mut self.waiting),
            Counted::Paused => Some(&mut self.paused),
            Counted::Asking => Some(&mut self.asking),
        }
    }
}

#[derive(Default)]
struct Names {
    by_path: BTreeMap<AgentPath, ThreadId>,
    nicknames: Nicknames,
}

impl Tree {
    /// A tree without seats.
    pub fn new(
        session: SessionId,
        settings: Arc<Settings>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        ids: Ids,
    ) -> Arc<Self> {
        Arc::new(Self {
            session,
            settings,
            journal,
            clock,
            seats: DashMap::new(),
            names: Mutex::default(),
            ids: Mutex::new(ids),
            supervision: OnceLock::new(),
            activity: watch::Sender::new(Activity::default()),
            watcher: OnceLock::new(),
            neighbour: OnceLock::new(),
            common: OnceLock::new(),
            frames: OnceLock::new(),
            melted: watch::Sender::new(None),
            newest_trace: Mutex::default(),
            shortfalls: Mutex::default(),
        })
    }

    /// Who starts its incarnations from now on. Told once.
    pub fn supervise(&self, supervision: Box<dyn Supervision>) -> Result<(), String> {
        for seat in self.seats() {
            supervision.add(&seat)?;
        }
        assert!(self.supervision.set(supervision).is_ok(), "a tree is supervised once");
        Ok(())
    }

    /// Who is told of each seat from now on. Told once, before the first seat.
    pub fn watch(&self, watcher: Watcher) {
        assert!(self.watcher.set(watcher).is_ok(), "a tree has one watcher");
    }

    /// Who else keeps things of its threads. Told once, before it is loaded.
    pub fn beside(&self, neighbour: Arc<dyn Neighbour>) {
        assert!(self.neighbour.set(neighbour).is_ok(), "a tree has one neighbour");
    }

    pub(crate) fn neighbour(&self) -> Option<&dyn Neighbour> {
        self.neighbour.get().map(|neighbour| &**neighbour)
    }

    pub(crate) fn wake(&self, thread: ThreadId, need: Need) {
        if let Some(supervision) = self.supervision.get() {
            supervision.wake(thread, need);
        }
    }

    /// Ids for one incarnation.
    pub(crate) fn new_ids(&self) -> Ids {
        Ids::seeded(self.ids.lock().bits())
    }

    /// The seat of a thread.
    pub fn seat(&self, thread: ThreadId) -> Option<Arc<Seat>> {
        self.seats.get(&thread).map(|seat| Arc::clone(&seat))
    }

    /// The root's seat.
    pub fn root(&self) -> Option<Arc<Seat>> {
        self.seat(self.session.into())
    }

    /// What it shares with the other trees of its process. Told once, before the first seat.
    pub(crate) fn share(&self, common: Arc<Common>) {
        assert!(self.common.set(common).is_ok(), "a tree shares once");
    }

    fn common(&self) -> &Common {
        self.common.get_or_init(Arc::default)
    }

    /// Its agents that sleep, and those of the trees that it shares this with.
    pub(crate) fn rested(&self) -> &Rested {
        &self.common().rested
    }

    /// What the requests of its agents have in common.
    pub(crate) fn frames(&self) -> &Arc<Frames> {
        self.frames.get_or_init(|| Arc::new(Frames::sharing(Arc::clone(&self.common().texts))))
    }

    /// All seats, the root first, then by path.
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        let threads: Vec<ThreadId> = self.names.lock().by_path.values().copied().collect();
        threads.into_iter().filter_map(|thread| self.seat(thread)).collect()
    }

    /// How many agents are not at rest.
    pub fn activity(&self) -> watch::Receiver<Activity> {
        self.activity.subscribe()
    }

    /// What a command may touch that wants this: no more than any agent above its own may now, whatever was once recorded.
    pub(crate) fn narrowed(&self, seat: &Seat, place: Place) -> Confined {
        let mut sandbox = mode_of(&place.sandbox, &place.roots);
        let mut above = seat.parent;
        while let Some(seat) = above.and_then(|parent| self.seat(parent)) {
            let theirs = seat.look(|view| {
                let works = Works::by(view.asking.manner.as_deref(), &seat.cwd, &self.settings);
                mode_of(works.sandbox(), &works.workspace_roots())
            });
            sandbox = sandbox.narrower(theirs);
            above = seat.parent;
        }
        let sandbox = match place.confinement {
            // A person said so, to this one command: whoever needs no sandbox of its own was not asked for it.
            Confinement::None if place.sandbox.confines_files() => SandboxMode::DangerFullAccess,
            Confinement::None => sandbox,
            Confinement::Sandboxed(granted) => widened(sandbox, granted),
        };
        Confined { cwd: place.cwd.into(), sandbox }
    }

    /// Adds the seat of a rollout that exists.
    pub fn seat_of(&self, agent: &Agent, history: HistoryInitialization) -> Result<Arc<Seat>, String> {
        let seat = Arc::new(Seat::new(agent, history));
        let mut names = self.names.lock();
        if let Some(other) = names.by_path.get(&seat.path).filter(|other| **other != seat.thread) {
            return Err(format!("agent path `{}` already exists as thread {other}", seat.path));
        }
        names.by_path.insert(seat.path.clone(), seat.thread);
        seat.nickname.iter().for_each(|name| names.nicknames.taken(name));
        self.seats.insert(seat.thread, Arc::clone(&seat));
        drop(names);
        if let Some(watcher) = self.watcher.get() {
            watcher(&seat);
        }
        if let Some(supervision) = self.supervision.get() {
            supervision.add(&seat)?;
        }
        Ok(seat)
    }

    /// Makes the root, with what the user said first.
    pub fn make_root(&self, cwd: &str, first: Option<&Accepted>) -> Result<Arc<Seat>, Refusal> {
        self.fork_root(cwd, None, first)
    }

    /// Makes the root, which continues what it inherits.
    pub fn fork_root(
        &self,
        cwd: &str,
        fork: Option<&Inherited>,
        first: Option<&Accepted>,
    ) -> Result<Arc<Seat>, Refusal> {
        let path = AgentPath::root();
        let thread = self.session.into();
        let new = NewAgent {
            thread,
            session: self.session,
            path: &path,
            parent: None,
            nickname: None,
            cwd,
            fork,
            settings: None,
            first,
        };
        self.make(&new).map_err(Refusal::from)
    }

    pub(super) fn make(&self, new: &NewAgent<'_>) -> Result<Arc<Seat>, OpenError> {
        let now = self.clock.now();
        let lines = birth(new, &self.settings, &mut self.new_ids(), now);
        let log = self.journal.create(&NewThread { thread: new.thread, created: now }, &lines)?;
        let mut agent = Agent::fold(lines.iter().cloned());
        // Whoever looks before it runs sees what it has of its source.
        if let Some(source) = new.fork.and_then(Inherited::shared) {
            agent.inherit(source.to_inherit());
        }
        let history = match new.fork {
            Some(_) => HistoryInitialization::WarmFork,
            None => HistoryInitialization::New,
        };
        let seat = self.seat_of(&agent, history).map_err(|why| OpenError::Corrupt {
            thread: new.thread,
            place: new.path.to_string(),
            why,
        })?;
        seat.keep(log);
        if let Some(source) = new.fork.and_then(Inherited::shared) {
            seat.inherits(source);
        }
        // The first input came with the rollout, not through the mailbox: say that it is on its way.
        if let (Some(first), Some(line)) = (new.first, lines.last()) {
            self.unseen(&seat, &first.id, first.turn.as_ref());
            let message = Message::Accepted { id: first.id.clone(), line: line.clone() };
            let lane = lane_of(first.lane);
            if seat.mailbox.try_send(lane, 0, message).is_err() {
                unreachable!("the mailbox of a new seat is empty and open");
            }
            if first.wake {
                self.wake(seat.thread, Need::NewTurn);
            }
        }
        Ok(seat)
    }

    /// Tells whoever looks at an agent; its turns and their spans begin and end so.
    pub(crate) fn tell(&self, seat: &Seat, event: Event) {
        seat.traces.follow(seat, &event, &self.newest_trace);
        seat.feed.publish(self.clock.now(), event);
    }

    /// Brings the tree's count of active agents in line with what is shown of one of them.
    pub(crate) fn count(&self, view: &mut SeatView) {
        let (before, now) = (view.counted, view.counts());
        if before != now {
            view.counted = now;
            self.activity.send_modify(|activity| {
                activity.of(before).into_iter().for_each(|count| *count -= 1);
                activity.of(now).into_iter().for_each(|count| *count += 1);
            });
        }
    }

    /// The tree restarts too often: whatever the cause is, it is not in one agent.
    pub fn melted(&self, reason: &str) {
        tracing::error!(session = %self.session, reason, "the tree restarts too often and closes; it can be resumed");
        self.close_terminals();
        self.melted.send_replace(Some(reason.to_owned()));
    }

    /// Waits until nothing more happens by itself, or the tree has closed by itself.
    pub async fn at_rest(&self) {
        let (mut activity, mut melted) = (self.activity.subscribe(), self.melted.subscribe());
        // The senders live as long as the tree.
        tokio::select! {
            _ = activity.wait_for(Activity::rests) => {}
            _ = melted.wait_for(Option::is_some) => {}
        }
    }

    /// Why the tree closed by itself, if it did.
    pub fn melt_down(&self) -> Option<String> {
        self.melted.borrow().clone()
    }
}

/// The mode with what a person granted beside it. Reading is free in all of them.
fn widened(mode: SandboxMode, granted: Permissions) -> SandboxMode {
    let network = granted.has_network();
    let more: Vec<PathBuf> = granted.file_system.into_iter().flat_map(|files| files.write).map(PathBuf::from).collect();
    match mode {
        SandboxMode::ReadOnly { network_access } if more.is_empty() => {
            SandboxMode::ReadOnly { network_access: network_access || network }
        }
        SandboxMode::ReadOnly { network_access } => SandboxMode::WorkspaceWrite {
            roots: more,
            network_access: network_access || network,
            exclude_tmpdir_env_var: true,
            exclude_slash_tmp: true,
        },
        SandboxMode::WorkspaceWrite { mut roots, network_access, exclude_tmpdir_env_var, exclude_slash_tmp } => {
            roots.extend(more);
            let network_access = network_access || network;
            SandboxMode::WorkspaceWrite { roots, network_access, exclude_tmpdir_env_var, exclude_slash_tmp }
        }
        SandboxMode::DangerFullAccess => SandboxMode::DangerFullAccess,
    }
}

/// The policy in the words of the kernel's rules, for a workspace of these roots.
pub fn mode_of(policy: &SandboxPolicy, roots: &[String]) -> SandboxMode {
    match policy {
        // Whoever confines this program confines its commands.
        SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => SandboxMode::DangerFullAccess,
        SandboxPolicy::ReadOnly { network_access } => SandboxMode::ReadOnly { network_access: *network_access },
        SandboxPolicy::WorkspaceWrite { writable_roots, network_access, exclude_tmpdir_env_var, exclude_slash_tmp } => {
            SandboxMode::WorkspaceWrite {
                roots: roots.iter().chain(writable_roots).map(Into::into).collect(),
                network_access: *network_access,
                exclude_tmpdir_env_var: *exclude_tmpdir_env_var,
                exclude_slash_tmp: *exclude_slash_tmp,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sapwood_protocol::Millis;
    use sapwood_protocol::item::MailKind;
    use sapwood_protocol::own::{Body, InputLane, TurnOrigin};
    use sapwood_rollout::MemoryJournal;

    use super::*;
    use crate::agent::effect::Ask;
    use crate::agent::input::Answer;
    use crate::clock::SystemClock;

    /// Agents come to rest after the tree has closed, too, and each is counted once.
    #[tokio::test]
    async fn a_tree_that_melted_is_waited_for_no_longer_and_still_counts_right() {
        let mut ids = Ids::seeded(1);
        let session = SessionId::from(ids.thread(Millis(1)));
        let journal = Arc::new(MemoryJournal::new());
        let tree = Tree::new(session, Arc::default(), journal, Arc::new(SystemClock), ids);
        let body = Some(Body::user("begin"));
        let first =
            Accepted { id: "1".into(), place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
        let root = tree.make_root("/", Some(&first)).unwrap();
        assert_eq!(tree.activity().borrow().working, 1);
        tree.melted("on purpose");
        tree.at_rest().await;
        let mut view = root.view.lock();
        view.unseen.clear();
        tree.count(&mut view);
        assert_eq!(*tree.activity().borrow(), Activity::default());
    }

    /// What is said to an agent out of service is kept, and nobody waits until it is read; agents that send it mail are told.
    #[tokio::test]
    async fn an_agent_out_of_service_is_not_waited_for() {
        let mut ids = Ids::seeded(2);
        let session = SessionId::from(ids.thread(Millis(1)));
        let child = ids.thread(Millis(1));
        let journal = Arc::new(MemoryJournal::new());
        let tree = Tree::new(session, Arc::default(), journal, Arc::new(SystemClock), ids);
        let root = tree.make_root("/", None).unwrap();
        let path = AgentPath::root().join("a").unwrap();
        let new = NewAgent {
            thread: child,
            session,
            path: &path,
            parent: Some(root.thread),
            nickname: None,
            cwd: "/",
            fork: None,
            settings: None,
            first: None,
        };
        let seat = tree.make(&new).unwrap();
        tree.quarantined(&seat, "on purpose");
        let view = seat.view();
        assert_eq!((view.turn, view.parked, view.wakes, view.paused), (None, false, false, None));
        let told = |kind| Ask::Mail {
            target: "a".into(),
            kind,
            text: "again".into(),
            n: 9,
            turn: TurnOrigin { turn: "t".into(), root_turn: "t".into() },
        };
        let agent = Agent::default();
        for kind in [MailKind::NewTask, MailKind::Message] {
            let Answer::Refused(why) = tree.ask(&root, told(kind), &agent) else { panic!("it is refused") };
            assert!(why.contains("/root/a") && why.contains("out of service"), "{why}");
        }
        tree.say(&seat, "u1".into(), Some("hello?".into())).unwrap();
        assert!(!tree.go_on_pending(&seat));
        assert_eq!(*tree.activity().borrow(), Activity { working: 1, ..Activity::default() }, "the root was told");

        // In the next process it is the same.
        let agent = crate::fold::read(&*tree.journal, child).unwrap();
        let view = SeatView::of(&agent);
        assert_eq!((view.turn.clone(), view.wakes, view.counts()), (None, false, Counted::AtRest));
    }
}
