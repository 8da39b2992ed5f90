//! The words of the tree: time, numbers, classes, needs, exits and limits.

use std::fmt;

/// Milliseconds: a point of the driver's own monotonic clock (its zero is the driver's choice), or
/// a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The span from `earlier` to `self`; zero if the clock went backwards.
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// The point `span` after `self`.
    pub fn after(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }
}

/// One life of a seat's occupant. Numbers rise over the whole tree and are never given twice, so
/// an occupant of a seat that was removed and added again is still told apart.
///
/// Not the mailbox's incarnation number, which only counts the attachments to one mailbox: the
/// types differ so that the two cannot be mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// The name of one timer. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What kind of occupant a seat has. The order is the order of service in the line for slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The root of a tree: a person waits for it. Restarted.
    Root,
    /// Judges what others want to do, and others wait for it. Never restarted: its first crash
    /// quarantines it, so that whoever waits fails closed.
    Reviewer,
    /// Everybody else. Restarted.
    Worker,
}

/// Why a seat is to be woken, or what an awake one asks for. The order is what wins when several
/// reasons meet while the seat falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// There is input that wants a turn: it starts when its slot is granted.
    NewTurn,
    /// A parked turn can go on: served before the new turns of its class.
    Resume,
    /// It must run now, without sampling: an interrupt, a load. Needs no slot.
    NoSlot,
}

impl Need {
    pub(super) fn turn(self) -> Option<Turn> {
        match self {
            Need::NewTurn => Some(Turn::New),
            Need::Resume => Some(Turn::Resuming),
            Need::NoSlot => None,
        }
    }
}

/// Which of the two lines of its class a seat waits in; the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// A turn that was parked, or lost its incarnation, and can go on.
    Resuming,
    /// A turn that has not begun.
    New,
}

/// How an incarnation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It stopped by itself.
    Normal,
    /// It stopped because it was asked to.
    Shutdown,
    /// It was killed. A crash, unless the tree asked for it.
    Killed,
    /// Its task was cancelled from outside. A crash, unless the tree asked for it.
    TaskCancelled,
    /// It panicked or gave up; the text is for people.
    Failed(String),
    /// Its storage refused a write or a read. Not a crash: it is tried again until it works.
    StorageFailed(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Normal => f.write_str("ended"),
            Exit::Shutdown => f.write_str("stopped"),
            Exit::Killed => f.write_str("killed"),
            Exit::TaskCancelled => f.write_str("its task was cancelled"),
            Exit::Failed(why) => write!(f, "failed: {why}"),
            Exit::StorageFailed(why) => write!(f, "storage failed: {why}"),
        }
    }
}

/// How to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Deepest level first, each asked to stop, then killed, then abandoned.
    Orderly,
    /// Everybody is killed at once. Also what a second request of either kind means.
    Now,
}

/// How many restarts one seat may have before it is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts allowed within [`Intensity::within`]; the next crash quarantines.
    pub restarts: u32,
    /// The window in which restarts are counted.
    pub within: Millis,
    /// Restarts allowed over the life of the seat (until it is retried); `None`: no such limit.
    pub per_life: Option<u32>,
    /// Wait before the first, second, third and every further restart of a window, +-20 % jitter.
    pub back_off: [Millis; 3],
}

/// The limits of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Slots: how many turns of the tree sample or run tools at the same time. At least 1 (0 is
    /// taken as 1). Default 8.
    pub slots: u32,
    /// Seats that can exist, awake or not. Default 10,000.
    pub max_seats: usize,
    /// Restarts of [`Class::Root`]. Default 3 in 60 s.
    pub root: Intensity,
    /// Restarts of [`Class::Worker`]. Default 2 in 60 s and 4 a life.
    pub worker: Intensity,
    /// More restarts than this in a minute, over all seats, are a melt-down: the cause is not in
    /// the seats (a provider, a disk), so the tree shuts down. Default 20.
    pub melt_down_restarts: u32,
    /// Where this percentage of the live incarnations is more than
    /// [`Config::melt_down_restarts`], it is the limit instead. Default 2.
    pub melt_down_percent: u32,
    /// How long an idle incarnation stays awake. Default 0: it sleeps as soon as it says so.
    pub idle: Millis,
    /// What an incarnation gets to stop in, before it is killed. Default 5 s.
    pub stop_within: Millis,
    /// What a killed incarnation gets to end in, before it is abandoned and fenced (nothing can
    /// end a computation). Default 1 s.
    pub kill_within: Millis,
    /// What an orderly shutdown gets over all levels; what is left then is killed. Default 30 s.
    pub shutdown_within: Millis,
    /// The source of jitter. The same seed and events give the same actions.
    pub seed: u64,
}

/// The window of restart counting, the OTP convention: a minute.
const WINDOW: Millis = Millis(60_000);
/// The first restart is free; the later ones give a remote cause (a provider, a network) time.
const BACK_OFF: [Millis; 3] = [Millis(0), Millis(200), Millis(2_000)];

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: 8,
            max_seats: 10_000,
            root: Intensity { restarts: 3, within: WINDOW, per_life: None, back_off: BACK_OFF },
            worker: Intensity { restarts: 2, within: WINDOW, per_life: Some(4), back_off: BACK_OFF },
            melt_down_restarts: 20,
            melt_down_percent: 2,
            idle: Millis(0),
            stop_within: Millis(5_000),
            kill_within: Millis(1_000),
            shutdown_within: Millis(30_000),
            seed: 0,
        }
    }
}

impl Config {
    /// `None`: never restarted.
    pub(super) fn intensity(&self, class: Class) -> Option<&Intensity> {
        match class {
            Class::Root => Some(&self.root),
            Class::Worker => Some(&self.worker),
            Class::Reviewer => None,
        }
    }
}
