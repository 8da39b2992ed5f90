//! The kinds of snapshots, and what each of them is to a client.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sapwood_protocol::app::item::{HookFragment, Item};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tool::{self, Changes, Duration, WebAction};
use super::{agent_message, content};
use crate::history::peek::word;

type Text<'a> = Cow<'a, str>;

/// A snapshot. Fields that clients do not get are not read.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
}

/// Most snapshots begin with these two, and need not be read to their end for them.
fn quick(json: &[u8]) -> Option<Kind<'_>> {
    let (kind, rest) = word(json.strip_prefix(b"{\"type\":\"")?)?;
    let (id, _) = word(rest.strip_prefix(b",\"id\":\"")?)?;
    Some(Kind { kind: kind.into(), id: id.into() })
}

#[derive(Deserialize)]
struct UserMessage<'a> {
    #[serde(borrow, default)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct HookPrompt<'a> {
    #[serde(borrow)]
    fragments: Vec<HookFragment<'a>>,
}

#[derive(Deserialize)]
struct AgentMessage<'a> {
    #[serde(borrow)]
    content: Vec<TextPart<'a>>,
    #[serde(borrow, default)]
    phase: Option<Text<'a>>,
    #[serde(borrow, default)]
    memory_citation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    moderation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delivery: Option<&'a RawValue>,
    #[serde(borrow, default)]
    questions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TextPart<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

#[derive(Deserialize)]
struct Plan<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    summary_text: Vec<Text<'a>>,
    #[serde(borrow, default)]
    raw_content: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct FunctionCallOutput<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    output: &'a RawValue,
}

#[derive(Deserialize)]
struct CommandExecution<'a> {
    #[serde(borrow, default)]
    plugin_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    script_path: Option<Text<'a>>,
    #[serde(borrow)]
    command: Vec<Text<'a>>,
    #[serde(borrow, default)]
    cwd: Text<'a>,
    #[serde(borrow, default)]
    process_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    source: Option<Text<'a>>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, default)]
    parsed_cmd: Vec<tool::Parsed<'a>>,
    #[serde(borrow, default)]
    aggregated_output: Option<Text<'a>>,
    #[serde(default)]
    exit_code: Option<i64>,
    #[serde(default)]
    duration: Option<Duration>,
}

#[derive(Deserialize)]
struct FileChange<'a> {
    #[serde(borrow, default)]
    changes: Changes<'a>,
    #[serde(borrow, default)]
    status: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct McpToolCall<'a> {
    #[serde(borrow)]
    server: Text<'a>,
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    app_context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    mcp_app_resource_uri: Option<Text<'a>>,
    #[serde(borrow, default)]
    mcp_app_ui: Option<&'a RawValue>,
    #[serde(borrow, default)]
    plugin_id: Option<Text<'a>>,
    #[serde(default)]
    read_only_hint: Option<bool>,
    #[serde(borrow, default)]
    result: Option<tool::McpResult<'a>>,
    #[serde(borrow, default)]
    error: Option<tool::McpError<'a>>,
    #[serde(default)]
    duration: Option<Duration>,
}

#[derive(Deserialize)]
struct DynamicToolCall<'a> {
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow)]
    arguments: &'a RawValue,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, default)]
    content_items: Option<&'a RawValue>,
    #[serde(default)]
    success: Option<bool>,
    #[serde(default)]
    duration: Option<Duration>,
}

#[derive(Deserialize)]
struct CollabAgentToolCall<'a> {
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    sender_thread_id: Text<'a>,
    #[serde(borrow, default)]
    receiver_thread_ids: Vec<Text<'a>>,
    #[serde(borrow, default)]
    prompt: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_effort: Option<Text<'a>>,
    #[serde(borrow, default)]
    agents_states: BTreeMap<Text<'a>, &'a RawValue>,
}

#[derive(Deserialize)]
struct SubAgentActivity<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_effort: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    agent_thread_id: Text<'a>,
    #[serde(borrow)]
    agent_path: Text<'a>,
}

#[derive(Deserialize)]
struct WebSearch<'a> {
    #[serde(borrow, default)]
    query: Text<'a>,
    #[serde(borrow, default)]
    action: Option<WebAction<'a>>,
    #[serde(borrow, default)]
    results: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ImageView<'a> {
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Deserialize)]
struct Sleep {
    #[serde(default)]
    duration_ms: Option<u64>,
    #[serde(default)]
    duration: Option<Duration>,
}

#[derive(Deserialize)]
struct ImageGeneration<'a> {
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    revised_prompt: Option<Text<'a>>,
    #[serde(borrow, default)]
    result: Text<'a>,
    #[serde(borrow, default)]
    saved_path: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ReviewMode<'a> {
    #[serde(borrow, default, alias = "user_facing_hint")]
    review: Text<'a>,
}

/// Reads a snapshot; `None` for a kind that this version does not know.
pub(super) fn item(core: &RawValue) -> serde_json::Result<Option<Item<'_>>> {
    let json = core.get();
    let Kind { kind, id } = match quick(json.as_bytes()) {
        Some(kind) => kind,
        None => serde_json::from_str(json)?,
    };
    Ok(Some(match &*kind {
        "UserMessage" => {
            let core: UserMessage<'_> = serde_json::from_str(json)?;
            let content = core.content.into_iter().map(content).collect();
            Item::UserMessage { id, client_id: core.client_id, content }
        }
        "HookPrompt" => {
            let core: HookPrompt<'_> = serde_json::from_str(json)?;
            Item::HookPrompt { id, fragments: core.fragments }
        }
        "AgentMessage" => said(id, serde_json::from_str(json)?),
        "Plan" => {
            let core: Plan<'_> = serde_json::from_str(json)?;
            Item::Plan { id, text: core.text }
        }
        "Reasoning" => {
            let core: Reasoning<'_> = serde_json::from_str(json)?;
            Item::Reasoning { id, summary: core.summary_text, content: core.raw_content }
        }
        "FunctionCallOutput" => {
            let FunctionCallOutput { name, namespace, output } = serde_json::from_str(json)?;
            Item::FunctionCallOutput { id, name, namespace, output: Cow::Borrowed(output) }
        }
        "CommandExecution" => command(id, serde_json::from_str(json)?),
        "FileChange" => {
            let core: FileChange<'_> = serde_json::from_str(json)?;
            let status = core.status.map_or("inProgress".into(), tool::camel);
            Item::FileChange { id, changes: tool::changes(core.changes), status }
        }
        "McpToolCall" => mcp(id, serde_json::from_str(json)?),
        "DynamicToolCall" => {
            let core: DynamicToolCall<'_> = serde_json::from_str(json)?;
            Item::DynamicToolCall {
                id,
                namespace: core.namespace,
                tool: core.tool,
                arguments: Cow::Borrowed(core.arguments),
                status: tool::camel(core.status),
                content_items: core.content_items.map(tool::content_items),
                success: core.success,
                duration_ms: core.duration.map(Duration::millis),
            }
        }
        "CollabAgentToolCall" => {
            let core: CollabAgentToolCall<'_> = serde_json::from_str(json)?;
            Item::CollabAgentToolCall {
                id,
                tool: tool::camel(core.tool),
                status: tool::camel(core.status),
                sender_thread_id: core.sender_thread_id,
                receiver_thread_ids: core.receiver_thread_ids,
                prompt: core.prompt,
                model: core.model,
                reasoning_effort: core.reasoning_effort,
                agents_states: core.agents_states.into_iter().map(|(id, raw)| (id, tool::agent_state(raw))).collect(),
            }
        }
        "SubAgentActivity" => {
            let core: SubAgentActivity<'_> = serde_json::from_str(json)?;
            let SubAgentActivity { model, reasoning_effort, kind, agent_thread_id, agent_path } = core;
            Item::SubAgentActivity { model, reasoning_effort, id, kind, agent_thread_id, agent_path }
        }
        "WebSearch" => {
            let WebSearch { query, action, results } = serde_json::from_str(json)?;
            Item::WebSearch { id, query, action: action.map(WebAction::shown), results }
        }
        "ImageView" => {
            let core: ImageView<'_> = serde_json::from_str(json)?;
            Item::ImageView { id, path: tool::path(core.path) }
        }
        "Sleep" => {
            let core: Sleep = serde_json::from_str(json)?;
            let duration_ms = core.duration_ms.or(core.duration.map(Duration::millis)).unwrap_or_default();
            Item::Sleep { id, duration_ms }
        }
        "ImageGeneration" => {
            let ImageGeneration { status, revised_prompt, result, saved_path } = serde_json::from_str(json)?;
            Item::ImageGeneration { id, status, revised_prompt, result, saved_path: saved_path.map(tool::path) }
        }
        "EnteredReviewMode" => {
            let core: ReviewMode<'_> = serde_json::from_str(json)?;
            Item::EnteredReviewMode { id, review: core.review }
        }
        "ExitedReviewMode" => {
            let core: ReviewMode<'_> = serde_json::from_str(json)?;
            Item::ExitedReviewMode { id, review: core.review }
        }
        "ContextCompaction" => Item::ContextCompaction { id },
        _ => return Ok(None),
    }))
}

fn said<'a>(id: Text<'a>, core: AgentMessage<'a>) -> Item<'a> {
    // Mostly one part, which is passed on without a copy.
    let mut parts = core.content.into_iter().map(|part| part.text);
    let first = parts.next().unwrap_or_default();
    let text = parts.fold(first, |text, part| text + part);
    match agent_message(id, text, core.phase, core.memory_citation.map(tool::memory_citation)) {
        Item::AgentMessage { id, text, phase, memory_citation, .. } => Item::AgentMessage {
            moderation: core.moderation,
            id,
            text,
            phase,
            memory_citation,
            delivery: core.delivery,
            questions: core.questions,
        },
        other => other,
    }
}

fn command<'a>(id: Text<'a>, core: CommandExecution<'a>) -> Item<'a> {
    let cwd = tool::path(core.cwd);
    let command_actions = core.parsed_cmd.into_iter().map(|parsed| parsed.shown(&cwd)).collect();
    Item::CommandExecution {
        id,
        plugin_id: core.plugin_id,
        script_path: core.script_path.map(tool::path),
        command: tool::command_line(&core.command).into(),
        cwd,
        process_id: core.process_id,
        source: core.source.map_or("agent".into(), tool::camel),
        status: tool::camel(core.status),
        command_actions,
        aggregated_output: core.aggregated_output.filter(|output| !output.is_empty()),
        exit_code: core.exit_code,
        duration_ms: core.duration.map(Duration::millis),
    }
}

fn mcp<'a>(id: Text<'a>, core: McpToolCall<'a>) -> Item<'a> {
    Item::McpToolCall {
        id,
        server: core.server,
        tool: core.tool,
        status: tool::camel(core.status),
        arguments: Cow::Borrowed(core.arguments.unwrap_or(RawValue::NULL)),
        app_context: core.app_context,
        mcp_app_resource_uri: core.mcp_app_resource_uri,
        mcp_app_ui: core.mcp_app_ui,
        plugin_id: core.plugin_id,
        read_only_hint: core.read_only_hint,
        result: core.result.map(tool::McpResult::shown),
        error: core.error.map(tool::McpError::shown),
        duration_ms: core.duration.map(Duration::millis),
    }
}
