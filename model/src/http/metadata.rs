//! What a request says of where it comes from: headers, and the same in its body (`client_metadata`). Names and
//! order are Codex's.

use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use sapwood_protocol::ThreadId;
use serde::Serialize;

use crate::port::Origin;

/// The `thread_source` of a Guardian reviewer: not spawned by a tool, so it is announced by another name.
const REVIEWER: &str = "guardian_review";

/// The value of `x-codex-turn-metadata`.
#[derive(Serialize)]
struct TurnMetadata<'a> {
    session_id: String,
    thread_id: String,
    agent_name: &'a str,
    turn_id: &'a str,
    window_id: &'a str,
    window_number: u64,
    request_kind: &'static str,
    history_initialization: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_thread_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_turn_id: Option<&'a str>,
    root_turn_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subagent_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_source: Option<&'a str>,
    sandbox_mode: &'a str,
    turn_started_at_unix_ms: u64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
}

/// The value of `client_metadata`.
#[derive(Serialize)]
struct ClientMetadata<'a> {
    root_turn_id: &'a str,
    session_id: &'a str,
    thread_id: &'a str,
    turn_id: &'a str,
    #[serde(rename = "x-codex-turn-metadata")]
    turn_metadata: &'a str,
    #[serde(rename = "x-codex-window-id")]
    window_id: &'a str,
}

/// Where a request comes from, ready to be sent.
#[derive(Debug)]
pub(crate) struct Metadata {
    session: String,
    thread: String,
    parent: Option<String>,
    window: String,
    turn: String,
    subagent: Option<&'static str>,
    /// The member of the body: `"client_metadata":{..}`.
    pub(crate) member: String,
}

impl Metadata {
    /// Renders it once, for headers and body.
    pub(crate) fn of(origin: &Origin) -> Self {
        let (session, thread) = (origin.session.to_string(), origin.thread.to_string());
        let window = format!("{thread}:{}", origin.window);
        let is_reviewer = origin.thread_source.as_deref() == Some(REVIEWER);
        let is_spawned = origin.parent.is_some() && !is_reviewer;
        let turn = header_safe(&json(&TurnMetadata {
            session_id: session.clone(),
            thread_id: thread.clone(),
            agent_name: origin.path.as_str(),
            turn_id: origin.turn.as_str(),
            window_id: &window,
            window_number: origin.window,
            request_kind: "turn",
            history_initialization: origin.history.name(),
            parent_thread_id: origin.parent.as_ref().map(ThreadId::to_string),
            parent_turn_id: origin.parent_turn.as_ref().map(|turn| turn.as_str()),
            root_turn_id: origin.root_turn.as_str(),
            subagent_kind: is_spawned.then_some("thread_spawn"),
            thread_source: origin.thread_source.as_deref().or(is_spawned.then_some("subagent")),
            sandbox_mode: origin.sandbox,
            turn_started_at_unix_ms: origin.turn_started.0,
            model: &origin.model,
            reasoning_effort: origin.effort.as_deref(),
        }));
        let client = json(&ClientMetadata {
            root_turn_id: origin.root_turn.as_str(),
            session_id: &session,
            thread_id: &thread,
            turn_id: origin.turn.as_str(),
            turn_metadata: &turn,
            window_id: &window,
        });
        let subagent = if is_reviewer { Some("guardian") } else { is_spawned.then_some("collab_spawn") };
        let parent = origin.parent.as_ref().map(ThreadId::to_string);
        Self { session, thread, parent, window, turn, subagent, member: format!("\"client_metadata\":{client}") }
    }

    /// Adds its headers.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        headers.insert("session-id", HeaderValue::from_str(&self.session)?);
        headers.insert("thread-id", HeaderValue::from_str(&self.thread)?);
        headers.insert("x-client-request-id", HeaderValue::from_str(&self.thread)?);
        headers.insert("x-codex-window-id", HeaderValue::from_str(&self.window)?);
        headers.insert("x-codex-turn-metadata", HeaderValue::from_str(&self.turn)?);
        if let Some(parent) = &self.parent {
            headers.insert("x-codex-parent-thread-id", HeaderValue::from_str(parent)?);
        }
        if let Some(subagent) = self.subagent {
            headers.insert("x-openai-subagent", HeaderValue::from_static(subagent));
        }
        Ok(())
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers are always JSON")
}

/// JSON in ASCII: everything else stands in strings, and is escaped there.
fn header_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn any_text_fits_into_a_header() {
        let text = "/root/Bäume 木 😀 \u{7f}\n\"x\"";
        let safe = header_safe(&json(&text));
        assert!(HeaderValue::from_str(&safe).is_ok() && safe.is_ascii(), "{safe}");
        assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), text);
    }
}
