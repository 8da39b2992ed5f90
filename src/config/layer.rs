//! A layer: one file or one flag, flattened to its keys and where each stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::path::{KeyPath, split_assignment};
use super::value::{HIDDEN, Raw, as_json, table_as_json};
use crate::exit::{Exit, Failure};

/// Bytes of a configuration file, at most: many times what a person writes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a layer stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// A client, for one thread.
    Client,
    /// The command line.
    Flag,
    /// The project of the working directory.
    Project,
    /// The profile that was chosen.
    Profile,
    /// The person's.
    User,
    /// The machine's.
    System,
}

impl Rank {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Rank::Client => "client",
            Rank::Flag => "flag",
            Rank::Project => "project",
            Rank::Profile => "profile",
            Rank::User => "user",
            Rank::System => "system",
        }
    }
}

/// What one file or one flag says.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Where it stands among the others.
    pub rank: Rank,
    /// The folder that its paths are seen from. None for a flag.
    pub folder: Option<PathBuf>,
    /// The file, if it is one or a table of one.
    pub file: Option<PathBuf>,
    /// All of it, whatever it is.
    pub tree: Map<String, Json>,
    /// Its keys, in the order in which they stand there.
    pub leaves: Vec<Leaf>,
}

/// A key with its value: no table, or an empty one.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its path.
    pub path: KeyPath,
    /// `file:line` of each part of the path, or the flag.
    pub places: Vec<String>,
    /// Its value.
    pub value: Raw,
}

/// A file that may be read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Where it stands.
    pub rank: Rank,
}

impl Layer {
    /// What a file says. `None` if there is none.
    pub fn read(source: &Source) -> Result<Option<Self>, Failure> {
        match text_of(&source.path)? {
            Some(text) => Self::parse(source, &text).map(Some),
            None => Ok(None),
        }
    }

    /// What a file with this text says.
    pub fn parse(source: &Source, text: &str) -> Result<Self, Failure> {
        let place = |span: &Range<usize>| {
            let before = text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n');
            format!("{}:{}", source.path.display(), 1 + before.count())
        };
        let table = DeTable::parse(text).map_err(|error| {
            let place = place(&error.span().unwrap_or(0..0));
            Failure::configuration(format!("{place}: {}", error.message()))
        })?;
        let mut leaves = Vec::new();
        flatten(table.get_ref(), &Leaf::root(), &place, &mut leaves);
        let folder = source.path.parent().map(Path::to_owned);
        let tree = table_as_json(table.get_ref());
        Ok(Self { rank: source.rank, folder, file: Some(source.path.clone()), tree, leaves })
    }

    /// What a `-c key=value` says. What is no TOML value is a string, so that nobody has to quote twice in a shell.
    pub fn flag(flag: &str) -> Result<Self, Failure> {
        let Some((key, value)) = split_assignment(flag) else {
            // Without a key there is no telling what it is.
            let shown = KeyPath::parse(flag).map_or(HIDDEN.to_owned(), |path| path.to_string());
            return Err(Failure::usage(format!("-c {shown}: `key=value` is needed")));
        };
        let Some(path) = KeyPath::parse(key) else {
            return Err(Failure::usage(format!("-c {key}={HIDDEN}: `{key}` is no key")));
        };
        let hides = keys::is_secret(&path.parts()) || value.contains('@');
        let place = if hides { format!("-c {key}={HIDDEN}") } else { format!("-c {flag}") };
        let document = format!("v = {value}");
        let parsed = DeTable::parse(&document).ok().filter(|table| table.get_ref().len() == 1);
        let above = Leaf { places: vec![place.clone(); path.0.len()], path: path.clone(), value: Raw::EmptyTable };
        let mut leaves = Vec::new();
        let json = match parsed.as_ref().and_then(|table| table.get_ref().get("v")) {
            Some(value) => {
                above.push(value, &|_| place.clone(), &mut leaves);
                as_json(value.get_ref())
            }
            None => {
                let text = value.trim_matches(|c| c == '"' || c == '\'').to_owned();
                leaves.push(Leaf { value: Raw::Text(text.clone()), ..above });
                Json::String(text)
            }
        };
        Ok(Self { rank: Rank::Flag, folder: None, file: None, tree: path.holding(json), leaves })
    }

    /// What a client says of one key, for one thread.
    pub fn client(key: &str, value: &Json) -> Result<Self, Failure> {
        let place = "config of the thread";
        let Some(path) = KeyPath::parse(key) else {
            return Err(Failure::usage(format!("{place}: `{}` is no key", crate::text::one_line(key, 60))));
        };
        let tree = path.clone().holding(value.clone());
        let above = Leaf { places: vec![place.to_owned(); path.0.len()], path, value: Raw::EmptyTable };
        let mut leaves = Vec::new();
        above.push_json(value, place, &mut leaves);
        Ok(Self { rank: Rank::Client, folder: None, file: None, tree, leaves })
    }

    /// The layer that a table in it is, as if its keys stood at the top.
    pub fn table(&self, prefix: &[&str], rank: Rank) -> Option<Self> {
        let inside = |leaf: &&Leaf| leaf.path.parts().starts_with(prefix);
        let leaves: Vec<Leaf> = self.leaves.iter().filter(inside).map(|leaf| leaf.below(prefix.len())).collect();
        if leaves.is_empty() {
            return None;
        }
        let inner = prefix.iter().try_fold(&self.tree, |tree, part| tree.get(*part)?.as_object());
        Some(Self {
            rank,
            folder: self.folder.clone(),
            file: self.file.clone(),
            tree: inner.cloned().unwrap_or_default(),
            leaves: leaves.into_iter().filter(|leaf| !leaf.path.0.is_empty()).collect(),
        })
    }

    /// What it says of one key, if it says a string.
    pub fn text(&self, path: &[&str]) -> Option<(&str, &str)> {
        let leaf = self.leaves.iter().find(|leaf| leaf.path.parts() == path)?;
        match &leaf.value {
            Raw::Text(text) => Some((text, leaf.place())),
            _ => None,
        }
    }

    /// A path in it, as seen from where it stands.
    pub fn seen(&self, path: &str) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("")).join(path)
    }
}

impl Leaf {
    fn root() -> Self {
        Self { path: KeyPath::default(), places: Vec::new(), value: Raw::EmptyTable }
    }

    /// Where the whole of it stands.
    pub fn place(&self) -> &str {
        self.places.last().map_or("", String::as_str)
    }

    fn below(&self, parts: usize) -> Self {
        Self {
            path: KeyPath(self.path.0[parts..].to_vec()),
            places: self.places[parts..].to_vec(),
            value: self.value.clone(),
        }
    }

    /// Pushes this key with a value, or the keys of a table.
    fn push(self, value: &Spanned<DeValue<'_>>, place: &dyn Fn(&Range<usize>) -> String, leaves: &mut Vec<Leaf>) {
        match value.get_ref() {
            DeValue::Table(table) if !table.is_empty() => flatten(table, &self, place, leaves),
            value => leaves.push(Leaf { value: Raw::of(value), ..self }),
        }
    }
}

impl Leaf {
    /// The same for what is JSON already. `null` says nothing.
    fn push_json(self, value: &Json, place: &str, leaves: &mut Vec<Leaf>) {
        let value = match value {
            Json::Null => return,
            Json::Object(table) if !table.is_empty() => {
                for (key, value) in table {
                    let mut leaf = self.clone();
                    leaf.path.0.push(key.clone());
                    leaf.places.push(place.to_owned());
                    leaf.push_json(value, place, leaves);
                }
                return;
            }
            Json::Object(_) => Raw::EmptyTable,
            Json::String(text) => Raw::Text(text.clone()),
            Json::Bool(value) => Raw::Boolean(*value),
            Json::Number(number) => Raw::Number(number.as_i64(), number.to_string()),
            Json::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                texts.map_or(Raw::Other("array"), Raw::Texts)
            }
        };
        leaves.push(Leaf { value, ..self });
    }
}

fn flatten(table: &DeTable<'_>, above: &Leaf, place: &dyn Fn(&Range<usize>) -> String, leaves: &mut Vec<Leaf>) {
    // As they stand in the file, so that warnings do. TOML's parser bounds how deep tables lie in one another.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let mut leaf = above.clone();
        leaf.path.0.push(key.get_ref().to_string());
        leaf.places.push(place(&key.span()));
        leaf.push(value, place, leaves);
    }
}

fn text_of(path: &Path) -> Result<Option<String>, Failure> {
    use std::io::{ErrorKind, Read};
    let refuse = |why: String| Failure::configuration(format!("{} {why}", path.display()));
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => None,
        _ => Some(refuse(format!("cannot be read: {error}"))),
    };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => return unreadable(error).map_or(Ok(None), Err),
    };
    if !meta.is_file() {
        // A pipe would be waited for.
        return Err(refuse("cannot be read: it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return unreadable(error).map_or(Ok(None), Err);
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse(format!("has more than {MAX_FILE_BYTES} bytes, which is no configuration")));
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse("is no valid UTF-8".to_owned()))?;
    Ok(Some(text))
}

/// Something that a person should know of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// None for what does not keep the program from running.
    pub exit: Option<Exit>,
    /// What it is, with its place.
    pub message: String,
}

impl Problem {
    /// What does not keep the program from running.
    pub fn warning(message: String) -> Self {
        Self { exit: None, message }
    }

    /// What does.
    pub fn error(message: String) -> Self {
        Self { exit: Some(Exit::Configuration), message }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self { exit: Some(failure.exit), message: failure.message }
    }
}
