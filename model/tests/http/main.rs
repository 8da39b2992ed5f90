//! The client of a provider, against a server on loopback that can misbehave.

mod conversation;
mod faults;
mod secrets;
mod setup;
mod streams;
