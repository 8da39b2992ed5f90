//! What a rule answers: a pure function of the request.

use sapwood_protocol::{Millis, Usage};
use serde_json::Value;

use super::rule::{FailStep, Script, Step, TextStep, UsageStep, requests};
use crate::port::{ModelError, Refusal, Request, Response};
use crate::produce::Produced;
use crate::request::{Entry, RequestView};

/// An answer, before any time has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The id of the response.
    pub id: String,
    /// What happens, in order; nothing follows a failure or a hang.
    pub acts: Vec<Act>,
    /// What the response cost.
    pub usage: Usage,
}

/// Something that happens while a response comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// An item comes in.
    Item(Produced),
    /// So many milliseconds pass.
    Delay(u64),
    /// The response ends in this error.
    Fail(ModelError),
    /// Nothing ever comes.
    Hang,
}

/// What a reply comes to, once its time has passed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A response.
    Response(Response),
    /// An error.
    Error(ModelError),
    /// Nothing, ever.
    Hang,
}

impl Reply {
    /// What the reply comes to. A driver with its own clock lets [`Reply::delay_ms`] pass first.
    pub fn outcome(&self) -> Outcome {
        let mut items = Vec::new();
        for act in &self.acts {
            match act {
                Act::Item(item) => items.push(item.bytes.clone()),
                Act::Delay(_) => {}
                Act::Fail(error) => return Outcome::Error(error.clone()),
                Act::Hang => return Outcome::Hang,
            }
        }
        Outcome::Response(Response::new(self.id.as_str(), items, self.usage))
    }

    /// All delays together, in milliseconds.
    pub fn delay_ms(&self) -> u64 {
        let delays = self.acts.iter().map(|act| if let Act::Delay(ms) = act { *ms } else { 0 });
        delays.fold(0, u64::saturating_add)
    }

    fn refused(message: String) -> Self {
        let error = ModelError::Refused { status: 400, reason: Refusal::BadRequest, message };
        Self { id: "resp_refused".to_owned(), acts: vec![Act::Fail(error)], usage: Usage::default() }
    }
}

impl Script {
    /// The answer to a request: the same for the same request. Where no rule fits, it is an error that says for what.
    pub fn reply(&self, request: &Request) -> Reply {
        let body = request.body.concat();
        match RequestView::parse(&body) {
            Ok(view) => self.reply_to(request, &view),
            Err(error) => Reply::refused(error.to_string()),
        }
    }

    pub(super) fn reply_to(&self, request: &Request, view: &RequestView<'_>) -> Reply {
        let (path, attempt) = (request.origin.path.as_str(), request.origin.attempt);
        match self.rule(path, view.entries(), attempt) {
            Some(rule) => perform(&rule.reply, &Template::new(path, view)),
            None => Reply::refused(format!(
                "no rule of the script fits {path}, attempt {attempt}, last item {}; add a rule for it",
                describe(view.last())
            )),
        }
    }
}

fn describe(entry: Option<&Entry<'_>>) -> String {
    const SHOWN_CHARACTERS: usize = 200;
    let Some(entry) = entry else { return "none (the input is empty)".to_owned() };
    let who = match entry {
        Entry::Message { role, .. } => format!(" of {role}"),
        Entry::Call(call) => format!(" {} of {}", call.call_id, call.name),
        Entry::Output { call_id, .. } => format!(" of {call_id}"),
        Entry::Mail(mail) => format!(" of {}", mail.author),
        Entry::Other { .. } => String::new(),
    };
    let text: String = entry.text().chars().take(SHOWN_CHARACTERS).collect();
    format!("{}{who}: {text:?}", entry.kind())
}

fn perform(steps: &[Step], template: &Template<'_>) -> Reply {
    let mut acts = Vec::new();
    let mut usage = Usage::default();
    for (k, step) in steps.iter().enumerate() {
        let unique = format!("{}_{k}", template.items);
        let call_id = |id: &Option<String>| match id {
            Some(id) => template.fill(id),
            None => format!("call_{unique}"),
        };
        match step {
            Step::Text(text) => {
                let (text, phase, deltas) = match text {
                    TextStep::Plain(text) => (text, None, None),
                    TextStep::Full { text, phase, deltas } => (text, phase.as_deref(), *deltas),
                };
                let text = template.fill(text);
                acts.push(Act::Item(Produced::message(format!("msg_{unique}"), &text, phase, deltas.unwrap_or(1))));
            }
            Step::Reasoning(text) => {
                acts.push(Act::Item(Produced::reasoning(format!("rs_{unique}"), &template.fill(text))));
            }
            Step::Call(call) => {
                let arguments = match &call.arguments {
                    None => "{}".to_owned(),
                    Some(Value::String(raw)) => template.fill(raw),
                    Some(object) => template.fill_json(object).to_string(),
                };
                let namespace = call.namespace.as_deref();
                acts.push(Act::Item(Produced::call(&call_id(&call.id), namespace, &call.name, &arguments)));
            }
            Step::CustomCall(call) => {
                let input = template.fill(&call.input);
                acts.push(Act::Item(Produced::custom_call(&call_id(&call.id), &call.name, &input)));
            }
            Step::Item(item) => {
                acts.push(Act::Item(Produced::raw(format!("item_{unique}"), &template.fill_json(item))));
            }
            Step::DelayMs(ms) => acts.push(Act::Delay(*ms)),
            Step::Usage(said) => usage = said.usage(),
            Step::Fail(fail) => {
                acts.push(Act::Fail(failure(fail, template.fill(&fail.message))));
                break;
            }
            Step::Cut(cut) => {
                if let Some(items) = cut.after_items {
                    let places = acts.iter().enumerate().filter(|(_, act)| matches!(act, Act::Item(_)));
                    let end = places.map(|(i, _)| i).nth(items).unwrap_or(acts.len());
                    acts.truncate(end);
                }
                acts.push(Act::Fail(ModelError::Cut { why: "the script cuts the stream here".to_owned() }));
                break;
            }
            Step::Hang => {
                acts.push(Act::Hang);
                break;
            }
        }
    }
    Reply { id: format!("resp_{}", template.items), acts, usage }
}

/// The statuses at which another try can succeed are those at which HTTP clients commonly try again.
fn failure(fail: &FailStep, message: String) -> ModelError {
    let FailStep { status, retry_after_ms, usage_limit_until_ms: until, .. } = *fail;
    let reason = match status {
        400 | 422 => Refusal::BadRequest,
        401 | 403 => Refusal::Unauthorized,
        404 => Refusal::ModelNotFound,
        _ => Refusal::Other,
    };
    match (status, until) {
        (_, Some(until)) => ModelError::UsageLimited { message, until: Some(Millis(until)) },
        (0 | 408 | 429 | 500..=599, None) => ModelError::Unavailable { status, message, retry_after_ms },
        _ => ModelError::Refused { status, reason, message },
    }
}

impl UsageStep {
    fn usage(self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            cached_input_tokens: self.cached_input_tokens,
            cache_write_input_tokens: self.cache_write_input_tokens,
            output_tokens: self.output_tokens,
            reasoning_output_tokens: self.reasoning_output_tokens,
            total_tokens: self.total_tokens.unwrap_or(self.input_tokens.saturating_add(self.output_tokens)),
        }
    }
}

/// What stands for the words in double braces.
struct Template<'a> {
    path: &'a str,
    n: usize,
    items: usize,
    last_output: &'a str,
}

/// The most letters of one `{{pad:…}}`: several times the largest argument that a test needs.
const MAX_PAD_BYTES: usize = 64 << 20;

impl<'a> Template<'a> {
    fn new(path: &'a str, view: &'a RequestView<'_>) -> Self {
        let entries = view.entries();
        let outputs = entries.iter().rev().filter(|entry| matches!(entry, Entry::Output { .. }));
        let last_output = outputs.map(Entry::text).next().unwrap_or_default();
        Self { path, n: requests(entries).count() + 1, items: entries.len(), last_output }
    }

    /// Replaces the words it knows, once: what a word stands for is not looked at again.
    fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, word, after)) = next_word(rest) {
            filled.push_str(before);
            match word {
                "path" => filled.push_str(self.path),
                "n" => filled.push_str(&self.n.to_string()),
                "items" => filled.push_str(&self.items.to_string()),
                "last_output" => filled.push_str(self.last_output),
                _ => match word.strip_prefix("pad:").and_then(|size| size.parse::<usize>().ok()) {
                    Some(size) => filled.push_str(&"x".repeat(size.min(MAX_PAD_BYTES))),
                    None => filled.push_str(&rest[before.len()..rest.len() - after.len()]),
                },
            }
            rest = after;
        }
        filled + rest
    }

    fn fill_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(values) => values.iter().map(|value| self.fill_json(value)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), self.fill_json(value))).collect(),
            other => other.clone(),
        }
    }
}

/// The first word in double braces: what stands before it, the word, what follows.
fn next_word(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find("{{")?;
    let end = start + text[start..].find("}}")?;
    Some((&text[..start], &text[start + 2..end], &text[end + 2..]))
}
