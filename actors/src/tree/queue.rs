//! Messages that wait until an agent is idle: listed, changed, ordered and taken back while they wait.
//!
//! Each is an accepted input that wakes nobody. All changes are made under the seat's gate, by clients and by the incarnation
//! that begins with the next one, so that what a client was told to be gone is never begun. Each change is one line.

use std::collections::BTreeSet;

use sapwood_mailbox::Mailbox;
use sapwood_protocol::TurnId;
use sapwood_protocol::app::UserInput;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Body, How, InputLane, Own, QueueChange, QueueLine, QueuedInput, Settled};
use sapwood_supervisor::core::Need;

use crate::agent::Event;
use crate::seat::{Gate, Message, Seat};
use crate::trace::Parent;

use super::Tree;
use super::admission::{INPUT_BYTES, Refusal, lane_of};

/// Messages that wait for one agent, at most: as many as Codex keeps.
pub const QUEUE_COUNT: usize = 100;

/// Why something about the messages that wait cannot be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// As many wait as may.
    #[error("queue cannot contain more than {QUEUE_COUNT} submissions")]
    Full,
    /// None of this name waits; it may have begun.
    #[error("queued submission not found: {id}")]
    NotFound {
        /// The name.
        id: InputId,
    },
    /// An order has to name all of them.
    #[error("queue reorder must include every queued submission exactly once")]
    Order,
    /// None waits.
    #[error("queue is empty")]
    Empty,
    /// The agent is not idle.
    #[error("thread already has an active or pending turn")]
    Busy,
    /// It could not be written.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Tree {
    /// The messages that wait for an agent, the next one first.
    pub fn queued(&self, seat: &Seat) -> Vec<(InputId, QueuedInput)> {
        seat.gate.lock().queue.clone()
    }

    /// Lets a message wait until the agent is idle. One that is idle begins with it, unless a person or a crash stopped its
    /// last turn, once [`Tree::look_at_queue`] is called.
    ///
    /// # Errors
    /// Too many wait, or it could not be written.
    pub fn enqueue(&self, seat: &Seat, id: InputId, queued: QueuedInput) -> Result<(), QueueError> {
        if seat.gate.lock().queue.len() >= QUEUE_COUNT {
            return Err(QueueError::Full);
        }
        let body = Some(Body::Queued(queued));
        let lane = InputLane::User;
        self.admit(seat, Accepted { id, place: 0, lane, wake: false, from: None, body, turn: None }, None)?;
        self.queue_changed(seat);
        Ok(())
    }

    /// Lets an agent begin with the next message if it is idle.
    pub fn look_at_queue(&self, seat: &Seat) {
        if !seat.gate.lock().queue.is_empty() {
            self.wake(seat.thread, Need::NoSlot);
        }
    }

    /// Lets a message that waits say something else. Metadata that is not given stays.
    ///
    /// # Errors
    /// It does not wait, or it could not be written.
    pub fn edit_queued(
        &self,
        seat: &Seat,
        id: &InputId,
        input: Vec<UserInput>,
        metadata: Option<std::collections::BTreeMap<String, String>>,
    ) -> Result<QueuedInput, QueueError> {
        let mut gate = seat.gate.lock();
        let at = find(&gate, id)?;
        let mut queued = gate.queue[at].1.clone();
        queued.said.input = input;
        queued.metadata = metadata.or(queued.metadata);
        let bytes = queued.said.bytes();
        if bytes > INPUT_BYTES {
            return Err(Refusal::TooLong { bytes }.into());
        }
        let change = QueueChange::Edited { id: id.clone(), queued: queued.clone() };
        self.write_change(seat, &mut gate, id, change, bytes)?;
        gate.queue[at].1 = queued.clone();
        drop(gate);
        self.queue_changed(seat);
        Ok(queued)
    }

    /// Takes a message back. False if it does not wait: it has begun, or never was.
    ///
    /// # Errors
    /// It could not be written.
    pub fn take_back(&self, seat: &Seat, id: &InputId) -> Result<bool, QueueError> {
        let mut gate = seat.gate.lock();
        let Ok(at) = find(&gate, id) else { return Ok(false) };
        let settled = Own::Settled(Settled { id: id.clone(), how: How::Removed });
        self.write(seat, &mut gate, id, settled, 0, None)?;
        gate.queue.remove(at);
        drop(gate);
        self.queue_changed(seat);
        Ok(true)
    }

    /// Gives the messages that wait another order.
    ///
    /// # Errors
    /// Not each of them is named once, or it could not be written.
    pub fn order_queue(&self, seat: &Seat, ids: &[InputId]) -> Result<(), QueueError> {
        let mut gate = seat.gate.lock();
        let named: BTreeSet<&InputId> = ids.iter().collect();
        let waiting: BTreeSet<&InputId> = gate.queue.iter().map(|(id, _)| id).collect();
        if named.len() != ids.len() || named != waiting {
            return Err(QueueError::Order);
        }
        if let Some(first) = ids.first() {
            self.write_change(seat, &mut gate, first, QueueChange::Ordered { ids: ids.to_vec() }, 0)?;
            gate.queue.sort_by_key(|(id, _)| ids.iter().position(|named| named == id));
        }
        drop(gate);
        self.queue_changed(seat);
        Ok(())
    }

    /// Lets an idle agent begin with one of the messages that wait, or with the next one, whatever stopped it before. Returns
    /// the turn.
    ///
    /// # Errors
    /// There is none, the agent is not idle, or it could not be written.
    pub fn begin_queued(
        &self,
        seat: &Seat,
        id: Option<&InputId>,
        parent: Option<Parent>,
    ) -> Result<TurnId, QueueError> {
        let mut gate = seat.gate.lock();
        let at = match id {
            Some(id) => find(&gate, id)?,
            None if gate.queue.is_empty() => return Err(QueueError::Empty),
            None => 0,
        };
        if seat.look(|view| view.turn.is_some() || view.wakes || !view.unseen.is_empty()) {
            return Err(QueueError::Busy);
        }
        let turn = self.begin_at(seat, &mut gate, at, parent)?;
        drop(gate);
        self.begun(seat);
        Ok(turn)
    }

    /// The same with the next one, of an incarnation that has nothing else to do.
    pub(crate) fn begin_next_queued(&self, seat: &Seat) {
        let mut gate = seat.gate.lock();
        // What wakes it is on its way: that comes first, or is the one before.
        if gate.queue.is_empty() || seat.look(|view| !view.unseen.is_empty()) {
            return;
        }
        let begun = self.begin_at(seat, &mut gate, 0, None);
        drop(gate);
        match begun {
            Ok(_) => self.begun(seat),
            Err(error) => {
                tracing::warn!(agent = %seat.path, %error, "the next queued message could not be begun; it waits on");
            }
        }
    }

    fn begin_at(&self, seat: &Seat, gate: &mut Gate, at: usize, parent: Option<Parent>) -> Result<TurnId, Refusal> {
        let turn = self.ids.lock().turn(self.clock.now());
        // Before it is written: from then on it may begin.
        if let Some(parent) = parent {
            seat.traces.promise(&turn, parent);
        }
        let id = gate.queue[at].0.clone();
        let place = gate.next_place;
        let line = QueueLine { place, change: QueueChange::Released { id: id.clone(), turn: turn.clone() } };
        let written = self.write(seat, gate, &id, Own::Queue(line), 0, Some(&turn));
        written.inspect_err(|_| seat.traces.forget(&turn))?;
        gate.next_place += 1;
        gate.queue.remove(at);
        Ok(turn)
    }

    fn begun(&self, seat: &Seat) {
        self.queue_changed(seat);
        self.wake(seat.thread, Need::NewTurn);
    }

    fn write_change(
        &self,
        seat: &Seat,
        gate: &mut Gate,
        id: &InputId,
        change: QueueChange,
        bytes: usize,
    ) -> Result<(), Refusal> {
        let line = QueueLine { place: gate.next_place, change };
        self.write(seat, gate, id, Own::Queue(line), bytes, None)?;
        gate.next_place += 1;
        Ok(())
    }

    /// Writes a line, and sends it to the incarnation. With it an input wakes the agent, where a turn is named.
    fn write(
        &self,
        seat: &Seat,
        gate: &mut Gate,
        id: &InputId,
        own: Own,
        bytes: usize,
        wakes: Option<&TurnId>,
    ) -> Result<(), Refusal> {
        let permit = Mailbox::reserve(&seat.mailbox, lane_of(InputLane::User), bytes as u64).map_err(Refusal::Full)?;
        let line = own.line(self.clock.now());
        let log = gate.open(&*self.journal, seat.thread)?;
        let admitted = log.admit(std::slice::from_ref(&line));
        // Given back before the gate opens: who comes next finds the writer lock free.
        drop(log);
        gate.close(seat.parent.is_none());
        admitted?;
        if wakes.is_some() {
            self.unseen(seat, id, wakes);
        }
        // As for every admission: a closed mailbox is that of a tree that shuts down.
        let _ = permit.send(Message::Accepted { id: id.clone(), line });
        Ok(())
    }

    fn queue_changed(&self, seat: &Seat) {
        seat.feed.publish(self.clock.now(), Event::QueueChanged);
    }

    /// Accepts items of the Responses API that go into an agent's history as they are: at once while no turn is open, into an
    /// open turn before its next request where they only say something, and else after it. They begin no turn.
    ///
    /// # Errors
    /// They could not be accepted.
    pub fn inject(&self, seat: &Seat, id: InputId, items: Vec<serde_json::Value>) -> Result<(), Refusal> {
        let body = Some(Body::Items { items });
        let lane = InputLane::User;
        self.admit(seat, Accepted { id, place: 0, lane, wake: false, from: None, body, turn: None }, None)?;
        self.wake(seat.thread, Need::NoSlot);
        Ok(())
    }
}

fn find(gate: &Gate, id: &InputId) -> Result<usize, QueueError> {
    let at = gate.queue.iter().position(|(waiting, _)| waiting == id);
    at.ok_or_else(|| QueueError::NotFound { id: id.clone() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sapwood_protocol::own::Said;
    use sapwood_protocol::{Ids, Millis, SessionId};
    use sapwood_rollout::MemoryJournal;

    use super::*;
    use crate::clock::SystemClock;
    use crate::fold;

    fn tree() -> (Arc<Tree>, Arc<Seat>) {
        let mut ids = Ids::seeded(3);
        let session = SessionId::from(ids.thread(Millis(1)));
        let tree = Tree::new(session, Arc::default(), Arc::new(MemoryJournal::new()), Arc::new(SystemClock), ids);
        let root = tree.make_root("/", None).unwrap();
        (tree, root)
    }

    fn queued(text: &str) -> QueuedInput {
        QueuedInput { said: Said::text(text), metadata: None }
    }

    fn add(tree: &Tree, seat: &Seat, ids: &[&str]) {
        for id in ids {
            tree.enqueue(seat, (*id).into(), queued(id)).unwrap();
        }
    }

    fn names(queue: &[(InputId, QueuedInput)]) -> Vec<String> {
        queue.iter().map(|(id, _)| id.to_string()).collect()
    }

    /// What the seat keeps is what its rollout says.
    fn as_written(tree: &Tree, seat: &Seat) -> Vec<(InputId, QueuedInput)> {
        let agent = fold::read(&*tree.journal, seat.thread).unwrap();
        let written: Vec<_> = agent.inbox.queue().map(|(id, queued)| (id.clone(), queued.clone())).collect();
        assert_eq!(tree.queued(seat), written);
        assert_eq!(Seat::new(&agent, seat.history).gate.lock().queue, written);
        written
    }

    #[test]
    fn what_waits_is_edited_ordered_and_taken_back_in_the_rollout() {
        let (tree, root) = tree();
        add(&tree, &root, &["a", "b", "c"]);
        let edited = tree.edit_queued(&root, &"b".into(), queued("new").said.input, None).unwrap();
        assert_eq!(edited, queued("new"));
        tree.order_queue(&root, &["c".into(), "b".into(), "a".into()]).unwrap();
        assert!(tree.take_back(&root, &"a".into()).unwrap());
        assert!(!tree.take_back(&root, &"a".into()).unwrap());
        assert_eq!(as_written(&tree, &root), [("c".into(), queued("c")), ("b".into(), queued("new"))]);
    }

    #[test]
    fn what_does_not_wait_is_not_changed_and_an_order_names_all() {
        let (tree, root) = tree();
        add(&tree, &root, &["a", "b"]);
        let said = queued("x").said.input;
        assert!(matches!(tree.edit_queued(&root, &"z".into(), said, None), Err(QueueError::NotFound { .. })));
        for wrong in [&["a"][..], &["a", "a", "b"], &["a", "z"], &[]] {
            let ids: Vec<InputId> = wrong.iter().map(|id| (*id).into()).collect();
            assert!(matches!(tree.order_queue(&root, &ids), Err(QueueError::Order)), "{wrong:?}");
        }
        assert_eq!(names(&as_written(&tree, &root)), ["a", "b"]);
        let full = (0..QUEUE_COUNT).map(|n| (n.to_string().as_str().into(), queued("x")));
        root.gate.lock().queue = full.collect();
        assert!(matches!(tree.enqueue(&root, "z".into(), queued("z")), Err(QueueError::Full)));
    }

    #[test]
    fn one_is_begun_at_a_time_and_waits_no_longer() {
        let (tree, root) = tree();
        assert!(matches!(tree.begin_queued(&root, None, None), Err(QueueError::Empty)));
        add(&tree, &root, &["a", "b", "c"]);
        assert!(matches!(tree.begin_queued(&root, Some(&"z".into()), None), Err(QueueError::NotFound { .. })));
        let turn = tree.begin_queued(&root, Some(&"b".into()), None).unwrap();
        assert_eq!(names(&as_written(&tree, &root)), ["a", "c"]);
        assert!(matches!(tree.begin_queued(&root, None, None), Err(QueueError::Busy)));
        tree.begin_next_queued(&root);
        assert_eq!(names(&as_written(&tree, &root)), ["a", "c"], "what wakes is on its way");
        assert!(!tree.take_back(&root, &"b".into()).unwrap(), "it has begun");
        let agent = fold::read(&*tree.journal, root.thread).unwrap();
        assert_eq!((agent.inbox.wakes(), agent.inbox.promised()), (true, Some(turn)));
    }
}
