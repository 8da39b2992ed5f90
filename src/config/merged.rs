//! Layers made one: of each key, what the first layer says that sets it.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{self, Kind, Known};
use super::layer::{Layer, Leaf, Problem, Rank};
use super::path::KeyPath;
use super::value::Value;

/// What is set, by path.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    set: BTreeMap<KeyPath, Set>,
}

/// A value that was set, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The value.
    pub value: Value,
    /// `file:line`, or the flag.
    pub place: String,
    /// The kind of layer.
    pub rank: Rank,
    /// How many layers come before the one that set it.
    pub layer: usize,
}

impl Merged {
    /// Takes the layers in, the first one first. Each value is looked at, whether or not it counts.
    pub fn of(layers: &[Layer], problems: &mut Vec<Problem>) -> Self {
        let mut merged = Self::default();
        for (number, layer) in layers.iter().enumerate() {
            // Said once for a table, however much is in it.
            let mut said = BTreeSet::new();
            for leaf in &layer.leaves {
                match Verdict::of(layer, leaf) {
                    Verdict::Set(value) => {
                        let place = leaf.place().to_owned();
                        let set = Set { value, place, rank: layer.rank, layer: number };
                        merged.set.entry(leaf.path.clone()).or_insert(set);
                    }
                    Verdict::Passes => {}
                    Verdict::Problem { parts, problem } => {
                        if said.insert(leaf.path.0[..parts].to_vec()) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        merged
    }

    /// What is set at a path.
    pub fn get(&self, path: &[&str]) -> Option<&Set> {
        self.set.get(&path.iter().copied().collect::<KeyPath>())
    }

    /// A text, and its place.
    pub fn text(&self, path: &[&str]) -> Option<String> {
        match &self.get(path)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, path: &[&str]) -> Option<u64> {
        match &self.get(path)?.value {
            Value::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, path: &[&str]) -> Option<bool> {
        match &self.get(path)?.value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// What is set below a path, with the rest of its path.
    pub fn below<'a>(&'a self, path: &'a [&'a str]) -> impl Iterator<Item = (&'a [String], &'a Set)> {
        let inside = |(key, set)| Some((Self::rest(key, path)?, set));
        self.set.iter().filter_map(inside)
    }

    fn rest<'a>(key: &'a KeyPath, path: &[&str]) -> Option<&'a [String]> {
        let (above, rest) = key.0.split_at_checked(path.len())?;
        (above.iter().zip(path).all(|(own, part)| own == part) && !rest.is_empty()).then_some(rest)
    }

    /// Several texts.
    pub fn texts(&self, path: &[&str]) -> Option<Vec<String>> {
        match &self.get(path)?.value {
            Value::Texts(texts) => Some(texts.clone()),
            _ => None,
        }
    }

    /// Everything that is set.
    pub fn all(&self) -> impl Iterator<Item = (&KeyPath, &Set)> {
        self.set.iter()
    }
}

/// What becomes of a leaf.
enum Verdict {
    Set(Value),
    Passes,
    /// Of the first so many parts of the path.
    Problem {
        parts: usize,
        problem: Problem,
    },
}

impl Verdict {
    fn of(layer: &Layer, leaf: &Leaf) -> Self {
        let path = leaf.path.parts();
        let problem = |parts: usize, problem: Problem| Verdict::Problem { parts, problem };
        for parts in 1..=path.len() {
            let (key, place) = (&path[..parts], &leaf.places[parts - 1]);
            let shown = KeyPath::from_iter(key.iter().copied());
            let is_last = parts == path.len();
            let is_table = !is_last || leaf.value == super::value::Raw::EmptyTable;
            if layer.rank == Rank::Client && keys::is_refused_of_a_client(key) {
                let why = "a client may not set it for a thread; it belongs into the configuration of the server";
                return problem(parts, Problem::warning(format!("{place}: `{shown}` is not used: {why}")));
            }
            if layer.rank == Rank::Project && keys::is_refused_in_project(key) {
                let why = "the configuration of a project may not set it; it belongs into your own";
                return problem(parts, Problem::warning(format!("{place}: `{shown}` is not used: {why}")));
            }
            if layer.rank == Rank::Profile && matches!(key, ["profile" | "profiles"]) {
                return problem(parts, Problem::warning(format!("{place}: `{shown}` has no effect in a profile")));
            }
            let wrong = |why: &str| problem(parts, Problem::error(format!("{place}: `{shown}` {why}")));
            match keys::known(key, is_table) {
                Known::Used(used) if is_last => return Self::value(layer, leaf, used.kind),
                Known::Used(used) if used.kind == Kind::Unsupported => return Self::value(layer, leaf, used.kind),
                Known::Used(used) => {
                    let why = super::value::Raw::EmptyTable.read(used.kind).err().unwrap_or_default();
                    return wrong(&why);
                }
                Known::Table if !is_table => {
                    let found = leaf.value.shown(if keys::is_secret(key) { Kind::Secret } else { Kind::Text });
                    return wrong(&format!("must be a table, and is {found}"));
                }
                Known::Table => {}
                Known::Passes => return Verdict::Passes,
                Known::Unknown => return problem(parts, unknown(layer, key, place)),
            }
        }
        Verdict::Passes
    }

    fn value(layer: &Layer, leaf: &Leaf, kind: Kind) -> Self {
        let path = leaf.path.parts();
        match leaf.value.read(kind) {
            Ok(Value::Texts(texts)) if kind == Kind::Paths => {
                let seen = |text: &String| layer.seen(text).into_os_string().into_string().ok();
                match texts.iter().map(seen).collect() {
                    Some(paths) => Verdict::Set(Value::Texts(paths)),
                    None => Self::wrong(leaf, "lies in a folder whose name is no valid UTF-8"),
                }
            }
            Ok(Value::Text(text)) if kind == Kind::Path => match layer.seen(&text).into_os_string().into_string() {
                Ok(path) => Verdict::Set(Value::Text(path)),
                Err(_) => Self::wrong(leaf, "lies in a folder whose name is no valid UTF-8"),
            },
            Ok(value) => Verdict::Set(value),
            Err(_)
                if path.len() == 3 && path[2] == "wire_api" && leaf.value == super::value::Raw::Text("chat".into()) =>
            {
                Self::wrong(
                    leaf,
                    "is `chat`, which neither Codex nor we speak any more; if the provider has the Responses API, \
                     set it to `responses`",
                )
            }
            Err(why) => Self::wrong(leaf, &why),
        }
    }

    fn wrong(leaf: &Leaf, why: &str) -> Self {
        let message = format!("{}: `{}` {why}", leaf.place(), leaf.path);
        Verdict::Problem { parts: leaf.path.0.len(), problem: Problem::error(message) }
    }
}

fn unknown(layer: &Layer, key: &[&str], place: &str) -> Problem {
    let meant = keys::meant(key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let shown = KeyPath::from_iter(key.iter().copied());
    let message = format!("{place}: unknown configuration key `{shown}`{meant}");
    let is_ours = layer.rank == Rank::Flag || key.first() == Some(&"sapwood");
    if is_ours { Problem::error(message) } else { Problem::warning(message) }
}
