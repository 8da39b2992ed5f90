//! What the machine gives: a sandbox, files and processes.

use rustix::process::{Resource, getrlimit};
use sapwood_actors::process::sandbox;
use sapwood_protocol::approval::SandboxPolicy;

use super::report::Check;
use crate::text::thousands;

/// What an agent at work holds open: its rollout and its lock, and for each of its commands two pipes and a socket.
const FILES_OF_AN_AGENT: u64 = 8;
/// Fewer agents at the same time than this are soon too few.
const FEW_AGENTS: u64 = 100;
/// Fewer processes than this are too few for a tree that runs commands.
const FEW_PROCESSES: u64 = 256;

/// Whether commands can be kept from what they may not do.
pub fn sandbox(mode: &SandboxPolicy) -> Check {
    const NAME: &str = "sandbox";
    match (sandbox::probe(), mode) {
        (Ok(abi), mode) => {
            Check::ok(NAME, format!("Landlock ABI {} is enforced; commands run `{}`", abi.0, mode.name()))
        }
        (Err(why), mode) if !mode.confines_files() => Check::warning(
            NAME,
            format!("commands run `{}`, and nothing else would do here: {why}", mode.name()),
            "use a kernel with Landlock before agents work on anything that matters",
        ),
        (Err(why), _) => Check::failure(
            NAME,
            format!("commands are to run `{}`: {why}", mode.name()),
            "use a kernel with Landlock, or, where commands may do everything, -s danger-full-access",
        ),
    }
}

/// How many files and processes a run may have.
pub fn limits() -> Check {
    const NAME: &str = "limits";
    // A run raises its own limit as far as it may.
    let files = getrlimit(Resource::Nofile).maximum;
    let processes = getrlimit(Resource::Nproc).current;
    let number = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), thousands);
    let says = format!("open files: {}; processes: {}", number(files), number(processes));
    if files.is_some_and(|files| files / FILES_OF_AN_AGENT < FEW_AGENTS) {
        let agents = files.unwrap_or_default() / FILES_OF_AN_AGENT;
        return Check::warning(
            NAME,
            format!("{says}; enough for some {agents} agents at the same time"),
            "raise the hard limit of open files (`ulimit -Hn`, limits.conf, or LimitNOFILE of the service)",
        );
    }
    if processes.is_some_and(|processes| processes < FEW_PROCESSES) {
        return Check::warning(NAME, says, "raise the limit of processes (`ulimit -u`): each command is at least two");
    }
    Check::ok(NAME, says)
}
