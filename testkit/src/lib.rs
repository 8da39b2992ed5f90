//! What the tests of several members share: a Responses server on loopback that can misbehave.
//!
//! What it is for: answers each request by a function of the test, byte by byte, with every fault a provider can have.
//! What it never does: it is no dependency of a program, listens on loopback only, and keeps no rule of Sapwood.
//!
//! Invariants:
//! - What a server saw is complete when it answers: a request is listed before its answer is asked for.
//! - Nothing outlives its [`Server`]: dropping it ends every task and closes every connection.
//! - Misuse panics: this crate runs in tests.
//!
//! Where to start reading: [`Server`] and [`Answer`]; then [`sse`] for what a model says, [`script`] for whole trees of
//! agents, and [`limits`] for a provider that counts.
//!
//! ```
//! use sapwood_testkit::{Answer, Server, sse::Reply};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = Server::start(|request| {
//!     Answer::events(Reply::new(&format!("resp_{}", request.n)).message("Hello.", 2).completed())
//! })
//! .await;
//! assert!(server.base_url().ends_with("/v1"));
//! # });
//! ```

mod answer;
mod connection;
pub mod limits;
mod received;
pub mod script;
mod server;
pub mod sse;
mod wire;

pub use answer::{Answer, Framing, Gate};
pub use received::Received;
pub use server::{Counts, Server};
