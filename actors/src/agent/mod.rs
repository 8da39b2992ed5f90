//! The agent: a pure machine in a thin shell.
//!
//! `state` is what the rollout says, `volatile` what an incarnation has, `machine` the decisions, `lines` what they
//! write, `effect` what they ask for, `prompt` and `tools` what a model reads and may call, `shell` the driver's side.
//!
//! Invariant: nothing here but `shell` knows a clock, a file, a task or chance.

mod calls;
pub mod effect;
pub mod fork;
pub mod history;
pub mod inbox;
mod legacy;
pub mod lines;
mod machine;
#[cfg(test)]
mod machine_tests;
pub mod prompt;
pub mod settings;
pub mod state;
pub mod tools;
pub mod turn;
pub mod volatile;

pub use effect::{Ctx, Decision, Effect, Event, Input};
pub use machine::Machine;
pub use settings::Settings;
pub use state::Agent;
