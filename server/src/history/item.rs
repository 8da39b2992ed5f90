//! From an item as a rollout keeps it to an item as clients see it: the one conversion, for files and for live events.

mod core;
mod tool;

use std::borrow::Cow;

use sapwood_protocol::app::item::{Content, HookFragment, Item, TextElement, ThreadItem};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The item that a snapshot (`item_completed.item`, with a `type` in PascalCase) is to a client. `None` for one that
/// clients have no kind for, or that lacks what its kind must have.
///
/// Times are milliseconds since 1970; an item that has not ended has no second one.
pub fn item(core: &RawValue, started_ms: Option<u64>, completed_ms: Option<u64>) -> Option<ThreadItem> {
    let item = core::item(core).inspect_err(|error| {
        tracing::debug!(%error, "an item that clients are not shown");
    });
    Some(ThreadItem::new(&item.ok()??, started_ms, completed_ms))
}

/// A piece of what a user said, as a rollout keeps it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
        #[serde(borrow, default)]
        text_elements: Vec<TextElement<'a>>,
    },
    Image {
        #[serde(borrow, alias = "url")]
        image_url: Cow<'a, str>,
        #[serde(borrow, default)]
        detail: Option<Cow<'a, str>>,
    },
    #[serde(alias = "localImage")]
    LocalImage {
        #[serde(borrow)]
        path: Cow<'a, str>,
        #[serde(borrow, default)]
        detail: Option<Cow<'a, str>>,
    },
    Audio {
        #[serde(borrow, alias = "url")]
        audio_url: Cow<'a, str>,
    },
    #[serde(alias = "localAudio")]
    LocalAudio {
        #[serde(borrow)]
        path: Cow<'a, str>,
    },
    Skill {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        path: Cow<'a, str>,
    },
    Mention {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        path: Cow<'a, str>,
    },
}

/// A piece of what a user said. One that this version does not know is passed on as it came.
fn content(raw: &RawValue) -> Content<'_> {
    match serde_json::from_str(raw.get()) {
        Ok(Said::Text { text, text_elements }) => Content::Text { text, text_elements },
        Ok(Said::Image { image_url: url, detail }) => Content::Image { url, detail },
        Ok(Said::LocalImage { path, detail }) => Content::LocalImage { path, detail },
        Ok(Said::Audio { audio_url: url }) => Content::Audio { url },
        Ok(Said::LocalAudio { path }) => Content::LocalAudio { path },
        Ok(Said::Skill { name, path }) => Content::Skill { name, path },
        Ok(Said::Mention { name, path }) => Content::Mention { name, path },
        Err(_) => Content::Other(raw),
    }
}

/// What the model said, with nothing around it.
pub(super) fn agent_message<'a>(
    id: Cow<'a, str>,
    text: Cow<'a, str>,
    phase: Option<Cow<'a, str>>,
    memory_citation: Option<Cow<'a, RawValue>>,
) -> Item<'a> {
    Item::AgentMessage { moderation: None, id, text, phase, memory_citation, delivery: None, questions: None }
}

/// The text of a hook in a user's message: `<hook_prompt hook_run_id="...">...</hook_prompt>`, any number of them and
/// nothing else. That is how a legacy rollout keeps them.
pub(super) fn hook_fragments(text: &str) -> Option<Vec<HookFragment<'static>>> {
    const OPEN: &str = "<hook_prompt hook_run_id=\"";
    const CLOSE: &str = "</hook_prompt>";
    let mut rest = text.trim();
    let mut fragments = Vec::new();
    while !rest.is_empty() {
        let (run, after) = rest.strip_prefix(OPEN)?.split_once("\">")?;
        let (text, after) = after.split_once(CLOSE)?;
        fragments.push(HookFragment { text: unescape(text).into(), hook_run_id: unescape(run).into() });
        rest = after.trim_start();
    }
    (!fragments.is_empty()).then_some(fragments)
}

/// The five entities of XML.
fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(core: &str) -> String {
        let core = RawValue::from_string(core.to_owned()).unwrap();
        item(&core, Some(1), Some(2)).map_or_else(|| "none".to_owned(), |item| item.json().get().to_owned())
    }

    #[test]
    fn what_a_user_said() {
        let core = r#"{"type":"UserMessage","id":"u","client_id":"c","content":[{"type":"text","text":"a","text_elements":[{"byte_range":{"start":0,"end":1},"placeholder":null}]},{"type":"image","image_url":"data:x"},{"type":"local_image","path":"/a.png","detail":"high"},{"type":"mention","name":"n","path":"app://x"},{"type":"newer","x":1}]}"#;
        let shown = r#"{"type":"userMessage","id":"u","clientId":"c","content":[{"type":"text","text":"a","text_elements":[{"byteRange":{"start":0,"end":1},"placeholder":null}]},{"type":"image","url":"data:x"},{"type":"localImage","path":"/a.png","detail":"high"},{"type":"mention","name":"n","path":"app://x"},{"type":"newer","x":1}],"startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
    }

    #[test]
    fn commands_and_patches() {
        let core = r#"{"type":"CommandExecution","id":"c1","process_id":"7","command":["/bin/bash","-lc","cat \"a b\""],"cwd":"file:///work/a%20b","parsed_cmd":[{"type":"read","cmd":"cat x","name":"x","path":"x"},{"type":"list_files","cmd":"ls","path":null},{"type":"search","cmd":"rg y","query":"y","path":"src"},{"type":"unknown","cmd":"z"}],"source":"unified_exec_startup","status":"in_progress","aggregated_output":"","exit_code":null,"duration":null}"#;
        let shown = r#"{"type":"commandExecution","id":"c1","pluginId":null,"scriptPath":null,"command":"/bin/bash -lc 'cat \"a b\"'","cwd":"/work/a b","processId":"7","source":"unifiedExecStartup","status":"inProgress","commandActions":[{"type":"read","command":"cat x","name":"x","path":"/work/a b/x"},{"type":"listFiles","command":"ls","path":null},{"type":"search","command":"rg y","query":"y","path":"src"},{"type":"unknown","command":"z"}],"aggregatedOutput":null,"exitCode":null,"durationMs":null,"startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
        let core = r#"{"type":"FileChange","id":"p","changes":{"/w/b":{"type":"update","unified_diff":"@@\n-a\n+b\n","move_path":"/w/c"},"/w/a":{"type":"add","content":"hi\n"},"/w/d":{"type":"delete","content":"old"}},"status":"failed","stdout":"","stderr":"x"}"#;
        let shown = r#"{"type":"fileChange","id":"p","changes":[{"path":"/w/a","kind":{"type":"add"},"diff":"hi\n"},{"path":"/w/b","kind":{"type":"update","move_path":"/w/c"},"diff":"@@\n-a\n+b\n\n\nMoved to: /w/c"},{"path":"/w/d","kind":{"type":"delete"},"diff":"old"}],"status":"failed","startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
    }

    #[test]
    fn other_agents() {
        let core = r#"{"type":"CollabAgentToolCall","id":"w","tool":"wait","status":"completed","sender_thread_id":"S","receiver_thread_ids":["A","B"],"receiver_agents":[],"agents_states":{"B":"pending_init","A":{"completed":"done"}}}"#;
        let shown = r#"{"type":"collabAgentToolCall","id":"w","tool":"wait","status":"completed","senderThreadId":"S","receiverThreadIds":["A","B"],"prompt":null,"model":null,"reasoningEffort":null,"agentsStates":{"A":{"status":"completed","message":"done"},"B":{"status":"pendingInit","message":null}},"startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
        let core = r#"{"type":"SubAgentActivity","model":"m","reasoning_effort":null,"id":"x","kind":"started","agent_thread_id":"T","agent_path":"/root/a"}"#;
        let shown = r#"{"type":"subAgentActivity","model":"m","reasoningEffort":null,"id":"x","kind":"started","agentThreadId":"T","agentPath":"/root/a","startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
    }

    #[test]
    fn tools_of_servers_and_clients() {
        let core = r#"{"type":"McpToolCall","id":"m","server":"s","tool":"t","arguments":{"a":1},"status":"failed","result":null,"error":{"message":"no"},"duration":{"secs":1,"nanos":5000000}}"#;
        let shown = r#"{"type":"mcpToolCall","id":"m","server":"s","tool":"t","status":"failed","arguments":{"a":1},"appContext":null,"mcpAppResourceUri":null,"mcpAppUi":null,"pluginId":null,"readOnlyHint":null,"result":null,"error":{"message":"no"},"durationMs":1005,"startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
        let core = r#"{"type":"DynamicToolCall","id":"d","namespace":null,"tool":"t","arguments":{},"status":"completed","content_items":[{"type":"inputText","text":"x"}],"success":true,"duration":{"secs":0,"nanos":1000000}}"#;
        let shown = r#"{"type":"dynamicToolCall","id":"d","namespace":null,"tool":"t","arguments":{},"status":"completed","contentItems":[{"type":"inputText","text":"x"}],"success":true,"durationMs":1,"startedAtMs":1,"completedAtMs":2}"#;
        assert_eq!(wire(core), shown);
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        for core in [r#"{"type":"Newer","id":"x"}"#, r#"{"type":"Reasoning"}"#, "[]", "1"] {
            assert_eq!(wire(core), "none", "{core}");
        }
    }

    #[test]
    fn texts_of_hooks_are_recognised_only_alone() {
        let two =
            "<hook_prompt hook_run_id=\"r1\">a &lt; b</hook_prompt>\n<hook_prompt hook_run_id=\"r2\">c</hook_prompt>";
        let found = hook_fragments(two).unwrap();
        let found: Vec<_> = found.iter().map(|f| (&*f.hook_run_id, &*f.text)).collect();
        assert_eq!(found, [("r1", "a < b"), ("r2", "c")]);
        for text in ["", "hello", "<hook_prompt hook_run_id=\"r\">a</hook_prompt> and more", "<hook_prompt>"] {
            assert!(hook_fragments(text).is_none(), "{text}");
        }
    }
}
