//! The command line, as data.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::exit::Failure;
use crate::help;
use crate::text::{nearest, one_line};

/// What the program is asked to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    Help(&'static str),
    Version,
    Exec(ExecArgs),
    Ps(PsArgs),
}

/// `exec` and `exec resume`.
#[derive(Debug, Default, PartialEq)]
pub struct ExecArgs {
    pub resume: Option<Wanted>,
    pub prompt: Option<Prompt>,
    pub json: bool,
    pub model: Option<String>,
    pub cd: Option<PathBuf>,
    pub overrides: Vec<String>,
    pub sandbox: Option<String>,
    pub home: Option<PathBuf>,
}

/// Which tree is to go on.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    Id(String),
    Last,
}

/// Where the prompt comes from.
#[derive(Debug, PartialEq)]
pub enum Prompt {
    Text(String),
    Stdin,
}

/// `ps`.
#[derive(Debug, Default, PartialEq)]
pub struct PsArgs {
    pub json: bool,
    pub home: Option<PathBuf>,
}

const COMMANDS: &[&str] = &["exec", "ps", "version", "help"];
const EXEC_FLAGS: &[&str] = &["json", "last", "model", "cd", "config", "sandbox", "home", "help"];
const PS_FLAGS: &[&str] = &["json", "home", "help"];

/// Reads the command line. The second value says whether `--json` was seen, also when the rest is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> (Result<Command, Failure>, bool) {
    let mut json = false;
    let command = command(&mut Parser::from_args(args), &mut json);
    (command, json)
}

fn command(parser: &mut Parser, json: &mut bool) -> Result<Command, Failure> {
    match next(parser)? {
        None => Err(Failure::usage(format!("no command given\n\n{}", help::MAIN.trim_end()))),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(help::MAIN)),
        Some(Arg::Short('V') | Arg::Long("version")) => Ok(Command::Version),
        Some(Arg::Value(name)) => match &*text(name, "the command")? {
            "exec" => exec(parser, json),
            "ps" => ps(parser, json),
            "version" => nothing_more(parser, Command::Version),
            "help" => {
                let page = help_of(parser)?;
                nothing_more(parser, Command::Help(page))
            }
            other => Err(unknown("command", other, COMMANDS, "")),
        },
        Some(Arg::Short(flag)) => Err(unknown_short(flag)),
        Some(Arg::Long(flag)) => Err(unknown("option", flag, &["help", "version"], "--")),
    }
}

fn help_of(parser: &mut Parser) -> Result<&'static str, Failure> {
    match next(parser)? {
        Some(Arg::Value(name)) => match &*text(name, "the command")? {
            "exec" => Ok(help::EXEC),
            "ps" => Ok(help::PS),
            "version" | "help" => Ok(help::MAIN),
            other => Err(unknown("command", other, COMMANDS, "")),
        },
        None => Ok(help::MAIN),
        Some(other) => Err(Failure::usage(other.unexpected().to_string())),
    }
}

fn exec(parser: &mut Parser, json: &mut bool) -> Result<Command, Failure> {
    let mut args = ExecArgs::default();
    let mut last = false;
    let mut words = Vec::new();
    let mut wants_help = false;
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("json" | "experimental-json") => *json = true,
            Arg::Long("last") => last = true,
            // Codex's flag: we run anywhere.
            Arg::Long("skip-git-repo-check") => {}
            Arg::Short('m') | Arg::Long("model") => args.model = Some(text(value(parser)?, "the model")?),
            Arg::Short('C') | Arg::Long("cd") => args.cd = Some(value(parser)?.into()),
            Arg::Short('c') | Arg::Long("config") => args.overrides.push(text(value(parser)?, "the value of -c")?),
            Arg::Short('s') | Arg::Long("sandbox") => args.sandbox = Some(text(value(parser)?, "the sandbox mode")?),
            Arg::Long("home") => args.home = Some(value(parser)?.into()),
            Arg::Short('h') | Arg::Long("help") => wants_help = true,
            Arg::Value(word) => words.push(text(word, "the prompt")?),
            Arg::Short(flag) => return Err(unknown_short(flag)),
            Arg::Long(flag) => return Err(unknown("option", flag, EXEC_FLAGS, "--")),
        }
    }
    if wants_help {
        return Ok(Command::Help(help::EXEC));
    }
    args.json = *json;
    let mut words = words.into_iter().peekable();
    if words.next_if(|word| word == "resume").is_some() {
        let id = if last { None } else { words.next() };
        args.resume = Some(match id {
            _ if last => Wanted::Last,
            Some(id) => Wanted::Id(id),
            None => {
                return Err(Failure::usage("`exec resume` needs the ID of a tree, or --last; `sapwood ps` lists them"));
            }
        });
    } else if last {
        return Err(Failure::usage("--last belongs to `exec resume`"));
    }
    args.prompt = words.next().map(|word| if word == "-" { Prompt::Stdin } else { Prompt::Text(word) });
    if let Some(more) = words.next() {
        let more = one_line(&more, 40);
        return Err(Failure::usage(format!("unexpected argument `{more}`: put the whole prompt into quotes")));
    }
    Ok(Command::Exec(args))
}

fn ps(parser: &mut Parser, json: &mut bool) -> Result<Command, Failure> {
    let mut args = PsArgs::default();
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("json") => args.json = true,
            Arg::Long("home") => args.home = Some(value(parser)?.into()),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(help::PS)),
            Arg::Short(flag) => return Err(unknown_short(flag)),
            Arg::Long(flag) => return Err(unknown("option", flag, PS_FLAGS, "--")),
            other => return Err(Failure::usage(other.unexpected().to_string())),
        }
    }
    // The terminal record is `exec`'s.
    *json = false;
    Ok(Command::Ps(args))
}

fn nothing_more(parser: &mut Parser, command: Command) -> Result<Command, Failure> {
    match next(parser)? {
        None => Ok(command),
        Some(more) => Err(Failure::usage(more.unexpected().to_string())),
    }
}

fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>, Failure> {
    parser.next().map_err(|error| Failure::usage(error.to_string()))
}

fn value(parser: &mut Parser) -> Result<OsString, Failure> {
    parser.value().map_err(|error| Failure::usage(error.to_string()))
}

fn text(value: OsString, what: &str) -> Result<String, Failure> {
    value.string().map_err(|_| Failure::usage(format!("{what} is no valid UTF-8")))
}

fn unknown_short(flag: char) -> Failure {
    Failure::usage(format!("unknown option `-{flag}`; `sapwood --help` lists what there is"))
}

fn unknown(what: &str, word: &str, known: &[&str], dashes: &str) -> Failure {
    let hint = match nearest(word, known.iter().copied()) {
        Some(near) => format!("; did you mean `{dashes}{near}`?"),
        None => "; `sapwood --help` lists what there is".to_owned(),
    };
    Failure::usage(format!("unknown {what} `{dashes}{}`{hint}", one_line(word, 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).0.map_err(|failure| failure.message)
    }

    #[test]
    fn what_codexs_own_clients_pass_is_understood() {
        let expected = ExecArgs {
            resume: Some(Wanted::Id("01a1".into())),
            json: true,
            model: Some("m".into()),
            overrides: vec!["a=1".into()],
            sandbox: Some("read-only".into()),
            cd: Some("/x".into()),
            ..ExecArgs::default()
        };
        let line = "exec --experimental-json --config a=1 --model m --sandbox read-only --cd /x --skip-git-repo-check \
                    resume 01a1";
        assert_eq!(of(line), Ok(Command::Exec(expected)));
    }

    #[test]
    fn prompts_and_trees() {
        let exec = |args: ExecArgs| Ok(Command::Exec(args));
        let prompt = |text: &str| Some(Prompt::Text(text.into()));
        assert_eq!(of("exec hello"), exec(ExecArgs { prompt: prompt("hello"), ..ExecArgs::default() }));
        assert_eq!(of("exec -"), exec(ExecArgs { prompt: Some(Prompt::Stdin), ..ExecArgs::default() }));
        let last = |text| exec(ExecArgs { resume: Some(Wanted::Last), prompt: prompt(text), ..ExecArgs::default() });
        assert_eq!(of("exec resume --last more"), last("more"));
        assert!(of("exec resume").unwrap_err().contains("--last"));
        assert!(of("exec --last").unwrap_err().contains("exec resume"));
        assert!(of("exec two words").unwrap_err().contains("quotes"));
    }

    #[test]
    fn a_slip_is_told_what_was_meant() {
        assert_eq!(of("exec --jsn x"), Err("unknown option `--jsn`; did you mean `--json`?".into()));
        assert_eq!(of("exce x"), Err("unknown command `exce`; did you mean `exec`?".into()));
        assert!(of("exec -Z").unwrap_err().starts_with("unknown option `-Z`"));
        assert!(of("").unwrap_err().starts_with("no command given"));
    }
}
