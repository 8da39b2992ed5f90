//! `thread/inject_items`: items of the Responses API that a client puts into a thread's history.

use std::sync::Arc;

use sapwood_protocol::app::change::{Done, ThreadInjectItemsParams};
use sapwood_protocol::ids::InputId;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use uuid::Uuid;

use super::turns::{refused, takes_input};
use crate::app::AppServer;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![Method::new("thread/inject_items", inject)]
}

async fn inject(app: Arc<AppServer>, call: Call, reply: Reply) {
    let injected = (|| {
        let params: ThreadInjectItemsParams = call.params()?;
        let (tree, seat) = app.loaded(&params.thread_id)?;
        takes_input(&seat)?;
        if params.items.is_empty() {
            return Err(RpcError::invalid("items must not be empty"));
        }
        for (at, item) in params.items.iter().enumerate() {
            check(item).map_err(|why| RpcError::invalid(format!("items[{at}] is not a valid response item: {why}")))?;
        }
        let items = params.items.into_iter().map(named).collect();
        tree.tree.inject(&seat, InputId::from(Uuid::new_v4()), items).map_err(refused)?;
        Ok(Done {})
    })();
    reply.send(injected);
}

/// Items that a history can hold, with what each of them needs.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "only whether it can be read counts")]
enum ResponseItem {
    Message { role: String, content: Vec<Part> },
    AgentMessage { author: String, recipient: String, content: Vec<Part> },
    Reasoning { summary: Vec<Part> },
    LocalShellCall { status: String, action: IgnoredAny },
    FunctionCall { name: String, arguments: String, call_id: String },
    FunctionCallOutput { call_id: String, output: IgnoredAny },
    CustomToolCall { call_id: String, name: String, input: String },
    CustomToolCallOutput { call_id: String, output: IgnoredAny },
    ToolSearchCall { execution: String, arguments: IgnoredAny },
    ToolSearchOutput { status: String, execution: String, tools: Vec<IgnoredAny> },
    WebSearchCall {},
    ImageGenerationCall { id: String, status: String, result: String },
    Compaction { encrypted_content: String },
    AdditionalTools { role: String, tools: Vec<IgnoredAny> },
}

/// A part of a message: its kind says what it holds.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether it can be read counts")]
struct Part {
    r#type: String,
}

/// Says what is wrong with an item, without a position: there is none in a value.
fn check(item: &Value) -> Result<(), String> {
    ResponseItem::deserialize(item).map(drop).map_err(|error| error.to_string())
}

/// An item has an id that begins with its kind, as those have that came from a provider.
fn named(mut item: Value) -> Value {
    let prefix = match item["type"].as_str() {
        Some("message") => "msg",
        Some("agent_message") => "amsg",
        Some("reasoning") => "rs",
        Some("function_call") => "fc",
        Some("function_call_output") => "fco",
        Some("custom_tool_call") => "ctc",
        Some("custom_tool_call_output") => "ctco",
        _ => return item,
    };
    if let Some(fields) = item.as_object_mut()
        && !fields.get("id").is_some_and(Value::is_string)
    {
        fields.insert("id".into(), format!("{prefix}_{}", Uuid::new_v4()).into());
    }
    item
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_an_item_is_said_as_clients_know_it() {
        let table = [
            (json!({}), Some("missing field `type`")),
            (json!("x"), Some("invalid type: string \"x\", expected internally tagged enum ResponseItem")),
            (json!({"type": "message"}), Some("missing field `role`")),
            (json!({"type": "message", "role": "user"}), Some("missing field `content`")),
            (
                json!({"type": "message", "role": "user", "content": "text"}),
                Some("invalid type: string \"text\", expected a sequence"),
            ),
            (json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}), None),
            (json!({"type": "function_call", "call_id": "c", "name": "x", "arguments": "{}"}), None),
            (json!({"type": "function_call_output", "call_id": "c", "output": "o"}), None),
            (json!({"type": "reasoning", "summary": [], "encrypted_content": "b3BhcXVl"}), None),
        ];
        for (item, why) in table {
            assert_eq!(check(&item).err().as_deref(), why, "{item}");
        }
        let unknown = check(&json!({"type": "nope"})).unwrap_err();
        assert!(unknown.starts_with("unknown variant `nope`, expected one of `message`, "), "{unknown}");
    }

    #[test]
    fn an_item_without_an_id_gets_one() {
        let item = named(json!({"type": "function_call_output", "call_id": "c", "output": "o"}));
        assert!(item["id"].as_str().is_some_and(|id| id.starts_with("fco_")), "{item}");
        let own = json!({"type": "message", "id": "msg_1", "role": "user", "content": []});
        assert_eq!(named(own.clone()), own);
    }
}
