//! Where a request stands in a client's trace.

use serde::{Deserialize, Serialize};

/// The W3C trace context in the envelope of a request, beside its method. Kept as it came until the request is answered;
/// the turn that the request starts has it then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Trace, parent span and flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Box<str>>,
    /// What tracing systems add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<Box<str>>,
}
