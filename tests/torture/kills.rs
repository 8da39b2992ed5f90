//! A tree is killed at every line and at any moment, and goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cores::{each, on_all};
use crate::world::{PATIENCE, Ran, World};
use crate::{ledgers, patience, processes};

const SCRIPT: &str = include_str!("three.json");
const PROMPT: &str = "do it";
const ANYTHING: [&str; 2] = ["-s", "danger-full-access"];

/// How long after a death no process of the run may be left.
const GRACE: Duration = Duration::from_secs(1);

fn world() -> World {
    World::new(SCRIPT).told(&ANYTHING)
}

/// What is true of a tree whose process was killed: nothing of it lives, and nobody says that it does.
fn dead(world: &World, run: &Ran) {
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&run.status), Some(9), "{run:?}");
    let home = world.home();
    let left = processes::gone(&home, GRACE);
    assert_eq!(left, Ok(()), "a second after the death these still lived");
    // Between fork and exec a child has a copy of everything, locks too, and shows no environment.
    let alive = |shown: &(String, String, Option<u64>)| {
        shown.2.is_some() || matches!(shown.1.as_str(), "working" | "queued" | "unreadable")
    };
    let truth = patience::until(GRACE, || (!world.ps().iter().any(alive)).then_some(()));
    assert_eq!(truth, Some(()), "a second after the death this is shown: {:?}", world.ps());
}

/// Lets a tree go on until it comes to its end, and looks at everything that is left of it.
fn goes_on(world: &World, mut runs: Vec<Ran>) {
    if world.rollouts().is_empty() {
        // It died before there was a tree; nobody was told of one.
        let last = runs.pop().unwrap();
        assert_eq!((last.receipts.len(), runs.len()), (0, 0), "{last:?}");
        let nothing = world.resume(&[]);
        assert_eq!(nothing.code(), Some(2), "{nothing:?}");
        runs.push(world.exec(PROMPT, &[]));
    } else {
        runs.push(world.resume(&[]));
    }
    ledgers::check(world, PROMPT, &runs, 0);
}

/// Lines of rollouts, and rollouts.
fn lines(world: &World) -> u64 {
    world.rollouts().iter().map(|rollout| 1 + rollout.text.lines().count() as u64).sum()
}

/// One death, and what came after it. False if the run came to its end before.
fn killed(kill: &str, again: Option<&str>) -> bool {
    let world = world();
    let first = world.exec(PROMPT, &[("SAPWOOD_KILL", kill)]);
    if first.code().is_some() {
        let (k, written) = (kill.split_once(':').unwrap().1.parse().unwrap(), lines(&world));
        assert!(written < k || written == k && kill.starts_with("inside"), "{kill}: {written} lines were written");
        ledgers::check(&world, PROMPT, &[first], 0);
        return false;
    }
    dead(&world, &first);
    let mut runs = vec![first];
    if let Some(again) = again.filter(|_| !world.rollouts().is_empty()) {
        let second = world.resume(&[("SAPWOOD_KILL", again)]);
        if second.code().is_none() {
            dead(&world, &second);
        }
        runs.push(second);
    }
    goes_on(&world, runs);
    true
}

#[test]
fn a_tree_without_a_death_comes_to_its_end() {
    let world = world();
    let run = world.exec(PROMPT, &[]);
    assert_eq!(world.rollouts().len(), 3);
    // A second task that comes while the first is worked on is one with it.
    assert!((5..=7).contains(&world.ledger().len()), "{:?}", world.ledger());
    ledgers::check(&world, PROMPT, &[run], 0);
}

#[test]
fn killed_after_each_line() {
    let died = each(|k| killed(&format!("after:{k}"), None));
    println!("died after each of {died} lines");
    assert!(died > 100, "{died}");
}

#[test]
fn killed_inside_each_line() {
    let died = each(|k| killed(&format!("inside:{}", k - 1), None));
    println!("died inside each of {died} lines");
    assert!(died > 100, "{died}");
}

/// The process that closes what the first death left open dies too, at another line for each.
#[test]
fn killed_again_while_it_goes_on() {
    let died = each(|k| killed(&format!("after:{k}"), Some(&format!("inside:{}", k % 29))));
    println!("died twice at {died} lines");
    assert!(died > 100, "{died}");
}

/// Commands run, in the foreground and in sessions of their own, when the process is killed: they end with it, are not
/// run again, and the model hears that nobody knows what they did.
#[test]
fn killed_under_commands_that_run() {
    const COMMAND: &str = "echo in >> LEDGER; setsid sleep 1000 & (sleep 1000; echo out >> LEDGER)";
    let call = serde_json::json!({"call": {"name": "exec_command", "arguments": {"cmd": COMMAND}}});
    let rules = serde_json::json!([
        {"on": {"user": true}, "times": 1, "reply": [call, call, call]},
        {"reply": [{"text": "root is done"}]},
    ]);
    let world = World::new(&serde_json::json!({"rules": rules}).to_string()).told(&ANYTHING);
    let mut child = world.start(&[PROMPT], &[]);
    let running = patience::until(PATIENCE, || (world.ledger().len() == 3).then_some(()));
    assert_eq!(running, Some(()), "the commands never ran");
    child.kill().unwrap();
    let first = world.end(child);
    dead(&world, &first);
    let last = world.resume(&[]);
    assert_eq!(last.code(), Some(0), "{last:?}");
    assert_eq!(world.ledger(), ["in"; 3]);
    let rollouts = world.rollouts();
    let outputs = rollouts[0].items("function_call_output").map(|item| item["output"].as_str().unwrap());
    let unknown = outputs.filter(|output| output.starts_with("Effect unknown")).count();
    assert_eq!(unknown, 3, "{:#?}", rollouts[0].lines);
}

#[test]
fn killed_at_a_hundred_moments() {
    const MOMENTS: u64 = 100;
    let whole = {
        let world = world();
        world.exec(PROMPT, &[]);
        world.progress()
    };
    let (next, died) = (AtomicU64::new(0), AtomicU64::new(0));
    on_all(&|| {
        loop {
            let moment = next.fetch_add(1, Ordering::Relaxed);
            if died.load(Ordering::Relaxed) >= MOMENTS {
                return;
            }
            assert!(moment < 3 * MOMENTS, "most runs come to their end before they are killed");
            died.fetch_add(u64::from(killed_from_outside(chance(moment) % whole)), Ordering::Relaxed);
        }
    });
    println!("{} runs died by a kill from outside, of {}", died.into_inner(), next.into_inner());
}

/// Kills a run when it has written so many bytes. False if it came to its end before.
fn killed_from_outside(bytes: u64) -> bool {
    let world = world();
    let mut child = world.start(&[PROMPT], &[]);
    let ended = |child: &mut std::process::Child| child.try_wait().unwrap().is_some();
    let seen = patience::until(PATIENCE, || (world.progress() >= bytes || ended(&mut child)).then_some(()));
    assert_eq!(seen, Some(()), "it neither ended nor went on");
    child.kill().unwrap();
    let first = world.end(child);
    if first.code().is_some() {
        ledgers::check(&world, PROMPT, &[first], 0);
        return false;
    }
    dead(&world, &first);
    goes_on(&world, vec![first]);
    true
}

/// A number for each seed (splitmix64).
fn chance(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
