//! The JSON of a Responses stream, read loosely: a field of another type than ours is a field that is not there.

use bytes::Bytes;
use sapwood_protocol::Usage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One event, every field that any event of ours has.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Raw<'a>,
    pub(crate) item_id: Raw<'a>,
    pub(crate) output_index: Raw<'a>,
    pub(crate) summary_index: Raw<'a>,
    pub(crate) content_index: Raw<'a>,
    pub(crate) delta: Raw<'a>,
    pub(crate) item: Raw<'a>,
    pub(crate) response: Raw<'a>,
    pub(crate) metadata: Raw<'a>,
    pub(crate) headers: Raw<'a>,
    pub(crate) safety_buffering: Raw<'a>,
}

/// A response inside an event.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct WireResponse<'a> {
    #[serde(borrow)]
    pub(crate) id: Raw<'a>,
    pub(crate) model: Raw<'a>,
    pub(crate) usage: Raw<'a>,
    pub(crate) output: Raw<'a>,
    pub(crate) error: Raw<'a>,
    pub(crate) incomplete_details: Raw<'a>,
    pub(crate) metadata: Raw<'a>,
    pub(crate) headers: Raw<'a>,
    pub(crate) safety_buffering: Raw<'a>,
}

/// An item inside an event.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct WireItem<'a> {
    #[serde(borrow)]
    pub(crate) id: Raw<'a>,
    #[serde(rename = "type")]
    pub(crate) kind: Raw<'a>,
    pub(crate) name: Raw<'a>,
    pub(crate) namespace: Raw<'a>,
}

/// A value as it came, if it is there and not `null`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent, bound(deserialize = "'de: 'a"))]
pub(crate) struct Raw<'a>(#[serde(borrow)] pub(crate) Option<&'a RawValue>);

impl<'a> Raw<'a> {
    /// The value as a type; `None` where it is none.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Option<T> {
        self.0.and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// The value, if it is a string.
    pub(crate) fn text(self) -> Option<String> {
        self.read()
    }

    /// The value, if it is a whole number.
    pub(crate) fn number(self) -> Option<u64> {
        self.read()
    }

    /// The value, if it is an object.
    pub(crate) fn object<T: Deserialize<'a>>(self) -> Option<T> {
        self.0.and_then(|raw| object(raw.get().as_bytes()).ok())
    }

    /// One member of an object.
    pub(crate) fn member(self, key: &str) -> Option<&'a RawValue> {
        self.read::<std::collections::BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>>()?.remove(key)
    }
}

/// Reads an object. A derived reader would take an array for one too.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    match json.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(json).map_err(|error| error.to_string()),
        Some(_) => Err("it is no object".to_owned()),
    }
}

/// The bytes of a value as they came. A line end can stand between two tokens only, and must not stand in a rollout:
/// there it becomes a space.
pub(crate) fn bytes_of(raw: &RawValue) -> Bytes {
    let bytes = raw.get().as_bytes();
    if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
        return Bytes::copy_from_slice(bytes);
    }
    bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// The usage of a response. What the provider does not say is zero; a total that is missing is the sum.
pub(crate) fn usage_of(usage: Raw<'_>) -> Usage {
    let usage: Value = usage.read().unwrap_or_default();
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let input_tokens = number("/input_tokens").unwrap_or(0);
    let output_tokens = number("/output_tokens").unwrap_or(0);
    Usage {
        input_tokens,
        cached_input_tokens: number("/input_tokens_details/cached_tokens").unwrap_or(0),
        cache_write_input_tokens: number("/input_tokens_details/cache_write_tokens").unwrap_or(0),
        output_tokens,
        reasoning_output_tokens: number("/output_tokens_details/reasoning_tokens").unwrap_or(0),
        total_tokens: number("/total_tokens").unwrap_or(input_tokens.saturating_add(output_tokens)),
    }
}
