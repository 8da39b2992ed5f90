//! Which threads have news, for the one who tells it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sapwood_actors::feed::Bell;
use sapwood_protocol::ThreadId;
use tokio::sync::Notify;

/// Threads with news, each once, in the order in which they rang.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    waiting: Mutex<VecDeque<Arc<ThreadBell>>>,
    rung: Notify,
}

/// The bell of one thread: rung twice before anybody looked, it is heard once.
#[derive(Debug)]
pub(crate) struct ThreadBell {
    pub thread: ThreadId,
    is_waiting: AtomicBool,
    ready: Arc<Ready>,
    this: std::sync::Weak<ThreadBell>,
}

impl Ready {
    /// The bell of a thread.
    pub fn bell(self: &Arc<Self>, thread: ThreadId) -> Arc<ThreadBell> {
        Arc::new_cyclic(|this| ThreadBell {
            thread,
            is_waiting: AtomicBool::new(false),
            ready: Arc::clone(self),
            this: this.clone(),
        })
    }

    /// The next thread with news. From here on its bell is heard again. One caller at a time.
    pub async fn next(&self) -> ThreadId {
        loop {
            if let Some(bell) = self.waiting.lock().pop_front() {
                bell.is_waiting.store(false, Ordering::Release);
                return bell.thread;
            }
            self.rung.notified().await;
        }
    }
}

impl Bell for ThreadBell {
    fn ring(&self) {
        if self.is_waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            self.ready.waiting.lock().push_back(this);
            self.ready.rung.notify_one();
        }
    }
}
