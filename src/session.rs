//! Which tree is meant, and what is said when it cannot be loaded.

use std::path::Path;

use sapwood_actors::service::ServiceError;
use sapwood_actors::tree::Refusal;
use sapwood_protocol::{SessionId, ThreadId};
use sapwood_rollout::{AppendError, Entry, Filter, Journal, OpenError};

use crate::cli::Wanted;
use crate::exit::{Exit, Failure};

/// A tree that was found.
pub struct Found {
    pub session: SessionId,
    /// Where its root works, if its rollout says so.
    pub cwd: Option<String>,
}

/// Finds the tree that is to go on.
pub fn find(journal: &dyn Journal, wanted: &Wanted, cwd: &Path) -> Result<Found, Failure> {
    let entries = journal.list(&Filter::default()).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let found = |entry: &Entry| Found { session: entry.thread.into(), cwd: entry.cwd.clone() };
    match wanted {
        Wanted::Last | Wanted::LastOfAll => {
            // Newest first.
            let roots = || entries.iter().filter(|entry| entry.parent.is_none() && entry.error.is_none());
            let is_here = |entry: &&Entry| entry.cwd.as_deref().map(Path::new) == Some(cwd);
            let here = roots().find(is_here).filter(|_| *wanted == Wanted::Last);
            let last = here.or_else(|| roots().next());
            last.map(found)
                .ok_or_else(|| Failure::usage("there is no tree in this home yet; `sapwood exec` starts one"))
        }
        Wanted::Id(id) => {
            // Everything begins with nothing: a variable that is not set is no choice.
            if id.is_empty() {
                return Err(Failure::usage("the ID of the tree to resume is empty; `sapwood ps` lists what is there"));
            }
            let wanted = id.to_ascii_lowercase();
            let matching: Vec<&Entry> =
                entries.iter().filter(|entry| entry.thread.to_string().starts_with(&wanted)).collect();
            let roots: Vec<&Entry> = matching.iter().copied().filter(|entry| entry.parent.is_none()).collect();
            // An id that says which one is an id; only what says nothing, or too little, may be a name.
            if roots.len() != 1
                && wanted.parse::<ThreadId>().is_err()
                && let Some(named) = named(journal, &entries, id)?
            {
                return match (&named.parent, &named.error) {
                    (Some(_), _) => Err(a_child(named)),
                    (None, Some(why)) => Err(unreadable(named, why)),
                    (None, None) => Ok(found(named)),
                };
            }
            match (&roots[..], &matching[..]) {
                ([root], _) => match &root.error {
                    Some(why) => Err(unreadable(root, why)),
                    None => Ok(found(root)),
                },
                ([], [child, ..]) => Err(a_child(child)),
                // It may be archived: let the journal say so.
                ([], []) => match wanted.parse::<ThreadId>() {
                    Ok(thread) => Ok(Found { session: thread.into(), cwd: None }),
                    Err(_) => Err(Failure::usage(format!(
                        "no tree has an id that begins with `{id}`, or is called so; `sapwood ps` lists what is there"
                    ))),
                },
                (several, _) => {
                    let ids: Vec<String> = several.iter().take(5).map(|entry| entry.thread.to_string()).collect();
                    let (count, ids) = (several.len(), ids.join(", "));
                    Err(Failure::usage(format!("{count} trees have an id that begins with `{id}`: {ids}")))
                }
            }
        }
    }
}

/// The thread that people call so. Of several it is the one that was last written.
fn named<'a>(journal: &dyn Journal, entries: &'a [Entry], name: &str) -> Result<Option<&'a Entry>, Failure> {
    let names = journal.names().map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let called = entries.iter().filter(|entry| names.get(&entry.thread).is_some_and(|called| called == name));
    Ok(called.max_by_key(|entry| (entry.updated, entry.thread)))
}

fn unreadable(entry: &Entry, why: &str) -> Failure {
    Failure::new(Exit::Failure, format!("the rollout {} cannot be used: {why}", entry.place))
}

fn a_child(entry: &Entry) -> Failure {
    let thread = entry.thread;
    let path = entry.path.as_ref().map(|path| format!("the agent {path}")).unwrap_or_else(|| "an agent".to_owned());
    Failure::usage(match entry.session {
        Some(session) => {
            format!("{thread} is {path} of the tree {session}; resume the tree: `sapwood exec resume {session}`")
        }
        None => format!("{thread} is {path} of a tree, not its root; `sapwood ps` shows the root"),
    })
}

/// What a person is told when a tree could not be started or loaded.
pub fn refused(error: ServiceError, home: &Path) -> Failure {
    let text = error.to_string();
    match error {
        ServiceError::Open(error) => open_error(&error, home),
        ServiceError::Refused(refusal) => refusal_error(&refusal, home),
        ServiceError::NotARoot { .. } => Failure::usage(text),
        ServiceError::Closing { .. } | ServiceError::Tree(_) => failed(text, home),
    }
}

/// What a person is told when an input was not accepted.
pub fn refusal_error(refusal: &Refusal, home: &Path) -> Failure {
    match refusal {
        Refusal::Open(error) => open_error(error, home),
        Refusal::Append(AppendError::Storage { full: true, .. }) => full(&refusal.to_string(), home),
        Refusal::TooLong { .. } => Failure::usage(refusal.to_string()),
        _ => failed(refusal.to_string(), home),
    }
}

fn open_error(error: &OpenError, home: &Path) -> Failure {
    match error {
        OpenError::NotFound { .. } => Failure::usage(error.to_string()),
        OpenError::Storage { full: true, .. } => full(&error.to_string(), home),
        _ => failed(error.to_string(), home),
    }
}

/// A failure of which only its text is known.
pub fn failed(text: String, home: &Path) -> Failure {
    // The words of the system for ENOSPC and EDQUOT.
    if text.contains("os error 28") || text.contains("os error 122") {
        full(&text, home)
    } else {
        Failure::new(Exit::Failure, text)
    }
}

fn full(text: &str, home: &Path) -> Failure {
    let home = home.display();
    let message = format!("{text}; free some room on the disk that holds {home}, nothing that was accepted is lost");
    Failure::new(Exit::Failure, message)
}
