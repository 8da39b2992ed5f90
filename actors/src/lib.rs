//! Who lives in the tree: the agent, its workers, and the service facade.
//!
//! What it is for: agents that are rebuilt from their rollouts, admission into the receiver's rollout, and the one
//! door through which the program and the server act on trees.
//! What it never does: it parses no command line, speaks no client protocol, and writes no file but through the
//! journal's port.
//!
//! Invariants:
//! - An agent's durable state changes in one function, which folds a file and follows live appends.
//! - What tells or starts something is done only after the line that justifies it is durable.
//! - An accepted input is pending, consumed or settled by lines in its receiver's rollout: exactly one of them.

pub mod agent;
pub mod background;
pub mod clock;
pub mod faults;
pub mod feed;
pub mod fold;
pub mod git;
pub mod host;
pub mod neighbour;
mod nicknames;
pub mod patch;
mod patcher;
pub mod process;
pub mod seat;
pub mod service;
pub mod shell;
pub mod trace;
pub mod tree;
pub mod workers;
