//! Where the server is reached, and who is let in.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::auth::Token;
use super::local::Bound;
use super::{front, stdio, websocket};
use crate::connection::Manner;
use crate::server::{ExitReason, Server};
use crate::service::Service;

/// Streams that are no websocket yet. The others wait in the kernel's queue.
const HANDSHAKES: usize = 64;
/// After an accept that failed: mostly for want of file descriptors, which come back with time only.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The socket that clients on this machine look for in a home.
pub fn control_socket(home: &Path) -> PathBuf {
    home.join("app-server-control").join("app-server-control.sock")
}

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `stdio://`
    Stdio,
    /// `unix://`: the control socket of the home.
    Control,
    /// `unix://PATH`
    Unix(PathBuf),
    /// `ws://IP:PORT`; port 0 takes a free one.
    Ws(SocketAddr),
}

/// A place that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: not a place to listen; use stdio://, unix://, unix://PATH or ws://IP:PORT")]
pub struct BadAddress(String);

impl FromStr for Listen {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(if path.is_empty() { Self::Control } else { Self::Unix(path.into()) });
        }
        if let Some(address) = text.strip_prefix("ws://") {
            let address = address.strip_suffix('/').unwrap_or(address);
            return address.parse().map(Self::Ws).map_err(|_| BadAddress(text.to_owned()));
        }
        match text {
            "stdio://" | "stdio" => Ok(Self::Stdio),
            _ => Err(BadAddress(text.to_owned())),
        }
    }
}

/// A place that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refuses.
    #[error("cannot listen on {address}: {error}; choose another place with --listen")]
    Bind {
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// Somebody does already.
    #[error("{by} listens on {} already; stop it, or choose another place with --listen unix://PATH", path.display())]
    Held {
        /// The socket.
        path: PathBuf,
        /// Who.
        by: String,
    },
    /// Something else has the name.
    #[error("{} is there and is no socket; remove it, or choose another place with --listen unix://PATH", .0.display())]
    NoSocket(PathBuf),
    /// Others could run commands here.
    #[error(
        "ws://{0} can be reached from other machines, and needs --ws-auth capability-token --ws-token-file FILE; \
         or listen on ws://127.0.0.1:{port}", port = .0.port()
    )]
    TokenNeeded(SocketAddr),
}

/// A place that is listened on.
#[derive(Debug)]
pub struct Listener(Place);

#[derive(Debug)]
enum Place {
    Stdio,
    Unix(Bound),
    Ws { listener: TcpListener, address: SocketAddr, token: Option<Token> },
}

impl Listen {
    /// Takes the place. From now on clients can connect, and are answered once [`Server::run`] has it.
    pub async fn bind(&self, home: &Path, token: Option<&Token>) -> Result<Listener, ListenError> {
        Ok(Listener(match self {
            Self::Stdio => Place::Stdio,
            Self::Control => Place::Unix(Bound::bind(&control_socket(home)).await?),
            Self::Unix(path) => Place::Unix(Bound::bind(path).await?),
            Self::Ws(address) => {
                if token.is_none() && !address.ip().is_loopback() {
                    return Err(ListenError::TokenNeeded(*address));
                }
                let failed = |error| ListenError::Bind { address: format!("ws://{address}"), error };
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                Place::Ws { listener, address, token: token.cloned() }
            }
        }))
    }
}

impl Listener {
    /// Where clients connect, as they are told; `None` for stdio.
    pub fn address(&self) -> Option<String> {
        match &self.0 {
            Place::Stdio => None,
            Place::Unix(bound) => Some(format!("unix://{}", bound.path.display())),
            Place::Ws { address, .. } => Some(format!("ws://{address}")),
        }
    }

    /// Serves clients until the server stops, and then until they are done. With why it is to stop, where that is known
    /// here.
    pub(crate) async fn serve<S: Service>(self, server: Arc<Server<S>>) -> Option<ExitReason> {
        match self.0 {
            Place::Stdio => stdio::serve(server).await,
            Place::Unix(bound) => accept(server, websocket::LOCAL, None, bound).await,
            Place::Ws { listener, token, .. } => accept(server, websocket::REMOTE, token, listener).await,
        }
    }
}

/// A socket that clients connect to.
trait Accept: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next client. Dropping the future loses none.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for Bound {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        let own = rustix::process::geteuid().as_raw();
        loop {
            let (stream, _) = self.listener.accept().await?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == own => return Ok(stream),
                other => warn!(peer = ?other, "refused another user"),
            }
        }
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Deltas are small, and are to arrive one by one.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn accept<S: Service>(
    server: Arc<Server<S>>,
    manner: Manner,
    token: Option<Token>,
    socket: impl Accept,
) -> Option<ExitReason> {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = server.stopping() => break,
            // Those that are done leave nothing behind.
            Some(_) = clients.join_next() => {}
            accepted = next(&socket, &handshakes) => match accepted {
                Ok((stream, permit)) => {
                    clients.spawn(client(Arc::clone(&server), stream, token.clone(), manner, permit));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a client");
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
        }
    }
    // Nobody new comes in meanwhile.
    drop(socket);
    while clients.join_next().await.is_some() {}
    None
}

async fn next<A: Accept>(
    socket: &A,
    handshakes: &Arc<Semaphore>,
) -> io::Result<(A::Stream, Option<OwnedSemaphorePermit>)> {
    // Never closed.
    let permit = Arc::clone(handshakes).acquire_owned().await.ok();
    Ok((socket.next().await?, permit))
}

async fn client<S: Service>(
    server: Arc<Server<S>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    token: Option<Token>,
    manner: Manner,
    permit: Option<OwnedSemaphorePermit>,
) {
    let begun = tokio::select! {
        begun = front::receive(stream, Arc::clone(server.connections()), token) => begun,
        () = server.stopping() => None,
    };
    drop(permit);
    match begun {
        Some((socket, registered)) => {
            if let Some(connection) = registered.take() {
                websocket::serve(server, connection, socket, manner).await;
            }
        }
        None => debug!("a client left before it was one"),
    }
}
