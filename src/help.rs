//! What `--help` says.

pub const MAIN: &str = "\
sapwood: a supervised runtime for trees of coding agents

Usage: sapwood <COMMAND> [OPTIONS]

Commands:
  exec [PROMPT|-]           Runs a tree of agents on a task, and waits for all of them
  exec resume [ID|--last]   Goes on with a tree
  ps                        Shows every tree and agent of this home
  version                   Prints the version
  help [COMMAND]            Prints this, or the help of a command

Without a provider in the configuration, `exec` runs the rehearsal: no language model, but a program in its place that
maps a repository with a small tree of agents. Try: sapwood exec \"Map this repository\"

Home (rollouts, locks): --home, else SAPWOOD_HOME, else CODEX_HOME if set, else $XDG_STATE_HOME/sapwood, or
~/.local/state/sapwood.

Configuration, the first that sets a key wins: flags; -c; config.toml of the home; $XDG_CONFIG_HOME/sapwood/config.toml,
or ~/.config/sapwood/config.toml; config.toml of Codex's home (CODEX_HOME, or ~/.codex), which is only read.

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

pub const EXEC: &str = "\
Runs a tree of agents on a task, and waits for all of them. The answer goes to stdout, progress to stderr.

Usage: sapwood exec [OPTIONS] [PROMPT|-]
       sapwood exec resume [OPTIONS] <ID|--last> [PROMPT|-]

  PROMPT   The task. Without it, or with `-`, stdin is read (without it only if stdin is no terminal).
  ID       The id of a tree, or a beginning of it that no other tree has. Without a PROMPT the tree goes on where it
           was; with one, its root is told.

Options:
      --json         Events on stdout, one JSON object a line, in Codex's form; the last is `sapwood.ended`
      --last         The newest tree of this directory; if there is none, the newest at all
  -m, --model MODEL  The model
  -C, --cd DIR       The directory to work in
  -c, --config K=V   Sets a configuration key: a dotted path, and a TOML value or a plain string. Can be repeated
  -s, --sandbox MODE What shell commands may do: read-only (the default) or danger-full-access
      --home DIR     Where rollouts are kept
  -h, --help         Prints this

Configuration keys: model, model_provider, sandbox_mode, agents.max_depth, agents.interrupt_message,
features.multi_agent_v2.{max_concurrent_threads_per_session, min_wait_timeout_ms, default_wait_timeout_ms,
max_wait_timeout_ms}, sapwood.script, sapwood.script_log. Exit codes: see `sapwood --help`.
";

pub const PS: &str = "\
Shows every tree and agent of this home, from their rollouts and locks alone: nothing is loaded or changed.

Usage: sapwood ps [OPTIONS]

Options:
      --json      One JSON object: {\"homes\":[...],\"agents\":[...]}
      --home DIR  Where rollouts are kept
  -h, --help      Prints this

States: working, queued, waiting (each with the process that holds the tree), idle, completed, failed, interrupted,
lost (its process died under it), quarantined (crashed too often), unreadable. What is lost or waits without a process
goes on with `sapwood exec resume ID`.
";
