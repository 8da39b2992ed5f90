//! Two messages, value by value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::allowed;
use crate::ids::{Ids, is_id};

/// How a text ends that the recording holds only the beginning of.
const CUT: &str = "…[truncated]";
/// A report shows so much of a value.
const SHOWN_CHARS: usize = 160;

/// One place where we are not as recorded.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The method, and the path in its message, `[*]` for any place in a list.
    pub at: String,
    pub ours: String,
    pub theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    ours   {}\n    theirs {}", self.at, self.ours, self.theirs)
    }
}

/// What was found, and the ids that were paired on the way.
#[derive(Default)]
pub struct Comparison {
    pub ids: Ids,
    pub found: Vec<Difference>,
    /// The entries of the allow-list that were needed.
    pub used: BTreeSet<&'static str>,
}

impl Comparison {
    /// Compares two values at a path, ours first.
    pub fn values(&mut self, at: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Object(mine), Value::Object(yours)) => {
                // Some maps have ids for keys.
                let mine: BTreeMap<String, &Value> = mine.iter().map(|(key, v)| (self.ids.to_theirs(key), v)).collect();
                let keys: BTreeSet<&String> = mine.keys().chain(yours.keys()).collect();
                // Maps last: what their keys name is paired by then.
                let (maps, others): (Vec<_>, Vec<_>) =
                    keys.into_iter().partition(|key| yours.get(*key).is_some_and(Value::is_object));
                for key in others.into_iter().chain(maps) {
                    let at = format!("{at}.{}", if is_id(key) { "[*]" } else { key });
                    match (mine.get(key).copied(), yours.get(key)) {
                        (Some(mine), Some(yours)) => self.values(&at, mine, yours),
                        (mine, yours) => self.differ(&at, mine, yours),
                    }
                }
            }
            (Value::Array(mine), Value::Array(yours)) if mine.len() == yours.len() => {
                let at = format!("{at}[*]");
                mine.iter().zip(yours).for_each(|(mine, yours)| self.values(&at, mine, yours));
            }
            (Value::String(mine), Value::String(yours)) if self.same_text(at, mine, yours) => {}
            // Requests of the server are counted over all that the process did before; ours have ids that outlive it.
            (mine, yours) if at.ends_with(".requestId") => {
                if !self.ids.pair(&format!("request {yours}"), &format!("request {mine}")) {
                    self.differ(at, Some(ours), Some(theirs));
                }
            }
            _ if ours == theirs => {}
            _ => self.differ(at, Some(ours), Some(theirs)),
        }
    }

    /// Notes a difference that nobody allowed.
    pub fn differ(&mut self, at: &str, ours: Option<&Value>, theirs: Option<&Value>) {
        match allowed::of(at) {
            Some(allowed) if allowed.allows(ours, theirs) => {
                self.used.insert(allowed.at);
            }
            _ => self.found.push(Difference { at: at.to_owned(), ours: shown(ours), theirs: shown(theirs) }),
        }
    }

    fn same_text(&mut self, at: &str, ours: &str, theirs: &str) -> bool {
        if let Some(start) = theirs.strip_suffix(CUT) {
            return self.ids.to_theirs(ours).starts_with(start);
        }
        // A cursor is the server's own, like an id.
        if (is_id(ours) && is_id(theirs)) || at.ends_with("ursor") {
            return self.ids.pair(theirs, ours);
        }
        ours == theirs || self.ids.to_theirs(ours) == theirs
    }
}

fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "(not there)".to_owned(), Value::to_string);
    text.chars().take(SHOWN_CHARS).collect()
}
