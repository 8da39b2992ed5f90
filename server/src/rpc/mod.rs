//! The envelope: ids, one frame read, answers and errors, limits. Pure.

mod error;
mod frame;
mod lines;
mod request_id;
mod trace;

pub use error::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, OVERLOADED, RpcError};
pub use frame::{Answered, Frame, Nothing, Request, early_id};
pub use lines::{Line, Lines};
pub use request_id::RequestId;
pub use trace::Trace;

/// Bytes of one frame. The real clients send pictures as base64 in one, and stay below it.
pub const FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Arrays and objects within each other in one frame, as many as the reader of every parameter goes down.
pub const FRAME_DEPTH: usize = 128;

/// What answers a frame that is too long, where it could be seen whom to answer.
pub fn too_long() -> RpcError {
    RpcError::malformed(format_args!("the message is longer than {FRAME_BYTES} bytes"))
}
