//! Turns, as clients see them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item::ThreadItem;
use crate::ids::TurnId;

/// A turn, with as many of its items as were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The turn.
    pub id: TurnId,
    /// The root turn that ultimately caused it.
    #[serde(default)]
    pub root_turn_id: Option<TurnId>,
    /// Its items, as far as `items_view` says.
    pub items: Vec<ThreadItem>,
    /// How many of its items are here.
    #[serde(default)]
    pub items_view: TurnItemsView,
    /// How it is.
    pub status: TurnStatus,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<TurnError>,
    /// When it began, in seconds since 1970.
    #[serde(default)]
    pub started_at: Option<u64>,
    /// When it ended, in seconds since 1970.
    #[serde(default)]
    pub completed_at: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

impl Turn {
    /// The answer to a request that begins a turn: nothing has happened in it yet.
    pub fn begun(id: TurnId) -> Self {
        Self {
            id,
            root_turn_id: None,
            items: Vec::new(),
            items_view: TurnItemsView::NotLoaded,
            status: TurnStatus::InProgress,
            error: None,
            started_at: None,
            completed_at: None,
            duration_ms: None,
        }
    }
}

/// How many items of a turn are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TurnItemsView {
    /// None.
    NotLoaded,
    /// What the user said first and the model last.
    Summary,
    /// All.
    #[default]
    Full,
}

/// How a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TurnStatus {
    /// It came to its end.
    Completed,
    /// It was ended from outside.
    Interrupted,
    /// It failed.
    Failed,
    /// It is running, or waits.
    InProgress,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// For a person.
    pub message: String,
    /// For a program: a word, or an object around one.
    #[serde(default)]
    pub codex_error_info: Option<Value>,
    /// More for a person.
    #[serde(default)]
    pub additional_details: Option<String>,
    /// Nothing.
    #[serde(default)]
    pub misalignment: Option<Value>,
}

impl TurnError {
    /// An error from the words that a rollout keeps of it.
    pub fn recorded(message: String, info: Option<&Value>) -> Self {
        let codex_error_info = info.map(camel_case);
        Self { message, codex_error_info, additional_details: None, misalignment: None }
    }
}

/// The word for a program, which a rollout keeps with underscores: `usage_limit_exceeded`, or an object around one.
fn camel_case(info: &Value) -> Value {
    let camel = |word: &str| {
        let mut parts = word.split('_');
        let mut camel = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let mut letters = part.chars();
            camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            camel.push_str(letters.as_str());
        }
        camel
    };
    match info {
        Value::String(word) => Value::String(camel(word)),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (camel(key), if value.is_object() { camel_case(value) } else { value.clone() }))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_for_programs_are_in_camel_case_whatever_is_around_them() {
        let of = |info: Value| TurnError::recorded("x".to_owned(), Some(&info)).codex_error_info;
        assert_eq!(of(json!("usage_limit_exceeded")), Some(json!("usageLimitExceeded")));
        assert_eq!(of(json!("other")), Some(json!("other")));
        let object = json!({"response_stream_disconnected": {"http_status_code": 502}});
        assert_eq!(of(object), Some(json!({"responseStreamDisconnected": {"httpStatusCode": 502}})));
    }
}
