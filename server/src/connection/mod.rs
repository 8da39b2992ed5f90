//! One client: who it is, what it wants, and what waits to be written to it.
//!
//! A connection is made by a transport, which gives its frames to `drive.rs` and writes what it takes out of the queue.
//! Everybody else holds it to send. It is closed by either side, once; what is sent afterwards is dropped.
//!
//! Invariants: an answer or a request of ours is never dropped while the connection lives; a notification is, by thread,
//! with `Service::lagged` to make up for it; memory is bounded whatever a client does.

mod client;
mod dispatch;
mod drive;
mod handshake;
mod ingress;
mod notification;
mod outbound;
mod registry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tracing::{error, info};

pub(crate) use drive::{DRAIN, Manner, drive};

pub use client::{Capabilities, Client, ClientInfo};
pub use handshake::PROTOCOL_VERSION;
pub use notification::Notification;
pub use outbound::CloseReason;
pub use registry::{CONNECTIONS, Connections, Full};

use crate::rpc::{RequestId, RpcError};
use outbound::{Lagging, Outbound};

/// The number of a connection: counted in the life of the server, used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One client.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    /// Set once, when its `initialize` is answered.
    client: OnceLock<Client>,
    /// Broadcasts reach it.
    is_ready: AtomicBool,
    outbound: Mutex<Outbound>,
    /// Something waits to be written, or it was closed.
    filled: Notify,
    /// Something was written, or it was closed.
    drained: Notify,
}

impl Connection {
    fn new(id: ConnectionId) -> Self {
        Self {
            id,
            client: OnceLock::new(),
            is_ready: AtomicBool::new(false),
            outbound: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// Its number.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who it is, once it has said so.
    pub fn client(&self) -> Option<&Client> {
        self.client.get()
    }

    /// Whether it asked for what may still change.
    pub fn experimental(&self) -> bool {
        self.client().is_some_and(|client| client.capabilities.experimental_api)
    }

    /// Whether broadcasts reach it.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Whether what is sent can still arrive.
    pub fn is_open(&self) -> bool {
        self.outbound.lock().closed().is_none()
    }

    /// Tells it something, unless it has not yet said who it is, or does not want to hear it.
    pub fn notify(&self, method: &'static str, params: &impl Serialize) {
        if self.wants(method) {
            self.send(&Notification::new(method, params));
        }
    }

    /// The same, of what is written already.
    pub fn send(&self, notification: &Notification) {
        if self.wants(notification.method()) {
            self.outbound.lock().tell(notification);
            self.filled.notify_one();
        }
    }

    /// Whether a notification of this name would be sent: to spare the work of making it.
    pub fn wants(&self, method: &str) -> bool {
        self.client().is_some_and(|client| !client.capabilities.opted_out.contains(method))
    }

    /// Asks it something. The answer arrives at [`Service::answered`](crate::Service::answered).
    pub fn request(&self, id: &RequestId, method: &str, params: &impl Serialize) {
        #[derive(Serialize)]
        struct Wire<'a, P> {
            method: &'a str,
            id: &'a RequestId,
            params: &'a P,
        }
        match serde_json::to_vec(&Wire { method, id, params }) {
            Ok(bytes) => self.keep(bytes.into()),
            Err(error) => error!(connection = %self.id, method, %error, "a request to a client cannot be written"),
        }
    }

    /// Ends it. What waits to be written is dropped, unless the reason lets the client finish.
    pub fn close(&self, reason: CloseReason) {
        let mut outbound = self.outbound.lock();
        if outbound.closed().is_none() {
            info!(connection = %self.id, %reason, "connection closed");
            outbound.close(reason);
        }
        drop(outbound);
        self.wake();
    }

    pub(crate) fn answer(&self, id: &RequestId, result: &impl Serialize) {
        #[derive(Serialize)]
        struct Wire<'a, R> {
            id: &'a RequestId,
            result: &'a R,
        }
        match serde_json::to_vec(&Wire { id, result }) {
            Ok(bytes) => self.keep(bytes.into()),
            Err(error) => {
                error!(connection = %self.id, request = %id, %error, "an answer cannot be written");
                self.refuse(id, &RpcError::internal(format!("the answer cannot be written: {error}")));
            }
        }
    }

    pub(crate) fn refuse(&self, id: &RequestId, error: &RpcError) {
        #[derive(Serialize)]
        struct Wire<'a> {
            error: &'a RpcError,
            id: &'a RequestId,
        }
        // Texts, numbers, and data that is JSON already.
        let bytes = serde_json::to_vec(&Wire { error, id }).unwrap_or_default();
        self.keep(bytes.into());
    }

    /// Notes who it is. False if that is known already.
    pub(crate) fn introduce(&self, client: Client) -> bool {
        self.client.set(client).is_ok()
    }

    pub(crate) fn open_to_broadcasts(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Waits until something can be written, and takes it. With why nothing comes any more, if so.
    pub(crate) async fn take(&self, batch: &mut Vec<Bytes>) -> Option<CloseReason> {
        loop {
            let filled = self.filled.notified();
            {
                let mut outbound = self.outbound.lock();
                outbound.take(batch);
                // A thread that lags may have been all that waited.
                if !batch.is_empty() || outbound.can_catch_up() {
                    return None;
                }
                if let Some(reason) = outbound.closed() {
                    return Some(reason);
                }
            }
            filled.await;
        }
    }

    /// The same, of what is not to be dropped: it brings a thread up to date of which too much was.
    pub(crate) fn send_whole(&self, notification: &Notification) {
        if self.wants(notification.method()) {
            self.keep(notification.bytes().clone());
        }
    }

    /// From here on it is told of a thread again: what it is sent next brings it up to date.
    pub(crate) fn catches_up(&self, thread: &str) {
        self.outbound.lock().catches_up(thread);
    }

    /// What was taken is written: a thread that lags, if it can be brought up to date now.
    pub(crate) fn written(&self) -> Option<(Arc<str>, Lagging)> {
        let lagging = self.outbound.lock().lagging();
        self.drained.notify_waiters();
        lagging
    }

    /// Waits until what its next request is answered has room.
    pub(crate) async fn room(&self) {
        self.until(Outbound::has_room_for_answers).await;
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) -> CloseReason {
        self.until(|outbound| outbound.closed().is_some()).await;
        self.outbound.lock().closed().unwrap_or(CloseReason::Gone)
    }

    async fn until(&self, holds: impl Fn(&Outbound) -> bool) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            // From here on no waking is missed.
            drained.as_mut().enable();
            if holds(&self.outbound.lock()) {
                return;
            }
            drained.await;
        }
    }

    fn keep(&self, bytes: Bytes) {
        let is_closed = {
            let mut outbound = self.outbound.lock();
            outbound.keep(bytes);
            outbound.closed().is_some()
        };
        if is_closed { self.wake() } else { self.filled.notify_one() }
    }

    fn wake(&self) {
        self.filled.notify_one();
        self.drained.notify_waiters();
    }
}
