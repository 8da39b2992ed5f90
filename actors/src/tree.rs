//! A tree of agents: its seats, who may be added, and how mail travels between them.
//!
//! Everything here is synchronous and knows no runtime: the ractor driver and the simulation use it alike. An
//! admission writes one line into the *receiver's* rollout and then cannot fail any more.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use parking_lot::Mutex;
use sapwood_mailbox::{Lane, Mailbox, Permit, Refused};
use sapwood_protocol::ids::InputId;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, Body, InputLane, Outcome, Own, Quarantined, Sender, TurnOrigin};
use sapwood_protocol::{AgentPath, Ids, SessionId, ThreadId};
use sapwood_rollout::{AppendError, Journal, NewThread, OpenError};
use sapwood_supervisor::core::Need;
use serde_json::json;
use tokio::sync::watch;

use crate::agent::effect::{Answer, Ask, Input, Interrupter, Report};
use crate::agent::lines::{NewAgent, accepted_mail, birth};
use crate::agent::prompt::{self, Frames};
use crate::agent::{Agent, Settings};
use crate::clock::Clock;
use crate::fold;
use crate::nicknames::Nicknames;
use crate::seat::{AgentStatus, Message, Seat};

/// The longest report; a longer one keeps head and tail (`design.md` 4).
pub const REPORT_BYTES: usize = 256 * 1024;

/// The longest single input: what a lane holds at most, with room for others beside it.
pub const INPUT_BYTES: usize = 10 * 1024 * 1024;

/// Accepted and not consumed, at most: a sender beyond that is refused.
pub const INBOX_COUNT: usize = 256;

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
    /// What the requests of its agents have in common.
    pub(crate) frames: Arc<Frames>,
    seats: DashMap<ThreadId, Arc<Seat>>,
    names: Mutex<Names>,
    ids: Mutex<Ids>,
    supervision: OnceLock<Box<dyn Supervision>>,
    active: watch::Sender<usize>,
    watcher: OnceLock<Watcher>,
    melted: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Names {
    by_path: BTreeMap<AgentPath, ThreadId>,
    nicknames: Nicknames,
}

/// Why an input was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No room.
    #[error("the agent has too much unread input: {0}")]
    Full(Refused),
    /// As many inputs are pending as may be.
    #[error("the agent has {INBOX_COUNT} unread inputs; wait until it has read some")]
    Inbox,
    /// It is too long.
    #[error("the input has {bytes} bytes, at most {INPUT_BYTES} are accepted; put it into a file and say where it is")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The rollout could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The line could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the rollout.
    Now,
    /// It already was.
    Before,
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
            frames: Arc::default(),
            seats: DashMap::new(),
            names: Mutex::default(),
            ids: Mutex::new(ids),
            supervision: OnceLock::new(),
            active: watch::Sender::new(0),
            watcher: OnceLock::new(),
            melted: watch::Sender::new(None),
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

    /// All seats, the root first, then by path.
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        let threads: Vec<ThreadId> = self.names.lock().by_path.values().copied().collect();
        threads.into_iter().filter_map(|thread| self.seat(thread)).collect()
    }

    /// How many agents are not at rest.
    pub fn active(&self) -> watch::Receiver<usize> {
        self.active.subscribe()
    }

    /// Adds the seat of a rollout that exists.
    pub fn seat_of(&self, agent: &Agent) -> Result<Arc<Seat>, String> {
        let seat = Arc::new(Seat::new(agent));
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
        let path = AgentPath::root();
        let thread = self.session.into();
        let new = NewAgent { thread, session: self.session, path: &path, parent: None, nickname: None, cwd, first };
        self.make(&new).map_err(Refusal::from)
    }

    fn make(&self, new: &NewAgent<'_>) -> Result<Arc<Seat>, OpenError> {
        let now = self.clock.now();
        let lines = birth(new, &self.settings, &mut self.new_ids(), now);
        let log = self.journal.create(&NewThread { thread: new.thread, created: now }, &lines)?;
        let agent = Agent::fold(lines.iter().cloned());
        let seat = self.seat_of(&agent).map_err(|why| OpenError::Corrupt {
            thread: new.thread,
            place: new.path.to_string(),
            why,
        })?;
        seat.keep(log);
        // The first input came with the rollout, not through the mailbox: say that it is on its way.
        if let Some(first) = new.first {
            self.unseen(&seat, &first.id);
            let message = Message::Accepted { id: first.id.clone(), line: Own::Accepted(first.clone()).line(now) };
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

    /// Accepts an input: into the receiver's rollout first, then into its mailbox. Its place is given here.
    pub fn admit(
        &self,
        seat: &Seat,
        mut accepted: Accepted,
        permit: Option<Permit<Message>>,
    ) -> Result<Admitted, Refusal> {
        let bytes = accepted.body.as_ref().map_or(0, |body| body.text().len());
        if bytes > INPUT_BYTES {
            return Err(Refusal::TooLong { bytes });
        }
        let reserved = permit.is_some();
        let permit = match permit {
            Some(permit) => permit,
            None => Mailbox::reserve(&seat.mailbox, lane_of(accepted.lane), bytes as u64).map_err(Refusal::Full)?,
        };
        let mut gate = seat.gate.lock();
        let before = match &accepted.from {
            Some(from) => gate.marks.get(from.thread).is_some_and(|mark| from.n <= mark),
            None => gate.known.contains(&accepted.id),
        };
        if before {
            return Ok(Admitted::Before);
        }
        if gate.pending >= INBOX_COUNT && !reserved {
            return Err(Refusal::Inbox);
        }
        accepted.place = gate.next_place;
        let line = Own::Accepted(accepted.clone()).line(self.clock.now());
        let log = gate.open(&*self.journal, seat.thread)?;
        let admitted = log.admit(std::slice::from_ref(&line));
        // Given back before the gate opens: who comes next finds the writer lock free.
        drop(log);
        gate.close(seat.parent.is_none());
        admitted?;
        gate.next_place += 1;
        gate.pending += 1;
        match &accepted.from {
            Some(from) => gate.marks.insert(from.thread, from.n),
            None => gate.remember(accepted.id.clone()),
        }
        if accepted.wake {
            self.unseen(seat, &accepted.id);
        }
        // The room is reserved. A closed mailbox is that of a tree that is shutting down: the line is in the
        // rollout, and the next process finds it there.
        let _ = permit.send(Message::Accepted { id: accepted.id, line });
        drop(gate);
        if accepted.wake {
            self.wake(seat.thread, Need::NewTurn);
        }
        Ok(Admitted::Now)
    }

    /// Accepts what a user says to an agent; nothing said means go on.
    pub fn say(&self, seat: &Seat, id: InputId, text: Option<String>) -> Result<Admitted, Refusal> {
        let body = text.map(|text| Body::User { text });
        self.admit(seat, Accepted { id, place: 0, lane: InputLane::User, wake: true, from: None, body }, None)
    }

    /// Asks the whole tree to go on: parked turns wait on, agents whose last turn was closed by process death get
    /// one empty turn, or the turn of their pending input. Returns how many agents have something to do.
    pub fn go_on(&self) -> Result<usize, Refusal> {
        let mut asked = 0;
        for seat in self.seats() {
            asked += usize::from(self.go_on_pending(&seat) || self.go_on_lost(&seat)?);
        }
        Ok(asked)
    }

    /// Wakes an agent that is parked or has input that wants a turn.
    pub fn go_on_pending(&self, seat: &Seat) -> bool {
        let mut view = seat.view.lock();
        let (parked, wakes) = (view.parked, view.wakes || !view.unseen.is_empty());
        if !parked && !wakes {
            return false;
        }
        // The wish to work is on its way: the tree does not rest before the agent has seen it.
        view.quiet = false;
        self.count(&mut view);
        drop(view);
        self.wake(seat.thread, if parked { Need::NoSlot } else { Need::NewTurn });
        true
    }

    fn go_on_lost(&self, seat: &Seat) -> Result<bool, Refusal> {
        let Some(lost) = seat.view().died else { return Ok(false) };
        if let Err(full) = self.reserve_report(seat) {
            tracing::warn!(agent = %seat.path, full, "no room is kept for its report; it is sent until there is some");
        }
        // Asked twice, it goes on once.
        self.say(seat, InputId::from(format!("go-on:{lost}")), None)?;
        Ok(true)
    }

    fn unseen(&self, seat: &Seat, id: &InputId) {
        let mut view = seat.view.lock();
        view.unseen.insert(id.clone());
        self.count(&mut view);
    }

    /// Brings the tree's count of active agents in line with what is shown of one of them.
    pub(crate) fn count(&self, view: &mut crate::seat::SeatView) {
        let active = !view.quiet || !view.unseen.is_empty();
        if active != view.counted {
            view.counted = active;
            self.active.send_modify(|count| *count = if active { *count + 1 } else { *count - 1 });
        }
    }

    /// Answers a tool that acts on other agents.
    pub fn ask(&self, me: &Seat, ask: Ask) -> Answer {
        let answer = match ask {
            Ask::Spawn { spawn, message, n, turn, only_find } => {
                if only_find && self.seat(spawn.child).is_none() {
                    return Answer::Never;
                }
                let body = Body::Mail { kind: MailKind::NewTask, text: message, turn, outcome: None };
                self.spawn(me, spawn.child, &spawn.path, n, body).map(|()| {
                    let output = json!({"task_name": spawn.path}).to_string();
                    (output, Some((spawn.child, spawn.path)))
                })
            }
            Ask::Mail { target, kind, text, n, turn } => {
                let body = Body::Mail { kind, text, turn, outcome: None };
                self.mail(me, &target, kind, n, body)
            }
            Ask::Interrupt { target } => self.interrupt_agent(me, &target),
            Ask::List { prefix } => self.list(me, prefix.as_deref()),
        };
        match answer {
            Ok((output, agent)) => Answer::Done { output, agent },
            Err(text) => Answer::Refused(text),
        }
    }

    fn spawn(&self, me: &Seat, child: ThreadId, path: &AgentPath, n: u64, body: Body) -> Result<(), String> {
        if self.seat(child).is_some() {
            return Ok(());
        }
        let failed = |why: String| format!("collab spawn failed: {why}");
        let nickname = {
            let mut names = self.names.lock();
            if names.by_path.contains_key(path) {
                return Err(format!("agent path `{path}` already exists"));
            }
            let max = self.settings.max_agents;
            if names.by_path.len() >= max {
                return Err(failed(format!("agent thread limit reached ({max} agents in this tree)")));
            }
            // Reserved: two spawns of one name, and exactly one wins.
            names.by_path.insert(path.clone(), child);
            names.nicknames.choose(self.ids.lock().bits())
        };
        let from = Sender { thread: me.thread, path: me.path.clone(), n };
        let first = accepted_mail(from, true, body);
        let new = NewAgent {
            thread: child,
            session: self.session,
            path,
            parent: Some(me.thread),
            nickname: Some(&nickname),
            cwd: &me.cwd,
            first: Some(&first),
        };
        let made = Mailbox::reserve(&me.mailbox, Lane::Mail, 0)
            .map_err(|full| failed(format!("you have too much unread mail: {full}")))
            .and_then(|permit| Ok((permit, self.make(&new).map_err(|error| failed(error.to_string()))?)));
        match made {
            Ok((permit, seat)) => {
                seat.gate.lock().permit = Some(permit);
                Ok(())
            }
            Err(why) => {
                self.names.lock().by_path.remove(path);
                Err(why)
            }
        }
    }

    fn mail(&self, me: &Seat, target: &str, kind: MailKind, n: u64, body: Body) -> Done {
        let seat = self.find(me, target)?;
        if kind.wakes() && seat.path.is_root() {
            return Err("Follow-up tasks can't target the root agent".into());
        }
        if kind.wakes() {
            self.reserve_report(&seat)?;
        }
        let from = Sender { thread: me.thread, path: me.path.clone(), n };
        let accepted = accepted_mail(from, kind.wakes(), body);
        self.admit(&seat, accepted, None).map_err(|error| format!("collab tool failed: {error}"))?;
        Ok((String::new(), Some((seat.thread, seat.path.clone()))))
    }

    /// Room for the report of the turn that a task will start.
    pub(crate) fn reserve_report(&self, seat: &Seat) -> Result<(), String> {
        let Some(parent) = seat.parent.and_then(|parent| self.seat(parent)) else {
            return Ok(());
        };
        let mut gate = seat.gate.lock();
        if gate.permit.is_none() {
            let permit = Mailbox::reserve(&parent.mailbox, Lane::Mail, 0)
                .map_err(|full| format!("collab tool failed: `{}` has too much unread mail: {full}", parent.path))?;
            gate.permit = Some(permit);
        }
        Ok(())
    }

    /// Delivers the report of a turn to its requester. False: try again later.
    pub fn report(&self, me: &Seat, report: Report) -> bool {
        let mut requester = me.parent.and_then(|parent| self.seat(parent));
        if requester.is_none() {
            // The spawner's rollout is gone: the nearest ancestor that is there adopts the report.
            requester = self.seats().into_iter().rev().find(|s| s.path.covers(&me.path) && s.thread != me.thread);
        }
        let Some(requester) = requester else {
            return true;
        };
        let from = Sender { thread: me.thread, path: me.path.clone(), n: report.n };
        let (kind, text) = (MailKind::FinalAnswer, bounded_report(report.text, &me.path));
        let body = Body::Mail { kind, text, turn: report.turn, outcome: Some(report.outcome) };
        // A report starts no turn of a worker, which reads it with its next task. A root that is idle has nobody
        // else to wake it.
        let accepted = accepted_mail(from, requester.path.is_root(), body);
        let permit = me.gate.lock().permit.take();
        match self.admit(&requester, accepted, permit) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(agent = %me.path, %error, "a report could not be delivered; it is sent again");
                false
            }
        }
    }

    fn interrupt_agent(&self, me: &Seat, target: &str) -> Done {
        let seat = self.find(me, target)?;
        if seat.path.is_root() {
            return Err("root is not a spawned agent".into());
        }
        if seat.thread == me.thread {
            return Err("an agent cannot interrupt itself; return your result and let the parent interrupt you if \
                        needed"
                .into());
        }
        let view = seat.view();
        if let Some(turn) = view.turn {
            self.interrupt(&seat, turn, Interrupter::Agent(me.thread));
        }
        let output = json!({"previous_status": view.status}).to_string();
        Ok((output, Some((seat.thread, seat.path.clone()))))
    }

    /// Interrupts one turn of an agent, and no other.
    pub fn interrupt(&self, seat: &Seat, turn: sapwood_protocol::TurnId, by: Interrupter) {
        // One key: the newest word about the newest turn replaces an older one that nobody has taken yet.
        let message = Message::Input(Input::Interrupt { turn, by });
        if let Err(refused) = seat.mailbox.coalesce(Lane::Interrupt, std::num::NonZeroU64::MIN, 0, message) {
            tracing::warn!(agent = %seat.path, refused = %refused.refused, "an interrupt was refused");
        }
        self.wake(seat.thread, Need::NoSlot);
    }

    fn list(&self, me: &Seat, prefix: Option<&str>) -> Done {
        let prefix = match prefix.filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => Some(me.path.resolve(prefix).map_err(|error| error.to_string())?),
            None => None,
        };
        let agents: Vec<_> = self
            .seats()
            .iter()
            .filter(|seat| prefix.as_ref().is_none_or(|prefix| prefix.covers(&seat.path)))
            .map(|seat| json!({"agent_name": seat.path, "agent_status": seat.view.lock().status}))
            .collect();
        Ok((json!({"agents": agents}).to_string(), None))
    }

    /// The agent that `target` means when `me` says it: a thread id, or a path.
    fn find(&self, me: &Seat, target: &str) -> Result<Arc<Seat>, String> {
        if let Ok(thread) = target.parse::<ThreadId>() {
            return self.seat(thread).ok_or_else(|| format!("agent with id {thread} not found"));
        }
        let path = me.path.resolve(target).map_err(|error| error.to_string())?;
        let thread = self.names.lock().by_path.get(&path).copied();
        thread.and_then(|thread| self.seat(thread)).ok_or_else(|| format!("live agent path `{path}` not found"))
    }

    /// The tree restarts too often: whatever the cause is, it is not in one agent.
    pub fn melted(&self, reason: &str) {
        tracing::error!(session = %self.session, reason, "the tree restarts too often and closes; it can be resumed");
        self.melted.send_replace(Some(reason.to_owned()));
        self.active.send_replace(0);
    }

    /// Why the tree closed by itself, if it did.
    pub fn melt_down(&self) -> Option<String> {
        self.melted.borrow().clone()
    }

    /// The agent was taken out of service: its rollout says so, and its requester is told once.
    pub fn quarantined(&self, seat: &Seat, reason: &str) {
        let own = Own::Quarantined(Quarantined { reason: reason.to_owned() }).line(self.clock.now());
        let written = {
            let mut gate = seat.gate.lock();
            gate.open(&*self.journal, seat.thread).map(|log| log.admit(&[own]))
        };
        {
            let mut view = seat.view.lock();
            view.status = AgentStatus::Errored(prompt::quarantined(reason));
            view.turn = None;
        }
        seat.vacate(None);
        match written.and_then(|_| fold::read(&*self.journal, seat.thread)) {
            Ok(agent) => self.report_quarantine(seat, &agent, reason),
            Err(error) => {
                tracing::error!(agent = %seat.path, %error, "a quarantine could not be written")
            }
        }
        // Only now, with its requester told: the tree may come to rest.
        let mut view = seat.view.lock();
        view.quiet = true;
        view.unseen.clear();
        self.count(&mut view);
    }

    /// Tells the requester of an agent out of service, and first what it was not told before. Told again, it is told once.
    pub(crate) fn report_quarantine(&self, seat: &Seat, agent: &Agent, reason: &str) {
        if seat.parent.is_none() {
            return;
        }
        if let Some(due) = agent.last_turn.as_ref().and_then(|turn| turn.report()) {
            self.report(seat, due);
        }
        let none = || TurnOrigin { turn: "".into(), root_turn: "".into() };
        let turn = agent.turn.as_ref().map_or_else(none, |turn| turn.origin());
        // Numbered by the line that would come next, and never will: nothing follows a quarantine.
        let n = agent.next_ordinal.unwrap_or_default();
        self.report(seat, Report { n, outcome: Outcome::Quarantined, text: prompt::quarantined(reason), turn });
    }
}

type Done = Result<(String, Option<(ThreadId, AgentPath)>), String>;

fn lane_of(lane: InputLane) -> Lane {
    match lane {
        InputLane::User => Lane::User,
        InputLane::Mail => Lane::Mail,
    }
}

/// Cuts the middle out of a report that is too long, and says where the whole of it is.
fn bounded_report(text: String, path: &AgentPath) -> String {
    if text.len() <= REPORT_BYTES {
        return text;
    }
    let note = format!("\n[... the middle of this report was cut; the whole of it is in the history of {path} ...]\n");
    let half = (REPORT_BYTES - note.len()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{}{note}{}", &text[..head], &text[tail..])
}
