//! Every way in which a provider can fail, and what is said of it.

use std::net::SocketAddr;

use sapwood_model::{ModelError, Refusal};
use sapwood_protocol::Millis;
use sapwood_testkit::sse::{self, Event, Reply};
use sapwood_testkit::{Answer, Framing, Server};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket};

use crate::setup::{NOW, ask, client, http, provider};

/// What comes of an answer, with the address of the server as `BASE`.
async fn outcome(answer: impl Fn() -> Answer + Send + Sync + 'static) -> ModelError {
    let server = Server::start(move |_| answer()).await;
    let error = ask(&http(&server)).await.expect_err("a fault is no response");
    let base = server.base_url();
    let plain = |text: String| text.replace(&base, "BASE");
    match error {
        ModelError::Cut { why } => ModelError::Cut { why: plain(why) },
        ModelError::Unavailable { status, message, retry_after_ms } => {
            ModelError::Unavailable { status, message: plain(message), retry_after_ms }
        }
        ModelError::Refused { status, reason, message } => {
            ModelError::Refused { status, reason, message: plain(message) }
        }
        limited @ ModelError::UsageLimited { .. } => limited,
    }
}

fn who(what: &str) -> String {
    format!("the provider Acme (model gpt-5.5) {what}")
}

fn cut(what: &str) -> ModelError {
    ModelError::Cut { why: who(what) }
}

fn unavailable(status: u16, retry_after_ms: Option<u64>, what: &str) -> ModelError {
    ModelError::Unavailable { status, message: who(what), retry_after_ms }
}

fn refused(status: u16, reason: Refusal, what: &str) -> ModelError {
    ModelError::Refused { status, reason, message: who(what) }
}

fn limited(until: Option<Millis>, what: &str) -> ModelError {
    ModelError::UsageLimited { message: who(what), until }
}

fn html(status: u16) -> Answer {
    let page = "<!DOCTYPE html><html><head><title>Bad\r\n gateway</title></head><body><h1>x</h1></body></html>";
    Answer::body(page).header("content-type", "text/html; charset=utf-8").status(status)
}

fn message() -> Reply {
    Reply::new("r").message("Hello, wörld.", 1)
}

#[tokio::test]
async fn nobody_listens() {
    // The port is held, so that nobody else can listen there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let base = format!("http://{}/v1", socket.local_addr().unwrap());
    let message =
        who(&format!("cannot be reached at {base}: Connection refused (os error 111); check base_url and the network"));
    let want = ModelError::Unavailable { status: 0, message, retry_after_ms: None };
    assert_eq!(ask(&client(provider(&base))).await, Err(want));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    let answers = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let http = client(provider(&base));
    let (error, _stream) = tokio::join!(ask(&http), answers);
    let message = who(&format!(
        "cannot be reached at {base}: received corrupt message of type InvalidContentType; check base_url and the network"
    ));
    assert_eq!(error, Err(ModelError::Unavailable { status: 0, message, retry_after_ms: None }));
}

#[tokio::test]
async fn no_answer() {
    let closed = "gave no answer that can be read: connection closed before message completed; try again";
    assert_eq!(outcome(Answer::nothing).await, unavailable(0, None, closed));
    let reset = outcome(Answer::reset).await;
    assert!(reset.to_string().starts_with(&who("gave no answer that can be read: ")), "{reset}");
    assert!(matches!(reset, ModelError::Unavailable { status: 0, .. }));
}

#[tokio::test]
async fn answers_that_are_no_stream() {
    let page = ": an HTML page, \"Bad gateway\"";
    let no_stream = format!(
        "answered 200 OK with text/html; charset=utf-8 in place of text/event-stream{page}; check that base_url (BASE) is that of a Responses API"
    );
    assert_eq!(outcome(|| html(200)).await, refused(200, Refusal::Other, &no_stream));
    assert_eq!(
        outcome(|| html(502)).await,
        unavailable(502, None, &format!("answered 502 Bad Gateway{page}; try again later"))
    );
    let json = "answered 200 OK with application/json in place of text/event-stream: {\"a\":1}; check that base_url (BASE) is that of a Responses API";
    assert_eq!(outcome(|| Answer::json(&json!({"a": 1}))).await, refused(200, Refusal::Other, json));
    let redirect = || {
        let to = "https://elsewhere.test/v2/responses?token=secret#x";
        Answer::body("").status(307).header("location", to)
    };
    let what = "answered 307 Temporary Redirect: it redirects to https://elsewhere.test/v2/responses, and redirects are not followed; put the right address into base_url";
    assert_eq!(outcome(redirect).await, refused(307, Refusal::Other, what));
    let stream = |how: &'static str| move || Answer::events(message().completed()).header("content-encoding", how);
    let plain = stream("identity");
    assert!(ask(&http(&Server::start(move |_| plain()).await)).await.is_ok());
    let what = "answered with the content encoding gzip, which was not asked for and is not understood; have it send its streams as they are";
    assert_eq!(outcome(stream("gzip")).await, refused(200, Refusal::Other, what));
}

#[tokio::test]
async fn refusals() {
    let says = |status, kind: &'static str| move || Answer::error(status, kind, "It says so.");
    let cases = [
        (
            says(401, "invalid_api_key"),
            refused(401, Refusal::Unauthorized, "answered 401 Unauthorized: It says so; check the key in ACME_KEY"),
        ),
        (
            says(403, "forbidden"),
            refused(
                403,
                Refusal::Unauthorized,
                "answered 403 Forbidden: It says so; check what the key in ACME_KEY may use",
            ),
        ),
        (
            says(404, "not_found"),
            refused(
                404,
                Refusal::ModelNotFound,
                "answered 404 Not Found: It says so; check the name of the model, and base_url (BASE)",
            ),
        ),
        (
            says(400, "invalid_request_error"),
            refused(
                400,
                Refusal::BadRequest,
                "answered 400 Bad Request: It says so; the same request will be refused again",
            ),
        ),
        (
            says(422, "x"),
            refused(
                422,
                Refusal::BadRequest,
                "answered 422 Unprocessable Entity: It says so; the same request will be refused again",
            ),
        ),
        (
            says(400, "cyber_policy"),
            refused(
                400,
                Refusal::Policy,
                "answered 400 Bad Request: It says so; a policy of the provider forbids it: change what is asked",
            ),
        ),
        (
            says(400, "context_length_exceeded"),
            refused(
                400,
                Refusal::ContextWindow,
                "answered 400 Bad Request: It says so; the request is longer than the model's context window: compact the thread, or choose another model",
            ),
        ),
    ];
    for (answer, want) in cases {
        assert_eq!(outcome(answer).await, want);
    }
}

#[tokio::test]
async fn who_has_no_key_is_told_where_to_put_it() {
    let server = Server::start(|_| Answer::body("").status(401)).await;
    for (from, todo) in [
        (Some("ACME_KEY"), "there is no key: set ACME_KEY"),
        (None, "there is no key: name its variable in model_providers.acme.env_key"),
    ] {
        let mut provider = provider(&server.base_url());
        (provider.key, provider.key_from) = (None, from.map(str::to_owned));
        let want = refused(401, Refusal::Unauthorized, &format!("answered 401 Unauthorized; {todo}"));
        assert_eq!(ask(&client(provider)).await, Err(want));
    }
}

#[tokio::test]
async fn providers_that_are_busy() {
    let busy = |status| move || Answer::error(status, "x", "Busy.");
    for (status, named) in [
        (408, "408 Request Timeout"),
        (409, "409 Conflict"),
        (425, "425 Too Early"),
        (429, "429 Too Many Requests"),
        (500, "500 Internal Server Error"),
        (503, "503 Service Unavailable"),
        (529, "529"),
    ] {
        let want = unavailable(status, None, &format!("answered {named}: Busy; try again later"));
        assert_eq!(outcome(busy(status)).await, want);
        let asks = unavailable(status, Some(7000), &format!("answered {named}: Busy; it asks to wait 7 s"));
        assert_eq!(outcome(move || busy(status)().header("retry-after", "7")).await, asks);
    }
    let dated = outcome(move || busy(429)().header("retry-after", "Sat, 21 Nov 2026 00:04:03 GMT")).await;
    assert_eq!(dated, unavailable(429, Some(10_000), "answered 429 Too Many Requests: Busy; it asks to wait 10 s"));
    let hint = outcome(|| Answer::error(429, "rate_limit_exceeded", "Please try again in 1.5s.")).await;
    let what = "answered 429 Too Many Requests: Please try again in 1.5s; it asks to wait 1.5 s";
    assert_eq!(hint, unavailable(429, Some(1500), what));
}

#[tokio::test]
async fn accounts_that_are_used_up() {
    let error = |error: serde_json::Value| move || Answer::json(&json!({ "error": error })).status(429);
    let until = Some(NOW.plus(60_000));
    let what = "answered 429 Too Many Requests: Limit; the account's usage limit ends at 2026-11-21T00:04:53.000Z";
    let at =
        json!({"type": "usage_limit_reached", "message": "Limit", "plan_type": "pro", "resets_at": NOW.secs() + 60});
    assert_eq!(outcome(error(at)).await, limited(until, what));
    let inside = json!({"message": "Limit", "resets_in_seconds": 60});
    assert_eq!(outcome(error(inside)).await, limited(until, what));
    let bare = json!({"type": "usage_limit_reached", "message": "Limit"});
    let told = error(bare.clone());
    let windows = move || {
        told().header("x-codex-primary-used-percent", "100").header("x-codex-primary-reset-after-seconds", "60")
    };
    assert_eq!(outcome(windows).await, limited(until, what));
    let unknown =
        "answered 429 Too Many Requests: Limit; the account's usage limit is reached; see its plan and billing";
    assert_eq!(outcome(error(bare)).await, limited(None, unknown));
    assert_eq!(outcome(error(json!({"code": "insufficient_quota", "message": "Limit"}))).await, limited(None, unknown));
}

#[tokio::test]
async fn streams_that_break() {
    let bytes = |events: &[Event]| events.iter().map(|event| event.len() as u64).sum::<u64>();
    let whole = message().completed();
    let last = whole.len() - 1;
    let in_last = bytes(&whole[..last]) + 20;
    // The first byte of `ö` in the first delta is the last that comes.
    let first =
        whole.iter().position(|event| event.clone().into_bytes().windows(2).any(|c| c == "ö".as_bytes())).unwrap();
    let at = whole[first].clone().into_bytes().windows(2).position(|c| c == "ö".as_bytes()).unwrap() as u64;
    let in_character = bytes(&whole[..first]) + at + 1;

    let events = || Answer::events(message().completed());
    let lost = |items: &str| format!("lost the connection (unexpected EOF during chunk size line) {items}");
    assert_eq!(outcome(move || events().cut_after(in_last)).await, cut(&lost("after 1 item")));
    assert_eq!(
        outcome(move || events().cut_after(in_character)).await,
        cut(&lost("before its first item was complete"))
    );
    let reset = outcome(move || events().reset_after(in_last)).await;
    assert!(reset.to_string().contains(&who("lost the connection (")), "{reset}");

    let ended = move |end: u64| outcome(move || events().framing(Framing::Close).cut_after(end));
    assert_eq!(ended(in_last).await, cut("ended the stream without response.completed, inside an event, after 1 item"));
    let unfinished = || Answer::events(message().unfinished());
    assert_eq!(outcome(unfinished).await, cut("ended the stream without response.completed after 1 item"));
    assert_eq!(
        outcome(|| Answer::events([])).await,
        cut("ended the stream without response.completed before its first item was complete")
    );
}

#[tokio::test]
async fn streams_that_fail() {
    let failed =
        |code: &'static str, message: &'static str| move || Answer::events(self::message().failed(code, message));
    assert_eq!(outcome(failed("server_error", "It broke.")).await, cut("failed: It broke."));
    let busy = "failed: Please try again in 1.5s.; it asks to wait 1.5 s";
    assert_eq!(
        outcome(failed("rate_limit_exceeded", "Please try again in 1.5s.")).await,
        unavailable(429, Some(1500), busy)
    );
    assert_eq!(
        outcome(failed("server_is_overloaded", "")).await,
        unavailable(503, None, "failed: server_is_overloaded; try again later")
    );
    let long = "failed: Long; the request is longer than the model's context window: compact the thread, or choose another model";
    assert_eq!(outcome(failed("context_length_exceeded", "Long")).await, refused(200, Refusal::ContextWindow, long));
    let prompt = refused(200, Refusal::BadRequest, "failed: No; the same request will be refused again");
    assert_eq!(outcome(failed("invalid_prompt", "No")).await, prompt);
    let policy = refused(200, Refusal::Policy, "failed: No; a policy of the provider forbids it: change what is asked");
    assert_eq!(outcome(failed("cyber_policy", "No")).await, policy);
    let quota = limited(None, "failed: No; the account's usage limit is reached; see its plan and billing");
    assert_eq!(outcome(failed("insufficient_quota", "No")).await, quota);
    let event = || Answer::events(message().event(sse::error("server_error", "It broke.")).unfinished());
    assert_eq!(outcome(event).await, cut("failed: It broke."));

    let incomplete = |reason: &'static str| move || Answer::events(message().incomplete(reason));
    assert_eq!(
        outcome(incomplete("max_output_tokens")).await,
        cut("ended the response early (max_output_tokens) after 1 item")
    );
    let filter = "ended the response early (content_filter); a policy of the provider forbids it: change what is asked";
    assert_eq!(outcome(incomplete("content_filter")).await, refused(200, Refusal::Policy, filter));
    let malformed = || Answer::events(message().event(Event::raw("event: x\ndata: {\"type\":\n\n")).completed());
    let why = "sent a malformed event x: EOF while parsing a value at line 1 column 8, after 1 item";
    assert_eq!(outcome(malformed).await, cut(why));
}

#[tokio::test]
async fn unknown_and_duplicate_events_change_nothing() {
    let server = Server::start(|_| {
        let events = message().event(Event::json(&json!({"type": "response.unheard", "item": 1}))).completed();
        let twice = events.iter().flat_map(|event| [event.clone(), Event::raw(": comment\n\n"), event.clone()]);
        Answer::events(twice.collect::<Vec<_>>())
    })
    .await;
    let response = ask(&http(&server)).await.unwrap();
    assert_eq!((response.id.as_str(), response.items.len()), ("r", 1));
}

#[tokio::test]
async fn too_much() {
    let delta =
        Event::json(&json!({"type": "response.output_text.delta", "item_id": "x", "delta": "y".repeat(60_000)}));
    let long = move || Answer::events(Reply::new("r").unfinished()).repeat(delta.clone(), 100_000_000);
    let what = "sent a response of more than 96 MB, which is not believed; check that base_url (BASE) is that of a Responses API";
    assert_eq!(outcome(long).await, refused(200, Refusal::Other, what));
    let endless = || Answer::events([Event::raw("data: ")]).repeat(Event::raw("z".repeat(60_000)), 100_000_000);
    let what = "sent an event of more than 33 MB, which is not believed; check that base_url (BASE) is that of a Responses API";
    assert_eq!(outcome(endless).await, refused(200, Refusal::Other, what));
    let page = || Answer::body("<html>").repeat(Event::raw("z".repeat(60_000)), 100_000_000).status(500);
    let what = "answered 500 Internal Server Error: an HTML page; try again later";
    assert_eq!(outcome(page).await, unavailable(500, None, what));
}
