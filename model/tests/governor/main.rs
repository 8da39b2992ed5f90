//! The governor from outside: its order, its limits against simulated providers, and its futures.

mod futures;
mod order;
mod servers;
mod simulation;
mod world;

use sapwood_protocol::SessionId;

/// A tree by its number.
fn tree(number: usize) -> SessionId {
    format!("00000000-0000-7000-8000-{number:012}").parse().expect("a uuid")
}
