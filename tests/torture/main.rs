//! The whole program under torture: killed at every line, made to panic, starved of slots, and told to break out of its
//! sandbox. What is true afterwards is computed from ledgers outside of it.

mod codex;
mod cores;
mod faults;
mod kills;
mod ledgers;
mod patience;
mod processes;
mod rollouts;
mod sandbox;
mod slots;
mod world;
