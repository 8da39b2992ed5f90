//! A read-only view of a request body, for models that must look into it.
//!
//! It is parsed once, borrows from the bytes, and keeps what such a model needs: who said what, which calls have
//! which outputs, what mail came, and which tools are offered. Items it does not know stay in their place.

use std::borrow::Cow;

use sapwood_protocol::item::{MailKind, mail_header};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request body, looked into.
#[derive(Clone, Debug)]
pub struct RequestView<'a> {
    model: Cow<'a, str>,
    input: &'a RawValue,
    entries: Vec<Entry<'a>>,
    tools: Vec<Tool>,
}

/// Why a body is no request.
#[derive(Debug, thiserror::Error)]
#[error("the request body is no Responses request: {0}; it must be a JSON object with an `input` array")]
pub struct ViewError(#[from] serde_json::Error);

/// One item of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message of a user, a developer or an assistant: its text parts, joined.
    Message {
        /// `user`, `developer`, `assistant` or `system`.
        role: Cow<'a, str>,
        /// What is said.
        text: String,
    },
    /// A tool call of the model.
    Call(Call<'a>),
    /// The output of a tool call.
    Output {
        /// The call it answers.
        call_id: Cow<'a, str>,
        /// What the model reads.
        text: String,
    },
    /// Mail of another agent.
    Mail(Mail<'a>),
    /// Any other item, by its type; empty for what is no item at all.
    Other {
        /// Its type.
        kind: Cow<'a, str>,
    },
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// What pairs it with its output.
    pub call_id: Cow<'a, str>,
    /// The tool.
    pub name: Cow<'a, str>,
    /// The tool's namespace.
    pub namespace: Option<Cow<'a, str>>,
    /// The arguments of a function call (a text that should hold JSON), or the input of a custom call.
    pub arguments: Cow<'a, str>,
}

/// Mail of another agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail<'a> {
    /// The path of its author.
    pub author: Cow<'a, str>,
    /// What kind of mail; `None` where the header names none that we know.
    pub kind: Option<MailKind>,
    /// What it says, without the header.
    pub payload: String,
}

/// A tool that the request offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The namespace it is in.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

#[derive(Deserialize)]
struct RawBody<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    call_id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Cow<'a, str>,
    #[serde(default)]
    input: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    author: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    encrypted_content: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawTool<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
}

impl<'a> RequestView<'a> {
    /// Looks into a body. Items and tools of unknown shape are no error.
    pub fn parse(body: &'a [u8]) -> Result<Self, ViewError> {
        let raw: RawBody<'a> = serde_json::from_slice(body)?;
        let items: Vec<&'a RawValue> = serde_json::from_str(raw.input.get())?;
        let mut tools = offered(&raw.tools);
        let mut entries = Vec::with_capacity(items.len());
        for item in items {
            match serde_json::from_str::<RawItem<'a>>(item.get()) {
                Ok(item) => {
                    tools.extend(offered(&item.tools));
                    entries.push(entry(item));
                }
                Err(_) => entries.push(Entry::Other { kind: Cow::Borrowed("") }),
            }
        }
        Ok(Self { model: raw.model, input: raw.input, entries, tools })
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The input as it stands in the body: a JSON array.
    pub fn input(&self) -> &'a RawValue {
        self.input
    }

    /// The items of the input, in order.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The last item of the input.
    pub fn last(&self) -> Option<&Entry<'a>> {
        self.entries.last()
    }

    /// The tools that are offered, those in namespaces and in `additional_tools` items included.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// True if this tool is offered.
    pub fn offers(&self, namespace: Option<&str>, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name && tool.namespace.as_deref() == namespace)
    }

    /// The call with this id: the last, should an id repeat.
    pub fn call(&self, call_id: &str) -> Option<&Call<'a>> {
        find_call(&self.entries, call_id)
    }

    /// The output of the call with this id: the last, should there be several.
    pub fn output_of(&self, call_id: &str) -> Option<&str> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Output { call_id: id, text } if id == call_id => Some(text.as_str()),
            _ => None,
        })
    }
}

/// The last call with this id among `entries`.
pub(crate) fn find_call<'e, 'a>(entries: &'e [Entry<'a>], call_id: &str) -> Option<&'e Call<'a>> {
    entries.iter().rev().find_map(|entry| match entry {
        Entry::Call(call) if call.call_id == call_id => Some(call),
        _ => None,
    })
}

impl Entry<'_> {
    /// The item's type, as the API names it; calls and outputs of custom tools count as those of functions.
    pub fn kind(&self) -> &str {
        match self {
            Entry::Message { .. } => "message",
            Entry::Call(_) => "function_call",
            Entry::Output { .. } => "function_call_output",
            Entry::Mail(_) => "agent_message",
            Entry::Other { kind } => kind,
        }
    }

    /// What it says: text, arguments, output or payload.
    pub fn text(&self) -> &str {
        match self {
            Entry::Message { text, .. } | Entry::Output { text, .. } => text,
            Entry::Call(call) => &call.arguments,
            Entry::Mail(mail) => &mail.payload,
            Entry::Other { .. } => "",
        }
    }

    /// True for what a model wrote: where such items begin, a request ended.
    pub fn is_of_model(&self) -> bool {
        match self {
            Entry::Message { role, .. } => role == "assistant",
            Entry::Call(_) => true,
            Entry::Output { .. } | Entry::Mail(_) => false,
            Entry::Other { kind } => kind == "reasoning" || kind.ends_with("_call"),
        }
    }

    /// True for what starts a turn: a user's message, or a task by mail.
    pub fn starts_turn(&self) -> bool {
        match self {
            Entry::Message { role, .. } => role == "user",
            Entry::Mail(mail) => mail.kind == Some(MailKind::NewTask),
            _ => false,
        }
    }
}

fn entry(item: RawItem<'_>) -> Entry<'_> {
    match &*item.kind {
        "message" => Entry::Message { role: item.role, text: parts(item.content).0 },
        "function_call" | "custom_tool_call" => Entry::Call(Call {
            call_id: item.call_id,
            name: item.name,
            namespace: item.namespace,
            arguments: item.input.unwrap_or(item.arguments),
        }),
        "function_call_output" | "custom_tool_call_output" => {
            Entry::Output { call_id: item.call_id, text: parts(item.output).0 }
        }
        "agent_message" => {
            let (text, encrypted) = parts(item.content);
            let (kind, inline) = mail_header(&text);
            Entry::Mail(Mail { author: item.author, kind, payload: inline.to_owned() + &encrypted })
        }
        _ => Entry::Other { kind: item.kind },
    }
}

/// Text and encrypted text of a content: a string, or an array of parts.
fn parts(content: Option<&RawValue>) -> (String, String) {
    let Some(content) = content.map(RawValue::get) else { return Default::default() };
    if let Ok(text) = serde_json::from_str::<String>(content) {
        return (text, String::new());
    }
    let parts: Vec<RawPart<'_>> = serde_json::from_str(content).unwrap_or_default();
    (parts.iter().map(|p| &*p.text).collect(), parts.iter().map(|p| &*p.encrypted_content).collect())
}

fn offered(tools: &[&RawValue]) -> Vec<Tool> {
    fn named<'t>(raw: &'t RawValue) -> Option<RawTool<'t>> {
        serde_json::from_str(raw.get()).ok()
    }
    let mut offered = Vec::new();
    for tool in tools.iter().filter_map(|raw| named(raw)) {
        if tool.kind == "namespace" {
            let inner = tool.tools.iter().filter_map(|raw| named(raw));
            offered.extend(
                inner.map(|inner| Tool {
                    namespace: Some(tool.name.clone().into_owned()),
                    name: inner.name.into_owned(),
                }),
            );
        } else {
            offered.push(Tool { namespace: None, name: tool.name.into_owned() });
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_read() {
        let body = br#"{"model":"m","input":[
            {"type":"message","role":"user","content":[{"type":"input_text","text":"a\n"},{"type":"input_text","text":"b"}]},
            {"type":"function_call","id":"fc_1","name":"spawn_agent","namespace":"collaboration","arguments":"{\"x\": 1}","call_id":"c1"},
            {"type":"function_call_output","id":"fco_1","call_id":"c1","output":"ok"},
            {"type":"custom_tool_call","id":"ctc","status":"completed","call_id":"c2","name":"apply_patch","input":"P"},
            {"type":"custom_tool_call_output","id":"ctco","call_id":"c2","output":[{"type":"input_text","text":"done"}]},
            {"type":"agent_message","author":"/root","recipient":"/root/a","content":[{"type":"input_text","text":"Message Type: NEW_TASK\nTask name: /root/a\nSender: /root\nPayload:\n"},{"type":"encrypted_content","encrypted_content":"T"}]},
            {"type":"agent_message","author":"/root/a","recipient":"/root","content":[{"type":"input_text","text":"Message Type: FINAL_ANSWER\nTask name: /root\nSender: /root/a\nPayload:\n11"}]},
            {"type":"reasoning","id":"rs","summary":[],"content":null},
            7],
            "tools":[{"type":"function","name":"exec_command"},{"type":"namespace","name":"collaboration","tools":[{"type":"function","name":"wait_agent"}]},"odd"]}"#;
        let view = RequestView::parse(body).unwrap();
        assert_eq!(view.model(), "m");
        let mail = |author: &'static str, kind, payload: &str| {
            Entry::Mail(Mail { author: author.into(), kind: Some(kind), payload: payload.to_owned() })
        };
        assert_eq!(
            view.entries(),
            [
                Entry::Message { role: "user".into(), text: "a\nb".to_owned() },
                Entry::Call(Call {
                    call_id: "c1".into(),
                    name: "spawn_agent".into(),
                    namespace: Some("collaboration".into()),
                    arguments: "{\"x\": 1}".into(),
                }),
                Entry::Output { call_id: "c1".into(), text: "ok".to_owned() },
                Entry::Call(Call {
                    call_id: "c2".into(),
                    name: "apply_patch".into(),
                    namespace: None,
                    arguments: "P".into(),
                }),
                Entry::Output { call_id: "c2".into(), text: "done".to_owned() },
                mail("/root", MailKind::NewTask, "T"),
                mail("/root/a", MailKind::FinalAnswer, "11"),
                Entry::Other { kind: "reasoning".into() },
                Entry::Other { kind: "".into() },
            ]
        );
        assert_eq!(view.last().unwrap().kind(), "");
        assert_eq!(view.output_of("c1"), Some("ok"));
        assert_eq!(view.call("c2").unwrap().name, "apply_patch");
        assert!(view.offers(None, "exec_command") && view.offers(Some("collaboration"), "wait_agent"));
        assert!(!view.offers(None, "wait_agent"));
    }

    #[test]
    fn what_is_no_request() {
        for body in [&b"[]"[..], b"{}", b"{\"input\":1}", b"\xff"] {
            assert!(RequestView::parse(body).unwrap_err().to_string().contains("no Responses request"));
        }
    }
}
