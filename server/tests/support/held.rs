//! The least program that can hold commands, for the tests of `command/exec`.

use std::process::ExitCode;

use sapwood_actors::process::{EXEC_SUBCOMMAND, REAP_SUBCOMMAND, exec_main, reap_main};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(EXEC_SUBCOMMAND) => exec_main(),
        Some(REAP_SUBCOMMAND) => reap_main(),
        _ => ExitCode::from(2),
    }
}
