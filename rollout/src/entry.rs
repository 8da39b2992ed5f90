//! Entries of a list, and which of them a filter shows.

use sapwood_protocol::{Millis, ThreadId};

use crate::head::Head;
use crate::port::{Entry, Filter};

impl Entry {
    /// The entry of a rollout whose head was read, or could not be. `created` counts where the head does not say.
    pub(crate) fn new(
        thread: ThreadId,
        head: Result<Head, String>,
        created: Millis,
        updated: Millis,
        place: String,
    ) -> Self {
        let bare = Entry {
            thread,
            created,
            updated,
            session: None,
            parent: None,
            path: None,
            nickname: None,
            cwd: None,
            holder: None,
            error: None,
            place,
        };
        match head {
            Ok(head) => Entry {
                // Listed with all that is known of it, and with the reason why nobody here can write it.
                error: head.is_paginated().err().map(|error| error.to_string()),
                created: head.created.unwrap_or(created),
                session: Some(head.session),
                parent: head.parent,
                path: head.path,
                nickname: head.nickname,
                cwd: head.cwd,
                ..bare
            },
            Err(error) => Entry { error: Some(error), ..bare },
        }
    }
}

impl Filter {
    /// True if the entry belongs to the list. One whose tree is unknown belongs to no tree.
    pub(crate) fn shows(&self, entry: &Entry) -> bool {
        self.session.is_none_or(|session| entry.session == Some(session)) && (!self.roots || entry.parent.is_none())
    }
}
