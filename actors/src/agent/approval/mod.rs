//! What is asked before it is done: policies and rights made into verdicts, questions into requests, answers into what
//! follows.
//!
//! `words` splits scripts, `safety` knows what only reads and what destroys, `actions` says for a person what a script
//! does. `verdict` decides whether a command or a change of files runs, is asked for, or is refused; `grants` is what a
//! person allowed for the session. `pending` has the open questions of a turn, `follow` what comes of an answer.
//! `permissions`, `questions` and `dynamic` are the tools that are nothing but a question, `shown` their items.
//!
//! A reviewer of questions does not exist yet: under `auto_review` a person is asked, and is told so once
//! ([`NO_REVIEWER`]). To refuse everything would be another policy than the one that was chosen, to allow it none.
//!
//! Invariant: nothing here knows a clock, a file or a task. In doubt something is asked.

pub mod actions;
pub mod dynamic;
pub mod follow;
pub mod grants;
pub mod pending;
pub mod permissions;
pub mod questions;
pub mod safety;
pub mod shown;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod fold_tests;

pub use dynamic::DynamicTools;
pub use follow::{Next, Output};
pub use grants::Grants;
pub use pending::Pending;
pub use verdict::{Confinement, Rights, Verdict};

/// What a person is told, once a turn, whose settings name a reviewer that this version does not have.
pub const NO_REVIEWER: &str =
    "approvals_reviewer = \"auto_review\" is set, and this version has no reviewer: approvals are asked of you";
