//! What a line is, told from its first bytes. Most lines of a rollout mean nothing to clients, and reading all of them as JSON
//! would be most of the work.

use std::borrow::Cow;

use sapwood_protocol::View;

/// The head of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peek<'a> {
    pub(crate) timestamp: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) ordinal: Option<u64>,
    /// The type inside the payload, where it was as easy to tell.
    pub(crate) tag: Option<&'a str>,
}

impl<'a> Peek<'a> {
    /// Both programs write the keys in one order; a line that has another is read as JSON. `None` for what is no line.
    pub(crate) fn of(line: &'a [u8]) -> Option<Self> {
        Self::quick(line).or_else(|| {
            let view = View::parse(line).ok()?;
            Some(Self { timestamp: view.timestamp, kind: view.kind, ordinal: view.ordinal, tag: None })
        })
    }

    fn quick(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"timestamp\":\"")?;
        let (timestamp, rest) = word(rest)?;
        let (ordinal, rest) = match rest.strip_prefix(b",\"ordinal\":") {
            Some(rest) => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (number, rest) = rest.split_at(digits);
                (Some(std::str::from_utf8(number).ok()?.parse().ok()?), rest)
            }
            None => (None, rest),
        };
        let (kind, rest) = word(rest.strip_prefix(b",\"type\":\"")?)?;
        let rest = rest.strip_prefix(b",\"payload\":{")?;
        let tag = rest.strip_prefix(b"\"type\":\"").and_then(word).map(|(tag, _)| tag);
        Some(Self { timestamp: timestamp.into(), kind: kind.into(), ordinal, tag })
    }
}

/// A text without escapes, up to its quote, and what follows it.
pub(super) fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', text)?;
    let (word, rest) = text.split_at(end);
    Some((std::str::from_utf8(word).ok()?, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_from_its_first_bytes_or_as_json() {
        let of = |line: &'static str| Peek::of(line.as_bytes());
        let peek =
            |kind: &'static str, ordinal, tag| Some(Peek { timestamp: "t".into(), kind: kind.into(), ordinal, tag });
        let quick = r#"{"timestamp":"t","ordinal":7,"type":"event_msg","payload":{"type":"task_started"}}"#;
        assert_eq!(of(quick), peek("event_msg", Some(7), Some("task_started")));
        let legacy = r#"{"timestamp":"t","type":"event_msg","payload":{"type":"user_message"}}"#;
        assert_eq!(of(legacy), peek("event_msg", None, Some("user_message")));
        // Broken behind its head: what it is can be told all the same.
        assert_eq!(of(r#"{"timestamp":"t","ordinal":7,"type":"x","payload":{"#), peek("x", Some(7), None));
        let other = r#"{"ordinal":3,"type":"event_msg","payload":{"type":"y"},"timestamp":"t"}"#;
        assert_eq!(of(other), peek("event_msg", Some(3), None));
        for bad in ["", "{", "[]", r#"{"timestamp":"t","ordinal":"#, r#"{"timestamp":"t"}"#] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
