//! The program against a Responses server on loopback: conversations, faults, limits and keys.

#[path = "../support/mod.rs"]
mod support;

mod conversation;
mod faults_of_children;
mod faults_of_the_root;
mod faulty;
mod limited;
mod loopback;
mod recorded;
mod rollouts;
mod secrets;
mod usage_limit;
