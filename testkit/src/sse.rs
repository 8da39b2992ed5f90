//! The events of a stream, as the Responses API words them.

use bytes::Bytes;
use serde_json::{Value, json};

/// One event of a stream: the bytes that go out for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Bytes);

impl Event {
    /// An event with this payload, named by its `type`.
    pub fn json(payload: &Value) -> Self {
        let kind = payload["type"].as_str().unwrap_or("message");
        Self(format!("event: {kind}\ndata: {payload}\n\n").into())
    }

    /// Any bytes, whatever they mean: a comment, half an event, no event at all.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// What goes out.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// How many bytes go out.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for an event that is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The error that ends a stream outside of a response.
pub fn error(code: &str, message: &str) -> Event {
    Event::json(&json!({"type": "error", "code": code, "message": message, "param": null}))
}

/// Tokens of a response: `input` of which `cached`, and `output` of which `reasoning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What was read.
    pub input: u64,
    /// What of it came from the provider's cache.
    pub cached: u64,
    /// What was written.
    pub output: u64,
    /// What of it was thought only.
    pub reasoning: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { input: 10, cached: 0, output: 5, reasoning: 0 }
    }
}

/// A response that is put together item by item, and ends in one of the ways a response can end.
#[derive(Clone, Debug)]
pub struct Reply {
    id: String,
    events: Vec<Event>,
    output: Vec<Value>,
    sequence: u64,
    tokens: Tokens,
}

impl Reply {
    /// A response with this id, just created.
    pub fn new(id: &str) -> Self {
        let mut reply =
            Self { id: id.into(), events: Vec::new(), output: Vec::new(), sequence: 0, tokens: Tokens::default() };
        for kind in ["response.created", "response.in_progress"] {
            reply.of_response(kind, "in_progress", json!({}));
        }
        reply
    }

    /// With these tokens in its `completed`.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// A message whose text comes in so many deltas.
    pub fn message(mut self, text: &str, deltas: usize) -> Self {
        let id = self.item_id("msg");
        let item = |status: &str, content: Value| json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content});
        let part = |text: &str| json!({"type": "output_text", "annotations": [], "text": text});
        self.added(item("in_progress", json!([])));
        self.of_item("response.content_part.added", &id, json!({"content_index": 0, "part": part("")}));
        for delta in pieces(text, deltas) {
            self.of_item("response.output_text.delta", &id, json!({"content_index": 0, "delta": delta}));
        }
        self.of_item("response.output_text.done", &id, json!({"content_index": 0, "text": text}));
        self.of_item("response.content_part.done", &id, json!({"content_index": 0, "part": part(text)}));
        self.done(item("completed", json!([part(text)])))
    }

    /// A reasoning with these parts of a summary, and encrypted content.
    pub fn reasoning(mut self, parts: &[&str]) -> Self {
        let id = self.item_id("rs");
        let part = |text: &str| json!({"type": "summary_text", "text": text});
        self.added(json!({"id": id, "type": "reasoning", "summary": []}));
        for (n, text) in parts.iter().enumerate() {
            let with = |key: &str, value: Value| json!({"summary_index": n, key: value});
            self.of_item("response.reasoning_summary_part.added", &id, with("part", part("")));
            for delta in pieces(text, 2) {
                self.of_item("response.reasoning_summary_text.delta", &id, with("delta", json!(delta)));
            }
            self.of_item("response.reasoning_summary_text.done", &id, with("text", json!(text)));
            self.of_item("response.reasoning_summary_part.done", &id, with("part", part(text)));
        }
        let summary: Vec<Value> = parts.iter().map(|text| part(text)).collect();
        self.done(json!({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": "b3BhcXVl"}))
    }

    /// A call of a function; `namespace` empty for none.
    pub fn function_call(mut self, call_id: &str, namespace: &str, name: &str, arguments: &Value) -> Self {
        let (id, arguments) = (self.item_id("fc"), arguments.to_string());
        let item = |status: &str, arguments: &str| {
            let call = json!({"id": id, "type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name});
            within(call, namespace)
        };
        self.added(item("in_progress", ""));
        for delta in pieces(&arguments, 2) {
            self.of_item("response.function_call_arguments.delta", &id, json!({"delta": delta}));
        }
        self.of_item("response.function_call_arguments.done", &id, json!({"arguments": arguments}));
        self.done(item("completed", &arguments))
    }

    /// A call of a custom tool; `namespace` empty for none.
    pub fn custom_tool_call(mut self, call_id: &str, namespace: &str, name: &str, input: &str) -> Self {
        let id = self.item_id("ctc");
        let item = |status: &str, input: &str| {
            let call = json!({"id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input});
            within(call, namespace)
        };
        self.added(item("in_progress", ""));
        for delta in pieces(input, 2) {
            self.of_item("response.custom_tool_call_input.delta", &id, json!({"delta": delta}));
        }
        self.of_item("response.custom_tool_call_input.done", &id, json!({"input": input}));
        self.done(item("completed", input))
    }

    /// Any item, as it is, without deltas.
    pub fn item(mut self, item: Value) -> Self {
        self.added(item.clone());
        self.done(item)
    }

    /// Any event in its place.
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// The events so far, without an end.
    pub fn unfinished(self) -> Vec<Event> {
        self.events
    }

    /// Ends with `response.completed`.
    pub fn completed(mut self) -> Vec<Event> {
        let Tokens { input, cached, output, reasoning } = self.tokens;
        let usage = json!({
            "input_tokens": input, "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": input + output,
        });
        self.of_response("response.completed", "completed", json!({ "usage": usage }));
        self.events
    }

    /// Ends with `response.failed`.
    pub fn failed(mut self, code: &str, message: &str) -> Vec<Event> {
        let error = json!({"error": {"code": code, "message": message}});
        self.of_response("response.failed", "failed", error);
        self.events
    }

    /// Ends with `response.incomplete`.
    pub fn incomplete(mut self, reason: &str) -> Vec<Event> {
        let details = json!({"incomplete_details": {"reason": reason}});
        self.of_response("response.incomplete", "incomplete", details);
        self.events
    }

    fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.id, self.output.len())
    }

    fn added(&mut self, item: Value) {
        self.push(json!({"type": "response.output_item.added", "output_index": self.output.len(), "item": item}));
    }

    fn done(mut self, item: Value) -> Self {
        self.push(json!({"type": "response.output_item.done", "output_index": self.output.len(), "item": item}));
        self.output.push(item);
        self
    }

    fn of_item(&mut self, kind: &str, id: &str, more: Value) {
        let event = json!({"type": kind, "item_id": id, "output_index": self.output.len()});
        self.push(merged(event, more));
    }

    fn of_response(&mut self, kind: &str, status: &str, more: Value) {
        let response = json!({"id": self.id, "object": "response", "status": status, "output": self.output});
        self.push(json!({"type": kind, "response": merged(response, more)}));
    }

    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        self.events.push(Event::json(&event));
    }
}

fn merged(mut value: Value, more: Value) -> Value {
    for (key, more) in more.as_object().into_iter().flatten() {
        value[key] = more.clone();
    }
    value
}

fn within(mut call: Value, namespace: &str) -> Value {
    if !namespace.is_empty() {
        call["namespace"] = json!(namespace);
    }
    call
}

/// A text in so many pieces of about the same number of characters; fewer for a short text, at least one.
fn pieces(text: &str, count: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let size = chars.len().div_ceil(count.max(1)).max(1);
    chars.chunks(size).map(|piece| piece.iter().collect()).collect()
}
