//! The agent: a pure machine in a thin shell.
//!
//! `state` is what the rollout says, by the `views` of its lines; `volatile` is what an incarnation has. `machine` has the
//! decisions: `intake` those about inputs, `sampling` about the model, `calls` about tools, `asking_people` and `patching`
//! about what is asked before it is done. `lines` is what they write,
//! `input` what they decide on, `effect` what they ask for, `event` what is shown of it, `prompt` and `tools` what a model reads and may call.
//!
//! Invariant: nothing here knows a clock, a file, a task or chance.

pub mod allowed;
pub mod approval;
mod asked;
mod asking_people;
mod background;
mod calls;
pub mod commands;
pub mod effect;
pub mod ended;
pub mod event;
pub mod fork;
pub mod frame;
pub mod history;
pub mod inbox;
pub mod input;
mod intake;
mod kept;
mod legacy;
pub mod lines;
mod machine;
#[cfg(test)]
mod machine_tests;
pub mod manner;
mod offered;
mod patching;
pub mod plan;
pub mod prompt;
mod sampling;
pub mod settings;
pub mod state;
pub mod tools;
pub mod turn;
pub mod user_shell;
mod views;
pub mod volatile;

pub use effect::{Decision, Effect};
pub use event::Event;
pub use input::{Ctx, Input};
pub use machine::Machine;
pub use settings::Settings;
pub use state::Agent;
