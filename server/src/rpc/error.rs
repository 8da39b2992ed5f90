//! Answers that are errors.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The request is not one that can be carried out: clients know this one code for nearly everything.
pub const INVALID_REQUEST: i64 = -32600;
/// A parameter is not as it has to be: clients know this one for what is too long, and for commands.
pub const INVALID_PARAMS: i64 = -32602;
/// The fault is ours.
pub const INTERNAL_ERROR: i64 = -32603;
/// A bound of the server; the same request may do later.
pub const OVERLOADED: i64 = -32001;

/// The error that answers a request, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of the codes of this module, or one a client gave.
    pub code: i64,
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// The request cannot be carried out, for a reason said in full.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: INVALID_REQUEST, message: message.into(), data: None }
    }

    /// The request is not of its form.
    pub fn malformed(why: impl std::fmt::Display) -> Self {
        Self::invalid(format!("Invalid request: {why}"))
    }

    /// The fault is ours, and goes into the log too.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: INTERNAL_ERROR, message: message.into(), data: None }
    }

    /// A bound is reached. Clients that can, try again because of the data.
    pub fn overloaded() -> Self {
        Self { code: OVERLOADED, message: "Server overloaded; retry later.".to_owned(), data: None }
            .with_data(json!({"codexErrorInfo": "server_overloaded"}))
    }

    /// What asks for a capability that the client did not declare: a method, or `method.field`.
    pub fn experimental(what: impl std::fmt::Display) -> Self {
        Self::invalid(format!("{what} requires experimentalApi capability"))
    }

    /// The same with data for programs.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}
