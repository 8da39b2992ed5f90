//! Rubbish of all kinds, thrown at the parser, the line cutter, the outbound path and the router.
//!
//! Each target runs a bounded number of cases here. For hours, with another seed each time:
//! `PROPTEST_CASES=10000000 cargo test -p sapwood-server --release --test fuzz -- --ignored`

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sapwood_server::rpc::{Frame, Line, Lines, early_id};
use serde_json::{Value, json};
use support::client::Bed;
use support::rubbish::{any_json, rubbish};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) })
}

fn parser(mut runner: TestRunner) {
    let input = (rubbish(), any_json(), any_json(), any::<usize>());
    let done = runner.run(&input, |(bytes, id, params, cut)| {
        // Whatever it says, it says it without a panic, and the same each time.
        prop_assert_eq!(format!("{:?}", Frame::read(&bytes)), format!("{:?}", Frame::read(&bytes)));
        let _ = early_id(&bytes);
        // A request is read if and only if its id is a text or a whole number of 64 bits.
        let is_id = id.is_string() || id.is_i64();
        let text = json!({"id": id, "method": "echo", "params": params}).to_string();
        match Frame::read(text.as_bytes()) {
            Frame::Request(request) => {
                prop_assert!(is_id);
                prop_assert_eq!(serde_json::to_value(&request.id).unwrap(), id.clone());
                let read = request.params.map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap());
                // What came is kept byte for byte; reading it here may round.
                prop_assert_eq!(
                    read.to_string(),
                    serde_json::from_str::<Value>(&params.to_string()).unwrap().to_string()
                );
            }
            Frame::Notification(_) => prop_assert!(id.is_null()),
            Frame::Nothing(_) => prop_assert!(!is_id),
            other => prop_assert!(false, "{other:?}"),
        }
        // An id that stands whole before the cut is found, and none is invented.
        let beginning = &text.as_bytes()[..cut % (text.len() + 1)];
        let whole = format!("{{\"id\":{id},");
        match early_id(beginning) {
            Some(found) => prop_assert_eq!(serde_json::to_value(found).unwrap(), id),
            None => prop_assert!(!is_id || beginning.len() < whole.len(), "missed in {}", text),
        }
        Ok(())
    });
    done.unwrap();
}

fn lines(mut runner: TestRunner) {
    let input = (vec(rubbish(), 0..8), vec(1_usize..40, 1..8), 4_usize..64);
    let done = runner.run(&input, |(parts, cuts, limit)| {
        let stream = parts.join(&b'\n');
        let mut lines = Lines::new(limit);
        let (mut rest, mut cut) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, next) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            lines.feed(piece);
            rest = next;
        }
        lines.finish();
        let found: Vec<Line> = std::iter::from_fn(|| lines.pop()).collect();
        // The same, cut in the plainest way.
        let whole = stream.split(|byte| *byte == b'\n').filter_map(|line| {
            if line.len() > limit {
                return Some(Line::TooLong(line[..limit].to_vec()));
            }
            let line = line.trim_ascii_end();
            (!line.is_empty()).then(|| Line::Whole(line.to_vec()))
        });
        prop_assert_eq!(found, whole.collect::<Vec<_>>());
        Ok(())
    });
    done.unwrap();
}

/// Every request among rubbish gets exactly one answer, and the connection lives.
fn router(mut runner: TestRunner) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bed = runtime.block_on(Bed::start());
    let method = prop_oneof![
        Just("echo"),
        Just("typed"),
        Just("panic"),
        Just("forget"),
        Just("trace"),
        Just("risky"),
        Just("nope"),
        Just("initialize"),
    ];
    let step = prop_oneof![
        rubbish().prop_map(|bytes| (String::from_utf8_lossy(&bytes).into_owned(), None)),
        (method, any_json()).prop_map(|(method, params)| (method.to_owned(), Some(params))),
    ];
    let done = runner.run(&vec(step, 0..24), |steps| {
        runtime.block_on(async {
            let mut client = bed.connect().await;
            client.initialize(json!({})).await;
            let mut expected = Vec::new();
            for (number, (text, params)) in steps.into_iter().enumerate() {
                match params {
                    // Rubbish that is a request after all is answered under an id of its own kind.
                    None => client.send_text(&text).await,
                    Some(params) => {
                        let id = format!("ours {number}");
                        client.send(json!({"id": id, "method": text, "params": params})).await;
                        expected.push(id);
                    }
                }
            }
            client.send(json!({"id": "ours last", "method": "echo", "params": {}})).await;
            expected.push("ours last".to_owned());
            let mut answered = Vec::new();
            while answered.last().is_none_or(|id| id != "ours last") {
                let answer = client.next().await;
                prop_assert!(answer.get("result").is_some() != answer.get("error").is_some(), "{}", answer);
                if let Some(id) = answer["id"].as_str().filter(|id| id.starts_with("ours")) {
                    answered.push(id.to_owned());
                }
            }
            prop_assert_eq!(answered, expected);
            Ok(())
        })
    });
    done.unwrap();
}

#[test]
fn the_parser_takes_anything() {
    parser(runner(1000));
}

#[test]
fn lines_are_cut_alike_however_they_come() {
    lines(runner(1000));
}

#[test]
fn the_router_answers_once_among_rubbish() {
    router(runner(30));
}

#[test]
#[ignore = "long: as many cases as PROPTEST_CASES says"]
fn anything_for_hours() {
    parser(TestRunner::default());
    lines(TestRunner::default());
    router(TestRunner::default());
}
