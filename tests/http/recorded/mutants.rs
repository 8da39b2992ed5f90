//! Requests that differ in one thing from those that were sent. Each must be seen.

use sapwood_testkit::Received;
use serde_json::{Map, Value, json};

const METADATA: &str = "x-codex-turn-metadata";
const OTHER_ID: &str = "01a1fb6a-0000-7000-8000-000000000000";

type Change = fn(&mut Received);

/// What is changed in one request, with its name.
pub const MUTANTS: [(&str, Change); 16] = [
    ("a header with another word", |r| *header(r, "x-codex-window-id") += "1"),
    ("a header with another id", |r| *header(r, "thread-id") = OTHER_ID.into()),
    ("a header more", |r| r.headers.push(("x-more".into(), "1".into()))),
    ("a header less", |r| r.headers.retain(|(name, _)| name != "x-client-request-id")),
    ("a length that is not the body's", |r| *header(r, "content-length") += "0"),
    ("a member less", |r| metadata(r, |members| drop(members.shift_remove("window_number")))),
    ("a member more", |r| metadata(r, |members| drop(members.insert("sandbox".into(), json!("none"))))),
    ("another order of members", |r| {
        metadata(r, |members| {
            let first = members.shift_remove("session_id").unwrap();
            members.insert("session_id".into(), first);
        });
    }),
    ("another turn", |r| metadata(r, |members| members["root_turn_id"] = json!(OTHER_ID))),
    ("a turn that began at another time", |r| metadata(r, |members| members["turn_started_at_unix_ms"] = json!(1))),
    ("metadata that only the header says", |r| body(r, |body| body["client_metadata"][METADATA] = json!("{}"))),
    ("another model", |r| body(r, |body| body["model"] = json!("other"))),
    ("another cache key", |r| body(r, |body| body["prompt_cache_key"] = json!(OTHER_ID))),
    ("an item less", |r| input(r, |items| drop(items.remove(items.len() - 2)))),
    ("two items the other way round", |r| {
        input(r, |items| {
            let last = items.len() - 1;
            items.swap(last - 1, last);
        });
    }),
    ("an item with another id", |r| {
        input(r, |items| {
            let id = format!("fco_{OTHER_ID}");
            items.iter_mut().find(|item| item["type"] == "function_call_output").unwrap()["id"] = json!(id);
        });
    }),
];

fn header<'r>(request: &'r mut Received, name: &str) -> &'r mut String {
    let found = request.headers.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).expect("it is sent")
}

/// Changes the body, and says its new length.
fn body(request: &mut Received, change: impl FnOnce(&mut Value)) {
    let mut body = request.json();
    change(&mut body);
    request.body = body.to_string().into();
    *header(request, "content-length") = request.body.len().to_string();
}

fn input(request: &mut Received, change: impl FnOnce(&mut Vec<Value>)) {
    body(request, |body| change(body["input"].as_array_mut().unwrap()));
}

/// Changes the turn metadata in the header and in the body.
fn metadata(request: &mut Received, change: impl FnOnce(&mut Map<String, Value>)) {
    let Value::Object(mut members) = request.metadata() else { panic!("it is sent") };
    change(&mut members);
    let text = Value::Object(members).to_string();
    header(request, METADATA).clone_from(&text);
    body(request, |body| body["client_metadata"][METADATA] = json!(text));
}
