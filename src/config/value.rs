//! Values: as they stand in a layer, and as the kind of their key makes them.

use std::fmt;

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};

use super::keys::Kind;

/// A value as it stands in a layer. No used key takes more than one line, so the rest is told by its type alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// A string.
    Text(String),
    /// A whole number, as far as it can be held.
    Number(Option<i64>, String),
    /// `true` or `false`.
    Boolean(bool),
    /// A list of strings.
    Texts(Vec<String>),
    /// A table with nothing in it.
    EmptyTable,
    /// Of this type.
    Other(&'static str),
}

impl Raw {
    /// Of a value that is no table, or an empty one.
    pub fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                Raw::Number(parsed, number.as_str().to_owned())
            }
            DeValue::Boolean(value) => Raw::Boolean(*value),
            DeValue::Table(_) => Raw::EmptyTable,
            DeValue::Array(items) => {
                let text = |item: &toml::Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
                let texts: Option<Vec<String>> = items.iter().map(text).collect();
                texts.map_or(Raw::Other(value.type_str()), Raw::Texts)
            }
            other => Raw::Other(other.type_str()),
        }
    }

    /// The value as its key needs it, or what would be allowed. What `secret` keys hold is not repeated.
    pub fn read(&self, kind: Kind) -> Result<Value, String> {
        let wrong = |allowed: &str| Err(format!("must be {allowed}, and is {}", self.shown(kind)));
        match (kind, self) {
            (Kind::Text | Kind::Path | Kind::Url, Raw::Text(text)) if !text.trim().is_empty() => {
                Ok(Value::Text(text.clone()))
            }
            (Kind::Paths, Raw::Texts(texts)) => Ok(Value::Texts(texts.clone())),
            (Kind::Secret, Raw::Text(text)) => Ok(Value::Secret(Hidden(text.clone()))),
            (Kind::OneOf(allowed), Raw::Text(text)) if allowed.contains(&&**text) => Ok(Value::Text(text.clone())),
            (Kind::Boolean, Raw::Boolean(value)) => Ok(Value::Boolean(*value)),
            (Kind::Number(min, max), Raw::Number(Some(number), _)) if (min..=max).contains(number) => {
                Ok(Value::Number(*number))
            }
            (Kind::Unsupported, _) => Ok(Value::Secret(Hidden(String::new()))),
            (Kind::Text | Kind::Path | Kind::Url, Raw::Text(_)) => wrong("some text"),
            (Kind::Text | Kind::Secret | Kind::Path | Kind::Url, _) => wrong("a string"),
            (Kind::Paths, _) => wrong("a list of strings"),
            (Kind::OneOf(allowed), _) => wrong(&listed(allowed)),
            (Kind::Boolean, _) => wrong("true or false"),
            (Kind::Number(min, max), _) => wrong(&format!("a whole number from {min} to {max}")),
        }
    }

    /// What it is, for a person.
    pub fn shown(&self, kind: Kind) -> String {
        match self {
            Raw::Text(_) if matches!(kind, Kind::Secret | Kind::Url | Kind::Unsupported) => "a string".to_owned(),
            Raw::Number(..) if kind == Kind::Secret => "a number".to_owned(),
            Raw::Text(text) => format!("\"{}\"", crate::text::one_line(text, 60)),
            Raw::Number(_, text) => text.clone(),
            Raw::Boolean(value) => value.to_string(),
            Raw::Texts(_) => "a value of type array".to_owned(),
            Raw::EmptyTable => "a value of type table".to_owned(),
            Raw::Other(name) => format!("a value of type {name}"),
        }
    }
}

/// `a`, `b` or `c`.
fn listed(allowed: &[&str]) -> String {
    let quoted: Vec<String> = allowed.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A value of a used key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Some text, a path among them.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// Several texts.
    Texts(Vec<String>),
    /// What nobody is shown.
    Secret(Hidden),
}

impl Value {
    /// For a person to see.
    pub fn json(&self) -> Json {
        match self {
            // An address may hold a password, or a key in its parameters.
            Value::Text(text) if text.contains("://") && text.contains(['@', '?']) => json!(HIDDEN),
            Value::Text(text) => json!(text),
            Value::Number(number) => json!(number),
            Value::Boolean(value) => json!(value),
            Value::Texts(texts) => json!(texts),
            Value::Secret(_) => json!(HIDDEN),
        }
    }
}

/// A value as JSON, whatever it is: numbers that JSON cannot hold are texts, and a time is what TOML's serde makes of it,
/// as in Codex.
pub fn as_json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => json!(number),
            Err(_) => json!(number.as_str()),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => json!(number),
            None => json!(number.as_str()),
        },
        DeValue::Boolean(value) => json!(value),
        DeValue::Datetime(time) => json!({"$__toml_private_datetime": time.to_string()}),
        DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
        DeValue::Table(table) => Json::Object(table_as_json(table)),
    }
}

/// A table as JSON, in the order in which it stands there.
pub fn table_as_json(table: &DeTable<'_>) -> Map<String, Json> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter().map(|(key, value)| (key.get_ref().to_string(), as_json(value.get_ref()))).collect()
}

/// What a person is shown of a secret.
pub const HIDDEN: &str = "***";

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_repeated() {
        let secret = Raw::Text("sk-1".into());
        let value = secret.read(Kind::Secret).unwrap();
        assert_eq!(value.json(), "***");
        assert_eq!(format!("{value:?}"), "Secret(***)");
        assert_eq!(Value::Text("https://a:b@c/v1".into()).json(), "***");
        assert_eq!(Value::Text("https://c/v1".into()).json(), "https://c/v1");
        assert_eq!(
            Raw::Number(Some(7), "7".into()).read(Kind::Secret),
            Err("must be a string, and is a number".into())
        );
    }

    #[test]
    fn what_is_allowed_is_said() {
        let one = Kind::OneOf(&["a", "b", "c"]);
        assert_eq!(Raw::Text("d".into()).read(one), Err("must be `a`, `b` or `c`, and is \"d\"".into()));
        assert_eq!(Raw::EmptyTable.read(one), Err("must be `a`, `b` or `c`, and is a value of type table".into()));
        assert_eq!(Raw::Text(" ".into()).read(Kind::Text), Err("must be some text, and is \"\"".into()));
        assert_eq!(
            Raw::Boolean(true).read(Kind::Number(1, 2)),
            Err("must be a whole number from 1 to 2, and is true".into())
        );
    }
}
