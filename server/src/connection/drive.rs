//! The life of one connection: what comes is read and handled, what waits is written, until one side ends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{debug, info, warn};

use super::dispatch::dispatch;
use super::ingress::{Ingress, ingress};
use super::outbound::Lagging;
use super::{CloseReason, Connection};
use crate::rpc::{Frame, Nothing, early_id, too_long};
use crate::server::Server;
use crate::service::Service;
use crate::transport::{Incoming, Sink, Source};

/// For what was asked before the end to be answered, and what was answered to be written. A client that ends the server
/// kills it two seconds later.
pub const DRAIN: Duration = Duration::from_millis(1500);
/// For the last word of a connection that ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// What differs between transports.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Requests are handled also when nothing more comes: the other half may still be read.
    pub drains: bool,
    /// A write that takes longer means that nobody reads.
    pub stall: Option<Duration>,
    /// How often the other side is asked whether it is there; after four times without a word it is not.
    pub ping: Option<Duration>,
}

/// Pings without an answer.
const UNANSWERED: u32 = 4;

/// The connection is open while this is.
struct Open<S: Service> {
    server: Arc<Server<S>>,
    connection: Arc<Connection>,
}

impl<S: Service> Drop for Open<S> {
    fn drop(&mut self) {
        self.connection.close(CloseReason::Gone);
        self.server.connections().remove(self.connection.id());
        self.server.service().closed(&self.connection);
    }
}

/// Serves one client. `connection` is registered already, and is not any more when this returns or is dropped.
pub async fn drive<S: Service>(
    server: Arc<Server<S>>,
    connection: Arc<Connection>,
    mut source: impl Source + 'static,
    sink: impl Sink + 'static,
    manner: Manner,
) {
    let open = Open { server, connection };
    let (server, connection) = (&open.server, &open.connection);
    info!(connection = %connection.id(), "connection opened");
    let (queue, waiting) = ingress();
    let (mut dispatcher, mut writer) = (JoinSet::new(), JoinSet::new());
    dispatcher.spawn(dispatch(Arc::clone(server), Arc::clone(connection), waiting));
    writer.spawn(write(Arc::clone(server), Arc::clone(connection), sink, manner));
    let ending = tokio::select! {
        () = read(server, connection, &mut source, &queue) => CloseReason::InputEnded,
        reason = connection.closed() => reason,
        () = server.stopping() => CloseReason::Shutdown,
        // It ends before the connection is closed only where the transport fails.
        _ = writer.join_next() => CloseReason::Gone,
    };
    drop(queue);
    let answers = ending == CloseReason::Shutdown || (ending == CloseReason::InputEnded && manner.drains);
    if answers {
        let done = async { while dispatcher.join_next().await.is_some() {} };
        if timeout(DRAIN, done).await.is_err() {
            warn!(connection = %connection.id(), "requests were still being handled at the end");
        }
        dispatcher.shutdown().await;
        connection.close(ending);
    } else {
        connection.close(if ending == CloseReason::InputEnded { CloseReason::Gone } else { ending });
    }
    let written = async { while writer.join_next().await.is_some() {} };
    if timeout(DRAIN, written).await.is_err() {
        debug!(connection = %connection.id(), "the client did not read to the end");
    }
}

/// Reads until nothing more comes.
async fn read<S: Service>(
    server: &Arc<Server<S>>,
    connection: &Arc<Connection>,
    source: &mut impl Source,
    queue: &Ingress,
) {
    loop {
        // A client that sends and does not read waits here.
        connection.room().await;
        let Some(incoming) = source.next().await else { return };
        let (frame, bytes) = match incoming {
            Incoming::Frame(frame) => (Frame::read(&frame), frame.len()),
            Incoming::TooLong(beginning) => match early_id(&beginning) {
                Some(id) => (Frame::Refused(id, too_long()), 0),
                None => (Frame::Nothing(Nothing::TooLong), 0),
            },
        };
        match frame {
            Frame::Request(request) => {
                if let Err(request) = queue.offer(request, bytes) {
                    connection.refuse(&request.id, &crate::RpcError::overloaded());
                }
            }
            Frame::Refused(id, error) => connection.refuse(&id, &error),
            Frame::Answer(id, answer) if connection.client().is_some() => {
                server.service().answered(connection, id, answer);
            }
            Frame::Answer(id, _) => debug!(connection = %connection.id(), %id, "an answer before initialize"),
            Frame::Notification(method) => debug!(connection = %connection.id(), method, "notification"),
            Frame::Nothing(why) => debug!(connection = %connection.id(), %why, "passed over a message"),
        }
    }
}

/// Writes until the connection is closed and, where its client can still read, all is written.
async fn write<S: Service>(server: Arc<Server<S>>, connection: Arc<Connection>, mut sink: impl Sink, manner: Manner) {
    let mut batch: Vec<Bytes> = Vec::new();
    let period = manner.ping.unwrap_or(Duration::from_secs(24 * 3600));
    let mut pings = interval_at(Instant::now() + period, period);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reason = loop {
        let written = tokio::select! {
            ended = connection.take(&mut batch) => match ended {
                Some(reason) => break reason,
                None if batch.is_empty() => Written::All,
                None => tokio::select! {
                    written = within(manner.stall, sink.write(&mut batch)) => written,
                    // The rest is worth nothing where the client is not to get it.
                    reason = abandoned(&connection) => break reason,
                },
            },
            _ = pings.tick(), if manner.ping.is_some() => {
                if sink.silence() >= period * UNANSWERED {
                    break CloseReason::Silent;
                }
                within(manner.stall, sink.ping()).await
            }
        };
        batch.clear();
        match written {
            Written::All => {}
            Written::Stalled => break CloseReason::Stalled,
            Written::Failed(error) => {
                debug!(connection = %connection.id(), %error, "cannot write");
                break CloseReason::Gone;
            }
        }
        if let Some((thread, Lagging { dropped, since })) = connection.written() {
            warn!(connection = %connection.id(), %thread, dropped, "the client lagged, and is brought up to date");
            server.service().lagged(&connection, &thread, since.as_deref());
            // Also where there is nothing to be told of it any more.
            connection.catches_up(&thread);
        }
    };
    connection.close(reason);
    if timeout(FAREWELL, sink.close(reason)).await.is_err() {
        debug!(connection = %connection.id(), "no room for a farewell");
    }
}

enum Written {
    All,
    Stalled,
    Failed(std::io::Error),
}

async fn within(limit: Option<Duration>, write: impl Future<Output = std::io::Result<()>>) -> Written {
    let written = match limit {
        Some(limit) => match timeout(limit, write).await {
            Ok(written) => written,
            Err(_) => return Written::Stalled,
        },
        None => write.await,
    };
    written.map_or_else(Written::Failed, |()| Written::All)
}

/// Waits until the connection is closed in a way that drops what waits.
async fn abandoned(connection: &Connection) -> CloseReason {
    let reason = connection.closed().await;
    if reason.lets_finish() { std::future::pending().await } else { reason }
}
