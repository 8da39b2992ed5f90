//! Histories for tests: what an agent was told, did and heard, item by item.

use serde_json::{Value, json};

use super::command::Job;

/// A request under construction.
#[derive(Clone, Default)]
pub(super) struct History {
    input: Vec<Value>,
    tools: Vec<Value>,
}

const AGENT_TOOLS: [&str; 4] = ["spawn_agent", "wait_agent", "list_agents", "followup_task"];

impl History {
    /// An agent with a shell, and with these tools for agents.
    pub fn with(agent_tools: &[&str]) -> Self {
        let members: Vec<Value> = agent_tools.iter().map(|name| json!({"type": "function", "name": name})).collect();
        let tools = vec![
            json!({"type": "function", "name": "exec_command"}),
            json!({"type": "namespace", "name": "collaboration", "tools": members}),
        ];
        Self { input: Vec::new(), tools }
    }

    /// A root with all tools that was asked for a map.
    pub fn root() -> Self {
        Self::with(&AGENT_TOOLS).user("Map this repository")
    }

    pub fn user(mut self, text: &str) -> Self {
        let content = json!([{"type": "input_text", "text": text}]);
        self.input.push(json!({"type": "message", "role": "user", "content": content}));
        self
    }

    pub fn call(mut self, name: &str, arguments: Value, output: &str) -> Self {
        let id = format!("c{}", self.input.len());
        self.input.push(json!({
            "type": "function_call", "call_id": id, "name": name, "arguments": arguments.to_string()
        }));
        self.input.push(json!({"type": "function_call_output", "call_id": id, "output": output}));
        self
    }

    /// A job that ran and said this.
    pub fn ran(self, job: &Job, said: &str) -> Self {
        let output = format!("Process exited with code 0\nOutput:\n{said}");
        self.call("exec_command", json!({"cmd": job.command(0)}), &output)
    }

    pub fn spawned(self, name: &str) -> Self {
        let output = json!({"task_name": format!("/root/{name}")}).to_string();
        self.call("spawn_agent", json!({"task_name": name}), &output)
    }

    pub fn mail(mut self, author: &str, kind: &str, payload: &str) -> Self {
        let text = format!("Message Type: {kind}\nTask name: x\nSender: {author}\nPayload:\n{payload}");
        let content = json!([{"type": "input_text", "text": text}]);
        self.input.push(json!({"type": "agent_message", "author": author, "content": content}));
        self
    }

    /// The body of the request.
    pub fn body(&self) -> Vec<u8> {
        json!({"input": self.input, "tools": self.tools}).to_string().into_bytes()
    }
}
