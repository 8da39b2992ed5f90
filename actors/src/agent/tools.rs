//! The tools that a model may call: parsing and checking of calls, and the words of refusals.
//!
//! Names, arguments, results and error texts as in `multi-agent.md` 2.1.

use sapwood_protocol::AgentPath;
use sapwood_protocol::asked::What;
use sapwood_protocol::item::MailKind;
use serde::Deserialize;

use super::approval::{DynamicTools, permissions, questions};
use super::commands;
use super::effect::{ExecCall, Typing};
use super::plan::{self, PlanUpdate};
use super::settings::{Settings, WaitLimits};
use super::turn::Call;

/// The namespace of the tools that act on other agents.
pub const COLLABORATION: &str = "collaboration";

/// How much of its spawner's history a new agent gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkTurns {
    /// Nothing.
    None,
    /// Everything, up to the call that spawns it.
    All,
    /// The last so many turns, at least one, without what stands before the first.
    Last(u32),
}

/// A call, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// `exec_command`.
    Exec(ExecCall),
    /// `write_stdin`.
    Type(Typing),
    /// `spawn_agent`.
    Spawn {
        /// Its path.
        path: AgentPath,
        /// Its task.
        message: String,
        /// How much of its spawner's history it gets.
        fork: ForkTurns,
    },
    /// `send_message` and `followup_task`.
    Mail {
        /// Which of the two.
        kind: MailKind,
        /// To whom.
        target: String,
        /// What it says.
        message: String,
    },
    /// `wait_agent`.
    Wait {
        /// How long, in milliseconds.
        timeout: u64,
    },
    /// `interrupt_agent`.
    Interrupt {
        /// Whom.
        target: String,
    },
    /// `list_agents`.
    List {
        /// Only at and below this path.
        prefix: Option<String>,
    },
    /// `apply_patch`: the patch is the call's input.
    Patch,
    /// `update_plan`.
    Plan(PlanUpdate),
    /// `request_permissions`.
    Permissions,
    /// `request_user_input`.
    Question,
    /// A tool that the thread's client has.
    Client(What),
    /// Refused: the text is its output.
    Invalid(String),
}

impl Tool {
    /// The tool's name for those who watch, if it acts on other agents.
    pub fn collab(&self) -> Option<&'static str> {
        match self {
            Tool::Spawn { .. } => Some("spawn_agent"),
            Tool::Mail { kind: MailKind::NewTask, .. } => Some("followup_task"),
            Tool::Mail { .. } => Some("send_message"),
            Tool::Wait { .. } => Some("wait"),
            Tool::Interrupt { .. } => Some("interrupt_agent"),
            Tool::List { .. } => Some("list_agents"),
            _ => None,
        }
    }

    /// True if it may work beside others of its answer. What changes files, rights or other agents has the turn to itself.
    pub fn stands_beside(&self) -> bool {
        matches!(self, Tool::Exec(_) | Tool::Question | Tool::Client(_))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpawnArgs {
    task_name: String,
    message: String,
    #[serde(default)]
    fork_turns: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    reasoning_effort: Option<String>,
    #[serde(default)]
    fork_context: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailArgs {
    target: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitArgs {
    #[serde(default)]
    timeout_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterruptArgs {
    target: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    #[serde(default)]
    path_prefix: Option<String>,
}

fn args<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, String> {
    serde_json::from_str(&call.input).map_err(|error| format!("failed to parse function arguments: {error}"))
}

/// Understands a call of the agent at `path`, whose turn asks `model`, and whose client has these tools.
pub fn parse(call: &Call, path: &AgentPath, model: &str, client: &DynamicTools, settings: &Settings) -> Tool {
    understand(call, path, model, client, settings).unwrap_or_else(Tool::Invalid)
}

fn understand(
    call: &Call,
    path: &AgentPath,
    model: &str,
    client: &DynamicTools,
    settings: &Settings,
) -> Result<Tool, String> {
    let collaboration = &*call.namespace == COLLABORATION && path.depth() < settings.max_depth;
    let is_own = call.namespace.is_empty();
    match &*call.name {
        "apply_patch" | "exec_command" | "write_stdin" if is_own && !settings.has_environment => {
            return Err(format!("unsupported call: {}", call.name));
        }
        "apply_patch" if call.custom => return Ok(Tool::Patch),
        _ if call.custom => {}
        "exec_command" if is_own => return commands::exec(&call.input, &settings.exec_timeout).map(Tool::Exec),
        "write_stdin" if is_own => return commands::typing(&call.input).map(Tool::Type),
        "update_plan" if is_own => {
            return plan::parse(&call.input).map(Tool::Plan).map_err(|error| error.to_string());
        }
        permissions::NAME if is_own => return Ok(Tool::Permissions),
        questions::NAME if is_own => return Ok(Tool::Question),
        "spawn_agent" if collaboration => return spawn(args(call)?, path, model),
        "send_message" if collaboration => return mail(MailKind::Message, args(call)?),
        "followup_task" if collaboration => return mail(MailKind::NewTask, args(call)?),
        "wait_agent" if collaboration => {
            let WaitArgs { timeout_ms } = args(call)?;
            return wait_timeout(timeout_ms, &settings.wait).map(|(timeout, _)| Tool::Wait { timeout });
        }
        "interrupt_agent" if collaboration => {
            let InterruptArgs { target } = args(call)?;
            return Ok(Tool::Interrupt { target });
        }
        "list_agents" if collaboration => {
            let ListArgs { path_prefix } = args(call)?;
            return Ok(Tool::List { prefix: path_prefix });
        }
        _ => {}
    }
    if let Some(found) = client.call(&call.namespace, &call.name, &call.input).filter(|_| !call.custom) {
        return found.map(Tool::Client);
    }
    Err(format!("unsupported call: {}{}", call.namespace, call.name))
}

fn spawn(args: SpawnArgs, path: &AgentPath, ours: &str) -> Result<Tool, String> {
    if args.fork_context.is_some() {
        return Err("fork_context is not supported in MultiAgentV2; use fork_turns instead".into());
    }
    let fork = fork_turns(args.fork_turns.as_deref())?;
    if args.message.trim().is_empty() {
        return Err("Empty message can't be sent to an agent".into());
    }
    if let Some(model) = args.model.filter(|model| model != ours) {
        return Err(format!("Unknown model `{model}` for spawn_agent. Available models: {ours}"));
    }
    if let Some(effort) = args.reasoning_effort {
        return Err(format!(
            "Reasoning effort `{effort}` is not supported for model `{ours}`. Supported reasoning efforts: none given; \
             leave reasoning_effort out"
        ));
    }
    let path = path.join(&args.task_name).map_err(|error| error.to_string())?;
    Ok(Tool::Spawn { path, message: args.message, fork })
}

/// Left out, and blank, is `all`: so it is in Codex, and so models know it.
fn fork_turns(said: Option<&str>) -> Result<ForkTurns, String> {
    let said = said.unwrap_or_default().trim();
    if said.is_empty() || said.eq_ignore_ascii_case("all") {
        return Ok(ForkTurns::All);
    }
    if said.eq_ignore_ascii_case("none") {
        return Ok(ForkTurns::None);
    }
    // No sign and no fraction; more turns than there are is every turn.
    let digits = said.bytes().all(|byte| byte.is_ascii_digit());
    match said.parse::<u32>() {
        Ok(turns) if turns > 0 && digits => Ok(ForkTurns::Last(turns)),
        Err(error) if digits && *error.kind() == std::num::IntErrorKind::PosOverflow => Ok(ForkTurns::Last(u32::MAX)),
        _ => Err("fork_turns must be `none`, `all`, or a positive integer string".into()),
    }
}

fn mail(kind: MailKind, args: MailArgs) -> Result<Tool, String> {
    if args.message.trim().is_empty() {
        return Err("Empty message can't be sent to an agent".into());
    }
    Ok(Tool::Mail { kind, target: args.target, message: args.message })
}

/// The timeout that a wait really has, and the note for a model that asked for a shorter one.
fn wait_timeout(wish: Option<f64>, limits: &WaitLimits) -> Result<(u64, Option<String>), String> {
    let Some(wish) = wish else {
        return Ok((limits.default, None));
    };
    if !wish.is_finite() || wish > limits.max as f64 {
        return Err(format!("timeout_ms must be at most {}", limits.max));
    }
    let wish = wish.max(0.0) as u64;
    if wish >= limits.min {
        return Ok((wish, None));
    }
    let min = limits.min;
    Ok((min, Some(format!("Requested timeout of {wish}ms was clamped to the minimum of {min}ms."))))
}

/// Why a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// Mail is there.
    Mail,
    /// A user said something.
    Steer,
    /// Its time is over.
    Deadline,
}

/// The output of a wait.
pub fn wait_output(call: &Call, end: WaitEnd, limits: &WaitLimits) -> String {
    let (message, timed_out) = match end {
        WaitEnd::Mail => ("Wait completed.", false),
        WaitEnd::Steer => ("Wait interrupted by new input.", false),
        WaitEnd::Deadline => ("Wait timed out.", true),
    };
    let mut output = format!(r#"{{"message":"{message}","timed_out":{timed_out}}}"#);
    let wish = args(call).ok().and_then(|WaitArgs { timeout_ms }| timeout_ms);
    if let Ok((_, Some(note))) = wait_timeout(wish, limits) {
        output.push_str("\n\n");
        output.push_str(&note);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::super::turn::CallState;
    use super::*;
    use sapwood_protocol::CallId;

    fn call(namespace: &str, name: &str, input: &str) -> Call {
        let (namespace, name, input) = (namespace.into(), name.into(), input.into());
        Call { id: CallId::from("c"), custom: false, namespace, name, input, n: 3, state: CallState::Pending }
    }

    fn tool(name: &str, input: &str) -> Tool {
        let namespace = if ["exec_command", "write_stdin"].contains(&name) { "" } else { COLLABORATION };
        parse(
            &call(namespace, name, input),
            &AgentPath::root(),
            "rehearsal",
            &DynamicTools::default(),
            &Settings::default(),
        )
    }

    fn refused(name: &str, input: &str) -> String {
        match tool(name, input) {
            Tool::Invalid(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals() {
        let table = [
            ("no_such_tool", "{}", "unsupported call: collaborationno_such_tool"),
            ("spawn_agent", "{", "failed to parse function arguments: EOF while parsing an object at line 1 column 1"),
            (
                "spawn_agent",
                r#"{"task_name":"a"}"#,
                "failed to parse function arguments: missing field `message` at line 1 column 17",
            ),
            (
                "spawn_agent",
                r#"{"task_name":"A","message":"m","fork_turns":"none"}"#,
                "agent_name must use only lowercase letters, digits, and underscores",
            ),
            (
                "spawn_agent",
                r#"{"task_name":"a","message":" ","fork_turns":"none"}"#,
                "Empty message can't be sent to an agent",
            ),
            (
                "spawn_agent",
                r#"{"task_name":"a","message":"m","fork_turns":"0"}"#,
                "fork_turns must be `none`, `all`, or a positive integer string",
            ),
            (
                "spawn_agent",
                r#"{"task_name":"a","message":"m","fork_context":true}"#,
                "fork_context is not supported in MultiAgentV2; use fork_turns instead",
            ),
            (
                "spawn_agent",
                r#"{"task_name":"a","message":"m","fork_turns":"none","model":"x"}"#,
                "Unknown model `x` for spawn_agent. Available models: rehearsal",
            ),
            ("send_message", r#"{"target":"a","message":""}"#, "Empty message can't be sent to an agent"),
            ("wait_agent", r#"{"timeout_ms":3600001}"#, "timeout_ms must be at most 3600000"),
            ("exec_command", r#"{"cmd":" "}"#, "exec_command needs a command: `cmd` is empty"),
        ];
        for (name, input, text) in table {
            assert_eq!(refused(name, input), text, "{name} {input}");
        }
        assert!(
            refused("list_agents", r#"{"x":1}"#).starts_with("failed to parse function arguments: unknown field `x`")
        );
    }

    #[test]
    fn what_is_understood() {
        let path = AgentPath::root().join("a").unwrap();
        assert_eq!(
            tool("spawn_agent", r#"{"task_name":"a","message":"m","fork_turns":"none"}"#),
            Tool::Spawn { path, message: "m".into(), fork: ForkTurns::None }
        );
        assert_eq!(tool("wait_agent", "{}"), Tool::Wait { timeout: 30_000 });
        assert_eq!(tool("wait_agent", r#"{"timeout_ms":5}"#), Tool::Wait { timeout: 10_000 });
        let limits = Settings::default().exec_timeout;
        let exec = commands::exec(r#"{"cmd":"ls"}"#, &limits).unwrap();
        assert_eq!(tool("exec_command", r#"{"cmd":"ls","odd":9}"#), Tool::Exec(exec));
        let typing = commands::typing(r#"{"session_id":7,"chars":"x"}"#).unwrap();
        assert_eq!(tool("write_stdin", r#"{"session_id":7,"chars":"x"}"#), Tool::Type(typing));
    }

    #[test]
    fn forks() {
        let all = ["", " ", "all", " ALL "].map(|text| (Some(text), Ok(ForkTurns::All)));
        let last = [("1", 1), ("007", 7), ("4294967296", u32::MAX), ("99999999999999999999", u32::MAX)];
        let last = last.map(|(text, turns)| (Some(text), Ok(ForkTurns::Last(turns))));
        let table = [(None, Ok(ForkTurns::All)), (Some("None"), Ok(ForkTurns::None))];
        for (said, fork) in all.into_iter().chain(last).chain(table) {
            assert_eq!(fork_turns(said), fork, "{said:?}");
        }
        for said in ["0", "000", "-1", "+1", "1.5", "1 2", "most", "\u{0661}"] {
            let text = "fork_turns must be `none`, `all`, or a positive integer string".to_owned();
            assert_eq!(fork_turns(Some(said)), Err(text), "{said}");
        }
    }

    #[test]
    fn tools_end_with_the_generations() {
        let settings = Settings { max_depth: 1, ..Settings::default() };
        let child = AgentPath::root().join("a").unwrap();
        let call = call(COLLABORATION, "list_agents", "{}");
        assert!(matches!(parse(&call, &child, "rehearsal", &DynamicTools::default(), &settings), Tool::Invalid(_)));
    }

    #[test]
    fn outputs() {
        let limits = WaitLimits::default();
        let short = call(COLLABORATION, "wait_agent", r#"{"timeout_ms":5}"#);
        assert_eq!(
            wait_output(&short, WaitEnd::Deadline, &limits),
            "{\"message\":\"Wait timed out.\",\"timed_out\":true}\n\nRequested timeout of 5ms was clamped to the minimum of 10000ms."
        );
    }
}
