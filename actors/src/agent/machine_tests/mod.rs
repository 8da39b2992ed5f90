//! The machine as tables: a state and an input, and the lines and effects that follow.

mod asks;
mod background;
mod bench;
mod calls;
mod forks;
mod legacy;
mod pauses;
mod prefixes;
mod queue;
mod reports;
mod settings;
mod turns;
mod user_shell;
