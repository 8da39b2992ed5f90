//! The command line, as data.
//!
//! `table.rs` says what a flag is. Each verb has its flags in one table, from which they are read, listed by `--help`,
//! and completed by shells, so that these cannot drift apart.

mod exec;
mod exec_flags;
mod read;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod verbs;

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

pub use exec::{Color, ExecArgs, Prompt, Wanted};
pub use table::{Shape, Takes};
pub use verbs::{VERBS, Verb, shapes};

use crate::exit::Failure;
use read::{next, nothing_more, text, unknown, unknown_short};

/// What the program is asked to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// The help of a verb, or of the program.
    Help(Option<Verb>),
    Version,
    Exec(Box<ExecArgs>),
    Ps(PsArgs),
    AppServer(AppServerArgs),
    Daemon(DaemonArgs),
    Config(ConfigArgs),
    Doctor(DoctorArgs),
    Models(ModelsArgs),
    Completion(Shell),
}

/// `ps`.
#[derive(Debug, Default, PartialEq)]
pub struct PsArgs {
    pub json: bool,
    pub home: Option<PathBuf>,
}

/// `app-server`.
#[derive(Debug, Default, PartialEq)]
pub struct AppServerArgs {
    pub action: AppServerAction,
    pub listen: Vec<String>,
    pub ws_auth: Option<String>,
    pub ws_token_file: Option<PathBuf>,
    pub sock: Option<PathBuf>,
    /// Where the schema is written.
    pub out: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub overrides: Vec<String>,
    /// It leaves the terminal it was started from.
    pub is_detached: bool,
}

/// What is asked of the app server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppServerAction {
    /// To serve.
    #[default]
    Serve,
    /// To be reached through our stdin and stdout.
    Proxy,
    /// To say what it answers.
    GenerateJsonSchema,
}

/// `daemon`.
#[derive(Debug, Default, PartialEq)]
pub struct DaemonArgs {
    pub action: DaemonAction,
    pub json: bool,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub overrides: Vec<String>,
}

/// What is to become of the app server of a home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DaemonAction {
    Start,
    Stop,
    #[default]
    Status,
    Restart,
}

/// `config`.
#[derive(Debug, Default, PartialEq)]
pub struct ConfigArgs {
    pub action: ConfigAction,
    pub json: bool,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub overrides: Vec<String>,
    pub cd: Option<PathBuf>,
}

/// What is asked of the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ConfigAction {
    /// Which files it comes from.
    #[default]
    Path,
    /// The value of a key, or of all that are set.
    Get(Option<String>),
    /// Whether it does.
    Check,
}

/// `doctor`.
#[derive(Debug, Default, PartialEq)]
pub struct DoctorArgs {
    pub json: bool,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub overrides: Vec<String>,
}

/// `models`.
#[derive(Debug, Default, PartialEq)]
pub struct ModelsArgs {
    pub json: bool,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub overrides: Vec<String>,
    /// The provider is asked, however new the answer is that is kept.
    pub refresh: bool,
}

/// A shell that completes our command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// All of them, by name.
    pub const NAMES: &[(&str, Shell)] = &[("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
}

/// Reads the command line. The second value says whether a failure is to be told as events (`exec --json`).
pub fn parse(args: impl IntoIterator<Item = OsString>) -> (Result<Command, Failure>, bool) {
    let args: Vec<OsString> = args.into_iter().collect();
    // Also when it stands behind what is wrong.
    let flags = args.iter().take_while(|arg| *arg != "--");
    let json = args.first().is_some_and(|verb| Verb::Exec.is_called(verb))
        && flags.into_iter().any(|arg| arg == "--json" || arg == "--experimental-json");
    (command(&mut Parser::from_args(args)), json)
}

fn command(parser: &mut Parser) -> Result<Command, Failure> {
    let mut overrides = Vec::new();
    let first = loop {
        match next(parser)? {
            // Codex's SDKs say it before the verb.
            Some(Arg::Long("config") | Arg::Short('c')) => {
                overrides.push(text(read::value(parser)?, "the value of --config")?);
            }
            Some(Arg::Value(name)) => break Some(Arg::Value(name)),
            Some(Arg::Short(flag)) => break Some(Arg::Short(flag)),
            Some(Arg::Long(flag)) => break Some(Arg::Long(flag)),
            None => break None,
        }
    };
    match first {
        None => Err(Failure::usage(format!("no command given\n\n{}", crate::help::page(None).trim_end()))),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(None)),
        Some(Arg::Short('V') | Arg::Long("version")) => Ok(Command::Version),
        Some(Arg::Value(name)) => match verb(name)? {
            Verb::AppServer => server::app_server(parser, overrides),
            _ if !overrides.is_empty() => Err(Failure::usage("-c goes behind the command, except for `app-server`")),
            Verb::Exec => exec::parse(parser),
            Verb::Daemon => server::daemon(parser),
            Verb::Ps => verbs::ps(parser),
            Verb::Config => verbs::config(parser),
            Verb::Doctor => verbs::doctor(parser),
            Verb::Models => verbs::models(parser),
            Verb::Completion => verbs::completion(parser),
            Verb::Version => nothing_more(parser, Command::Version),
            Verb::Help => {
                let about = match next(parser)? {
                    Some(Arg::Value(name)) => Some(verb(name)?).filter(|verb| !verb.is_plain()),
                    None => None,
                    Some(other) => return Err(Failure::usage(other.unexpected().to_string())),
                };
                nothing_more(parser, Command::Help(about))
            }
        },
        Some(Arg::Short(flag)) => Err(unknown_short(flag)),
        Some(Arg::Long(flag)) => Err(unknown("option", flag, ["help", "version"], "--")),
    }
}

fn verb(name: OsString) -> Result<Verb, Failure> {
    let name = text(name, "the command")?;
    let found = VERBS.iter().find(|verb| verb.is_called(name.as_ref()));
    found.copied().ok_or_else(|| unknown("command", &name, VERBS.iter().map(|verb| verb.name()), ""))
}
