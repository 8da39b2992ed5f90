//! What a request is called by who sent it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a request: a text or a whole number, given back exactly as it came.
///
/// Numbers of JSON that fit 64 bits with a sign are whole numbers here, so those beyond 2^53 keep their last digit. Anything else
/// (fractions, `null`, larger numbers) is no id, and what carries it is no request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(Box<str>),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestId::Number(number) => number.fmt(f),
            RequestId::Text(text) => text.fmt(f),
        }
    }
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
