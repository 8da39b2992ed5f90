//! How the program ends: one list of exit codes, and the failure that carries one.

use std::fmt;

/// The exit codes. They are documented in `sapwood --help`, and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything settled well.
    Done = 0,
    /// It failed.
    Failure = 1,
    /// The command line asks for something that there is not.
    Usage = 2,
    /// The configuration or the credentials do not do.
    Configuration = 3,
    /// The provider failed for good.
    Provider = 4,
    /// A budget or a usage limit pauses it; it can be resumed.
    UsageLimited = 5,
    /// It waits for an answer of a person; it can be resumed, and answered through a client.
    Asking = 6,
    /// The root is fine, and another agent of the tree is not.
    Partial = 7,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word in the terminal record of `--json`.
    pub fn outcome(self) -> &'static str {
        match self {
            Exit::Done => "completed",
            Exit::Failure => "failed",
            Exit::Usage => "usage",
            Exit::Configuration => "configuration",
            Exit::Provider => "provider",
            Exit::UsageLimited => "usageLimited",
            Exit::Asking => "asking",
            Exit::Partial => "partial",
            Exit::Interrupted | Exit::Terminated => "interrupted",
        }
    }
}

/// Why the program ends early: what a person reads, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
