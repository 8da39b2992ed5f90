//! What is told to who missed something: from the rollout, and of what is in no rollout yet.

use sapwood_actors::agent::event::Part;
use sapwood_actors::feed::OpenItem;
use sapwood_protocol::app::item::{ItemKind, ThreadItem};
use sapwood_protocol::app::thread::ThreadStatus;
use sapwood_protocol::app::turn::{Turn, TurnStatus};
use sapwood_protocol::{Millis, TurnId};

use super::items::{is_in_progress, thought};
use super::{ItemState, Story, Told, failure, summary};
use crate::history;

impl Story {
    /// The feed lost changes, or an incarnation ended without a word: what is missing, by the rollout. `turns` are the newest
    /// ones, the oldest first: from the open one on, or else from the last that ended.
    pub fn catch_up(&mut self, turns: &[Turn], now: Millis) -> Vec<Told> {
        let mut told = Vec::new();
        for state in self.open.iter_mut().flat_map(|open| open.items.values_mut()) {
            if let ItemState::Open { summary, .. } = state {
                *summary = None;
            }
        }
        turns.iter().for_each(|turn| self.ended_beside(turn, now, &mut told));
        let from = match &self.open {
            Some(open) => turns.iter().position(|turn| turn.id == open.id),
            None => {
                let next = match &self.ended {
                    Some(Some(ended)) => turns.iter().position(|turn| turn.id == *ended).map(|at| at + 1),
                    Some(None) => Some(0),
                    None => None,
                };
                next.or_else(|| turns.iter().position(|turn| turn.status == TurnStatus::InProgress))
            }
        };
        for turn in from.map_or(&[][..], |from| &turns[from..]) {
            if self.open.as_ref().is_none_or(|open| open.id != turn.id) {
                let started = Millis(turn.started_at.unwrap_or_default() * 1000);
                self.begin(turn.id.clone(), turn.root_turn_id.clone(), started, &mut told);
            }
            for item in &turn.items {
                let is_running = turn.status == TurnStatus::InProgress && is_in_progress(item);
                self.known(&turn.id, item, now, is_running, &mut told);
            }
            if turn.status != TurnStatus::InProgress {
                self.withdraw(&mut told);
                self.close_items(now, &mut told);
                self.tell_spent(&mut told);
                told.extend(self.rests(turn.status));
                told.extend(failure(&turn.id, turn.error.clone()));
                let is_answer = |_: &ThreadItem| turn.status == TurnStatus::Completed;
                let message = self.open.take().and_then(|open| open.message).filter(is_answer);
                self.ended = Some(Some(turn.id.clone()));
                self.ahead.insert(turn.id.clone());
                told.push(Told::TurnCompleted(summary(turn.clone(), message)));
            }
        }
        if from.is_none() && self.open.is_some() {
            // The rollout knows nothing of it any more: it was taken back.
            self.withdraw(&mut told);
            self.close_items(now, &mut told);
            self.tell_spent(&mut told);
            told.extend(self.rests(TurnStatus::Interrupted));
            if let Some(open) = self.open.take() {
                let turn = Turn { started_at: Some(open.started.secs()), ..Turn::begun(open.id) };
                told.push(Told::TurnCompleted(Turn { status: TurnStatus::Interrupted, ..turn }));
            }
        }
        told
    }

    /// All of these turns, to one who missed a part of them.
    pub fn tell_again(&mut self, turns: &[Turn], status: ThreadStatus, now: Millis) -> Vec<Told> {
        let mut told = Vec::new();
        for turn in turns {
            self.open = None;
            let started = Millis(turn.started_at.unwrap_or_default() * 1000);
            self.begin(turn.id.clone(), turn.root_turn_id.clone(), started, &mut told);
            told.extend(self.catch_up(std::slice::from_ref(turn), now));
        }
        told.retain(|told| !matches!(told, Told::Status(_)));
        told.insert(0, Told::Status(status));
        told
    }

    /// What has begun in these turns and is in no rollout yet, with what of it has come.
    pub fn tell_open(&mut self, turns: &[Turn], items: Vec<OpenItem>) -> Vec<Told> {
        let mut told = Vec::new();
        for OpenItem { turn, id, snapshot, parts } in items {
            if self.open() == Some(&turn) {
                self.started(&turn, &snapshot, &mut told);
            } else if let Some(known) = turns.iter().find(|known| known.id == turn)
                && let Some(item) = history::item(&snapshot.item, Some(snapshot.started.0), None)
                && !known.items.iter().any(|known| known.id() == item.id())
            {
                // A command that goes on without its turn.
                self.detached.insert(item.id().into());
                told.push(Told::ItemStarted { turn: turn.clone(), item, at: snapshot.started });
            }
            for (part, text) in parts {
                self.delta(turn.clone(), id.as_str(), part, text, &mut told);
            }
        }
        told
    }
}

/// Items that are open, as clients were told of them: what was thought is whole when the next item of its answer has begun.
pub(in crate::threads) fn open_as_told(open: &[OpenItem]) -> impl Iterator<Item = (&TurnId, ThreadItem)> {
    open.iter().enumerate().filter_map(|(at, item)| {
        let snapshot = &item.snapshot;
        let shown = history::item(&snapshot.item, Some(snapshot.started.0), None)?;
        let next = open[at + 1..].iter().find(|next| next.snapshot.is_streamed && next.turn == item.turn);
        let summary = item.parts.iter().map(|(part, text)| matches!(part, Part::Summary(_)).then(|| text.clone()));
        let shown = match (next, summary.collect()) {
            (Some(next), Some(summary)) if snapshot.is_streamed && shown.kind() == ItemKind::Reasoning => {
                thought(&shown, summary, next.snapshot.started)
            }
            _ => shown,
        };
        Some((&item.turn, shown))
    })
}
