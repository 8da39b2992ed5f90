//! The items of a turn: begun, streamed, complete, each told once.

use std::sync::Arc;

use sapwood_actors::agent::event::{Part, Snapshot};
use sapwood_protocol::app::item::{ItemKind, ThreadItem};
use sapwood_protocol::app::turn::Turn;
use sapwood_protocol::{Millis, TurnId};
use serde_json::{Map, Value};

use super::{ItemState, OpenTurn, Story, Told, waits_for_approval};
use crate::history;

impl Story {
    pub(super) fn started(&mut self, turn: &TurnId, snapshot: &Snapshot, told: &mut Vec<Told>) {
        if snapshot.is_streamed && self.open() == Some(turn) {
            self.tell_spent(told);
        }
        let Some(open) = self.open.as_mut().filter(|open| open.id == *turn) else { return };
        let Some(item) = history::item(&snapshot.item, Some(snapshot.started.0), None) else { return };
        if open.items.contains_key(item.id()) {
            return;
        }
        if snapshot.is_streamed {
            open.end_thoughts(snapshot.started, told);
        }
        let state =
            ItemState::Open { item: item.clone(), is_streamed: snapshot.is_streamed, summary: Some(Vec::new()) };
        open.items.insert(item.id().into(), state);
        if snapshot.asks {
            let status = waits_for_approval(self.active());
            told.extend(self.is_now(status));
        }
        told.push(Told::ItemStarted { turn: turn.clone(), item, at: snapshot.started });
    }

    /// A command goes on without its turn: the end of the turn is not its own.
    pub(super) fn detach(&mut self, turn: &TurnId, item: &str) {
        let open = self.open.as_mut().filter(|open| open.id == *turn);
        if let Some((id, ItemState::Open { .. })) = open.and_then(|open| open.items.remove_entry(item)) {
            self.detached.insert(id);
        }
    }

    /// Commands that went on have ended, and nobody heard of it.
    pub(super) fn ended_beside(&mut self, turn: &Turn, at: Millis, told: &mut Vec<Told>) {
        for item in turn.items.iter().filter(|item| !is_in_progress(item)) {
            if !self.detached.remove(item.id()) {
                continue;
            }
            if let Some(open) = self.open.as_mut().filter(|open| open.id == turn.id) {
                open.items.insert(item.id().into(), ItemState::Complete);
            }
            told.push(Told::ItemCompleted { turn: turn.id.clone(), item: item.clone(), at });
        }
    }

    pub(super) fn completed(
        &mut self,
        turn: &TurnId,
        snapshot: &Snapshot,
        at: Millis,
        says: bool,
        told: &mut Vec<Told>,
    ) {
        let completed = snapshot.completed.unwrap_or(at);
        let Some(item) = history::item(&snapshot.item, Some(snapshot.started.0), Some(completed.0)) else { return };
        let open = self.open.as_mut().filter(|open| open.id == *turn);
        if self.detached.remove(item.id()) {
            open.and_then(|open| open.items.insert(item.id().into(), ItemState::Complete));
            told.push(Told::ItemCompleted { turn: turn.clone(), item, at: completed });
            return;
        }
        let Some(open) = open else { return };
        match open.items.insert(item.id().into(), ItemState::Complete) {
            Some(ItemState::Complete) => return,
            Some(ItemState::Open { .. }) => {}
            // Nothing is complete that did not begin.
            None => {
                let begun = history::item(&snapshot.item, Some(snapshot.started.0), None);
                let item = begun.unwrap_or_else(|| item.clone());
                told.push(Told::ItemStarted { turn: turn.clone(), item, at: snapshot.started });
            }
        }
        if says {
            open.message = Some(item.clone());
        }
        told.push(Told::ItemCompleted { turn: turn.clone(), item, at: completed });
    }

    /// An item as the rollout has it.
    pub(super) fn known(
        &mut self,
        turn: &TurnId,
        item: &ThreadItem,
        at: Millis,
        is_running: bool,
        told: &mut Vec<Told>,
    ) {
        let Some(open) = &mut self.open else { return };
        let state = match is_running {
            true => ItemState::Open { item: item.clone(), is_streamed: false, summary: None },
            false => ItemState::Complete,
        };
        let before = open.items.insert(item.id().into(), state);
        if matches!(before, Some(ItemState::Complete)) {
            open.items.insert(item.id().into(), ItemState::Complete);
            return;
        }
        if before.is_none() {
            told.push(Told::ItemStarted { turn: turn.clone(), item: begun(item), at });
        }
        if !is_running {
            if item.kind() == ItemKind::AgentMessage {
                open.message = Some(item.clone());
            }
            told.push(Told::ItemCompleted { turn: turn.clone(), item: item.clone(), at });
        }
    }

    pub(super) fn delta(&mut self, turn: TurnId, id: &str, part: Part, text: String, told: &mut Vec<Told>) {
        if let Some(item) = self.detached.get(id) {
            return told.push(Told::Delta { turn, item: Arc::clone(item), part, text });
        }
        let Some(open) = self.open.as_mut().filter(|open| open.id == turn) else { return };
        let Some(item) = open.items.get_key_value(id).map(|(item, _)| Arc::clone(item)) else { return };
        let Some(ItemState::Open { summary, .. }) = open.items.get_mut(id) else { return };
        match (part, &mut *summary) {
            (Part::Summary(part), Some(parts)) => {
                if part >= parts.len() as u64 {
                    told.push(Told::SummaryPart { turn: turn.clone(), item: Arc::clone(&item), part });
                    parts.push(String::new());
                }
                parts.last_mut().into_iter().for_each(|last| last.push_str(&text));
            }
            _ => *summary = None,
        }
        if !text.is_empty() {
            told.push(Told::Delta { turn, item, part, text });
        }
    }

    pub(super) fn close_items(&mut self, at: Millis, told: &mut Vec<Told>) {
        self.drop_streamed();
        let Some(open) = &mut self.open else { return };
        for state in open.items.values_mut() {
            if let ItemState::Open { item, .. } = std::mem::replace(state, ItemState::Complete) {
                told.push(Told::ItemCompleted { turn: open.id.clone(), item: ended(&item, at), at });
            }
        }
    }
}

impl OpenTurn {
    /// A model thinks before it speaks: what it thought is whole when the next item of its answer begins, and clients are told
    /// so then. The rollout has it when the answer is complete.
    fn end_thoughts(&mut self, at: Millis, told: &mut Vec<Told>) {
        for state in self.items.values_mut() {
            let ItemState::Open { item, is_streamed: true, summary: Some(parts) } = &*state else { continue };
            if item.kind() != ItemKind::Reasoning {
                continue;
            }
            let item = thought(item, parts.clone(), at);
            *state = ItemState::Complete;
            told.push(Told::ItemCompleted { turn: self.id.clone(), item, at });
        }
    }
}

/// A thought that is whole.
pub(super) fn thought(item: &ThreadItem, summary: Vec<String>, at: Millis) -> ThreadItem {
    changed(item, |fields| {
        fields.insert("summary".into(), summary.into());
        fields.insert("completedAtMs".into(), at.0.into());
    })
}

/// An item as it began, as far as its end does not say otherwise.
fn begun(item: &ThreadItem) -> ThreadItem {
    changed(item, |fields| {
        fields.insert("completedAtMs".into(), Value::Null);
    })
}

/// An item that will not be complete, as it is when its turn goes on without it: what ran has failed.
fn ended(item: &ThreadItem, at: Millis) -> ThreadItem {
    changed(item, |fields| {
        if let Some(status) = fields.get_mut("status").filter(|status| *status == "inProgress") {
            *status = "failed".into();
        }
        fields.insert("completedAtMs".into(), at.0.into());
    })
}

fn changed(item: &ThreadItem, change: impl FnOnce(&mut Map<String, Value>)) -> ThreadItem {
    let parsed = serde_json::from_str::<Map<String, Value>>(item.json().get());
    let changed = parsed.ok().and_then(|mut fields| {
        change(&mut fields);
        serde_json::from_str(&Value::Object(fields).to_string()).ok()
    });
    changed.unwrap_or_else(|| item.clone())
}

pub(super) fn is_in_progress(item: &ThreadItem) -> bool {
    item.json().get().contains("\"status\":\"inProgress\"")
}
