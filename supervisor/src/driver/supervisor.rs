//! The supervisor actor performs what the tree decided, and its handle brings events in.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use sapwood_mailbox::{Doorbell, Envelope};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::host::{Host, Seat};
use super::incarnation::{ASKED, Birth, Ending, Occupant, SLEPT, Signal, panic_text};
use super::table::Table;
use crate::core::{Action, AddError, Config, Event, Exit, Incarnation, Need, Row, Shutdown};

/// Actions performed before events of ended children get in between.
const BATCH: usize = 64;

/// The handle of a running tree. Clones are the same tree.
///
/// The tree ends by [`Supervisor::shutdown`]. Dropping the last handle shuts it down at once, since
/// nobody could end it afterwards. A resident that keeps one therefore keeps its tree alive; to wake
/// others its [`Port`](super::Port) is enough.
pub struct Supervisor<H: Host>(Arc<Handle<H>>);

struct Handle<H: Host> {
    table: Arc<Table<H>>,
    /// Its sender is the supervisor actor's: gone, it is down.
    down: watch::Receiver<()>,
}

impl<H: Host> Drop for Handle<H> {
    fn drop(&mut self) {
        self.table.apply(Event::Shutdown { mode: Shutdown::Now });
    }
}

impl<H: Host> Clone for Supervisor<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: Host> Supervisor<H> {
    /// Starts an empty tree on the current tokio runtime, which must have its timer enabled. The
    /// second value ends when the tree is down.
    pub async fn start(host: Arc<H>, config: Config) -> (Self, JoinHandle<()>) {
        let table = Arc::new(Table::new(host, config));
        let (alive, down) = watch::channel(());
        let arguments = (Arc::clone(&table), alive);
        let (actor, task) = Actor::spawn(None, Root(PhantomData), arguments)
            .await
            .expect("an actor without a name, whose start does nothing that fails, starts");
        table.set_bell(move || {
            // It fails only once the tree is down, and then there is nothing to perform.
            let _ = actor.cast(Perform);
        });
        (Self(Arc::new(Handle { table, down })), task)
    }

    /// Adds a seat, asleep.
    pub fn add(&self, seat: Seat<H>) -> Result<Arc<Seat<H>>, AddError> {
        self.0.table.add(Arc::new(seat))
    }

    /// There is something to do for a seat. Call it after every admission to its mailbox: an awake
    /// one hears its doorbell and this changes nothing, but one that was just falling asleep may
    /// not have heard it. Never waits.
    pub fn wake(&self, seat: H::Key, need: Need) {
        self.0.table.apply(Event::Wake { seat, need });
    }

    /// Starts a quarantined or storage-blocked seat again, with its counters reset.
    pub fn retry(&self, seat: H::Key) {
        self.0.table.apply(Event::Retry { seat });
    }

    /// Stops the occupant of a seat, within the deadlines of [`Config`], and forgets the seat.
    pub fn remove(&self, seat: H::Key) {
        self.0.table.apply(Event::Remove { seat });
    }

    /// Changes the number of slots (0 is taken as 1); those in use are not taken away.
    pub fn set_slots(&self, slots: u32) {
        self.0.table.apply(Event::SetSlots { slots });
    }

    /// A seat, if there is one.
    pub fn seat(&self, seat: H::Key) -> Option<Arc<Seat<H>>> {
        self.0.table.seat(seat)
    }

    /// All seats as they are now, by key.
    pub fn view(&self) -> Vec<Row<H::Key>> {
        self.0.table.view()
    }

    /// Slots in use, and slots there are.
    pub fn usage(&self) -> (u32, u32) {
        self.0.table.usage()
    }

    /// Shuts down, deepest level first; a second call kills whoever is left. Returns when the tree
    /// is down, within [`Config::shutdown_within`] and [`Config::kill_within`]. Dropping the future
    /// does not stop the shutdown.
    pub async fn shutdown(&self) {
        self.end(Shutdown::Orderly).await;
    }

    /// Kills everybody. Returns when the tree is down, within [`Config::kill_within`].
    pub async fn shutdown_now(&self) {
        self.end(Shutdown::Now).await;
    }

    async fn end(&self, mode: Shutdown) {
        self.0.table.apply(Event::Shutdown { mode });
        let mut down = self.0.down.clone();
        // Nothing is ever sent: it returns when the sender is gone.
        while down.changed().await.is_ok() {}
    }
}

/// The doorbell of the supervisor actor.
struct Perform;

/// A task that does not outlive its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Root<H>(PhantomData<fn() -> H>);

struct Performing<H: Host> {
    table: Arc<Table<H>>,
    living: BTreeMap<Incarnation, Child>,
    names: BTreeMap<ActorId, (H::Key, Incarnation)>,
    /// Of abandoned incarnations, for their successors.
    culprits: BTreeMap<H::Key, Arc<Envelope<H::Message>>>,
    _clock: Owned,
    _alive: watch::Sender<()>,
}

/// An incarnation that has not ended. Dropping it cancels its task.
struct Child {
    actor: ActorRef<Signal>,
    _task: Owned,
}

/// The bell of a mailbox whose incarnation was abandoned.
struct Nobody;

impl Doorbell for Nobody {
    fn ring(&self) -> bool {
        false
    }
}

impl<H: Host> Performing<H> {
    async fn perform(&mut self, myself: &ActorRef<Perform>, action: Action<H::Key>) {
        match action {
            Action::Start { seat, inc, granted } => self.start(myself, seat, inc, granted).await,
            Action::Grant { inc, .. } => self.signal(inc, Signal::Granted),
            Action::Sleep { inc, .. } => self.signal(inc, Signal::Sleep),
            Action::Stop { inc, .. } => {
                if let Some(child) = self.living.get(&inc) {
                    child.actor.stop(Some(ASKED.to_owned()));
                }
            }
            Action::Kill { inc, .. } => {
                if let Some(child) = self.living.get(&inc) {
                    child.actor.kill();
                }
            }
            Action::Abandon { seat, inc } => self.abandon(seat, inc),
            Action::Quarantine { seat, reason } => {
                tracing::error!(?seat, reason, "seat quarantined");
                if let Some(seat) = self.table.seat(seat) {
                    self.tell(|host| host.quarantined(&seat, &reason));
                }
            }
            Action::MeltDown { reason } => {
                tracing::error!(reason, "melt-down: the tree shuts down");
                self.tell(|host| host.melted(&reason));
            }
            Action::Removed { seat } => {
                self.culprits.remove(&seat);
                let seat = self.table.remove_seat(seat);
                contain(|| drop(seat));
            }
            Action::Down => myself.stop(None),
            Action::Refused { .. } | Action::Timer { .. } | Action::Cancel { .. } => {
                unreachable!("the table takes these itself: {action:?}")
            }
        }
    }

    async fn start(&mut self, myself: &ActorRef<Perform>, key: H::Key, inc: Incarnation, granted: bool) {
        let Some(seat) = self.table.seat(key) else {
            return;
        };
        let culprit = self.culprits.remove(&key);
        let birth = Birth { table: Arc::clone(&self.table), seat, inc, granted, culprit };
        match Actor::spawn_linked(None, Occupant::<H>::new(), birth, myself.get_cell()).await {
            Ok((actor, task)) => {
                self.names.insert(actor.get_id(), (key, inc));
                self.living.insert(inc, Child { actor, _task: Owned(task) });
            }
            Err(why) => {
                let exit = Exit::Failed(format!("it could not be started: {why}"));
                self.table.apply(Event::Ended { seat: key, inc, exit });
            }
        }
    }

    fn signal(&self, inc: Incarnation, signal: Signal) {
        if let Some(child) = self.living.get(&inc) {
            // It fails only for an actor that is ending, whose event is on its way.
            let _ = child.actor.cast(signal);
        }
    }

    /// Nothing ends a computation, so it goes on; but it finds its mailbox taken, its port refers
    /// to nobody, and its task is cancelled where it next waits.
    fn abandon(&mut self, key: H::Key, inc: Incarnation) {
        tracing::error!(seat = ?key, inc = inc.0, "incarnation abandoned: it did not end when killed");
        if let Some(child) = self.living.remove(&inc) {
            self.names.remove(&child.actor.get_id());
        }
        self.table.forget(inc);
        if let Some(seat) = self.table.seat(key) {
            let attached = seat.mailbox.attach(Arc::new(Nobody));
            seat.mailbox.detach(attached.incarnation);
            if let Some(culprit) = attached.culprit {
                self.culprits.insert(key, culprit);
            }
        }
    }

    fn ended(&mut self, actor: ActorId, how: How) {
        let Some((seat, inc)) = self.names.remove(&actor) else {
            return;
        };
        self.living.remove(&inc);
        self.table.forget(inc);
        let event = match how {
            How::Slept => Event::Slept { seat, inc },
            How::Exit(exit) => {
                tracing::debug!(?seat, inc = inc.0, %exit, "incarnation ended");
                Event::Ended { seat, inc, exit }
            }
        };
        self.table.apply(event);
    }

    fn tell(&self, call: impl FnOnce(&H)) {
        contain(|| call(&self.table.host));
    }
}

/// Runs the host's code in the supervisor's task, which must not end with it.
fn contain(code: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(code)) {
        tracing::error!(panic = panic_text(&*panic), "the host panicked in the supervisor's task");
    }
}

/// How an actor ended.
enum How {
    Slept,
    Exit(Exit),
}

/// The one place where ractor's words for the end of an actor are read.
fn how_terminated(reason: Option<&str>) -> How {
    match reason {
        Some(SLEPT) => How::Slept,
        Some(ASKED) => How::Exit(Exit::Shutdown),
        Some("killed") => How::Exit(Exit::Killed),
        Some("actor_task_cancelled") => How::Exit(Exit::TaskCancelled),
        _ => How::Exit(Exit::Normal),
    }
}

fn how_failed(error: ActorProcessingErr) -> How {
    How::Exit(match error.downcast::<Ending>().map(|ending| *ending) {
        Ok(Ending::Storage(why)) => Exit::StorageFailed(why),
        Ok(Ending::Failed(why)) => Exit::Failed(why),
        Err(error) => Exit::Failed(error.to_string()),
    })
}

impl<H: Host> Actor for Root<H> {
    type Msg = Perform;
    type State = Performing<H>;
    type Arguments = (Arc<Table<H>>, watch::Sender<()>);

    async fn pre_start(
        &self,
        _: ActorRef<Perform>,
        (table, alive): Self::Arguments,
    ) -> Result<Performing<H>, ActorProcessingErr> {
        let clock = Owned(tokio::spawn(Arc::clone(&table).keep_time()));
        Ok(Performing {
            table,
            living: BTreeMap::new(),
            names: BTreeMap::new(),
            culprits: BTreeMap::new(),
            _clock: clock,
            _alive: alive,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Perform>,
        _: Perform,
        state: &mut Performing<H>,
    ) -> Result<(), ActorProcessingErr> {
        for _ in 0..BATCH {
            let Some(action) = state.table.next_action() else {
                return Ok(());
            };
            state.perform(&myself, action).await;
        }
        // It fails only for an actor that is ending.
        let _ = myself.cast(Perform);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Perform>,
        event: SupervisionEvent,
        state: &mut Performing<H>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(actor) => {
                if let Some((seat, inc)) = state.names.get(&actor.get_id()).copied() {
                    state.table.apply(Event::Started { seat, inc });
                }
            }
            SupervisionEvent::ActorTerminated(actor, last, reason) => {
                // A killed one still holds its resident, whose drop is the host's code.
                contain(|| drop(last));
                state.ended(actor.get_id(), how_terminated(reason.as_deref()));
            }
            SupervisionEvent::ActorFailed(actor, error) => state.ended(actor.get_id(), how_failed(error)),
            SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}
