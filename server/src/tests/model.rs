//! A model that says what a test wants, when it wants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sapwood_model::{BoxFuture, Delta, DeltaSink, Model, ModelError, Refusal, Request, Response};
use sapwood_protocol::{ItemId, Usage};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Answers nothing by itself.
#[derive(Default)]
pub struct Puppet {
    open: Mutex<Vec<Answer>>,
    items: AtomicU64,
}

/// A request that waits.
struct Answer {
    sink: Arc<dyn DeltaSink>,
    done: oneshot::Sender<Result<Response, ModelError>>,
    /// What was said whole.
    items: Vec<Value>,
    /// All that was said, by item.
    said: Vec<(ItemId, String)>,
    /// What is being said.
    saying: Option<Saying>,
}

struct Saying {
    id: ItemId,
    kind: Kind,
    text: String,
}

/// What a model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Message,
    Thought,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    /// It broke off, and is tried again.
    Cut,
    Refused,
}

impl Puppet {
    /// Says more of one of the answers that are asked for. Nothing if none is.
    pub fn say(&self, which: usize, kind: Kind, text: &str) {
        let mut open = self.asked();
        let count = open.len();
        let Some(answer) = open.get_mut(which % count.max(1)) else { return };
        if answer.saying.as_ref().is_some_and(|saying| saying.kind != kind) {
            answer.finish_item();
        }
        let saying = answer.saying.get_or_insert_with(|| {
            let n = self.items.fetch_add(1, Ordering::Relaxed);
            let (prefix, name) = match kind {
                Kind::Message => ("msg", "message"),
                Kind::Thought => ("rs", "reasoning"),
            };
            let id = ItemId::from(format!("{prefix}_{n}"));
            answer.said.push((id.clone(), String::new()));
            answer.sink.delta(Delta::ItemStarted { item: id.clone(), kind: name.to_owned(), tool: None });
            Saying { id, kind, text: String::new() }
        });
        saying.text.push_str(text);
        answer.said.last_mut().into_iter().for_each(|(_, said)| said.push_str(text));
        let (item, text) = (saying.id.clone(), text.to_owned());
        answer.sink.delta(match kind {
            Kind::Message => Delta::Text { item, text },
            Kind::Thought => Delta::Reasoning { item, part: 0, text },
        });
    }

    /// Ends what is being said of one of the answers.
    pub fn finish_item(&self, which: usize) {
        let mut open = self.asked();
        let count = open.len();
        open.get_mut(which % count.max(1)).into_iter().for_each(Answer::finish_item);
    }

    /// Ends one of the answers.
    pub fn end(&self, which: usize, end: End) {
        let mut open = self.asked();
        if open.is_empty() {
            return;
        }
        let count = open.len();
        let mut answer = open.remove(which % count);
        answer.finish_item();
        let result = match end {
            End::Whole => {
                let items = answer.items.iter().map(|item| item.to_string().into_bytes().into()).collect();
                Ok(Response::new("resp", items, Usage { total_tokens: 3, ..Usage::default() }))
            }
            End::Cut => Err(ModelError::Cut { why: "cut".to_owned() }),
            End::Refused => {
                Err(ModelError::Refused { status: 400, reason: Refusal::Other, message: "refused".to_owned() })
            }
        };
        // It may have been taken back just now.
        let _ = answer.done.send(result);
    }

    /// What was said so far of the answers that are coming, by item.
    pub fn said(&self) -> BTreeMap<String, String> {
        let asked = self.asked();
        let said = asked.iter().flat_map(|answer| &answer.said);
        said.map(|(id, text)| (id.as_str().to_owned(), text.clone())).collect()
    }

    /// The answers that somebody still waits for.
    fn asked(&self) -> parking_lot::MutexGuard<'_, Vec<Answer>> {
        let mut open = self.open.lock();
        open.retain(|answer| !answer.done.is_closed());
        open
    }
}

impl Answer {
    fn finish_item(&mut self) {
        let Some(Saying { id, kind, text }) = self.saying.take() else { return };
        self.sink.delta(Delta::ItemDone { item: id.clone() });
        self.items.push(match kind {
            Kind::Message => json!({
                "type": "message", "id": id, "role": "assistant", "content": [{"type": "output_text", "text": text}],
            }),
            Kind::Thought => json!({
                "type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": text}], "content": null,
            }),
        });
    }
}

impl Model for Puppet {
    fn sample(&self, _: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        let (done, answered) = oneshot::channel();
        self.open.lock().push(Answer { sink, done, items: Vec::new(), said: Vec::new(), saying: None });
        Box::pin(
            async move { answered.await.unwrap_or_else(|_| Err(ModelError::Cut { why: "nobody answers".to_owned() })) },
        )
    }
}
