//! What belongs to one incarnation and starts empty: slot, workers, tries, timers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sapwood_protocol::ids::InputId;
use sapwood_protocol::{CallId, Millis, RateLimits, TurnId};

use super::input::{Interrupter, Planned};
use super::user_shell::Busy;

/// The volatile state. Replaced by the shell after each decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volatile {
    /// The slot of this agent's turn.
    pub slot: Slot,
    /// The model call that is under way.
    pub sampling: Option<u64>,
    /// Failed tries of the request that is under way.
    pub failures: Failures,
    /// The request is tried again then.
    pub retry_at: Option<Millis>,
    /// The request that comes next has its part of the mail.
    pub mail_taken: bool,
    /// The pause of the turn is over: somebody asked, or its time came.
    pub resumed: bool,
    /// The timer of the pause runs.
    pub pause_timed: bool,
    /// What the provider last said of its limits.
    pub limits: Option<Arc<RateLimits>>,
    /// Calls that a worker or the tree is busy with, and the effect that started it.
    pub busy: BTreeMap<CallId, u64>,
    /// When calls that are under way began.
    pub begun: BTreeMap<CallId, Millis>,
    /// Commands that are held again, after their sandbox stopped them.
    pub again: BTreeSet<CallId>,
    /// What patches would do that were looked at.
    pub planned: BTreeMap<CallId, Arc<Planned>>,
    /// A person was told in this turn that there is no reviewer.
    pub told_no_reviewer: bool,
    /// Waits whose timer runs.
    pub timed: BTreeSet<CallId>,
    /// What became of the report of the last turn.
    pub report: ReportState,
    /// Answers to the incarnation before may still be in the mailbox: what it left started is not given up yet.
    pub recovering: bool,
    /// Commands of the user that are under way.
    pub shells: BTreeMap<InputId, Busy>,
    /// Somebody interrupts a turn that has not begun: it is over as soon as it begins.
    pub stopped: Option<(TurnId, Interrupter)>,
    /// How far the closing of what process death left open has come.
    pub closing: Closing,
}

/// Failed tries of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The provider did not begin to answer.
    pub request: u32,
    /// The answer broke off.
    pub stream: u32,
}

impl Failures {
    /// All of them.
    pub fn all(self) -> u32 {
        self.request + self.stream
    }
}

/// While a tree is loaded, open turns are closed and nothing is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// This is no loading.
    #[default]
    No,
    /// The tree is being loaded.
    Loading,
    /// What a dead process may have asked of other agents is answered.
    Answered,
}

/// The slot of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// None is held and none is asked for.
    #[default]
    None,
    /// Asked for.
    Wanted,
    /// Held.
    Held,
}

/// What became of the report of the last turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportState {
    /// Not sent by this incarnation.
    #[default]
    Unsent,
    /// Sent, and not answered yet.
    Sent(u64),
    /// Refused for now; a timer runs.
    Later(u64),
    /// In the requester's rollout.
    Accepted(u64),
}
