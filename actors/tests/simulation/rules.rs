//! What must hold of rollouts at rest, read from their lines alone.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_protocol::line::Cause;
use sapwood_protocol::own::{Accepted, Body, Own};
use sapwood_protocol::{Line, ThreadId};

/// What was accepted is consumed or settled once, and all that wants a turn is.
pub fn check_inputs(seed: u64, lines: &[Line]) {
    let (mut accepted, mut gone) = (BTreeMap::new(), BTreeMap::new());
    for line in lines {
        let Ok(view) = line.view() else { continue };
        view.mark().consumes.into_iter().for_each(|id| *gone.entry(id).or_insert(0) += 1);
        match Own::parse(&view).unwrap() {
            Some(Own::Accepted(input)) => {
                let twice = accepted.insert(input.id.clone(), input);
                assert!(twice.is_none(), "seed {seed}: accepted twice: {twice:?}");
            }
            Some(Own::Settled(settled)) => *gone.entry(settled.id).or_insert(0) += 1,
            _ => {}
        }
    }
    for (id, times) in &gone {
        assert_eq!(*times, 1, "seed {seed}: {id} was consumed or settled {times} times");
    }
    for (id, input) in &accepted {
        let is_begun = input.wake || matches!(input.body, Some(Body::Shell { .. }));
        assert!(gone.contains_key(id) || !is_begun, "seed {seed}: {id} was never begun");
    }
}

/// One turn at a time, and one output of a call.
pub fn check_turns(seed: u64, lines: &[Line]) {
    let (mut open, mut outputs) = (None, BTreeSet::new());
    for line in lines.iter().filter(|line| !leaves_a_turn(lines, line)) {
        let Ok(view) = line.view() else { continue };
        let payload: serde_json::Value = serde_json::from_str(view.payload.get()).unwrap();
        match &*view.tag() {
            "task_started" => {
                assert_eq!(open, None, "seed {seed}: two turns at once");
                open = Some(payload["turn_id"].clone());
            }
            "task_complete" | "turn_aborted" => {
                assert_eq!(open.take().as_ref(), Some(&payload["turn_id"]), "seed {seed}");
            }
            "function_call_output" | "custom_tool_call_output" => {
                let first = outputs.insert(payload["call_id"].to_string());
                assert!(first, "seed {seed}: two outputs of {}", payload["call_id"]);
            }
            _ => {}
        }
    }
}

/// The end of each turn of a child is accepted by its parent once, but for one that its own requester interrupted.
pub fn check_reports(seed: u64, thread: ThreadId, lines: &[Line], parent: &[Line]) {
    for line in lines.iter().filter(|line| !leaves_a_turn(lines, line)) {
        let Ok(view) = line.view() else { continue };
        let ends = matches!(&*view.tag(), "task_complete" | "turn_aborted");
        if !ends || view.mark().cause == Some(Cause::Requester) {
            continue;
        }
        let n = view.ordinal.unwrap();
        let of_this = |line: &&Line| {
            let own = line.view().ok().and_then(|view| Own::parse(&view).unwrap());
            matches!(own, Some(Own::Accepted(Accepted { from: Some(from), .. })) if from.thread == thread && from.n == n)
        };
        let times = parent.iter().filter(of_this).count();
        assert_eq!(times, 1, "seed {seed}: report {n} of {thread} was accepted {times} times");
    }
}

/// What the first line says of the thread that this one was forked from.
pub fn forked_from(lines: &[Line]) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(lines.first()?.view().ok()?.payload.get()).ok()?;
    payload["forked_from_id"].as_str().map(str::to_owned)
}

/// True for the second line of a fork: it ends, for the fork alone, the turn that its source goes on with.
fn leaves_a_turn(lines: &[Line], line: &Line) -> bool {
    lines.get(1) == Some(line) && forked_from(lines).is_some()
}
