//! Data, and nothing else: ids, agent paths, rollout lines, items, the model API.
//!
//! What it is for: every other room speaks in these types, and the bytes that Sapwood shares with Codex
//! (rollout lines, Responses items) are described here once.
//! What it never does: I/O, time, chance, tasks, locks. A value is built from what it is given.
//!
//! Invariants:
//! - A rollout line *is* its bytes; the typed view stands beside it and never writes back.
//! - A line with one of our own kinds (`sapwood.*`) never has an ordinal; a line with one of Codex's kinds in a
//!   paginated file always has one.
//! - The text form of an id is its only serialised form.

pub mod app;
pub mod approval;
pub mod asked;
pub mod ids;
pub mod item;
pub mod limits;
pub mod line;
pub mod own;
pub mod path;
pub mod record;
pub mod time;
pub mod usage;

pub use ids::{CallId, Ids, ItemId, SessionId, ThreadId, TurnId};
pub use limits::{Credits, RateLimits, RateWindow};
pub use line::{Line, Mark, View};
pub use path::AgentPath;
pub use time::Millis;
pub use usage::Usage;
