//! Pages of turns and of items, in both directions.

use sapwood_protocol::app::item::{ItemKind, ThreadItem};
use sapwood_protocol::app::list::{
    ItemsAnchor, ItemsCursor, SortDirection, ThreadItemEntry, ThreadItemsListParams, ThreadItemsListResponse,
    ThreadTurnsListParams, TurnsPage,
};
use sapwood_protocol::app::turn::TurnItemsView;
use sapwood_protocol::{ThreadId, TurnId};
use serde_json::Value;

use super::cursor::{self, Anchor, BadCursor, Scope, Start};
use super::turns::{Shown, Turns};

/// Turns or items of a page that says no number.
const DEFAULT_LIMIT: usize = 25;

/// Turns or items of a page, at most: what a screen can use, and what an answer of some hundred kilobytes holds.
const MAX_LIMIT: usize = 100;

impl Turns {
    /// A page of turns of `thread`: the newest first, and summaries, where the params do not say. `live` is the open turn of a
    /// thread that is loaded.
    pub fn page(
        &self,
        thread: ThreadId,
        params: &ThreadTurnsListParams,
        live: Option<&TurnId>,
    ) -> Result<TurnsPage, BadCursor> {
        let scope = Scope::Turns;
        let start = params.cursor.as_deref().map(|cursor| Start::read(cursor, thread, scope)).transpose()?;
        let direction = params.sort_direction.unwrap_or(SortDirection::Desc);
        let anchor = |at: usize| Anchor { place: self.entries[at].place, rank: 0 };
        let cut = cut(self.entries.len(), anchor, start, direction, limit(params.limit));
        let view = params.items_view.unwrap_or(TurnItemsView::Summary);
        let (next_cursor, backwards_cursor) = cut.cursors(thread, scope);
        let data = cut.at.iter().map(|&at| self.entries[at].show(view, live)).collect();
        Ok(TurnsPage { data, next_cursor, backwards_cursor })
    }

    /// A page of items of `thread`: the oldest first where the params do not say. Items that have not ended are on no page. A
    /// turn that is not there has none.
    pub fn items(
        &self,
        thread: ThreadId,
        params: &ThreadItemsListParams,
    ) -> Result<ThreadItemsListResponse, BadCursor> {
        let scope = Scope::ItemsByCreatedAtOrdinal;
        let turn = params.turn_id.as_deref().filter(|turn| !turn.is_empty()).map(TurnId::from);
        let mut items = self.items_of(turn.as_ref());
        // Of a turn that ended, something may have completed later.
        items.sort_by_key(|item| item.anchor);
        let start = match &params.cursor {
            Some(ItemsCursor::Page(cursor)) => Some(Start::read(cursor, thread, scope)?),
            Some(ItemsCursor::Anchor(ItemsAnchor::Item { item_id })) => {
                let item = items.iter().find(|item| turn.is_some() && item.shown.item.id() == item_id);
                Some(Start { anchor: item.ok_or(BadCursor)?.anchor, included: false })
            }
            None => None,
        };
        let direction = params.sort_direction.unwrap_or(SortDirection::Asc);
        let cut = cut(items.len(), |at| items[at].anchor, start, direction, limit(params.limit));
        // Only of one turn, since only there they can be asked for one by one.
        let defer = params.defer_output.filter(|_| turn.is_some()).unwrap_or_default();
        let show = |&at: &usize| {
            let mut entry = items[at].entry();
            let defer = match entry.item.kind() {
                ItemKind::CommandExecution => defer.command_execution,
                ItemKind::McpToolCall => defer.mcp_tool_call,
                _ => false,
            };
            if let Some(item) = defer.then(|| without_output(&entry.item)).flatten() {
                (entry.item, entry.output_deferred) = (item, true);
            }
            entry
        };
        let (next_cursor, backwards_cursor) = cut.cursors(thread, scope);
        Ok(ThreadItemsListResponse { data: cut.at.iter().map(show).collect(), next_cursor, backwards_cursor })
    }

    /// Cursors to the newest turn and the newest item that has ended: pages from there on go back through all of them.
    pub fn ends(&self, thread: ThreadId) -> (Option<String>, Option<String>) {
        let turn = self.entries.last().map(|entry| Anchor { place: entry.place, rank: 0 });
        cursor::ends(thread, turn, self.items_of(None).iter().map(|item| item.anchor).max())
    }

    /// Items of a turn by their ids, in the order of the turn; ids that are not there are passed over.
    pub fn items_by_id(&self, turn: &TurnId, ids: &[String]) -> Vec<ThreadItemEntry> {
        let items = self.items_of(Some(turn)).into_iter();
        items.filter(|item| ids.iter().any(|id| id == item.shown.item.id())).map(|item| item.entry()).collect()
    }

    fn items_of(&self, turn: Option<&TurnId>) -> Vec<Placed<'_>> {
        let entries = match turn {
            Some(turn) => self.find(turn).map_or(&[][..], |at| &self.entries[at..=at]),
            None => &self.entries[..],
        };
        let mut items = Vec::new();
        for entry in entries {
            let mut last = None;
            for shown in &entry.items {
                let rank = match last {
                    Some(Anchor { place, rank }) if place == shown.place => rank + 1,
                    _ => 0,
                };
                let anchor = Anchor { place: shown.place, rank };
                last = Some(anchor);
                items.push(Placed { turn: &entry.id, anchor, shown });
            }
        }
        items
    }
}

struct Placed<'a> {
    turn: &'a TurnId,
    anchor: Anchor,
    shown: &'a Shown,
}

impl Placed<'_> {
    fn entry(&self) -> ThreadItemEntry {
        ThreadItemEntry {
            turn_id: self.turn.clone(),
            item: self.shown.item.clone(),
            started_at_ms: self.shown.started_ms,
            completed_at_ms: self.shown.completed_ms,
            output_deferred: false,
        }
    }
}

fn limit(asked: Option<u32>) -> usize {
    asked.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT))
}

/// What is on a page: places in a list that is sorted by anchors.
struct Cut {
    /// In the order of the page.
    at: Vec<usize>,
    next: Option<Anchor>,
    back: Option<Anchor>,
}

impl Cut {
    /// The cursors to what follows, and back from what came first.
    fn cursors(&self, thread: ThreadId, scope: Scope) -> (Option<String>, Option<String>) {
        let write = |anchor, included| Start { anchor, included }.write(thread, scope);
        (self.next.map(|anchor| write(anchor, false)), self.back.map(|anchor| write(anchor, true)))
    }
}

fn cut(
    len: usize,
    anchor: impl Fn(usize) -> Anchor,
    start: Option<Start>,
    direction: SortDirection,
    limit: usize,
) -> Cut {
    // How many stand before the start, seen from the oldest.
    let before = |is_before: &dyn Fn(Anchor) -> bool| {
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(anchor(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    };
    let at: Vec<usize> = match direction {
        SortDirection::Asc => {
            let from = start
                .map_or(0, |start| before(&|other| other < start.anchor || !start.included && other == start.anchor));
            (from..len).take(limit).collect()
        }
        SortDirection::Desc => {
            let to = start
                .map_or(len, |start| before(&|other| other < start.anchor || start.included && other == start.anchor));
            (0..to).rev().take(limit).collect()
        }
    };
    let end = match direction {
        SortDirection::Asc => len.checked_sub(1),
        SortDirection::Desc => Some(0),
    };
    let next = at.last().copied().filter(|last| Some(*last) != end).map(&anchor);
    let back = at.first().copied().map(&anchor);
    Cut { at, next, back }
}

/// A copy of an item that lacks its output; `None` if it has none to lack.
fn without_output(item: &ThreadItem) -> Option<ThreadItem> {
    let mut json: Value = serde_json::from_str(item.json().get()).ok()?;
    let output = match item.kind() {
        ItemKind::CommandExecution => json.get_mut("aggregatedOutput"),
        _ => json.get_mut("result"),
    };
    let output = output.filter(|output| !output.is_null())?;
    *output = Value::Null;
    serde_json::from_value(json).ok()
}
