//! One client on a websocket, a frame a text message.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;
use tracing::debug;

use super::{Incoming, Sink, Source};
use crate::connection::{CloseReason, Connection, Manner, drive};
use crate::server::Server;
use crate::service::Service;

/// A write that takes longer: clients that stop for a while come back by themselves.
const STALL: Duration = Duration::from_secs(60);
/// How often a client on the network is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// How clients on the network are treated: they may vanish without a word.
pub(super) const REMOTE: Manner = Manner { drains: false, stall: Some(STALL), ping: Some(PING) };
/// How clients on this machine are treated: the kernel says when they are gone.
pub(super) const LOCAL: Manner = Manner { drains: false, stall: Some(STALL), ping: None };

/// Serves one client to its end.
pub(super) async fn serve<S: Service>(
    server: Arc<Server<S>>,
    connection: Arc<Connection>,
    socket: WebSocket,
    manner: Manner,
) {
    let (sink, stream) = socket.split();
    let heard = Arc::new(Mutex::new(Instant::now()));
    let source = Stream { stream, heard: Arc::clone(&heard), connection: Arc::clone(&connection) };
    drive(server, connection, source, Frames { sink, heard }, manner).await;
}

struct Stream {
    stream: SplitStream<WebSocket>,
    /// When something came last.
    heard: Arc<Mutex<Instant>>,
    connection: Arc<Connection>,
}

impl Source for Stream {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            let message = self.stream.next().await?;
            *self.heard.lock() = Instant::now();
            match message {
                Ok(Message::Text(text)) => return Some(Incoming::Frame(text.into())),
                Ok(Message::Binary(_)) => debug!(connection = %self.connection.id(), "passed over a binary message"),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Close(_)) => return None,
                Err(error) => {
                    why(error).into_iter().for_each(|reason| self.connection.close(reason));
                    return None;
                }
            }
        }
    }
}

/// What the client is told of a frame that cannot be read.
fn why(error: axum::Error) -> Option<CloseReason> {
    match *error.into_inner().downcast::<tungstenite::Error>().ok()? {
        tungstenite::Error::Capacity(_) => Some(CloseReason::TooLong),
        tungstenite::Error::Utf8(_) => Some(CloseReason::NotText),
        _ => None,
    }
}

struct Frames {
    sink: SplitSink<WebSocket, Message>,
    heard: Arc<Mutex<Instant>>,
}

impl Sink for Frames {
    async fn write(&mut self, batch: &mut Vec<Bytes>) -> io::Result<()> {
        for frame in batch.drain(..) {
            // All that is sent is JSON, which is text.
            let text = Utf8Bytes::try_from(frame).map_err(io::Error::other)?;
            self.sink.feed(Message::Text(text)).await.map_err(io::Error::other)?;
        }
        self.sink.flush().await.map_err(io::Error::other)
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.sink.send(Message::Ping(Bytes::new())).await.map_err(io::Error::other)
    }

    fn silence(&self) -> Duration {
        self.heard.lock().elapsed()
    }

    async fn close(&mut self, reason: CloseReason) {
        let code = match reason {
            CloseReason::Gone => return,
            CloseReason::Shutdown | CloseReason::InputEnded => close_code::AWAY,
            CloseReason::TooLong => close_code::SIZE,
            CloseReason::NotText => close_code::INVALID,
            CloseReason::NotReading
            | CloseReason::TooManyLagging
            | CloseReason::TooManyKept
            | CloseReason::Stalled
            | CloseReason::Silent => close_code::POLICY,
        };
        let frame = CloseFrame { code, reason: reason.to_string().into() };
        // It may be gone already.
        let _ = self.sink.send(Message::Close(Some(frame))).await;
    }
}
