//! Who may write: the newest incarnation, and whoever needs no incarnation.

use std::fmt;

use crate::sync::Mutex;

/// The right to append, new with every incarnation: the first is 1, and each [`Commit::fence`] ends
/// the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The number itself, for logs and views.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An append that came too late: a newer incarnation has taken over, and this one must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The epoch of the append.
    pub epoch: Epoch,
    /// The epoch that may append now.
    pub current: Epoch,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, current } = self;
        write!(f, "epoch {epoch} was replaced by {current}: nothing was written, stop this incarnation")
    }
}

impl std::error::Error for Stale {}

/// How many writes have returned, of either kind, since the writer was put in. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Writes of incarnations.
    pub appended: u64,
    /// Writes without an epoch.
    pub admitted: u64,
}

struct Inner<W> {
    /// The newest epoch given out; 0, which nobody holds, before the first.
    epoch: u64,
    watermark: Watermark,
    writer: W,
}

/// The commit core: a writer with two kinds of producers, of which one is fenced.
///
/// An incarnation [`append`](Self::append)s under its epoch; the owner [`admit`](Self::admit)s what
/// needs none. One lock holds the check and the write together, so once [`fence`](Self::fence) has
/// returned no older incarnation writes another byte, and no two writes interleave.
///
/// **The closures run under the lock, by design: they are the write.** They must not touch the same
/// `Commit` again, and should not do more than write: no user's code, no waiting. If one panics the
/// lock is free again and the writer is as the closure left it, so a writer must be legal, or know
/// that it is not, at each step.
pub struct Commit<W> {
    inner: Mutex<Inner<W>>,
}

impl<W> Commit<W> {
    /// Nobody may append until the first [`fence`](Self::fence).
    pub fn new(writer: W) -> Self {
        Self { inner: Mutex::new(Inner { epoch: 0, watermark: Watermark::default(), writer }) }
    }

    /// A new epoch; every older one is refused from here on. Waits for a write that is under way.
    pub fn fence(&self) -> Epoch {
        let mut inner = self.inner.lock();
        inner.epoch += 1;
        Epoch(inner.epoch)
    }

    /// Writes for the incarnation of `epoch`.
    ///
    /// # Errors
    /// [`Stale`] if another one has taken over; `write` was not run.
    pub fn append<R>(&self, epoch: Epoch, write: impl FnOnce(&mut W) -> R) -> Result<R, Stale> {
        let mut inner = self.inner.lock();
        if epoch.0 != inner.epoch {
            return Err(Stale { epoch, current: Epoch(inner.epoch) });
        }
        let written = write(&mut inner.writer);
        inner.watermark.appended += 1;
        Ok(written)
    }

    /// Writes for the owner, whoever the incarnation is, or whether there is one.
    pub fn admit<R>(&self, write: impl FnOnce(&mut W) -> R) -> R {
        let mut inner = self.inner.lock();
        let written = write(&mut inner.writer);
        inner.watermark.admitted += 1;
        written
    }

    /// How far the writes have come.
    pub fn watermark(&self) -> Watermark {
        self.inner.lock().watermark
    }
}

impl<W> fmt::Debug for Commit<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("Commit")
            .field("epoch", &inner.epoch)
            .field("watermark", &inner.watermark)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_appends_and_admission_needs_none() {
        let commit = Commit::new(Vec::new());
        commit.admit(|w| w.push("accepted before anyone lived"));
        let first = commit.fence();
        assert_eq!(commit.append(first, |w| w.push("one")), Ok(()));
        let second = commit.fence();
        assert!(second > first);
        assert_eq!(commit.append(first, |w| w.push("zombie")), Err(Stale { epoch: first, current: second }));
        commit.admit(|w| w.push("accepted"));
        assert_eq!(commit.append(second, |w| w.push("two")), Ok(()));
        assert_eq!(commit.watermark(), Watermark { appended: 2, admitted: 2 });
        let lines = commit.admit(|w| w.clone());
        assert_eq!(lines, ["accepted before anyone lived", "one", "accepted", "two"]);
    }

    #[test]
    fn what_the_write_says_is_returned() {
        let commit = Commit::new(());
        let epoch = commit.fence();
        assert_eq!(commit.append(epoch, |()| Err::<(), _>("disk full")), Ok(Err("disk full")));
    }

    #[test]
    fn a_panicking_write_does_not_lock_the_others_out() {
        let commit = Commit::new(0);
        let epoch = commit.fence();
        let write = || commit.append(epoch, |_| panic!("torn"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).is_err());
        assert_eq!(commit.append(epoch, |w| *w + 1), Ok(1));
        assert_eq!(commit.watermark(), Watermark { appended: 1, admitted: 0 });
    }

    #[test]
    fn stale_says_what_to_do() {
        let stale = Stale { epoch: Epoch(1), current: Epoch(2) };
        assert_eq!(stale.to_string(), "epoch 1 was replaced by 2: nothing was written, stop this incarnation");
    }
}
