//! The program `sapwood`: command line, configuration, wiring.
//!
//! What it is for: lets people and scripts run trees of agents, and shows them what the trees do.
//! What it never does: decides anything about an agent, or writes into a rollout but through the service facade.

mod app_server;
mod cli;
mod client;
mod completion;
mod config;
mod config_verb;
mod daemon;
mod doctor;
mod ending;
mod events;
mod exec;
mod exit;
mod help;
mod home;
mod last_message;
mod models;
mod neighbour;
mod output;
mod program;
mod progress;
mod project;
mod providers;
mod ps;
mod repository;
mod rights;
mod schema;
mod session;
mod settings;
mod setup;
mod signals;
mod stdin;
mod terminal;
mod text;
mod watch;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sapwood_actors::process::{EXEC_SUBCOMMAND, REAP_SUBCOMMAND, exec_main, reap_main};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use cli::{AppServerAction, Command};
use ending::Ending;
use output::{Piece, write_now};

fn main() -> ExitCode {
    // Our own helpers come first: they are started for each command, and need nothing of what follows.
    match std::env::args_os().nth(1) {
        Some(word) if word == EXEC_SUBCOMMAND => return exec_main(),
        Some(word) if word == REAP_SUBCOMMAND => return reap_main(),
        _ => {}
    }
    let (command, json) = cli::parse(std::env::args_os().skip(1));
    let exit = match command {
        Ok(Command::Help(verb)) => say(&help::page(verb)),
        Ok(Command::Version) => say(concat!("sapwood ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Exec(args)) => {
            log();
            raise_file_limit();
            exec::run(&args)
        }
        Ok(Command::AppServer(args)) => match args.action {
            AppServerAction::Proxy => app_server::proxy(&args),
            AppServerAction::GenerateJsonSchema => schema::write(args.out.as_deref()),
            AppServerAction::Serve => {
                log();
                raise_file_limit();
                app_server::serve(&args)
            }
        },
        Ok(Command::Daemon(args)) => daemon::run(&args),
        Ok(Command::Ps(args)) => ps::run(&args),
        Ok(Command::Config(args)) => config_verb::run(&args),
        Ok(Command::Doctor(args)) => doctor::run(&args),
        Ok(Command::Models(args)) => models::run(&args),
        Ok(Command::Completion(shell)) => say(&completion::script(shell)),
        Err(failure) => Ending::failed(&failure).say_early(json),
    };
    ExitCode::from(exit.code())
}

fn say(page: &str) -> exit::Exit {
    write_now(&[Piece::Stdout(page.to_owned())], exit::Exit::Done)
}

/// Whether each line of stderr is to be one JSON object: `LOG_FORMAT=json`.
fn logs_are_json() -> bool {
    std::env::var_os("LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"))
}

/// What the rooms below report goes to stderr: warnings, or what `RUST_LOG` names, by level and target. As JSON, which
/// programs read, it is told what happens too.
fn log() {
    let json = logs_are_json();
    let usual = Targets::new().with_default(if json { LevelFilter::INFO } else { LevelFilter::WARN });
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.trim().is_empty());
    let targets = wanted.and_then(|wanted| wanted.parse::<Targets>().ok()).unwrap_or(usual);
    let layer = tracing_subscriber::fmt::layer().with_writer(output::LogLine::default).with_ansi(false);
    if json {
        tracing_subscriber::registry().with(targets).with(layer.json()).init();
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    } else {
        tracing_subscriber::registry().with(targets).with(layer.with_target(false).without_time()).init();
    }
}

/// Each agent that works holds its rollout and its lock open, and each command some pipes.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // As far as we may; what does not do says so when it is opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
