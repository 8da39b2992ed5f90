//! `apply_patch`: the model's edits of files, from the text of a patch to the disk, and the diff of a whole turn.
//!
//! What it is for: a patch applies as a whole or not at all, and whoever is to approve it sees what it will do before it is
//! done. [`parse`] reads the text; [`plan`](plan()) finds its hunks in the files and says what will be there afterwards; [`apply`]
//! writes it; `words` is what the model and the rollout are told; [`TurnDiff`] adds up a turn.
//! What it never does: it asks nobody, decides no approval, and knows no agent. It is plain synchronous code, for a thread that
//! may block.
//!
//! Invariants:
//! - `plan` writes nothing. `apply` writes what the plan says, where the plan says, or leaves what was there.
//! - Nothing is written through a link: a plan names real paths, and a link on one of them later is a refusal.
//! - What a patch does not mention stays as it is, byte for byte: line endings, a missing final newline, the file's mode.

mod apply;
mod diff;
mod files;
mod grammar;
mod hunks;
mod place;
mod plan;
#[cfg(test)]
mod tests;
mod text;
mod turn_diff;
pub mod words;

pub use apply::{Applied, ApplyError, apply};
pub use files::{Disk, Files, Found, Kind, repository_root};
pub use grammar::{Action, Hunk, Line, Patch, Section, parse};
pub use plan::{Change, ChangeKind, Destination, PatchError, Plan, Writable, plan};
pub use turn_diff::TurnDiff;

/// The longest patch that is read: 4 MiB, several times what any model can say in one answer.
pub const MAX_PATCH_BYTES: usize = 4 << 20;

/// The largest file that is changed: 16 MiB. Old and new text and their diff are all in memory at once.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The most files a patch changes: 1,000, so that a plan fits in memory, and on a screen for whoever approves it.
pub const MAX_FILES: usize = 1_000;
