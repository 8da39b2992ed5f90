//! The port: a request in, a response out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use sapwood_protocol::{AgentPath, ItemId, Millis, RateLimits, SessionId, ThreadId, TurnId, Usage};
use serde_json::{Value, json};

/// A future of a model call. Dropping it ends the call.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody who answers requests.
pub trait Model: Send + Sync + 'static {
    /// Asks for one response. Deltas go to `sink` while it comes in; the finished response is the result.
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>>;
}

/// One request: the bytes of its body, and where it comes from.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it comes from; becomes headers.
    pub origin: Origin,
    /// The JSON body of a Responses request.
    pub body: Body,
}

/// Which turn of which agent asks whom, for the governor and for the headers of a request.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The tree.
    pub session: SessionId,
    /// The agent.
    pub thread: ThreadId,
    /// Its path.
    pub path: AgentPath,
    /// Its spawner.
    pub parent: Option<ThreadId>,
    /// What the thread is for (`user`, `subagent`, or a name that a client gave).
    pub thread_source: Option<Arc<str>>,
    /// The turn.
    pub turn: TurnId,
    /// The root turn above it.
    pub root_turn: TurnId,
    /// The turn that caused it, of another agent.
    pub parent_turn: Option<TurnId>,
    /// When the turn began.
    pub turn_started: Millis,
    /// Where the agent's history came from when this process first had it.
    pub history: HistoryInitialization,
    /// How many context windows the agent had before this one.
    pub window: u64,
    /// The provider that is asked, by its id.
    pub provider: Arc<str>,
    /// The model that is asked.
    pub model: Arc<str>,
    /// The reasoning effort, where one is set.
    pub effort: Option<Arc<str>>,
    /// What commands of the agent may do (`read-only`, `workspace-write`, `danger-full-access`).
    pub sandbox: &'static str,
    /// 1 for the first try of this request.
    pub attempt: u32,
}

impl Origin {
    /// Who goes first where a provider has room for one.
    pub fn priority(&self) -> Priority {
        match (self.path.is_root(), self.thread_source.as_deref()) {
            (true, _) => Priority::Root,
            (_, Some("guardian_review")) => Priority::Reviewer,
            _ => Priority::Worker,
        }
    }
}

/// Who goes first: what a person waits for, then who decides about others, then everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The root of a tree.
    Root,
    /// A Guardian reviewer.
    Reviewer,
    /// Any other agent.
    Worker,
}

/// Where the history of a thread came from when this process first had it. The names are Codex's
/// (`history_initialization`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryInitialization {
    /// It is a new thread.
    #[default]
    New,
    /// It was read from a rollout.
    ColdResume,
    /// It is a fork of a thread that is loaded.
    WarmFork,
}

impl HistoryInitialization {
    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            HistoryInitialization::New => "new",
            HistoryInitialization::ColdResume => "cold_resume",
            HistoryInitialization::WarmFork => "warm_fork",
        }
    }
}

/// The body of a request: slices of what is stored elsewhere, in order. Its length is known before it is sent.
#[derive(Clone, Debug, Default)]
pub struct Body {
    slices: Vec<Bytes>,
    len: usize,
}

impl Body {
    /// A body of these slices.
    pub fn new(slices: Vec<Bytes>) -> Self {
        let len = slices.iter().map(Bytes::len).sum();
        Self { slices, len }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a body without bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices, in order.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// All bytes in one piece: a copy.
    pub fn concat(&self) -> Vec<u8> {
        self.slices.concat()
    }
}

/// A part of a response that is still coming in, or news of the call itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// The request waits for the provider's limits, and is sent then at the earliest, where that is known.
    Queued {
        /// What it waits for, for a person.
        why: String,
        /// Not before.
        until: Option<Millis>,
    },
    /// The request is on its way: it waits no longer.
    Sent,
    /// An item begins.
    ItemStarted {
        /// The item.
        item: ItemId,
        /// Its type (`message`, `reasoning`, `function_call` ...).
        kind: String,
        /// The tool that it calls.
        tool: Option<ToolName>,
    },
    /// Text of a message.
    Text {
        /// The item.
        item: ItemId,
        /// What was added.
        text: String,
    },
    /// A new part of a reasoning summary begins.
    ReasoningPart {
        /// The item.
        item: ItemId,
        /// Its index, from 0.
        part: u64,
    },
    /// Text of a reasoning summary.
    Reasoning {
        /// The item.
        item: ItemId,
        /// The part of the summary.
        part: u64,
        /// What was added.
        text: String,
    },
    /// Raw text of a reasoning, where the provider shows it.
    RawReasoning {
        /// The item.
        item: ItemId,
        /// The part of the content.
        part: u64,
        /// What was added.
        text: String,
    },
    /// Arguments of a function call, or the input of a custom tool call.
    Arguments {
        /// The item.
        item: ItemId,
        /// What was added.
        text: String,
    },
    /// An item is complete, and may still be dropped with its response.
    ItemDone {
        /// The item.
        item: ItemId,
    },
    /// The provider holds output back while it looks at it. Told once, however often the provider says it.
    SafetyBuffering(SafetyBuffering),
    /// What the provider's moderation says of the turn, as it came.
    Moderation(Bytes),
    /// Another model than the one that was asked answers.
    Rerouted {
        /// The one that answers.
        model: String,
    },
}

/// A tool, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolName {
    /// The namespace; empty for none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// Why a provider holds output back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafetyBuffering {
    /// The uses that it suspects.
    pub use_cases: Vec<String>,
    /// Its reasons.
    pub reasons: Vec<String>,
    /// A person is to be shown that it takes longer.
    pub show: bool,
    /// A model that would answer sooner.
    pub faster_model: Option<String>,
}

/// Who hears deltas. Never blocks.
pub trait DeltaSink: Send + Sync + 'static {
    /// A part came in.
    fn delta(&self, delta: Delta);
}

/// Nobody listens.
#[derive(Debug)]
pub struct NoDeltas;

impl DeltaSink for NoDeltas {
    fn delta(&self, _: Delta) {}
}

/// A finished response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// Its id, from the provider.
    pub id: String,
    /// Its items in order, each the JSON bytes that came.
    pub items: Vec<Bytes>,
    /// What it cost.
    pub usage: Usage,
    /// What the provider said of its limits.
    pub limits: Option<Box<RateLimits>>,
}

impl Response {
    /// A response without a word about limits.
    pub fn new(id: impl Into<String>, items: Vec<Bytes>, usage: Usage) -> Self {
        Self { id: id.into(), items, usage, limits: None }
    }
}

/// Why there is no response. What it says is for a person, names provider and model, and holds no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The stream broke before the response was whole. Another try may succeed.
    #[error("stream disconnected before completion: {why}")]
    Cut {
        /// What was seen.
        why: String,
    },
    /// The provider cannot be reached, or is busy or broken. Another try may succeed, not before `retry_after_ms`.
    #[error("{message}")]
    Unavailable {
        /// The HTTP status, or 0 where there is none.
        status: u16,
        /// What happened.
        message: String,
        /// How long it asked to wait.
        retry_after_ms: Option<u64>,
    },
    /// The same request will be refused again.
    #[error("{message}")]
    Refused {
        /// The HTTP status, or 0 where there is none.
        status: u16,
        /// Why.
        reason: Refusal,
        /// What happened.
        message: String,
    },
    /// The account has used up what it may use for now.
    #[error("{message}")]
    UsageLimited {
        /// What happened.
        message: String,
        /// When the limit ends, where the provider says so.
        until: Option<Millis>,
    },
}

/// Why a request is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something in the request.
    BadRequest,
    /// The key.
    Unauthorized,
    /// It is longer than the model's context window.
    ContextWindow,
    /// There is no such model.
    ModelNotFound,
    /// A policy of the provider.
    Policy,
    /// Whatever else.
    Other,
}

impl ModelError {
    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, ModelError::Cut { .. } | ModelError::Unavailable { .. })
    }

    /// `codex_error_info` of the turn that it ends: Codex's words, as rollouts spell them.
    pub fn codex_error_info(&self) -> Value {
        match self {
            ModelError::Cut { .. } => json!({"response_stream_disconnected": {"http_status_code": null}}),
            ModelError::Unavailable { status: 429, .. } => json!("rate_limit_exceeded"),
            ModelError::Unavailable { status: 503 | 529, .. } => json!("server_overloaded"),
            ModelError::Unavailable { status: 500, .. } => json!("internal_server_error"),
            ModelError::Unavailable { status, .. } => {
                json!({"http_connection_failed": {"http_status_code": (*status != 0).then_some(status)}})
            }
            ModelError::Refused { reason, .. } => json!(match reason {
                Refusal::Unauthorized => "unauthorized",
                Refusal::ContextWindow => "context_window_exceeded",
                Refusal::ModelNotFound => "model_not_found",
                Refusal::Policy => "cyber_policy",
                // Its `bad_request` is about what a client asks of it, not about what it asks of a provider.
                Refusal::BadRequest | Refusal::Other => "other",
            }),
            ModelError::UsageLimited { .. } => json!("usage_limit_exceeded"),
        }
    }
}
