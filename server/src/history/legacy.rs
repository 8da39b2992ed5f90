//! Legacy rollouts: events instead of snapshots, and ids that are counted.

use std::borrow::Cow;

use memchr::memmem;
use sapwood_protocol::app::item::{Content, Item, McpError, McpResult, TextElement, ThreadItem};
use sapwood_protocol::app::turn::TurnStatus;
use sapwood_protocol::{Line, TurnId, View};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::item::{agent_message, hook_fragments, item};
use super::turns::Turns;

/// What is counted over a legacy rollout.
#[derive(Clone, Debug, Default)]
pub(super) struct Legacy {
    /// Items that were given an id by their number.
    items: u64,
    /// Parts of the reasoning that is being collected, which comes in pieces; empty after anything else.
    thought: Option<Thought>,
}

/// A reasoning item in pieces.
#[derive(Clone, Debug)]
struct Thought {
    id: String,
    summary: Vec<String>,
    content: Vec<String>,
}

#[derive(Deserialize)]
struct UserMessage<'a> {
    #[serde(borrow, default)]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(default)]
    images: Option<Vec<String>>,
    #[serde(default)]
    local_images: Vec<String>,
    #[serde(default)]
    audio: Option<Vec<String>>,
    #[serde(default)]
    local_audio: Option<Vec<String>>,
    #[serde(borrow, default)]
    text_elements: Vec<TextElement<'a>>,
}

#[derive(Deserialize)]
struct AgentMessage<'a> {
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    phase: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    memory_citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    text: String,
}

impl Legacy {
    /// Turns were taken back: the next item is counted from what is left.
    pub(super) fn renumber(&mut self, items: u64) {
        self.items = items;
        self.thought = None;
    }

    fn next_id(&mut self) -> String {
        self.items += 1;
        format!("item-{}", self.items)
    }
}

impl Turns {
    /// The open turn, or one that is opened by what stands here.
    pub(super) fn implicit(&mut self, _: &mut Legacy) -> usize {
        if let Some(current) = self.current {
            return current;
        }
        let id = TurnId::from(format!("rollout-{}", self.place).as_str());
        let at = self.open(id, TurnStatus::Completed, false);
        self.current = Some(at);
        at
    }

    pub(super) fn hook_prompt(&mut self, legacy: &mut Legacy, line: &Line) {
        #[derive(Deserialize)]
        struct Message {
            r#type: String,
            #[serde(default)]
            id: Option<String>,
            #[serde(default)]
            role: String,
            #[serde(default)]
            content: Vec<Text>,
        }
        if memmem::find(line.bytes(), b"<hook_prompt ").is_none() {
            return;
        }
        let Ok(message) = line.view().and_then(|view| view.payload::<Message>()) else { return };
        if message.r#type != "message" || message.role != "user" {
            return;
        }
        let text: String = message.content.into_iter().map(|part| part.text).collect();
        if let Some(fragments) = hook_fragments(&text) {
            let id = message.id.unwrap_or_else(|| legacy.next_id());
            self.push(legacy, &Item::HookPrompt { id: id.into(), fragments });
        }
    }

    /// An event that stands for an item.
    pub(super) fn legacy_event(&mut self, legacy: &mut Legacy, view: &View<'_>) {
        let tag = view.tag();
        if !tag.starts_with("agent_reasoning") {
            legacy.thought = None;
        }
        match &*tag {
            "user_message" => {
                if let Ok(event) = view.payload::<UserMessage<'_>>() {
                    self.user_message(legacy, event);
                }
            }
            "agent_message" => {
                let Ok(event) = view.payload::<AgentMessage<'_>>() else { return };
                if !event.message.is_empty() {
                    let id = legacy.next_id().into();
                    let citation = event.memory_citation.map(Cow::Borrowed);
                    self.push(legacy, &agent_message(id, event.message, event.phase, citation));
                }
            }
            "agent_reasoning" => self.thought(legacy, view, |thought| &mut thought.summary),
            "agent_reasoning_raw_content" => self.thought(legacy, view, |thought| &mut thought.content),
            "context_compacted" => {
                let id = legacy.next_id().into();
                self.push(legacy, &Item::ContextCompaction { id });
            }
            "patch_apply_end" => {
                self.snapshot(legacy, view, "FileChange", |event| json!({"id": event.get("call_id")}));
            }
            "mcp_tool_call_end" => self.mcp_ended(legacy, view),
            "web_search_end" => {
                self.snapshot(legacy, view, "WebSearch", |event| json!({"id": event.get("call_id")}));
            }
            "image_generation_end" => {
                self.snapshot(legacy, view, "ImageGeneration", |event| json!({"id": event.get("call_id")}));
            }
            "sub_agent_activity" => {
                self.snapshot(legacy, view, "SubAgentActivity", |event| json!({"id": event.get("event_id")}));
            }
            "entered_review_mode" => {
                let review = review(view, "user_facing_hint").unwrap_or_else(|| "Review requested.".to_owned());
                let id = legacy.next_id().into();
                self.push(legacy, &Item::EnteredReviewMode { id, review: review.into() });
            }
            "exited_review_mode" => {
                let review = review(view, "review_output").unwrap_or_default();
                let id = legacy.next_id().into();
                self.push(legacy, &Item::ExitedReviewMode { id, review: review.into() });
            }
            _ => {}
        }
    }

    fn user_message(&mut self, legacy: &mut Legacy, event: UserMessage<'_>) {
        // Where no line opens turns, each thing said does.
        let implicit = self.current.map(|current| &self.entries[current]).is_some_and(|entry| {
            let only_compacted = entry.compacted && entry.items.is_empty();
            !entry.explicit && !only_compacted
        });
        if implicit {
            self.close();
        }
        let mut content = Vec::new();
        if !event.message.trim().is_empty() {
            content.push(Content::Text { text: event.message, text_elements: event.text_elements });
        }
        let image = |url: String| Content::Image { url: url.into(), detail: None };
        content.extend(event.images.into_iter().flatten().map(image));
        content.extend(event.local_images.into_iter().map(|p| Content::LocalImage { path: p.into(), detail: None }));
        content.extend(event.audio.into_iter().flatten().map(|url| Content::Audio { url: url.into() }));
        content.extend(event.local_audio.into_iter().flatten().map(|p| Content::LocalAudio { path: p.into() }));
        let id = legacy.next_id().into();
        self.push(legacy, &Item::UserMessage { id, client_id: event.client_id, content });
    }

    /// One more piece of what the model thought: pieces that follow one another are one item.
    fn thought(&mut self, legacy: &mut Legacy, view: &View<'_>, part: impl Fn(&mut Thought) -> &mut Vec<String>) {
        let Some(text) = view.payload::<Text>().ok().map(|event| event.text).filter(|text| !text.is_empty()) else {
            return;
        };
        let mut thought = legacy.thought.take().unwrap_or_else(|| Thought {
            id: legacy.next_id(),
            summary: Vec::new(),
            content: Vec::new(),
        });
        part(&mut thought).push(text);
        let texts = |texts: &[String]| texts.iter().map(|text| text.clone().into()).collect();
        let (summary, content) = (texts(&thought.summary), texts(&thought.content));
        self.push(legacy, &Item::Reasoning { id: thought.id.clone().into(), summary, content });
        legacy.thought = Some(thought);
    }

    fn mcp_ended(&mut self, legacy: &mut Legacy, view: &View<'_>) {
        let Ok(event) = view.payload::<Value>() else { return };
        let (Some(id), invocation) = (event["call_id"].as_str(), &event["invocation"]) else { return };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let raw = |value: &Value| to_raw_value(value).ok();
        let ok = event["result"].get("Ok");
        let (content, structured) = match ok {
            Some(ok) => (raw(&ok["content"]), ok.get("structuredContent").and_then(raw)),
            None => (None, None),
        };
        let result = content.map(|content| McpResult {
            content: Cow::Owned(content),
            structured_content: structured.as_deref(),
            meta: None,
        });
        let error = event["result"]["Err"].as_str().map(|message| McpError { message: message.into() });
        let is_error = ok.is_some_and(|ok| ok["isError"] == true || ok["is_error"] == true);
        let status = if error.is_some() || is_error { "failed" } else { "completed" };
        let duration = &event["duration"];
        let millis = duration["secs"].as_u64().map(|secs| {
            secs.saturating_mul(1000).saturating_add(duration["nanos"].as_u64().unwrap_or_default() / 1_000_000)
        });
        let item = Item::McpToolCall {
            id: id.into(),
            server: text(&invocation["server"]).into(),
            tool: text(&invocation["tool"]).into(),
            status: status.into(),
            arguments: raw(&invocation["arguments"]).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned),
            app_context: None,
            mcp_app_resource_uri: event["mcp_app_resource_uri"].as_str().map(Into::into),
            mcp_app_ui: None,
            plugin_id: event["plugin_id"].as_str().map(Into::into),
            read_only_hint: None,
            result,
            error,
            duration_ms: millis,
        };
        self.place_event(legacy, &event, ThreadItem::new(&item, None, None));
    }

    /// An event whose fields are those of a snapshot but for its id.
    fn snapshot(
        &mut self,
        legacy: &mut Legacy,
        view: &View<'_>,
        kind: &str,
        id: impl Fn(&Map<String, Value>) -> Value,
    ) {
        let Ok(mut event) = view.payload::<Map<String, Value>>() else { return };
        let mut named = id(&event);
        if !named["id"].is_string() {
            return;
        }
        event.insert("type".to_owned(), kind.into());
        event.insert("id".to_owned(), named["id"].take());
        if kind == "FileChange" && !event.get("status").is_some_and(Value::is_string) {
            let done = event.get("success").and_then(Value::as_bool).unwrap_or(false);
            event.insert("status".to_owned(), if done { "completed" } else { "failed" }.into());
        }
        let event = Value::Object(event);
        if let Some(item) = to_raw_value(&event).ok().and_then(|core| item(&core, None, None)) {
            self.place_event(legacy, &event, item);
        }
    }

    /// Puts an item into the turn that its event names, or into the open one.
    fn place_event(&mut self, legacy: &mut Legacy, event: &Value, item: ThreadItem) {
        let entry = match event["turn_id"].as_str().filter(|id| !id.is_empty()) {
            Some(id) => self.find(&TurnId::from(id)),
            None => Some(self.implicit(legacy)),
        };
        match entry {
            Some(entry) => self.put(entry, item, None, None),
            None => tracing::warn!(item = item.id(), "an item of a turn that is not there"),
        }
    }

    fn push(&mut self, legacy: &mut Legacy, item: &Item<'_>) {
        let entry = self.implicit(legacy);
        self.put(entry, ThreadItem::new(item, None, None), None, None);
    }
}

/// What an event says of a review: a text, or an object with an explanation.
fn review(view: &View<'_>, key: &str) -> Option<String> {
    let event: Value = parse(view)?;
    let said = &event[key];
    let text = said.as_str().or_else(|| said["overall_explanation"].as_str());
    text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn parse<T: DeserializeOwned>(view: &View<'_>) -> Option<T> {
    view.payload().ok()
}
