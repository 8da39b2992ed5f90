//! The events of one response, as a machine without I/O: events in, deltas and the finished response out.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sapwood_protocol::{ItemId, RateLimits};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::fault::Fault;
use crate::http::limits;
use crate::http::reroute::is_same_model;
use crate::http::wire::{Raw, Wire, WireItem, WireResponse, bytes_of, object, usage_of};
use crate::port::{Delta, Response, SafetyBuffering, ToolName};

/// What the headers of a response say of its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preface {
    /// The model that answers (`openai-model`).
    pub(crate) model: Option<String>,
    /// A person is to be shown that the provider holds output back.
    pub(crate) show_buffering: bool,
    /// A model that would answer sooner, if it does.
    pub(crate) faster_model: Option<String>,
    /// The account's limits.
    pub(crate) limits: Option<RateLimits>,
}

/// Why a response ends without being one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// An event is not what its protocol says: what is wrong with it.
    Malformed(String),
    /// The provider gave up.
    Failed(Box<Fault>),
    /// The provider ended it early: its reason.
    Incomplete(String),
}

/// One response that comes in.
#[derive(Debug)]
pub(crate) struct Machine {
    asked: String,
    preface: Preface,
    id: String,
    /// Items that began and are not done, by id, with their place in the output.
    open: BTreeMap<String, Option<u64>>,
    /// The item that began last.
    latest: Option<String>,
    done: Vec<Done>,
    done_ids: BTreeSet<String>,
    buffering: Option<SafetyBuffering>,
    served: Option<String>,
    finished: Option<Response>,
}

/// An item that is done.
#[derive(Debug)]
struct Done {
    index: Option<u64>,
    bytes: Bytes,
}

impl Machine {
    /// For a response to a request that asked for `model`.
    pub(crate) fn new(model: &str, preface: Preface, tell: &mut dyn FnMut(Delta)) -> Self {
        let mut machine = Self {
            asked: model.to_owned(),
            preface,
            id: String::new(),
            open: BTreeMap::new(),
            latest: None,
            done: Vec::new(),
            done_ids: BTreeSet::new(),
            buffering: None,
            served: None,
            finished: None,
        };
        machine.serves(machine.preface.model.clone(), tell);
        machine
    }

    /// The response, once its last event is in.
    pub(crate) fn finished(&mut self) -> Option<Response> {
        self.finished.take()
    }

    /// How many items are done.
    pub(crate) fn items(&self) -> usize {
        self.done.len()
    }

    /// Takes an event in: its name, where the stream gives one, and its data.
    pub(crate) fn event(&mut self, name: &[u8], data: &[u8], tell: &mut dyn FnMut(Delta)) -> Result<(), Failure> {
        if data == b"[DONE]" || data.is_empty() {
            return Ok(());
        }
        let event: Wire<'_> = object(data).map_err(|why| malformed(name, &why))?;
        let kind = event.kind.text().unwrap_or_else(|| String::from_utf8_lossy(name).into_owned());
        self.asides(&event, tell);
        match kind.as_str() {
            "response.output_item.added" => self.item_added(&event, tell),
            "response.output_item.done" => {
                let item = event.item.0.ok_or_else(|| malformed(kind.as_bytes(), "it has no item"))?;
                self.item_done(item, event.output_index.number(), tell)?;
            }
            "response.completed" => return self.completed(event.response, tell),
            "response.incomplete" => return Err(Failure::Incomplete(incomplete_reason(event.response))),
            "response.failed" => {
                let response: WireResponse<'_> = event.response.object().unwrap_or_default();
                return Err(failed(response.error.read()));
            }
            "error" => return Err(failed(serde_json::from_slice(data).ok())),
            "codex.rate_limits" => limits::merge(&mut self.preface.limits, limits::from_event(data)),
            _ => {
                if let Some(delta) = self.delta(&kind, &event) {
                    tell(delta);
                }
            }
        }
        Ok(())
    }

    /// What any event may say beside what it is for.
    fn asides(&mut self, event: &Wire<'_>, tell: &mut dyn FnMut(Delta)) {
        let response: WireResponse<'_> = event.response.object().unwrap_or_default();
        if let Some(id) = response.id.text() {
            self.id = id;
        }
        for headers in [event.headers, response.headers] {
            self.serves(Raw(headers.member("openai-model")).text(), tell);
        }
        self.serves(response.model.text(), tell);
        for buffering in [event.safety_buffering, response.safety_buffering] {
            self.buffers(buffering, tell);
        }
        for metadata in [event.metadata, response.metadata] {
            if let Some(moderation) = metadata.member("openai_chatgpt_moderation_metadata") {
                tell(Delta::Moderation(bytes_of(moderation)));
            }
        }
    }

    fn serves(&mut self, model: Option<String>, tell: &mut dyn FnMut(Delta)) {
        let Some(model) = model.filter(|model| !model.is_empty()) else { return };
        let before = self.served.as_deref().unwrap_or(&self.asked);
        if !is_same_model(before, &model) && !is_same_model(&self.asked, &model) {
            self.served = Some(model.clone());
            tell(Delta::Rerouted { model });
        }
    }

    fn buffers(&mut self, buffering: Raw<'_>, tell: &mut dyn FnMut(Delta)) {
        if buffering.0.is_none() {
            return;
        }
        let texts = |key: &str| Raw(buffering.member(key)).read::<Vec<String>>().unwrap_or_default();
        let text = |key: &str| Raw(buffering.member(key)).text();
        let told = SafetyBuffering {
            use_cases: texts("use_cases"),
            reasons: texts("reasons"),
            show: self.preface.show_buffering || Raw(buffering.member("show_buffering_ui")).read() == Some(true),
            faster_model: text("retry_model").or_else(|| self.preface.faster_model.clone()),
        };
        if self.buffering.as_ref() != Some(&told) {
            self.buffering = Some(told.clone());
            tell(Delta::SafetyBuffering(told));
        }
    }

    fn item_added(&mut self, event: &Wire<'_>, tell: &mut dyn FnMut(Delta)) {
        if let Some(item) = event.item.object::<WireItem<'_>>() {
            let index = event.output_index.number();
            let id = item.id.text().unwrap_or_else(|| self.name_of(index));
            self.start(id, &item, index, tell);
        }
    }

    fn start(&mut self, id: String, item: &WireItem<'_>, index: Option<u64>, tell: &mut dyn FnMut(Delta)) {
        if self.open.contains_key(&id) || self.done_ids.contains(&id) {
            return;
        }
        let kind = item.kind.text().unwrap_or_default();
        let named = |name| ToolName { namespace: item.namespace.text().unwrap_or_default(), name };
        let tool = item.name.text().filter(|_| kind.ends_with("_call")).map(named);
        tell(Delta::ItemStarted { item: ItemId::from(id.as_str()), kind, tool });
        self.latest = Some(id.clone());
        self.open.insert(id, index);
    }

    fn item_done(&mut self, raw: &RawValue, index: Option<u64>, tell: &mut dyn FnMut(Delta)) -> Result<(), Failure> {
        let item: WireItem<'_> = object(raw.get().as_bytes())
            .map_err(|why| malformed(b"response.output_item.done", &format!("of its item: {why}")))?;
        let id = item.id.text().unwrap_or_else(|| self.name_of(index));
        if self.done_ids.contains(&id) {
            return Ok(());
        }
        self.start(id.clone(), &item, index, tell);
        self.open.remove(&id);
        self.done.push(Done { index, bytes: bytes_of(raw) });
        tell(Delta::ItemDone { item: ItemId::from(id.as_str()) });
        self.done_ids.insert(id);
        Ok(())
    }

    /// The id of an item that has none: its place.
    fn name_of(&self, index: Option<u64>) -> String {
        format!("item_{}", index.unwrap_or(self.done.len() as u64))
    }

    fn delta(&self, kind: &str, event: &Wire<'_>) -> Option<Delta> {
        let item = ItemId::from(self.open_item(event)?);
        let text = || event.delta.text().filter(|text| !text.is_empty());
        let part = |index: Raw<'_>| index.number().unwrap_or(0);
        Some(match kind {
            "response.output_text.delta" => Delta::Text { item, text: text()? },
            "response.reasoning_summary_part.added" => Delta::ReasoningPart { item, part: part(event.summary_index) },
            "response.reasoning_summary_text.delta" => {
                Delta::Reasoning { item, part: part(event.summary_index), text: text()? }
            }
            "response.reasoning_text.delta" => {
                Delta::RawReasoning { item, part: part(event.content_index), text: text()? }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                Delta::Arguments { item, text: text()? }
            }
            _ => return None,
        })
    }

    /// The open item that an event is of: by its id, else by its place, else the one that began last.
    fn open_item(&self, event: &Wire<'_>) -> Option<&str> {
        let id = match (event.item_id.text(), event.output_index.number()) {
            (Some(id), _) => self.open.get_key_value(&id).map(|(id, _)| id),
            (None, Some(index)) => self.open.iter().find(|(_, at)| **at == Some(index)).map(|(id, _)| id),
            (None, None) => self.latest.as_ref().filter(|id| self.open.contains_key(*id)),
        };
        id.map(String::as_str)
    }

    fn completed(&mut self, response: Raw<'_>, tell: &mut dyn FnMut(Delta)) -> Result<(), Failure> {
        let said: WireResponse<'_> =
            response.object().ok_or_else(|| malformed(b"response.completed", "it has no response"))?;
        let output: Vec<&RawValue> = said.output.read().unwrap_or_default();
        // A provider may number items anew in here: what was brought as often as it is listed is all there.
        if output.len() > self.done.len() {
            for (index, item) in (0..).zip(output) {
                if !self.done.iter().any(|done| done.index == Some(index)) {
                    self.item_done(item, Some(index), tell)?;
                }
            }
        }
        let mut done = std::mem::take(&mut self.done);
        if done.iter().all(|item| item.index.is_some()) {
            done.sort_by_key(|item| item.index);
        }
        self.finished = Some(Response {
            id: std::mem::take(&mut self.id),
            items: done.into_iter().map(|item| item.bytes).collect(),
            usage: usage_of(said.usage),
            limits: self.preface.limits.take().map(Box::new),
        });
        Ok(())
    }
}

fn failed(error: Option<Value>) -> Failure {
    Failure::Failed(Box::new(error.map(|error| Fault::of(&error)).unwrap_or_default()))
}

fn incomplete_reason(response: Raw<'_>) -> String {
    let response: WireResponse<'_> = response.object().unwrap_or_default();
    Raw(response.incomplete_details.member("reason")).text().unwrap_or_else(|| "unknown".to_owned())
}

fn malformed(kind: &[u8], why: &str) -> Failure {
    let kind = if kind.is_empty() { b"without a name" } else { kind };
    Failure::Malformed(format!("malformed event {}: {why}", String::from_utf8_lossy(kind)))
}
