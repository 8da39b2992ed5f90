//! Methods that need no thread in memory: configuration, models, accounts, and short lists.
//!
//! Each asks the [`Program`]; what it reads of files is read where that blocks nobody.

mod account;
mod config;
mod lists;
mod models;
mod page;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

use crate::blocking::blocking;
use crate::program::{HasProgram, Program, ProgramError};
use crate::router::{Method, Reply};
use crate::rpc::RpcError;

/// The rows of these methods.
pub fn table<S: HasProgram>() -> Vec<Method<S>> {
    [account::table(), config::table(), lists::table(), models::table()].into_iter().flatten().collect()
}

/// Answers with what the program says, which may read files.
async fn answer<S: HasProgram, T: Serialize + Send + 'static>(
    service: Arc<S>,
    reply: Reply,
    ask: impl FnOnce(&dyn Program) -> Result<T, ProgramError> + Send + 'static,
) {
    reply.send(says(service, ask).await);
}

/// What the program says.
async fn says<S: HasProgram, T: Send + 'static>(
    service: Arc<S>,
    ask: impl FnOnce(&dyn Program) -> Result<T, ProgramError> + Send + 'static,
) -> Result<T, RpcError> {
    blocking(move || Ok(ask(&**service.program())?)).await
}
