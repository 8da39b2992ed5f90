//! What `--help` says. The commands and the options come from the tables of `cli`.

use std::fmt::Write;

use crate::cli::{Shape, Takes, VERBS, Verb, shapes};

/// The widest left column of a list of options; a longer option has a line of its own.
const COLUMN: usize = 28;

/// The help of a verb, or of the program.
pub fn page(verb: Option<Verb>) -> String {
    let Some(verb) = verb.filter(|verb| !verb.is_plain()) else {
        return format!("{MAIN_HEAD}{}{MAIN_TAIL}", commands());
    };
    let (head, tail) = match verb {
        Verb::Exec => (EXEC_HEAD, EXEC_TAIL),
        Verb::Ps => (PS_HEAD, PS_TAIL),
        Verb::AppServer => (APP_SERVER_HEAD, APP_SERVER_TAIL),
        Verb::Daemon => (DAEMON_HEAD, DAEMON_TAIL),
        Verb::Config => (CONFIG_HEAD, ""),
        Verb::Models => (MODELS_HEAD, ""),
        Verb::Doctor => (DOCTOR_HEAD, ""),
        Verb::Completion => (COMPLETION_HEAD, COMPLETION_TAIL),
        Verb::Version | Verb::Help => ("", ""),
    };
    format!("{head}\nOptions:\n{}{tail}", options(&shapes(verb)))
}

fn commands() -> String {
    let mut out = String::new();
    for verb in VERBS {
        // A String cannot refuse a write.
        let _ = writeln!(out, "  {:<14}{}", verb.name(), verb.about());
        if *verb == Verb::Exec {
            let _ = writeln!(out, "  {:<14}Goes on with a tree", "exec resume");
        }
    }
    out
}

fn options(shapes: &[Shape]) -> String {
    let help = Shape { long: "help", also: &[], short: Some('h'), takes: Takes::Nothing, about: "Prints this" };
    let listed = || shapes.iter().chain([&help]).filter(|shape| !shape.about.is_empty());
    let left = |shape: &Shape| {
        let short = shape.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = shape.takes.name().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{short}--{}{value}", shape.long)
    };
    let width = listed().map(|shape| left(shape).len()).filter(|width| *width <= COLUMN).max().unwrap_or_default();
    let mut out = String::new();
    for shape in listed() {
        let name = left(shape);
        let mut lines = shape.about.lines();
        // A String cannot refuse a write.
        let _ = if name.len() > width {
            writeln!(out, "  {name}")
                .and_then(|()| writeln!(out, "  {:width$}  {}", "", lines.next().unwrap_or_default()))
        } else {
            writeln!(out, "  {name:width$}  {}", lines.next().unwrap_or_default())
        };
        for line in lines {
            let _ = writeln!(out, "  {:width$}  {line}", "");
        }
    }
    out
}

const MAIN_HEAD: &str = "\
sapwood: a supervised runtime for trees of coding agents

Usage: sapwood <COMMAND> [OPTIONS]

Commands:
";

const MAIN_TAIL: &str = "
Without a provider in the configuration and a key in the environment, `exec` runs the rehearsal: no language model, but
a program in its place that maps a repository with a small tree of agents. Try: sapwood exec \"Map this repository\"

Home (rollouts, locks): --home, else SAPWOOD_HOME, else CODEX_HOME if set, else $XDG_STATE_HOME/sapwood, or
~/.local/state/sapwood.

Configuration, the first that sets a key wins: flags; -c; .sapwood/config.toml and .codex/config.toml of a trusted
project; the profile; config.toml of the home; $XDG_CONFIG_HOME/sapwood/config.toml, or ~/.config/sapwood/config.toml;
config.toml of Codex's home (CODEX_HOME, or ~/.codex), which is only read; /etc/sapwood/config.toml and
/etc/codex/config.toml. `sapwood config path` shows them.

Exit codes:
  0    all settled well
  1    it failed
  2    usage: the command line asks for something that there is not
  3    the configuration or the credentials do not do
  4    the provider failed
  5    paused by a budget or a usage limit; can be resumed
  6    waiting for an approval
  7    partial: the root is fine, but an agent of its tree failed, was lost or was taken out of service
  8    a deadline passed, or the tree stalled
  130  SIGINT; can be resumed
  143  SIGTERM; can be resumed
";

const EXEC_HEAD: &str = "\
Runs a tree of agents on a task, and waits for all of them. The answer goes to stdout, progress to stderr.

Usage: sapwood exec [OPTIONS] [PROMPT|-]
       sapwood exec resume [OPTIONS] <ID|--last> [PROMPT|-]

  PROMPT   The task. Without it, or with `-`, stdin is read (without it only if stdin is no terminal).
  ID       The id of a tree, a beginning of it that no other tree has, or the name that Codex knows it by. Without a
           PROMPT the tree goes on where it was; with one, its root is told.
";

const EXEC_TAIL: &str = "
Codex's other options of `exec` are known: what has no meaning here is accepted, and what cannot work yet is refused
with the reason.

A tree that goes on keeps its provider, model and effort; -m, and -c with model, model_provider or
model_reasoning_effort change them. A usage limit pauses the tree (exit code 5) until it is asked to go on; with
-c sapwood.on_usage_limit=wait it goes on by itself when the limit ends.

Configuration keys: `sapwood config get` lists them. Exit codes: see `sapwood --help`.
";

const PS_HEAD: &str = "\
Shows every tree and agent of this home, from their rollouts and locks alone: nothing is loaded or changed.

Usage: sapwood ps [OPTIONS]
";

const PS_TAIL: &str = "
States: working, queued, waiting (each with the process that holds the tree), paused (the account's usage limit is
reached), idle, completed, failed, interrupted, lost (its process died under it), quarantined (crashed too often),
unreadable, closed (by its parent, in Codex). What is lost, paused or waits without a process goes on with
`sapwood exec resume ID`.
";

const APP_SERVER_HEAD: &str = "\
Serves clients that speak Codex's app-server protocol: one on stdio, or many on sockets.

Usage: sapwood app-server [--listen URL]... [OPTIONS]
       sapwood app-server proxy [--sock PATH] [OPTIONS]
       sapwood app-server generate-json-schema --out DIR

  proxy                   Carries bytes between stdin and stdout and the socket of a server that runs.
  generate-json-schema    Writes the schema of the requests, answers and notifications that there are.
";

const APP_SERVER_TAIL: &str = "
The end of stdin ends a server on stdio. SIGINT and SIGTERM end any: what was asked is answered first, and a second one
does not wait. The addresses of sockets go to stderr, a line each. LOG_FORMAT=json makes every line of stderr JSON;
RUST_LOG says what is logged.
";

const DAEMON_HEAD: &str = "\
The app server of this home, on its control socket, where `codex` and `sapwood` look for it.

Usage: sapwood daemon start [OPTIONS]
       sapwood daemon stop [OPTIONS]
       sapwood daemon status [OPTIONS]
       sapwood daemon restart [OPTIONS]
";

const DAEMON_TAIL: &str = "
`start` prints the process id once the server answers, also where one runs already. `status` exits with 1 where none
does. What the server logs is beside its socket, in app-server-control/daemon.log of the home.
";

const CONFIG_HEAD: &str = "\
Shows the configuration that a run would have, and where it comes from. Nothing is changed.

Usage: sapwood config path [OPTIONS]
       sapwood config get [KEY] [OPTIONS]
       sapwood config check [OPTIONS]

  path     The files, in the order in which they win, and which of them exist
  get      The value of a key, and who set it; without a KEY all that there are
  check    What is wrong or not known; exit code 3 if a run would be refused
";

const MODELS_HEAD: &str = "\
Lists the models of the configured provider.

Usage: sapwood models [OPTIONS]
";

const DOCTOR_HEAD: &str = "\
Examines what a run needs: the home and who holds its trees, the sandbox, the configuration, the provider, and what
earlier runs left behind. Nothing is changed.

Usage: sapwood doctor [OPTIONS]
";

const COMPLETION_HEAD: &str = "\
Prints a script with which a shell completes the command line of sapwood.

Usage: sapwood completion <bash|zsh|fish>
";

const COMPLETION_TAIL: &str = "
bash:  source <(sapwood completion bash)      in ~/.bashrc
zsh:   source <(sapwood completion zsh)       in ~/.zshrc, after compinit
fish:  sapwood completion fish | source       in ~/.config/fish/config.fish
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_fits_a_terminal_and_names_every_flag() {
        for verb in [None].into_iter().chain(VERBS.iter().copied().map(Some)) {
            let page = page(verb);
            for line in page.lines() {
                assert!(line.chars().count() <= 120, "{line}");
                assert_eq!(line.trim_end(), line);
            }
            for shape in verb.map(shapes).unwrap_or_default() {
                let is_listed = page.contains(&format!("--{}", shape.long));
                assert!(is_listed || shape.about.is_empty(), "{verb:?} --{}", shape.long);
            }
        }
        assert!(VERBS.iter().all(|verb| page(None).contains(&format!("\n  {} ", verb.name()))));
    }
}
