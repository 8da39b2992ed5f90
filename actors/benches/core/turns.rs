//! A turn with one reply, and a child: made, one reply, one report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sapwood_model::Model;
use sapwood_rollout::{FileJournal, Journal};

use crate::Scale;
use crate::fan::{Fan, Workers, scripted};
use crate::measure::{self, Row, bytes, cpu, each, time, times};
use crate::recording::{Recording, bare};
use crate::team::{Team, config, runtime};

/// Rounds of bare writes.
const ROUNDS: usize = 200;
const SAID: &str = "What is in this repository, and which of its parts is the largest?";

/// First and later turns of many trees. Later turns are woken: the agent slept in between, and is folded again.
pub fn turn(scale: Scale) -> Vec<Row> {
    let (trees, later) = (scale.of(100, 2), scale.of(10, 2));
    let home = measure::home();
    let runtime = runtime();
    let model = Fan::new(&[], Workers::Answer(scripted()));
    let (first, next, model_cpu) = runtime.block_on(cost(&home, &model, trees, later));
    let recording = Recording::new(&home.join("recorded"));
    let (first_writes, next_writes) = runtime.block_on(async {
        let mut team =
            Team::new(Arc::clone(&recording) as Arc<dyn Journal>, Arc::new(model), config(4, false), 1).await;
        team.start(SAID);
        team.at_rest().await;
        let first = recording.take();
        team.say(SAID);
        team.at_rest().await;
        team.shutdown().await;
        (first, recording.take())
    });
    let limit = |writes| bare(writes, &home, false, scale.of(ROUNDS, 2));
    let (bare_first, bare_next) = (limit(&first_writes), limit(&next_writes));
    let against = |cost: Duration, bare, writes: usize| {
        format!("{} of {writes} bare writes of the same bytes ({})", times(cost, bare), time(bare))
    };
    let sum = |writes: &[(_, Vec<u8>)]| bytes(writes.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() as f64);
    vec![
        Row::new("one-reply turn, CPU", "0.2 ms", time(next), against(next, bare_next, next_writes.len())),
        Row::new("- of it the scripted model", "", time(model_cpu), String::new()),
        Row::new("- first turn, with a new tree", "", time(first), against(first, bare_first, first_writes.len())),
        Row::new("bytes of a first turn", "20 KB", sum(&first_writes), format!("{} writes", first_writes.len())),
        Row::new("bytes of a later turn", "8 KB", sum(&next_writes), format!("{} writes", next_writes.len())),
    ]
}

async fn cost(home: &Path, model: &Fan, trees: usize, later: usize) -> (Duration, Duration, Duration) {
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(home.to_owned()));
    let mut teams = Vec::new();
    let start = cpu();
    for seed in 0..trees as u64 {
        let model: Arc<dyn Model> = Arc::new(model.clone());
        let mut team = Team::new(Arc::clone(&journal), model, config(4, false), seed + 100).await;
        team.start(SAID);
        team.at_rest().await;
        teams.push(team);
    }
    let first = each(cpu() - start, trees);
    let (start, model_start) = (cpu(), model.cpu());
    for _ in 0..later {
        teams.iter_mut().for_each(|team| team.say(SAID));
        for team in &teams {
            team.at_rest().await;
        }
    }
    let turns = trees * later;
    let (next, model_cpu) = (each(cpu() - start, turns), each(model.cpu() - model_start, turns));
    for team in teams {
        team.shutdown().await;
    }
    (first, next, model_cpu)
}

/// Children of one root that is no part of the sum: the same root without children is taken off.
pub fn child(scale: Scale) -> Vec<Row> {
    let (width, rounds) = (scale.of(100, 4), scale.of(10, 1));
    let home = measure::home();
    let runtime = runtime();
    let model = Fan::new(&[width], Workers::Answer(scripted()));
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(home.clone()));
    let run = async |journal: Arc<dyn Journal>, seed| {
        let mut team = Team::new(journal, Arc::new(model.clone()), config(4, false), seed).await;
        let (start, model_start) = (cpu(), model.cpu());
        team.start(SAID);
        team.at_rest().await;
        let spent = (cpu() - start, model.cpu() - model_start);
        team.shutdown().await;
        spent
    };
    let recording = Recording::new(&home.join("recorded"));
    let (mut all, mut of_model) = (Duration::ZERO, Duration::ZERO);
    runtime.block_on(async {
        run(Arc::clone(&recording) as Arc<dyn Journal>, 1).await;
        for round in 0..rounds {
            let (cost, model) = run(Arc::clone(&journal), round as u64 + 2).await;
            (all, of_model) = (all + cost, of_model + model);
        }
    });
    let writes = recording.take();
    let limit = each(bare(&writes, &home, true, scale.of(5, 1)), width);
    let (cost, of_model) = (each(all, rounds * width), each(of_model, rounds * width));
    let written = writes.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() as f64 / width as f64;
    let against = format!(
        "{} of {:.0} bare writes of the same bytes into new files ({})",
        times(cost, limit),
        writes.len() as f64 / width as f64,
        time(limit)
    );
    vec![
        Row::new("child: spawn, one reply, report", "1 ms", time(cost), against),
        Row::new("- of it the models, the root's too", "", time(of_model), String::new()),
        Row::new("- bytes, the root's too", "", bytes(written), String::new()),
    ]
}
