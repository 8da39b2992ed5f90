//! The commands of a tree's agents, for those who look after them: lists, ends, stopped clocks.

use std::mem::discriminant;

use crate::agent::effect::Event;
use crate::process::sandbox::Shortfall;
use crate::process::{Listed, SessionId};
use crate::seat::Seat;

use super::Tree;

impl Tree {
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
