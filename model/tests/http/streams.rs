//! Calls that are dropped, and providers that are silent.

use std::sync::Arc;
use std::time::Duration;

use sapwood_model::{Delta, Model, ModelError};
use sapwood_testkit::sse::{Event, Reply};
use sapwood_testkit::{Answer, Gate, Server};

use crate::setup::{Heard, ask, http, request};

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let server = Server::start(|request| match request.n {
        0 => Answer::silence(),
        _ => Answer::events(Reply::new("r").message("Hello.", 3).unfinished()).gate(&Gate::new()),
    })
    .await;
    for n in 0..2 {
        let heard = Arc::new(Heard::default());
        let call = tokio::spawn(http(&server).sample(request(), heard.clone()));
        match n {
            0 => server.until(|received| received.len() == 1).await,
            _ => heard.until(|delta| matches!(delta, Delta::ItemDone { .. })).await,
        }
        call.abort();
        server.until_counts(|counts| counts.closed_early == n + 1 && counts.open_connections == 0).await;
    }
}

#[tokio::test]
async fn a_provider_that_never_answers() {
    let server = Server::start(|_| Answer::silence()).await;
    let http = http(&server);
    let call = tokio::spawn(async move { ask(&http).await });
    server.until(|received| received.len() == 1).await;
    // From here on time goes by as soon as nothing else happens.
    tokio::time::pause();
    let message =
        "the provider Acme (model gpt-5.5) did not answer within 300 s; try again, or raise stream_idle_timeout_ms";
    let want = ModelError::Unavailable { status: 0, message: message.to_owned(), retry_after_ms: None };
    assert_eq!(call.await.unwrap(), Err(want));
    server.until_counts(|counts| counts.closed_early == 1).await;
}

#[tokio::test]
async fn a_provider_that_stalls() {
    let server =
        Server::start(|_| Answer::events(Reply::new("r").message("Hello.", 3).unfinished()).gate(&Gate::new())).await;
    let heard = Arc::new(Heard::default());
    let call = tokio::spawn(http(&server).sample(request(), heard.clone()));
    heard.until(|delta| matches!(delta, Delta::ItemDone { .. })).await;
    tokio::time::pause();
    let why = "the provider Acme (model gpt-5.5) sent nothing for 300 s (stream_idle_timeout_ms) after 1 item";
    assert_eq!(call.await.unwrap(), Err(ModelError::Cut { why: why.to_owned() }));
    server.until_counts(|counts| counts.closed_early == 1).await;
}

/// Comments keep a connection alive, and say nothing: a provider that sends only them is silent.
#[tokio::test]
async fn a_provider_that_sends_only_comments() {
    let server = Server::start(|_| {
        let ping = || [Event::raw(": ping\n\n")];
        (0..10).fold(Answer::events(ping()), |answer, _| answer.delay(Duration::from_secs(100)).then(ping()))
    })
    .await;
    let http = http(&server);
    let call = tokio::spawn(async move { ask(&http).await });
    server.until(|received| received.len() == 1).await;
    tokio::time::pause();
    let why = "the provider Acme (model gpt-5.5) sent nothing for 300 s (stream_idle_timeout_ms) before its first item was complete";
    assert_eq!(call.await.unwrap(), Err(ModelError::Cut { why: why.to_owned() }));
}

#[tokio::test]
async fn a_stream_that_does_not_end_after_its_response_gives_its_connection_up() {
    let server = Server::start(|request| {
        // In one piece: who heard of the item has the whole response.
        let events: Vec<u8> =
            Reply::new("r").message("Hello.", 1).completed().into_iter().flat_map(Event::into_bytes).collect();
        let events = Answer::events([Event::raw(events)]);
        if request.n == 0 { events.gate(&Gate::new()) } else { events }
    })
    .await;
    let http = http(&server);
    let heard = Arc::new(Heard::default());
    let call = tokio::spawn(http.sample(request(), heard.clone()));
    heard.until(|delta| matches!(delta, Delta::ItemDone { .. })).await;
    tokio::time::pause();
    assert!(call.await.unwrap().is_ok());
    tokio::time::resume();
    server.until_counts(|counts| counts.open_connections == 0).await;
    assert!(ask(&http).await.is_ok());
    assert_eq!(server.counts().connections, 2);
}
