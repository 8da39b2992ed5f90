//! From the acceptance of an input to the line that consumes it.

use std::sync::Arc;
use std::time::Duration;

use sapwood_rollout::Journal;

use crate::Scale;
use crate::fan::{Fan, Workers};
use crate::measure::{self, Row, cpu, each, time, times};
use crate::recording::{Recording, bare};
use crate::team::{Team, config, runtime};

/// Inputs of a round with many. The lane of users has room for two such rounds.
const MANY: usize = 30;

/// Inputs that come while the model is asked, and are consumed together when it has answered. A round with one input is
/// taken off from a round with many: it holds what answering and asking again cost by themselves.
pub fn accept(scale: Scale) -> Vec<Row> {
    let rounds = scale.of(40, 2);
    let home = measure::home();
    let recording = Recording::new(&home.join("recorded"));
    let model = Fan::new(&[], Workers::Gated);
    let journal = Arc::clone(&recording) as Arc<dyn Journal>;
    let (many, one, writes) = runtime().block_on(async {
        let mut team = Team::new(journal, Arc::new(model.clone()), config(4, false), 1).await;
        team.start("Begin.");
        let (mut many, mut one, mut writes) = (Duration::ZERO, Duration::ZERO, Vec::new());
        for round in 0..rounds {
            let mut asked = round * 2 + 1;
            for (inputs, spent) in [(1, &mut one), (MANY, &mut many)] {
                model.asked(asked).await;
                recording.take();
                let start = cpu();
                (0..inputs).for_each(|_| team.say("And then look at the tests as well."));
                model.open(1);
                asked += 1;
                model.asked(asked).await;
                *spent += cpu() - start;
                writes = recording.take();
            }
        }
        team.shutdown().await;
        (many, one, writes)
    });
    let cost = each(many.saturating_sub(one), rounds * (MANY - 1));
    let limit = each(bare(&writes, &home, false, scale.of(20, 1)), MANY);
    let against = format!("{} of a bare write of the same bytes ({})", times(cost, limit), time(limit));
    vec![
        Row::new("durable accept to consumed", "15 us", time(cost), against),
        Row::new("- an answer and the next request", "", time(each(one, rounds)), String::new()),
    ]
}
