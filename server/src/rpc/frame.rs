//! One frame: a request, a notification, an answer, or nothing that can be answered.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::{FRAME_DEPTH, RequestId, RpcError, Trace};

/// A call of a client, not yet looked up.
#[derive(Debug)]
pub struct Request {
    /// What its answer is called.
    pub id: RequestId,
    /// What is called.
    pub method: Box<str>,
    /// As they came. Absent and `null` are the same.
    pub params: Option<Box<RawValue>>,
    /// Where it stands in the client's trace.
    pub trace: Option<Trace>,
}

/// What a client answers to a request of ours.
pub type Answered = Result<Box<RawValue>, RpcError>;

/// What one frame says.
#[derive(Debug)]
pub enum Frame {
    /// Gets exactly one answer.
    Request(Request),
    /// Gets none.
    Notification(Box<str>),
    /// Answers a request of ours, or one nobody made.
    Answer(RequestId, Answered),
    /// A request that cannot be taken further.
    Refused(RequestId, RpcError),
    /// Nobody to answer; the connection stays.
    Nothing(Nothing),
}

/// Why a frame is nothing.
#[derive(Debug, thiserror::Error)]
pub enum Nothing {
    /// Bytes that are no text.
    #[error("it is not UTF-8")]
    NotText,
    /// Not JSON, or not one object with the keys of an envelope.
    #[error("it is no message: {0}")]
    NoMessage(#[from] serde_json::Error),
    /// Neither a method nor an answer, or an answer to nobody.
    #[error("it has neither a method nor an answer with an id")]
    NoMeaning,
    /// Too many arrays and objects within each other.
    #[error("it is nested deeper than {FRAME_DEPTH}")]
    TooDeep,
    /// It begins like too long a message, and no id was seen in time.
    #[error("it is too long")]
    TooLong,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A `null` is a result too.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Frame {
    /// Reads one frame. Never fails: what cannot be read is [`Frame::Nothing`].
    pub fn read(bytes: &[u8]) -> Self {
        Self::try_read(bytes).unwrap_or_else(Self::Nothing)
    }

    fn try_read(bytes: &[u8]) -> Result<Self, Nothing> {
        let text = std::str::from_utf8(bytes).map_err(|_| Nothing::NotText)?;
        // serde also reads a struct from an array; the envelope is an object.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Nothing::NoMeaning);
        }
        let envelope: Envelope<'_> = serde_json::from_str(text)?;
        let had_id = envelope.id.is_some();
        let id = envelope.id.and_then(|id| serde_json::from_str::<RequestId>(id.get()).ok());
        let is_deep = depth(text) > FRAME_DEPTH;
        match (envelope.method, id) {
            (Some(_), Some(id)) if is_deep => {
                Ok(Self::Refused(id, RpcError::malformed(format_args!("nested deeper than {FRAME_DEPTH}"))))
            }
            _ if is_deep => Err(Nothing::TooDeep),
            (Some(method), Some(id)) => Ok(Self::Request(Request {
                id,
                method: method.into_owned().into_boxed_str(),
                params: envelope.params.map(ToOwned::to_owned),
                trace: envelope.trace.and_then(|trace| serde_json::from_str(trace.get()).ok()),
            })),
            // An id that is none makes neither a request nor a notification.
            (Some(_), None) if had_id => Err(Nothing::NoMeaning),
            (Some(method), None) => Ok(Self::Notification(method.into_owned().into_boxed_str())),
            (None, Some(id)) => match (envelope.result, envelope.error) {
                (_, Some(error)) => Ok(Self::Answer(id, Err(serde_json::from_str(error.get())?))),
                (Some(result), None) => Ok(Self::Answer(id, Ok(result.to_owned()))),
                (None, None) => Err(Nothing::NoMeaning),
            },
            (None, None) => Err(Nothing::NoMeaning),
        }
    }
}

/// How deep arrays and objects lie within each other in a text that is JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => drop(bytes.next()),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    deepest
}

/// The id in the beginning of a frame whose end is not there, if it stands there whole.
pub fn early_id(beginning: &[u8]) -> Option<RequestId> {
    struct Keys<'a>(&'a RefCell<Option<RequestId>>);
    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if key == "id" {
                    // Also set where the rest of the map cannot be read.
                    return map.next_value::<RequestId>().map(|id| drop(self.0.replace(Some(id))));
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }
    impl<'de> DeserializeSeed<'de> for Keys<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
            from.deserialize_map(self)
        }
    }
    let found = RefCell::new(None);
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // The cut may go through a character.
        Err(error) => std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default(),
    };
    // It fails at the cut at the latest; what was seen until then counts.
    let _: Result<(), de::value::Error> =
        Keys(&found).deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(de::Error::custom);
    // A number at the cut may have more digits behind it.
    found.into_inner().filter(|id| !matches!(id, RequestId::Number(number) if text.ends_with(&number.to_string())))
}
