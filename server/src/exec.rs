//! `command/exec` and its followers: commands of a connection, beside all threads.
//!
//! A command begins in the order of its connection's requests, and ends with the connection at the latest. Its request is
//! answered when it has ended, behind all of its output.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use sapwood_actors::tree::mode_of;
use sapwood_protocol::approval::SandboxPolicy;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::AppServer;
use crate::blocking::blocking;
use crate::command::params::{
    CommandExecOutputDelta, CommandExecParams, CommandExecResizeParams, CommandExecResponse,
    CommandExecTerminateParams, CommandExecWriteParams, Done,
};
use crate::command::{CommandError, Commands, Place};
use crate::connection::{Connection, ConnectionId};
use crate::program::{HasProgram, Program, ThreadRequest};
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

/// Pieces of output on their way to a connection: beyond it the command waits until the client has read.
const PIECES: usize = 16;

pub(crate) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("command/exec", exec),
        Method::new("command/exec/write", write),
        Method::new("command/exec/resize", resize),
        Method::new("command/exec/terminate", terminate),
    ]
}

/// The commands of all connections.
#[derive(Debug, Default)]
pub(crate) struct ClientCommands(Mutex<BTreeMap<ConnectionId, OfConnection>>);

/// Dropping it ends its commands.
#[derive(Debug)]
struct OfConnection {
    commands: Arc<Commands>,
    tasks: JoinSet<()>,
}

impl ClientCommands {
    /// The connection is no more.
    pub fn disconnected(&self, connection: ConnectionId) {
        let of_connection = self.0.lock().remove(&connection);
        if let Some(of_connection) = of_connection {
            of_connection.commands.close();
        }
    }

    /// The commands of a connection. Nothing, if it is no more.
    fn of(&self, app: &AppServer, connection: &Connection) -> Option<Arc<Commands>> {
        let mut all = self.0.lock();
        // It is closed before it is taken out here: nothing is left behind.
        if !connection.is_open() {
            return None;
        }
        let of_connection = all.entry(connection.id()).or_insert_with(|| OfConnection {
            commands: Arc::new(Commands::new(app.trees.processes().clone())),
            tasks: JoinSet::new(),
        });
        Some(Arc::clone(&of_connection.commands))
    }

    /// Goes on with a command beside the requests that follow. Nothing, if its connection is no more.
    fn run(&self, connection: ConnectionId, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(of_connection) = self.0.lock().get_mut(&connection) {
            // Tasks that are done leave nothing behind.
            while of_connection.tasks.try_join_next().is_some() {}
            of_connection.tasks.spawn(work);
        }
    }
}

async fn exec(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: CommandExecParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    let place = match place(&app, &params).await {
        Ok(place) => place,
        Err(error) => return reply.error(error),
    };
    let (connection, id) = (Arc::clone(&call.connection), call.connection.id());
    let Some(commands) = app.commands.of(&app, &connection) else {
        return reply.error(CommandError::Closing.answer());
    };
    let mut work = Box::pin(async move { reply.send(to_its_end(&commands, &connection, params, place).await) });
    // As far as it comes at once: who names the command next finds it.
    let is_done = poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await;
    if !is_done {
        app.commands.run(id, work);
    }
}

/// Runs a command, and sends what it writes.
async fn to_its_end(
    commands: &Commands,
    connection: &Connection,
    params: CommandExecParams,
    place: Place,
) -> Result<CommandExecResponse, RpcError> {
    let (events, mut pieces) = mpsc::channel(PIECES);
    let deliver = async {
        while let Some(piece) = pieces.recv().await {
            connection.room().await;
            connection.notify(CommandExecOutputDelta::METHOD, &piece);
        }
    };
    let (outcome, ()) = tokio::join!(commands.exec(params, place, events), deliver);
    outcome.map_err(|error| error.answer())
}

async fn write(app: Arc<AppServer>, call: Call, reply: Reply) {
    follow(&app, &call, reply, |params: &CommandExecWriteParams| &params.process_id, Commands::write).await;
}

async fn resize(app: Arc<AppServer>, call: Call, reply: Reply) {
    follow(&app, &call, reply, |params: &CommandExecResizeParams| &params.process_id, Commands::resize).await;
}

async fn terminate(app: Arc<AppServer>, call: Call, reply: Reply) {
    follow(&app, &call, reply, |params: &CommandExecTerminateParams| &params.process_id, Commands::terminate).await;
}

/// Does something to a command, once it has begun.
async fn follow<P: DeserializeOwned>(
    app: &AppServer,
    call: &Call,
    reply: Reply,
    name: impl Fn(&P) -> &str,
    act: impl Fn(&Commands, &P) -> Result<Done, CommandError>,
) {
    let done = async {
        let params: P = call.params()?;
        let commands = app.commands.of(app, &call.connection).ok_or_else(|| CommandError::Closing.answer())?;
        commands.begun(name(&params)).await;
        act(&commands, &params).map_err(|error| error.answer())
    };
    reply.send(done.await);
}

/// Where a command runs and what it may touch: what the request says, else what is configured. Both count from the command's
/// own directory.
async fn place(app: &Arc<AppServer>, params: &CommandExecParams) -> Result<Place, RpcError> {
    let program = Arc::clone(app.program());
    let (cwd, profile) = (params.cwd.clone(), params.permission_profile.clone());
    let policy = params.sandbox_policy.clone().map(SandboxPolicy::from);
    blocking(move || resolve(&*program, cwd.as_deref(), policy, profile)).await
}

fn resolve(
    program: &dyn Program,
    cwd: Option<&str>,
    policy: Option<SandboxPolicy>,
    profile: Option<String>,
) -> Result<Place, RpcError> {
    if policy.is_some() && profile.is_some() {
        return Err(CommandError::Both("sandboxPolicy", "permissionProfile").answer());
    }
    let own: &Path = program.cwd();
    let cwd: PathBuf = cwd.map_or_else(|| own.to_owned(), |cwd| own.join(cwd));
    let request =
        ThreadRequest { cwd: Some(cwd), permissions: profile, sandbox_policy: policy, ..ThreadRequest::default() };
    let prepared = program.thread_settings(request)?;
    let sandbox = mode_of(&prepared.settings.sandbox, &prepared.workspace_roots).resolved();
    let sandbox = sandbox.map_err(|why| RpcError::invalid(why.to_string()))?;
    Ok(Place { cwd: own.to_owned(), sandbox })
}
