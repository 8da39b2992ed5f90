//! The echo service as a program on stdio, for tests of what only a process shows.

mod echo;

use std::process::ExitCode;
use std::sync::Arc;

use sapwood_server::transport::Listen;
use sapwood_server::{ExitReason, Identity, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use echo::{Echo, router};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let stopped = runtime.and_then(|runtime| {
        let stopped = runtime.block_on(run());
        runtime.shutdown_background();
        stopped
    });
    match stopped {
        Ok(stopped) => {
            eprintln!("{} {} {}", stopped.reason.word(), stopped.connections_left, stopped.is_forced);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> std::io::Result<sapwood_server::Stopped> {
    let (send, stop) = mpsc::channel(2);
    let mut terminate = signal(SignalKind::terminate())?;
    let signals = async move {
        while terminate.recv().await.is_some() && send.send(ExitReason::Terminated).await.is_ok() {}
        std::future::pending().await
    };
    let echo = Arc::new(Echo::default());
    let connections = Arc::clone(&echo.connections);
    let server = Server::new(echo, router(), connections, Identity::new("1.2.3", "/nowhere"));
    let listener = Listen::Stdio.bind(std::path::Path::new("/nowhere"), None).await.map_err(std::io::Error::other)?;
    tokio::select! {
        stopped = server.run(vec![listener], stop) => Ok(stopped),
        never = signals => never,
    }
}
