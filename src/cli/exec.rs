//! `exec` and `exec resume`.

use std::ffi::OsStr;
use std::path::PathBuf;

use lexopt::Parser;

use super::exec_flags::FLAGS;
use super::read::text;
use super::table::{Piece, read};
use super::{Command, Verb};
use crate::exit::Failure;
use crate::text::one_line;

/// `exec` and `exec resume`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecArgs {
    pub resume: Option<Wanted>,
    pub prompt: Option<Prompt>,
    pub json: bool,
    pub model: Option<String>,
    pub cd: Option<PathBuf>,
    pub overrides: Vec<String>,
    pub sandbox: Option<String>,
    pub home: Option<PathBuf>,
    pub profile: Option<String>,
    pub color: Color,
    /// Only warnings and errors on stderr.
    pub quiet: bool,
    /// The file that gets the root's last message.
    pub output: Option<PathBuf>,
    /// The file with the JSON schema of the root's last message.
    pub output_schema: Option<PathBuf>,
    pub thread_source: Option<String>,
    pub add_dirs: Vec<PathBuf>,
    pub images: Vec<PathBuf>,
    /// What was asked for and has no effect, each as a person reads it.
    pub notes: Vec<String>,
}

/// The arguments while they are read, and what has a meaning only together with others.
#[derive(Default)]
pub struct Line {
    pub args: ExecArgs,
    /// `--last`.
    pub last: bool,
    /// `--all`.
    pub all: bool,
}

/// Which tree is to go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Id(String),
    /// The newest of this directory; if there is none, the newest at all.
    Last,
    /// The newest at all.
    LastOfAll,
}

/// Where the prompt comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    Text(String),
    Stdin,
}

/// Whether what a person reads is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Where a person looks at it.
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(super) const NAMES: &[&str] = &["auto", "always", "never"];

    /// True if an output is to be coloured. `no_color` and `term` are the variables `NO_COLOR` and `TERM`: the first, set
    /// to anything, and a terminal that can do nothing are obeyed where the flag leaves it open.
    pub fn is_on(self, is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
            }
        }
    }
}

pub fn parse(parser: &mut Parser) -> Result<Command, Failure> {
    let mut line = Line::default();
    let mut words = Vec::new();
    let mut wants_help = false;
    while let Some(piece) = read(parser, FLAGS, &mut line)? {
        match piece {
            Piece::Flag => {}
            Piece::Help => wants_help = true,
            Piece::Version => return Ok(Command::Version),
            Piece::Word(word) => words.push(text(word, "the prompt")?),
        }
    }
    if wants_help {
        return Ok(Command::Help(Some(Verb::Exec)));
    }
    let mut words = words.into_iter().peekable();
    match words.peek().map(String::as_str) {
        Some("resume") => {
            words.next();
            line.args.resume = Some(line.wanted(&mut words)?);
        }
        Some(word @ ("fork" | "review")) => {
            return Err(Failure::usage(format!(
                "`exec {word}` is not available in this version; if `{word}` is the prompt, write it to stdin"
            )));
        }
        _ if line.last || line.all => return Err(Failure::usage("--last and --all belong to `exec resume`")),
        _ => {}
    }
    line.args.prompt = words.next().map(|word| if word == "-" { Prompt::Stdin } else { Prompt::Text(word) });
    if let Some(more) = words.next() {
        let more = one_line(&more, 40);
        return Err(Failure::usage(format!("unexpected argument `{more}`: put the whole prompt into quotes")));
    }
    Ok(Command::Exec(Box::new(line.args)))
}

impl Line {
    fn wanted(&self, words: &mut impl Iterator<Item = String>) -> Result<Wanted, Failure> {
        match (self.last, self.all) {
            (true, false) => Ok(Wanted::Last),
            (true, true) => Ok(Wanted::LastOfAll),
            (false, true) => Err(Failure::usage("--all needs --last")),
            (false, false) => words.next().map(Wanted::Id).ok_or_else(|| {
                Failure::usage("`exec resume` needs the ID of a tree, or --last; `sapwood ps` lists them")
            }),
        }
    }
}
