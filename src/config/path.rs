//! The path of a key: `model_providers."x.y".base_url`.

use std::fmt;

use serde_json::{Map, Value as Json};

/// The path of a key, by its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// Reads a dotted path. Parts with dots in them stand in quotes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let (part, after) = match rest.chars().next()? {
                quote @ ('"' | '\'') => rest[1..].split_once(quote)?,
                _ => rest.split_at(rest.find('.').unwrap_or(rest.len())),
            };
            let is_quoted = rest.starts_with(['"', '\'']);
            let part = if is_quoted { part } else { part.trim() };
            if part.is_empty() || (!is_quoted && part.contains(['"', '\''])) {
                return None;
            }
            parts.push(part.to_owned());
            match after.trim_start() {
                "" => return Some(Self(parts)),
                more => rest = more.strip_prefix('.')?.trim_start(),
            }
        }
    }

    /// The table that holds this value at this path, and nothing else.
    pub fn holding(self, value: Json) -> Map<String, Json> {
        let inner = self.0.into_iter().rev().fold(value, |value, part| Json::Object(Map::from_iter([(part, value)])));
        match inner {
            Json::Object(table) => table,
            // A path has a part.
            _ => Map::new(),
        }
    }

    /// Its parts.
    pub fn parts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl<'a> FromIterator<&'a str> for KeyPath {
    fn from_iter<T: IntoIterator<Item = &'a str>>(parts: T) -> Self {
        Self(parts.into_iter().map(str::to_owned).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            let is_bare = part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            if is_bare && !part.is_empty() { f.write_str(part)? } else { write!(f, "{part:?}")? }
        }
        Ok(())
    }
}

/// Splits `key=value` at the first `=` outside of quotes.
pub fn split_assignment(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '=') => return Some((text[..at].trim(), text[at + 1..].trim())),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_quotes_keep_their_dots() {
        for (text, parts, shown) in [
            ("model", &["model"][..], "model"),
            (" agents . max_depth ", &["agents", "max_depth"], "agents.max_depth"),
            (
                "model_providers.\"x.y\".base_url",
                &["model_providers", "x.y", "base_url"],
                "model_providers.\"x.y\".base_url",
            ),
            ("projects.'/a b'.trust_level", &["projects", "/a b", "trust_level"], "projects.\"/a b\".trust_level"),
        ] {
            let path = KeyPath::parse(text).unwrap();
            assert_eq!(path.parts(), parts);
            assert_eq!(path.to_string(), shown);
            assert_eq!(KeyPath::parse(shown), Some(path));
        }
        for text in ["", " ", ".", "a.", ".a", "a..b", "a.\"b", "\"a\"b", "a\"b\".c", "\"\""] {
            assert_eq!(KeyPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_assignment_is_split_outside_of_quotes() {
        assert_eq!(split_assignment("a = b=c"), Some(("a", "b=c")));
        assert_eq!(split_assignment("q.\"a=b\".c=1"), Some(("q.\"a=b\".c", "1")));
        assert_eq!(split_assignment("\"a=b"), None);
        assert_eq!(split_assignment("a"), None);
    }
}
