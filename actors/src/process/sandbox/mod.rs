//! What a command may touch, and how the kernel is made to enforce it, by the command's own process before exec.
//!
//! Three layers, each for what the one before cannot do:
//!
//! 1. *Landlock*: where may be written, and TCP. It restricts a process for good, with everything it will ever
//!    start, and looks at the file that is opened and not at the path that led there, so links and renames do not get around it.
//!    Reading and executing stay free in every mode; so does looking with git.
//! 2. *A mount namespace*: `.git`, `.codex` and `.agents` of a writable root are mounted over themselves read-only, since Landlock can
//!    only add to what a folder allows. Landlock also forbids every later change of mounts, so nothing undoes it from inside.
//! 3. *A network namespace* without any network, when network access is off: Landlock knows TCP alone.
//!
//! Namespaces are made with a user namespace where the process may not make them otherwise. A process with rights over the machine
//! keeps those over files and loses the others.
//!
//! *Hard requirements*, without which a restricted command is refused: every kind of writing, creating, removing, renaming, linking
//! and truncating, and, with network access off, TCP bind and connect (ABI 4, Linux 6.7). *Where the kernel has it*: device ioctls
//! (ABI 5), signals and abstract Unix sockets beyond the sandbox (ABI 6).
//!
//! *Where namespaces are forbidden* (many containers, some distributions) the promise about `.git` is kept and something else is
//! given up: the rights are put on the entries of a root instead of the root, so that nothing can be created or removed in the root itself,
//! only in its folders. Leaving `.git` open instead would let a command plant a hook that runs outside the sandbox with the user's next
//! commit; and a refused write is seen at once, and can be asked for. Both losses are told as a [`Shortfall`].
//!
//! *Not covered*: Unix sockets that have a path, file modes and owners (`chmod`, `chown`, `touch -t`) outside the protected places, and
//! read access. A protected name that does not exist yet can be created: a mount needs a place. A root that the system has mounted in a
//! second place as well can be written to through that place, the protected names included.

mod denial;
mod enforce;
mod mode;
mod namespaces;
mod protected;

pub use denial::looks_denied;
pub use enforce::{Abi, probe};
pub use mode::SandboxMode;

pub(super) use enforce::{Surroundings, enforce};

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a sandbox does in a weaker or narrower way than it would on another machine. For a person to know, once a run, and for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Shortfall {
    /// Nothing can be created or removed directly in a folder that has something protected in it.
    #[error(
        "mount namespaces are not to be had here ({reason}), so commands can create and remove nothing directly in {folders:?}, \
         only in the folders beneath; allow unprivileged user namespaces to change that"
    )]
    FrozenFolders {
        /// Which.
        folders: Vec<PathBuf>,
        /// What the system said.
        reason: String,
    },
    /// Network access is off for TCP only.
    #[error(
        "network namespaces are not to be had here ({reason}), so commands without network access can still send UDP; allow \
         unprivileged user namespaces to change that"
    )]
    OnlyTcpRefused {
        /// What the system said.
        reason: String,
    },
}

/// Why a sandbox cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Landlock is missing, turned off or too old.
    #[error(
        "this kernel cannot enforce the sandbox, which needs Landlock ABI 4 (Linux 6.7 or newer, with `landlock` in its `lsm=` list); \
         to run without a sandbox, use `-s danger-full-access`"
    )]
    Kernel(#[source] ::landlock::RulesetError),
    /// Landlock is there, and did not take the rules.
    #[error("the kernel refused the sandbox: {0}; to run without one, use `-s danger-full-access`")]
    Refused(#[source] ::landlock::RulesetError),
    /// A writable root cannot be opened.
    #[error("the writable root {root:?} cannot be used: {source}; create it, or remove it from the writable roots")]
    Root {
        /// The root as given.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A writable root is, or has become, a link to another place.
    #[error("the writable root {root:?} leads to {found:?}; if that is meant, name {found:?} as the root")]
    RootMoved {
        /// The root as given.
        root: PathBuf,
        /// Where it leads.
        found: PathBuf,
    },
    /// What lies in a writable root and has to stay read-only can neither be mounted nor listed around.
    #[error(
        "{path:?} cannot be kept read-only: {source}; make it readable, or name a folder beside it as the writable root"
    )]
    Protected {
        /// What was to be protected, or the folder around it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Without mounts every entry around a protected one has to be named to the kernel, and there are too many.
    #[error(
        "{folder:?} has more than {limit} entries beside a protected one; allow unprivileged user namespaces, or use a smaller root"
    )]
    TooManyEntries {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Half a namespace: the process is in it and cannot say who it is there.
    #[error(
        "the sandbox's user namespace cannot be set up: {0}; to run without a sandbox, use `-s danger-full-access`"
    )]
    Identity(#[source] io::Error),
    /// Rights over the machine could not be laid down.
    #[error("the command's rights over the machine cannot be taken from it: {0}; do not run sapwood as root")]
    Rights(#[source] io::Error),
    /// The kernel took the rules and did not enforce them.
    #[error("the kernel accepted the sandbox but did not enforce it; to run without one, use `-s danger-full-access`")]
    NotEnforced,
}

impl From<::landlock::RulesetError> for Why {
    fn from(error: ::landlock::RulesetError) -> Self {
        match error {
            ::landlock::RulesetError::HandleAccesses(_) => Self::Kernel(error),
            _ => Self::Refused(error),
        }
    }
}
