//! What Codex recorded, against what is made of it here: the prompt that a fold of its rollouts gives, and the requests
//! that a run of our own makes where the model says the same.

mod driver;
#[path = "../support/empty.rs"]
mod empty;
mod exempt;
mod fixture;
mod forks;
mod prompts;
mod requests;
mod trees;
