//! Why something of Codex's could not be read.

use std::path::PathBuf;

use sapwood_protocol::ThreadId;

/// What was left out. The thread is taken over without it; each says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// Codex has a newer database than we know.
    #[error(
        "{} is of a newer version than this one reads ({known}); what it holds is not taken over", place.display()
    )]
    Newer {
        /// The database.
        place: PathBuf,
        /// The name that is known.
        known: String,
    },
    /// Its tables or columns are not those that are known.
    #[error("{} has other tables than this version knows ({why}); what it holds is not taken over", place.display())]
    Schema {
        /// The database.
        place: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Somebody keeps it locked.
    #[error("{} is locked by another process; what it holds is not taken over", place.display())]
    Locked {
        /// The database.
        place: PathBuf,
    },
    /// It was changed while it was read, more than once.
    #[error("{} was changed while it was read; what it holds is not taken over", place.display())]
    Changing {
        /// The database.
        place: PathBuf,
    },
    /// It is no database, or a broken one.
    #[error("{} cannot be read: {why}; what it holds is not taken over", place.display())]
    Unreadable {
        /// The database.
        place: PathBuf,
        /// What SQLite or the system says.
        why: String,
    },
    /// One row says something that is not known.
    #[error("{}: thread {thread}: {why}", place.display())]
    Row {
        /// The database.
        place: PathBuf,
        /// The thread of the row.
        thread: ThreadId,
        /// What is wrong with it, and what is done instead.
        why: String,
    },
}
