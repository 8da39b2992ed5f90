//! The app server from outside: what was recorded of the real one, and what must hold beyond that.
//!
//! `APP_SERVER_PROGRAM=PATH cargo test --test app_server -- --include-ignored` runs the same against another program.

mod allowed;
mod asked_again;
mod bad_input;
mod client;
mod compare;
mod ids;
mod model;
mod program;
mod promised;
mod queue;
mod recorded;
mod replay;
mod rights;
mod schema;
mod shell;
mod trace;
mod transcript;
mod turns;
mod voice;
