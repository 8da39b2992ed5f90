//! What must be true of a tree that came to rest, however often it died on the way: computed from its rollouts, the
//! file that its commands wrote to, the requests that its model got, and what its client was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::rollouts::Rollout;
use crate::world::{Ran, World};

/// The output of a command that was started, and of which nobody knows what it did.
const UNKNOWN: &str = "Effect unknown";

/// Checks everything. `runs` are all runs of this tree in their order; the last one came to its end. `crashes` is how
/// often an agent crashed and was started again.
pub fn check(world: &World, prompt: &str, runs: &[Ran], crashes: usize) {
    let deaths = runs.iter().filter(|run| run.code().is_none()).count();
    let last = runs.last().unwrap();
    assert_eq!(last.code(), Some(0), "{last:?}");
    assert_eq!(last.receipts.last().unwrap()["outcome"], "completed", "{last:?}");
    let rollouts = world.rollouts();
    let root = &rollouts[0];
    let answer = root.events("task_complete").last().unwrap();
    let answer = answer["payload"]["last_agent_message"].as_str().unwrap();
    assert!(answer.starts_with("root is done"), "{answer}");
    for (path, state, pid) in world.ps() {
        assert_eq!((state.as_str(), pid), ("completed", None), "{path}");
    }
    assert!(rollouts.iter().map(|rollout| rollout.torn).sum::<usize>() <= deaths, "more torn lines than deaths");
    let prompts = root.messages("user").iter().filter(|text| *text == prompt).count();
    assert_eq!(prompts, 1, "the prompt is in history {prompts} times");
    for rollout in &rollouts {
        inputs(rollout);
        turns(rollout);
        items(rollout);
        mail(rollout, &rollouts);
        reports(rollout, &rollouts);
        children(rollout, &rollouts);
    }
    commands(world, &rollouts);
    requests(world, &rollouts, deaths + crashes);
    receipts(root, runs);
}

/// Every accepted input is consumed or settled once; only what starts no turn may be pending.
fn inputs(rollout: &Rollout) {
    let (path, accepted) = (&rollout.path, rollout.accepted());
    let by_id: BTreeMap<&str, _> = accepted.iter().map(|input| (input.id.as_str(), input)).collect();
    assert_eq!(by_id.len(), accepted.len(), "{path}: an input was accepted twice: {accepted:#?}");
    let gone = rollout.gone();
    for id in &gone {
        assert!(by_id.contains_key(id.as_str()), "{path}: {id} was consumed and never accepted");
        assert_eq!(gone.iter().filter(|other| *other == id).count(), 1, "{path}: {id} was consumed twice");
    }
    for input in &accepted {
        assert!(gone.contains(&input.id) || !input.wakes, "{path}: never begun: {input:?}");
    }
    for line in &rollout.lines {
        for id in line["sapwood"]["consumes"].as_array().into_iter().flatten() {
            let Some(text) = &by_id[id.as_str().unwrap()].text else { continue };
            let text = Value::from(text.as_str()).to_string();
            let has = line["payload"].to_string().contains(text.trim_matches('"'));
            assert!(has && line["type"] == "response_item", "{path}: {id} was consumed by another item: {line}");
        }
    }
}

/// Turns follow each other, and each has one end.
fn turns(rollout: &Rollout) {
    let mut open: Option<&Value> = None;
    for line in rollout.lines.iter().filter(|line| line["type"] == "event_msg") {
        let (path, turn) = (&rollout.path, &line["payload"]["turn_id"]);
        match line["payload"]["type"].as_str() {
            Some("task_started") => assert_eq!(open.replace(turn), None, "{path}: two turns at once"),
            Some("task_complete" | "turn_aborted") => assert_eq!(open.take(), Some(turn), "{path}: ended twice"),
            _ => {}
        }
    }
    assert_eq!(open, None, "{}: a turn is open at rest", rollout.path);
}

/// No item is in history twice, and no call has two outputs.
fn items(rollout: &Rollout) {
    let mut seen = BTreeSet::new();
    for item in rollout.payloads("response_item") {
        let id = item["id"].as_str().unwrap();
        assert!(seen.insert(id), "{}: {id} is in history twice", rollout.path);
    }
    for call in rollout.items("function_call") {
        rollout.output(call["call_id"].as_str().unwrap());
    }
}

/// What was sent arrived once, and nothing arrived that was not sent.
fn mail(sender: &Rollout, rollouts: &[Rollout]) {
    let calls: BTreeMap<u64, &Value> = (sender.lines.iter())
        .filter(|line| matches!(line["payload"]["name"].as_str(), Some("send_message" | "followup_task")))
        .map(|line| (line["ordinal"].as_u64().unwrap(), &line["payload"]))
        .collect();
    let ends = ends(sender);
    let spawns = sender.items("function_call").filter(|call| call["name"] == "spawn_agent").count();
    let mut tasks = 0;
    for receiver in rollouts {
        for input in receiver.accepted() {
            let Some((thread, n)) = &input.from else { continue };
            if *thread != sender.thread || calls.contains_key(n) || ends.contains(n) {
                continue;
            }
            let is_first = receiver.accepted()[0] == input && receiver.parent.as_ref() == Some(thread);
            assert!(is_first, "{}: nobody sent {input:?}", receiver.path);
            tasks += 1;
        }
    }
    assert!(tasks <= spawns, "{}: more first tasks than spawns", sender.path);
    for (n, call) in calls {
        let accepted = rollouts.iter().flat_map(Rollout::accepted);
        let times = accepted.filter(|input| input.from.as_ref() == Some(&(sender.thread.clone(), n))).count();
        let expected = match sender.output(call["call_id"].as_str().unwrap()) {
            Some("") => 1..=1,
            Some(refused) => panic!("{}: refused: {refused}", sender.path),
            None => 0..=1,
        };
        assert!(expected.contains(&times), "{}: {call} arrived {times} times", sender.path);
    }
}

/// The numbers of the lines that ended turns, but of those that their requester ended.
fn ends(rollout: &Rollout) -> BTreeSet<u64> {
    let ends = rollout.events("task_complete").chain(rollout.events("turn_aborted"));
    ends.filter(|line| line["sapwood"]["cause"] != "requester").map(|line| line["ordinal"].as_u64().unwrap()).collect()
}

/// Every ended turn of a child was reported once.
fn reports(child: &Rollout, rollouts: &[Rollout]) {
    let Some(parent) = &child.parent else { return };
    let parent = rollouts.iter().find(|rollout| rollout.thread == *parent).unwrap();
    for n in ends(child) {
        let sending = Some((child.thread.clone(), n));
        let reports: Vec<_> = parent.accepted().into_iter().filter(|input| input.from == sending).collect();
        let [report] = &reports[..] else { panic!("{}: {} reports of {n}", child.path, reports.len()) };
        let consumed = parent.gone().iter().filter(|id| **id == report.id).count();
        assert_eq!(consumed, 1, "{}: report {n} is in its requester's history {consumed} times", child.path);
    }
}

/// Every child was asked for, and every child that was promised is there.
fn children(parent: &Rollout, rollouts: &[Rollout]) {
    let children: Vec<&Rollout> =
        rollouts.iter().filter(|child| child.parent.as_ref() == Some(&parent.thread)).collect();
    for child in &children {
        let spawns = parent.payloads("sapwood.spawn").filter(|spawn| spawn["child"] == child.thread.as_str()).count();
        assert_eq!(spawns, 1, "{} was asked for {spawns} times", child.path);
    }
    for call in parent.items("function_call").filter(|call| call["name"] == "spawn_agent") {
        if let Some(output) = parent.output(call["call_id"].as_str().unwrap()) {
            let promised: Value = serde_json::from_str(output).unwrap();
            let made = children.iter().filter(|child| promised["task_name"] == child.path.as_str()).count();
            assert_eq!(made, 1, "{}: {output} was made {made} times", parent.path);
        }
    }
}

/// A command ran once if it is said to have ended, at most once if nobody knows, and never if it was not started.
fn commands(world: &World, rollouts: &[Rollout]) {
    let mut ledger = world.ledger();
    for rollout in rollouts {
        let started: Vec<&Value> = rollout.payloads("sapwood.tool_started").map(|started| &started["call"]).collect();
        for call in rollout.items("function_call").filter(|call| call["name"] == "exec_command") {
            let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
            let command = arguments["cmd"].as_str().unwrap();
            let line = command.strip_prefix("echo ").and_then(|rest| rest.split_once(" >>")).unwrap().0;
            let times = ledger.iter().filter(|entry| *entry == line).count();
            ledger.retain(|entry| entry != line);
            let starts = started.iter().filter(|call_id| ***call_id == call["call_id"]).count();
            let (ran, were) = match rollout.output(call["call_id"].as_str().unwrap()) {
                Some(output) if output.contains("Process exited with code 0") => (1..=1, 1),
                Some(output) if output.starts_with(UNKNOWN) => (0..=1, 1),
                Some(output) => panic!("{}: {command}: {output}", rollout.path),
                None => (0..=0, 0),
            };
            assert!(ran.contains(&times), "{}: `{command}` ran {times} times", rollout.path);
            assert_eq!(starts, were, "{}: starts of `{command}`", rollout.path);
        }
    }
    assert_eq!(ledger, Vec::<String>::new(), "nobody called these");
}

/// What a model was shown once it is shown for ever, in the same place; and it is asked again only after a death.
fn requests(world: &World, rollouts: &[Rollout], deaths: usize) {
    let requests = world.requests();
    for rollout in rollouts {
        let of_this = requests.iter().filter(|request| request["thread"] == rollout.thread.as_str());
        let inputs: Vec<&Vec<Value>> = of_this.map(|request| request["input"].as_array().unwrap()).collect();
        let mut again = 0;
        for pair in inputs.windows(2) {
            assert!(pair[1].starts_with(pair[0]), "{}: history changed: {pair:#?}", rollout.path);
            again += usize::from(pair[0] == pair[1]);
        }
        assert!(again <= deaths, "{}: asked again {again} times over {deaths} deaths", rollout.path);
        let Some(newest) = inputs.last() else { continue };
        for call in newest.iter().filter(|item| item["type"] == "function_call") {
            let outputs = newest
                .iter()
                .filter(|item| item["type"] == "function_call_output" && item["call_id"] == call["call_id"]);
            assert_eq!(outputs.count(), 1, "{}: outputs of {call}", rollout.path);
        }
    }
}

/// The client was told nothing that is not in the rollout, and nothing twice.
fn receipts(root: &Rollout, runs: &[Ran]) {
    let said = root.messages("assistant");
    let mut told = BTreeSet::new();
    for item in runs.iter().flat_map(|run| &run.receipts).filter(|event| event["type"] == "item.completed") {
        let item = &item["item"];
        let name = match item["type"].as_str().unwrap() {
            "agent_message" => {
                let text = item["text"].as_str().unwrap();
                assert!(said.iter().any(|message| message == text), "the client was told `{text}`, history was not");
                text
            }
            "command_execution" => item["command"].as_str().unwrap(),
            "collab_tool_call" => continue,
            other => panic!("{other}: {item}"),
        };
        assert!(told.insert(name), "the client was told twice of {name}");
    }
    let completed = runs.iter().flat_map(|run| &run.receipts).filter(|event| event["type"] == "turn.completed").count();
    assert!(completed <= root.events("task_complete").count(), "more turns were reported than ended");
}
