//! Two messages, value by value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::allowed::{self, CHILD};
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
            (Value::Array(mine), Value::Array(yours)) if lists_items(at) => self.items(at, mine, yours),
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

    /// The items of a turn, each named by its type.
    fn items(&mut self, at: &str, ours: &[Value], theirs: &[Value]) {
        let of_child = if at.split(' ').next().is_some_and(|method| method.ends_with(CHILD)) { CHILD } else { "" };
        let name = |item: &Value| format!("item/listed({}){of_child}", kind(item).unwrap_or_default());
        for pair in align(ours, theirs, |ours, theirs| kind(ours) == kind(theirs)) {
            match pair {
                (Some(ours), Some(theirs)) => self.values(&format!("{} {at}[*]", name(ours)), ours, theirs),
                (ours, theirs) => self.differ(&ours.or(theirs).map(name).unwrap_or_default(), ours, theirs),
            }
        }
    }

    /// Notes a difference that nobody allowed.
    pub fn differ(&mut self, at: &str, ours: Option<&Value>, theirs: Option<&Value>) {
        match allowed::of(at).find(|allowed| allowed.allows(ours, theirs)) {
            Some(allowed) => {
                self.used.insert(allowed.at);
            }
            None => self.found.push(Difference { at: at.to_owned(), ours: shown(ours), theirs: shown(theirs) }),
        }
    }

    fn same_text(&mut self, at: &str, ours: &str, theirs: &str) -> bool {
        // What a mode says to the model is the server's own text, which clients say back to it.
        if at.ends_with(".settings.developer_instructions") {
            return self.ids.pair(theirs, ours);
        }
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

/// True for the items of a turn, and for a page of those of a thread.
fn lists_items(at: &str) -> bool {
    at.ends_with(".items") || at.starts_with("thread/items/list") && at.ends_with(" result.data")
}

/// The type of an item, also of one that is listed with its turn.
fn kind(item: &Value) -> Option<&str> {
    item["item"]["type"].as_str().or(item["type"].as_str())
}

/// Both lists in one, with what is the same side by side, as much as can be.
pub fn align<'a, T>(
    ours: &'a [T],
    theirs: &'a [T],
    same: impl Fn(&T, &T) -> bool,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut common = vec![vec![0; theirs.len() + 1]; ours.len() + 1];
    for (i, mine) in ours.iter().enumerate().rev() {
        for (j, yours) in theirs.iter().enumerate().rev() {
            let skip = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if same(mine, yours) { common[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j, mut aligned) = (0, 0, Vec::new());
    while i < ours.len() || j < theirs.len() {
        let pair = match (ours.get(i), theirs.get(j)) {
            (Some(mine), Some(yours)) if same(mine, yours) => (Some(mine), Some(yours)),
            (Some(mine), yours) if yours.is_none() || common[i + 1][j] >= common[i][j + 1] => (Some(mine), None),
            (_, yours) => (None, yours),
        };
        (i, j) = (i + usize::from(pair.0.is_some()), j + usize::from(pair.1.is_some()));
        aligned.push(pair);
    }
    aligned
}

#[test]
fn what_is_the_same_stands_side_by_side() {
    let pairs = align(&["a", "x", "b"], &["a", "b", "c"], |ours, theirs| ours == theirs);
    assert_eq!(pairs, [(Some(&"a"), Some(&"a")), (Some(&"x"), None), (Some(&"b"), Some(&"b")), (None, Some(&"c"))]);
}

fn shown(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "(not there)".to_owned(), Value::to_string);
    text.chars().take(SHOWN_CHARS).collect()
}
