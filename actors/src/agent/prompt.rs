//! Everything that Sapwood itself says to a model.

use std::sync::{Arc, LazyLock};

use sapwood_protocol::AgentPath;
use sapwood_protocol::app::UserInput;
use sapwood_protocol::app::input::MediaSource;
use sapwood_protocol::item::Content;
use serde_json::{Value, json};

use super::approval::DynamicTools;
use super::commands;
use super::manner::Works;
use super::offered;
use super::settings::Settings;
use super::tools::COLLABORATION;

/// What every agent is told first. Our own, and short: it is sent with each request.
pub const BASE_INSTRUCTIONS: &str = "\
You are an agent that works for a person on their computer, through tools. You are careful, honest and brief.

- Find out before you act: read the files that matter, run commands to learn what is true, and do not guess at what \
you can look up.
- Use `exec_command` for shell commands. Each call starts a fresh shell in the working directory; nothing of the shell \
is kept between calls. A command that takes long goes on while you do; look at it with `write_stdin`. Long output is cut \
in its middle, so ask for the part that you need.
- Commands may run in a sandbox. When one is refused, say so, and find a way that needs less, or tell the person what \
you would need. Never work around a sandbox.
- When the output of a call says that its effect is unknown, or `aborted`, the command may have run in part. Look \
before you run it again.
- Instructions in AGENTS.md files of the project apply to the files below them. What a person says directly comes first.
- Change only what the task asks for. Leave work of others alone that you happen to see, and never discard changes \
that you did not make.
- End with a short account of what you did, what you found, and what is left. Say plainly what failed.
";

/// The same, for all that need a copy.
pub static SHARED_BASE_INSTRUCTIONS: LazyLock<Arc<str>> = LazyLock::new(|| BASE_INSTRUCTIONS.into());

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

/// What a model reads that keeps a checklist while it is to make a plan.
pub const NO_CHECKLIST: &str = "update_plan keeps a checklist of work that is under way, and there is none in plan mode: \
write your plan as your answer.";

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

/// What a model reads of what a user said.
pub fn content(input: &[UserInput]) -> Vec<Content<'_>> {
    input
        .iter()
        .map(|part| match part {
            UserInput::Text { text: said, .. } => Content::InputText { text: said.as_str().into() },
            UserInput::Image { source: MediaSource::Url { url }, detail } => {
                Content::InputImage { image_url: url.as_str().into(), detail: *detail }
            }
            other => Content::InputText { text: named(other).into() },
        })
        .collect()
}

/// What is told of it in a line or two.
pub fn told(input: &[UserInput]) -> String {
    let parts = input.iter().map(|part| match part {
        UserInput::Text { text, .. } => text.clone(),
        UserInput::Image { .. } => "[Image]".to_owned(),
        other => named(other),
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// A part that is no text, by its name: the model looks at it with its tools.
fn named(part: &UserInput) -> String {
    match part {
        UserInput::Text { text, .. } => text.clone(),
        UserInput::Image { source, .. } => format!("[image {}]", source.as_str()),
        UserInput::Audio { source } => format!("[sound {}]", source.as_str()),
        UserInput::LocalImage { path, .. } => format!("[image in the file {path}]"),
        UserInput::LocalAudio { path } => format!("[sound in the file {path}]"),
        UserInput::Skill { name, path } => format!("[skill {name}: {path}]"),
        UserInput::Mention { name, path } => format!("[{name}: {path}]"),
    }
}

/// What a model is told about where it works.
pub fn environment(works: Works<'_>, settings: &Settings, date: &str) -> String {
    let (shell, zone, sandbox) = (&settings.shell, &settings.timezone, works.sandbox().name());
    let cwd = xml(works.cwd());
    format!(
        "<environment_context>\n  <cwd>{cwd}</cwd>\n  <shell>{shell}</shell>\n  <current_date>{date}</current_date>\n  \
         <timezone>{zone}</timezone>\n  <sandbox_mode>{sandbox}</sandbox_mode>\n</environment_context>"
    )
}

/// What a model is told of the mode of collaboration that it works in.
pub fn mode(said: &str) -> String {
    format!("<collaboration_mode>\n{said}\n</collaboration_mode>")
}

/// What a model is told of the project's AGENTS.md.
pub fn agents_md(cwd: &str, text: &str) -> String {
    format!("<agents_md>\nInstructions from the AGENTS.md files that apply to {cwd}:\n\n{text}\n</agents_md>")
}

/// What the machine's owner has every model told.
pub fn managed(text: &str) -> String {
    format!("<managed_developer_instructions>\n{text}\n</managed_developer_instructions>")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn function(name: &str, description: &str, parameters: Value) -> Value {
    json!({"type": "function", "name": name, "description": description, "strict": false, "parameters": parameters})
}

pub(super) fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = json!(false);
    schema
}

/// What the tools of an agent depend on.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// It may have agents of its own: above the last generation.
    pub collaborates: bool,
    /// The tools of its client, if it is the root.
    pub client: Option<&'a DynamicTools>,
}

/// The tools of an agent.
pub(super) fn tools(team: Member<'_>, settings: &Settings) -> Vec<Value> {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: String| json!({"type": "number", "description": description});
    let encrypted = |description: &str| json!({"type": "string", "description": description, "encrypted": true});
    let wait = &settings.wait;
    let commands = commands::offered(&settings.exec_timeout).into_iter();
    let mut tools: Vec<Value> = commands
        .filter(|_| settings.has_environment)
        .map(|(name, description, mut properties, required)| {
            if let (true, "exec_command", Some(properties)) = (settings.is_attended, name, properties.as_object_mut()) {
                properties.extend(offered::wishes().as_object().cloned().unwrap_or_default());
            }
            function(name, description, object(properties, required))
        })
        .collect();
    tools.push(offered::plan());
    if settings.is_attended {
        tools.extend(offered::people(team.client.is_some()));
    }
    tools.extend(settings.has_environment.then(offered::patch));
    if team.collaborates {
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
    tools.extend(team.client.into_iter().flat_map(DynamicTools::definitions));
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
    fn a_directory_is_no_markup() {
        let settings = Settings::default();
        let works = Works::by(None, "/a<b>&c", &settings);
        assert!(environment(works, &settings, "2026-11-21").contains("<cwd>/a&lt;b&gt;&amp;c</cwd>"));
    }
}
