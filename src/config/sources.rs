//! Which files the configuration comes from, and in which order.

use std::path::{Path, PathBuf};

use sapwood_actors::git;
use serde_json::{Map, Value as Json};

use super::layer::{Layer, Problem, Rank, Source};
use super::trust::{Decisions, Trust};
use crate::home::Homes;

/// Where configuration is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The homes.
    pub homes: &'a Homes,
    /// The directory whose project counts; without one, none does.
    pub cwd: Option<&'a Path>,
    /// The profile that was asked for.
    pub profile: Option<&'a str>,
    /// Each `-c key=value`.
    pub overrides: &'a [String],
    /// What a client says for one thread: key and value.
    pub client: Option<&'a Map<String, Json>>,
}

/// A file of the configuration, and what became of it.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is, or would be.
    pub source: Source,
    /// What became of it.
    pub state: State,
    /// A project's is trusted; all others are.
    pub is_trusted: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was read.
    Read,
    /// There is none.
    Missing,
    /// It was read as another one.
    Same,
    /// There is one, and its project is not trusted.
    Untrusted,
    /// It cannot be used.
    Wrong,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            State::Read => "read",
            State::Missing => "missing",
            State::Same => "the same as another one",
            State::Untrusted => "not trusted",
            State::Wrong => "cannot be used",
        }
    }
}

impl File {
    fn new(source: Source, state: State) -> Self {
        Self { source, state, is_trusted: true }
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The layers, the one that counts most first.
    pub layers: Vec<Layer>,
    /// What projects say that nobody trusts. It does not count.
    pub untrusted: Vec<Layer>,
    /// The files, in the same order.
    pub files: Vec<File>,
    /// The profile that is used.
    pub profile: Option<String>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    /// What a person may want to know.
    pub notes: Vec<String>,
    /// What a person said of the project.
    pub trust: Trust,
}

/// Reads each file once, whatever its names.
#[derive(Default)]
struct Reader {
    seen: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Reader {
    fn read(&mut self, path: PathBuf, rank: Rank) -> (File, Option<Layer>) {
        let source = Source { path, rank };
        let real = source.path.canonicalize().unwrap_or_else(|_| source.path.clone());
        if self.seen.contains(&real) {
            return (File::new(source, State::Same), None);
        }
        let (state, layer) = match Layer::read(&source) {
            Ok(Some(layer)) => (State::Read, Some(layer)),
            Ok(None) => return (File::new(source, State::Missing), None),
            Err(failure) => {
                self.problems.push(failure.into());
                (State::Wrong, None)
            }
        };
        self.seen.push(real);
        (File::new(source, state), layer)
    }
}

/// Files and their layers.
#[derive(Default)]
struct Part {
    files: Vec<File>,
    layers: Vec<Layer>,
    untrusted: Vec<Layer>,
}

impl Part {
    fn push(&mut self, (file, layer): (File, Option<Layer>)) {
        self.files.push(file);
        self.layers.extend(layer);
    }
}

impl Places<'_> {
    /// Finds and reads everything. What cannot be read is a problem, and the rest is read.
    pub fn read(&self) -> Found {
        let mut reader = Reader::default();
        let flags = self.flags(&mut reader);
        let mut users = Part::default();
        for folder in self.folders() {
            users.push(reader.read(folder.join("config.toml"), Rank::User));
        }
        let mut system = Part::default();
        for path in &self.homes.system {
            system.push(reader.read(path.clone(), Rank::System));
        }
        let own = || flags.iter().chain(&users.layers).chain(&system.layers);
        let chosen = self.profile.map(|name| (name, "-p"));
        let chosen = chosen.or_else(|| own().find_map(|layer| layer.text(&["profile"])));
        let profile = chosen.map(|(name, place)| self.profile(name, place, own(), &mut reader)).unwrap_or_default();
        let decisions = Decisions::of(flags.iter().chain(&profile.layers).chain(&users.layers).chain(&system.layers));
        let mut notes = Vec::new();
        let project = self.cwd.map(|cwd| self.project(cwd, &decisions, &mut reader, &mut notes)).unwrap_or_default();
        let untrusted = project.untrusted.clone();
        let profile_name = chosen.map(|(name, _)| name.to_owned());
        let parts = [project, profile, users, system];
        let (files, layers): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.files, part.layers)).unzip();
        Found {
            untrusted,
            layers: flags.into_iter().chain(layers.into_iter().flatten()).collect(),
            files: files.into_iter().flatten().collect(),
            profile: profile_name,
            problems: reader.problems,
            notes,
            trust: self.cwd.map_or(Trust::Unknown, |cwd| decisions.about(cwd, git::root(cwd).unwrap_or(cwd))),
        }
    }

    /// What a client says, then the command line, the last one first.
    fn flags(&self, reader: &mut Reader) -> Vec<Layer> {
        let client = self.client.into_iter().flatten().map(|(key, value)| Layer::client(key, value));
        let flags = client.chain(self.overrides.iter().rev().map(|flag| Layer::flag(flag)));
        flags.filter_map(|flag| flag.map_err(|failure| reader.problems.push(failure.into())).ok()).collect()
    }

    /// The person's folders, ours first.
    fn folders(&self) -> [&Path; 3] {
        [&*self.homes.home, &*self.homes.config, &*self.homes.codex]
    }

    /// A profile: its own file in each folder of the person, and the table of its name in each `config.toml`.
    fn profile<'a>(&self, name: &str, place: &str, own: impl Iterator<Item = &'a Layer>, reader: &mut Reader) -> Part {
        let mut part = Part::default();
        // It becomes the name of a file.
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if is_plain {
            for folder in self.folders() {
                part.push(reader.read(folder.join(format!("{name}.config.toml")), Rank::Profile));
            }
        }
        part.layers.extend(own.filter_map(|layer| layer.table(&["profiles", name], Rank::Profile)));
        let is_there = !part.layers.is_empty() || part.files.iter().any(|file| file.state != State::Missing);
        if !is_there {
            let name = crate::text::one_line(name, 60);
            let how = if is_plain {
                format!("write {name}.config.toml beside config.toml, or a table [profiles.{name}] into it")
            } else {
                "the name of a profile has letters, digits, `-` and `_`".to_owned()
            };
            reader.problems.push(Problem::error(format!("{place}: there is no profile `{name}`; {how}")));
        }
        part
    }

    /// The configuration of the project, the nearest folder first, ours before Codex's.
    fn project(&self, cwd: &Path, decisions: &Decisions, reader: &mut Reader, notes: &mut Vec<String>) -> Part {
        let root = git::root(cwd).unwrap_or(cwd);
        let mut part = Part::default();
        let mut untrusted = Vec::new();
        for dir in cwd.ancestors().take_while(|dir| dir.starts_with(root)) {
            for name in [".sapwood", ".codex"] {
                let path = dir.join(name).join("config.toml");
                let is_own = path.canonicalize().is_ok_and(|real| reader.seen.contains(&real));
                if decisions.about(dir, root) == Trust::Trusted {
                    part.push(reader.read(path, Rank::Project));
                    continue;
                }
                let state = match path.exists() {
                    _ if is_own => State::Same,
                    true => State::Untrusted,
                    false => State::Missing,
                };
                if state == State::Untrusted {
                    untrusted.push(path.display().to_string());
                }
                let source = Source { path, rank: Rank::Project };
                if state == State::Untrusted {
                    // What is wrong with what does not count is nobody's business.
                    part.untrusted.extend(Layer::read(&source).ok().flatten());
                }
                part.files.push(File { is_trusted: false, ..File::new(source, state) });
            }
        }
        if let Some(first) = untrusted.first() {
            let more = match untrusted.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let (root, own) = (root.display(), self.homes.config.join("config.toml"));
            notes.push(format!(
                "{first}{more} is not read, since the project is not trusted; to trust it: \
                 [projects.\"{root}\"] trust_level = \"trusted\" in {}",
                own.display()
            ));
        }
        part
    }
}
