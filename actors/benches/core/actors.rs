//! A mailbox and a restart, against a bare task with a channel and a bare respawn.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sapwood_mailbox::{Caps, Envelope, LANES, Lane, Mailbox};
use sapwood_supervisor::core::{Class, Config, Incarnation, Intensity, Millis, Need};
use sapwood_supervisor::driver::{Fault, Host, Next, Port, Resident, Seat, Supervisor};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc};

use crate::Scale;
use crate::measure::{Row, cpu, each, time, times};

/// Messages that a sender sends before others have their turn.
const BURST: usize = 64;

/// Counts, and says when all have come.
#[derive(Clone, Default)]
struct Count(Arc<(AtomicUsize, Notify)>);

impl Count {
    fn one(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }

    fn expect(&self, count: usize) {
        self.0.0.store(count, Ordering::Release);
    }

    async fn done(&self) {
        self.0.1.notified().await;
    }
}

/// A message: its number, or a reason to panic.
type Message = Option<NonZeroU32>;

/// Makes counters that panic over a message of nothing, once.
struct Counters(Count);

struct Counter {
    count: Count,
    culprit: bool,
}

impl Host for Counters {
    type Key = u32;
    type Message = Message;
    type Held = ();
    type Resident = Counter;

    fn incarnate(
        &self,
        _: &Arc<Seat<Self>>,
        _: Incarnation,
        _: bool,
        culprit: Option<Arc<Envelope<Message>>>,
        _: Port<Self>,
    ) -> Counter {
        Counter { count: self.0.clone(), culprit: culprit.is_some() }
    }

    fn quarantined(&self, _: &Arc<Seat<Self>>, reason: &str) {
        panic!("a counter may panic as often as it likes: {reason}");
    }

    fn melted(&self, reason: &str) {
        panic!("the tree of counters may restart as often as it likes: {reason}");
    }
}

impl Resident for Counter {
    type Message = Message;

    fn load(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn handle(&mut self, message: &Message) -> Result<(), Fault> {
        match message {
            // It comes again, and the one who has replaced us may handle it.
            None if !std::mem::take(&mut self.culprit) => panic!("on purpose"),
            _ => self.count.one(),
        }
        Ok(())
    }

    fn granted(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn batch_done(&mut self) -> Result<Next, Fault> {
        Ok(Next::Stay)
    }

    fn stop(&mut self) {}
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn two() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn counter(count: &Count) -> (Supervisor<Counters>, Arc<Mailbox<Message>>) {
    let free = Intensity { restarts: u32::MAX, within: Millis(1), per_life: None, back_off: [Millis(0); 3] };
    let (root, worker) = (free.clone(), free);
    let config = Config { root, worker, melt_down_restarts: u32::MAX, ..Config::default() };
    let (supervisor, _ended) = Supervisor::start(Arc::new(Counters(count.clone())), config).await;
    let caps = Caps { count: [u32::MAX; LANES], bytes: [u64::MAX; LANES] };
    let seat = Seat { key: 1, class: Class::Root, parent: None, mailbox: Arc::new(Mailbox::new(caps)), held: () };
    let mailbox = Arc::clone(&supervisor.add(seat).expect("a free place").mailbox);
    (supervisor, mailbox)
}

/// Sends from so many tasks at once, and waits until all was handled.
async fn flood<S: Fn() + Clone + Send + 'static>(senders: usize, messages: usize, count: &Count, send: S) -> Duration {
    let share = messages / senders;
    count.expect(share * senders);
    let start = cpu();
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let send = send.clone();
            tokio::spawn(async move {
                for sent in 1..=share {
                    send();
                    if sent % BURST == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    count.done().await;
    let spent = cpu() - start;
    for task in tasks {
        task.await.expect("a sender");
    }
    each(spent, share * senders)
}

fn one_way(runtime: &Runtime, senders: usize, messages: usize, waking: bool) -> Duration {
    runtime.block_on(async {
        let count = Count::default();
        let (supervisor, mailbox) = counter(&count).await;
        supervisor.wake(1, Need::NoSlot);
        let spent = flood(senders, messages, &count, {
            let supervisor = supervisor.clone();
            move || {
                mailbox.try_send(Lane::Mail, 0, NonZeroU32::new(1)).expect("room");
                if waking {
                    supervisor.wake(1, Need::NoSlot);
                }
            }
        })
        .await;
        supervisor.shutdown_now().await;
        spent
    })
}

fn bare_one_way(runtime: &Runtime, senders: usize, messages: usize) -> Duration {
    runtime.block_on(async {
        let count = Count::default();
        let (send, mut receive) = mpsc::unbounded_channel::<Message>();
        let (counts, handled) = (count.clone(), count.clone());
        let task = tokio::spawn(async move {
            while receive.recv().await.is_some() {
                handled.one();
            }
        });
        let spent = flood(senders, messages, &counts, {
            let send = send.clone();
            move || send.send(NonZeroU32::new(1)).expect("a receiver")
        })
        .await;
        drop(send);
        task.await.expect("a counter");
        spent
    })
}

/// One way, from one sender and from eight: each message is begun and acked.
pub fn mailbox(scale: Scale) -> Vec<Row> {
    let messages = scale.of(400_000, 4_000);
    let row = |what: &str, target: &str, ours: Duration, bare: Duration| {
        let against = format!("{} of a bare task with a channel ({})", times(ours, bare), time(bare));
        Row::new(what, target, time(ours), against)
    };
    let (one, many) = (single(), two());
    // The better of two: the first one pays for what the heap has never held.
    let best = |cost: &dyn Fn() -> Duration| cost().min(cost());
    let bare = best(&|| bare_one_way(&one, 1, messages));
    let bare_8 = best(&|| bare_one_way(&many, 8, messages));
    vec![
        row("mailbox, one way", "1.5x in instructions", best(&|| one_way(&one, 1, messages, false)), bare),
        row("- with the supervisor told of each", "", best(&|| one_way(&one, 1, messages, true)), bare),
        row("mailbox, 8 senders", "0.8x in CPU", best(&|| one_way(&many, 8, messages, false)), bare_8),
    ]
}

/// From the message that panics to its handling by the next incarnation.
pub fn restart(scale: Scale) -> Vec<Row> {
    let rounds = scale.of(20_000, 20);
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = single();
    let ours = runtime.block_on(async {
        let count = Count::default();
        let (supervisor, mailbox) = counter(&count).await;
        supervisor.wake(1, Need::NoSlot);
        let start = cpu();
        for _ in 0..rounds {
            count.expect(1);
            mailbox.try_send(Lane::Mail, 0, None).expect("room");
            count.done().await;
        }
        let spent = cpu() - start;
        supervisor.shutdown_now().await;
        each(spent, rounds)
    });
    let bare = runtime.block_on(bare_respawn(rounds));
    let against = format!("{} of a bare respawn ({})", times(ours, bare), time(bare));
    vec![Row::new("panic to new incarnation", "2.5x", time(ours), against)]
}

/// A task that panics, one that notices, and a new task that handles the same message.
async fn bare_respawn(rounds: usize) -> Duration {
    let count = Count::default();
    let (send, mut receive) = mpsc::unbounded_channel::<Message>();
    let counter = count.clone();
    let supervisor = tokio::spawn(async move {
        while receive.recv().await.is_some() {
            let doomed = tokio::spawn(async { panic!("on purpose") });
            let ended: Result<(), _> = doomed.await;
            assert!(ended.is_err(), "it panics");
            let counter = counter.clone();
            tokio::spawn(async move { counter.one() }).await.expect("a counter");
        }
    });
    let start = cpu();
    for _ in 0..rounds {
        count.expect(1);
        send.send(None).expect("a receiver");
        count.done().await;
    }
    let spent = cpu() - start;
    drop(send);
    supervisor.await.expect("a supervisor");
    each(spent, rounds)
}
