//! The app server: JSON-RPC over stdio, unix socket and websocket; a user of the service facade.
//!
//! What it is for: clients of Codex's app-server protocol drive trees of agents through it. `rpc` reads a frame, `router` finds
//! its handler, `connection` keeps what waits for a client, `transport` carries it.
//! What it never does: decide anything about an agent. It knows models and files only through the rooms below.
//!
//! Invariants:
//! - A request gets exactly one answer, whatever its handler does ([`Reply`]).
//! - A client that does not read, floods, or sends rubbish harms nobody else, and costs bounded memory.
//! - What is said to many is written once.

pub mod app;
mod blocking;
pub mod command;
pub mod connection;
mod exec;
pub mod history;
pub mod methods;
pub mod program;
pub mod requests;
pub mod router;
pub mod rpc;
mod server;
mod service;
pub mod store;
#[cfg(test)]
mod tests;
mod threads;
pub mod transport;

pub use connection::{Connection, ConnectionId, Connections, Notification};
pub use router::{Call, Method, Reply, Router};
pub use rpc::{RequestId, RpcError};
pub use server::{ExitReason, Identity, Server, Stopped};
pub use service::Service;
