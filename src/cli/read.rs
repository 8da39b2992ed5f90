//! Reading the command line piece by piece, and what is said of a piece that is wrong.

use std::ffi::OsString;

use lexopt::{Arg, Parser, ValueExt};

use super::Command;
use crate::exit::Failure;
use crate::text::{nearest, one_line};

pub fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>, Failure> {
    parser.next().map_err(|error| Failure::usage(error.to_string()))
}

pub fn value(parser: &mut Parser) -> Result<OsString, Failure> {
    parser.value().map_err(|error| Failure::usage(error.to_string()))
}

pub fn text(value: OsString, what: &str) -> Result<String, Failure> {
    value.string().map_err(|_| Failure::usage(format!("{what} is no valid UTF-8")))
}

pub fn nothing_more(parser: &mut Parser, command: Command) -> Result<Command, Failure> {
    match next(parser)? {
        None => Ok(command),
        Some(more) => Err(Failure::usage(more.unexpected().to_string())),
    }
}

pub fn unknown_short(flag: char) -> Failure {
    Failure::usage(format!("unknown option `-{flag}`; `sapwood --help` lists what there is"))
}

pub fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>, dashes: &str) -> Failure {
    let hint = match nearest(word, known) {
        Some(near) => format!("; did you mean `{dashes}{near}`?"),
        None => "; `sapwood --help` lists what there is".to_owned(),
    };
    Failure::usage(format!("unknown {what} `{dashes}{}`{hint}", one_line(word, 60)))
}
