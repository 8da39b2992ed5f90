//! The least program that can hold commands, for the tests: what `sapwood` does with its hidden subcommands, and a parent to be
//! killed.

use std::path::PathBuf;
use std::process::ExitCode;

use sapwood_actors::process::{
    Cancel, Command, EXEC_SUBCOMMAND, Pause, Processes, REAP_SUBCOMMAND, SandboxMode, exec_main, reap_main,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(EXEC_SUBCOMMAND) => exec_main(),
        Some(REAP_SUBCOMMAND) => reap_main(),
        Some("parent") => parent(PathBuf::from(&arguments[2]), &arguments[3..]),
        _ => ExitCode::from(2),
    }
}

/// Runs every script but the last, holds the last, and prints the held one's id. Ends only by being killed.
fn parent(cwd: PathBuf, scripts: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let processes = Processes::new(std::env::current_exe().expect("a path"));
        let mut held = Vec::new();
        for script in scripts {
            let command = Command {
                sandbox: SandboxMode::DangerFullAccess,
                max_output: 1024,
                ..Command::new(vec!["bash".into(), "-c".into(), script.clone()], cwd.clone())
            };
            held.push(processes.hold(command).await.expect("held"));
        }
        let last = held.pop().expect("a script");
        let runs: Vec<_> =
            held.into_iter().map(|held| tokio::spawn(held.run(Pause::never(), Cancel::never()))).collect();
        println!("{}", last.group().id);
        for run in runs {
            run.await.expect("no panic");
        }
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}
