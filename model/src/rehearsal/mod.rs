//! The rehearsal: a model that is no language model, for a first run without a provider.
//!
//! What it is for: it maps a repository with a small tree of agents, so that a person sees the whole runtime work before
//! any key is configured. It sees the bytes of a request and nothing else, and answers only with tool calls and text.
//! What it never does: it remembers nothing between requests, and it says nothing that a command did not find out.
//!
//! How: each request is folded from its start. [`root`] follows the map of a repository, [`child`] that of one folder;
//! both come to a list of [`Move`]s, which become the items of the response. The same request gives the same bytes.
//!
//! Invariants:
//! - Every file that git (or find) lists is counted by exactly one agent: a child's folder is excluded from the root's
//!   own count.
//! - A result counts only if all of it arrived: outputs and reports carry their own sums.
//! - Whatever happens, a finite number of requests leads to an answer.

mod answer;
mod child;
mod command;
#[cfg(test)]
mod history;
mod language;
mod ledger;
mod plan;
mod report;
mod root;
mod tally;

use std::sync::Arc;

use bytes::Bytes;
use sapwood_protocol::Usage;
use serde_json::{Value, json};

use crate::port::{BoxFuture, DeltaSink, Model, ModelError, Refusal, Request, Response};
use crate::produce::Produced;
use crate::request::{RequestView, ViewError};
use command::Job;

/// The namespace of the tools that deal with agents.
const COLLABORATION: &str = "collaboration";

/// The rehearsal model. See the module's text in the source: it maps a repository, deterministically, and says that it is
/// no language model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rehearsal;

/// One item of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Move {
    /// Says what it is about to do.
    Say(String),
    /// Runs a command.
    Run { job: Job, narrow: usize, timeout_ms: u64 },
    /// Spawns a child.
    Spawn { task_name: String, message: String },
    /// Waits for mail; `None` leaves the time to the runtime.
    Wait { timeout_ms: Option<u64> },
    /// Asks which agents there are.
    List,
    /// Gives a child its task again.
    FollowUp { target: String, message: String },
    /// Ends the turn with what there is to say.
    Answer(String),
}

impl Rehearsal {
    /// The answer to a request, without any time passing. Its cost is zero: no model was asked.
    pub fn answer(&self, body: &[u8]) -> Result<Response, ViewError> {
        let (id, items) = respond(body)?;
        let items: Vec<Bytes> = items.into_iter().map(|item| item.bytes).collect();
        Ok(Response::new(id, items, Usage::default()))
    }
}

impl Model for Rehearsal {
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        Box::pin(async move {
            let refused = |error: ViewError| ModelError::Refused {
                status: 400,
                reason: Refusal::BadRequest,
                message: error.to_string(),
            };
            let (id, produced) = respond(&request.body.concat()).map_err(refused)?;
            produced.iter().for_each(|item| item.announce(&*sink));
            let items = produced.into_iter().map(|item| item.bytes).collect();
            Ok(Response::new(id, items, Usage::default()))
        })
    }
}

fn respond(body: &[u8]) -> Result<(String, Vec<Produced>), ViewError> {
    let view = RequestView::parse(body)?;
    let moves = child::next(&view).unwrap_or_else(|| root::next(&view));
    // The input of a thread only grows, so its length makes ids that no earlier response of the thread has.
    let items = view.entries().len();
    let produced = moves.iter().enumerate().map(|(k, step)| step.produce(&format!("{items}_{k}"))).collect();
    Ok((format!("resp_{items}"), produced))
}

impl Move {
    fn produce(&self, unique: &str) -> Produced {
        let call = |namespace, name: &str, arguments: Value| {
            Produced::call(&format!("call_{unique}"), namespace, name, &arguments.to_string())
        };
        let agents = Some(COLLABORATION);
        match self {
            Move::Say(text) => Produced::message(format!("msg_{unique}"), text, Some("commentary"), 1),
            Move::Answer(text) => {
                Produced::message(format!("msg_{unique}"), text, Some("final_answer"), text.lines().count())
            }
            Move::Run { job, narrow, timeout_ms } => {
                call(None, "exec_command", json!({"cmd": job.command(*narrow), "timeout_ms": timeout_ms}))
            }
            Move::Spawn { task_name, message } => {
                let arguments = json!({"task_name": task_name, "message": message, "fork_turns": "none"});
                call(agents, "spawn_agent", arguments)
            }
            Move::Wait { timeout_ms: Some(ms) } => call(agents, "wait_agent", json!({"timeout_ms": ms})),
            Move::Wait { timeout_ms: None } => call(agents, "wait_agent", json!({})),
            Move::List => call(agents, "list_agents", json!({})),
            Move::FollowUp { target, message } => {
                call(agents, "followup_task", json!({"target": target, "message": message}))
            }
        }
    }
}

/// What an agent says that has no shell; `None` if it has one.
fn no_shell(view: &RequestView<'_>) -> Option<String> {
    let sorry = "I can count nothing here: the request offers no `exec_command`.";
    (!view.offers(None, "exec_command")).then(|| sorry.to_owned())
}
