//! Who spawned whom: `state_5.sqlite`. Only what was closed is of interest; the rest is in the rollouts.

use std::path::Path;

use sapwood_protocol::ThreadId;

use crate::MAX_CLOSED;
use crate::database::{self, Name};
use crate::error::Warning;

pub(crate) const NAME: Name = Name { stem: "state", version: 5 };

const QUERY: &str = "SELECT child_thread_id FROM thread_spawn_edges \
                     WHERE parent_thread_id = ?1 AND status = 'closed' ORDER BY child_thread_id LIMIT ?2";

/// Reads which children of these threads were closed.
pub(crate) fn read(
    home: &Path,
    threads: &[ThreadId],
    closed: &mut Vec<(ThreadId, ThreadId)>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Warning> {
    let rows = database::with(home, &NAME, |connection| {
        let mut query = connection.prepare(QUERY)?;
        let mut rows = Vec::new();
        for thread in threads {
            let found = query.query_map((thread.to_string(), MAX_CLOSED as i64), |row| row.get::<_, String>(0))?;
            for child in found {
                rows.push((*thread, child?));
            }
        }
        Ok(rows)
    })?;
    let rows = rows.unwrap_or_default();
    for thread in threads {
        if rows.iter().filter(|(parent, _)| parent == thread).count() == MAX_CLOSED {
            let why = format!("of its closed children, no more than {MAX_CLOSED} are taken over");
            warnings.push(Warning::Row { place: NAME.place(home), thread: *thread, why });
        }
    }
    for (parent, child) in rows {
        match child.parse() {
            Ok(child) => closed.push((parent, child)),
            Err(_) => {
                let why = format!("its closed child `{child}` has no thread id, and is passed over");
                warnings.push(Warning::Row { place: NAME.place(home), thread: parent, why });
            }
        }
    }
    Ok(())
}
