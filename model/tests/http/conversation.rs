//! What goes well: what is sent, what is heard, and that a connection is used again.

use std::sync::Arc;

use sapwood_model::{Delta, HistoryInitialization, Model, Request, Secret};
use sapwood_protocol::{AgentPath, RateLimits, RateWindow, TurnId, Usage};
use sapwood_testkit::sse::{Reply, Tokens};
use sapwood_testkit::{Answer, Server};
use serde_json::{Value, json};

use crate::setup::{CHILD, Heard, ROOT, ask, client, http, provider, request, root};

fn hello() -> Answer {
    Answer::events(Reply::new("resp_1").message("Hello.", 2).completed())
}

#[tokio::test]
async fn a_request_is_that_of_codex() {
    let server = Server::start(|_| hello()).await;
    ask(&http(&server)).await.unwrap();
    let received = server.received().remove(0);
    let metadata = json!({
        "session_id": ROOT, "thread_id": ROOT, "agent_name": "/root", "turn_id": "turn-1", "window_id": format!("{ROOT}:0"),
        "window_number": 0, "request_kind": "turn", "history_initialization": "new", "root_turn_id": "turn-1",
        "thread_source": "user", "sandbox_mode": "danger-full-access", "turn_started_at_unix_ms": 1_795_219_433_338_u64,
        "model": "gpt-5.5", "reasoning_effort": "medium",
    })
    .to_string();
    let agent = format!("sapwood_exec/1.2.3 ({}; {})", std::env::consts::OS, std::env::consts::ARCH);
    let mut headers = received.headers.clone();
    headers.sort();
    let want = [
        ("accept", "text/event-stream"),
        ("authorization", "Bearer sk-test-0123456789abcdefghijkl"),
        ("content-length", &received.body.len().to_string()),
        ("content-type", "application/json"),
        ("host", &server.address().to_string()),
        ("originator", "sapwood_exec"),
        ("session-id", ROOT),
        ("thread-id", ROOT),
        ("user-agent", &agent),
        ("x-client-request-id", ROOT),
        ("x-codex-turn-metadata", &metadata),
        ("x-codex-window-id", &format!("{ROOT}:0")),
    ];
    assert_eq!(headers, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(
        (received.method.as_str(), received.path.as_str(), received.query.as_str()),
        ("POST", "/v1/responses", "")
    );
    let client_metadata = json!({
        "root_turn_id": "turn-1", "session_id": ROOT, "thread_id": ROOT, "turn_id": "turn-1",
        "x-codex-turn-metadata": metadata, "x-codex-window-id": format!("{ROOT}:0"),
    });
    let body =
        format!("{{\"client_metadata\":{client_metadata},\"model\":\"gpt-5.5\",\"input\":[{{\"type\":\"message\"}}]}}");
    assert_eq!(received.body, body);
}

#[tokio::test]
async fn a_child_says_whose_it_is() {
    let server = Server::start(|_| hello()).await;
    let mut origin = root();
    origin.thread = CHILD.parse().unwrap();
    origin.parent = Some(ROOT.parse().unwrap());
    origin.path = AgentPath::root().join("alpha").unwrap();
    origin.thread_source = None;
    (origin.parent_turn, origin.turn) = (Some(TurnId::from("turn-1")), TurnId::from("turn-2"));
    (origin.history, origin.window, origin.effort) = (HistoryInitialization::WarmFork, 3, None);
    let asked = Request { origin: origin.clone(), ..request() };
    http(&server).sample(asked, Arc::new(Heard::default())).await.unwrap();
    origin.thread_source = Some("guardian_review".into());
    http(&server).sample(Request { origin, ..request() }, Arc::new(Heard::default())).await.unwrap();

    let received = server.received();
    let header = |n: usize, name: &str| received[n].header(name).map(str::to_owned);
    for (n, kind, source, subagent) in
        [(0, json!("thread_spawn"), "subagent", "collab_spawn"), (1, Value::Null, "guardian_review", "guardian")]
    {
        assert_eq!(header(n, "x-codex-parent-thread-id").as_deref(), Some(ROOT));
        assert_eq!(header(n, "x-openai-subagent").as_deref(), Some(subagent));
        assert_eq!(header(n, "x-client-request-id").as_deref(), Some(CHILD));
        assert_eq!(header(n, "x-codex-window-id"), Some(format!("{CHILD}:3")));
        let metadata = received[n].metadata();
        let said =
            ["parent_thread_id", "parent_turn_id", "root_turn_id", "subagent_kind", "thread_source", "agent_name"]
                .map(|key| metadata[key].clone());
        let want = [json!(ROOT), json!("turn-1"), json!("turn-1"), kind, json!(source), json!("/root/alpha")];
        assert_eq!(said, want);
        assert_eq!((&metadata["history_initialization"], &metadata["window_number"]), (&json!("warm_fork"), &json!(3)));
        assert_eq!(metadata.get("reasoning_effort"), None);
    }
}

#[tokio::test]
async fn what_a_configuration_adds_is_sent() {
    let server = Server::start(|_| hello()).await;
    let mut provider = provider(&format!("{}/", server.base_url()));
    provider.key = None;
    provider.headers =
        vec![("Authorization".to_owned(), Secret::from("Basic x")), ("X-Org".to_owned(), Secret::from("o"))];
    provider.query = vec![("api-version".to_owned(), Secret::from("2026 a&b"))];
    let http = client(provider);
    ask(&http).await.unwrap();
    http.get("models", 10_000).await.unwrap();
    let received = server.received();
    for request in &received {
        assert_eq!((request.header("authorization"), request.header("x-org")), (Some("Basic x"), Some("o")));
        assert_eq!(request.query, "api-version=2026+a%26b");
    }
    assert_eq!([&*received[0].path, &*received[1].path], ["/v1/responses", "/v1/models"]);
    assert_eq!((received[1].header("content-type"), received[1].header("accept")), (None, Some("application/json")));
}

#[tokio::test]
async fn a_response_is_heard_and_then_whole() {
    let server = Server::start(|_| {
        let tokens = Tokens { input: 100, cached: 64, output: 10, reasoning: 4 };
        let reply = Reply::new("resp_1").tokens(tokens).message("Hello.", 1);
        Answer::events(reply.function_call("c1", "collaboration", "wait_agent", &json!({})).completed())
            .header("x-codex-primary-used-percent", "12.5")
            .header("x-codex-primary-window-minutes", "300")
            .header("openai-model", "gpt-5.5-safe")
    })
    .await;
    let heard = Arc::new(Heard::default());
    let response = http(&server).sample(request(), heard.clone()).await.unwrap();
    let usage = Usage {
        input_tokens: 100,
        cached_input_tokens: 64,
        output_tokens: 10,
        reasoning_output_tokens: 4,
        total_tokens: 110,
        ..Usage::default()
    };
    assert_eq!((response.id.as_str(), response.items.len(), response.usage), ("resp_1", 2, usage));
    let primary = Some(RateWindow { used_percent: 12.5, window_minutes: Some(300), resets_at: None });
    let limits = RateLimits { limit_id: Some("codex".to_owned()), primary, ..RateLimits::default() };
    assert_eq!(response.limits.as_deref(), Some(&limits));
    let deltas = heard.deltas();
    let rerouted = Delta::Rerouted { model: "gpt-5.5-safe".to_owned() };
    assert_eq!(deltas[..2], [Delta::Sent, rerouted]);
    assert!(deltas.iter().any(|delta| matches!(delta, Delta::Text { text, .. } if text == "Hello.")));
    assert_eq!(deltas.iter().filter(|delta| matches!(delta, Delta::ItemDone { .. })).count(), 2);
}

#[tokio::test]
async fn one_connection_serves_all_requests() {
    // Errors with a body are read to their end too.
    let server = Server::start(|request| match request.n {
        3 => Answer::error(400, "invalid_request_error", "no"),
        _ => hello(),
    })
    .await;
    let http = http(&server);
    for n in 0..8 {
        assert_eq!(ask(&http).await.is_ok(), n != 3);
    }
    http.clone().get("models", 10_000).await.unwrap();
    assert_eq!((server.counts().connections, server.counts().requests, server.counts().closed_early), (1, 9, 0));
}

#[tokio::test]
async fn a_document_and_its_etag() {
    let server = Server::start(|request| match &*request.path {
        "/v1/models" => Answer::json(&json!({"models": []})).header("etag", "\"e1\""),
        _ => Answer::body("x".repeat(20)),
    })
    .await;
    let http = http(&server);
    assert_eq!(http.get("models", 13).await, Ok(("{\"models\":[]}".into(), Some("\"e1\"".to_owned()))));
    let message = http.get("long", 19).await.unwrap_err().to_string();
    assert!(message.starts_with("the provider Acme sent a document of more than 19 bytes, "), "{message}");
}
