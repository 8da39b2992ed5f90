//! `app-server` and `daemon`.

use lexopt::Parser;

use super::read::unknown;
use super::table::{Does, Flag, Takes};
use super::verbs::{HOME, JSON, OVERRIDE, PROFILE, Verb, all};
use super::{AppServerAction, AppServerArgs, Command, DaemonAction, DaemonArgs};
use crate::exit::Failure;
use crate::text::one_line;

pub const APP_SERVER: &[Flag<AppServerArgs>] = &[
    Flag::<AppServerArgs>::new(
        "listen",
        Takes::Text("URL"),
        Does::Texts(|args| &mut args.listen),
        "Where clients come in: stdio:// (the default), unix:// (the control socket of the home),\n\
         unix://PATH, or ws://IP:PORT, where port 0 takes a free one. Can be repeated",
    ),
    Flag::<AppServerArgs>::new(
        "ws-auth",
        Takes::Word("HOW", &["capability-token"]),
        Does::Text(|args| &mut args.ws_auth),
        "What clients of a ws:// address must show; needed wherever other machines can reach it",
    ),
    Flag::<AppServerArgs>::new(
        "ws-token-file",
        Takes::File,
        Does::Path(|args| &mut args.ws_token_file),
        "The file with the token that they show as Authorization: Bearer",
    ),
    Flag::<AppServerArgs>::new(
        "sock",
        Takes::File,
        Does::Path(|args| &mut args.sock),
        "The socket that `proxy` connects to; the control socket of the home without it",
    ),
    Flag::<AppServerArgs>::new(
        "out",
        Takes::Dir,
        Does::Path(|args| &mut args.out),
        "The folder that `generate-json-schema` writes into; it is made if it is not there",
    ),
    Flag::<AppServerArgs>::new("detached", Takes::Nothing, Does::Switch(|args| &mut args.is_detached), ""),
    Flag::<AppServerArgs>::new("profile", Takes::Text("NAME"), Does::Text(|args| &mut args.profile), PROFILE)
        .short('p'),
    Flag::<AppServerArgs>::new("config", Takes::Text("K=V"), Does::Texts(|args| &mut args.overrides), OVERRIDE)
        .short('c'),
    Flag::<AppServerArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

pub const DAEMON: &[Flag<DaemonArgs>] = &[
    Flag::<DaemonArgs>::new("json", Takes::Nothing, Does::Switch(|args| &mut args.json), JSON),
    Flag::<DaemonArgs>::new("profile", Takes::Text("NAME"), Does::Text(|args| &mut args.profile), PROFILE).short('p'),
    Flag::<DaemonArgs>::new("config", Takes::Text("K=V"), Does::Texts(|args| &mut args.overrides), OVERRIDE).short('c'),
    Flag::<DaemonArgs>::new("home", Takes::Dir, Does::Path(|args| &mut args.home), HOME),
];

/// What `app-server` does beside serving.
pub const SERVER_ACTIONS: &[&str] = &["proxy", "generate-json-schema"];
/// What `daemon` does.
pub const DAEMON_ACTIONS: &[&str] = &["start", "stop", "status", "restart"];

/// `overrides` are those that Codex's SDKs put before the verb.
pub fn app_server(parser: &mut Parser, overrides: Vec<String>) -> Result<Command, Failure> {
    let mut args = AppServerArgs { overrides, ..AppServerArgs::default() };
    let words = match all(parser, Verb::AppServer, APP_SERVER, &mut args, 1)? {
        Ok(words) => words,
        Err(other) => return Ok(other),
    };
    args.action = match words.first().map(String::as_str) {
        None => AppServerAction::Serve,
        Some("proxy") => AppServerAction::Proxy,
        Some("generate-json-schema") => AppServerAction::GenerateJsonSchema,
        Some(other) => return Err(unknown("action of `app-server`", other, SERVER_ACTIONS.iter().copied(), "")),
    };
    match (args.ws_auth.as_deref(), &args.ws_token_file) {
        (None, None) | (Some("capability-token"), Some(_)) => {}
        (Some("capability-token"), None) => {
            return Err(Failure::usage(
                "--ws-auth capability-token needs --ws-token-file FILE, the file with the token",
            ));
        }
        (Some(other), _) => {
            let other = one_line(other, 60);
            return Err(Failure::usage(format!("--ws-auth {other}: there is no such way; use capability-token")));
        }
        (None, Some(_)) => return Err(Failure::usage("--ws-token-file needs --ws-auth capability-token")),
    }
    Ok(Command::AppServer(args))
}

pub fn daemon(parser: &mut Parser) -> Result<Command, Failure> {
    let mut args = DaemonArgs::default();
    let words = match all(parser, Verb::Daemon, DAEMON, &mut args, 1)? {
        Ok(words) => words,
        Err(other) => return Ok(other),
    };
    args.action = match words.first().map(String::as_str) {
        Some("start") => DaemonAction::Start,
        Some("stop") => DaemonAction::Stop,
        Some("status") => DaemonAction::Status,
        Some("restart") => DaemonAction::Restart,
        Some(other) => return Err(unknown("action of `daemon`", other, DAEMON_ACTIONS.iter().copied(), "")),
        None => return Err(Failure::usage("`daemon` needs an action: start, stop, status or restart")),
    };
    Ok(Command::Daemon(args))
}
