//! Loaded threads: who looks at them, and what they are told.
//!
//! What it is for: trees of the facade as clients know them. `story` is what was told of one thread, `watched` who is told,
//! `notify` how it is written; `tree` holds a loaded tree and the one task that tells its news.
//! What it never does: decide anything about an agent, or keep anything that a rollout does not have.
//!
//! Invariants:
//! - An answer is queued before what it leads to: who changes a thread holds its [`watched::Watched`] until it has answered.
//! - What began ends, once, for every client that was told of it; but not what a model was saying when it was cut off.

mod begin;
mod input;
mod items;
mod keep;
mod looks;
mod mode;
mod notify;
mod overrides;
mod queue;
mod ready;
mod resume;
mod settings;
mod story;
mod terminals;
pub(crate) mod tree;
mod turns;
mod watched;

use crate::app::AppServer;
use crate::router::Method;

pub(crate) use keep::{Leaving, tell_unloaded};
pub(crate) use looks::describe;

/// The methods of threads and turns.
pub(crate) fn table() -> Vec<Method<AppServer>> {
    [
        begin::table(),
        resume::table(),
        looks::table(),
        keep::table(),
        turns::table(),
        queue::table(),
        items::table(),
        terminals::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
