//! What a provider says went wrong, and what that means: the one table of error codes.

use sapwood_protocol::Millis;
use serde_json::Value;

use crate::http::limits::{moment, wait_in_text, wait_ms};
use crate::port::Refusal;

/// An error in the words of a provider, in any of the shapes in which they write it. What it does not say is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fault {
    /// Its code (`context_length_exceeded`).
    pub(crate) code: String,
    /// Its type (`invalid_request_error`).
    pub(crate) kind: String,
    /// What it says to a person.
    pub(crate) message: String,
    /// The status that it names, where it comes in a stream.
    pub(crate) status: Option<u16>,
    /// When a limit ends, in seconds since 1970.
    resets_at: Option<u64>,
    /// In how many milliseconds a limit ends.
    resets_in_ms: Option<u64>,
    /// How long it asks to wait, in milliseconds.
    retry_after_ms: Option<u64>,
}

/// What an error means for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The account has used up what it may use.
    UsageLimit,
    /// Not now: with the status that stands for it.
    Busy(u16),
    /// Not ever, for this request.
    Refused(Refusal),
    /// It broke, and another try may succeed.
    Broken,
}

impl Fault {
    /// Reads `{"error":{..}}`, `{"error":".."}`, `{"detail":".."}`, `{"message":..,"code":..}` and what is like them.
    pub(crate) fn of(value: &Value) -> Self {
        let outer = value;
        let inner = match outer.get("error") {
            Some(error) if !error.is_null() => error,
            _ => outer,
        };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| inner.get(key).and_then(Value::as_f64).filter(|number| *number >= 0.0);
        let said =
            [inner.as_str(), inner.get("message").and_then(Value::as_str), outer.get("detail").and_then(Value::as_str)];
        let message = said.into_iter().flatten().next().unwrap_or_default().to_owned();
        let status = ["status", "status_code"].iter().find_map(|key| outer.get(key).and_then(Value::as_u64));
        let hint = number("retry_after_ms").map(|ms| ms as u64);
        let hint = hint.or_else(|| number("retry_after").map(|secs| (secs * 1e3) as u64));
        Self {
            code: text(inner, "code"),
            kind: if inner.get("type") == Some(&Value::from("error")) { String::new() } else { text(inner, "type") },
            status: status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status >= 400),
            resets_at: number("resets_at").map(|secs| secs as u64),
            resets_in_ms: number("resets_in_seconds").map(|secs| (secs * 1e3) as u64),
            retry_after_ms: hint.or_else(|| wait_in_text(&message)),
            message,
        }
    }

    /// What it means, with the status it came with; `None` for one that came in a stream.
    pub(crate) fn meaning(&self, status: Option<u16>) -> Meaning {
        let status = status.or(self.status);
        let busy_until = self.resets_at.is_some() || self.resets_in_ms.is_some();
        if let Some(meaning) = [&self.code, &self.kind].into_iter().find_map(|word| by_code(word)) {
            return match meaning {
                Meaning::Busy(429) if busy_until => Meaning::UsageLimit,
                meaning => meaning,
            };
        }
        match status {
            Some(429) if busy_until => Meaning::UsageLimit,
            Some(400 | 413 | 422) if self.is_about_length() => Meaning::Refused(Refusal::ContextWindow),
            Some(status) => by_status(status),
            None if self.is_about_request() => Meaning::Refused(Refusal::BadRequest),
            None => Meaning::Broken,
        }
    }

    /// When the limit ends, by its own words; `None` also for an end that no calendar has.
    pub(crate) fn until(&self, now: Millis) -> Option<Millis> {
        let later = || self.resets_in_ms.map(|ms| now.plus(ms)).filter(|at| moment(at.secs()).is_some());
        self.resets_at.and_then(moment).or_else(later)
    }

    /// How long it asks to wait.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms.map(wait_ms)
    }

    fn is_about_request(&self) -> bool {
        [&self.code, &self.kind].iter().any(|word| matches!(word.as_str(), "invalid_request_error" | "bad_request"))
    }

    fn is_about_length(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["context length", "context window", "prompt is too long"].iter().any(|words| message.contains(words))
    }
}

/// Codes of the Responses API, of Codex's backend, and of those who imitate them.
fn by_code(code: &str) -> Option<Meaning> {
    Some(match code {
        "usage_limit_reached" | "insufficient_quota" | "insufficient_credits" | "billing_hard_limit_reached" => {
            Meaning::UsageLimit
        }
        code if code.ends_with("_usage_limit_reached") || code.ends_with("_credits_depleted") => Meaning::UsageLimit,
        "rate_limit_exceeded" | "rate_limit_reached" | "rate_limit_error" | "too_many_requests" => Meaning::Busy(429),
        "server_is_overloaded" | "overloaded_error" | "slow_down" | "service_unavailable_error" => Meaning::Busy(503),
        "context_length_exceeded" | "context_window_exceeded" => Meaning::Refused(Refusal::ContextWindow),
        "model_not_found" | "unsupported_model" => Meaning::Refused(Refusal::ModelNotFound),
        "invalid_prompt" | "unsupported_parameter" | "unknown_parameter" | "invalid_value" => {
            Meaning::Refused(Refusal::BadRequest)
        }
        "cyber_policy" | "content_policy_violation" | "misalignment_policy_violation" | "policy_violation" => {
            Meaning::Refused(Refusal::Policy)
        }
        "invalid_api_key" | "authentication_error" | "token_expired" | "account_deactivated" => {
            Meaning::Refused(Refusal::Unauthorized)
        }
        "usage_not_included" | "unsupported_country_region_territory" => Meaning::Refused(Refusal::Other),
        _ => return None,
    })
}

fn by_status(status: u16) -> Meaning {
    match status {
        401 | 403 => Meaning::Refused(Refusal::Unauthorized),
        402 => Meaning::UsageLimit,
        404 => Meaning::Refused(Refusal::ModelNotFound),
        408 | 409 | 425 | 429 | 500.. => Meaning::Busy(status),
        400..=499 => Meaning::Refused(Refusal::BadRequest),
        _ => Meaning::Refused(Refusal::Other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_errors_mean() {
        use Meaning::{Broken, Busy, Refused, UsageLimit};
        let error = |code: &str| json!({"error": {"code": code, "message": "m"}});
        let cases = [
            (
                Some(401),
                json!({"error": {"type": "invalid_request_error", "code": "invalid_api_key"}}),
                Refused(Refusal::Unauthorized),
            ),
            (Some(403), json!(null), Refused(Refusal::Unauthorized)),
            (Some(402), json!({}), UsageLimit),
            (
                Some(404),
                json!({"error": {"type": "invalid_request_error", "code": null}}),
                Refused(Refusal::ModelNotFound),
            ),
            (Some(400), error("context_length_exceeded"), Refused(Refusal::ContextWindow)),
            (
                Some(400),
                json!({"error": {"message": "This model's maximum context length is 8192"}}),
                Refused(Refusal::ContextWindow),
            ),
            (Some(400), json!({"detail": "no"}), Refused(Refusal::BadRequest)),
            (Some(422), json!([]), Refused(Refusal::BadRequest)),
            (Some(400), error("cyber_policy"), Refused(Refusal::Policy)),
            (Some(408), json!({}), Busy(408)),
            (Some(409), json!({}), Busy(409)),
            (Some(425), json!({}), Busy(425)),
            (Some(429), error("rate_limit_exceeded"), Busy(429)),
            (Some(429), json!("slow"), Busy(429)),
            (Some(429), error("insufficient_quota"), UsageLimit),
            (Some(429), json!({"error": {"type": "usage_limit_reached", "resets_at": 9}}), UsageLimit),
            (Some(429), json!({"error": {"resets_in_seconds": 9}}), UsageLimit),
            (Some(429), error("workspace_member_credits_depleted"), UsageLimit),
            (Some(500), json!({}), Busy(500)),
            (Some(529), error("overloaded_error"), Busy(503)),
            (None, error("rate_limit_exceeded"), Busy(429)),
            (None, error("server_is_overloaded"), Busy(503)),
            (None, error("invalid_prompt"), Refused(Refusal::BadRequest)),
            (None, error("invalid_request_error"), Refused(Refusal::BadRequest)),
            (None, error("server_error"), Broken),
            (None, json!({"type": "error", "message": "m"}), Broken),
            (None, json!({"type": "error", "status": 429, "error": {"message": "m"}}), Busy(429)),
        ];
        for (status, body, want) in cases {
            assert_eq!(Fault::of(&body).meaning(status), want, "{status:?} {body}");
        }
    }

    #[test]
    fn when_limits_end() {
        let fault = |error: Value| Fault::of(&json!({ "error": error }));
        assert_eq!(fault(json!({"resets_at": 1_795_219_433})).until(Millis(5)), Some(Millis(1_795_219_433_000)));
        assert_eq!(fault(json!({"resets_in_seconds": 2})).until(Millis(5)), Some(Millis(2005)));
        assert_eq!(fault(json!({"resets_at": -1, "resets_in_seconds": "soon"})).until(Millis(5)), None);
        let beyond = json!({"resets_at": 99_999_999_999_999_u64, "resets_in_seconds": 1e300});
        assert_eq!(fault(beyond).until(Millis(5)), None);
        assert_eq!(fault(json!({"resets_at": 1e300, "resets_in_seconds": 2})).until(Millis(5)), Some(Millis(2005)));
        assert_eq!(fault(json!({"message": "Please try again in 1.5s."})).retry_after_ms(), Some(1500));
        assert_eq!(fault(json!({"message": "try again in 9s", "retry_after": 2})).retry_after_ms(), Some(2000));
        assert_eq!(fault(json!({"retry_after": 1e300})).retry_after_ms(), Some(3_600_000));
        assert_eq!(fault(json!("plain")).message, "plain");
        assert_eq!(Fault::of(&json!({"detail": "d"})).message, "d");
    }
}
