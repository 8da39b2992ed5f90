//! The port: a request in, a response out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use sapwood_protocol::{AgentPath, ItemId, SessionId, ThreadId, TurnId, Usage};

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

/// Which turn of which agent asks.
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
    /// The turn.
    pub turn: TurnId,
    /// The root turn above it.
    pub root_turn: TurnId,
    /// 1 for the first try of this request.
    pub attempt: u32,
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

/// A part of a response that is still coming in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// An item begins.
    ItemStarted {
        /// The item.
        item: ItemId,
        /// Its type (`message`, `reasoning`, `function_call` ...).
        kind: String,
    },
    /// Text of a message.
    Text {
        /// The item.
        item: ItemId,
        /// What was added.
        text: String,
    },
    /// Text of a reasoning summary.
    Reasoning {
        /// The item.
        item: ItemId,
        /// What was added.
        text: String,
    },
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its id, from the provider.
    pub id: String,
    /// Its items in order, each the JSON bytes that came.
    pub items: Vec<Bytes>,
    /// What it cost.
    pub usage: Usage,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The stream broke before the response was whole. Another try may succeed.
    #[error("stream disconnected before completion: {why}")]
    Cut {
        /// What was seen.
        why: String,
    },
    /// The provider is busy or broken. Another try may succeed, not before `retry_after_ms`.
    #[error("the provider answered {status}: {message}")]
    Unavailable {
        /// The HTTP status, or 0 where there is none.
        status: u16,
        /// What it said.
        message: String,
        /// How long it asked to wait.
        retry_after_ms: Option<u64>,
    },
    /// The provider refuses this request. The same request will be refused again.
    #[error("the provider refused the request: {message}")]
    Refused {
        /// The HTTP status, or 0 where there is none.
        status: u16,
        /// What it said.
        message: String,
    },
}

impl ModelError {
    /// True if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, ModelError::Cut { .. } | ModelError::Unavailable { .. })
    }
}
