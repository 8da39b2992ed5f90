//! Tables of the machine of a response: events in, deltas and the response or its failure out.

use sapwood_protocol::{ItemId, Usage};
use serde_json::{Value, json};

use super::events::{Failure, Machine, Preface};
use crate::port::{Delta, Response, SafetyBuffering, ToolName};

/// What a stream of these events gives: deltas, and how it ends (`None`: it does not).
fn run(preface: Preface, events: &[Value]) -> (Vec<Delta>, Option<Result<Response, Failure>>) {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    run_raw(preface, &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run_raw(preface: Preface, events: &[&str]) -> (Vec<Delta>, Option<Result<Response, Failure>>) {
    let mut deltas = Vec::new();
    let mut tell = |delta| deltas.push(delta);
    let mut machine = Machine::new("gpt-5.5", preface, &mut tell);
    for event in events {
        if let Err(failure) = machine.event(b"", event.as_bytes(), &mut tell) {
            return (deltas, Some(Err(failure)));
        }
    }
    let end = machine.finished().map(Ok);
    (deltas, end)
}

fn response(events: &[&str]) -> Response {
    run_raw(Preface::default(), events).1.expect("it ends").expect("it is whole")
}

fn added(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

fn done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn of(kind: &str, item: &str, more: Value) -> Value {
    let mut event = json!({"type": kind, "item_id": item});
    more.as_object().unwrap().iter().for_each(|(key, value)| event[key] = value.clone());
    event
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_1"}})
}

fn started(item: &str, kind: &str, tool: Option<(&str, &str)>) -> Delta {
    let tool = tool.map(|(namespace, name)| ToolName { namespace: namespace.to_owned(), name: name.to_owned() });
    Delta::ItemStarted { item: item.into(), kind: kind.to_owned(), tool }
}

fn item_done(item: &str) -> Delta {
    Delta::ItemDone { item: item.into() }
}

#[test]
fn every_kind_of_delta() {
    let (reasoning, message) = (json!({"id": "rs", "type": "reasoning"}), json!({"id": "m", "type": "message"}));
    let call = json!({"id": "fc", "type": "function_call", "namespace": "collaboration", "name": "spawn_agent"});
    let custom = json!({"id": "ct", "type": "custom_tool_call", "name": "apply_patch"});
    let (deltas, end) = run(
        Preface::default(),
        &[
            json!({"type": "response.created", "response": {"id": "resp_1"}}),
            added(0, reasoning.clone()),
            of("response.reasoning_summary_part.added", "rs", json!({"summary_index": 1})),
            of("response.reasoning_summary_text.delta", "rs", json!({"summary_index": 1, "delta": "why"})),
            of("response.reasoning_text.delta", "rs", json!({"content_index": 2, "delta": "raw"})),
            done(0, reasoning.clone()),
            added(1, message.clone()),
            of("response.output_text.delta", "m", json!({"delta": "hi"})),
            done(1, message.clone()),
            added(2, call.clone()),
            of("response.function_call_arguments.delta", "fc", json!({"delta": "{}"})),
            done(2, call.clone()),
            added(3, custom.clone()),
            of("response.custom_tool_call_input.delta", "ct", json!({"delta": "***"})),
            done(3, custom.clone()),
            completed(),
        ],
    );
    let item = |id: &str| ItemId::from(id);
    let want = vec![
        started("rs", "reasoning", None),
        Delta::ReasoningPart { item: item("rs"), part: 1 },
        Delta::Reasoning { item: item("rs"), part: 1, text: "why".to_owned() },
        Delta::RawReasoning { item: item("rs"), part: 2, text: "raw".to_owned() },
        item_done("rs"),
        started("m", "message", None),
        Delta::Text { item: item("m"), text: "hi".to_owned() },
        item_done("m"),
        started("fc", "function_call", Some(("collaboration", "spawn_agent"))),
        Delta::Arguments { item: item("fc"), text: "{}".to_owned() },
        item_done("fc"),
        started("ct", "custom_tool_call", Some(("", "apply_patch"))),
        Delta::Arguments { item: item("ct"), text: "***".to_owned() },
        item_done("ct"),
    ];
    assert_eq!(deltas, want);
    let items = [reasoning, message, call, custom].map(|item| item.to_string().into()).to_vec();
    assert_eq!(end, Some(Ok(Response::new("resp_1", items, Usage::default()))));
}

#[test]
fn only_open_items_have_deltas() {
    let text = |item: &str| of("response.output_text.delta", item, json!({"delta": "x"}));
    let message = json!({"id": "m", "type": "message"});
    let (deltas, _) = run(
        Preface::default(),
        &[
            text("m"),
            added(0, message.clone()),
            added(0, message.clone()),
            text("other"),
            of("response.output_text.delta", "m", json!({"delta": ""})),
            of("response.output_text.delta", "m", json!({"delta": 7})),
            done(0, message.clone()),
            text("m"),
            added(0, message.clone()),
            done(0, message),
            text("m"),
        ],
    );
    assert_eq!(deltas, [started("m", "message", None), item_done("m")]);
}

#[test]
fn a_delta_without_an_id_is_of_its_place_or_of_the_newest_item() {
    let delta = |more: Value| of("response.output_text.delta", "", more);
    let bare = |mut event: Value| {
        event.as_object_mut().unwrap().remove("item_id");
        event
    };
    let (deltas, _) = run(
        Preface::default(),
        &[
            bare(delta(json!({"delta": "nowhere"}))),
            added(0, json!({"id": "a", "type": "message"})),
            added(1, json!({"type": "message"})),
            bare(delta(json!({"delta": "first", "output_index": 0}))),
            bare(delta(json!({"delta": "newest"}))),
            bare(delta(json!({"delta": "nowhere", "output_index": 7}))),
        ],
    );
    let text = |item: &str, text: &str| Delta::Text { item: item.into(), text: text.to_owned() };
    let want = [
        started("a", "message", None),
        started("item_1", "message", None),
        text("a", "first"),
        text("item_1", "newest"),
    ];
    assert_eq!(deltas, want);
}

#[test]
fn items_are_the_bytes_that_came() {
    // Order of members, numbers, escapes, unknown members and unknown types stay; line ends between tokens do not.
    let item = r#"{"z": 1.0, "type":"new_thing","id":"n", "a":"\u00e4 \n" , "big":123456789012345678901234567890}"#;
    let spread =
        "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"id\":\"p\",\n\r\n\"type\":\"other\"}}";
    let event = format!(r#"{{"type":"response.output_item.done","output_index":1,"item":{item}}}"#);
    let whole = response(&[spread, &event, &completed().to_string()]);
    assert_eq!(whole.items, ["{\"id\":\"p\",   \"type\":\"other\"}", item]);
}

#[test]
fn order_and_duplicates() {
    let item = |id: &str| json!({"id": id, "type": "message"});
    let text = |events: &[Value]| {
        let texts: Vec<String> = events.iter().map(Value::to_string).collect();
        let whole = response(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let id = |item: &bytes::Bytes| serde_json::from_slice::<Value>(item).unwrap()["id"].clone();
        whole.items.iter().map(|item| id(item).as_str().unwrap_or("none").to_owned()).collect::<Vec<_>>()
    };
    let listed = |items: Value| json!({"type": "response.completed", "response": {"id": "r", "output": items}});
    let unplaced = |id: &str| json!({"type": "response.output_item.done", "item": item(id)});

    assert_eq!(text(&[done(1, item("b")), done(0, item("a")), done(1, item("b")), completed()]), ["a", "b"]);
    assert_eq!(text(&[unplaced("b"), unplaced("a"), completed()]), ["b", "a"], "in the order in which they came");
    assert_eq!(text(&[listed(json!([item("a"), item("b")]))]), ["a", "b"], "nothing was streamed");
    assert_eq!(text(&[done(1, item("b")), listed(json!([item("a"), item("b")]))]), ["a", "b"], "one was not streamed");
    assert_eq!(text(&[done(0, item("a")), listed(json!([item("renamed")]))]), ["a"], "the same, numbered anew");
    let nameless = json!({"type": "message"});
    assert_eq!(
        text(&[done(0, nameless.clone()), done(1, nameless.clone()), listed(json!([nameless, nameless]))]),
        ["none"; 2]
    );
}

#[test]
fn usage() {
    let of = |usage: Value| {
        response(&[&json!({"type": "response.completed", "response": {"id": "r", "usage": usage}}).to_string()]).usage
    };
    let whole = json!({
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
        "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 110,
    });
    let want = Usage {
        input_tokens: 100,
        cached_input_tokens: 64,
        cache_write_input_tokens: 8,
        output_tokens: 10,
        reasoning_output_tokens: 4,
        total_tokens: 110,
    };
    assert_eq!(of(whole), want);
    let sparse = json!({"input_tokens": 100, "input_tokens_details": null, "output_tokens": 10, "total_tokens": null});
    assert_eq!(of(sparse), Usage { input_tokens: 100, output_tokens: 10, total_tokens: 110, ..Usage::default() });
    assert_eq!(of(json!("many")), Usage::default());
}

#[test]
fn what_is_unknown_is_passed_over() {
    let (deltas, end) = run(
        Preface::default(),
        &[
            json!({"type": "response.in_progress", "response": {"id": "resp_1", "output": 7}}),
            json!({"type": "response.new_thing", "item": 7, "delta": {"a": 1}, "output_index": "x", "response": []}),
            json!({"type": "keepalive", "sequence_number": -1}),
            json!({"no": "type"}),
            json!({"type": "response.output_item.added", "item": "none"}),
            json!({"type": "codex.rate_limits", "rate_limits": "none"}),
            completed(),
        ],
    );
    assert_eq!((deltas, end), (vec![], Some(Ok(Response::new("resp_1", vec![], Usage::default())))));
    assert_eq!(run_raw(Preface::default(), &["[DONE]", ""]), (vec![], None));
}

#[test]
fn what_is_malformed_ends_it() {
    for (event, why) in [
        (
            "{\"type\":\"response.created\"",
            "malformed event without a name: EOF while parsing an object at line 1 column 26",
        ),
        ("[]", "malformed event without a name: it is no object"),
        ("{\"type\":\"response.output_item.done\"}", "malformed event response.output_item.done: it has no item"),
        (
            "{\"type\":\"response.output_item.done\",\"item\":7}",
            "malformed event response.output_item.done: of its item: it is no object",
        ),
        ("{\"type\":\"response.completed\",\"response\":[]}", "malformed event response.completed: it has no response"),
        (
            "{\"type\":\"response.completed\",\"response\":null}",
            "malformed event response.completed: it has no response",
        ),
    ] {
        match run_raw(Preface::default(), &[event]) {
            (_, Some(Err(Failure::Malformed(said)))) => assert!(said.starts_with(why), "{event}: {said}"),
            other => panic!("{event}: {other:?}"),
        }
    }
    let mut machine = Machine::new("m", Preface::default(), &mut |_| ());
    let not_text = machine.event(b"named", b"{\"type\":\"\xFF\"}", &mut |_| ());
    assert!(matches!(not_text, Err(Failure::Malformed(why)) if why.starts_with("malformed event named: ")));
}

#[test]
fn ends_that_are_none() {
    let end = |event: Value| run(Preface::default(), &[event]).1.expect("it ends").expect_err("it failed");
    assert_eq!(
        end(
            json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}})
        ),
        Failure::Incomplete("max_output_tokens".to_owned())
    );
    assert_eq!(end(json!({"type": "response.incomplete"})), Failure::Incomplete("unknown".to_owned()));
    let code = |event: Value| match end(event) {
        Failure::Failed(fault) => (fault.code, fault.message),
        other => panic!("{other:?}"),
    };
    let want = ("server_error".to_owned(), "m".to_owned());
    let error = json!({"code": "server_error", "message": "m"});
    assert_eq!(code(json!({"type": "response.failed", "response": {"error": error}})), want);
    assert_eq!(code(json!({"type": "error", "code": "server_error", "message": "m"})), want);
    assert_eq!(code(json!({"type": "error", "error": error})), want);
    assert_eq!(code(json!({"type": "response.failed"})), (String::new(), String::new()));
}

#[test]
fn safety_buffering_is_told_once() {
    let buffering = json!({"use_cases": ["cyber"], "reasons": ["review"], "retry_model": "gpt-fast"});
    let event = json!({"type": "response.in_progress", "safety_buffering": buffering});
    let inside = json!({"type": "response.in_progress", "response": {"safety_buffering": buffering}});
    let bare = json!({"type": "response.metadata", "safety_buffering": {"use_cases": ["other"]}});
    let preface = Preface { show_buffering: true, faster_model: Some("gpt-faster".to_owned()), ..Preface::default() };
    let (deltas, _) = run(preface, &[event.clone(), inside, event, bare.clone(), bare]);
    let told = |use_case: &str, reasons: &[&str], faster: &str| {
        Delta::SafetyBuffering(SafetyBuffering {
            use_cases: vec![use_case.to_owned()],
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            show: true,
            faster_model: Some(faster.to_owned()),
        })
    };
    assert_eq!(deltas, [told("cyber", &["review"], "gpt-fast"), told("other", &[], "gpt-faster")]);
}

#[test]
fn moderation_is_passed_on_as_it_came() {
    let event = r#"{"type":"response.metadata","metadata":{"openai_chatgpt_moderation_metadata":{"b":1, "a":[]}}}"#;
    assert_eq!(run_raw(Preface::default(), &[event]).0, [Delta::Moderation(r#"{"b":1, "a":[]}"#.into())]);
}

#[test]
fn another_model_is_told_once() {
    let created = |model: &str| json!({"type": "response.created", "response": {"id": "r", "model": model}});
    let header = json!({"type": "response.metadata", "headers": {"openai-model": "gpt-5.5-safe"}});
    let told = |model: &str| Delta::Rerouted { model: model.to_owned() };
    let preface = |model: &str| Preface { model: Some(model.to_owned()), ..Preface::default() };
    assert_eq!(run(preface("gpt-5.5"), &[created("gpt-5.5-2026-04-14")]).0, []);
    assert_eq!(run(preface("gpt-5.5-safe"), &[created("gpt-5.5-safe"), header.clone()]).0, [told("gpt-5.5-safe")]);
    assert_eq!(run(Preface::default(), &[header, created("gpt-5.5")]).0, [told("gpt-5.5-safe")]);
}

#[test]
fn limits_come_with_the_response() {
    let event =
        json!({"type": "codex.rate_limits", "plan_type": "pro", "rate_limits": {"primary": {"used_percent": 40.0}}});
    let texts = [event.to_string(), completed().to_string()];
    let limits = response(&[&texts[0], &texts[1]]).limits.expect("they were told");
    assert_eq!(
        (limits.plan_type.as_deref(), limits.primary.map(|window| window.used_percent)),
        (Some("pro"), Some(40.0))
    );
}
