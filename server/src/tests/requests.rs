//! Requests of all kinds, recorded ones and what chance makes of them, to the whole server: each is answered once.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::bed::{Bed, rest, runtime};
use super::model::{End, Kind};
use super::rubbish::{any_json, rubbish};
use crate::rpc::{FRAME_BYTES, Frame, Line, Lines, RequestId};

/// Cases in the test run.
const CASES: u32 = 64;
/// Of a long run it is said how far it is every so many cases.
const PROGRESS: usize = 1000;
/// Answers that the model gives to the turns of one case, at most.
const ANSWERS: usize = 8;
/// Deeper than anything may be.
const DEEP: usize = 300;

/// One line of a client.
#[derive(Clone, Debug)]
enum Said {
    /// As a real client said it.
    Recorded(Index),
    /// The same, with bytes changed.
    Broken(Index, Vec<Edit>),
    /// One of its values is another one.
    Changed(Index, Index, Value),
    /// The method of one with the parameters of another.
    Crossed(Index, Index),
    /// Parameters of any kind.
    Any(Index, Value),
    Deep(Index, usize),
    /// An id of any kind, or one that others have too.
    Odd(Index, Value),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    Repeat(Index, usize),
}

fn said() -> impl Strategy<Value = Said> {
    let edit = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), rubbish()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<Index>(), 1_usize..16).prop_map(|(at, count)| Edit::Cut(at, count)),
        (any::<Index>(), 1_usize..64).prop_map(|(at, count)| Edit::Repeat(at, count)),
    ];
    let which = any::<Index>;
    let odd = prop_oneof![
        Just(json!(1)),
        Just(json!("1")),
        Just(json!(1.5)),
        Just(Value::Null),
        Just(json!(u64::MAX)),
        Just(json!(1e300)),
        any_json()
    ];
    prop_oneof![
        4 => which().prop_map(Said::Recorded),
        3 => (which(), vec(edit, 1..4)).prop_map(|(which, edits)| Said::Broken(which, edits)),
        4 => (which(), which(), any_json()).prop_map(|(which, place, value)| Said::Changed(which, place, value)),
        2 => (which(), which()).prop_map(|(method, params)| Said::Crossed(method, params)),
        1 => (which(), any_json()).prop_map(|(which, params)| Said::Any(which, params)),
        1 => (which(), 1..DEEP).prop_map(|(which, depth)| Said::Deep(which, depth)),
        1 => (which(), odd).prop_map(|(which, id)| Said::Odd(which, id)),
        1 => rubbish().prop_map(Said::Bytes),
    ]
}

/// All that recorded clients asked, and a request of each method that none did.
fn recorded() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/app-server-transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let lines: Vec<Value> = texts
        .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
        .collect();
    let asked = lines.into_iter().filter(|line| line["dir"] == "client" && line["msg"]["method"].is_string());
    let mut all: Vec<Value> = asked.map(|mut line| line["msg"].take()).collect();
    assert!(all.len() > 500, "the recordings are there");
    let router = crate::app::AppServer::router();
    let missing: Vec<&str> = router
        .methods()
        .map(|row| row.name())
        .filter(|name| all.iter().all(|asked| asked["method"] != *name))
        .collect();
    all.extend(missing.iter().map(|name| json!({"id": 0, "method": name, "params": {"threadId": "", "turnId": ""}})));
    all
}

/// The bytes of one line. The ids of threads that there are take the place of those that were recorded.
fn line(said: &Said, recorded: &[Value], thread: &str, number: usize) -> Vec<u8> {
    let message = |which: &Index| {
        let mut message = which.get(recorded).clone();
        if message.get("id").is_some() {
            message["id"] = format!("ours {number}").into();
        }
        if let Some(id) = message.pointer_mut("/params/threadId") {
            *id = thread.into();
        }
        message
    };
    let changed = match said {
        Said::Recorded(which) => message(which),
        Said::Broken(which, edits) => {
            let mut bytes = message(which).to_string().into_bytes();
            edits.iter().for_each(|edit| edit.apply(&mut bytes));
            return bytes;
        }
        Said::Changed(which, place, value) => {
            let mut message = message(which);
            let mut places = Vec::new();
            places_of(&message["params"], "/params", &mut places);
            if let Some(found) = message.pointer_mut(&places[place.index(places.len())]) {
                *found = value.clone();
            }
            message
        }
        Said::Crossed(method, params) => {
            let mut message = message(method);
            message["params"] = self::line_params(params, recorded, thread);
            message
        }
        Said::Any(which, params) => {
            let mut message = message(which);
            message["params"] = params.clone();
            message
        }
        Said::Deep(which, depth) => {
            let method = &message(which)["method"];
            let (open, close) = ("[".repeat(*depth), "]".repeat(*depth));
            return format!(r#"{{"id":"ours {number}","method":{method},"params":{{"a":{open}{close}}}}}"#)
                .into_bytes();
        }
        Said::Odd(which, id) => {
            let mut message = message(which);
            message["id"] = id.clone();
            message
        }
        Said::Bytes(bytes) => return bytes.clone(),
    };
    changed.to_string().into_bytes()
}

fn line_params(which: &Index, recorded: &[Value], thread: &str) -> Value {
    let mut params = which.get(recorded)["params"].clone();
    if let Some(id) = params.get_mut("threadId") {
        *id = thread.into();
    }
    params
}

/// Where values stand in this one, itself first.
fn places_of(value: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places_of(value, &format!("{at}/{}", escape(key)), places));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(n, value)| places_of(value, &format!("{at}/{n}"), places));
        }
        _ => {}
    }
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let rest = |at: usize, count: usize, len: usize| at..(at + count).min(len);
        match self {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Cut(at, count) => drop(bytes.drain(rest(at.index(bytes.len()), *count, bytes.len()))),
            Edit::Repeat(at, count) => {
                let range = rest(at.index(bytes.len()), *count, bytes.len());
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, piece);
            }
        }
    }
}

/// How often each id is to be answered.
fn expected(bytes: &[u8]) -> BTreeMap<RequestId, usize> {
    let mut lines = Lines::new(FRAME_BYTES);
    lines.feed(bytes);
    let mut ids = BTreeMap::new();
    while let Some(Line::Whole(line)) = lines.pop() {
        let id = match Frame::read(&line) {
            Frame::Request(request) => request.id,
            Frame::Refused(id, _) => id,
            _ => continue,
        };
        *ids.entry(id).or_default() += 1;
    }
    ids
}

async fn case(all: Vec<Said>, recorded: &[Value]) -> Result<(), TestCaseError> {
    let bed = Bed::new();
    let (mut client, mut other) = (bed.connect(), bed.connect());
    client.answer_to_initialize().await;
    other.answer_to_initialize().await;
    let (started, _) = client.answer("thread/start", &json!({})).await;
    let thread = started["result"]["thread"]["id"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
    let mut bytes = Vec::new();
    for (number, said) in all.iter().enumerate() {
        bytes.extend(line(said, recorded, &thread, number));
        bytes.push(b'\n');
    }
    let expected = expected(&bytes);
    client.send_bytes(bytes);
    for _ in 0..ANSWERS {
        rest().await;
        bed.model.say(0, Kind::Message, "hello");
        bed.model.end(0, End::Whole);
    }
    rest().await;
    let mut answered = BTreeMap::new();
    for message in client.hear().into_iter().filter(|message| message.get("method").is_none()) {
        prop_assert!(message.get("result").is_some() != message.get("error").is_some(), "{}", message);
        let id: RequestId = serde_json::from_value(message["id"].clone()).unwrap();
        *answered.entry(id).or_default() += 1;
    }
    prop_assert_eq!(answered, expected);
    // It, and everybody else, is served as before.
    for client in [&mut client, &mut other] {
        let (answer, _) = client.answer("account/read", &json!({})).await;
        prop_assert!(answer.get("result").is_some(), "{}", answer);
    }
    bed.close().await;
    Ok(())
}

fn requests(mut runner: TestRunner, says_progress: bool) {
    let (recorded, cases) = (recorded(), Cell::new(0));
    let done = runner.run(&vec(said(), 1..40), |all| {
        cases.set(cases.get() + 1);
        if says_progress && cases.get() % PROGRESS == 0 {
            eprintln!("{} cases", cases.get());
        }
        runtime().block_on(case(all, &recorded))
    });
    done.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn each_request_is_answered_once_whatever_it_is() {
    let config = Config { failure_persistence: None, ..Config::with_cases(CASES) };
    requests(TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)), false);
}

/// `PROPTEST_CASES=10000000 cargo test -p sapwood-server --lib -- --ignored --nocapture requests_for_hours`
#[test]
#[ignore = "long: as many cases as PROPTEST_CASES says"]
fn requests_for_hours() {
    requests(TestRunner::default(), true);
}
