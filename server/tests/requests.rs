//! What a client on a websocket is answered.

mod support;

use serde_json::{Value, json};
use support::client::{Bed, Client};

const INVALID: i64 = -32600;

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}, "id": id})
}

#[tokio::test]
async fn errors_have_the_words_that_clients_know() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.send(json!({"id": 1, "method": "echo", "params": {}})).await;
    assert_eq!(client.next().await, error(&json!(1), INVALID, "Not initialized"));
    client.send(json!({"id": 2, "method": "initialize", "params": {}})).await;
    assert_eq!(client.next().await, error(&json!(2), INVALID, "Invalid request: missing field `clientInfo`"));
    client.initialize(json!({})).await;
    let hello = json!({"clientInfo": {"name": "raw", "version": "1"}});
    client.send(json!({"id": 3, "method": "initialize", "params": hello})).await;
    assert_eq!(client.next().await, error(&json!(3), INVALID, "Already initialized"));
    client.send(json!({"id": 4, "method": "nope/nope", "params": {}})).await;
    let answer = client.next().await;
    let text = answer["error"]["message"].as_str().unwrap();
    let start = "Invalid request: unknown variant `nope/nope`, expected one of `initialize`, `echo`, `typed`";
    assert!(text.starts_with(start), "{text}");
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(INVALID), &json!(4)));
    for request in [json!({"id": 5, "method": "echo"}), json!({"id": 5, "method": "echo", "params": null})] {
        client.send(request).await;
        assert_eq!(client.next().await, error(&json!(5), INVALID, "Invalid request: missing field `params`"));
    }
    client.send(json!({"id": 6, "method": "typed", "params": {"threadId": 5}})).await;
    let why = "Invalid request: invalid type: integer `5`, expected a string";
    assert_eq!(client.next().await, error(&json!(6), INVALID, why));
    client.send(json!({"id": 7, "method": "echo", "params": {"secret": 1}})).await;
    assert_eq!(client.next().await, error(&json!(7), INVALID, "echo.secret requires experimentalApi capability"));
    client.send(json!({"id": 8, "method": "risky", "params": {}})).await;
    assert_eq!(client.next().await, error(&json!(8), INVALID, "risky requires experimentalApi capability"));
    client.send(json!({"id": 9, "method": "release"})).await;
    assert_eq!(client.next().await, json!({"id": 9, "result": null}));
}

#[tokio::test]
async fn ids_are_echoed_and_rubbish_is_passed_over() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    for rubbish in [
        r#"{"id":1.5,"method":"echo","params":{}}"#,
        r#"{"id":null,"method":"echo","params":{}}"#,
        r#"{"id":[1],"method":"echo","params":{}}"#,
        r#"{"id":18446744073709551615,"method":"echo","params":{}}"#,
        "{bad",
        "",
        r#"[{"id":1,"method":"echo"}]"#,
        r#"{"id":77,"result":{}}"#,
        r#"{"method":"initialized"}"#,
        r#"{"method":"nope","params":3}"#,
        "7",
        "null",
    ] {
        client.send_text(rubbish).await;
    }
    client.send_binary(br#"{"id":1,"method":"echo","params":{}}"#).await;
    for id in [json!(-1), json!(9_007_199_254_740_993_i64), json!("ä\"1"), json!(""), json!(i64::MIN)] {
        client.send(json!({"jsonrpc": "2.0", "id": id, "method": "echo", "params": {"a": [1]}})).await;
        assert_eq!(client.next().await, json!({"id": id, "result": {"a": [1]}}));
    }
    let deep = format!(r#"{{"id":1,"method":"echo","params":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    client.send_text(&deep).await;
    assert_eq!(client.next().await, error(&json!(1), INVALID, "Invalid request: nested deeper than 128"));
}

#[tokio::test]
async fn a_handler_that_fails_answers_and_harms_nobody() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    for method in ["panic", "forget"] {
        client.send(json!({"id": 1, "method": method, "params": {}})).await;
        assert_eq!(client.next().await, error(&json!(1), -32603, &format!("{method} ended without an answer")));
    }
    client.send(json!({"id": 2, "method": "echo", "params": {}})).await;
    assert_eq!(client.next().await, json!({"id": 2, "result": {}}));
}

#[tokio::test]
async fn a_concurrent_method_holds_nothing_up() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    client.send(json!({"id": 1, "method": "wait", "params": {}})).await;
    client.send(json!({"id": 2, "method": "echo", "params": {}})).await;
    assert_eq!(client.next().await, json!({"id": 2, "result": {}}));
    client.send(json!({"id": 3, "method": "release"})).await;
    let mut answers = [client.next().await, client.next().await];
    answers.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(answers, [json!({"id": 1, "result": "waited"}), json!({"id": 3, "result": null})]);
}

#[tokio::test]
async fn a_burst_is_answered_once_each() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    for id in 0..1000 {
        client.feed(json!({"id": id, "method": "echo", "params": {"cursor": null, "limit": 20}})).await;
    }
    client.flush().await;
    let (mut ids, mut results) = (Vec::new(), 0);
    for _ in 0..1000 {
        let answer = client.next().await;
        ids.push(answer["id"].as_i64().unwrap());
        if answer.get("result").is_some() {
            results += 1;
        } else {
            let data = json!({"codexErrorInfo": "server_overloaded"});
            let overloaded = json!({"code": -32001, "message": "Server overloaded; retry later.", "data": data});
            assert_eq!(answer["error"], overloaded);
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
    assert!(results >= 900, "{results}");
}

#[tokio::test]
async fn the_trace_of_a_request_reaches_its_handler() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    let trace = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"});
    client.send(json!({"id": 1, "method": "trace", "params": {}, "trace": trace})).await;
    assert_eq!(client.next().await, json!({"id": 1, "result": trace}));
    client.send(json!({"id": 2, "method": "trace", "params": {}, "trace": null})).await;
    assert_eq!(client.next().await, json!({"id": 2, "result": null}));
}

#[tokio::test]
async fn broadcasts_reach_those_who_are_ready_and_want_them() {
    let bed = Bed::start().await;
    let (mut one, mut two, mut three) = (bed.connect().await, bed.connect().await, bed.connect().await);
    let (mut four, hello) = (bed.connect().await, json!({}));
    one.initialize(hello.clone()).await;
    two.initialize(hello).await;
    three.initialize(json!({"optOutNotificationMethods": ["shouted"]})).await;
    one.send(json!({"id": 1, "method": "shout", "params": {"a": 1}})).await;
    assert_eq!(one.next().await, json!({"id": 1, "result": {}}));
    let (mut first, second) = (one.next().await, two.next().await);
    assert_eq!(first, second);
    assert!(first.as_object_mut().unwrap().remove("emittedAtMs").unwrap().is_u64());
    assert_eq!(first, json!({"method": "shouted", "params": {"a": 1}}));
    // Were it sent to these two, it would come before the answers.
    three.send(json!({"id": 2, "method": "echo", "params": {}})).await;
    assert_eq!(three.next().await, json!({"id": 2, "result": {}}));
    four.send(json!({"id": 3, "method": "echo", "params": {}})).await;
    assert_eq!(four.next().await, error(&json!(3), INVALID, "Not initialized"));
}

#[tokio::test]
async fn an_answer_of_a_client_reaches_the_service() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    client.send(json!({"id": 1, "method": "ask", "params": {}})).await;
    assert_eq!(client.next().await, json!({"id": 1, "result": {}}));
    assert_eq!(client.next().await, json!({"method": "item/tool/call", "id": 0, "params": {"tool": "t"}}));
    client.send(json!({"id": 0, "result": null})).await;
    client.send(json!({"id": "x", "error": {"code": -1, "message": "no"}})).await;
    client.sync().await;
    let answers = bed.echo.answers.lock().clone();
    assert_eq!(answers, [(0.into(), Value::Null), ("x".into(), json!({"error": -1}))]);
}

#[tokio::test]
async fn a_client_that_lags_is_brought_up_to_date() {
    let bed = Bed::start().await;
    let mut client: Client = bed.connect().await;
    client.initialize(json!({})).await;
    // All in one go of the handler: more than may wait.
    client.send(json!({"id": 1, "method": "flood", "params": {"count": 3000, "bytes": 1000}})).await;
    let mut methods = Vec::new();
    loop {
        let message = client.next().await;
        let name = message["method"].as_str().unwrap_or("answer").to_owned();
        let is_last = name == "resync";
        methods.push(name);
        if is_last {
            break;
        }
    }
    let told = methods.iter().filter(|method| *method == "item/completed").count();
    assert!(told < 3000, "all were queued");
    assert!(methods.contains(&"answer".to_owned()), "an answer is never dropped");
    assert_eq!(*bed.echo.lagged.lock(), ["t1"]);
}
