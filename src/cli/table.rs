//! What a flag is: its names, what follows it, what it is for, and what it does to the arguments of its verb.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::read::{next, text, unknown, unknown_short, value};
use crate::exit::Failure;

/// A flag as help and shells see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub long: &'static str,
    /// Other names that mean the same and are listed nowhere.
    pub also: &'static [&'static str],
    pub short: Option<char>,
    pub takes: Takes,
    /// For `--help`: one or more lines. Empty for what is only accepted or refused, and listed nowhere.
    pub about: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A text; its name in the help.
    Text(&'static str),
    /// One of these words; its name in the help.
    Word(&'static str, &'static [&'static str]),
    File,
    Dir,
}

impl Takes {
    /// Its name in the help.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::Text(name) | Takes::Word(name, _) => Some(name),
            Takes::File => Some("FILE"),
            Takes::Dir => Some("DIR"),
        }
    }
}

/// A flag of a verb whose arguments are an `A`.
pub struct Flag<A: 'static> {
    pub shape: Shape,
    pub does: Does<A>,
}

/// What a flag does with its value, where it takes one.
pub enum Does<A: 'static> {
    /// It is on.
    Switch(fn(&mut A) -> &mut bool),
    /// The last one counts.
    Text(fn(&mut A) -> &mut Option<String>),
    /// All of them count.
    Texts(fn(&mut A) -> &mut Vec<String>),
    /// The last one counts.
    Path(fn(&mut A) -> &mut Option<PathBuf>),
    /// All of them count.
    Paths(fn(&mut A) -> &mut Vec<PathBuf>),
    /// More than to keep it.
    Read(fn(&mut A, &str) -> Result<(), Failure>),
    /// It is Codex's, and what it asks for is so here without it.
    Nothing,
    /// It is Codex's, and what it asks for cannot be had: why, and what to do.
    Refused(&'static str),
}

impl<A> Flag<A> {
    pub const fn new(long: &'static str, takes: Takes, does: Does<A>, about: &'static str) -> Self {
        Self { shape: Shape { long, also: &[], short: None, takes, about }, does }
    }

    pub const fn short(mut self, short: char) -> Self {
        self.shape.short = Some(short);
        self
    }

    pub const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.shape.also = names;
        self
    }

    fn apply(&self, args: &mut A, parser: &mut Parser) -> Result<(), Failure> {
        let value = match self.shape.takes {
            Takes::Nothing => OsString::new(),
            _ => value(parser)?,
        };
        let long = self.shape.long;
        let text = |value| text(value, &format!("the value of --{long}"));
        match self.does {
            Does::Switch(slot) => *slot(args) = true,
            Does::Text(slot) => *slot(args) = Some(text(value)?),
            Does::Texts(slot) => slot(args).push(text(value)?),
            Does::Path(slot) => *slot(args) = Some(value.into()),
            Does::Paths(slot) => slot(args).push(value.into()),
            Does::Read(read) => read(args, &text(value)?)?,
            Does::Nothing => {}
            Does::Refused(why) => return Err(Failure::usage(format!("--{long} {why}"))),
        }
        Ok(())
    }
}

/// What was read.
pub enum Piece {
    /// A flag, which has done what it does.
    Flag,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// A word that is no flag.
    Word(OsString),
}

/// Reads on by the table of a verb. `None` at the end of the line.
pub fn read<A>(parser: &mut Parser, flags: &'static [Flag<A>], args: &mut A) -> Result<Option<Piece>, Failure> {
    let flag = match next(parser)? {
        None => return Ok(None),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Some(Piece::Help)),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Some(Piece::Version)),
        Some(Arg::Value(word)) => return Ok(Some(Piece::Word(word))),
        Some(Arg::Short(name)) => {
            let found = flags.iter().find(|flag| flag.shape.short == Some(name));
            found.ok_or_else(|| unknown_short(name))?
        }
        Some(Arg::Long(name)) => {
            let found = flags.iter().find(|flag| flag.shape.long == name || flag.shape.also.contains(&name));
            let listed = flags.iter().filter(|flag| !flag.shape.about.is_empty()).map(|flag| flag.shape.long);
            found.ok_or_else(|| unknown("option", name, listed.chain(["help"]), "--"))?
        }
    };
    flag.apply(args, parser)?;
    Ok(Some(Piece::Flag))
}
