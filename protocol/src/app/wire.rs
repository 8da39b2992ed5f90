//! How params are read: strict about what is wrong, with the words that clients know, and with `null` told from absent.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads params or an answer. The error is what is wrong with it, without a position: positions in one field of a message
/// say nothing to its sender.
pub fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(json.get()).map_err(|error| {
        let mut why = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        why.truncate(why.strip_suffix(&position).map_or(why.len(), str::len));
        why
    })
}

/// A field that was given, also as `null`: together with `#[serde(default)]`, `None` is absent and `Some(None)` is `null`.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Tier {
        #[serde(default, deserialize_with = "given")]
        tier: Option<Option<String>>,
    }

    fn tier(json: &str) -> Result<Tier, String> {
        read(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn null_is_not_absent() {
        assert_eq!(tier("{}"), Ok(Tier { tier: None }));
        assert_eq!(tier(r#"{"tier":null}"#), Ok(Tier { tier: Some(None) }));
        assert_eq!(tier(r#"{"tier":"fast","more":1}"#), Ok(Tier { tier: Some(Some("fast".to_owned())) }));
    }

    #[test]
    fn an_error_has_no_position() {
        assert_eq!(tier(r#"{"tier":5}"#), Err("invalid type: integer `5`, expected a string".to_owned()));
    }
}
