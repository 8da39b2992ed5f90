//! The feed of a thread: numbered changes for whoever looks.
//!
//! A subscriber gets the snapshot of revision R and then the changes from R+1 on. Its queue is bounded: one that
//! does not keep up loses its queue and gets a new snapshot, and nobody else notices. Nothing is serialised or sent
//! under the lock.
//!
//! Items of the open turn that have begun and are not complete are kept here, with what of their text has come: they are
//! in no rollout yet. A delta of any other item is refused, and neighbouring ones of one item are joined. A command that goes on in
//! the background stays here when its turn ends.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sapwood_protocol::{ItemId, Millis, TurnId};
use tokio::sync::Notify;

use crate::agent::Event;
use crate::agent::event::{Part, Snapshot};

/// Changes that wait for one subscriber, at most.
const QUEUE: usize = 1024;

/// Text of one open item that is kept for those who come later, in bytes: what a person can still read. The whole text
/// comes when the item is complete.
const OPEN_TEXT_BYTES: usize = 256 * 1024;

/// Joined deltas grow to this many bytes: the next one is a change of its own.
const JOINED_BYTES: usize = 16 * 1024;

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

/// An item of the open turn that has begun and is not complete.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenItem {
    /// The turn.
    pub turn: TurnId,
    /// Its id.
    pub id: ItemId,
    /// How it began.
    pub snapshot: Snapshot,
    /// What has come of it: each part's text.
    pub parts: Vec<(Part, String)>,
}

/// Rung when there is news. Called under no lock of the feed's; does not wait.
pub trait Bell: Send + Sync + 'static {
    /// There is news.
    fn ring(&self);
}

impl Bell for Notify {
    fn ring(&self) {
        self.notify_one();
    }
}

/// The feed of one thread.
#[derive(Default)]
pub struct Feed(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    revision: u64,
    subscribers: Vec<Weak<Queue>>,
    open: Vec<OpenItem>,
    /// Those of `open` that go on without their turn.
    detached: BTreeSet<ItemId>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    bell: Arc<dyn Bell>,
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
            if !feed.follow(&event) {
                return;
            }
            feed.revision += 1;
            let revision = feed.revision;
            feed.subscribers.retain(|subscriber| {
                let Some(queue) = subscriber.upgrade() else {
                    return false;
                };
                queue.waiting.lock().push(Change { revision, at, event: event.clone() });
                bells.push(Arc::clone(&queue.bell));
                true
            });
        }
        bells.iter().for_each(|bell| bell.ring());
    }

    /// Subscribes, and takes a snapshot at the same revision. `bell` is rung for each change: many subscriptions
    /// may share one.
    pub fn subscribe<S>(&self, bell: Arc<dyn Bell>, snapshot: impl FnOnce() -> S) -> (S, Subscription) {
        let mut feed = self.0.lock();
        let queue = Arc::new(Queue { waiting: Mutex::default(), bell });
        feed.subscribers.push(Arc::downgrade(&queue));
        (snapshot(), Subscription { revision: feed.revision, queue })
    }

    /// The number of the last change, and the items that are open at it.
    pub fn open_items(&self) -> (u64, Vec<OpenItem>) {
        let feed = self.0.lock();
        (feed.revision, feed.open.clone())
    }

    /// The number of the last change.
    pub fn revision(&self) -> u64 {
        self.0.lock().revision
    }
}

impl Inner {
    /// Brings the open items in line with an event. False for a delta of an item that is not open: it is no news.
    fn follow(&mut self, event: &Event) -> bool {
        match event {
            Event::ItemStarted { turn, item, snapshot: Some(snapshot) } => {
                let Some(id) = item.id() else { return true };
                self.open.retain(|open| open.id != id);
                self.open.push(OpenItem { turn: turn.clone(), id, snapshot: snapshot.clone(), parts: Vec::new() });
            }
            Event::ItemCompleted { item, .. } => {
                if let Some(id) = item.id() {
                    self.detached.remove(&id);
                    self.open.retain(|open| open.id != id);
                }
            }
            Event::Delta { item, part, text, .. } => {
                let Some(open) = self.open.iter_mut().find(|open| open.id == *item) else {
                    return false;
                };
                let kept = match open.parts.iter_mut().find(|(known, _)| known == part) {
                    Some((_, kept)) => kept,
                    None => {
                        open.parts.push((*part, String::new()));
                        &mut open.parts.last_mut().expect("it was just added").1
                    }
                };
                let room = OPEN_TEXT_BYTES.saturating_sub(kept.len());
                kept.push_str(&text[..text.floor_char_boundary(room)]);
            }
            Event::Retrying { .. } | Event::Dropped { .. } => self.open.retain(|open| !open.snapshot.is_streamed),
            Event::Detached { item, .. } if self.open.iter().any(|open| open.id == *item) => {
                self.detached.insert(item.clone());
            }
            Event::TurnEnded { .. } | Event::Resync => {
                let detached = &self.detached;
                self.open.retain(|open| detached.contains(&open.id));
            }
            _ => {}
        }
        true
    }
}

impl Waiting {
    fn push(&mut self, change: Change) {
        if self.lagged {
            return;
        }
        if let (Some(last), Event::Delta { item, part, text, .. }) = (self.changes.back_mut(), &change.event)
            && let Event::Delta { item: before, part: of, text: joined, .. } = &mut last.event
            && (&*before, &*of) == (item, part)
            && joined.len() + text.len() <= JOINED_BYTES
        {
            joined.push_str(text);
            last.revision = change.revision;
            return;
        }
        if self.changes.len() >= QUEUE {
            self.changes.clear();
            self.lagged = true;
            return;
        }
        self.changes.push_back(change);
    }
}

impl Subscription {
    /// The items that are open, where all news were taken: what is known of them then is what was told. Nothing while there is
    /// more to be told.
    pub fn open_items(&self, feed: &Feed) -> Option<Vec<OpenItem>> {
        // Under the feed's lock nothing is published.
        let inner = feed.0.lock();
        let waiting = self.queue.waiting.lock();
        (waiting.changes.is_empty() && !waiting.lagged).then(|| inner.open.clone())
    }

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
    use crate::agent::event::Shown;

    fn event(n: u64) -> Event {
        Event::Warning(n.to_string())
    }

    #[test]
    fn a_subscriber_gets_every_change_after_its_snapshot() {
        let feed = Feed::default();
        feed.publish(Millis(0), event(1));
        let (at, mut subscription) = feed.subscribe(Arc::new(Notify::new()), || "snapshot");
        assert_eq!((at, subscription.revision), ("snapshot", 1));
        feed.publish(Millis(0), event(2));
        let change = Change { revision: 2, at: Millis(0), event: event(2) };
        assert_eq!(subscription.next(&feed), Some(News::Change(change)));
        assert_eq!(subscription.next(&feed), None);
    }

    #[test]
    fn one_that_does_not_keep_up_starts_again_and_costs_nobody() {
        let feed = Feed::default();
        let (_, mut slow) = feed.subscribe(Arc::new(Notify::new()), || ());
        let (_, mut quick) = feed.subscribe(Arc::new(Notify::new()), || ());
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
        drop(feed.subscribe(Arc::new(Notify::new()), || ()));
        feed.publish(Millis(0), event(1));
        assert!(feed.0.lock().subscribers.is_empty());
    }

    fn started(id: &str) -> Event {
        let snapshot = Snapshot::begun(&serde_json::json!({"id": id}), Millis(1), true);
        let item = Shown::Agent { id: id.into(), text: String::new() };
        Event::ItemStarted { turn: "t".into(), item, snapshot: Some(snapshot) }
    }

    fn delta(id: &str, text: &str) -> Event {
        Event::Delta { turn: "t".into(), item: id.into(), part: Part::Text, text: text.into() }
    }

    #[test]
    fn deltas_are_joined_and_only_those_of_open_items_are_news() {
        let feed = Feed::default();
        let (_, mut subscription) = feed.subscribe(Arc::new(Notify::new()), || ());
        feed.publish(Millis(0), delta("a", "lost"));
        feed.publish(Millis(0), started("a"));
        ["x", "y"].into_iter().for_each(|text| feed.publish(Millis(0), delta("a", text)));
        feed.publish(Millis(0), started("b"));
        feed.publish(Millis(0), delta("a", "z"));
        let (revision, open) = feed.open_items();
        assert_eq!(subscription.open_items(&feed), None, "there is more to be told");
        assert_eq!((revision, open[0].parts.clone()), (5, vec![(Part::Text, "xyz".into())]));
        let mut seen = Vec::new();
        while let Some(News::Change(change)) = subscription.next(&feed) {
            seen.push((change.revision, change.event));
        }
        assert_eq!(seen, [(1, started("a")), (3, delta("a", "xy")), (4, started("b")), (5, delta("a", "z"))]);
        assert_eq!(subscription.open_items(&feed), Some(open));
        let item = Shown::Agent { id: "a".into(), text: "xyz".into() };
        feed.publish(Millis(0), Event::ItemCompleted { turn: "t".into(), item, snapshot: None });
        feed.publish(Millis(0), delta("a", "late"));
        assert_eq!(subscription.next(&feed).is_some() as u8 + subscription.next(&feed).is_some() as u8, 1);
        feed.publish(Millis(0), Event::Retrying { message: "cut".into(), at: Millis(9) });
        assert_eq!(feed.open_items().1, [], "its text is dropped with its attempt");
    }

    #[test]
    fn a_command_in_the_background_stays_open_until_it_ends() {
        let feed = Feed::default();
        let (turn, output) = (TurnId::from("t"), |text: &str| Event::Delta {
            turn: "t".into(),
            item: "a".into(),
            part: Part::Output,
            text: text.into(),
        });
        ["a", "b"].into_iter().for_each(|id| feed.publish(Millis(0), started(id)));
        feed.publish(Millis(0), Event::Detached { turn: turn.clone(), item: "a".into() });
        feed.publish(Millis(0), Event::Detached { turn: turn.clone(), item: "unknown".into() });
        feed.publish(Millis(0), output("one "));
        feed.publish(Millis(0), Event::Resync);
        feed.publish(Millis(0), output("two"));
        let open = feed.open_items().1;
        assert_eq!(open.iter().map(|open| open.id.as_str()).collect::<Vec<_>>(), ["a"], "the other went with its turn");
        assert_eq!(open[0].parts, [(Part::Output, "one two".to_owned())]);
        let item = Shown::Agent { id: "a".into(), text: String::new() };
        feed.publish(Millis(0), Event::ItemCompleted { turn, item, snapshot: None });
        assert_eq!(feed.open_items().1, []);
    }
}
