//! A model that leads a tree of agents: a root that has children work and waits for all of them.
//!
//! It keeps no state: each answer is a function of the request alone, so a request that is sent again is answered as
//! before, and a tree that is resumed goes on.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::received::Received;
use crate::sse::{Event, Reply};

/// The namespace of the tools that act on other agents.
const COLLABORATION: &str = "collaboration";
/// Children that are spawned with one response.
const A_RESPONSE: usize = 100;
/// Children that have not reported yet, at most: fewer than the 256 reports that an agent has room for.
const AT_WORK: usize = 200;

/// What a child runs, by its name and the number of the command.
type Command = Arc<dyn Fn(&str, usize) -> String + Send + Sync>;

/// A tree of one generation, and what its children do.
#[derive(Clone)]
pub struct Tree {
    children: usize,
    calls: usize,
    command: Command,
    reason: Option<&'static str>,
}

impl Tree {
    /// A root with so many children that just reply.
    pub fn of(children: usize) -> Self {
        Self { children, calls: 0, command: Arc::new(|_, _| "true".into()), reason: None }
    }

    /// Each child runs so many shell commands, one a request, before it replies.
    pub fn with_calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// What a child runs, by its name and the number of the command from 0; `true` if this is not said.
    pub fn running(mut self, command: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Self {
        self.command = Arc::new(command);
        self
    }

    /// Each command is to run outside of the sandbox, for which it gives this reason: somebody has to approve it.
    pub fn asking(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The name of a child.
    pub fn child(n: usize) -> String {
        format!("c{n}")
    }

    /// The path of a child.
    pub fn path(n: usize) -> String {
        format!("/root/{}", Self::child(n))
    }

    /// What the model says to a request.
    pub fn answer(&self, request: &Received) -> Answer {
        Answer::events(self.events(request))
    }

    /// The events of it, for a test that makes something of them.
    pub fn events(&self, request: &Received) -> Vec<Event> {
        self.reply(request).completed()
    }

    /// The response without its end.
    pub fn reply(&self, request: &Received) -> Reply {
        let path = request.agent_name();
        match path.strip_prefix("/root/") {
            Some(name) => self.of_child(name, request),
            None => self.of_root(request),
        }
    }

    fn of_root(&self, request: &Received) -> Reply {
        let reply = Reply::new(&format!("resp_root_{}", request.n));
        // A long history is read once: the time that this takes is time in which the answer holds its stream.
        let outputs = request.outputs();
        let of = |start: &str| outputs.iter().filter(|(call, _)| call.starts_with(start)).collect::<Vec<_>>();
        let spawns = of("spawn_");
        // Nobody waits for a child that was refused.
        let there = spawns.iter().filter(|(_, output)| output.contains("\"task_name\"")).count();
        let reported: BTreeSet<String> = request.reports().into_iter().map(|(author, _)| author).collect();
        if spawns.len() < self.children && there - reported.len() <= AT_WORK - A_RESPONSE {
            let next = spawns.len()..self.children.min(spawns.len() + A_RESPONSE);
            return next.fold(reply, |reply, n| {
                let task = format!("Task {n}.");
                let arguments = json!({"task_name": Self::child(n), "message": task, "fork_turns": "none"});
                reply.function_call(&format!("spawn_{n}"), COLLABORATION, "spawn_agent", &arguments)
            });
        }
        if spawns.len() < self.children || reported.len() < there {
            let waits = of("wait_").len();
            return reply.function_call(&format!("wait_{waits}"), COLLABORATION, "wait_agent", &json!({}));
        }
        reply.message(&format!("All {there} reported."), 1)
    }

    fn of_child(&self, name: &str, request: &Received) -> Reply {
        let reply = Reply::new(&format!("resp_{name}_{}", request.n));
        let done = calls_of_turn(&request.input());
        if done < self.calls {
            let mut arguments = json!({"cmd": (self.command)(name, done)});
            if let Some(reason) = self.reason {
                arguments["sandbox_permissions"] = json!("require_escalated");
                arguments["justification"] = json!(reason);
            }
            return reply.function_call(&format!("exec_{name}_{done}"), "", "exec_command", &arguments);
        }
        reply.message(&format!("Done by {name}."), 1)
    }
}

/// How many commands have an output since the agent got its newest task.
fn calls_of_turn(input: &[Value]) -> usize {
    let task = input.iter().rposition(|item| item["type"] == "agent_message" || item["role"] == "user");
    let since = &input[task.map_or(0, |at| at + 1)..];
    since.iter().filter(|item| item["type"] == "function_call_output").count()
}
