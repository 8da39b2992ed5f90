//! A seat's contents: what stays of an agent while incarnations come and go.
//!
//! Invariants:
//! - The log is open while an incarnation occupies the seat, while a turn is open that does not only wait, and for
//!   ever at the root, whose log is the lease of its tree. Otherwise it is opened for the one line of an admission.
//! - An input is `unseen` from its admission until the incarnation has applied it, so that a tree is never taken
//!   for resting with an input on its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sapwood_mailbox::{Caps, Mailbox, Permit};
use sapwood_model::HistoryInitialization;
use sapwood_protocol::asked::Asked;
use sapwood_protocol::ids::{AskId, InputId};
use sapwood_protocol::own::{Outcome, Paused, QueuedInput};
use sapwood_protocol::{AgentPath, Line, Millis, ThreadId, TurnId, Usage};
use sapwood_rollout::{Journal, Log, OpenError};
use serde::{Serialize, Serializer};

use crate::agent::Agent;
use crate::agent::inbox::REMEMBERED;
use crate::agent::input::Input;
use crate::agent::state::Asking;
use crate::agent::turn::Turn;
use crate::background::Background;
use crate::feed::Feed;
use crate::trace::Traces;

/// What travels through an agent's mailbox.
#[derive(Clone, Debug)]
pub enum Message {
    /// An input was accepted; the line is in the rollout.
    Accepted {
        /// Names it.
        id: InputId,
        /// The line.
        line: Line,
    },
    /// Something that concerns this incarnation, or an interrupt.
    Input(Input),
}

/// What stays of an agent.
pub struct Seat {
    /// The thread.
    pub thread: ThreadId,
    /// Its path.
    pub path: AgentPath,
    /// Its spawner.
    pub parent: Option<ThreadId>,
    /// Its nickname.
    pub nickname: Option<String>,
    /// Its working directory.
    pub cwd: String,
    /// How this process came to know it.
    pub history: HistoryInitialization,
    /// Its mailbox.
    pub mailbox: Arc<Mailbox<Message>>,
    /// What is shown of it.
    pub feed: Feed,
    /// Its commands that go on without their calls.
    pub background: Background,
    pub(crate) gate: Mutex<Gate>,
    /// Where its turns stand in the traces of clients.
    pub(crate) traces: Traces,
    /// Of a fork: its source as far as it is inherited. Its incarnations share this, and read it from the source's rollout
    /// where it was made by another process.
    source: OnceLock<Arc<Agent>>,
    pub(crate) view: Mutex<SeatView>,
}

/// The admission side: one line at a time, and never without the log.
#[derive(Default)]
pub(crate) struct Gate {
    log: Option<Arc<dyn Log>>,
    occupied: bool,
    /// The newest sending of each sender.
    pub marks: Marks,
    /// Ids of the newest inputs of users, so that the same one is accepted once.
    pub known: VecDeque<InputId>,
    /// Room for the report of this agent's turn in its requester's mailbox.
    pub permit: Option<Permit<Message>>,
    /// The place of the next acceptance.
    pub next_place: u64,
    /// How many accepted inputs the incarnation has not consumed, by its last word.
    pub pending: usize,
    /// Messages that wait until the agent is idle, the next one first. Changed here only, and then in the rollout.
    pub queue: Vec<(InputId, QueuedInput)>,
}

/// The newest sending of each sender, sorted by sender. Most seats know one sender or two, and a map's smallest node has
/// room for eleven.
#[derive(Default)]
pub(crate) struct Marks(Vec<(ThreadId, u64)>);

impl Marks {
    fn of(marks: &BTreeMap<ThreadId, u64>) -> Self {
        Self(marks.iter().map(|(thread, n)| (*thread, *n)).collect())
    }

    fn find(&self, thread: ThreadId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&thread, |(sender, _)| *sender)
    }

    /// The newest sending of a sender.
    pub fn get(&self, thread: ThreadId) -> Option<u64> {
        self.find(thread).ok().map(|at| self.0[at].1)
    }

    /// A sender has sent again.
    pub fn insert(&mut self, thread: ThreadId, n: u64) {
        match self.find(thread) {
            Ok(at) => self.0[at].1 = n,
            Err(at) => self.0.insert(at, (thread, n)),
        }
    }
}

impl Gate {
    /// Remembers an input of a user, and forgets the oldest beyond [`REMEMBERED`].
    pub fn remember(&mut self, id: InputId) {
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(id);
    }

    /// The log, opened if it is not.
    pub fn open(&mut self, journal: &dyn Journal, thread: ThreadId) -> Result<Arc<dyn Log>, OpenError> {
        match &self.log {
            Some(log) => Ok(Arc::clone(log)),
            None => {
                let log = journal.open(thread)?;
                self.log = Some(Arc::clone(&log));
                Ok(log)
            }
        }
    }

    /// Closes the log again if nobody needs it.
    pub fn close(&mut self, root: bool) {
        if !self.occupied && !root {
            self.log = None;
        }
    }
}

/// What the tree shows of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatView {
    /// Its state.
    pub status: AgentStatus,
    /// Its open turn.
    pub turn: Option<TurnId>,
    /// The turn only waits.
    pub parked: bool,
    /// It waits for mail, until then at most.
    pub waits_until: Option<Millis>,
    /// Tokens so far.
    pub usage: Usage,
    /// When it last did something.
    pub progress: Millis,
    /// The last turn, if it did not come to an end of its own.
    pub cut_short: Option<TurnId>,
    /// The text of its last message.
    pub last_message: Option<Arc<str>>,
    /// How its last turn ended.
    pub outcome: Option<Outcome>,
    /// What kind of error ended it, in Codex's words (`codex_error_info`).
    pub error: Option<Box<str>>,
    /// The open turn pauses: the account has used up what it may use for now.
    pub paused: Option<Paused>,
    /// Its request waits for the provider's limits.
    pub queued: Option<Queued>,
    /// A pending input wants a turn, or a command of the user is to run.
    pub wakes: bool,
    /// Whom its next turn asks and how it works, as its thread has it.
    pub asking: Asking,
    /// The id of the turn that a pending input will start, if its sender was told one.
    pub promised: Option<TurnId>,
    /// What is asked of a person or of a client, in order.
    pub asks: Vec<Arc<Asked>>,
    /// It was taken out of service: whatever comes, nothing follows.
    pub(crate) out_of_service: bool,
    /// Nothing is open and nothing is to be done.
    pub(crate) quiet: bool,
    /// Inputs that want a turn and were not applied yet.
    pub(crate) unseen: BTreeSet<InputId>,
    /// It does nothing but wait for mail.
    pub(crate) awaits_mail: bool,
    /// It does nothing but wait for answers.
    pub(crate) only_asks: bool,
    /// Somebody answered, and its turn has not gone on with that.
    pub(crate) was_answered: bool,
    /// Questions whose answer is on its way.
    pub(crate) answered: BTreeSet<AskId>,
    /// How the tree counts it.
    pub(crate) counted: Counted,
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// For a person.
    pub why: String,
    /// Not before.
    pub until: Option<Millis>,
}

/// How an agent counts in its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It has nothing to do.
    #[default]
    AtRest,
    /// Something is open or to be done.
    Active,
    /// Its turn is open, and waits for the mail of others.
    Waiting,
    /// Its turn pauses until somebody asks.
    Paused,
    /// Its turn waits for answers of people or clients.
    Asking,
}

/// The state of an agent in the words that models and clients know (`multi-agent.md` 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentStatus {
    /// It exists, and has not begun its first turn.
    PendingInit,
    /// A turn is open.
    Running,
    /// Its last turn was interrupted.
    Interrupted,
    /// Its last turn came to its end.
    Completed(Option<Arc<str>>),
    /// Its last turn failed.
    Errored(Arc<str>),
}

impl Serialize for AgentStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (key, text) = match self {
            AgentStatus::PendingInit => return s.serialize_str("pending_init"),
            AgentStatus::Running => return s.serialize_str("running"),
            AgentStatus::Interrupted => return s.serialize_str("interrupted"),
            AgentStatus::Completed(text) => ("completed", text.as_deref()),
            AgentStatus::Errored(text) => ("errored", Some(&**text)),
        };
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry(key, &text)?;
        map.end()
    }
}

impl AgentStatus {
    /// The state that a rollout says.
    pub fn of(agent: &Agent) -> Self {
        if let Some(reason) = &agent.quarantined {
            return AgentStatus::Errored(crate::agent::prompt::quarantined(reason).into());
        }
        if agent.turn.is_some() {
            return AgentStatus::Running;
        }
        match &agent.last_turn {
            None => AgentStatus::PendingInit,
            Some(turn) => match turn.outcome {
                Outcome::Completed => AgentStatus::Completed(turn.message.clone()),
                Outcome::Failed => AgentStatus::Errored(turn.message.clone().unwrap_or_default()),
                Outcome::Cancelled | Outcome::Lost | Outcome::Quarantined => AgentStatus::Interrupted,
            },
        }
    }
}

impl SeatView {
    /// What a rollout says.
    pub fn of(agent: &Agent) -> Self {
        let last = agent.last_turn.as_ref();
        let mut view = Self {
            status: AgentStatus::of(agent),
            turn: agent.turn.as_ref().map(|turn| turn.id.clone()),
            parked: agent.parked(),
            waits_until: agent.turn.as_ref().and_then(Turn::awaits_mail_until),
            usage: agent.usage,
            progress: last.map_or(Millis(0), |turn| turn.at),
            cut_short: agent.cut_short().map(|turn| turn.id.clone()),
            last_message: last.and_then(|turn| turn.message.clone()),
            outcome: last.map(|turn| turn.outcome),
            error: last.and_then(|turn| turn.error.clone()),
            paused: agent.turn.as_ref().and_then(|turn| turn.paused.clone()),
            queued: None,
            wakes: agent.wakes(),
            asking: agent.next_asking(),
            promised: agent.inbox.promised(),
            out_of_service: false,
            quiet: true,
            unseen: BTreeSet::new(),
            awaits_mail: false,
            only_asks: false,
            was_answered: agent.was_answered(),
            answered: BTreeSet::new(),
            asks: agent.asks.open().to_vec(),
            counted: Counted::AtRest,
        };
        if agent.quarantined.is_some() {
            view.ends_service();
        }
        view
    }

    /// The open turn, or the one that a sender was told of and that has yet to begin.
    pub fn next_turn(&self) -> Option<TurnId> {
        self.turn.as_ref().or(self.promised.as_ref()).filter(|_| !self.out_of_service).cloned()
    }

    /// What was open stays so in the rollout, and nobody works on it.
    pub(crate) fn ends_service(&mut self) {
        (self.turn, self.paused, self.waits_until, self.queued, self.cut_short) = (None, None, None, None, None);
        (self.parked, self.wakes, self.awaits_mail, self.only_asks) = (false, false, false, false);
        self.was_answered = false;
        self.asks.clear();
        (self.out_of_service, self.quiet) = (true, true);
        self.unseen.clear();
    }

    /// The pause of the open turn is over, and no line says so yet.
    pub(crate) fn pause_ended(&mut self, agent: &Agent) {
        self.paused = None;
        let awaits_mail = agent.turn.as_ref().is_some_and(Turn::awaits_mail);
        self.parked = awaits_mail || agent.awaits_answers() || agent.was_answered();
    }

    /// How the tree is to count it.
    pub(crate) fn counts(&self) -> Counted {
        if self.out_of_service {
            return Counted::AtRest;
        }
        match (&self.paused, !self.quiet || !self.unseen.is_empty()) {
            (_, true) if self.awaits_mail && self.unseen.is_empty() => Counted::Waiting,
            (_, true) if self.only_asks && self.unseen.is_empty() && self.answered.is_empty() => Counted::Asking,
            (_, true) => Counted::Active,
            (Some(_), false) => Counted::Paused,
            (None, false) => Counted::AtRest,
        }
    }
}

impl Seat {
    /// A seat for the agent that a rollout describes.
    pub fn new(agent: &Agent, history: HistoryInitialization) -> Self {
        let identity = agent.identity();
        let gate = Gate {
            marks: Marks::of(agent.inbox.marks()),
            known: agent.inbox.pending().iter().map(|pending| pending.accepted.id.clone()).collect(),
            next_place: agent.inbox.next_place(),
            pending: agent.inbox.len(),
            queue: agent.inbox.queue().map(|(id, queued)| (id.clone(), queued.clone())).collect(),
            ..Gate::default()
        };
        Self {
            thread: identity.thread,
            path: identity.path.clone(),
            parent: identity.parent,
            nickname: identity.nickname.clone(),
            cwd: identity.cwd.clone(),
            history,
            mailbox: Arc::new(Mailbox::new(Caps::default())),
            feed: Feed::default(),
            background: Background::default(),
            gate: Mutex::new(gate),
            traces: Traces::default(),
            source: OnceLock::new(),
            view: Mutex::new(SeatView::of(agent)),
        }
    }

    /// The agent was just forked from this source. Said once.
    pub(crate) fn inherits(&self, source: Arc<Agent>) {
        // Said twice, it is the same one.
        let _ = self.source.set(source);
    }

    /// The source of a fork, if this process made it.
    pub(crate) fn source(&self) -> Option<&Agent> {
        self.source.get().map(Arc::as_ref)
    }

    /// Takes the log for an incarnation.
    pub(crate) fn occupy(&self, journal: &dyn Journal) -> Result<Arc<dyn Log>, OpenError> {
        let mut gate = self.gate.lock();
        let log = gate.open(journal, self.thread)?;
        gate.occupied = true;
        Ok(log)
    }

    /// The incarnation needs the log no longer, and gives back what it had of it.
    pub(crate) fn vacate(&self, log: Option<Arc<dyn Log>>) {
        let mut gate = self.gate.lock();
        gate.occupied = false;
        // Under the gate: an admission that comes next finds the writer lock free.
        drop(log);
        gate.close(self.parent.is_none());
    }

    /// Gives a log to the seat that has just been made with its rollout.
    pub(crate) fn keep(&self, log: Arc<dyn Log>) {
        let mut gate = self.gate.lock();
        gate.log = Some(log);
        gate.close(self.parent.is_none());
    }

    /// Its tree is down: nobody writes here any more, whoever still looks at it.
    pub(crate) fn release(&self) {
        let mut gate = self.gate.lock();
        gate.occupied = false;
        gate.log = None;
    }

    /// What is shown of it now.
    pub fn view(&self) -> SeatView {
        self.view.lock().clone()
    }

    /// Looks at what is shown of it now, and copies nothing. `look` runs under a lock: it does not wait.
    pub fn look<T>(&self, look: impl FnOnce(&SeatView) -> T) -> T {
        look(&self.view.lock())
    }
}
