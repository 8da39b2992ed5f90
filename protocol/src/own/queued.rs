//! Messages that wait for their thread to be idle, and what is changed about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Said;
use crate::ids::{InputId, TurnId};

/// A message that waits until its thread is idle, and then begins a turn of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueuedInput {
    /// What it says.
    pub said: Said,
    /// What its client wants to be sent to the provider beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// `sapwood.queue`: something about the messages that wait has changed. One line is one change, so that a torn one is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueLine {
    /// Its place among the acceptances of this rollout. What is at or below the newest one that was applied changes nothing:
    /// a line may be met in the file and once more on its way.
    pub place: u64,
    /// What has changed.
    #[serde(flatten)]
    pub change: QueueChange,
}

/// What can be changed about messages that wait. One that is taken back is settled as removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum QueueChange {
    /// One says something else.
    Edited {
        /// Which.
        id: InputId,
        /// What it says now.
        queued: QueuedInput,
    },
    /// They have another order.
    Ordered {
        /// All of them, the next one first.
        ids: Vec<InputId>,
    },
    /// One waits no longer: it begins this turn.
    Released {
        /// Which.
        id: InputId,
        /// The turn.
        turn: TurnId,
    },
}
