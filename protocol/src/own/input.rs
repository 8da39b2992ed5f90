//! An input of an agent: its acceptance, what it says, and how it was done with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Outcome, QueuedInput, Said, ThreadSettings, TurnOrigin};
use crate::ids::{InputId, ThreadId, TurnId};
use crate::item::MailKind;
use crate::path::AgentPath;

/// `sapwood.accepted`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Names the input; the same input accepted twice is one input.
    pub id: InputId,
    /// Its place among the acceptances of this rollout, from 0: the order in which inputs are taken, whatever order
    /// they are delivered in.
    pub place: u64,
    /// Where it queues.
    pub lane: InputLane,
    /// It starts a turn of an idle agent.
    pub wake: bool,
    /// The agent it is from; absent for a user's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sender>,
    /// What it says; absent for an input that only starts a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// The id of the turn that it starts, if it starts one: its sender was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
}

/// The durable lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InputLane {
    /// From a person, or a program in a person's place.
    User,
    /// From another agent.
    Mail,
}

/// Who sent mail, and which of its sendings this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The sending thread.
    pub thread: ThreadId,
    /// Its path.
    pub path: AgentPath,
    /// The ordinal of the line in the sender's rollout that opened the sending: it only grows, so the receiver
    /// keeps one mark a sender and needs no set.
    pub n: u64,
}

/// The content of an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Body {
    /// What a user said.
    User(Said),
    /// What a user said, to be read when the thread is idle: it wakes nobody until it is released.
    Queued(QueuedInput),
    /// A command that the user has run beside the agent's turns.
    Shell {
        /// The command line, as a shell reads it.
        command: String,
        /// How long it may run, in milliseconds; absent for the usual.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
    /// Items of the Responses API that go into the history as they are.
    Items {
        /// The items; at least one.
        items: Vec<Value>,
    },
    /// Settings of the thread, in their place among what is said.
    Settings {
        /// What is set.
        settings: ThreadSettings,
    },
    /// Mail.
    Mail {
        /// Task, message or final answer.
        kind: MailKind,
        /// The payload, as the model reads it.
        text: String,
        /// The turn it comes from, and the root turn above that.
        turn: TurnOrigin,
        /// For final answers: how the turn ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
    },
}

impl Body {
    /// What a user said, and nothing else.
    pub fn user(text: impl Into<String>) -> Self {
        Body::User(Said::text(text))
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Body::User(said) => said.bytes(),
            Body::Queued(queued) => queued.said.bytes(),
            Body::Items { items } => items.iter().map(json_bytes).sum(),
            Body::Mail { text, .. } => text.len(),
            Body::Shell { command, .. } => command.len(),
            Body::Settings { settings } => settings.bytes(),
        }
    }
}

/// How long a value is about: its texts, without the marks between them.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(json_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + json_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// `sapwood.settled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The input.
    pub id: InputId,
    /// What became of it.
    pub how: How,
}

/// Why an input is gone without having been consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// Taken back.
    Removed,
    /// Replaced by another.
    Edited,
    /// It was begun twice, and both times the agent crashed.
    DeadLetter,
    /// Its time was over.
    Expired,
}

/// `sapwood.begun`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The input.
    pub id: InputId,
}
