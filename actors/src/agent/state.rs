//! The durable state of an agent: what folding its rollout gives.
//!
//! [`Agent::apply`] is the only function that changes it. The same one folds a file and follows live appends.

mod apply;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Adopted, Body, Manner, Outcome, Said, Spawn, ThreadSettings};
use sapwood_protocol::{AgentPath, Line, Millis, SessionId, ThreadId, Usage, View};
use serde::Deserialize;

use super::approval::{self, DynamicTools};
use super::ended::EndedTurn;
use super::history::History;
use super::inbox::Inbox;
use super::manner::Recorded;
use super::turn::{Call, CallState, Turn};
use super::user_shell::UserShell;

/// The durable state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// Who it is; absent until the first line.
    pub identity: Option<Identity>,
    /// The ordinal of the next line with a Codex type; `None` in a legacy rollout.
    pub next_ordinal: Option<u64>,
    /// Lines with a Codex type so far: what numbers the lines of a legacy rollout.
    codex_lines: u64,
    /// What the model sees.
    pub history: History,
    /// What was accepted and not consumed.
    pub inbox: Inbox,
    /// The open turn.
    pub turn: Option<Turn>,
    /// The last turn that ended.
    pub last_turn: Option<EndedTurn>,
    /// The newest turn of ours that a turn of another program followed: its requester may not have been told of it.
    pub followed: Option<Box<EndedTurn>>,
    /// Tokens of all turns.
    pub usage: Usage,
    /// Whom the turns that begin now ask, as far as the rollout says.
    pub asking: Asking,
    /// Context windows before this one: checkpoints of the history.
    pub window: u64,
    /// The model's first context is written.
    pub context_written: bool,
    /// What the model was last told of the mode of collaboration that it works in.
    pub mode_told: Option<Arc<str>>,
    /// Children that were asked for, by thread; not all of them came to exist.
    pub spawned: BTreeMap<ThreadId, Spawn>,
    /// Children that the notes of another program name.
    pub named: BTreeSet<ThreadId>,
    /// What was taken over when this thread was first written by us, if another program had made it.
    pub adopted: Option<Adopted>,
    /// We have written into its rollout.
    pub has_own_lines: bool,
    /// The questions of the open turn.
    pub asks: approval::Pending,
    /// Commands of the user that may have had effects, and that the model has not been told of.
    pub shells: Vec<UserShell>,
    /// What a person allowed for the session.
    pub grants: approval::Grants,
    /// Why it was taken out of service.
    pub quarantined: Option<String>,
    /// Lines that could not be read: counted and skipped.
    pub unreadable: u64,
}

/// Who an agent is, from the first `session_meta` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The thread.
    pub thread: ThreadId,
    /// The tree.
    pub session: SessionId,
    /// The spawner.
    pub parent: Option<ThreadId>,
    /// Its path.
    pub path: AgentPath,
    /// Its nickname.
    pub nickname: Option<String>,
    /// Its working directory.
    pub cwd: String,
    /// What the thread is for.
    pub thread_source: Option<Arc<str>>,
    /// Its base instructions.
    pub base_instructions: Option<Arc<str>>,
    /// What it is a fork of, and where its own history begins.
    pub base: Option<HistoryBase>,
    /// The thread that names the item of its base instructions: its own, and that of its spawner if it was forked from it,
    /// so that both ask with the same bytes.
    pub instructions_of: ThreadId,
    /// When it was made.
    pub created: Option<Millis>,
    /// The tools of its client.
    pub client_tools: Arc<DynamicTools>,
}

/// Whom an agent asks, as far as its rollout says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asking {
    /// The provider, by its id.
    pub provider: Option<Arc<str>>,
    /// The model.
    pub model: Option<Arc<str>>,
    /// The reasoning effort.
    pub effort: Option<Arc<str>>,
    /// How it works.
    pub manner: Option<Arc<Manner>>,
}

impl Asking {
    /// Takes over what an input sets.
    pub fn set(&mut self, settings: &ThreadSettings) {
        self.provider = settings.provider.clone().or(self.provider.take());
        self.model = settings.model.clone().or(self.model.take());
        if let Some(effort) = &settings.effort {
            self.effort.clone_from(effort);
        }
        self.works(&settings.manner);
    }

    fn applied(&mut self, mut settings: Recorded) {
        self.provider = settings.model_provider_id.take().or(self.provider.take());
        if settings.model.is_some() {
            (self.model, self.effort) = (settings.model.take(), settings.reasoning_effort.take());
        }
        // The line says all of it: what it leaves out is not so any more, but for what it cannot say.
        let mut manner = settings.manner();
        manner.developer_instructions = self.manner.as_ref().and_then(|own| own.developer_instructions.clone());
        if self.manner.as_deref() != Some(&manner) {
            self.manner = Some(manner.into());
        }
    }

    /// Takes over what was said of how it works.
    fn works(&mut self, newer: &Manner) {
        let mut manner = self.manner.as_deref().cloned().unwrap_or_default();
        manner.set(newer);
        if self.manner.as_deref().is_none_or(|own| *own != manner) && !manner.is_empty() {
            self.manner = Some(manner.into());
        }
    }
}

/// The part of another rollout that comes before a fork's own lines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HistoryBase {
    /// The source.
    pub thread_id: ThreadId,
    /// The first ordinal of the source that is not inherited.
    pub end_ordinal_exclusive: u64,
}

impl Agent {
    /// Folds lines into a state.
    pub fn fold(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut agent = Self::default();
        lines.into_iter().for_each(|line| agent.apply(&line));
        agent
    }

    /// What a fork has of this agent, for [`Agent::inherit`]: a pointer to its history, and not a copy.
    pub fn to_inherit(&self) -> Self {
        Self {
            identity: self.identity.clone(),
            next_ordinal: self.next_ordinal,
            history: self.history.clone(),
            usage: self.usage,
            asking: self.asking.clone(),
            window: self.window,
            context_written: self.context_written,
            mode_told: self.mode_told.clone(),
            ..Self::default()
        }
    }

    /// Takes over what a fork has of its source: what the model saw, and, but for a child, what that cost. Inputs, turns and children stay
    /// the source's.
    pub fn inherit(&mut self, source: Agent) {
        self.history = source.history;
        self.context_written = source.context_written;
        self.mode_told = source.mode_told;
        match (&mut self.identity, &source.identity) {
            // A child asks with the bytes of its spawner, and counts from zero: the tree counts both.
            (Some(own), Some(theirs)) if own.parent == Some(theirs.thread) => {
                own.instructions_of = theirs.instructions_of;
            }
            _ => self.usage = source.usage,
        }
        self.window = source.window;
        if self.asking.model.is_none() {
            (self.asking.model, self.asking.effort) = (source.asking.model, source.asking.effort);
            self.asking.manner = source.asking.manner;
        }
    }

    /// Whom the next turn asks: as is set, and as is accepted and waits to be set.
    pub fn next_asking(&self) -> Asking {
        let mut asking = self.asking.clone();
        for pending in self.inbox.pending() {
            match &pending.accepted.body {
                Some(Body::Settings { settings }) => asking.set(settings),
                Some(Body::User(Said { settings: Some(settings), .. })) => asking.set(settings),
                _ => {}
            }
        }
        asking
    }

    /// Who it is. Asked only of an agent that was folded from a rollout, whose first line says so.
    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("a rollout is born with its session_meta")
    }

    /// The number of a line with a Codex type: what calls and reports of it are numbered by. It grows from line to line.
    fn number(&self, view: &View<'_>) -> u64 {
        match self.next_ordinal {
            Some(next) => view.ordinal.unwrap_or(next),
            None => self.codex_lines,
        }
    }

    /// The number of the next line with a Codex type.
    pub fn next_number(&self) -> u64 {
        self.next_ordinal.unwrap_or(self.codex_lines)
    }

    /// True for a line with a Codex type that stands below this number. Lines of ours do not: accepted inputs, children and
    /// processes are one thread's alone.
    pub fn is_below(&self, line: &Line, end: u64) -> bool {
        let is_codex = |view: &View<'_>| !view.kind.starts_with(sapwood_protocol::own::PREFIX);
        line.view().is_ok_and(|view| {
            let numbered = self.next_ordinal.is_none() || view.ordinal.is_some();
            numbered && is_codex(&view) && self.number(&view) < end
        })
    }

    /// The ended turns whose requester is to be told, the older one first.
    pub fn due(&self) -> impl Iterator<Item = &EndedTurn> {
        let ended = self.followed.as_deref().into_iter().chain(&self.last_turn);
        ended.filter(|turn| {
            turn.ours && turn.is_reported() && self.identity.as_ref().is_some_and(|own| own.parent.is_some())
        })
    }

    /// The last turn, if it did not come to an end of its own: its process died, or, at the root, its provider failed.
    /// Asked to go on, the agent gets another. (Who asked a child was told of a failure, and decides what follows.)
    pub fn cut_short(&self) -> Option<&EndedTurn> {
        let is_root = self.identity.as_ref().is_some_and(|identity| identity.parent.is_none());
        let last = self.last_turn.as_ref().filter(|_| self.turn.is_none())?;
        (last.outcome == Outcome::Lost || is_root && last.outcome == Outcome::Failed).then_some(last)
    }

    /// True if a command of the user was accepted and has not ended.
    pub fn has_open_shells(&self) -> bool {
        let has_ended = |id: &InputId| self.shells.iter().any(|shell| shell.input == *id && shell.said.is_some());
        self.inbox.shells().any(|id| !has_ended(id))
    }

    /// True if something pending wants a turn, or a command of the user is to run.
    pub fn wakes(&self) -> bool {
        self.inbox.wakes() || self.has_new_shells()
    }

    /// True if a command of the user was accepted and has not begun.
    fn has_new_shells(&self) -> bool {
        self.inbox.shells().any(|id| self.shells.iter().all(|shell| shell.input != *id))
    }

    /// True while the open turn only waits: nothing runs, no slot is held, and process death changes nothing.
    pub fn parked(&self) -> bool {
        self.turn.as_ref().is_some_and(Turn::parked) || self.awaits_answers() || self.was_answered()
    }

    /// True while questions are open, and nothing has begun of which nobody knows how it went.
    pub fn awaits_answers(&self) -> bool {
        !self.asks.is_empty() && self.has_begun_nothing()
    }

    /// True if somebody answered and no call has begun with that: what was accepted is done, if need be by the next process.
    pub fn was_answered(&self) -> bool {
        self.asks.has_unused() && self.has_begun_nothing()
    }

    /// Nothing has begun of which nobody knows how it went. (A command that asks again has ended: its sandbox stopped it.)
    fn has_begun_nothing(&self) -> bool {
        let Some(turn) = &self.turn else { return false };
        let is_known = |call: &Call| match call.state {
            CallState::Started { .. } => self.asks.of_call(&call.id).is_some() || self.asks.heard(&call.id).is_some(),
            CallState::Spawning(_) => false,
            _ => true,
        };
        turn.response.is_closed() && turn.calls.iter().all(is_known)
    }
}
