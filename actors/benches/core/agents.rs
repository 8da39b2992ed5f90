//! Many agents: awake and idle, with open turns, and ten thousand through 64 slots.

use std::sync::Arc;

use sapwood_rollout::{FileJournal, Journal};

use crate::Scale;
use crate::fan::{Fan, Workers, scripted, talkative};
use crate::measure::{self, Peak, Row, anonymous, bytes, cpu, time};
use crate::team::{Team, config, runtime};

/// Turns at once while idle agents are made: a heap keeps what its busiest moment needed.
const AT_ONCE: usize = 2;

/// Items that a new agent has before its model says anything, and the report of a lead.
const OWN_ITEMS: usize = 3;

/// Agents that have answered with `items` items and stay awake: bytes of each, and bytes of its items.
fn idle(items: usize, leads: usize, width: usize) -> (f64, f64) {
    let home = measure::home();
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(home.clone()));
    let script = if items == 0 { scripted() } else { talkative(items - OWN_ITEMS) };
    let model = Fan::new(&[leads, width], Workers::Answer(script));
    runtime().block_on(async {
        let mut team = Team::new(Arc::clone(&journal), Arc::new(model), config(AT_ONCE, true), 1).await;
        let before = anonymous();
        team.start("Begin.");
        team.at_rest().await;
        let grown = anonymous() - before;
        let seats = team.tree.seats();
        let count = seats.len() as f64;
        let folded = seats.iter().map(|seat| {
            let agent = sapwood_actors::fold::read(&*journal, seat.thread).expect("a rollout");
            agent.history.items().map(|entry| entry.json.len()).sum::<usize>()
        });
        let items = folded.sum::<usize>() as f64;
        team.shutdown().await;
        (grown as f64 / count, items / count)
    })
}

/// Idle and awake.
pub fn awake(scale: Scale) -> Vec<Row> {
    let (leads, width) = (scale.of(10, 2), scale.of(100, 4));
    let (short, short_items) = idle(0, leads, width);
    let task = bytes(bare_task(scale.of(10_000, 100)));
    let small = bytes(short - short_items);
    vec![Row::new(
        format!("idle agent, awake, after one turn ({} of items)", bytes(short_items)),
        "10 KB + its items",
        format!("{small} + its items"),
        format!("a bare task with a channel: {task}"),
    )]
}

/// Idle and awake, with a long history.
pub fn long(scale: Scale) -> Vec<Row> {
    let (leads, width) = (scale.of(4, 2), scale.of(100, 4));
    let (long, items) = idle(200, leads, width);
    vec![Row::new(
        format!("idle agent, awake, 200 items ({})", bytes(items)),
        "10 KB + its items",
        format!("{} + its items", bytes(long - items)),
        format!("{} for each item", bytes((long - items) / 200.0)),
    )]
}

/// An idle task that waits on a channel.
fn bare_task(count: usize) -> f64 {
    runtime().block_on(async {
        let before = anonymous();
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let (send, mut receive) = tokio::sync::mpsc::unbounded_channel::<u64>();
                let task = tokio::spawn(async move { while receive.recv().await.is_some() {} });
                (send, task)
            })
            .collect();
        tokio::task::yield_now().await;
        let grown = anonymous() - before;
        drop(tasks);
        grown as f64 / count as f64
    })
}

/// Turns that are open at once, each in the middle of its model call.
pub fn open(scale: Scale) -> Vec<Row> {
    let (leads, width) = (scale.of(20, 2), scale.of(100, 4));
    let turns = leads * width;
    let home = measure::home();
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(home.clone()));
    let model = Fan::new(&[leads, width], Workers::Gated);
    let grown = runtime().block_on(async {
        let before = anonymous();
        let mut team = Team::new(journal, Arc::new(model.clone()), config(turns + leads + 1, false), 1).await;
        team.start("Begin.");
        model.asked(turns).await;
        let grown = anonymous() - before;
        model.open(turns);
        team.at_rest().await;
        team.shutdown().await;
        grown as f64
    });
    let each = format!("{} each", bytes(grown / turns as f64));
    vec![Row::new(format!("{turns} turns open at once"), "100 MB", bytes(grown), each)]
}

/// A wide tree through a few slots.
pub fn many(scale: Scale) -> Vec<Row> {
    let (leads, width) = (scale.of(100, 2), scale.of(100, 4));
    let home = measure::home();
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(home.clone()));
    let model = Fan::new(&[leads, width], Workers::Answer(scripted()));
    let (spent, peak, rest) = runtime().block_on(async {
        let mut team = Team::new(journal, Arc::new(model.clone()), config(64, false), 1).await;
        let (start, peak) = (cpu(), Peak::watch());
        let before = anonymous();
        team.start("Begin.");
        team.at_rest().await;
        let (spent, most) = (cpu() - start, peak.end());
        let rest = anonymous() - before;
        let agents = team.tree.seats().len();
        assert_eq!(agents, leads * width + leads + 1, "every agent was made");
        team.shutdown().await;
        (spent, most, rest as f64 / agents as f64)
    });
    let children = leads * width;
    let own = spent.saturating_sub(model.cpu());
    vec![
        Row::new(
            format!("{children} children, cap 64, CPU"),
            "10 s",
            time(spent),
            format!("{} of it the models", time(model.cpu())),
        ),
        Row::new(
            format!("{children} children, cap 64, memory"),
            "60 MB",
            bytes(peak as f64),
            format!("at rest {} an agent; {} CPU each without models", bytes(rest), time(own / children as u32)),
        ),
    ]
}
