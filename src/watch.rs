//! Everything that happens in a tree, seen from the feeds of all its seats.

use std::sync::{Arc, Mutex, PoisonError};

use sapwood_actors::agent::Event;
use sapwood_actors::feed::{News, Subscription};
use sapwood_actors::seat::{Seat, SeatView};
use sapwood_actors::tree::Watcher;
use sapwood_protocol::Millis;
use tokio::sync::Notify;

/// Something that was seen.
pub struct Seen {
    pub seat: Arc<Seat>,
    pub what: What,
}

/// What was seen.
pub enum What {
    /// The seat is new to us; this is how it was then.
    Found(Box<SeatView>),
    /// Something happened.
    Happened { at: Millis, event: Event },
    /// More happened than the subscription holds.
    Missed,
}

impl What {
    /// True for what a person is told who wants to know of nothing else.
    pub fn is_warning(&self) -> bool {
        matches!(self, What::Happened { event: Event::Warning(_), .. })
    }
}

type Found = (Arc<Seat>, Box<SeatView>, Subscription);

/// Subscriptions to all seats of a tree, behind one bell.
#[derive(Default)]
pub struct Watch {
    bell: Arc<Notify>,
    found: Arc<Mutex<Vec<Found>>>,
    watched: Vec<(Arc<Seat>, Subscription)>,
}

impl Watch {
    /// What a tree is to call for each of its seats.
    pub fn watcher(&self) -> Watcher {
        let (bell, found) = (Arc::clone(&self.bell), Arc::clone(&self.found));
        Arc::new(move |seat| {
            let (view, subscription) = seat.feed.subscribe(Arc::<Notify>::clone(&bell), || Box::new(seat.view()));
            found.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(seat), view, subscription));
            bell.notify_one();
        })
    }

    /// Returns when there may be news.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// All news so far: in order for each agent, and by time between them.
    pub fn news(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        for (seat, view, subscription) in found {
            seen.push((Millis(0), Seen { seat: Arc::clone(&seat), what: What::Found(view) }));
            self.watched.push((seat, subscription));
        }
        for (seat, subscription) in &mut self.watched {
            let mut last = Millis(0);
            while let Some(news) = subscription.next(&seat.feed) {
                let what = match news {
                    News::Change(change) => {
                        // A clock that is set back does not turn one agent's events around.
                        last = last.max(change.at);
                        What::Happened { at: change.at, event: change.event }
                    }
                    News::Lagged { .. } => What::Missed,
                };
                seen.push((last, Seen { seat: Arc::clone(seat), what }));
            }
        }
        seen.sort_by_key(|(at, _)| *at);
        seen.into_iter().map(|(_, seen)| seen).collect()
    }
}
