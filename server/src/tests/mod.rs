//! The whole server over memory: real connections, real trees, a model that says what a test wants.

pub(crate) mod bed;
mod client;
mod follow;
mod model;
pub(crate) mod program;
mod requests;
#[path = "../../tests/support/rubbish.rs"]
mod rubbish;
mod view;
