//! One request and its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use reqwest::{Method, Response as Answer, StatusCode};
use sapwood_protocol::Millis;
use tokio::time::{Instant, timeout, timeout_at};

use crate::governor::Pass;
use crate::http::body::Slices;
use crate::http::events::{Machine, Preface};
use crate::http::metadata::Metadata;
use crate::http::sse::{EVENT_BYTES, Parser};
use crate::http::voice::Voice;
use crate::http::{Http, limits};
use crate::port::{Delta, DeltaSink, ModelError, Request, Response};

/// A response may have this many bytes, events and all. Above the largest event that is allowed and everything
/// that announces it, and below what a machine with a thousand agents could not hold.
pub(crate) const RESPONSE_BYTES: usize = 96_000_000;
/// So much of the body of an error is read. Errors are short; what is longer is somebody else's page.
const ERROR_BYTES: usize = 64 * 1024;
/// After the last event so much is read, and so long, to find the end of the stream and keep the connection.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);
/// So long may a whole `GET` take.
const GET: Duration = Duration::from_secs(30);

/// Asks for one response.
pub(crate) async fn sample(
    http: &Http,
    request: &Request,
    sink: &Arc<dyn DeltaSink>,
    pass: &mut Pass,
) -> Result<Response, ModelError> {
    let parts = &*http.parts;
    let voice = http.voice(Some(&request.origin.model));
    let metadata = Metadata::of(&request.origin);
    let mut headers = parts.headers.clone();
    metadata.add_to(&mut headers).map_err(|_| voice.unsendable())?;
    let mut posted = reqwest::Request::new(Method::POST, parts.responses.clone());
    *posted.headers_mut() = headers;
    *posted.body_mut() = Some(reqwest::Body::wrap(Slices::with_members(&request.body, &metadata.member)));

    let idle = parts.provider.stream_idle_timeout;
    let answer = match timeout(idle, parts.client.execute(posted)).await {
        Ok(answer) => answer.map_err(|error| voice.unanswered(error))?,
        Err(_) => return Err(voice.silent(idle)),
    };
    pass.headroom(limits::headroom(answer.headers()));
    if !is_stream(&answer) {
        return Err(refusal(answer, voice, idle, (parts.now)()).await);
    }
    if is_packed(answer.headers()) {
        return Err(voice.packed(answer.headers()));
    }
    pass.begun();
    let preface = preface(answer.headers(), (parts.now)());
    let mut stream = Stream { answer, voice, idle, newest: Instant::now(), now: &*parts.now };
    stream.read(&request.origin.model, preface, &**sink).await
}

/// Asks for a small document. The answer and its `etag`.
pub(crate) async fn get(http: &Http, path: &str, max_bytes: usize) -> Result<(Bytes, Option<String>), ModelError> {
    let parts = &*http.parts;
    let voice = http.voice(None);
    let mut asked = reqwest::Request::new(Method::GET, parts.url(path));
    *asked.headers_mut() = parts.headers.clone();
    asked.headers_mut().remove(CONTENT_TYPE);
    asked.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let document = async {
        let mut answer = parts.client.execute(asked).await.map_err(|error| voice.unanswered(error))?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer, voice, GET, (parts.now)()).await);
        }
        let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| voice.unanswered(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > max_bytes {
                return Err(voice.too_long("a document", max_bytes));
            }
        }
        Ok((Bytes::from(body), etag))
    };
    timeout(GET, document).await.unwrap_or_else(|_| Err(voice.silent(GET)))
}

/// True for a success that streams events. A provider that names no type is believed.
fn is_stream(answer: &Answer) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default().to_ascii_lowercase());
    answer.status() == StatusCode::OK && kind.is_none_or(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// True for a body that is not sent as it is.
fn is_packed(headers: &HeaderMap) -> bool {
    let is_plain = |how: &HeaderValue| how.to_str().is_ok_and(|how| matches!(how.trim(), "" | "identity"));
    headers.get(CONTENT_ENCODING).is_some_and(|how| !is_plain(how))
}

fn preface(headers: &HeaderMap, now: Millis) -> Preface {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let show_buffering = text("x-codex-safety-buffering-enabled").is_some_and(|on| on.eq_ignore_ascii_case("true"));
    Preface {
        model: text("openai-model"),
        show_buffering,
        faster_model: text("x-codex-safety-buffering-faster-model").filter(|_| show_buffering),
        limits: limits::from_headers(headers, now),
    }
}

/// What an answer says that is no stream.
async fn refusal(mut answer: Answer, voice: Voice<'_>, idle: Duration, now: Millis) -> ModelError {
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status.is_redirection() {
        return voice.redirected(status, &headers);
    }
    let mut body = Vec::new();
    // A body that breaks or never ends is an excerpt like any other.
    let read = async {
        while let Ok(Some(chunk)) = answer.chunk().await {
            let room = ERROR_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ERROR_BYTES {
                break;
            }
        }
    };
    let _ = timeout(idle, read).await;
    if status.is_success() {
        return voice.no_stream(status, &headers, &body);
    }
    voice.answered(status, &headers, &body, now)
}

/// A stream of events that comes in.
struct Stream<'a> {
    answer: Answer,
    voice: Voice<'a>,
    idle: Duration,
    /// When the newest event was complete. Comments keep a connection alive, and say nothing.
    newest: Instant,
    now: &'a (dyn Fn() -> Millis + Send + Sync),
}

impl Stream<'_> {
    async fn read(&mut self, model: &str, preface: Preface, sink: &dyn DeltaSink) -> Result<Response, ModelError> {
        let mut parser = Parser::default();
        let mut machine = Machine::new(model, preface, &mut |delta| sink.delta(delta));
        let mut bytes = 0;
        while let Some(chunk) = self.chunk(machine.items()).await? {
            bytes += chunk.len();
            if bytes > RESPONSE_BYTES {
                return Err(self.voice.too_long("a response", RESPONSE_BYTES));
            }
            if let Some(response) = self.take(&chunk, &mut parser, &mut machine, &mut |delta| sink.delta(delta))? {
                self.drain().await;
                return Ok(response);
            }
        }
        let inside = if parser.is_within_event() { ", inside an event," } else { "" };
        Err(self.voice.cut(&format!("ended the stream without response.completed{inside}"), machine.items()))
    }

    async fn chunk(&mut self, items: usize) -> Result<Option<Bytes>, ModelError> {
        match timeout_at(self.newest + self.idle, self.answer.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.voice.broke(error, items)),
            Err(_) => Err(self.voice.stalled(self.idle, items)),
        }
    }

    /// Takes in the events that end in a chunk; the response, if one of them is its last.
    fn take(
        &mut self,
        mut chunk: &[u8],
        parser: &mut Parser,
        machine: &mut Machine,
        tell: &mut dyn FnMut(Delta),
    ) -> Result<Option<Response>, ModelError> {
        loop {
            let event = match parser.next(&mut chunk) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.voice.too_long("an event", EVENT_BYTES)),
            };
            self.newest = Instant::now();
            if let Err(failure) = machine.event(event.name, event.data, tell) {
                return Err(self.voice.failed(failure, machine.items(), (self.now)()));
            }
            if let Some(response) = machine.finished() {
                return Ok(Some(response));
            }
        }
    }

    /// Reads the stream to its end, so that its connection serves the next request. Nothing in there counts.
    async fn drain(&mut self) {
        let rest = async {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = self.answer.chunk().await {
                bytes += chunk.len();
                if bytes > DRAIN_BYTES {
                    return;
                }
            }
        };
        let _ = timeout(DRAIN, rest).await;
    }
}
