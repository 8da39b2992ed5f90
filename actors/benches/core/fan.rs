//! The model of teams: leads spawn so many children each and wait for their reports; workers answer from a script.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sapwood_model::request::{Entry, RequestView};
use sapwood_model::{BoxFuture, DeltaSink, Model, ModelError, Request, Response, Script, Scripted};
use sapwood_protocol::Usage;
use sapwood_protocol::item::MailKind;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::measure::thread_cpu;

/// What the workers of a team do.
pub enum Workers {
    /// Answer at once.
    Answer(Scripted),
    /// Answer when they are let.
    Gated,
}

struct Inner {
    widths: Vec<usize>,
    workers: Workers,
    gate: Semaphore,
    waiting: watch::Sender<usize>,
    nanos: AtomicU64,
}

/// The model.
#[derive(Clone)]
pub struct Fan(Arc<Inner>);

/// A text of so many letters.
pub fn text(bytes: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(bytes).collect()
}

/// A model that answers everything with one message.
pub fn scripted() -> Scripted {
    let usage = json!({"input_tokens": 1200, "output_tokens": 60});
    let script = json!({"rules": [{"reply": [{"text": text(240)}, {"usage": usage}]}]});
    Scripted::new(serde_json::from_value::<Script>(script).expect("a script"))
}

/// A model whose one answer has many messages.
pub fn talkative(messages: usize) -> Scripted {
    let reply: Vec<_> = (0..messages).map(|_| json!({"text": text(240)})).collect();
    let script = json!({"rules": [{"reply": reply}]});
    Scripted::new(serde_json::from_value::<Script>(script).expect("a script"))
}

fn message(text: &str) -> Bytes {
    let content = json!([{"type": "output_text", "text": text}]);
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": content}).to_string().into()
}

fn call(n: usize, name: &str, arguments: &serde_json::Value) -> Bytes {
    let (id, call_id) = (format!("fc_call_{name}_{n}"), format!("call_{name}_{n}"));
    let item = json!({
        "type": "function_call", "id": id, "name": name, "namespace": "collaboration",
        "arguments": arguments.to_string(), "call_id": call_id,
    });
    item.to_string().into()
}

fn spawn(n: usize) -> Bytes {
    let (name, message) = (format!("w{n}"), "Count the words of your part and say how many there are.");
    call(n, "spawn_agent", &json!({"task_name": name, "message": message, "fork_turns": "none"}))
}

fn lead(width: usize, body: &[u8]) -> Vec<Bytes> {
    let view = RequestView::parse(body).expect("a request of ours");
    let (mut spawned, mut waits, mut reports) = (false, 0, 0);
    for entry in view.entries() {
        match entry {
            Entry::Call(call) if call.name == "spawn_agent" => spawned = true,
            Entry::Call(_) => waits += 1,
            Entry::Mail(mail) if mail.kind == Some(MailKind::FinalAnswer) => reports += 1,
            _ => {}
        }
    }
    if !spawned {
        return (0..width).map(spawn).collect();
    }
    if reports >= width {
        return vec![message("All have reported.")];
    }
    vec![call(waits, "wait_agent", &json!({"timeout_ms": 3_600_000}))]
}

impl Fan {
    /// The root spawns `widths[0]` children, each of them `widths[1]`, and so on; the last ones are workers.
    pub fn new(widths: &[usize], workers: Workers) -> Self {
        Self(Arc::new(Inner {
            widths: widths.to_vec(),
            workers,
            gate: Semaphore::new(0),
            waiting: watch::Sender::new(0),
            nanos: AtomicU64::new(0),
        }))
    }

    /// Lets so many waiting workers go.
    pub fn open(&self, count: usize) {
        self.0.gate.add_permits(count);
    }

    /// Returns when so many requests have come to the gate, in all.
    pub async fn asked(&self, count: usize) {
        let mut waiting = self.0.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting >= count).await.expect("the model is here");
    }

    /// The CPU time that the model itself has spent.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed))
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = thread_cpu();
        let value = work();
        self.0.nanos.fetch_add((thread_cpu() - start).as_nanos() as u64, Ordering::Relaxed);
        value
    }

    async fn answer(self, request: Request) -> Result<Response, ModelError> {
        let depth = request.origin.path.depth() as usize;
        let respond = |items| Response::new("resp_1", items, Usage::default());
        if let Some(width) = self.0.widths.get(depth) {
            return Ok(self.timed(|| respond(lead(*width, &request.body.concat()))));
        }
        match &self.0.workers {
            Workers::Answer(scripted) => {
                let (sink, scripted) = (Arc::new(sapwood_model::NoDeltas), scripted.clone());
                let start = thread_cpu();
                // It has no pauses, so it is over when it was polled once, on this thread.
                let response = scripted.sample(request, sink).await;
                self.0.nanos.fetch_add((thread_cpu() - start).as_nanos() as u64, Ordering::Relaxed);
                response
            }
            Workers::Gated => {
                self.0.waiting.send_modify(|waiting| *waiting += 1);
                self.0.gate.acquire().await.expect("the gate is never closed").forget();
                Ok(respond(vec![message(&text(240))]))
            }
        }
    }
}

impl Model for Fan {
    fn sample(&self, request: Request, _: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        Box::pin(self.clone().answer(request))
    }
}
