//! The inbox: what was accepted and not yet consumed. The one input queue of an agent; the mailbox only carries.
//!
//! Pending = accepted - consumed - settled, a set: applying an acceptance twice does nothing, and the order in
//! which acceptances and consumptions are applied does not matter.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_protocol::ThreadId;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Begun, Body, InputLane, QueueChange, QueueLine, QueuedInput, Settled};
use serde_json::Value;

/// How often an input may be begun again after a crash, before it is taken for the cause of it.
pub const MAX_BEGUN: u8 = 2;

/// User inputs whose ids are remembered after they are gone, so that a client may say the same thing twice.
/// As many as a client could have in flight over a reconnect, and then some.
pub const REMEMBERED: usize = 1024;

/// One pending input.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// The acceptance.
    pub accepted: Accepted,
    /// How often it was begun again after an unclean end.
    pub begun: u8,
}

impl Pending {
    /// It is or was a message that waits for the agent to be idle: it is read in a turn of its own.
    pub fn is_queued(&self) -> bool {
        matches!(self.accepted.body, Some(Body::Queued(_)))
    }
}

/// True if these items can come into an open turn: they only say something. A call among them would be run, and an answer of the
/// model would be taken for one.
pub(super) fn says(items: &[Value]) -> bool {
    items.iter().all(|item| item["type"] == "message" && item["role"] != "assistant")
}

/// The inbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inbox {
    /// Boxed, because the nodes of a map have room for eleven, and an agent seldom has more than one.
    pending: BTreeMap<InputId, Box<Pending>>,
    /// Gone inputs, so that a late or second acceptance stays without effect. Mail needs no such set beyond the
    /// marks, users' inputs are bounded by [`REMEMBERED`].
    gone: BTreeSet<InputId>,
    gone_order: std::collections::VecDeque<InputId>,
    marks: BTreeMap<ThreadId, u64>,
    next_place: u64,
    /// Messages that wait for the agent to be idle, the next one first.
    queue: Vec<InputId>,
    /// Changes of the queue below this place have been applied.
    queue_place: u64,
}

impl Inbox {
    /// An acceptance was appended.
    pub fn accepted(&mut self, accepted: Accepted) {
        if let Some(from) = &accepted.from {
            let mark = self.marks.entry(from.thread).or_insert(from.n);
            *mark = (*mark).max(from.n);
        }
        self.next_place = self.next_place.max(accepted.place.saturating_add(1));
        if self.gone.contains(&accepted.id) || self.pending.contains_key(&accepted.id) {
            return;
        }
        if matches!(accepted.body, Some(Body::Queued(_))) {
            self.queue.push(accepted.id.clone());
        }
        self.pending.insert(accepted.id.clone(), Box::new(Pending { accepted, begun: 0 }));
    }

    /// Something about the messages that wait has changed.
    pub fn queue_changed(&mut self, line: QueueLine) {
        let QueueLine { place, change } = line;
        self.next_place = self.next_place.max(place.saturating_add(1));
        if place < self.queue_place {
            return;
        }
        self.queue_place = place.saturating_add(1);
        match change {
            QueueChange::Edited { id, queued } => {
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.accepted.body = Some(Body::Queued(queued));
                }
            }
            // What is not named keeps its place behind the others.
            QueueChange::Ordered { ids } => {
                self.queue.sort_by_key(|id| ids.iter().position(|named| named == id).unwrap_or(usize::MAX));
            }
            QueueChange::Released { id, turn } => {
                self.queue.retain(|waiting| *waiting != id);
                if let Some(pending) = self.pending.get_mut(&id) {
                    (pending.accepted.wake, pending.accepted.place) = (true, place);
                    pending.accepted.turn = Some(turn);
                }
            }
        }
    }

    /// The messages that wait for the agent to be idle, the next one first.
    pub fn queue(&self) -> impl Iterator<Item = (&InputId, &QueuedInput)> {
        self.queue.iter().filter_map(|id| match &self.get(id)?.accepted.body {
            Some(Body::Queued(queued)) => Some((id, queued)),
            _ => None,
        })
    }

    /// True if messages wait for the agent to be idle.
    pub fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A line consumed an input.
    pub fn consumed(&mut self, id: &InputId) {
        self.pending.remove(id);
        self.queue.retain(|waiting| waiting != id);
        if self.gone.insert(id.clone()) {
            self.gone_order.push_back(id.clone());
            if self.gone_order.len() > REMEMBERED {
                let oldest = self.gone_order.pop_front();
                self.gone.remove(&oldest.expect("longer than the bound"));
            }
        }
    }

    /// An input was settled without having been consumed.
    pub fn settled(&mut self, settled: &Settled) {
        self.consumed(&settled.id);
    }

    /// An input was begun again.
    pub fn begun(&mut self, begun: &Begun) {
        if let Some(pending) = self.pending.get_mut(&begun.id) {
            pending.begun = pending.begun.saturating_add(1);
        }
    }

    /// The highest sending of each sender that was accepted.
    pub fn marks(&self) -> &BTreeMap<ThreadId, u64> {
        &self.marks
    }

    /// The place of the next acceptance.
    pub fn next_place(&self) -> u64 {
        self.next_place
    }

    /// True if an input with this id is pending or was, as far as is remembered.
    pub fn knows(&self, id: &InputId) -> bool {
        self.pending.contains_key(id) || self.gone.contains(id)
    }

    /// A pending input.
    pub fn get(&self, id: &InputId) -> Option<&Pending> {
        self.pending.get(id).map(Box::as_ref)
    }

    /// Everything pending, in the order of acceptance.
    pub fn pending(&self) -> Vec<&Pending> {
        let mut all: Vec<_> = self.pending.values().map(Box::as_ref).collect();
        all.sort_unstable_by_key(|pending| pending.accepted.place);
        all
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// True if nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// True if something pending starts a turn.
    pub fn wakes(&self) -> bool {
        self.pending.values().any(|pending| pending.accepted.wake)
    }

    /// What the next turn begins with: what wakes, in the order of acceptance. A message that was queued does so last.
    pub fn first(&self) -> Option<&Pending> {
        let waking = self.pending.values().filter(|pending| pending.accepted.wake);
        let first = waking.min_by_key(|pending| (pending.is_queued(), pending.accepted.place));
        first.map(Box::as_ref)
    }

    /// The id of the turn that what is pending starts, where a sender was told one: it takes all that wakes, and a message that
    /// was queued if there is nothing else.
    pub fn promised(&self) -> Option<sapwood_protocol::TurnId> {
        let first = self.first()?;
        let others = self.pending.values().filter(|pending| pending.accepted.wake && !pending.is_queued());
        let told =
            others.filter(|pending| pending.accepted.turn.is_some()).min_by_key(|pending| pending.accepted.place);
        first.accepted.turn.clone().or_else(|| told?.accepted.turn.clone())
    }

    /// True if mail is pending.
    pub fn has_mail(&self) -> bool {
        self.pending.values().any(|p| p.accepted.lane == InputLane::Mail && p.accepted.body.is_some())
    }

    /// Commands of the user that are pending: the model has not been told of them.
    pub fn shells(&self) -> impl Iterator<Item = &InputId> {
        let shells = self.pending.values().filter(|p| matches!(p.accepted.body, Some(Body::Shell { .. })));
        let mut shells: Vec<&Accepted> = shells.map(|pending| &pending.accepted).collect();
        shells.sort_unstable_by_key(|accepted| accepted.place);
        shells.into_iter().map(|accepted| &accepted.id)
    }

    /// True if a user said something that is pending.
    pub fn has_user_text(&self) -> bool {
        self.pending.values().any(|p| match &p.accepted.body {
            Some(Body::User(said)) => !said.input.is_empty(),
            Some(Body::Items { items }) => says(items),
            _ => false,
        })
    }

    /// The mail that one request takes: at least one, at most [`MAIL_COUNT`], and no more after [`MAIL_BYTES`].
    pub fn mail_for_request(&self) -> Vec<&Pending> {
        let mut bytes = 0;
        let mail = self.pending().into_iter().filter_map(|pending| match &pending.accepted.body {
            Some(Body::Mail { text, .. }) => Some((pending, text.len())),
            _ => None,
        });
        mail.take(MAIL_COUNT)
            .take_while(|(_, len)| {
                let first = bytes == 0;
                bytes += len.max(&1);
                first || bytes <= MAIL_BYTES
            })
            .map(|(pending, _)| pending)
            .collect()
    }
}

/// Mails in one request, at most (`design.md` 4).
pub const MAIL_COUNT: usize = 64;
/// Bytes of mail in one request, at most, the first one aside (`design.md` 4).
pub const MAIL_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::item::MailKind;
    use sapwood_protocol::own::{How, Sender, TurnOrigin};
    use sapwood_protocol::{AgentPath, Ids, Millis, TurnId};

    fn mail(n: u64, len: usize) -> Accepted {
        let thread = Ids::seeded(1).thread(Millis(1));
        let turn = TurnOrigin { turn: TurnId::from("t"), root_turn: TurnId::from("t") };
        Accepted {
            id: InputId::from(format!("{thread}:{n}")),
            place: n,
            lane: InputLane::Mail,
            wake: false,
            from: Some(Sender { thread, path: AgentPath::root(), n }),
            body: Some(Body::Mail { kind: MailKind::Message, text: "x".repeat(len), turn, outcome: None }),
            turn: None,
        }
    }

    #[test]
    fn an_acceptance_applies_once_in_any_order() {
        let a = mail(1, 1);
        let mut inbox = Inbox::default();
        inbox.accepted(a.clone());
        inbox.accepted(a.clone());
        assert_eq!(inbox.len(), 1);
        inbox.consumed(&a.id);
        inbox.accepted(a.clone());
        assert!(inbox.is_empty() && inbox.knows(&a.id));

        let mut other = Inbox::default();
        other.settled(&Settled { id: a.id.clone(), how: How::Removed });
        other.accepted(a.clone());
        assert!(other.is_empty(), "settled before it was seen");
        assert_eq!(other.marks().values().copied().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_request_takes_a_bounded_part() {
        let mut inbox = Inbox::default();
        inbox.accepted(mail(0, MAIL_BYTES + 1));
        inbox.accepted(mail(1, 1));
        assert_eq!(inbox.mail_for_request().len(), 1, "the first one always, however long");
        let mut inbox = Inbox::default();
        (0..100).for_each(|n| inbox.accepted(mail(n, 10)));
        let taken: Vec<_> = inbox.mail_for_request().iter().map(|p| p.accepted.place).collect();
        assert_eq!(taken, (0..MAIL_COUNT as u64).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut inbox = Inbox::default();
        (0..REMEMBERED as u64 * 2).for_each(|n| inbox.consumed(&mail(n, 1).id));
        assert_eq!(inbox.gone.len(), REMEMBERED);
    }
}
