//! Cursors: places in a thread's history that stay valid while it grows.

use sapwood_protocol::ThreadId;
use serde::{Deserialize, Serialize};

/// A place among the turns or the items of a thread: the ordinal of the line that first held it, and its rank among those of
/// one line. A rollout only grows, so what is before and after a place never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Anchor {
    /// The ordinal; in a legacy rollout the number of lines before it.
    pub(super) place: u64,
    /// Its rank.
    pub(super) rank: u32,
}

/// What is paged through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Scope {
    /// Turns.
    Turns,
    /// Items, in the order in which they came to be.
    ItemsByCreatedAtOrdinal,
}

/// A cursor that was not made here, or for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor")]
pub struct BadCursor;

/// The text of a cursor, in the form of the real server: its clients know it as opaque, and one of them makes its own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    requested_thread_id: ThreadId,
    rollout_ordinal: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    rank: u32,
    include_anchor: bool,
    scope: ScopeText,
}

#[derive(Serialize, Deserialize)]
struct ScopeText {
    kind: Scope,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(rank: &u32) -> bool {
    *rank == 0
}

/// Where a page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) anchor: Anchor,
    /// What stands at the anchor is part of the page.
    pub(super) included: bool,
}

impl Start {
    pub(super) fn write(self, thread: ThreadId, kind: Scope) -> String {
        let Anchor { place: rollout_ordinal, rank } = self.anchor;
        let scope = ScopeText { kind };
        let text = Text { requested_thread_id: thread, rollout_ordinal, rank, include_anchor: self.included, scope };
        // Numbers and words: they serialise.
        serde_json::to_string(&text).expect("a cursor serialises")
    }

    pub(super) fn read(text: &str, thread: ThreadId, kind: Scope) -> Result<Self, BadCursor> {
        let text: Text = serde_json::from_str(text).map_err(|_| BadCursor)?;
        if text.requested_thread_id != thread || text.scope.kind != kind {
            return Err(BadCursor);
        }
        let anchor = Anchor { place: text.rollout_ordinal, rank: text.rank };
        Ok(Self { anchor, included: text.include_anchor })
    }
}

/// Cursors to the newest turn and the newest item: both are part of the pages that begin there.
pub(super) fn ends(thread: ThreadId, turn: Option<Anchor>, item: Option<Anchor>) -> (Option<String>, Option<String>) {
    let write = |anchor, scope| Start { anchor, included: true }.write(thread, scope);
    (turn.map(|anchor| write(anchor, Scope::Turns)), item.map(|anchor| write(anchor, Scope::ItemsByCreatedAtOrdinal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_only_for_what_it_was_made_for() {
        let thread: ThreadId = "01a1fb6a-8c33-7f12-bb55-e095ad7ecd90".parse().unwrap();
        let other: ThreadId = "01a1fb6a-8f53-7a50-998b-bdf52667108c".parse().unwrap();
        let start = Start { anchor: Anchor { place: 16, rank: 0 }, included: true };
        let text = start.write(thread, Scope::Turns);
        // As recorded.
        assert_eq!(
            text,
            r#"{"requestedThreadId":"01a1fb6a-8c33-7f12-bb55-e095ad7ecd90","rolloutOrdinal":16,"includeAnchor":true,"scope":{"kind":"turns"}}"#
        );
        assert_eq!(Start::read(&text, thread, Scope::Turns), Ok(start));
        assert_eq!(Start::read(&text, other, Scope::Turns), Err(BadCursor));
        assert_eq!(Start::read(&text, thread, Scope::ItemsByCreatedAtOrdinal), Err(BadCursor));
        for bad in ["", "16", "{}", "2026-11-21T00:03:46.366Z"] {
            assert_eq!(Start::read(bad, thread, Scope::Turns), Err(BadCursor));
        }
    }
}
