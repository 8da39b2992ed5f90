//! The tree under ractor: residents of the supervisor's seats.

use std::sync::{Arc, Weak};

use sapwood_mailbox::Envelope;
use sapwood_protocol::ThreadId;
use sapwood_rollout::OpenError;
use sapwood_supervisor::core::{Class, Incarnation, Need};
use sapwood_supervisor::driver::{Fault, Host, Next, Port, Resident, Seat as Place, Supervisor};

use crate::seat::{Message, Seat};
use crate::shell::{Begin, Shell, ShellError, Slots};
use crate::tree::{Supervision, Tree};
use crate::workers::{Means, TokioWorkers};

/// Makes the residents of one tree.
pub struct AgentHost {
    tree: Weak<Tree>,
    means: Means,
}

impl AgentHost {
    /// A host for `tree`, which it does not keep alive.
    pub fn new(tree: &Arc<Tree>, means: Means) -> Self {
        Self { tree: Arc::downgrade(tree), means }
    }
}

impl Host for AgentHost {
    type Key = ThreadId;
    type Message = Message;
    type Held = Arc<Seat>;
    type Resident = AgentResident;

    fn incarnate(
        &self,
        place: &Arc<Place<Self>>,
        _: Incarnation,
        granted: bool,
        culprit: Option<Arc<Envelope<Message>>>,
        port: Port<Self>,
    ) -> AgentResident {
        let seat = Arc::clone(&place.held);
        let begin = Begin::Work(match culprit.as_deref() {
            Some(Envelope { msg: Message::Accepted { id, .. }, .. }) => Some(id.clone()),
            _ => None,
        });
        let workers = TokioWorkers::new(self.means.clone(), Arc::clone(&seat), Weak::clone(&self.tree));
        AgentResident {
            tree: self.tree.clone(),
            seat,
            port,
            granted,
            state: State::New { workers: Box::new(workers), begin },
        }
    }

    fn quarantined(&self, place: &Arc<Place<Self>>, reason: &str) {
        if let Some(tree) = self.tree.upgrade() {
            tree.quarantined(&place.held, reason);
        }
    }

    fn melted(&self, reason: &str) {
        if let Some(tree) = self.tree.upgrade() {
            tree.melted(reason);
        }
    }
}

/// One incarnation under ractor.
pub struct AgentResident {
    tree: Weak<Tree>,
    seat: Arc<Seat>,
    port: Port<AgentHost>,
    granted: bool,
    state: State,
}

enum State {
    New { workers: Box<TokioWorkers>, begin: Begin },
    Live(Box<Shell<TokioWorkers, PortSlots>>),
    Gone,
}

/// The supervisor, as a shell sees it.
pub struct PortSlots(Port<AgentHost>);

impl Slots for PortSlots {
    fn want(&self, need: Need) {
        self.0.wants(need);
    }

    fn give_back(&self) {
        self.0.released();
    }
}

fn fault(error: ShellError) -> Fault {
    match error {
        // Trying again changes nothing about these.
        ShellError::Runaway | ShellError::Open(OpenError::HistoryMode { .. }) => Fault::Fatal(error.to_string()),
        ShellError::Open(_) | ShellError::Append(_) | ShellError::Outbox => Fault::Storage(error.to_string()),
    }
}

impl AgentResident {
    fn shell(&mut self) -> Result<&mut Shell<TokioWorkers, PortSlots>, Fault> {
        match &mut self.state {
            State::Live(shell) => Ok(shell),
            State::New { .. } | State::Gone => Err(Fault::Fatal("used before it was loaded".to_owned())),
        }
    }
}

impl Resident for AgentResident {
    type Message = Message;

    fn load(&mut self) -> Result<(), Fault> {
        let State::New { workers, begin } = std::mem::replace(&mut self.state, State::Gone) else {
            return Err(Fault::Fatal("loaded twice".to_owned()));
        };
        let Some(tree) = self.tree.upgrade() else {
            return Err(Fault::Fatal("the tree is gone".to_owned()));
        };
        let slots = PortSlots(self.port.clone());
        let shell = Shell::load(tree, Arc::clone(&self.seat), *workers, slots, self.granted).map_err(fault)?;
        self.state = State::Live(Box::new(shell));
        self.shell()?.begin(begin).map_err(fault)
    }

    fn handle(&mut self, message: &Message) -> Result<(), Fault> {
        self.shell()?.handle(message).map_err(fault)
    }

    fn granted(&mut self) -> Result<(), Fault> {
        self.shell()?.granted().map_err(fault)
    }

    fn batch_done(&mut self) -> Result<Next, Fault> {
        Ok(if self.shell()?.quiet() { Next::MaySleep } else { Next::Stay })
    }

    fn stop(&mut self) {
        if let State::Live(shell) = std::mem::replace(&mut self.state, State::Gone) {
            shell.stop();
        }
    }
}

/// The ractor driver as a tree sees it.
pub struct RactorSupervision(pub Supervisor<AgentHost>);

impl Supervision for RactorSupervision {
    fn add(&self, seat: &Arc<Seat>) -> Result<(), String> {
        let class = if seat.parent.is_none() { Class::Root } else { Class::Worker };
        let (mailbox, held) = (Arc::clone(&seat.mailbox), Arc::clone(seat));
        let place = Place { key: seat.thread, class, parent: seat.parent, mailbox, held };
        self.0.add(place).map(drop).map_err(|error| error.to_string())
    }

    fn wake(&self, thread: ThreadId, need: Need) {
        self.0.wake(thread, need);
    }
}
