//! Model checks of `sapwood-mailbox`: every interleaving of small scenes on the shipped sources.
//!
//! The models are in `tests/`, one file for each kind of promise. Run them with `RUSTFLAGS="--cfg
//! loom" CARGO_TARGET_DIR=target-loom cargo test -p sapwood-loom-tests --release`; without `--cfg
//! loom` there is nothing here. Each scene has two or three threads and a handful of steps, and is
//! tried exhaustively, without a bound on preemptions. `mutants.py` breaks the crate in one way at
//! a time and expects some model to notice.
//!
//! Never in here: a primitive that loom does not see. A model with one passes and proves nothing.

#[cfg(loom)]
mod scene;

#[cfg(loom)]
pub use scene::{Port, lease, mailbox, messages, port};
