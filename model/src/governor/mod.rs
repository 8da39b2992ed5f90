//! The rate governor: when a request may be sent.
//!
//! What it is for: several hundred agents share one account, and nobody tells how much it allows. Without a governor
//! they all run into its limits, all wait, and all return together. With it there is one line for each (provider,
//! account, model), which sends as much as is accepted, and the root of a tree before its workers.
//!
//! What it never does: it sends nothing, reads no header and no key, and starts no task.
//!
//! Where to start reading: [`mod@core`] decides what is sent, [`mod@line`] who is next, [`mod@blame`] which limit a refusal
//! was for. `limit` is how a limit is found that nobody tells, `pace` the one on requests per second, `quota` what
//! headers say; [`numbers`] has every constant with its reason. `governor` and `pass` make futures of it.

mod account;
pub mod blame;
pub mod core;
mod evidence;
mod gate;
#[allow(clippy::module_inception)]
mod governor;
mod limit;
pub mod line;
pub mod numbers;
mod pace;
mod pass;
mod quota;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_protocol::Millis;

use account::{Account, Now};
use numbers::GOVERNORS_MAX;

pub use governor::Governor;
pub use pass::Pass;
pub use quota::Headroom;

/// All governors of a process: one for each (provider, account, model).
///
/// There are [`GOVERNORS_MAX`] at most. For one more an idle one is forgotten, or, where none is idle, the one that was
/// asked for longest ago: its requests end as they would have, new ones learn the limits again.
pub struct Governors {
    now: Now,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    governors: BTreeMap<Key, Entry>,
    asked: u64,
}

/// Provider, account, model.
type Key = (Arc<str>, Arc<str>, Arc<str>);

struct Entry {
    governor: Arc<Governor>,
    /// The number of the last request for it.
    asked: u64,
}

impl Governors {
    /// None yet. `now` is the clock of the wall, in which the ends of usage limits are told.
    pub fn new(now: Arc<dyn Fn() -> Millis + Send + Sync>) -> Arc<Governors> {
        Arc::new(Self { now, known: Mutex::default() })
    }

    /// The governor of a model. `account` is a fingerprint of what pays: no key, and the same for the same key.
    ///
    /// To be called inside a tokio runtime with time.
    pub fn of(&self, provider: &str, account: &str, model: &str) -> Arc<Governor> {
        let mut known = self.known.lock();
        known.asked += 1;
        let asked = known.asked;
        let key: Key = (provider.into(), account.into(), model.into());
        if let Some(entry) = known.governors.get_mut(&key) {
            entry.asked = asked;
            return entry.governor.clone();
        }
        let account = known.account(&key).unwrap_or_else(|| Account::new(self.now.clone()));
        known.make_room();
        let governor = Governor::new(provider, model, account.clone(), RandomState::new().hash_one(asked));
        account.add(&governor);
        known.governors.insert(key, Entry { governor: governor.clone(), asked });
        governor
    }
}

impl Known {
    /// What the models of the same account share.
    fn account(&self, (provider, account, _): &Key) -> Option<Arc<Account>> {
        let first: Key = (provider.clone(), account.clone(), "".into());
        let (key, entry) = self.governors.range(first..).next()?;
        (key.0 == *provider && key.1 == *account).then(|| entry.governor.account.clone())
    }

    fn make_room(&mut self) {
        if self.governors.len() < GOVERNORS_MAX {
            return;
        }
        let oldest = |idle: bool| {
            let entries = self.governors.iter().filter(|(_, entry)| !idle || entry.governor.is_idle());
            entries.min_by_key(|(_, entry)| entry.asked).map(|(key, _)| key.clone())
        };
        if let Some(key) = oldest(true).or_else(|| oldest(false)) {
            self.governors.remove(&key);
        }
    }
}

impl fmt::Debug for Governors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governors").field("known", &self.known.lock().governors.len()).finish_non_exhaustive()
    }
}
