//! Items of calls that were asked for, in the form of rollouts (`item_completed`). A client's form is made from it.

use std::time::Duration;

use sapwood_protocol::CallId;
use sapwood_protocol::asked::{CommandAsk, ContentItem};
use serde_json::{Value, json};

use super::follow::ItemEnd;

impl ItemEnd {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ItemEnd::Declined => "declined",
            ItemEnd::Failed => "failed",
        }
    }
}

/// A command that waits for an answer, or did not run: `None` while it waits.
pub fn command(call: &CallId, ask: &CommandAsk, end: Option<ItemEnd>) -> Value {
    json!({
        "type": "CommandExecution", "id": call, "process_id": null, "command": ask.command,
        "cwd": format!("file://{}", ask.cwd), "parsed_cmd": ask.actions, "source": "agent",
        "status": end.map_or("in_progress", ItemEnd::name), "aggregated_output": null, "exit_code": null,
        "duration": null,
    })
}

/// A change of files that was not made. `changes` is what it would have been, as the patch says it.
pub fn change(call: &CallId, changes: Value, end: ItemEnd, text: &str) -> Value {
    json!({
        "type": "FileChange", "id": call, "changes": changes, "status": end.name(), "stdout": "", "stderr": text,
    })
}

/// How a call of a client's tool stands.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolStands {
    /// The client has it.
    Waits,
    /// It came back.
    Returned {
        /// With this.
        items: Vec<ContentItem>,
        /// It did what it was to do.
        success: bool,
        /// After so long.
        after: Duration,
    },
    /// The turn ended before.
    Cancelled {
        /// After so long.
        after: Duration,
    },
}

/// A call of a client's tool.
pub fn dynamic(call: &CallId, namespace: Option<&str>, tool: &str, arguments: &Value, stands: &ToolStands) -> Value {
    let mut item = json!({"type": "DynamicToolCall", "id": call});
    if let Some(namespace) = namespace {
        item["namespace"] = json!(namespace);
    }
    item["tool"] = json!(tool);
    item["arguments"] = arguments.clone();
    let (status, items, success, after) = match stands {
        ToolStands::Waits => {
            item["status"] = json!("in_progress");
            return item;
        }
        ToolStands::Returned { items, success, after } => {
            (if *success { "completed" } else { "failed" }, json!(items), *success, after)
        }
        ToolStands::Cancelled { after } => ("failed", json!([]), false, after),
    };
    item["status"] = json!(status);
    item["content_items"] = items;
    item["success"] = json!(success);
    if matches!(stands, ToolStands::Cancelled { .. }) {
        item["error"] = json!("dynamic tool call was cancelled before receiving a response");
    }
    item["duration"] = json!({"secs": after.as_secs(), "nanos": after.subsec_nanos()});
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::asked::Action;

    #[test]
    fn items_are_those_recorded() {
        let call = CallId::from("c");
        let after = Duration::from_nanos(1_300_966);
        let text = |text: &str| vec![ContentItem::InputText { text: text.into() }];
        let table = [
            (
                dynamic(
                    &call,
                    None,
                    "top",
                    &json!({"a": 1}),
                    &ToolStands::Returned { items: text("bad"), success: false, after },
                ),
                r#"{"type":"DynamicToolCall","id":"c","tool":"top","arguments":{"a":1},"status":"failed","content_items":[{"type":"inputText","text":"bad"}],"success":false,"duration":{"secs":0,"nanos":1300966}}"#,
            ),
            (
                dynamic(&call, None, "top", &json!({}), &ToolStands::Cancelled { after }),
                r#"{"type":"DynamicToolCall","id":"c","tool":"top","arguments":{},"status":"failed","content_items":[],"success":false,"error":"dynamic tool call was cancelled before receiving a response","duration":{"secs":0,"nanos":1300966}}"#,
            ),
            (
                change(
                    &call,
                    json!({"/w/in.txt": {"type": "add", "content": "hi\n"}}),
                    ItemEnd::Declined,
                    "patch rejected by user",
                ),
                r#"{"type":"FileChange","id":"c","changes":{"/w/in.txt":{"type":"add","content":"hi\n"}},"status":"declined","stdout":"","stderr":"patch rejected by user"}"#,
            ),
        ];
        for (item, recorded) in table {
            assert_eq!(item.to_string(), recorded);
        }
    }

    #[test]
    fn a_command_that_waits_has_no_end() {
        let ask = CommandAsk {
            command: vec!["/bin/bash".into(), "-lc".into(), "ls".into()],
            cwd: "/w".into(),
            tty: false,
            reason: None,
            actions: vec![Action::ListFiles { cmd: "ls".into(), path: None }],
            unconfined: true,
            permissions: None,
            amendment: None,
            decisions: Vec::new(),
        };
        let item = |status: &str| {
            json!({
                "type": "CommandExecution", "id": "c", "process_id": null, "command": ["/bin/bash", "-lc", "ls"],
                "cwd": "file:///w", "parsed_cmd": [{"type": "list_files", "cmd": "ls", "path": null}],
                "source": "agent", "status": status, "aggregated_output": null, "exit_code": null, "duration": null,
            })
        };
        let call = CallId::from("c");
        assert_eq!(command(&call, &ask, None), item("in_progress"));
        assert_eq!(command(&call, &ask, Some(ItemEnd::Declined)), item("declined"));
        assert_eq!(command(&call, &ask, Some(ItemEnd::Failed)), item("failed"));
    }
}
