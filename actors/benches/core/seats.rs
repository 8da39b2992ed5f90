//! What an agent costs that sleeps: its seat in the tree, its row at the supervisor, its name in the directory.

use std::sync::Arc;

use sapwood_actors::fold;
use sapwood_model::HistoryInitialization;
use sapwood_protocol::{AgentPath, Ids, Millis, ThreadId, TurnId};
use sapwood_rollout::{Journal, MemoryJournal};

use crate::Scale;
use crate::fan::{Fan, Workers, scripted};
use crate::measure::{Row, anonymous, bytes};
use crate::team::{Team, config, runtime};

/// Workers under one lead, as in a wide team.
const WIDTH: usize = 100;

/// Seats of agents that have done one task: each with ids, a path, a nickname and an answer of its own.
pub fn asleep(scale: Scale) -> Vec<Row> {
    let count = scale.of(100_000, 1_000);
    let memory = Arc::new(MemoryJournal::new());
    let journal = Arc::clone(&memory) as Arc<dyn Journal>;
    let grown = runtime().block_on(async {
        let model = Fan::new(&[1], Workers::Answer(scripted()));
        let mut team = Team::new(Arc::clone(&journal), Arc::new(model), config(4, false), 1).await;
        let root = team.start("Begin.");
        team.at_rest().await;
        let worker = memory.threads().into_iter().find(|thread| *thread != root.thread).expect("a worker");
        let mut ids = Ids::seeded(7);
        let mut seats = Vec::with_capacity(count);
        let before = anonymous();
        for n in 0..count {
            // Folded anew: nothing is shared that two agents would not share.
            let mut agent = fold::read(&*journal, worker).expect("a rollout");
            let identity = agent.identity.as_mut().expect("it was folded");
            identity.thread = ids.thread(Millis(1_795_219_433_341));
            identity.path = path(n);
            identity.nickname = Some(format!("Sycamore {n}"));
            if let Some(turn) = &mut agent.last_turn {
                turn.id = TurnId::from(identity.thread.to_string());
            }
            seats.push(team.tree.seat_of(&agent, HistoryInitialization::New).expect("a free name"));
        }
        let grown = anonymous() - before;
        assert_eq!(seats.len(), count);
        team.shutdown().await;
        grown
    });
    let each = grown as f64 / count as f64;
    // What a directory cannot do without: two ids and a path in a map.
    let bare = size_of::<ThreadId>() * 2 + size_of::<AgentPath>() + 16 + path(0).as_str().len();
    let against = format!("{:.1}x of two ids and a path ({bare} B)", each / bare as f64);
    vec![Row::new(format!("idle agent, asleep, {count} seats"), "400 B", bytes(each), against)]
}

fn path(n: usize) -> AgentPath {
    let lead = AgentPath::root().join(&format!("lead_{}", n / WIDTH)).expect("a name");
    lead.join(&format!("w{}", n % WIDTH)).expect("a name")
}
