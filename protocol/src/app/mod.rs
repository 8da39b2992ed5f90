//! The wire of the app server: params, responses and notifications of the v2 protocol. What
//! the server asks of clients is in [`crate::asked`].
//!
//! What it is for: what a client reads and writes is described here once, as values with serde's names.
//! What it never does: I/O, state, a decision. Who answers what is the server's.
//!
//! Invariants:
//! - Fields stand in the order in which the real server writes them, and a `null` is written where it writes one.
//! - Reading is lenient about what is too much (unknown fields are passed over) and strict about what is wrong.

pub mod account;
pub mod change;
pub mod config;
pub mod drive;
pub mod dynamic;
pub mod experimental;
pub mod initialize;
pub mod input;
pub mod item;
pub mod list;
pub mod lists;
pub mod methods;
pub mod models;
pub mod notices;
pub mod queue;
pub mod settings;
pub mod start;
pub mod terminals;
pub mod thread;
pub mod turn;
pub mod wire;

pub use input::UserInput;
