//! The verbs, and the flags of those but `exec`.

use std::ffi::OsStr;

use lexopt::Parser;

use super::exec_flags;
use super::read::{text, unknown};
use super::server::{APP_SERVER, DAEMON, DAEMON_ACTIONS, SERVER_ACTIONS};
use super::table::{Does, Flag, Piece, Shape, Takes, read};
use super::{Command, ConfigAction, ConfigArgs, DoctorArgs, ModelsArgs, PsArgs, Shell};
use crate::exit::Failure;
use crate::text::one_line;

/// What comes first on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Exec,
    Ps,
    AppServer,
    Daemon,
    Config,
    Models,
    Doctor,
    Completion,
    Version,
    Help,
}

/// All verbs, in the order of the help.
pub const VERBS: &[Verb] = &[
    Verb::Exec,
    Verb::Ps,
    Verb::AppServer,
    Verb::Daemon,
    Verb::Config,
    Verb::Models,
    Verb::Doctor,
    Verb::Completion,
    Verb::Version,
    Verb::Help,
];

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Verb::Exec => "exec",
            Verb::Ps => "ps",
            Verb::AppServer => "app-server",
            Verb::Daemon => "daemon",
            Verb::Config => "config",
            Verb::Models => "models",
            Verb::Doctor => "doctor",
            Verb::Completion => "completion",
            Verb::Version => "version",
            Verb::Help => "help",
        }
    }

    /// In a few words.
    pub fn about(self) -> &'static str {
        match self {
            Verb::Exec => "Runs a tree of agents on a task, and waits for all of them",
            Verb::Ps => "Shows every tree and agent of this home",
            Verb::AppServer => "Serves clients: the Codex TUI, its SDKs, editors",
            Verb::Daemon => "Starts, stops and shows the app server of this home",
            Verb::Config => "Shows the configuration, and checks it",
            Verb::Models => "Lists the models of the provider",
            Verb::Doctor => "Examines the home, the sandbox and the provider",
            Verb::Completion => "Prints what a shell needs to complete this command line",
            Verb::Version => "Prints the version",
            Verb::Help => "Prints the help, or that of a command",
        }
    }

    /// True for its name, and for Codex's short form of `exec`.
    pub fn is_called(self, word: &OsStr) -> bool {
        word == self.name() || (self == Verb::Exec && word == "e")
    }

    /// The words that may follow it.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Verb::Exec => vec!["resume"],
            Verb::AppServer => SERVER_ACTIONS.to_vec(),
            Verb::Daemon => DAEMON_ACTIONS.to_vec(),
            Verb::Config => ACTIONS.to_vec(),
            Verb::Completion => Shell::NAMES.iter().map(|(name, _)| *name).collect(),
            Verb::Help => VERBS.iter().filter(|verb| !verb.is_plain()).map(|verb| verb.name()).collect(),
            Verb::Ps | Verb::Models | Verb::Doctor | Verb::Version => Vec::new(),
        }
    }

    /// True for what has no help of its own.
    pub fn is_plain(self) -> bool {
        matches!(self, Verb::Version | Verb::Help)
    }
}

pub const JSON: &str = "One JSON object instead of a text";
pub const HOME: &str = "Where rollouts are kept";
pub const PROFILE: &str = "A profile of the configuration, on top of the rest of it";
pub const OVERRIDE: &str =
    "Sets a configuration key: a dotted path, and a TOML value or a plain string.\nCan be repeated";

const PS: &[Flag<PsArgs>] = &[
    Flag::<PsArgs>::new(
        "json",
        Takes::Nothing,
        Does::Switch(|args| &mut args.json),
        "One JSON object: {\"homes\":[...],\"agents\":[...]}",
    ),
    Flag::<PsArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

const CONFIG: &[Flag<ConfigArgs>] = &[
    Flag::<ConfigArgs>::new("json", Takes::Nothing, Does::Switch(|args| &mut args.json), JSON),
    Flag::<ConfigArgs>::new(
        "cd",
        Takes::Dir,
        Does::Path(|args| &mut args.cd),
        "The directory whose project's configuration counts",
    )
    .short('C'),
    Flag::<ConfigArgs>::new("profile", Takes::Text("NAME"), Does::Text(|args| &mut args.profile), PROFILE).short('p'),
    Flag::<ConfigArgs>::new("config", Takes::Text("K=V"), Does::Texts(|args| &mut args.overrides), OVERRIDE).short('c'),
    Flag::<ConfigArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

const MODELS: &[Flag<ModelsArgs>] = &[
    Flag::<ModelsArgs>::new("json", Takes::Nothing, Does::Switch(|args| &mut args.json), JSON),
    Flag::<ModelsArgs>::new(
        "refresh",
        Takes::Nothing,
        Does::Switch(|args| &mut args.refresh),
        "Asks the provider, however new its last answer is",
    ),
    Flag::<ModelsArgs>::new("profile", Takes::Text("NAME"), Does::Text(|args| &mut args.profile), PROFILE).short('p'),
    Flag::<ModelsArgs>::new("config", Takes::Text("K=V"), Does::Texts(|args| &mut args.overrides), OVERRIDE).short('c'),
    Flag::<ModelsArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

const DOCTOR: &[Flag<DoctorArgs>] = &[
    Flag::<DoctorArgs>::new("json", Takes::Nothing, Does::Switch(|args| &mut args.json), JSON),
    Flag::<DoctorArgs>::new("profile", Takes::Text("NAME"), Does::Text(|args| &mut args.profile), PROFILE).short('p'),
    Flag::<DoctorArgs>::new("config", Takes::Text("K=V"), Does::Texts(|args| &mut args.overrides), OVERRIDE).short('c'),
    Flag::<DoctorArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

const ACTIONS: &[&str] = &["path", "get", "check"];

/// The flags of a verb, but `--help`, which all have.
pub fn shapes(verb: Verb) -> Vec<Shape> {
    fn of<A>(flags: &[Flag<A>]) -> Vec<Shape> {
        flags.iter().map(|flag| flag.shape).collect()
    }
    match verb {
        Verb::Exec => of(exec_flags::FLAGS),
        Verb::Ps => of(PS),
        Verb::AppServer => of(APP_SERVER),
        Verb::Daemon => of(DAEMON),
        Verb::Config => of(CONFIG),
        Verb::Models => of(MODELS),
        Verb::Doctor => of(DOCTOR),
        Verb::Completion | Verb::Version | Verb::Help => Vec::new(),
    }
}

/// Reads flags and words; the help or the version where they are asked for.
pub fn all<A>(
    parser: &mut Parser,
    verb: Verb,
    flags: &'static [Flag<A>],
    args: &mut A,
    most: usize,
) -> Result<Result<Vec<String>, Command>, Failure> {
    let mut words = Vec::new();
    while let Some(piece) = read(parser, flags, args)? {
        match piece {
            Piece::Flag => {}
            Piece::Help => return Ok(Err(Command::Help(Some(verb)))),
            Piece::Version => return Ok(Err(Command::Version)),
            Piece::Word(word) if words.len() < most => words.push(text(word, "an argument")?),
            Piece::Word(word) => {
                let word = one_line(&word.to_string_lossy(), 60);
                return Err(Failure::usage(format!("unexpected argument \"{word}\"")));
            }
        }
    }
    Ok(Ok(words))
}

pub fn ps(parser: &mut Parser) -> Result<Command, Failure> {
    let mut args = PsArgs::default();
    Ok(all(parser, Verb::Ps, PS, &mut args, 0)?.map_or_else(|other| other, |_| Command::Ps(args)))
}

pub fn models(parser: &mut Parser) -> Result<Command, Failure> {
    let mut args = ModelsArgs::default();
    Ok(all(parser, Verb::Models, MODELS, &mut args, 0)?.map_or_else(|other| other, |_| Command::Models(args)))
}

pub fn doctor(parser: &mut Parser) -> Result<Command, Failure> {
    let mut args = DoctorArgs::default();
    Ok(all(parser, Verb::Doctor, DOCTOR, &mut args, 0)?.map_or_else(|other| other, |_| Command::Doctor(args)))
}

pub fn config(parser: &mut Parser) -> Result<Command, Failure> {
    let mut args = ConfigArgs::default();
    let words = match all(parser, Verb::Config, CONFIG, &mut args, 2)? {
        Ok(words) => words,
        Err(other) => return Ok(other),
    };
    let mut words = words.into_iter();
    args.action = match words.next().as_deref() {
        Some("path") => ConfigAction::Path,
        Some("get") => ConfigAction::Get(words.next()),
        Some("check") => ConfigAction::Check,
        Some(other) => return Err(unknown("action of `config`", other, ACTIONS.iter().copied(), "")),
        None => return Err(Failure::usage("`config` needs an action: path, get [KEY] or check")),
    };
    match words.next() {
        None => Ok(Command::Config(args)),
        Some(word) => Err(Failure::usage(format!("unexpected argument \"{}\"", one_line(&word, 60)))),
    }
}

pub fn completion(parser: &mut Parser) -> Result<Command, Failure> {
    let words = match all::<()>(parser, Verb::Completion, &[], &mut (), 1)? {
        Ok(words) => words,
        Err(other) => return Ok(other),
    };
    let names = || Shell::NAMES.iter().map(|(name, _)| *name);
    match words.first() {
        None => Err(Failure::usage("`completion` needs a shell: bash, zsh or fish")),
        Some(word) => match Shell::NAMES.iter().find(|(name, _)| name == word) {
            Some((_, shell)) => Ok(Command::Completion(*shell)),
            None => Err(unknown("shell", word, names(), "")),
        },
    }
}
