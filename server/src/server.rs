//! The server: a service and its table behind transports.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info};

use crate::connection::{Connections, DRAIN};
use crate::router::Router;
use crate::service::Service;
use crate::transport::Listener;

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Of the program.
    pub version: String,
    /// The folder in which everything is kept, as clients are told.
    pub home: String,
    /// The operating system with its release.
    pub system: String,
    /// What the user agent begins with; the first client's name if nothing.
    pub originator: Option<String>,
}

impl Identity {
    /// Of this machine.
    pub fn new(version: impl Into<String>, home: impl Into<String>) -> Self {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy().into_owned();
        Self { version: version.into(), home: home.into(), system: format!("Linux {release}"), originator: None }
    }
}

/// Why a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Its stdin, which is its client, ended.
    StdinClosed,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// No transport is left.
    NoTransport,
}

impl ExitReason {
    /// The word in the log.
    pub fn word(self) -> &'static str {
        match self {
            ExitReason::StdinClosed => "stdin_closed",
            ExitReason::Interrupted => "sigint",
            ExitReason::Terminated => "sigterm",
            ExitReason::NoTransport => "no_transport",
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Why it was to end.
    pub reason: ExitReason,
    /// Connections that were not done by then.
    pub connections_left: usize,
    /// It was told twice, and did not wait.
    pub is_forced: bool,
}

/// A service behind transports.
#[derive(Debug)]
pub struct Server<S> {
    service: Arc<S>,
    router: Router<S>,
    connections: Arc<Connections>,
    identity: Identity,
    stopping: watch::Sender<bool>,
}

impl<S: Service> Server<S> {
    /// Nothing runs yet. The service may know the connections already, to send to them.
    pub fn new(service: Arc<S>, router: Router<S>, connections: Arc<Connections>, identity: Identity) -> Arc<Self> {
        Arc::new(Self { service, router, connections, identity, stopping: watch::Sender::new(false) })
    }

    /// Serves on all of them until one `stop` comes or the client on stdin ends; then accepts nothing more, answers what was
    /// asked, and returns. A second `stop` ends it at once. Each is told why.
    pub async fn run(self: &Arc<Self>, listeners: Vec<Listener>, mut stop: mpsc::Receiver<ExitReason>) -> Stopped {
        let mut transports = JoinSet::new();
        for listener in listeners {
            transports.spawn(listener.serve(Arc::clone(self)));
        }
        let reason = loop {
            tokio::select! {
                // Without a sender nobody can stop it but its client.
                Some(reason) = stop.recv() => break reason,
                ended = transports.join_next() => match ended {
                    Some(Ok(Some(reason))) => break reason,
                    Some(Ok(None)) => {}
                    Some(Err(error)) => error!(%error, "a transport failed"),
                    None => break ExitReason::NoTransport,
                },
            }
        };
        info!(exit_reason = reason.word(), connections = self.connections.count(), "shutting down");
        self.stopping.send_replace(true);
        let drained = timeout(DRAIN * 3, async { while transports.join_next().await.is_some() {} });
        let mut is_forced = tokio::select! {
            _ = drained => false,
            Some(_) = stop.recv() => true,
        };
        let connections_left = self.connections.count();
        transports.shutdown().await;
        if !is_forced {
            is_forced = tokio::select! {
                () = self.service.ended() => false,
                Some(_) = stop.recv() => true,
            };
        }
        info!(exit_reason = reason.word(), connections_left, forced = is_forced, "exit");
        Stopped { reason, connections_left, is_forced }
    }

    /// Whose methods are called.
    pub fn service(&self) -> &Arc<S> {
        &self.service
    }

    /// The table.
    pub fn router(&self) -> &Router<S> {
        &self.router
    }

    /// All connections.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Waits until it is to end.
    pub(crate) async fn stopping(&self) {
        // The sender is ours.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
