//! What is answered to HTTP, before a websocket begins or instead of one.

use std::sync::Arc;

use axum::extract::ws::{WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};
use tracing::{debug, warn};

use super::auth::Token;
use crate::connection::{Connection, Connections};
use crate::rpc::FRAME_BYTES;

/// From the first byte to a websocket. Nobody needs longer who means it.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes of the headers of a request.
const HEADER_BYTES: usize = 32 * 1024;
/// What a websocket reads and writes at once. Frames may be longer.
const BUFFER_BYTES: usize = 16 * 1024;

/// A websocket that has begun, and its connection.
pub(super) type Begun = (WebSocket, Registered);

/// A connection that is registered, until somebody drives it.
pub(super) struct Registered {
    connections: Arc<Connections>,
    connection: Option<Arc<Connection>>,
}

impl Registered {
    /// From now on who takes it removes it.
    pub(super) fn take(mut self) -> Option<Arc<Connection>> {
        self.connection.take()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.connections.remove(connection.id());
        }
    }
}

#[derive(Clone)]
struct Front {
    connections: Arc<Connections>,
    token: Option<Token>,
    begun: Arc<Mutex<Option<oneshot::Sender<Begun>>>>,
}

/// Answers HTTP on one stream until it becomes a websocket; `None` if it does not.
pub(super) async fn receive(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connections: Arc<Connections>,
    token: Option<Token>,
) -> Option<Begun> {
    let (send, begun) = oneshot::channel();
    let front = Front { connections, token, begun: Arc::new(Mutex::new(Some(send))) };
    let app: axum::Router = axum::Router::new().fallback(answer).with_state(front);
    let http = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_buf_size(HEADER_BYTES)
        // Who has asked may close its end, and reads on.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    match timeout(HANDSHAKE, http).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "not HTTP"),
        Err(_) => debug!("no websocket was asked for in time"),
    }
    // The sender is gone where no websocket was asked for.
    timeout(HANDSHAKE, begun).await.ok()?.ok()
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    // A page in a browser is not to reach a server on the same machine.
    if parts.headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "requests with an Origin header are refused\n").into_response();
    }
    let upgrades = parts.headers.contains_key(header::UPGRADE);
    let is_probe = matches!(parts.uri.path(), "/readyz" | "/healthz");
    if is_probe && !upgrades && matches!(parts.method, Method::GET | Method::HEAD) {
        return StatusCode::OK.into_response();
    }
    if let Some(token) = &front.token
        && let Err(why) = token.check(&parts.headers)
    {
        return (StatusCode::UNAUTHORIZED, why).into_response();
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(why) => return refuse(&why),
    };
    let connection = match front.connections.add() {
        Ok(connection) => connection,
        Err(full) => {
            warn!(%full, "a connection was refused");
            return (StatusCode::SERVICE_UNAVAILABLE, full.to_string()).into_response();
        }
    };
    let registered = Registered { connections: Arc::clone(&front.connections), connection: Some(connection) };
    upgrade
        .max_message_size(FRAME_BYTES)
        .max_frame_size(FRAME_BYTES)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_upgrade(move |socket| async move {
            if let Some(begun) = front.begun.lock().take() {
                // Where nobody waits any more, it ends here.
                let _ = begun.send((socket, registered));
            }
        })
}

fn refuse(why: &WebSocketUpgradeRejection) -> Response {
    (StatusCode::BAD_REQUEST, format!("this is a websocket: {why}\n")).into_response()
}
