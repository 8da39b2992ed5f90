//! The server itself, by a client that reads and writes bytes.

use std::time::Instant;

use sapwood_testkit::limits::Limited;
use sapwood_testkit::script::Tree;
use sapwood_testkit::sse::{Event, Reply};
use sapwood_testkit::{Answer, Framing, Gate, Received, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const EVENT: &str = "event: message\ndata: {\"a\":\"\u{fc}\"}\n\n";

fn events() -> Answer {
    Answer::events([Event::json(&json!({"a": "\u{fc}"}))])
}

fn post(body: &str) -> String {
    format!("POST /v1/responses?api=1 HTTP/1.1\r\nThread-Id: t1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads until `end` was read.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

/// Sends a request, stays connected, and reads all that comes before the server ends the connection.
async fn stay(server: &Server) -> (String, std::io::Result<()>) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(post("{}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let outcome = stream.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), outcome.map(drop))
}

#[tokio::test]
async fn requests_are_listed_as_they_came_and_a_connection_is_kept() {
    let server = Server::start(|request| Answer::body(format!("{} ", request.n))).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for n in 0..2 {
        stream.write_all(post(&format!("[{n}]")).as_bytes()).await.unwrap();
        read_until(&mut stream, &format!("content-length: 2\r\n\r\n{n} ")).await;
    }
    let chunked = "GET /v1/models HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\n{\"\r\n4\r\n\":1}\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    read_until(&mut stream, "2 ").await;
    let received = server.received();
    let seen: Vec<_> =
        received.iter().map(|r| (r.n, r.connection, &*r.method, &*r.path, &*r.query, r.thread())).collect();
    assert_eq!(
        seen,
        [
            (0, 0, "POST", "/v1/responses", "api=1", "t1"),
            (1, 0, "POST", "/v1/responses", "api=1", "t1"),
            (2, 0, "GET", "/v1/models", "", ""),
        ]
    );
    assert_eq!(received[0].headers[0], ("Thread-Id".to_owned(), "t1".to_owned()));
    assert_eq!((received[1].json(), received[2].json()), (json!([1]), json!({"": 1})));
    drop(stream);
    server.until_counts(|counts| counts.open_connections == 0).await;
    let counts = server.counts();
    assert_eq!((counts.connections, counts.requests, counts.ended, counts.closed_early), (1, 3, 3, 0));
}

#[tokio::test]
async fn framings() {
    let refusal = Answer::error(529, "overloaded", "later").header("Retry-After", "7");
    let cases = [
        (events(), 200, format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len())),
        (events().framing(Framing::Length), 200, format!("content-length: {}\r\n\r\n{EVENT}", EVENT.len())),
        (events().framing(Framing::Claimed(999)), 200, format!("content-length: 999\r\n\r\n{EVENT}")),
        (events().framing(Framing::Close), 200, format!("connection: close\r\n\r\n{EVENT}")),
        (refusal, 529, "\"code\":\"overloaded\"}}".into()),
    ];
    for (answer, status, end) in cases {
        let answer = std::sync::Mutex::new(Some(answer));
        let server = Server::start(move |_| answer.lock().unwrap().take().expect("asked once")).await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(post("{}").as_bytes()).await.unwrap();
        let read = read_until(&mut stream, &end).await;
        assert!(read.starts_with(&format!("HTTP/1.1 {status} ")), "{read}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_ends_inside_a_character() {
    let at = EVENT.find('\u{fc}').unwrap() as u64 + 1;
    let server = Server::start(move |_| events().framing(Framing::Close).cut_after(at)).await;
    let (read, outcome) = stay(&server).await;
    outcome.unwrap();
    assert!(read.ends_with("data: {\"a\":\"\u{fffd}"), "{read}");
    server.until_counts(|counts| counts.ended == 1).await;
}

#[tokio::test]
async fn a_cut_after_the_last_byte_leaves_out_the_end() {
    let server = Server::start(|_| events().cut_after(EVENT.len() as u64)).await;
    let (read, outcome) = stay(&server).await;
    outcome.unwrap();
    assert!(read.ends_with(&format!("{EVENT}\r\n")), "{read}");
}

#[tokio::test]
async fn connections_are_reset() {
    let server = Server::start(|request| if request.n == 0 { Answer::reset() } else { events().reset_after(3) }).await;
    server.refuse_next(1);
    for what in ["refused", "before the head", "inside the body"] {
        let outcome = match TcpStream::connect(server.address()).await {
            Ok(mut stream) => {
                let _ = stream.write_all(post("{}").as_bytes()).await;
                stream.read_to_end(&mut Vec::new()).await.map(drop)
            }
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{what}");
    }
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_connection_closed_without_a_word() {
    let server = Server::start(|_| Answer::nothing()).await;
    let (read, outcome) = stay(&server).await;
    assert_eq!((&*read, outcome.is_ok()), ("", true));
}

#[tokio::test]
async fn silence_and_stalls_end_when_the_client_leaves() {
    let server = Server::start(|request| match request.n {
        0 => Answer::silence(),
        _ => events().stall_after(6),
    })
    .await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(post("{}").as_bytes()).await.unwrap();
    server.until(|requests| requests.len() == 1).await;
    let mut stalled = TcpStream::connect(server.address()).await.unwrap();
    stalled.write_all(post("{}").as_bytes()).await.unwrap();
    read_until(&mut stalled, "\r\nevent:").await;
    assert_eq!((server.counts().open, server.counts().peak), (2, 2));
    drop((silent, stalled));
    server.until_counts(|counts| counts.closed_early == 2 && counts.open == 0).await;
}

#[tokio::test]
async fn gates_hold_heads_and_bodies() {
    let (head, middle) = (Gate::new(), Gate::new());
    let gates = (head.clone(), middle.clone());
    let server = Server::start(move |_| events().held(&gates.0).gate(&gates.1).then([Event::raw("late")])).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(post("{}").as_bytes()).await.unwrap();
    server.until(|requests| requests.len() == 1).await;
    head.open();
    let first = read_until(&mut stream, "}\n\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 200") && !first.contains("late"));
    middle.open();
    read_until(&mut stream, "late\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_body_without_end_is_not_kept() {
    const TOTAL: u64 = 8 * 1024 * 1024 + 1;
    let event = Event::raw("data: x\n\n");
    let server = Server::start(move |_| Answer::events([]).repeat(event.clone(), TOTAL).framing(Framing::Close)).await;
    let (read, outcome) = stay(&server).await;
    outcome.unwrap();
    assert_eq!(read.matches("data: x\n\n").count() as u64, TOTAL.div_ceil(9));
}

#[tokio::test]
async fn dropping_a_server_ends_its_connections() {
    let server = Server::start(|_| Answer::silence()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(post("{}").as_bytes()).await.unwrap();
    server.until(|requests| requests.len() == 1).await;
    drop(server);
    assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_limited_server_counts_requests_and_streams() {
    let limits = Limited { per_second: 2, streams: 1, retry_after: true, headers: true };
    let gate = Gate::new();
    let held = gate.clone();
    let (answer, ledger) = limits.wrap(move |_| events().held(&held));
    let server = Server::start(answer).await;
    let mut first = TcpStream::connect(server.address()).await.unwrap();
    first.write_all(post("{}").as_bytes()).await.unwrap();
    server.until(|requests| requests.len() == 1).await;
    // One stream is open: the second is one too many, though a request is left.
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    second.write_all(post("{}").as_bytes()).await.unwrap();
    let refused = read_until(&mut second, "\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: 1\r\n"), "{refused}");
    gate.open();
    read_until(&mut first, "0\r\n\r\n").await;
    server.until_counts(|counts| counts.ended == 2).await;
    let mut third = TcpStream::connect(server.address()).await.unwrap();
    third.write_all(post("{}").as_bytes()).await.unwrap();
    assert!(read_until(&mut third, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    assert_eq!((ledger.counts(), ledger.by_thread()["t1"]), ((2, 1), (2, 1)));
}

fn received(agent: &str, input: Value) -> Received {
    Received {
        n: 7,
        connection: 0,
        method: "POST".into(),
        path: "/v1/responses".into(),
        query: String::new(),
        headers: vec![("X-Codex-Turn-Metadata".into(), json!({ "agent_name": agent }).to_string())],
        body: json!({"input": input, "tools": [{"type": "function", "name": "exec_command"},
            {"type": "namespace", "name": "collaboration", "tools": [{"name": "spawn_agent"}]}]})
        .to_string()
        .into(),
        when: Instant::now(),
    }
}

fn output(call: &str) -> Value {
    json!({"type": "function_call_output", "call_id": call, "output": "ok"})
}

fn report(author: &str) -> Value {
    let text = format!("Message Type: FINAL_ANSWER\nTask name: /root\nSender: {author}\nPayload:\nx");
    json!({"type": "agent_message", "author": author, "recipient": "/root", "content": [{"type": "input_text", "text": text}]})
}

fn task() -> Value {
    let parts = json!([{"type": "input_text", "text": "Message Type: NEW_TASK\n"}, {"type": "encrypted_content", "encrypted_content": "Go."}]);
    json!({"type": "agent_message", "author": "/root", "recipient": "/root/c0", "content": parts})
}

#[test]
fn what_a_request_says() {
    let request = received("/root/c0", json!([task(), output("c1")]));
    assert_eq!(request.newest_text().unwrap(), "Message Type: NEW_TASK\nGo.");
    assert_eq!((request.output_of("c1").unwrap(), request.output_of("c2")), ("ok".to_owned(), None));
    assert_eq!(request.tools(), ["exec_command", "collaboration.spawn_agent"]);
    assert_eq!(request.reports(), []);
}

#[test]
fn a_tree_is_led() {
    let tree = Tree::of(2).with_calls(1).running(|name, n| format!("echo {name} {n}"));
    let calls = |agent: &str, input: Value| -> Vec<String> {
        let text =
            tree.events(&received(agent, input)).into_iter().map(|e| e.into_bytes().to_vec()).collect::<Vec<_>>();
        let text = String::from_utf8(text.concat()).unwrap();
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let last: Value = serde_json::from_str(data.next_back().unwrap()).unwrap();
        assert_eq!(last["type"], "response.completed");
        let items = last["response"]["output"].as_array().unwrap().iter();
        items
            .map(|item| format!("{}{}", item["arguments"].as_str().unwrap_or(""), item["content"][0]["text"]))
            .collect()
    };
    let said = json!({"role": "user", "content": "Lead."});
    let spawned = |n: usize| {
        let output = json!({"task_name": Tree::path(n)}).to_string();
        json!({"type": "function_call_output", "call_id": format!("spawn_{n}"), "output": output})
    };
    let refused = json!([said, spawned(0), output("spawn_1"), report("/root/c0")]);
    assert_eq!(calls("/root", refused), ["\"All 1 reported.\""]);
    let spawned = json!([said, spawned(0), spawned(1)]);
    assert_eq!(
        calls("/root", json!([said])),
        [
            r#"{"task_name":"c0","message":"Task 0.","fork_turns":"none"}null"#.to_owned(),
            r#"{"task_name":"c1","message":"Task 1.","fork_turns":"none"}null"#.to_owned()
        ]
    );
    assert_eq!(calls("/root", spawned.clone()), ["{}null"]);
    let mut one = spawned.as_array().unwrap().clone();
    one.extend([output("wait_0"), report("/root/c0"), report("/root/c0")]);
    assert_eq!(calls("/root", json!(one)), ["{}null"]);
    one.push(report("/root/c1"));
    assert_eq!(calls("/root", json!(one)), ["\"All 2 reported.\""]);
    assert_eq!(calls("/root/c0", json!([task()])), ["{\"cmd\":\"echo c0 0\"}null"]);
    assert_eq!(calls("/root/c0", json!([task(), output("x")])), ["\"Done by c0.\""]);
}

#[test]
fn a_reply_has_the_events_of_the_api() {
    let reply = Reply::new("r").message("\u{fc}b", 2).reasoning(&["a", "b"]).custom_tool_call("c", "ns", "tool", "in");
    let kinds = |events: Vec<Event>| -> Vec<(String, u64)> {
        let text: Vec<u8> = events.into_iter().flat_map(|event| event.into_bytes()).collect();
        let data = String::from_utf8(text).unwrap();
        let data = data.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = data.map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|e| (e["type"].as_str().unwrap().into(), e["sequence_number"].as_u64().unwrap())).collect()
    };
    let ends = |events| kinds(events).last().unwrap().0.clone();
    let all = kinds(reply.clone().completed());
    assert!(all.iter().enumerate().all(|(n, (_, number))| n as u64 == *number), "{all:?}");
    let of = |kind: &str| all.iter().filter(|(found, _)| *found == format!("response.{kind}")).count();
    assert_eq!((of("output_item.added"), of("output_item.done"), of("output_text.delta")), (3, 3, 2));
    assert_eq!((of("reasoning_summary_part.added"), of("custom_tool_call_input.delta")), (2, 2));
    assert_eq!(ends(reply.clone().failed("server_error", "no")), "response.failed");
    assert_eq!(ends(reply.clone().incomplete("max_output_tokens")), "response.incomplete");
    assert_eq!(ends(reply.unfinished()), "response.output_item.done");
}

#[tokio::test]
async fn a_client_that_has_sent_all_and_closed_its_side_has_left() {
    let server = Server::start(|_| Answer::silence()).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(post("{}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    server.until_counts(|counts| counts.closed_early == 1).await;
}
