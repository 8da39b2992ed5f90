//! SIGINT and SIGTERM, and work that does not outlast them.

use std::future::Future;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::terminal::screen;

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The exit code of the next signal.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }

    /// Ends the program at once when another signal comes before this is done. Everything accepted is in the
    /// rollouts, and the processes of commands end with ours.
    pub async fn or_exit<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            exit = self.next() => {
                screen::restore();
                std::process::exit(exit.code().into())
            }
            done = work => done,
        }
    }
}

/// Does the work, or as much as can be done until then.
pub async fn within(deadline: Option<Instant>, work: impl Future<Output = ()>) {
    match deadline {
        // What is not done by then, nobody will miss.
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.unwrap_or_default(),
        None => work.await,
    }
}
