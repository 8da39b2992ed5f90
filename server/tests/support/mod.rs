//! What the tests share.

pub mod client;
pub mod echo;
pub mod rubbish;
