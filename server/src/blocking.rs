//! Work that reads files.

use crate::rpc::RpcError;

/// Does it where that holds up nobody else who uses this thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    // It can only fail by a panic of ours, or at the end of the program.
    tokio::task::spawn_blocking(work).await.map_err(|error| RpcError::internal(error.to_string()))?
}
