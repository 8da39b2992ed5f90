//! The requests of one client that wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::rpc::Request;

/// Requests that wait. A client that starts sends a few hundred at most.
pub const WAITING_COUNT: usize = 1024;
/// Their bytes. One that is larger still comes in when nothing else waits.
pub const WAITING_BYTES: usize = 192 * 1024;

/// The end that the reader of the transport holds. Dropped when nothing more comes.
pub struct Ingress {
    queue: mpsc::Sender<(Request, usize)>,
    bytes: Arc<AtomicUsize>,
}

/// The end that the dispatcher holds.
pub struct Waiting {
    queue: mpsc::Receiver<(Request, usize)>,
    bytes: Arc<AtomicUsize>,
}

/// A queue of one connection.
pub fn ingress() -> (Ingress, Waiting) {
    let (send, receive) = mpsc::channel(WAITING_COUNT);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Ingress { queue: send, bytes: Arc::clone(&bytes) }, Waiting { queue: receive, bytes })
}

impl Ingress {
    /// Queues a request that came as so many bytes, or gives it back where there is no room.
    pub fn offer(&self, request: Request, bytes: usize) -> Result<(), Request> {
        let waiting = self.bytes.load(Ordering::Acquire);
        if waiting > 0 && waiting + bytes > WAITING_BYTES {
            return Err(request);
        }
        // Before it is sent: who takes it gives them back.
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.queue.try_send((request, bytes)).map_err(|error| {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            error.into_inner().0
        })
    }
}

impl Waiting {
    /// The next request; `None` when the other end is gone and all were taken.
    pub async fn next(&mut self) -> Option<Request> {
        let (request, bytes) = self.queue.recv().await?;
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        Some(request)
    }
}
