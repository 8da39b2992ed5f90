//! `app-server`: serves clients, or carries bytes to a server that does.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_actors::process::Processes;
use sapwood_actors::service::Service;
use sapwood_model::Model;
use sapwood_rollout::{FileJournal, Journal};
use sapwood_server::app::{AppServer, IDLE_UNLOAD};
use sapwood_server::store::Store;
use sapwood_server::transport::{Listen, Listener, Token, control_socket};
use sapwood_server::{Connections, ExitReason, Identity, Server, Stopped};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::cli::AppServerArgs;
use crate::client::ORIGINATOR;
use crate::ending::Ending;
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::neighbour::Codex;
use crate::program::Served;
use crate::providers::Environment;
use crate::settings;
use crate::signals::Signals;

/// Who asks a provider, where no client has said its name.
const ORIGINATOR_OF_SERVER: &str = "sapwood_app_server";

/// For tasks that block when everything else is over.
const LEFTOVERS: Duration = Duration::from_millis(200);

/// How often it is looked whether a tree has been idle for too long.
const IDLE_LOOK: Duration = Duration::from_secs(30);

/// Serves until it is told to stop.
pub fn serve(args: &AppServerArgs) -> Exit {
    if args.is_detached {
        // It fails only where we lead a session already.
        let _ = rustix::process::setsid();
    }
    let served = Homes::find(args.home.as_deref()).and_then(|homes| {
        let runtime = Runtime::new()
            .map_err(|error| Failure::new(Exit::Failure, format!("the runtime cannot be started: {error}")))?;
        let stopped = runtime.block_on(run(args, &homes));
        runtime.shutdown_timeout(LEFTOVERS);
        stopped
    });
    match served {
        Ok(stopped) => exit(stopped),
        Err(failure) => Ending::failed(&failure).say_now(false),
    }
}

/// One that was told to stop, and did, is done.
fn exit(stopped: Stopped) -> Exit {
    match stopped.reason {
        ExitReason::NoTransport => Exit::Failure,
        ExitReason::Interrupted if stopped.is_forced => Exit::Interrupted,
        ExitReason::Terminated if stopped.is_forced => Exit::Terminated,
        ExitReason::Interrupted | ExitReason::Terminated | ExitReason::StdinClosed => Exit::Done,
    }
}

async fn run(args: &AppServerArgs, homes: &Homes) -> Result<Stopped, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be received: {error}")))?;
    let token = args.ws_token_file.as_deref().map(Token::read).transpose();
    let token = token.map_err(|error| Failure::configuration(error.to_string()))?;
    let listeners = listeners(args, &homes.home, token.as_ref()).await?;
    let connections = Arc::new(Connections::new());
    let service = service(args, homes, &connections)?;
    let mut identity = Identity::new(env!("CARGO_PKG_VERSION"), homes.home.to_string_lossy());
    identity.originator = std::env::var(ORIGINATOR).ok().filter(|name| !name.is_empty());
    let server = Server::new(Arc::clone(&service), AppServer::router(), connections, identity);
    for address in listeners.iter().filter_map(Listener::address) {
        announce(&address);
    }
    let (told, stop) = mpsc::channel(2);
    let stops = async {
        loop {
            let reason = match signals.next().await {
                Exit::Interrupted => ExitReason::Interrupted,
                _ => ExitReason::Terminated,
            };
            // Two are all that counts.
            let _ = told.try_send(reason);
        }
    };
    Ok(tokio::select! {
        stopped = server.run(listeners, stop) => stopped,
        never = stops => never,
        never = unload_idle(&service) => match never {},
    })
}

/// What stands behind the connections.
fn service(args: &AppServerArgs, homes: &Homes, connections: &Arc<Connections>) -> Result<Arc<AppServer>, Failure> {
    let failed = |what: &str, error: &io::Error| Failure::new(Exit::Failure, format!("{what}: {error}"));
    let program = std::env::current_exe()
        .map_err(|error| failed("the program that would run commands cannot be found", &error))?;
    let cwd = std::env::current_dir().map_err(|error| failed("the working directory cannot be used", &error))?;
    let environment = Environment::of_process(&homes.codex);
    let (profile, overrides) = (args.profile.clone(), args.overrides.clone());
    let served = Arc::new(Served::new(homes.clone(), cwd, profile, overrides, environment, ORIGINATOR_OF_SERVER));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let journal = Arc::new(FileJournal::new(homes.home.clone()));
    let processes = Processes::hiding(program, served.providers().secret_variables());
    let model = Arc::clone(&served) as Arc<dyn Model>;
    let trees = Service::new(
        Arc::clone(&journal) as Arc<dyn Journal>,
        model,
        processes,
        settings::shell().0,
        Arc::clone(&clock),
    )
    .beside(Arc::new(Codex(homes.home.clone())));
    let store = Arc::new(Store::new(journal, &index_folder(homes)));
    Ok(AppServer::new(served, Arc::clone(connections), trees, store, clock))
}

/// Where what is derived of a home's threads is kept: never in a home of Codex's.
fn index_folder(homes: &Homes) -> PathBuf {
    if homes.home == homes.state {
        return homes.state.clone();
    }
    let name: String = homes.home.to_string_lossy().chars().map(|c| if c == '/' { '%' } else { c }).collect();
    homes.state.join("homes").join(name)
}

async fn unload_idle(service: &AppServer) -> std::convert::Infallible {
    let longer_than = match std::env::var("SAPWOOD_IDLE_UNLOAD_SECS").ok().and_then(|secs| secs.parse().ok()) {
        Some(secs) => Duration::from_secs(secs),
        None => IDLE_UNLOAD,
    };
    loop {
        tokio::time::sleep(IDLE_LOOK.min(longer_than)).await;
        service.unload_idle(longer_than).await;
    }
}

async fn listeners(args: &AppServerArgs, home: &Path, token: Option<&Token>) -> Result<Vec<Listener>, Failure> {
    let mut places = Vec::new();
    for url in &args.listen {
        let place: Listen = url.parse().map_err(|error| Failure::usage(format!("--listen {error}")))?;
        if !places.contains(&place) || matches!(place, Listen::Ws(address) if address.port() == 0) {
            places.push(place);
        }
    }
    if places.is_empty() {
        places.push(Listen::Stdio);
    }
    let mut listeners = Vec::new();
    for place in places {
        listeners.push(place.bind(home, token).await.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?);
    }
    Ok(listeners)
}

/// Says where clients come in; port 0 has become a real one by now.
fn announce(address: &str) {
    let line = if crate::logs_are_json() {
        let now = jiff::Timestamp::now();
        let fields = serde_json::json!({"message": "listening", "address": address});
        serde_json::json!({"timestamp": now.to_string(), "level": "INFO", "fields": fields, "target": "sapwood"})
            .to_string()
    } else {
        format!("listening on {address}")
    };
    // Nobody is left to be told.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Carries bytes, whatever they say, until the server ends or, after the end of stdin, has said all.
pub fn proxy(args: &AppServerArgs) -> Exit {
    match carry(args) {
        Ok(()) => Exit::Done,
        Err(failure) => Ending::failed(&failure).say_now(false),
    }
}

fn carry(args: &AppServerArgs) -> Result<(), Failure> {
    let path = match &args.sock {
        Some(path) => path.clone(),
        None => control_socket(&Homes::find(args.home.as_deref())?.home),
    };
    let failed =
        |what: &str, error: &io::Error| Failure::new(Exit::Failure, format!("{what} {}: {error}", path.display()));
    let mut from = UnixStream::connect(&path)
        .map_err(|error| failed("no server answers on (start one with `sapwood daemon start`)", &error))?;
    let mut to = from.try_clone().map_err(|error| failed("cannot write to", &error))?;
    // It ends with the process where stdin stays open longer than the server lives.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut stdout = io::stdout().lock();
    loop {
        let count = match io::Read::read(&mut from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("cannot read from", &error)),
        };
        // A frame is not to wait for the end of its line.
        if stdout.write_all(&buffer[..count]).and_then(|()| stdout.flush()).is_err() {
            return Ok(());
        }
    }
}
