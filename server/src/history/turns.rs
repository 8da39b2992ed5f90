//! The turns of a thread, line by line.

use std::collections::HashMap;

use sapwood_protocol::app::item::{ItemKind, ThreadItem};
use sapwood_protocol::app::turn::{Turn, TurnError, TurnItemsView, TurnStatus};
use sapwood_protocol::line::Cause;
use sapwood_protocol::record::{SessionMeta, TaskComplete, TaskStarted, ThreadRolledBack, TurnAborted};
use sapwood_protocol::{Line, TurnId, Usage, View, own};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::aborted::Calls;
use super::legacy::Legacy;
use super::peek::Peek;

/// What the lines of a thread are to a client: its turns with their items.
///
/// Give it the lines in order, those that a fork inherits first; [`super::read`] does. A loaded thread keeps one, applies each
/// line that it appends, and tells it of items that have started ([`Turns::started`]).
#[derive(Clone, Debug, Default)]
pub struct Turns {
    pub(super) entries: Vec<Entry>,
    by_id: HashMap<TurnId, usize>,
    /// The turn that lines without a turn's id belong to.
    pub(super) current: Option<usize>,
    form: Form,
    /// The place of the line that is being read: its ordinal, in a legacy rollout the number of lines before it.
    pub(super) place: u64,
    /// Lines below this one belong to the source of a spawned agent, which its clients are not shown.
    own_start: u64,
    pub(super) calls: Calls,
    /// The newest line that counts tokens, unread until somebody asks.
    counted: Option<Line>,
    /// The newest one that says what a single request cost.
    record: Option<Line>,
}

/// Tokens, as clients are told of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// By the thread.
    pub total: Usage,
    /// By its newest request.
    pub last: Usage,
}

/// A `token_usage_record` line.
#[derive(Deserialize)]
struct UsageRecord {
    usage: Usage,
    thread_token_usage: Usage,
}

/// A `token_count` event.
#[derive(Deserialize)]
struct TokenCount {
    #[serde(default)]
    info: Option<TokenInfo>,
}

#[derive(Deserialize)]
struct TokenInfo {
    total_token_usage: Usage,
    last_token_usage: Usage,
}

/// How the rollout keeps history.
#[derive(Clone, Debug, Default)]
enum Form {
    /// Its first line was not read yet.
    #[default]
    Unread,
    Legacy(Legacy),
    Paginated,
}

/// One turn.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: TurnId,
    root: Option<TurnId>,
    /// The place of the line that opened it.
    pub(super) place: u64,
    pub(super) items: Vec<Shown>,
    /// Items that have started and not ended. No line says so: they are gone with their process.
    live: Vec<ThreadItem>,
    status: TurnStatus,
    error: Option<TurnError>,
    started_at: Option<u64>,
    completed_at: Option<u64>,
    duration_ms: Option<u64>,
    /// It was opened by a line of its own, and not by what stands in it.
    pub(super) explicit: bool,
    /// A checkpoint stands in it, so it counts though it may show nothing.
    pub(super) compacted: bool,
}

/// An item in its place.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The place of the line that first held it.
    pub(super) place: u64,
    pub(super) item: ThreadItem,
    pub(super) started_ms: Option<u64>,
    pub(super) completed_ms: Option<u64>,
}

/// A line whose payload is known to be of one kind.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Completed<'a>,
}

/// An `item_completed` event, its item unread.
#[derive(Deserialize)]
struct Completed<'a> {
    turn_id: TurnId,
    #[serde(borrow)]
    item: &'a RawValue,
    #[serde(default)]
    started_at_ms: Option<u64>,
    #[serde(default)]
    completed_at_ms: Option<u64>,
}

impl Turns {
    /// Follows one more line. Lines that clients are not shown, and lines that cannot be read, change nothing.
    pub fn apply(&mut self, line: &Line) {
        let bytes = line.bytes();
        let Some(peek) = Peek::of(bytes) else { return };
        if peek.kind.starts_with(own::PREFIX) {
            return self.calls.own(&peek.kind, line);
        }
        if matches!(self.form, Form::Unread) {
            if peek.kind == "session_meta" {
                self.identify(line);
            }
            return;
        }
        match &self.form {
            Form::Legacy(_) => self.place += 1,
            _ => self.place = peek.ordinal.unwrap_or(self.place + 1),
        }
        if self.place < self.own_start {
            return;
        }
        match &*peek.kind {
            // The most of what is read, so it is read once, and not first as an envelope.
            "event_msg" if peek.tag == Some("item_completed") => {
                if let Ok(Envelope { payload }) = serde_json::from_slice(bytes) {
                    self.item_completed(&payload);
                }
            }
            "token_usage_record" => self.record = Some(line.clone()),
            "event_msg" if peek.tag == Some("token_count") => self.counted = Some(line.clone()),
            "event_msg" if peek.tag.is_none_or(is_shown) => self.event(line),
            "response_item" => {
                self.calls.response_item(line);
                self.legacy(|turns, legacy| turns.hook_prompt(legacy, line));
            }
            "compacted" => self.legacy(|turns, legacy| {
                let entry = turns.implicit(legacy);
                turns.entries[entry].compacted = true;
            }),
            _ => {}
        }
    }

    /// An item of an open turn has started: it is shown until a line completes it, or the turn ends.
    pub fn started(&mut self, turn: &TurnId, item: ThreadItem) {
        let Some(&entry) = self.by_id.get(turn) else { return };
        let live = &mut self.entries[entry].live;
        match live.iter_mut().find(|other| other.id() == item.id()) {
            Some(other) => *other = item,
            None => live.push(item),
        }
    }

    /// An item that had started will never complete: nobody is shown it any more.
    pub fn dropped(&mut self, turn: &TurnId, item: &str) {
        if let Some(&entry) = self.by_id.get(turn) {
            self.entries[entry].live.retain(|live| live.id() != item);
        }
    }

    /// Where a turn stands: the number of the line that opened it, and of the first line behind it, if another turn is.
    pub fn span(&self, id: &TurnId) -> Option<(u64, Option<u64>)> {
        let at = self.find(id)?;
        Some((self.entries[at].place, self.entries.get(at + 1).map(|next| next.place)))
    }

    /// How many turns there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The turns, the oldest first. `live` is the open turn of a thread that is loaded; every other one that has not ended is
    /// shown as interrupted, since nobody will end it.
    pub fn all(&self, view: TurnItemsView, live: Option<&TurnId>) -> Vec<Turn> {
        self.entries.iter().map(|entry| entry.show(view, live)).collect()
    }

    /// One turn.
    pub fn turn(&self, id: &TurnId, view: TurnItemsView, live: Option<&TurnId>) -> Option<Turn> {
        self.by_id.get(id).map(|&entry| self.entries[entry].show(view, live))
    }

    /// The newest turn.
    pub fn last(&self, view: TurnItemsView, live: Option<&TurnId>) -> Option<Turn> {
        self.entries.last().map(|entry| entry.show(view, live))
    }

    /// The tokens that it has spent, as far as its rollout counts them.
    pub fn spent(&self) -> Option<Spent> {
        let record = || {
            let record: UsageRecord = self.record.as_ref()?.view().ok()?.payload().ok()?;
            Some(Spent { total: record.thread_token_usage, last: record.usage })
        };
        let count = || {
            let count: TokenCount = self.counted.as_ref()?.view().ok()?.payload().ok()?;
            count.info.map(|info| Spent { total: info.total_token_usage, last: info.last_token_usage })
        };
        record().or_else(count)
    }

    pub(super) fn find(&self, id: &TurnId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    fn identify(&mut self, line: &Line) {
        let meta = line.view().and_then(|view| view.payload::<SessionMeta>());
        let Ok(meta) = meta else { return };
        let paginated = meta.history_mode != sapwood_protocol::record::HistoryMode::Legacy;
        self.form = if paginated { Form::Paginated } else { Form::Legacy(Legacy::default()) };
        self.own_start = meta.subagent_history_start_ordinal.unwrap_or_default();
        if paginated {
            self.place = line.view().ok().and_then(|view| view.ordinal).unwrap_or_default();
        }
    }

    /// Reads the first line of the thread itself before those that it inherits: only its own says where it begins.
    pub(super) fn of(line: &Line) -> Self {
        let mut turns = Self::default();
        turns.identify(line);
        turns
    }

    /// The first place that its clients are shown.
    pub(super) fn own_start(&self) -> u64 {
        self.own_start
    }

    fn legacy(&mut self, run: impl FnOnce(&mut Self, &mut Legacy)) {
        // Taken out, so that it and the turns can change each other.
        match std::mem::take(&mut self.form) {
            Form::Legacy(mut legacy) => {
                run(self, &mut legacy);
                self.form = Form::Legacy(legacy);
            }
            form => self.form = form,
        }
    }

    fn event(&mut self, line: &Line) {
        let Ok(view) = line.view() else { return };
        match &*view.tag() {
            "task_started" | "turn_started" => view.payload().map(|event| self.task_started(event)),
            "task_complete" | "turn_complete" => view.payload().map(|event| self.task_complete(event)),
            "turn_aborted" => view.payload().map(|event| self.turn_aborted(event, &view)),
            "item_completed" => view.payload().map(|event| self.item_completed(&event)),
            "thread_rolled_back" => view.payload().map(|event| self.rolled_back(event)),
            _ => {
                self.legacy(|turns, legacy| turns.legacy_event(legacy, &view));
                Ok(())
            }
        }
        .unwrap_or_else(|error| tracing::debug!(%error, "a line that clients are not shown"));
    }

    fn task_started(&mut self, event: TaskStarted) {
        self.close();
        self.calls.clear();
        // A turn that was opened twice is one.
        self.current = match self.find(&event.turn_id) {
            Some(entry) => Some(entry),
            None => Some(self.open(event.turn_id, TurnStatus::InProgress, true)),
        };
        if let Some(entry) = self.current.map(|current| &mut self.entries[current]) {
            entry.root = event.root_turn_id;
            entry.started_at = event.started_at;
        }
    }

    fn task_complete(&mut self, event: TaskComplete) {
        let Some(at) = self.find(&event.turn_id).or(self.current) else { return };
        let entry = &mut self.entries[at];
        entry.live.clear();
        if let Some(error) = event.error {
            entry.status = TurnStatus::Failed;
            entry.error = Some(TurnError::recorded(error.message, error.codex_error_info.as_ref()));
        } else if entry.status == TurnStatus::InProgress {
            entry.status = TurnStatus::Completed;
        }
        entry.ended(event.started_at, event.completed_at, event.duration_ms);
        if self.current == Some(at) {
            self.close();
        }
    }

    fn turn_aborted(&mut self, event: TurnAborted, view: &View<'_>) {
        let named = event.turn_id.as_ref().and_then(|id| self.find(id));
        let Some(at) = named.or(self.current) else { return };
        let never_ran = match view.mark().cause {
            Some(Cause::ProcessDeath) => self.calls.never_started(),
            _ => Vec::new(),
        };
        let place = self.place;
        let entry = &mut self.entries[at];
        entry.live.clear();
        let shown = |item| Shown { place, item, started_ms: None, completed_ms: None };
        entry.items.extend(never_ran.into_iter().map(shown));
        entry.status = TurnStatus::Interrupted;
        entry.ended(event.started_at, event.completed_at, event.duration_ms);
    }

    fn item_completed(&mut self, event: &Completed<'_>) {
        let Some(entry) = self.find(&event.turn_id) else {
            return tracing::debug!(turn = event.turn_id.as_str(), "an item of a turn that is not there");
        };
        let (started_ms, completed_ms) = match self.form {
            Form::Legacy(_) => (None, None),
            _ => (event.started_at_ms, event.completed_at_ms),
        };
        if let Some(item) = super::item(event.item, started_ms, completed_ms) {
            self.put(entry, item, started_ms, completed_ms);
        }
    }

    fn rolled_back(&mut self, event: ThreadRolledBack) {
        self.close();
        let kept = self.entries.len().saturating_sub(usize::try_from(event.num_turns).unwrap_or(usize::MAX));
        for entry in self.entries.drain(kept..) {
            self.by_id.remove(&entry.id);
        }
        self.current = None;
        let items = self.entries.iter().map(|entry| entry.items.len() as u64).sum();
        self.legacy(|_, legacy| legacy.renumber(items));
    }

    /// Puts an item into a turn; one of the same id is replaced, and keeps its place.
    pub(super) fn put(&mut self, entry: usize, item: ThreadItem, started_ms: Option<u64>, completed_ms: Option<u64>) {
        let place = self.place;
        let entry = &mut self.entries[entry];
        entry.live.retain(|live| live.id() != item.id());
        // A repeated item stands near the end: its turn has only just shown it.
        match entry.items.iter_mut().rev().find(|shown| shown.item.id() == item.id()) {
            Some(shown) => *shown = Shown { place: shown.place, item, started_ms, completed_ms },
            None => entry.items.push(Shown { place, item, started_ms, completed_ms }),
        }
    }

    /// Opens a turn here.
    pub(super) fn open(&mut self, id: TurnId, status: TurnStatus, explicit: bool) -> usize {
        let at = self.entries.len();
        self.by_id.insert(id.clone(), at);
        self.entries.push(Entry {
            id,
            root: None,
            place: self.place,
            items: Vec::new(),
            live: Vec::new(),
            status,
            error: None,
            started_at: None,
            completed_at: None,
            duration_ms: None,
            explicit,
            compacted: false,
        });
        at
    }

    /// Ends what lines without a turn's id belong to. A turn that no line opened and that shows nothing never was one.
    pub(super) fn close(&mut self) {
        let Some(current) = self.current.take() else { return };
        let entry = &self.entries[current];
        if !entry.explicit && !entry.compacted && entry.items.is_empty() && current + 1 == self.entries.len() {
            self.by_id.remove(&entry.id);
            self.entries.pop();
        }
    }
}

/// Events that change what is shown.
fn is_shown(tag: &str) -> bool {
    !matches!(tag, "thread_settings_applied" | "thread_goal_updated")
}

impl Entry {
    fn ended(&mut self, started_at: Option<u64>, completed_at: Option<u64>, duration_ms: Option<u64>) {
        self.started_at = self.started_at.or(started_at);
        self.completed_at = completed_at;
        self.duration_ms = duration_ms;
    }

    pub(super) fn show(&self, view: TurnItemsView, live: Option<&TurnId>) -> Turn {
        let running = live == Some(&self.id);
        let status = match self.status {
            TurnStatus::InProgress if !running => TurnStatus::Interrupted,
            status => status,
        };
        let items = match view {
            TurnItemsView::NotLoaded => Vec::new(),
            TurnItemsView::Summary => self.summary().cloned().collect(),
            TurnItemsView::Full => {
                let live = self.live.iter().filter(|_| running);
                self.items.iter().map(|shown| &shown.item).chain(live).cloned().collect()
            }
        };
        Turn {
            id: self.id.clone(),
            root_turn_id: self.root.clone(),
            items,
            items_view: view,
            status,
            error: self.error.clone(),
            started_at: self.started_at,
            completed_at: self.completed_at,
            duration_ms: self.duration_ms,
        }
    }

    /// What the user said first, and the model last once the turn has ended.
    fn summary(&self) -> impl Iterator<Item = &ThreadItem> {
        let of = |kind| move |item: &&ThreadItem| item.kind() == kind;
        let mut items = self.items.iter().map(|shown| &shown.item);
        let first = items.clone().find(of(ItemKind::UserMessage));
        let last = items.rfind(of(ItemKind::AgentMessage)).filter(|_| self.status != TurnStatus::InProgress);
        first.into_iter().chain(last)
    }
}
