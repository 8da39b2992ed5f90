//! The commands of a seat that go on after the calls that started them have answered.
//!
//! They belong to the seat: an interrupt, a crash or a sleep of the agent leaves them alone, and they end with the seat's service,
//! the tree, or the process. The end of each is told once, through the seat's mailbox, to whatever incarnation there is then.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sapwood_mailbox::{Lane, Refused};
use sapwood_protocol::{CallId, Millis, TurnId};
use sapwood_supervisor::core::Need;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::effect::Late;
use crate::agent::input::Input;
use crate::process::{About, Full, Listed, Outcome, Pause, Pauser, Room, Running, SessionId, Terminal, Terminals};
use crate::seat::{Message, Seat};
use crate::tree::Tree;
use crate::workers::result_of;

/// Until an end is told again for which there was no room: the agent reads its mailbox in far less, if it reads it at all.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// Whose command it is.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The call that started it.
    pub call: CallId,
    /// The turn of that call.
    pub turn: TurnId,
    /// Program and arguments.
    pub argv: [String; 3],
    /// The command as the model gave it.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
    /// When it began.
    pub started: Millis,
}

/// The commands of one seat. Dropping this ends them.
#[derive(Default)]
pub struct Background {
    terminals: Terminals,
    pauser: Pauser,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    is_closed: bool,
    watches: BTreeMap<SessionId, Watch>,
}

/// A task that tells the end of one command.
struct Watch {
    told: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Background {
    /// A place for a command that is about to start.
    ///
    /// # Errors
    ///
    /// [`Full`], for the model to act on.
    pub fn room(&self) -> Result<Room, Full> {
        self.terminals.room()
    }

    /// What stops the clocks of this seat's commands.
    pub fn pause(&self) -> Pause {
        self.pauser.handle()
    }

    /// Stops the clocks of its commands, time limits and waits, or lets them run on from where they stood.
    pub fn set_paused(&self, is_paused: bool) {
        if is_paused { self.pauser.pause() } else { self.pauser.resume() }
    }

    /// Keeps a command that its call does not wait for any longer, and sees to it that its end is told. After the seat's service
    /// has ended, it is ended instead.
    pub fn keep(&self, room: Room, running: Running, origin: Origin, seat: &Arc<Seat>, tree: Weak<Tree>) -> SessionId {
        let mut watched = self.watched.lock();
        let about =
            About { call: origin.call.clone(), command: origin.command.clone(), cwd: origin.cwd.clone().into() };
        let (id, terminal) = self.terminals.keep(room, running, about);
        if watched.is_closed {
            self.terminals.remove(id);
            return id;
        }
        // Those whose end was told, and that made room for others.
        watched.watches.retain(|id, watch| !*watch.told.borrow() || self.terminals.get(*id).is_some());
        let (tell, told) = watch::channel(false);
        let task = tokio::spawn(watch_over(terminal, id, origin, Arc::downgrade(seat), tree, tell));
        watched.watches.insert(id, Watch { told, task });
        id
    }

    /// The command of this name, until its end was read.
    pub fn get(&self, id: SessionId) -> Option<Arc<Terminal>> {
        self.terminals.get(id)
    }

    /// Waits until the end of a command has been told, and forgets the command: the model reads its end now.
    pub async fn forget(&self, id: SessionId) {
        let told = self.watched.lock().watches.get(&id).map(|watch| watch.told.clone());
        if let Some(mut told) = told {
            // A task that is gone tells nothing any more.
            let _ = told.wait_for(|told| *told).await;
        }
        self.terminals.remove(id);
        self.watched.lock().watches.remove(&id);
    }

    /// Ends what a call has started that was interrupted before its model was told.
    pub fn end_of(&self, call: &CallId) {
        for listed in self.terminals.list().into_iter().filter(|listed| listed.about.call == *call) {
            self.terminals.terminate(listed.id);
        }
    }

    /// Those that run, by name.
    pub fn list(&self) -> Vec<Listed> {
        self.terminals.list()
    }

    /// Asks one to end. `false`: none of this name runs.
    pub fn terminate(&self, id: SessionId) -> bool {
        self.terminals.terminate(id)
    }

    /// Asks all to end. How many were asked.
    pub fn clean(&self) -> usize {
        self.terminals.clean()
    }

    /// Ends all, for good: nobody is told.
    pub fn close(&self) {
        let watches = {
            let mut watched = self.watched.lock();
            watched.is_closed = true;
            std::mem::take(&mut watched.watches)
        };
        for id in watches.into_keys() {
            self.terminals.remove(id);
        }
    }
}

async fn watch_over(
    terminal: Arc<Terminal>,
    id: SessionId,
    origin: Origin,
    seat: Weak<Seat>,
    tree: Weak<Tree>,
    told: watch::Sender<bool>,
) {
    let outcome = terminal.running.ended().await;
    drop(terminal);
    let message = Message::Input(Input::CommandEnded(late(id, origin, &outcome)));
    loop {
        // Without them, nobody is left to be told.
        let (Some(seat), Some(tree)) = (seat.upgrade(), tree.upgrade()) else { return };
        match seat.mailbox.try_send(Lane::Continuation, 0, message.clone()) {
            Ok(_) => {
                tree.wake(seat.thread, Need::NoSlot);
                tree.tell_shortfalls(&seat, &outcome.shortfalls);
                told.send_replace(true);
                return;
            }
            Err(error) if error.refused == Refused::Closed => return,
            Err(_) => {}
        }
        drop((seat, tree));
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

fn late(id: SessionId, origin: Origin, outcome: &Outcome) -> Arc<Late> {
    let Origin { call, turn, argv, cwd, started, .. } = origin;
    Arc::new(Late { call, turn, session: id.0, argv, cwd, started, result: result_of(outcome) })
}
