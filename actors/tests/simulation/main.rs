//! Whole trees in a seeded world: the shipped machine, shell, tree and supervisor core, over a journal in memory, with
//! a virtual clock and no runtime. The world kills the process inside any line, crashes incarnations and fails
//! appends; after every step the fold of each rollout is compared with the state that lives.

mod asks;
#[path = "../support/empty.rs"]
mod empty;
mod ports;
mod rules;
mod world;

use world::{Chaos, World};

/// Seeds of one run; `SAPWOOD_SIM_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("SAPWOOD_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)
}

fn run(chaos: Chaos, seeds: u64) {
    let from = std::env::var("SAPWOOD_SIM_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for seed in from..from + seeds {
        let mut world = World::new(seed, chaos);
        world.run();
        world.check();
    }
}

#[test]
fn trees_come_to_rest_without_faults() {
    run(Chaos::NONE, seeds() / 4);
}

#[test]
fn killed_processes_lose_and_double_nothing() {
    run(Chaos { kills: 3, ..Chaos::NONE }, seeds());
}

#[test]
fn crashed_incarnations_lose_and_double_nothing() {
    run(Chaos { crashes: 2, ..Chaos::NONE }, seeds());
}

/// Turns pause over a usage limit, with and without going on by themselves, and go on with what they had.
#[test]
fn usage_limits_lose_and_double_nothing() {
    run(Chaos { limits: 3, ..Chaos::NONE }, seeds() / 2);
    run(Chaos { limits: 3, kills: 2, crashes: 1, ..Chaos::NONE }, seeds() / 2);
}

#[test]
fn everything_at_once() {
    run(Chaos { kills: 2, crashes: 2, failures: 2, limits: 1, ..Chaos::NONE }, seeds());
}

/// Questions are answered at any time, twice, and late, over kills and crashes: what was allowed is done once, and nothing
/// else is done.
#[test]
fn answers_are_heard_once() {
    run(Chaos { asks: true, ..Chaos::NONE }, seeds() / 2);
    run(Chaos { asks: true, kills: 3, ..Chaos::NONE }, seeds());
    run(Chaos { asks: true, crashes: 2, ..Chaos::NONE }, seeds() / 2);
    run(Chaos { asks: true, kills: 2, crashes: 2, failures: 2, limits: 1, ..Chaos::NONE }, seeds());
    run(Chaos { asks: true, crashes: 1, lag: true, ..Chaos::NONE }, seeds() / 4);
}

/// A user says more, interrupts what began and what has yet to, and runs commands of his own: nothing of it is lost or done twice.
#[test]
fn what_a_user_does_meanwhile_is_done_once() {
    run(Chaos { acts: 6, ..Chaos::NONE }, seeds() / 4);
    run(Chaos { acts: 6, kills: 3, ..Chaos::NONE }, seeds() / 2);
    run(Chaos { acts: 6, crashes: 2, asks: true, ..Chaos::NONE }, seeds() / 4);
    run(Chaos { acts: 6, kills: 2, crashes: 2, failures: 2, limits: 1, asks: true, ..Chaos::NONE }, seeds() / 4);
}

/// Effects wait for the disk. Nothing is killed here: what an admission promises is the durability `process`.
#[test]
fn a_disk_that_lags_holds_effects_back() {
    run(Chaos { crashes: 2, lag: true, ..Chaos::NONE }, seeds() / 4);
}

#[test]
fn appends_that_fail_are_tried_again() {
    run(Chaos { failures: 3, ..Chaos::NONE }, seeds());
}

#[test]
fn the_same_seed_gives_the_same_rollouts() {
    for seed in 0..20 {
        let chaos = Chaos { kills: 2, crashes: 1, failures: 1, ..Chaos::NONE };
        let rollouts = || {
            let mut world = World::new(seed, chaos);
            world.run();
            world.rollouts()
        };
        assert_eq!(rollouts(), rollouts(), "seed {seed}");
    }
}
