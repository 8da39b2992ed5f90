//! One incarnation: an actor whose port carries only signals, and whose messages stay in the
//! mailbox until they are handled.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use sapwood_mailbox::{Doorbell, Envelope, Incarnation as Attachment};

use super::host::{Fault, Host, Next, Port, Resident, Seat};
use super::table::Table;
use crate::core::Incarnation;

/// Messages handled before a stop or a kill gets in between.
const BATCH: usize = 64;
/// The stop reason of an incarnation that has left its mailbox to sleep.
pub(super) const SLEPT: &str = "slept";
/// The stop reason of an incarnation that was asked to stop.
pub(super) const ASKED: &str = "asked to stop";
/// The stop reason of an incarnation that found another one attached to its mailbox.
const REPLACED: &str = "replaced";

/// What reaches an incarnation through its port. At most one of each is outstanding.
pub(super) enum Signal {
    /// There are messages in the mailbox.
    Doorbell,
    /// It holds a slot now.
    Granted,
    /// Leave the mailbox if it is empty, and end.
    Sleep,
}

/// How an incarnation ended that did not stop.
#[derive(Debug)]
pub(super) enum Ending {
    Storage(String),
    Failed(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Storage(why) | Ending::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Ending {}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Storage(why) => Ending::Storage(why),
            Fault::Fatal(why) => Ending::Failed(why),
        }
    }
}

/// The text of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a text")
}

struct Bell(ActorRef<Signal>);

impl Doorbell for Bell {
    fn ring(&self) -> bool {
        self.0.cast(Signal::Doorbell).is_ok()
    }
}

/// What an incarnation is started with.
pub(super) struct Birth<H: Host> {
    pub(super) table: Arc<Table<H>>,
    pub(super) seat: Arc<Seat<H>>,
    pub(super) inc: Incarnation,
    pub(super) granted: bool,
    /// The culprit, if the mailbox does not know it any more.
    pub(super) culprit: Option<Arc<Envelope<H::Message>>>,
}

/// What an incarnation is.
pub(super) struct Living<H: Host> {
    birth: Birth<H>,
    attachment: Attachment,
    port: Port<H>,
    /// `None` before it was made, and once it has ended.
    resident: Option<H::Resident>,
}

impl<H: Host> Living<H> {
    /// Runs the host's code. A panic or a fault drops the resident here and now, before the
    /// supervisor hears of it: two residents of one seat never exist at the same time.
    fn run<T>(&mut self, code: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, ActorProcessingErr> {
        let ending = match catch_unwind(AssertUnwindSafe(|| code(self))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(fault)) => Ending::from(fault),
            Err(panic) => Ending::Failed(format!("panicked: {}", panic_text(&*panic))),
        };
        let resident = self.resident.take();
        // A panic in its drop adds nothing to what is known.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(resident)));
        Err(Box::new(ending))
    }

    fn load(&mut self) -> Result<(), Fault> {
        let Birth { table, seat, inc, granted, culprit } = &mut self.birth;
        let resident = table.host.incarnate(seat, *inc, *granted, culprit.take(), self.port.clone());
        self.resident.insert(resident).load()
    }

    fn batch(&mut self, myself: &ActorRef<Signal>) -> Result<(), Fault> {
        let Some(resident) = &mut self.resident else {
            return Ok(());
        };
        let mailbox = &self.birth.seat.mailbox;
        let mut batch = Vec::new();
        let more = mailbox.lease(self.attachment, BATCH, &mut batch);
        for envelope in batch {
            if !mailbox.begin(self.attachment, envelope.seq) {
                myself.stop(Some(REPLACED.to_owned()));
                return Ok(());
            }
            resident.handle(&envelope.msg)?;
            mailbox.ack(self.attachment, envelope.seq);
        }
        let next = resident.batch_done()?;
        if more {
            // It fails only for an actor that is ending, and then the next one is rung.
            let _ = myself.cast(Signal::Doorbell);
        } else if next == Next::MaySleep {
            self.port.idle();
        }
        Ok(())
    }

    fn granted(&mut self) -> Result<(), Fault> {
        match &mut self.resident {
            Some(resident) if self.port.accept_grant() => resident.granted(),
            _ => Ok(()),
        }
    }

    fn sleep(&mut self, myself: &ActorRef<Signal>) {
        if self.birth.seat.mailbox.detach(self.attachment) {
            self.end();
            myself.stop(Some(SLEPT.to_owned()));
        } else {
            self.port.busy();
        }
    }

    /// The last call to the resident, once.
    fn end(&mut self) {
        if let Some(mut resident) = self.resident.take() {
            resident.stop();
        }
    }
}

/// The actor of an incarnation. Its futures hold nothing over an await, since an idle actor
/// carries them.
pub(super) struct Occupant<H>(PhantomData<fn() -> H>);

impl<H> Occupant<H> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<H: Host> Actor for Occupant<H> {
    type Msg = Signal;
    type State = Living<H>;
    type Arguments = Birth<H>;

    /// Runs in the supervisor's task: attaches, which cannot fail, and nothing else.
    async fn pre_start(&self, myself: ActorRef<Signal>, mut birth: Birth<H>) -> Result<Living<H>, ActorProcessingErr> {
        let attached = birth.seat.mailbox.attach(Arc::new(Bell(myself)));
        birth.culprit = attached.culprit.or(birth.culprit);
        let port = Port::new(Arc::clone(&birth.table), birth.seat.key, birth.inc, birth.granted);
        Ok(Living { attachment: attached.incarnation, port, resident: None, birth })
    }

    async fn post_start(&self, _: ActorRef<Signal>, living: &mut Living<H>) -> Result<(), ActorProcessingErr> {
        living.run(Living::load)
    }

    async fn handle(
        &self,
        myself: ActorRef<Signal>,
        signal: Signal,
        living: &mut Living<H>,
    ) -> Result<(), ActorProcessingErr> {
        if living.port.take_spoke() {
            // Tokio keeps the task that this one has woken last on this thread, where nobody can
            // take it. Let it run, or a resident that blocks would stop the supervisor too.
            tokio::task::yield_now().await;
        }
        living.run(|living| match signal {
            Signal::Doorbell => living.batch(&myself),
            Signal::Granted => living.granted(),
            Signal::Sleep => {
                living.sleep(&myself);
                Ok(())
            }
        })
    }

    async fn post_stop(&self, _: ActorRef<Signal>, living: &mut Living<H>) -> Result<(), ActorProcessingErr> {
        living.run(|living| {
            living.end();
            Ok(())
        })
    }

    /// Nobody is linked below an incarnation by this crate; the default would end it with a child.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Signal>,
        _: SupervisionEvent,
        _: &mut Living<H>,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
