//! What was told of one thread, and what is to be told of it next.
//!
//! A feed says what happened; clients are told in the order that they know (`goals-and-rollouts.md` F.2): a turn before its
//! items, an item's begin before its end, and of one turn every end before its own. What the feed lost, a crash or a
//! client's slowness, is told from the rollout ([`Story::catch_up`]): whatever was begun ends, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sapwood_actors::agent::Event;
use sapwood_actors::agent::event::{Part, Shown};
use sapwood_actors::agent::plan::PlanUpdate;
use sapwood_model::SafetyBuffering;
use sapwood_protocol::app::item::ThreadItem;
use sapwood_protocol::app::thread::{ActiveFlag, ThreadStatus};
use sapwood_protocol::app::turn::{Turn, TurnError, TurnItemsView, TurnStatus};
use sapwood_protocol::asked::{Asked, What};
use sapwood_protocol::ids::AskId;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{Millis, TurnId, Usage};

pub(super) use again::open_as_told;

use crate::history::Spent;

/// Something that clients are told of a thread.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// How it is now.
    Status(ThreadStatus),
    /// A turn began.
    TurnStarted(Turn),
    /// An item began.
    ItemStarted { turn: TurnId, item: ThreadItem, at: Millis },
    /// An item is complete.
    ItemCompleted { turn: TurnId, item: ThreadItem, at: Millis },
    /// Another part of a reasoning's summary begins.
    SummaryPart { turn: TurnId, item: Arc<str>, part: u64 },
    /// More of an item's text.
    Delta { turn: TurnId, item: Arc<str>, part: Part, text: String },
    /// The model typed into a command that goes on, or looked at it.
    Typed { turn: TurnId, item: Arc<str>, session: i32, chars: String },
    /// Tokens so far.
    Usage { turn: TurnId, total: Usage, last: Usage },
    /// A turn failed, or one of its requests did and is tried again.
    Error { turn: TurnId, error: TurnError, will_retry: bool },
    /// A turn ended.
    TurnCompleted(Turn),
    /// The settings of the thread have changed.
    Settings,
    /// The plan has changed.
    Plan { turn: TurnId, plan: Arc<PlanUpdate> },
    /// What the turn has changed in files.
    Diff { turn: TurnId, diff: Arc<str> },
    /// The provider holds output back.
    SafetyBuffering { turn: TurnId, what: Arc<SafetyBuffering> },
    /// Another model answers.
    Rerouted { turn: TurnId, from: Arc<str>, to: Arc<str> },
    /// The messages that wait are others.
    Queue,
    /// Somebody is asked.
    Asked { turn: TurnId, asked: Arc<Asked> },
    /// What was asked is answered, or no question any more.
    Resolved(Arc<Asked>),
    /// Something a person should know.
    Warning(String),
}

impl Told {
    /// The turn that it is about.
    pub fn turn(&self) -> Option<&TurnId> {
        match self {
            Told::TurnStarted(turn) | Told::TurnCompleted(turn) => Some(&turn.id),
            Told::ItemStarted { turn, .. }
            | Told::ItemCompleted { turn, .. }
            | Told::SummaryPart { turn, .. }
            | Told::Delta { turn, .. }
            | Told::Typed { turn, .. }
            | Told::Usage { turn, .. }
            | Told::Error { turn, .. }
            | Told::Plan { turn, .. }
            | Told::Diff { turn, .. }
            | Told::SafetyBuffering { turn, .. }
            | Told::Rerouted { turn, .. }
            | Told::Asked { turn, .. } => Some(turn),
            Told::Status(_) | Told::Settings | Told::Queue | Told::Resolved(_) | Told::Warning(_) => None,
        }
    }
}

/// What was told of one thread.
#[derive(Debug, Default)]
pub(crate) struct Story {
    open: Option<OpenTurn>,
    /// How it was when last told; nothing before that.
    status: Option<ThreadStatus>,
    /// What is asked in the open turn and not answered.
    asks: BTreeMap<AskId, Arc<Asked>>,
    /// The tokens that were spent.
    spent: Option<Spent>,
    /// They are still to be told.
    owes: bool,
    /// The turn for which they were told last.
    spent_in: Option<TurnId>,
    /// The newest turn that has ended, as far as was told; nothing in it if none has, and nothing if that is not known.
    ended: Option<Option<TurnId>>,
    /// Turns that were told from the rollout to their ends, while the feed may have yet to say that they began.
    ahead: BTreeSet<TurnId>,
    /// Commands that go on without their turn.
    detached: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct OpenTurn {
    id: TurnId,
    started: Millis,
    /// Items that began, and whether they are complete.
    items: BTreeMap<Arc<str>, ItemState>,
    /// The model's newest message.
    message: Option<ThreadItem>,
}

#[derive(Debug)]
enum ItemState {
    Open {
        item: ThreadItem,
        is_streamed: bool,
        /// The parts of its summary that were told; nothing once something of the item went another way.
        summary: Option<Vec<String>>,
    },
    Complete,
}

impl Story {
    /// A story of a thread that was as this, with this turn open, before anybody was told.
    pub fn since(status: ThreadStatus, open: Option<TurnId>) -> Self {
        let open = open.map(|id| OpenTurn { id, started: Millis(0), items: BTreeMap::new(), message: None });
        Self { status: Some(status), open, ..Self::default() }
    }

    /// The open turn, as far as was told.
    pub fn open(&self) -> Option<&TurnId> {
        self.open.as_ref().map(|turn| &turn.id)
    }

    /// How the thread is, as far as was told.
    pub fn status(&self) -> ThreadStatus {
        self.status.clone().unwrap_or(ThreadStatus::Idle)
    }

    /// The newest turn that has ended, as far as was told; nothing in it if none has, and nothing if that is not known.
    pub fn ended(&self) -> Option<Option<&TurnId>> {
        self.ended.as_ref().map(Option::as_ref)
    }

    /// The newest turn that had ended before anybody was told, if one had.
    pub fn had_ended(&mut self, turn: Option<TurnId>) {
        self.ended.get_or_insert(turn);
    }

    /// What the thread had spent before anybody was told.
    pub fn had_spent(&mut self, spent: Spent) {
        self.spent = self.spent.or(Some(spent));
    }

    /// What is to be told of a change, in order.
    pub fn tell(&mut self, at: Millis, event: Event) -> Vec<Told> {
        let mut told = Vec::new();
        match event {
            // The rollout may have been ahead of the feed.
            Event::TurnStarted { turn, .. } if self.open() == Some(&turn) || self.ahead.contains(&turn) => {}
            Event::TurnEnded { turn, .. } if self.ahead.remove(&turn) => {}
            Event::TurnStarted { turn, root, started } => {
                self.ahead.clear();
                self.begin(turn, Some(root), started, &mut told);
            }
            Event::ItemStarted { turn, snapshot: Some(snapshot), .. } => {
                self.started(&turn, &snapshot, &mut told);
            }
            Event::ItemCompleted { turn, snapshot: Some(snapshot), item } => {
                self.completed(&turn, &snapshot, at, matches!(item, Shown::Agent { .. }), &mut told);
            }
            Event::Delta { turn, item, part, text } => self.delta(turn, item.as_str(), part, text, &mut told),
            Event::Retrying { message, .. } => self.retrying(message, &mut told),
            Event::Dropped { .. } => {
                self.drop_streamed();
                self.owes = true;
                self.tell_spent(&mut told);
            }
            Event::Usage { last, thread, .. } => {
                self.tell_spent(&mut told);
                self.spent = Some(Spent { total: thread, last });
                self.owes = self.open.is_some();
            }
            Event::TurnEnded { turn, outcome, message, root, error, started, ended, .. } => {
                let error = (outcome == Outcome::Failed)
                    .then(|| TurnError::recorded(message.unwrap_or_default(), error.as_deref()));
                let status = match outcome {
                    Outcome::Completed => TurnStatus::Completed,
                    Outcome::Failed | Outcome::Quarantined => TurnStatus::Failed,
                    Outcome::Cancelled | Outcome::Lost => TurnStatus::Interrupted,
                };
                let end = End { root, status, error, started, ended };
                self.end(turn, &end, at, &mut told);
            }
            Event::Asked { turn, asked } => self.asked(turn, asked, &mut told),
            Event::Resolved { asked, is_withdrawn, .. } => self.resolved(asked, is_withdrawn, &mut told),
            Event::Detached { turn, item } => self.detach(&turn, item.as_str()),
            Event::Typed { turn, item, session, chars } => {
                told.push(Told::Typed { turn, item: item.as_str().into(), session, chars });
            }
            Event::SettingsApplied => told.push(Told::Settings),
            Event::Plan { turn, plan } => told.push(Told::Plan { turn, plan }),
            Event::Diff { turn, diff } => told.push(Told::Diff { turn, diff }),
            Event::SafetyBuffering { turn, what } => told.push(Told::SafetyBuffering { turn, what }),
            Event::Rerouted { turn, from, to } => told.push(Told::Rerouted { turn, from, to }),
            Event::Warning(text) => told.push(Told::Warning(text)),
            Event::Paused { message, .. } => told.push(Told::Warning(message)),
            Event::Waiting { why, .. } => told.push(Told::Warning(why)),
            Event::ItemStarted { .. } | Event::ItemCompleted { .. } | Event::Sent | Event::Resync => {}
            Event::QueueChanged => told.push(Told::Queue),
        }
        told
    }

    fn asked(&mut self, turn: TurnId, asked: Arc<Asked>, told: &mut Vec<Told>) {
        if self.open() != Some(&turn) || self.asks.insert(asked.id.clone(), Arc::clone(&asked)).is_some() {
            return;
        }
        let status = self.active();
        told.extend(self.is_now(status));
        told.push(Told::Asked { turn, asked });
    }

    fn resolved(&mut self, asked: Arc<Asked>, is_withdrawn: bool, told: &mut Vec<Told>) {
        if self.asks.remove(&asked.id).is_none() {
            return;
        }
        told.push(Told::Resolved(asked));
        // One that ends with its turn makes nothing go on.
        if !is_withdrawn {
            let status = self.active();
            told.extend(self.is_now(status));
        }
    }

    /// Nobody is asked any more: what was open is over with its turn.
    fn withdraw(&mut self, told: &mut Vec<Told>) {
        told.extend(std::mem::take(&mut self.asks).into_values().map(Told::Resolved));
    }

    fn begin(&mut self, id: TurnId, root: Option<TurnId>, started: Millis, told: &mut Vec<Told>) {
        self.asks.clear();
        self.owes = false;
        told.extend(self.is_now(ThreadStatus::Active { active_flags: Vec::new() }));
        let turn = Turn { started_at: Some(started.secs()), root_turn_id: root, ..Turn::begun(id.clone()) };
        told.push(Told::TurnStarted(turn));
        self.open = Some(OpenTurn { id, started, items: BTreeMap::new(), message: None });
    }

    fn retrying(&mut self, message: String, told: &mut Vec<Told>) {
        self.drop_streamed();
        if let Some(open) = &self.open {
            let error = TurnError::recorded(message, None);
            told.push(Told::Error { turn: open.id.clone(), error, will_retry: true });
        }
    }

    /// What a model was saying is not kept, and its item has no end, as in Codex: an end would take from the screen what was
    /// shown of it.
    fn drop_streamed(&mut self) {
        let items = self.open.iter_mut().flat_map(|open| open.items.values_mut());
        let streamed = items.filter(|state| matches!(state, ItemState::Open { is_streamed: true, .. }));
        streamed.for_each(|state| *state = ItemState::Complete);
    }

    /// After every request clients are told what was spent, as in Codex once its calls have ended: when the model goes on, or the
    /// turn ends. One that came to nothing has changed nothing.
    fn tell_spent(&mut self, told: &mut Vec<Told>) {
        let (true, Some(open), Some(Spent { total, last })) = (std::mem::take(&mut self.owes), &self.open, self.spent)
        else {
            return;
        };
        self.spent_in = Some(open.id.clone());
        told.push(Told::Usage { turn: open.id.clone(), total, last });
    }

    /// The turn in which was spent what was told last; nothing before that.
    pub fn spent_in(&self) -> Option<&TurnId> {
        self.spent_in.as_ref()
    }

    /// What ran ends with its turn.
    fn end(&mut self, turn: TurnId, end: &End, at: Millis, told: &mut Vec<Told>) {
        if self.open() != Some(&turn) {
            return;
        }
        self.withdraw(told);
        self.close_items(at, told);
        self.tell_spent(told);
        told.extend(self.rests(end.status));
        told.extend(failure(&turn, end.error.clone()));
        // What was said before it was broken off is no answer.
        let is_answer = |_: &ThreadItem| end.status == TurnStatus::Completed;
        let message = self.open.take().and_then(|open| open.message).filter(is_answer);
        self.ended = Some(Some(turn.clone()));
        let whole = Turn {
            root_turn_id: Some(end.root.clone()),
            status: end.status,
            error: end.error.clone(),
            started_at: Some(end.started.secs()),
            completed_at: Some(end.ended.secs()),
            duration_ms: Some(end.ended.since(end.started).0),
            ..Turn::begun(turn)
        };
        told.push(Told::TurnCompleted(summary(whole, message)));
    }

    fn rests(&mut self, ended: TurnStatus) -> Option<Told> {
        let failed = ended == TurnStatus::Failed;
        self.is_now(if failed { ThreadStatus::SystemError } else { ThreadStatus::Idle })
    }

    fn active(&self) -> ThreadStatus {
        active(self.asks.values())
    }

    fn is_now(&mut self, status: ThreadStatus) -> Option<Told> {
        (self.status.as_ref() != Some(&status)).then(|| {
            self.status = Some(status.clone());
            Told::Status(status)
        })
    }
}

/// How a thread is whose open turn waits for these.
pub(crate) fn active<'a>(asks: impl Iterator<Item = &'a Arc<Asked>> + Clone) -> ThreadStatus {
    let any = |is: fn(&What) -> bool| asks.clone().any(|asked| is(&asked.what));
    let flags = [
        (ActiveFlag::WaitingOnApproval, any(What::is_approval)),
        (ActiveFlag::WaitingOnUserInput, any(What::is_for_words)),
    ];
    let active_flags = flags.into_iter().filter(|(_, is)| *is).map(|(flag, _)| flag).collect();
    ThreadStatus::Active { active_flags }
}

/// The same, where an approval is about to be asked for.
fn waits_for_approval(status: ThreadStatus) -> ThreadStatus {
    match status {
        ThreadStatus::Active { mut active_flags } if !active_flags.contains(&ActiveFlag::WaitingOnApproval) => {
            active_flags.insert(0, ActiveFlag::WaitingOnApproval);
            ThreadStatus::Active { active_flags }
        }
        status => status,
    }
}

/// How a turn ended.
struct End {
    root: TurnId,
    status: TurnStatus,
    error: Option<TurnError>,
    started: Millis,
    ended: Millis,
}

fn failure(turn: &TurnId, error: Option<TurnError>) -> Option<Told> {
    error.map(|error| Told::Error { turn: turn.clone(), error, will_retry: false })
}

fn summary(turn: Turn, message: Option<ThreadItem>) -> Turn {
    let items_view = if message.is_some() { TurnItemsView::Summary } else { TurnItemsView::NotLoaded };
    Turn { items: message.into_iter().collect(), items_view, ..turn }
}

mod again;
#[cfg(test)]
mod feeds;
mod items;
#[cfg(test)]
mod tests;
