//! A rollout line: its bytes, and the view that reads them.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::InputId;
use crate::time::Millis;

/// One line of a rollout, its newline included. Written once, then shared: the item inside is a slice of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(Bytes);

/// What Sapwood adds to a line with a Codex type, under the top-level key `sapwood`. Codex ignores the key; it
/// is never sent to a model, and it is atomic with its line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mark {
    /// Accepted inputs that this line puts into history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumes: Vec<InputId>,
    /// Why this line ended a turn, beyond what Codex's `reason` can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The output of a call that ended before an earlier call of its response: it enters history in call order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<EarlyOutput>,
    /// The turn that this line opens is for commands of the user: no model is asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shell: bool,
}

/// The text of a tool's output that waits for the calls before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyOutput {
    /// The call it answers.
    pub call: crate::ids::CallId,
    /// What the model will read.
    pub text: String,
}

/// What really ended a turn. Codex's own `reason` knows four words, and one that it does not know makes the
/// line vanish for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The process died with the turn open; the turn was closed when the tree was loaded.
    ProcessDeath,
    /// Interrupted by the requester of the turn: it is not told what it did itself.
    Requester,
    /// Interrupted by somebody else.
    Interrupted,
    /// Another program opened a turn in our thread.
    Foreign,
}

impl Mark {
    /// A mark that consumes one input.
    pub fn consumes(id: InputId) -> Self {
        Self { consumes: vec![id], ..Self::default() }
    }

    /// A mark that names the cause of a turn's end.
    pub fn cause(cause: Cause) -> Self {
        Self { cause: Some(cause), ..Self::default() }
    }
}

#[derive(Serialize)]
struct Out<'a, P: ?Sized> {
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinal: Option<u64>,
    r#type: &'a str,
    payload: &'a P,
    #[serde(skip_serializing_if = "Option::is_none")]
    sapwood: Option<&'a Mark>,
}

impl Line {
    /// Writes a line. `ordinal` is for Codex's kinds in a paginated file and for nothing else.
    pub fn encode<P: Serialize + ?Sized>(
        now: Millis,
        ordinal: Option<u64>,
        kind: &str,
        payload: &P,
        mark: Option<&Mark>,
    ) -> Self {
        assert!(ordinal.is_none() || !kind.starts_with("sapwood."), "our own kinds have no ordinal");
        let out = Out { timestamp: &now.timestamp(), ordinal, r#type: kind, payload, sapwood: mark };
        let mut bytes = Vec::with_capacity(512);
        // Our payloads are maps with text keys, and a Vec cannot refuse a write.
        serde_json::to_writer(&mut bytes, &out).expect("a payload serialises");
        bytes.push(b'\n');
        // Kept for as long as its item is in history: without the room that it grew into.
        bytes.shrink_to_fit();
        Self(bytes.into())
    }

    /// Takes bytes that already are a line. A missing newline is added, nothing else is looked at.
    pub fn from_bytes(bytes: Bytes) -> Self {
        if bytes.last() == Some(&b'\n') {
            return Self(bytes);
        }
        let mut whole = Vec::with_capacity(bytes.len() + 1);
        whole.extend_from_slice(&bytes);
        whole.push(b'\n');
        Self(whole.into())
    }

    /// The bytes, newline included.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the envelope. The payload stays bytes.
    pub fn view(&self) -> Result<View<'_>, LineError> {
        View::parse(&self.0)
    }

    /// The part of this line that `part` (taken from its view) covers, shared and not copied.
    pub fn share(&self, part: &str) -> Bytes {
        self.0.slice_ref(part.as_bytes())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.0).trim_end())
    }
}

/// A line that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object, or without `type` and `payload`.
    #[error("not a rollout line: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The payload is not what its type says.
    #[error("a `{kind}` line with an unexpected payload: {error}")]
    Payload {
        /// The type of the line.
        kind: String,
        /// What was wrong with it.
        #[source]
        error: serde_json::Error,
    },
}

/// The envelope of a line, borrowed from its bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct View<'a> {
    /// When the line was written, RFC 3339 in UTC.
    #[serde(borrow, default)]
    pub timestamp: Cow<'a, str>,
    /// The place in a paginated file; absent in legacy files and on our own lines.
    #[serde(default)]
    pub ordinal: Option<u64>,
    /// The kind of the line.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The payload, unread.
    #[serde(borrow)]
    pub payload: &'a RawValue,
    /// Codex's notes beside a response item, unread.
    #[serde(borrow, default)]
    pub metadata: Option<&'a RawValue>,
    /// Our mark, unread.
    #[serde(borrow, default)]
    pub sapwood: Option<&'a RawValue>,
}

impl<'a> View<'a> {
    /// Reads the envelope of one line; the newline may be there or not.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        serde_json::from_slice(line).map_err(LineError::Envelope)
    }

    /// Reads the payload as `T`.
    pub fn payload<T: Deserialize<'a>>(&self) -> Result<T, LineError> {
        serde_json::from_str(self.payload.get())
            .map_err(|error| LineError::Payload { kind: self.kind.clone().into_owned(), error })
    }

    /// The `type` inside the payload of `event_msg` and `response_item` lines; empty where there is none.
    pub fn tag(&self) -> Cow<'a, str> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow, default, rename = "type")]
            tag: Cow<'a, str>,
        }
        // It stands first in what both programs write, and payloads are long.
        let quick = || {
            let text = self.payload.get().strip_prefix("{\"type\":\"")?;
            let end = text.find(['"', '\\'])?;
            text[end..].starts_with('"').then(|| Cow::Borrowed(&text[..end]))
        };
        let whole = || serde_json::from_str::<Tag<'a>>(self.payload.get()).map(|t| t.tag).unwrap_or_default();
        quick().unwrap_or_else(whole)
    }

    /// Our mark; the empty one where there is none or it cannot be read.
    pub fn mark(&self) -> Mark {
        self.sapwood.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The time of writing.
    pub fn at(&self) -> Option<Millis> {
        Millis::parse(&self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_is_its_bytes() {
        let mark = Mark::consumes(InputId::from("u1"));
        let payload = json!({"type": "message", "role": "user"});
        let line = Line::encode(Millis(1_795_219_433_341), Some(7), "response_item", &payload, Some(&mark));
        assert_eq!(
            format!("{line:?}"),
            r#"{"timestamp":"2026-11-21T00:03:53.341Z","ordinal":7,"type":"response_item","payload":{"type":"message","role":"user"},"sapwood":{"consumes":["u1"]}}"#
        );
        let view = line.view().unwrap();
        assert_eq!((view.ordinal, &*view.kind, &*view.tag()), (Some(7), "response_item", "message"));
        assert_eq!(view.mark(), mark);
        let shared = line.share(view.payload.get());
        assert_eq!(shared, r#"{"type":"message","role":"user"}"#.as_bytes());
        assert_eq!(Line::from_bytes(line.bytes().clone()), line);
    }

    #[test]
    fn a_tag_is_told_wherever_it_stands() {
        for (payload, tag) in [
            (r#"{"type":"a","b":1}"#, "a"),
            (r#"{"type":"a"}"#, "a"),
            (r#"{"b":1,"type":"a"}"#, "a"),
            (r#"{"type":"a\u0062"}"#, "ab"),
            (r#"{ "type" : "a" }"#, "a"),
            (r#"{"type":1}"#, ""),
            ("[]", ""),
        ] {
            let line = format!(r#"{{"type":"event_msg","payload":{payload}}}"#);
            assert_eq!(View::parse(line.as_bytes()).unwrap().tag(), tag, "{payload}");
        }
    }

    #[test]
    fn what_is_no_line_says_so() {
        for bad in ["", "{", "[]", "{\"type\":\"x\"}", "{\"payload\":{}}", "nonsense"] {
            assert!(View::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        // Unknown keys and kinds are kept, not refused.
        let view = View::parse(br#"{"type":"new_kind","payload":{"a":1},"extra":true}"#).unwrap();
        assert_eq!((&*view.kind, view.payload.get()), ("new_kind", r#"{"a":1}"#));
    }

    #[test]
    #[should_panic(expected = "no ordinal")]
    fn own_kinds_take_no_ordinal() {
        Line::encode(Millis(0), Some(1), "sapwood.begun", &json!({}), None);
    }
}
