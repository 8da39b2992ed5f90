//! A host whose residents do what their messages say, and write down what happens to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sapwood_mailbox::{Caps, Envelope, Lane, Mailbox};
use sapwood_supervisor::core::{Class, Config, Incarnation, Need};
use sapwood_supervisor::driver::{Fault, Host, Next, Port, Resident, Seat, Supervisor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a message makes its receiver do.
pub enum Msg {
    Say(&'static str),
    /// Panics while the seat has panics left, before or after it says this.
    Panic {
        before: bool,
        says: &'static str,
    },
    /// Asks for a turn.
    Ask,
    /// Ends its turn.
    End,
    /// Blocks its thread until the sender is gone or sends.
    Block(Mutex<mpsc::Receiver<()>>),
}

impl Msg {
    fn name(&self) -> &'static str {
        match self {
            Msg::Say(says) | Msg::Panic { says, .. } => says,
            Msg::Ask => "ask",
            Msg::End => "end",
            Msg::Block(_) => "block",
        }
    }
}

/// What goes wrong on a seat, and how often.
#[derive(Default)]
pub struct Trouble {
    pub panics: AtomicU32,
    pub storage: AtomicU32,
    /// It never sleeps by itself.
    pub restless: bool,
}

fn strikes(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[derive(Default)]
pub struct Theatre {
    lines: Mutex<Vec<String>>,
    changed: Notify,
    /// The `n` of "seat.n" in the log: incarnation numbers are the tree's, these are the seat's.
    lives: Mutex<BTreeMap<(u32, Incarnation), usize>>,
}

impl Theatre {
    pub fn log(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_waiters();
    }

    /// Everything so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until `count` lines are there; fails after a minute.
    pub async fn until(&self, count: usize) -> Vec<String> {
        let enough = async {
            loop {
                let changed = self.changed.notified();
                let lines = self.lines();
                if lines.len() >= count {
                    return lines;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), enough).await;
        waited.unwrap_or_else(|_| panic!("no {count} lines in {:#?}", self.lines()))
    }
}

pub struct Actor {
    seat: Arc<Seat<Theatre>>,
    theatre: Arc<Theatre>,
    port: Port<Theatre>,
    life: usize,
    on_turn: bool,
}

impl Actor {
    fn say(&self, what: &str) {
        self.theatre.log(format!("{}.{} {what}", self.seat.key, self.life));
    }
}

/// The theatre as a host: residents write into the shared one.
impl Host for Theatre {
    type Key = u32;
    type Message = Msg;
    type Held = (Trouble, Arc<Theatre>);
    type Resident = Actor;

    fn incarnate(
        &self,
        seat: &Arc<Seat<Self>>,
        inc: Incarnation,
        granted: bool,
        culprit: Option<Arc<Envelope<Msg>>>,
        port: Port<Self>,
    ) -> Actor {
        let life = {
            let mut lives = self.lives.lock().unwrap();
            let life = lives.keys().filter(|(key, _)| *key == seat.key).count() + 1;
            lives.insert((seat.key, inc), life);
            life
        };
        let actor = Actor { seat: Arc::clone(seat), theatre: Arc::clone(&seat.held.1), port, life, on_turn: granted };
        match culprit {
            Some(culprit) => actor.say(&format!("wakes after {}", culprit.msg.name())),
            None => actor.say(if granted { "wakes with a slot" } else { "wakes" }),
        }
        actor
    }

    fn quarantined(&self, seat: &Arc<Seat<Self>>, reason: &str) {
        self.log(format!("{} quarantined: {reason}", seat.key));
    }

    fn melted(&self, reason: &str) {
        self.log(format!("melted: {reason}"));
    }
}

impl Resident for Actor {
    type Message = Msg;

    fn load(&mut self) -> Result<(), Fault> {
        if strikes(&self.seat.held.0.storage) {
            return Err(Fault::Storage("disk full".into()));
        }
        Ok(())
    }

    fn handle(&mut self, msg: &Msg) -> Result<(), Fault> {
        match msg {
            Msg::Say(says) => self.say(says),
            Msg::Panic { before, says } => {
                if *before && strikes(&self.seat.held.0.panics) {
                    panic!("stage fright");
                }
                self.say(says);
                if !before && strikes(&self.seat.held.0.panics) {
                    panic!("stage fright");
                }
            }
            Msg::Ask => {
                self.say("asks");
                self.port.wants(Need::NewTurn);
            }
            Msg::End => {
                self.say("ends");
                self.on_turn = false;
                self.port.released();
            }
            Msg::Block(until) => {
                self.say("blocks");
                let _ = until.lock().unwrap().recv();
                self.say("is free");
                self.port.wants(Need::NewTurn);
            }
        }
        Ok(())
    }

    fn granted(&mut self) -> Result<(), Fault> {
        self.on_turn = true;
        self.say("granted");
        Ok(())
    }

    fn batch_done(&mut self) -> Result<Next, Fault> {
        Ok(if self.on_turn || self.seat.held.0.restless { Next::Stay } else { Next::MaySleep })
    }

    fn stop(&mut self) {
        self.say("stops");
    }
}

/// A tree on a theatre.
pub struct Stage {
    pub tree: Supervisor<Theatre>,
    pub theatre: Arc<Theatre>,
    pub task: JoinHandle<()>,
}

impl Stage {
    pub async fn open(config: Config) -> Self {
        let theatre = Arc::new(Theatre::default());
        let (tree, task) = Supervisor::start(Arc::clone(&theatre), config).await;
        Self { tree, theatre, task }
    }

    pub fn seat_with(&self, key: u32, parent: Option<u32>, trouble: Trouble) -> Arc<Seat<Theatre>> {
        let mailbox = Arc::new(Mailbox::new(Caps::default()));
        self.seat_at(key, parent, trouble, mailbox)
    }

    pub fn seat_at(
        &self,
        key: u32,
        parent: Option<u32>,
        trouble: Trouble,
        mailbox: Arc<Mailbox<Msg>>,
    ) -> Arc<Seat<Theatre>> {
        let held = (trouble, Arc::clone(&self.theatre));
        self.tree.add(Seat { key, class: Class::Worker, parent, mailbox, held }).unwrap()
    }

    pub fn seat(&self, key: u32) -> Arc<Seat<Theatre>> {
        self.seat_with(key, None, Trouble::default())
    }

    pub fn send(&self, seat: &Seat<Theatre>, need: Need, msg: Msg) {
        seat.mailbox.try_send(Lane::Mail, 1, msg).unwrap();
        self.tree.wake(seat.key, need);
    }

    /// Shuts down, checks that everything came to rest, and returns the log.
    pub async fn close(self) -> Vec<String> {
        self.tree.shutdown().await;
        self.task.await.unwrap();
        assert_eq!(self.tree.usage().0, 0);
        assert!(self.tree.view().iter().all(|row| row.phase.incarnation().is_none()));
        self.theatre.lines()
    }
}
