//! The feed of a thread: numbered changes for whoever looks.
//!
//! A subscriber gets the snapshot of revision R and then the changes from R+1 on. Its queue is bounded: one that
//! does not keep up loses its queue and gets a new snapshot, and nobody else notices. Nothing is serialised or sent
//! under the lock.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sapwood_protocol::Millis;
use tokio::sync::Notify;

use crate::agent::Event;

/// Changes that wait for one subscriber, at most.
const QUEUE: usize = 1024;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number.
    pub revision: u64,
    /// When it happened.
    pub at: Millis,
    /// What happened.
    pub event: Event,
}

/// The feed of one thread.
#[derive(Debug, Default)]
pub struct Feed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    subscribers: Vec<Weak<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    bell: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Change>,
    lagged: bool,
}

/// What a subscriber reads.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The next change.
    Change(Change),
    /// It did not keep up: changes up to this revision are lost to it, and it is to look at the snapshot again.
    Lagged {
        /// The revision of the snapshot that is to be taken now.
        revision: u64,
    },
}

/// One who looks. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    /// The revision that the snapshot taken with it belongs to.
    pub revision: u64,
    queue: Arc<Queue>,
}

impl Feed {
    /// Publishes a change. Never waits.
    pub fn publish(&self, at: Millis, event: Event) {
        let mut bells = Vec::new();
        {
            let mut feed = self.0.lock();
            feed.revision += 1;
            let revision = feed.revision;
            feed.subscribers.retain(|subscriber| {
                let Some(queue) = subscriber.upgrade() else {
                    return false;
                };
                let mut waiting = queue.waiting.lock();
                if waiting.changes.len() >= QUEUE {
                    waiting.changes.clear();
                    waiting.lagged = true;
                }
                if !waiting.lagged {
                    waiting.changes.push_back(Change { revision, at, event: event.clone() });
                }
                drop(waiting);
                bells.push(Arc::clone(&queue.bell));
                true
            });
        }
        bells.iter().for_each(|bell| bell.notify_one());
    }

    /// Subscribes, and takes a snapshot at the same revision. `bell` is rung for each change: many subscriptions
    /// may share one.
    pub fn subscribe<S>(&self, bell: Arc<Notify>, snapshot: impl FnOnce() -> S) -> (S, Subscription) {
        let mut feed = self.0.lock();
        let queue = Arc::new(Queue { waiting: Mutex::default(), bell });
        feed.subscribers.push(Arc::downgrade(&queue));
        (snapshot(), Subscription { revision: feed.revision, queue })
    }

    /// The number of the last change.
    pub fn revision(&self) -> u64 {
        self.0.lock().revision
    }
}

impl Subscription {
    /// The next piece of news, if there is one.
    pub fn next(&mut self, feed: &Feed) -> Option<News> {
        let mut waiting = self.queue.waiting.lock();
        if let Some(change) = waiting.changes.pop_front() {
            self.revision = change.revision;
            return Some(News::Change(change));
        }
        if !waiting.lagged {
            return None;
        }
        drop(waiting);
        // The feed's lock first, as in `publish`.
        let inner = feed.0.lock();
        self.queue.waiting.lock().lagged = false;
        self.revision = inner.revision;
        Some(News::Lagged { revision: inner.revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> Event {
        Event::Warning(n.to_string())
    }

    #[test]
    fn a_subscriber_gets_every_change_after_its_snapshot() {
        let feed = Feed::default();
        feed.publish(Millis(0), event(1));
        let (at, mut subscription) = feed.subscribe(Arc::default(), || "snapshot");
        assert_eq!((at, subscription.revision), ("snapshot", 1));
        feed.publish(Millis(0), event(2));
        let change = Change { revision: 2, at: Millis(0), event: event(2) };
        assert_eq!(subscription.next(&feed), Some(News::Change(change)));
        assert_eq!(subscription.next(&feed), None);
    }

    #[test]
    fn one_that_does_not_keep_up_starts_again_and_costs_nobody() {
        let feed = Feed::default();
        let (_, mut slow) = feed.subscribe(Arc::default(), || ());
        let (_, mut quick) = feed.subscribe(Arc::default(), || ());
        let mut seen = 0;
        for n in 0..=QUEUE as u64 {
            feed.publish(Millis(0), event(n));
            while let Some(News::Change(change)) = quick.next(&feed) {
                seen = change.revision;
            }
        }
        assert_eq!(seen, QUEUE as u64 + 1);
        assert_eq!(slow.next(&feed), Some(News::Lagged { revision: QUEUE as u64 + 1 }));
        feed.publish(Millis(0), event(9));
        assert!(matches!(slow.next(&feed), Some(News::Change(change)) if change.revision == QUEUE as u64 + 2));
    }

    #[test]
    fn a_dropped_subscription_is_forgotten() {
        let feed = Feed::default();
        drop(feed.subscribe(Arc::default(), || ()));
        feed.publish(Millis(0), event(1));
        assert!(feed.0.lock().subscribers.is_empty());
    }
}
