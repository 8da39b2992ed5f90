//! A server with a home of its own, on a runtime whose time passes only when nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use sapwood_actors::agent::Settings;
use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_actors::process::Processes;
use sapwood_actors::service::Service as Trees;
use sapwood_rollout::{FileJournal, Journal};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::client::{Client, Wire};
use super::model::Puppet;
use super::program::Told;
use crate::app::AppServer;
use crate::connection::{Connections, Manner, drive};
use crate::server::{Identity, Server};
use crate::store::Store;
use crate::transport::Stdin;

/// What a moment of rest passes: longer than an interrupt waits for a worker, shorter than anything that waits for a person.
const REST: Duration = Duration::from_secs(1);

/// One whose time is paused.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Waits until nothing happens any more: paused time passes only then.
pub async fn rest() {
    tokio::time::sleep(REST).await;
}

/// A server.
pub struct Bed {
    pub model: Arc<Puppet>,
    server: Arc<Server<AppServer>>,
    _dir: TempDir,
}

impl Bed {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (home, work) = (dir.path().join("home"), dir.path().join("work"));
        for folder in [&home, &work] {
            std::fs::create_dir(folder).unwrap();
        }
        let settings = Settings { has_environment: false, model_is_said: false, ..Settings::default() };
        let program = Arc::new(Told { settings: Some(settings), cwd: Some(work) });
        let (model, clock) = (Arc::new(Puppet::default()), Arc::new(SystemClock) as Arc<dyn Clock>);
        let journal = Arc::new(FileJournal::new(home));
        // No command is ever run: there is no program to run it with.
        let processes = Processes::new(dir.path().join("nothing"));
        let journal_port = Arc::clone(&journal) as Arc<dyn Journal>;
        let trees = Trees::new(journal_port, Arc::clone(&model) as _, processes, "/bin/sh".into(), Arc::clone(&clock));
        let connections = Arc::new(Connections::new());
        let store = Arc::new(Store::new(journal, &dir.path().join("state")));
        let app = AppServer::new(program, Arc::clone(&connections), trees, store, clock);
        let server = Server::new(app, AppServer::router(), connections, Identity::new("1.2.3", "/home"));
        Self { model, server, _dir: dir }
    }

    /// One more client, which reads nothing yet.
    pub fn connect(&self) -> Client {
        let (client, Wire { pieces, sink }) = Client::new();
        let connection = self.server.connections().add().expect("there are few");
        let manner = Manner { drains: false, stall: None, ping: None };
        let driving = drive(Arc::clone(&self.server), connection, Stdin::of(pieces), sink, manner);
        client.driven_by(tokio::spawn(driving))
    }

    /// The server itself, for other transports.
    pub fn server(&self) -> &Arc<Server<AppServer>> {
        &self.server
    }

    /// Ends all of it.
    pub async fn close(self) {
        self.server.service().close().await;
    }
}
