//! The commands of a tree's agents, for those who look after them: lists, ends, stopped clocks.

use std::mem::discriminant;

use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Body, InputLane};
use sapwood_supervisor::core::Need;

use crate::agent::event::Event;
use crate::process::sandbox::Shortfall;
use crate::process::{Listed, SessionId};
use crate::seat::Seat;
use crate::trace::Parent;

use super::{Refusal, Tree};

impl Tree {
    /// Accepts a command of the user, which runs beside the agent's turns with all rights of its user. The turn that it starts, if it
    /// starts one, descends from `parent`.
    ///
    /// # Errors
    /// It could not be accepted.
    pub fn user_shell(
        &self,
        seat: &Seat,
        id: InputId,
        command: String,
        timeout_ms: Option<u64>,
        parent: Option<Parent>,
    ) -> Result<(), Refusal> {
        let body = Some(Body::Shell { command, timeout_ms });
        let lane = InputLane::User;
        let turn = Some(self.ids.lock().turn(self.clock.now()));
        let is_idle = seat.look(|view| view.turn.is_none());
        let accepted = Accepted { id, place: 0, lane, wake: false, from: None, body, turn };
        self.admit_from(seat, accepted, parent.filter(|_| is_idle))?;
        self.wake(seat.thread, Need::NoSlot);
        Ok(())
    }

    /// The commands of an agent that go on in the background.
    pub fn terminals(&self, seat: &Seat) -> Vec<Listed> {
        seat.background.list()
    }

    /// Asks one of them to end. `false`: none of this name runs.
    pub fn end_terminal(&self, seat: &Seat, id: SessionId) -> bool {
        seat.background.terminate(id)
    }

    /// Asks all of them to end. How many were asked.
    pub fn end_terminals(&self, seat: &Seat) -> usize {
        seat.background.clean()
    }

    /// Stops the clocks of all commands of an agent, in the background or not, those that start while they are stopped too: neither
    /// a time limit nor a wait for output comes nearer. Or lets them run on from where they stood.
    pub fn pause_commands(&self, seat: &Seat, is_paused: bool) {
        seat.background.set_paused(is_paused);
    }

    /// Ends the background commands of all agents, for good.
    pub(crate) fn close_terminals(&self) {
        self.seats().iter().for_each(|seat| seat.background.close());
    }

    /// Tells what sandboxes cannot do on this machine: of each kind the first that is met in this tree.
    pub(crate) fn tell_shortfalls(&self, seat: &Seat, shortfalls: &[Shortfall]) {
        for shortfall in shortfalls {
            let is_news = {
                let mut told = self.shortfalls.lock();
                let is_news = told.iter().all(|known| discriminant(known) != discriminant(shortfall));
                told.extend(is_news.then(|| shortfall.clone()));
                is_news
            };
            if is_news {
                seat.feed.publish(self.clock.now(), Event::Warning(shortfall.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use sapwood_protocol::{Ids, Millis, SessionId};
    use sapwood_rollout::MemoryJournal;
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::SystemClock;
    use crate::feed::News;

    #[test]
    fn of_each_kind_one_is_told_in_a_tree() {
        let mut ids = Ids::seeded(1);
        let session = SessionId::from(ids.thread(Millis(1)));
        let journal = Arc::new(MemoryJournal::new());
        let tree = Tree::new(session, Arc::default(), journal, Arc::new(SystemClock), ids);
        let root = tree.make_root("/", None).unwrap();
        let (_, mut subscription) = root.feed.subscribe(Arc::new(Notify::new()), || ());
        let folders =
            |folder: &str| Shortfall::FrozenFolders { folders: vec![PathBuf::from(folder)], reason: "no".into() };
        let udp = Shortfall::OnlyTcpRefused { reason: "no".into() };
        tree.tell_shortfalls(&root, &[folders("/a"), folders("/b")]);
        tree.tell_shortfalls(&root, &[udp.clone(), folders("/c")]);
        tree.tell_shortfalls(&root, std::slice::from_ref(&udp));
        let mut told = Vec::new();
        while let Some(News::Change(change)) = subscription.next(&root.feed) {
            told.push(change.event);
        }
        assert_eq!(told, [Event::Warning(folders("/a").to_string()), Event::Warning(udp.to_string())]);
    }
}
