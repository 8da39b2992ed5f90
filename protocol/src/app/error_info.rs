//! Why a turn failed, in the words that programs read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a turn failed: a word, or an object around one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CodexErrorInfo {
    /// The conversation no longer fits.
    ContextWindowExceeded,
    /// The tree has used its budget.
    SessionBudgetExceeded,
    /// The account has used what it may.
    UsageLimitExceeded,
    /// Too many requests in a short time.
    RateLimitExceeded,
    /// No room in the flexible tier.
    FlexUnavailable,
    /// The provider is overloaded.
    ServerOverloaded,
    /// The provider does not have the model.
    ModelNotFound,
    /// No room for the policy of the request.
    PolicyCapacityUnavailable,
    /// The provider refuses for reasons of security.
    CyberPolicy,
    /// The provider refuses for what the model did.
    MisalignmentPolicyViolation,
    /// The model asked too often for what was denied.
    TooManyDenials,
    /// The provider's own fault.
    InternalServerError,
    /// The provider does not know the account.
    Unauthorized,
    /// The provider does not understand the request.
    BadRequest,
    /// A rollback did not work.
    ThreadRollbackFailed,
    /// The sandbox did not work.
    SandboxError,
    /// A hook refuses.
    InferenceHookDenied,
    /// No connection.
    HttpConnectionFailed {
        /// The status of the answer, if there was one.
        http_status_code: Option<u16>,
    },
    /// No stream.
    ResponseStreamConnectionFailed {
        /// The status of the answer, if there was one.
        http_status_code: Option<u16>,
    },
    /// The stream ended early.
    ResponseStreamDisconnected {
        /// The status of the answer, if there was one.
        http_status_code: Option<u16>,
    },
    /// Tried as often as allowed.
    ResponseTooManyFailedAttempts {
        /// The status of the last answer, if there was one.
        http_status_code: Option<u16>,
    },
    /// The turn takes no input.
    ActiveTurnNotSteerable {
        /// What it does instead.
        turn_kind: NonSteerableTurnKind,
    },
    /// Anything else.
    Other,
}

impl CodexErrorInfo {
    /// As the value that a turn's error carries.
    pub fn value(&self) -> Value {
        // Words and numbers under text keys: it serialises.
        serde_json::to_value(self).expect("an error's word serialises")
    }
}

/// What a turn does that takes no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NonSteerableTurnKind {
    /// It reviews.
    Review,
    /// It compacts.
    Compact,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_those_of_the_schema() {
        let table = [
            (CodexErrorInfo::UsageLimitExceeded, json!("usageLimitExceeded")),
            (CodexErrorInfo::Other, json!("other")),
            (
                CodexErrorInfo::ResponseStreamDisconnected { http_status_code: Some(502) },
                json!({"responseStreamDisconnected": {"httpStatusCode": 502}}),
            ),
            (
                CodexErrorInfo::HttpConnectionFailed { http_status_code: None },
                json!({"httpConnectionFailed": {"httpStatusCode": null}}),
            ),
            (
                CodexErrorInfo::ActiveTurnNotSteerable { turn_kind: NonSteerableTurnKind::Compact },
                json!({"activeTurnNotSteerable": {"turnKind": "compact"}}),
            ),
        ];
        for (info, value) in table {
            assert_eq!(info.value(), value);
            assert_eq!(serde_json::from_value::<CodexErrorInfo>(value).unwrap(), info);
        }
    }
}
