//! What the models share: an actor's port, and short forms.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use sapwood_mailbox::{Caps, Doorbell, Envelope, Incarnation, LANES, Mailbox};

/// The part of an actor's port that a mailbox knows: a queue of doorbells, counted.
pub struct Port(AtomicUsize);

struct Bell(Arc<Port>);

impl Doorbell for Bell {
    fn ring(&self) -> bool {
        self.0.ring();
        true
    }
}

impl Port {
    /// Puts a doorbell into the queue.
    pub fn ring(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes a doorbell out if there is one; there must never be two.
    pub fn take(&self) -> bool {
        let rings = self.0.swap(0, Ordering::AcqRel);
        assert!(rings <= 1, "{rings} doorbells are outstanding");
        rings == 1
    }

    /// The bell to attach with.
    pub fn bell(this: &Arc<Self>) -> Arc<dyn Doorbell> {
        // loom's `Arc` has no unsized coercion of its own.
        let bell: std::sync::Arc<dyn Doorbell> = std::sync::Arc::new(Bell(this.clone()));
        Arc::from_std(bell)
    }
}

/// An empty port.
pub fn port() -> Arc<Port> {
    Arc::new(Port(AtomicUsize::new(0)))
}

/// A mailbox with the same caps for every lane.
pub fn mailbox<M>(count: u32, bytes: u64) -> Arc<Mailbox<M>> {
    Arc::new(Mailbox::new(Caps { count: [count; LANES], bytes: [bytes; LANES] }))
}

/// Leases up to `max`; the answer about the doorbell is dropped.
pub fn lease<M>(mailbox: &Mailbox<M>, me: Incarnation, max: usize) -> Vec<Arc<Envelope<M>>> {
    let mut out = Vec::new();
    mailbox.lease(me, max, &mut out);
    out
}

/// The messages of a batch.
pub fn messages<M: Copy>(batch: &[Arc<Envelope<M>>]) -> Vec<M> {
    batch.iter().map(|envelope| envelope.msg).collect()
}
