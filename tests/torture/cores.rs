//! Many worlds, on all cores.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers in a row that nothing happened for, before there are no more: how many lines a run writes, and how often it
/// passes a point, depends on which mail arrives together.
const OUTLIVED: u64 = 12;

/// More than any run has: what goes on for longer does not end by itself.
const TOO_MANY: u64 = 1_000;

/// Does this for 1, 2, 3 and so on, on all cores, until it was false for [`OUTLIVED`] numbers in a row. Returns for
/// how many it was true.
pub fn each(test: impl Fn(u64) -> bool + Sync) -> u64 {
    let (next, newest) = (AtomicU64::new(1), AtomicU64::new(0));
    let work = || {
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            assert!(k < TOO_MANY, "there is no end to it");
            if k > newest.load(Ordering::Relaxed) + OUTLIVED {
                return;
            }
            if test(k) {
                newest.fetch_max(k, Ordering::Relaxed);
            }
        }
    };
    on_all(&work);
    newest.into_inner()
}

/// Does this on all cores at once.
pub fn on_all(work: &(impl Fn() + Sync)) {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
}
