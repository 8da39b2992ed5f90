//! Forked children: what a child inherits of its spawner's history, by reference or as copies.
//!
//! All of it is inherited by reference: the child's first line says which lines of its spawner come before its own, and
//! nothing is copied (`goals-and-rollouts.md` A.5). The last turns of it are a suffix, which no reference can say, and a
//! legacy rollout has no ordinals to refer to: there the items are copied behind the first line.
//!
//! Either way the part ends before the line of the spawner that [`Fork::end`] names, so that a spawn that is made again
//! after a crash inherits the same.

use std::sync::Arc;

use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::own::{Fork, TurnOrigin};
use sapwood_protocol::{AgentPath, Ids, Line, Millis};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::history::{Entry, Part};
use super::lines::Batch;
use super::prompt;
use super::settings::Settings;
use super::state::Agent;

/// What a child inherits.
#[derive(Clone, Debug)]
pub struct Inherited {
    source: Arc<Agent>,
    fork: Fork,
    /// The turn of the spawner that is open at the end, and when it began.
    open: Option<(TurnOrigin, Millis)>,
    /// A user continues the history, and no agent's child.
    by_user: bool,
}

impl Inherited {
    /// Of this spawner, whose history ends where `fork` says.
    pub fn of(spawner: &Agent, fork: Fork) -> Self {
        let open = spawner.turn.as_ref().map(|turn| (turn.origin(), turn.started));
        Self { source: Arc::new(spawner.to_inherit()), fork, open, by_user: false }
    }

    /// Of this thread, for a thread of its own.
    pub fn by_user(source: &Agent, fork: Fork) -> Self {
        Self { by_user: true, ..Self::of(source, fork) }
    }

    /// The spawner as far as it is inherited.
    pub fn source(&self) -> &Agent {
        &self.source
    }

    /// The same, for a child that refers to it instead of copying from it.
    pub fn shared(&self) -> Option<Arc<Agent>> {
        self.is_reference().then(|| Arc::clone(&self.source))
    }

    fn is_reference(&self) -> bool {
        self.fork.turns.is_none() && self.source.next_ordinal.is_some()
    }

    /// The ordinal of the child's first line: a reference is continued.
    pub(super) fn start(&self) -> u64 {
        if self.is_reference() { self.fork.end } else { 0 }
    }

    /// What the child's first line says of where it comes from.
    pub(super) fn origin(&self) -> Value {
        let source = self.source.identity().thread;
        match self.is_reference() {
            true => json!({"forked_from_id": source, "forked_from_ordinal_exclusive": self.fork.end}),
            false => json!({"forked_from_id": source}),
        }
    }

    /// What the child's first line says of its history, whose own part begins with the line of the ordinal `own`.
    pub(super) fn history(&self, own: u64) -> Value {
        let mut history = Map::new();
        if self.is_reference() {
            let (source, end) = (self.source.identity().thread, self.fork.end);
            history.insert("history_base".into(), json!({"thread_id": source, "end_ordinal_exclusive": end}));
        }
        if !self.by_user {
            history.insert("subagent_history_start_ordinal".into(), own.into());
        }
        history.into()
    }

    /// The lines behind the first one, up to what the child itself is told; and the ordinal of the first of its own.
    pub(super) fn lines(&self, child: &AgentPath, settings: &Settings, ids: &mut Ids, now: Millis) -> (Vec<Line>, u64) {
        let mut batch = Batch::at(self.start() + 1, now);
        if self.by_user {
            self.copies_of_legacy().into_iter().for_each(|entry| copy(&mut batch, entry));
            if let Some((turn, started)) = &self.open {
                let marker = Item::text(ids.item("msg", now), Role::Developer, prompt::INTERRUPTED);
                batch.item(&marker, None);
                batch.turn_left(turn, *started);
            }
            let own = batch.number();
            return (batch.into_lines(), own);
        }
        match (self.is_reference(), &self.open) {
            (true, Some((turn, started))) => batch.turn_left(turn, *started),
            (true, None) => {}
            (false, _) => self.copies().into_iter().for_each(|entry| copy(&mut batch, entry)),
        }
        let parent = &self.source.identity().path;
        batch.item(&Item::text(ids.item("msg", now), Role::Developer, prompt::forked(child, parent)), None);
        if self.is_reference() && self.source.context_written {
            // It inherits all that its spawner was told first, and that is about its spawner.
            let hint = prompt::multi_agent_hint(child, settings);
            batch.item(&Item::text(ids.item("msg", now), Role::Developer, hint), None);
        }
        // Codex counts what it tells a child first to what is inherited, too.
        let own = batch.number();
        (batch.into_lines(), own)
    }

    fn copies_of_legacy(&self) -> Vec<&Entry> {
        if self.is_reference() { Vec::new() } else { self.copies() }
    }

    fn copies(&self) -> Vec<&Entry> {
        let history = &self.source.history;
        match self.fork.turns {
            Some(turns) => history.last_turns(turns),
            None => history.items().collect(),
        }
    }
}

fn copy(batch: &mut Batch, entry: &Entry) {
    // It was read from JSON.
    let Ok(item) = serde_json::from_slice::<&RawValue>(&entry.json) else { return };
    if entry.is_mail() {
        batch.codex("inter_agent_communication_metadata", &json!({"trigger_turn": entry.part == Part::Turn}), None);
    }
    batch.codex("response_item", item, None);
}
