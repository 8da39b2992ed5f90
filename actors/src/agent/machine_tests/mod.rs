//! The machine as tables: a state and an input, and the lines and effects that follow.

mod background;
mod asks;
mod bench;
mod calls;
mod forks;
mod legacy;
mod pauses;
mod prefixes;
mod reports;
mod settings;
mod turns;
