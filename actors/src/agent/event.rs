//! What is shown of an agent, while it lives.

use std::sync::Arc;

use sapwood_model::SafetyBuffering;
use sapwood_protocol::asked::Asked;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{AgentPath, CallId, ItemId, Millis, ThreadId, TurnId, Usage};
use serde_json::value::{RawValue, to_raw_value};

use super::input::ToolResult;

/// What is shown of an agent's life. Provisional or a consequence of lines: dropped in a crash, never missed.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A turn began.
    TurnStarted {
        /// Which.
        turn: TurnId,
        /// The root turn that caused it.
        root: TurnId,
        /// When.
        started: Millis,
    },
    /// An item began.
    ItemStarted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
        /// It as clients see it; nothing for one that they see only when it is complete.
        snapshot: Option<Snapshot>,
    },
    /// More of an open item's text. Provisional: the whole comes when the item is complete.
    Delta {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: ItemId,
        /// Of which part.
        part: Part,
        /// What was added.
        text: String,
    },
    /// What of an answer was shown is dropped with it.
    Dropped {
        /// The turn.
        turn: TurnId,
    },
    /// An item is complete and durable.
    ItemCompleted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
        /// It as clients see it; nothing for one that they do not see.
        snapshot: Option<Snapshot>,
    },
    /// Tokens were used.
    Usage {
        /// By the last request.
        last: Usage,
        /// By this turn so far.
        turn: Usage,
        /// By the thread so far.
        thread: Usage,
    },
    /// Something went wrong and is tried again.
    Retrying {
        /// What.
        message: String,
        /// When.
        at: Millis,
    },
    /// A request waits for the provider's limits, and goes out then at the earliest.
    Waiting {
        /// What it waits for.
        why: String,
        /// Not before.
        until: Option<Millis>,
    },
    /// A request that waited is on its way.
    Sent,
    /// A turn pauses until a usage limit ends, or somebody asks.
    Paused {
        /// The turn.
        turn: TurnId,
        /// What the provider said.
        message: String,
        /// When the limit ends, where that is known.
        until: Option<Millis>,
        /// It goes on by itself then.
        by_itself: bool,
    },
    /// A turn ended.
    TurnEnded {
        /// Which.
        turn: TurnId,
        /// How.
        outcome: Outcome,
        /// The last message, or what went wrong.
        message: Option<String>,
        /// What it cost.
        usage: Usage,
        /// The root turn that caused it.
        root: TurnId,
        /// What kind of error ended it, in Codex's form.
        error: Option<Arc<serde_json::Value>>,
        /// When it began.
        started: Millis,
        /// When it ended.
        ended: Millis,
    },
    /// A person or a client is asked. The same question may come again, with its id: after a crash, and in a later process.
    Asked {
        /// The turn.
        turn: TurnId,
        /// What is asked.
        asked: Arc<Asked>,
    },
    /// A question is closed, whoever did it. What follows from it comes behind.
    Resolved {
        /// The turn.
        turn: TurnId,
        /// What was asked.
        asked: Arc<Asked>,
        /// Nobody answered: the turn ends next.
        is_withdrawn: bool,
    },
    /// The messages that wait until the agent is idle are others now.
    QueueChanged,
    /// A command goes on in the background, without its call: its item stays open when the turn ends.
    Detached {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: ItemId,
    },
    /// The model typed into a command that goes on in the background, or looked at it.
    Typed {
        /// The turn that did.
        turn: TurnId,
        /// The command's item.
        item: ItemId,
        /// The command's name.
        session: i32,
        /// What was typed.
        chars: String,
    },
    /// The settings of the thread have changed.
    SettingsApplied,
    /// The plan of the turn has changed.
    Plan {
        /// The turn.
        turn: TurnId,
        /// The plan.
        plan: Arc<super::plan::PlanUpdate>,
    },
    /// What the turn has changed in files so far, as one diff.
    Diff {
        /// The turn.
        turn: TurnId,
        /// The diff.
        diff: Arc<str>,
    },
    /// The provider holds output back while it looks at it.
    SafetyBuffering {
        /// The turn.
        turn: TurnId,
        /// What it says.
        what: Arc<SafetyBuffering>,
    },
    /// Another model than the one that was asked answers.
    Rerouted {
        /// The turn.
        turn: TurnId,
        /// The one that was asked.
        from: Arc<str>,
        /// The one that answers.
        to: Arc<str>,
    },
    /// What was told may have gaps, since an incarnation ended without a word: the rollout has the truth.
    Resync,
    /// Something a person should know.
    Warning(String),
}

/// An item as clients see it: in the form of the rollout's `item_completed` lines.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The item.
    pub item: Arc<RawValue>,
    /// When it began.
    pub started: Millis,
    /// When it was complete.
    pub completed: Option<Millis>,
    /// A model is still saying it: it is dropped with the answer that it is of.
    pub is_streamed: bool,
    /// It begins with a question about it: its thread waits for the answer before clients see the item, as in Codex.
    pub asks: bool,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.item.get() == other.item.get() && (self.started, self.completed) == (other.started, other.completed)
    }
}

impl Snapshot {
    /// An item that begins.
    pub fn begun(item: &serde_json::Value, started: Millis, is_streamed: bool) -> Self {
        Self { item: raw(item), started, completed: None, is_streamed, asks: false }
    }

    /// An item that is complete.
    pub fn completed(item: &serde_json::Value, started: Millis, completed: Millis) -> Self {
        Self { item: raw(item), started, completed: Some(completed), is_streamed: false, asks: false }
    }
}

fn raw(item: &serde_json::Value) -> Arc<RawValue> {
    to_raw_value(item).expect("a value can be written").into()
}

/// The parts of an item whose text comes piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The text of a message.
    Text,
    /// A part of a reasoning's summary.
    Summary(u64),
    /// A part of a reasoning's raw content.
    Raw(u64),
    /// What a command writes.
    Output,
}

/// An item as it is told in a line or two.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A user's message.
    User {
        /// Its id.
        id: String,
        /// Its text.
        text: String,
    },
    /// The model's message.
    Agent {
        /// Its id.
        id: String,
        /// Its text.
        text: String,
    },
    /// The model's reasoning, in summary.
    Reasoning {
        /// Its id.
        id: String,
        /// The summary.
        text: String,
    },
    /// A shell command.
    Command {
        /// The call.
        call: CallId,
        /// What runs.
        command: String,
        /// What came of it, once it ended.
        result: Option<ToolResult>,
    },
    /// A tool that acts on other agents.
    Collab {
        /// The call.
        call: CallId,
        /// Which tool.
        tool: &'static str,
        /// The agents it acted on.
        agents: Vec<(ThreadId, AgentPath)>,
        /// What was said to them.
        prompt: Option<String>,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// A change of files.
    Patch {
        /// The call.
        call: CallId,
        /// The files, and what happens to each: `add`, `update` or `delete`.
        files: Vec<(String, String)>,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// A call of a tool that a client has.
    Client {
        /// The call.
        call: CallId,
        /// Which tool.
        tool: String,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// Mail came in.
    Mail {
        /// From whom.
        from: AgentPath,
        /// Task, message or answer.
        kind: sapwood_protocol::item::MailKind,
        /// What it says.
        text: String,
    },
}

impl Shown {
    /// The id under which clients know it.
    pub fn id(&self) -> Option<ItemId> {
        match self {
            Shown::User { id, .. } | Shown::Agent { id, .. } | Shown::Reasoning { id, .. } => Some(ItemId::from(&**id)),
            Shown::Command { call, .. }
            | Shown::Collab { call, .. }
            | Shown::Patch { call, .. }
            | Shown::Client { call, .. } => Some(ItemId::from(call.as_str())),
            Shown::Mail { .. } => None,
        }
    }
}
