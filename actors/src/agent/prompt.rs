//! Everything that Sapwood itself says to a model, and the frame of a request.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sapwood_model::Body;
use sapwood_protocol::ids::base_instructions_id;
use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::{AgentPath, SessionId, ThreadId};
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::history::{History, item_json};
use super::settings::Settings;
use super::tools::COLLABORATION;

/// What every agent is told first. Our own, and short: it is sent with each request.
pub const BASE_INSTRUCTIONS: &str = "\
You are an agent that works for a person on their computer, through tools. You are careful, honest and brief.

- Find out before you act: read the files that matter, run commands to learn what is true, and do not guess at what \
you can look up.
- Use `exec_command` for shell commands. Each call starts a fresh shell in the working directory; nothing of the shell \
is kept between calls. Long output is cut in its middle, so ask for the part that you need.
- Commands may run in a sandbox. When one is refused, say so, and find a way that needs less, or tell the person what \
you would need. Never work around a sandbox.
- When the output of a call says that its effect is unknown, or `aborted`, the command may have run in part. Look \
before you run it again.
- Instructions in AGENTS.md files of the project apply to the files below them. What a person says directly comes first.
- Change only what the task asks for. Leave work of others alone that you happen to see, and never discard changes \
that you did not make.
- End with a short account of what you did, what you found, and what is left. Say plainly what failed.
";

/// The output of a call whose effect nobody knows.
pub const EFFECT_UNKNOWN: &str = "Effect unknown: this call was started, and the program that ran it ended before the \
result was recorded. It may have run fully, in part, or not at all. Look before you run it again.";

/// What a requester reads when the process died under a turn.
pub const LOST: &str = "Agent lost: the process that ran this agent ended before its turn did. Its work so far is kept. \
It may still be asked to go on, and then reports again.";

/// What a requester reads when somebody else interrupted a turn.
pub const CANCELLED: &str = "Agent cancelled: its turn was interrupted by somebody else before it came to an end. Its \
work so far is kept, and it can be given another task.";

/// What a model reads after it answered with nothing.
pub const NOTHING_SAID: &str = "Your last response was empty: it had neither text nor a tool call. Go on with the task, \
or end it with a short final message.";

/// What a requester reads when a turn failed.
pub fn errored(message: &str) -> String {
    format!("Agent errored: {message}\nIt can be given another task.")
}

/// What a requester reads when an agent was taken out of service.
pub fn quarantined(reason: &str) -> String {
    format!("Agent quarantined: it crashed too often and was taken out of service. {reason}")
}

/// The note that an interrupted turn leaves.
pub const INTERRUPTED: &str = "<turn_aborted>\nThe turn before this was interrupted on request. Commands that were running \
have been stopped; they may have done a part of their work, so look before you repeat them.\n</turn_aborted>";

/// What an agent that may have others work for it is told about them.
pub fn multi_agent_hint(path: &AgentPath, settings: &Settings) -> String {
    let role = if path.is_root() {
        "You are `/root`, the first of a team of agents: you answer the person.".to_owned()
    } else {
        format!("You are `{path}`, an agent of a team. Your final message is sent to the agent that gave you the task.")
    };
    let slots = settings.slots;
    format!(
        "{role}\n\
         The `{COLLABORATION}` tools let you start agents of your own and talk to any agent of the team. An agent that you \
         start works in the same directory with the same rights. It knows what its message says, and of your history what \
         you let it have.\n\
         Mail from other agents reaches you as messages with a header: its type (NEW_TASK, MESSAGE or FINAL_ANSWER), whom \
         it is for, who sent it, and the payload. A FINAL_ANSWER is what came of a task that you gave.\n\
         At most {slots} agents work at the same time, you included; others queue. Waiting with `wait_agent` costs nothing, \
         so prefer one long wait to many short ones."
    )
}

/// What an agent is told that inherits a part of its spawner's history. `parent` is the spawner's path.
pub fn forked(path: &AgentPath, parent: &AgentPath) -> String {
    format!(
        "<forked_agent>\nEverything before this message is what `{parent}` saw and did before it started you. It is yours to \
         know, and nothing of it is asked of you: its last turn goes on there, and calls that have no result here have one \
         there. You are another agent, `{path}`. Your own task follows. Commands that were running are not yours, and what \
         was allowed to `{parent}` for one time is not allowed to you. Your final message is sent to `{parent}`.\n\
         </forked_agent>"
    )
}

/// What a model is told about where it works.
pub fn environment(cwd: &str, settings: &Settings, date: &str) -> String {
    let (shell, zone, sandbox) = (&settings.shell, &settings.timezone, settings.sandbox.name());
    let cwd = xml(cwd);
    format!(
        "<environment_context>\n  <cwd>{cwd}</cwd>\n  <shell>{shell}</shell>\n  <current_date>{date}</current_date>\n  \
         <timezone>{zone}</timezone>\n  <sandbox_mode>{sandbox}</sandbox_mode>\n</environment_context>"
    )
}

/// What a model is told of the project's AGENTS.md.
pub fn agents_md(cwd: &str, text: &str) -> String {
    format!("<agents_md>\nInstructions from the AGENTS.md files that apply to {cwd}:\n\n{text}\n</agents_md>")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What the requests of all agents of a tree have in common: made when the first one asks, then shared.
#[derive(Debug, Default)]
pub struct Frames {
    base: OnceLock<Arc<str>>,
    instructions: OnceLock<Bytes>,
    /// Without and with the tools that act on other agents.
    tails: [OnceLock<Bytes>; 2],
}

impl Frames {
    /// The base instructions of the tree, if these are the same: an agent then has no copy of its own.
    pub(super) fn share(&self, own: Arc<str>, settings: &Settings) -> Arc<str> {
        let base = self.base.get_or_init(|| settings.base_instructions.as_str().into());
        if **base == *own { Arc::clone(base) } else { own }
    }

    fn instructions(&self, base: &str, settings: &Settings) -> Bytes {
        // From the text to the end of its item.
        let json = |base: &str| Bytes::from(format!("{}{ITEM_END}", Value::from(base)).into_bytes().into_boxed_slice());
        if base != settings.base_instructions {
            return json(base);
        }
        self.instructions.get_or_init(|| json(base)).clone()
    }

    fn tail(&self, session: SessionId, collaboration: bool, settings: &Settings) -> Bytes {
        let tail = self.tails[usize::from(collaboration)].get_or_init(|| {
            let tools = Value::Array(tools(collaboration, settings));
            let tail = format!(
                r#"],"tools":{tools},"tool_choice":"auto","parallel_tool_calls":true,"store":false,"stream":true,"prompt_cache_key":"{session}"}}"#
            );
            tail.into_bytes().into_boxed_slice().into()
        });
        tail.clone()
    }
}

/// A request up to its first item: what is asked of the model beside the input.
fn request_head(asked: Asked<'_>, root: bool, settings: &Settings) -> String {
    let mut head = Map::new();
    head.insert("model".into(), json!(asked.model));
    let mut reasoning = Map::new();
    reasoning.extend(asked.effort.map(|effort| ("effort".into(), json!(effort))));
    reasoning.extend(settings.summary.as_ref().map(|summary| ("summary".into(), json!(summary))));
    if !reasoning.is_empty() {
        head.insert("reasoning".into(), reasoning.into());
    }
    let mut text = Map::new();
    text.extend(settings.verbosity.as_ref().map(|verbosity| ("verbosity".into(), json!(verbosity))));
    // It was parsed when it was read from its file.
    let schema = settings.output_schema.as_ref().filter(|_| root);
    if let Some(schema) = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok()) {
        let format = json!({"type": "json_schema", "name": "codex_output_schema", "schema": schema, "strict": true});
        text.insert("format".into(), format);
    }
    if !text.is_empty() {
        head.insert("text".into(), text.into());
    }
    head.extend(settings.service_tier.as_ref().map(|tier| ("service_tier".into(), json!(tier))));
    head.insert("include".into(), json!(["reasoning.encrypted_content"]));
    let head = Value::Object(head).to_string();
    format!("{},\"input\":[", &head[..head.len() - 1])
}

/// What follows the text of a message with one part.
const ITEM_END: &str = "}]}";

/// The parts of a request that do not change during a turn.
#[derive(Clone, Debug)]
pub struct Frame {
    model: Arc<str>,
    effort: Option<Arc<str>>,
    head: Bytes,
    instructions: Bytes,
    tail: Bytes,
}

impl Frame {
    /// The frame of the requests of one agent, which shares what it can with the other agents of its tree. The item of its
    /// base instructions is named after `thread`.
    pub fn new(
        frames: &Frames,
        thread: ThreadId,
        session: SessionId,
        path: &AgentPath,
        base: &str,
        asked: Asked<'_>,
        settings: &Settings,
    ) -> Self {
        let first = item_json(&Item::text(base_instructions_id(thread), Role::Developer, ""));
        let empty = [b"\"\"", ITEM_END.as_bytes()].concat();
        let first = first.strip_suffix(empty.as_slice()).expect("a message ends with its text");
        let head = [request_head(asked, path.is_root(), settings).as_bytes(), first].concat();
        let instructions = frames.instructions(base, settings);
        let tail = frames.tail(session, path.depth() < settings.max_depth, settings);
        let (model, effort) = (Arc::clone(asked.model), asked.effort.cloned());
        Self { model, effort, head: head.into(), instructions, tail }
    }

    /// True if its requests ask this.
    pub fn asks(&self, asked: Asked<'_>) -> bool {
        self.model == *asked.model && self.effort.as_ref() == asked.effort
    }

    /// The body of a request with this history.
    pub fn body(&self, history: &History) -> Body {
        let prompt = history.prompt();
        let mut slices = Vec::with_capacity(2 * prompt.len() + 3);
        slices.push(self.head.clone());
        slices.push(self.instructions.clone());
        for item in prompt {
            slices.push(Bytes::from_static(b","));
            slices.push(item);
        }
        slices.push(self.tail.clone());
        Body::new(slices)
    }
}

fn function(name: &str, description: &str, parameters: Value) -> Value {
    json!({"type": "function", "name": name, "description": description, "strict": false, "parameters": parameters})
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = json!(false);
    schema
}

/// The tools of an agent; those that act on other agents only above the last generation.
fn tools(collaboration: bool, settings: &Settings) -> Vec<Value> {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: String| json!({"type": "number", "description": description});
    let encrypted = |description: &str| json!({"type": "string", "description": description, "encrypted": true});
    let (exec, wait) = (&settings.exec_timeout, &settings.wait);
    let mut tools = vec![function(
        "exec_command",
        "Runs a command in a fresh shell and returns its output and exit code.",
        object(
            json!({
                "cmd": text("The command line, as the shell reads it."),
                "workdir": text("The directory to run in; the working directory if left out."),
                "timeout_ms": number(format!(
                    "Milliseconds after which the command is killed; {} if left out, {} at most.",
                    exec.default, exec.max
                )),
            }),
            &["cmd"],
        ),
    )];
    if collaboration {
        let target = || text("The agent: a path like `/root/a`, a name below your own path, or a thread id.");
        let members = vec![
            function(
                "followup_task",
                "Gives an agent another task. An idle one starts at once; a busy one reads it at its next step.",
                object(json!({"target": target(), "message": encrypted("The task.")}), &["target", "message"]),
            ),
            function(
                "interrupt_agent",
                "Ends what an agent is doing. It stays there and can be given another task.",
                object(json!({"target": target()}), &["target"]),
            ),
            function(
                "list_agents",
                "Lists the agents of the team and what each is doing.",
                object(json!({"path_prefix": text("Only this path and the ones below it.")}), &[]),
            ),
            function(
                "send_message",
                "Leaves a message for an agent. It is read with its next step; an idle agent is not started.",
                object(json!({"target": target(), "message": encrypted("What it says.")}), &["target", "message"]),
            ),
            function(
                "spawn_agent",
                "Starts an agent of your own, below your path. It gets your message as its task and reports when it is done.",
                object(
                    json!({
                        "task_name": text("Its name: lowercase letters, digits and underscores."),
                        "message": encrypted("Its task, with all that it must know."),
                        "fork_turns": text("How much of your history it gets: `all` (the default), `none`, or a number of turns, like `2`."),
                        "model": text("Its model; yours if left out."),
                        "reasoning_effort": text("Its reasoning effort; yours if left out."),
                    }),
                    &["task_name", "message"],
                ),
            ),
            function(
                "wait_agent",
                "Waits until mail for you is there. The mail itself follows the result.",
                object(
                    json!({"timeout_ms": number(format!(
                        "Milliseconds to wait; {} if left out, {} at least, {} at most.",
                        wait.default, wait.min, wait.max
                    ))}),
                    &[],
                ),
            ),
        ];
        tools.push(json!({
            "type": "namespace",
            "name": COLLABORATION,
            "description": "Start agents of your own and talk to the agents of the team.",
            "tools": members,
        }));
    }
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_instructions_stay_short() {
        assert!(BASE_INSTRUCTIONS.len() < 4096);
    }

    #[test]
    fn a_request_is_json_and_its_items_are_shared() {
        let thread = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
        let (frames, settings) = (Frames::default(), Settings::default());
        let asked = Asked { provider: &settings.provider, model: &settings.model, effort: None };
        let frame = |base| Frame::new(&frames, thread, thread.into(), &AgentPath::root(), base, asked, &settings);
        let (ours, again) = (frame(&settings.base_instructions), frame(&settings.base_instructions));
        assert_eq!(
            (ours.instructions.as_ptr(), ours.tail.as_ptr()),
            (again.instructions.as_ptr(), again.tail.as_ptr())
        );
        let frame = frame("You are a \"test\" agent.");
        let mut history = History::default();
        let json = Bytes::from_static(br#"{"type":"message","id":"m","role":"user","content":[]}"#);
        history.push_json(json.clone(), &sapwood_protocol::item::ItemView::parse(&json).unwrap());
        let body = frame.body(&history);
        let value: Value = serde_json::from_slice(&body.concat()).unwrap();
        assert_eq!(value["input"].as_array().unwrap().len(), 2);
        assert_eq!(value["input"][0]["content"][0]["text"], "You are a \"test\" agent.");
        assert_eq!(value["tools"][1]["tools"].as_array().unwrap().len(), 6);
        assert_eq!(body.len(), body.concat().len());
        assert!(body.slices().iter().any(|slice| slice.as_ptr() == json.as_ptr()));
    }

    #[test]
    fn a_directory_is_no_markup() {
        assert!(environment("/a<b>&c", &Settings::default(), "2026-11-21").contains("<cwd>/a&lt;b&gt;&amp;c</cwd>"));
    }
}
