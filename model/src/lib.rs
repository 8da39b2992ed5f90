//! The model client: the port, the scripted and the rehearsal model.
//!
//! What it is for: turns the exact bytes of a Responses request into a response, whoever answers.
//! What it never does: it decides nothing about a turn, writes no line, and keeps no history.
//!
//! Invariants:
//! - A model sees the request and nothing else of the agent.
//! - A response is whole or an error; deltas before it are provisional.
//! - Dropping the future of a call ends the call.

//!
//! Where to start reading: [`Model`] is the port, [`request`] how a model of our own looks into a request,
//! [`scripted`] and [`Rehearsal`] who answers without a provider, [`http`] the client of one.

pub mod catalogue;
pub mod governor;
pub mod http;
mod port;
mod produce;
mod rehearsal;
pub mod request;
pub mod scripted;

pub use catalogue::{Catalogue, Catalogues, Fetch, ModelInfo, Refresh};
pub use governor::{Governor, Governors, Headroom, Pass};
pub use http::{Http, HttpError, Provider, Secret};
pub use port::{
    Body, BoxFuture, Delta, DeltaSink, HistoryInitialization, Model, ModelError, NoDeltas, Origin, Priority, Refusal,
    Request, Response, SafetyBuffering, ToolName,
};
pub use produce::Produced;
pub use rehearsal::Rehearsal;
pub use scripted::{Script, Scripted};
