//! A turn that has ended, and what its requester is told of it.

use std::sync::Arc;

use sapwood_protocol::line::Cause;
use sapwood_protocol::own::{Outcome, TurnOrigin};
use sapwood_protocol::{Millis, TurnId};

use super::effect::Report;
use super::prompt;
use super::turn::Turn;

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTurn {
    /// Which.
    pub id: TurnId,
    /// The root turn above it.
    pub root: TurnId,
    /// The ordinal of the line that ended it.
    pub n: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What really ended it, where Codex's words do not say.
    pub cause: Option<Cause>,
    /// Its last message, or what went wrong.
    pub message: Option<Arc<str>>,
    /// What kind of error ended it, in Codex's words (`codex_error_info`).
    pub error: Option<Box<str>>,
    /// It was begun, worked on or closed by us. Another program tells of its own turns in its own way.
    pub ours: bool,
    /// When it ended.
    pub at: Millis,
}

impl EndedTurn {
    /// A turn that was open when another program began one, with the line of this number. If it only waited, it was kept on
    /// purpose, and that program has ended it; else its process had died.
    pub(super) fn replaced(turn: Turn, n: u64, at: Millis) -> Self {
        let (outcome, cause) = match turn.parked() {
            true => (Outcome::Cancelled, Cause::Interrupted),
            false => (Outcome::Lost, Cause::ProcessDeath),
        };
        let Turn { id, root, ours, .. } = turn;
        Self { id, root, n, outcome, cause: Some(cause), message: None, error: None, ours, at }
    }

    /// True if its requester is to be told of it.
    pub fn is_reported(&self) -> bool {
        self.cause != Some(Cause::Requester)
    }

    /// What its requester is to be told; nothing if it was the requester that ended it.
    pub fn report(&self) -> Option<Report> {
        if !self.is_reported() {
            return None;
        }
        let message = self.message.as_deref().unwrap_or_default();
        let text = match self.outcome {
            Outcome::Completed => message.to_owned(),
            Outcome::Failed => prompt::errored(message),
            Outcome::Lost => prompt::LOST.to_owned(),
            Outcome::Cancelled => prompt::CANCELLED.to_owned(),
            Outcome::Quarantined => prompt::quarantined(message),
        };
        let turn = TurnOrigin { turn: self.id.clone(), root_turn: self.root.clone() };
        Some(Report { n: self.n, outcome: self.outcome, text, turn })
    }
}
