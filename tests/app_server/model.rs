//! The model that the recorded server was given. What it says follows from a word in what was said last:
//!
//! | word | it |
//! |---|---|
//! | `APPROVE` | says so, and runs a command that has to be approved |
//! | `PLAINSH` | runs a command |
//! | `PATCH` | adds a file |
//! | `SPAWN` | makes a child, waits for it |
//! | `SPNAPP` | makes a child whose word is `APPROVE`, waits for nobody |
//! | `ASKUSER` | asks the user, also where it cannot |
//! | `DYNTOOL` | calls the client's tool |
//! | `THINK` | reasons first |
//! | `SLOW`, `also do` | begins, and does not end |
//! | `FAILME` | fails |
//!
//! After its calls, and to anything else, it echoes. A call of another tool that is not offered is left out.

use std::time::Duration;

use sapwood_testkit::sse::{Reply, Tokens};
use sapwood_testkit::{Answer, Gate, Received};
use serde_json::{Value, json};

const TOKENS: Tokens = Tokens { input: 100, cached: 20, output: 30, reasoning: 5 };
/// It repeats so many characters of what was said.
const ECHO_CHARS: usize = 120;
/// A client can do something between two words of an answer without an end, as in the recordings.
const BETWEEN_WORDS: Duration = Duration::from_millis(150);
const WORDS: usize = 100;
/// What `PATCH` adds, and the recorded project already held.
pub const PATCHED: [&str; 2] = ["patched.txt", "hello patch\n"];
const PATCH: &str = "*** Begin Patch\n*** Add File: patched.txt\n+hello patch\n*** End Patch\n";

/// What the model says to a request.
pub fn answer(request: &Received) -> Answer {
    if request.method != "POST" {
        return Answer::error(404, "not_found", "there is no catalogue here");
    }
    let reply = Reply::new(&format!("resp_{}", request.n)).tokens(TOKENS);
    let Some((said, outputs)) = last_said(&request.input()) else {
        // A turn that nobody said anything in waits to be told.
        return Answer::events(reply.unfinished()).gate(&Gate::new());
    };
    if let Some(word) = endless(&said) {
        let mut words = reply.message(&word.repeat(WORDS), WORDS).unfinished().into_iter();
        // The head of the response, and that of the message; the end of neither ever comes.
        let head = Answer::events(words.by_ref().take(2 + 2));
        let said = words.take(WORDS).fold(head, |answer, word| answer.then([word]).delay(BETWEEN_WORDS));
        return said.gate(&Gate::new());
    }
    if said.contains("FAILME") {
        return Answer::events(reply.failed("invalid_prompt", "fake failure for test"));
    }
    Answer::events(next(reply, request, &said, outputs).completed())
}

/// The word that it repeats without an end.
fn endless(said: &str) -> Option<&'static str> {
    let words = [("SLOW", "slow word "), ("also do", "Echo: ")];
    words.into_iter().find(|(word, _)| said.contains(word)).map(|(_, says)| says)
}

/// The step that follows after so many outputs.
fn next(reply: Reply, request: &Received, said: &str, outputs: usize) -> Reply {
    let tools = request.tools();
    let offers = |name: &str| tools.iter().any(|tool| tool == name);
    let call = format!("call_{}", request.n);
    let older = offers("multi_agent_v1.spawn_agent");
    let spawn = |reply: Reply, task: &str| match older {
        true => reply.function_call(&call, "multi_agent_v1", "spawn_agent", &json!({ "message": task })),
        false => {
            let arguments = json!({"task_name": "child", "message": task, "fork_turns": "none"});
            reply.function_call(&call, "collaboration", "spawn_agent", &arguments)
        }
    };
    let spawns = older || offers("collaboration.spawn_agent");
    let run = |reply: Reply, arguments: Value| reply.function_call(&call, "", "exec_command", &arguments);
    match outputs {
        0 if said.contains("THINK") => {
            reply.reasoning(&["**Considering** the request carefully."]).message("Thought about it.", 3)
        }
        0 if said.contains("APPROVE") => {
            let command = "touch approved-by-test.txt && echo approved-ok";
            let (why, what) = ("needs approval for test", "require_escalated");
            let arguments = json!({"cmd": command, "sandbox_permissions": what, "justification": why});
            run(reply.message("I will run a command.", 4), arguments)
        }
        0 if said.contains("PLAINSH") => run(reply, json!({"cmd": "echo plain-ok"})),
        0 if said.contains("PATCH") && offers("apply_patch") => reply.custom_tool_call(&call, "", "apply_patch", PATCH),
        0 if said.contains("PATCH") => run(reply, json!({"cmd": format!("apply_patch <<'EOF'\n{PATCH}EOF\n")})),
        0 if said.contains("SPAWN") && spawns => spawn(reply, "CHILD task: say hi"),
        1 if said.contains("SPAWN") && older => {
            let child = request.outputs().last().map(|(_, text)| text.clone()).unwrap_or_default();
            let child: Value = serde_json::from_str(&child).unwrap_or_default();
            let arguments = json!({"targets": [child["agent_id"]], "timeout_ms": 15_000});
            reply.function_call(&call, "multi_agent_v1", "wait_agent", &arguments)
        }
        1 if said.contains("SPAWN") && spawns => reply.function_call(&call, "collaboration", "wait_agent", &json!({})),
        0 if said.contains("SPNAPP") && spawns => spawn(reply, "APPROVE child task"),
        0 if said.contains("ASKUSER") => {
            let option = |label: &str, what: &str| json!({"label": label, "description": what});
            let options = [option("A", "first"), option("B", "second")];
            let question = json!({"id": "q1", "header": "Pick", "question": "Which one?", "options": options});
            reply.function_call(&call, "", "request_user_input", &json!({"questions": [question]}))
        }
        0 if said.contains("DYNTOOL") && offers("list_threads") => {
            reply.function_call(&call, "", "list_threads", &json!({}))
        }
        _ => {
            let echo: String = said.chars().take(ECHO_CHARS).collect();
            let text = format!("Echo: {echo} -- done.");
            reply.message(&text, text.len().div_ceil(6))
        }
    }
}

/// What the user, or for a child its parent, said last, and how many calls were answered since. What the program says
/// to the model in the user's name is not the user's.
fn last_said(input: &[Value]) -> Option<(String, usize)> {
    let said = |item: &Value| -> Option<String> {
        let parts = item["content"].as_array()?.iter();
        let text: String =
            parts.filter_map(|part| part["text"].as_str().or(part["encrypted_content"].as_str())).collect();
        let of_user = item["role"] == "user" && !text.starts_with('<') && !text.starts_with("# AGENTS.md");
        let task = item["type"] == "agent_message" && !text.contains("FINAL_ANSWER");
        let text = text.split_once("Payload:\n").filter(|_| task).map_or(text.as_str(), |(_, task)| task);
        (of_user || task).then(|| text.to_owned())
    };
    let (at, text) = input.iter().enumerate().rev().find_map(|(at, item)| Some((at, said(item)?)))?;
    let is_output = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
    Some((text, input[at..].iter().filter(is_output).count()))
}
