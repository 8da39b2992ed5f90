//! Why a request about a command cannot be carried out.

use sapwood_actors::process::{InputError, ProcessError};

use super::outlet::MAX_BUFFERED_BYTES;
use crate::rpc::{INVALID_PARAMS, RpcError};

/// Why a request about a command cannot be carried out. For a person to read; [`CommandError::answer`] is what is sent.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No program is named.
    #[error("`command` is empty; give at least a program")]
    Empty,
    /// Two parameters that exclude each other.
    #[error("`{0}` and `{1}` exclude each other; give one of them")]
    Both(&'static str, &'static str),
    /// Something can only be had by a command that has a name.
    #[error("`{0}` needs a `processId`, by which output and later requests name the command")]
    Nameless(&'static str),
    /// A size without a terminal.
    #[error("`size` is for a terminal; set `tty` too")]
    SizeWithoutTerminal,
    /// A terminal without room.
    #[error("a terminal of {rows} rows and {cols} columns has no room; both have to be at least 1")]
    Size {
        /// Its height.
        rows: u16,
        /// Its width.
        cols: u16,
    },
    /// Time does not run backwards.
    #[error("`timeoutMs` is {0}; it has to be 0 or more")]
    NegativeTimeout(i64),
    /// Not the name of a variable.
    #[error("`env` names {0:?}, which no variable can be called")]
    Variable(String),
    /// A text that no system call takes.
    #[error("`{0}` holds a NUL character, which the system cannot pass on")]
    Nul(&'static str),
    /// The name is taken.
    #[error("a command with the `processId` {0:?} is running on this connection; give another one")]
    Taken(String),
    /// Nothing of this name runs.
    #[error("no command with the `processId` {0:?} is running on this connection")]
    Unknown(String),
    /// The command is about to start.
    #[error("the command {0:?} has not started yet; try again")]
    NotStarted(String),
    /// A write that says nothing.
    #[error("give `deltaBase64`, `closeStdin`, or both")]
    NothingToWrite,
    /// Not base64.
    #[error("`deltaBase64` is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// What is written does not reach the command.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Too many commands.
    #[error(
        "{limit} commands are running on this connection, which is the limit; end one, or wait until one has ended"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The command wrote more than can be answered.
    #[error(
        "the command was ended: it wrote more than {MAX_BUFFERED_BYTES} bytes; stream the output, or set `outputBytesCap`"
    )]
    TooMuchOutput,
    /// The system does not start it.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It did not start, or nobody knows how it ended: the reason.
    #[error("{0}")]
    Failed(String),
    /// The connection is being closed.
    #[error("the connection is closing, and the command ended with it")]
    Closing,
}

impl CommandError {
    /// The error that answers the request.
    pub fn answer(&self) -> RpcError {
        match self {
            Self::TooMany { .. } => RpcError { message: self.to_string(), ..RpcError::overloaded() },
            Self::Process(_) | Self::Closing => RpcError::internal(self.to_string()),
            Self::Both(one, _) if *one != "sandboxPolicy" => self.about_params(),
            Self::SizeWithoutTerminal | Self::Size { .. } | Self::NegativeTimeout(_) => self.about_params(),
            Self::NothingToWrite | Self::Base64(_) => self.about_params(),
            _ => RpcError::invalid(self.to_string()),
        }
    }

    /// The real server has this code where parameters do not fit together.
    fn about_params(&self) -> RpcError {
        RpcError { code: INVALID_PARAMS, ..RpcError::invalid(self.to_string()) }
    }
}
