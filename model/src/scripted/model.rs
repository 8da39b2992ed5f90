//! The script behind the port: it lets time pass, tells deltas, and writes the log of requests.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sapwood_protocol::{AgentPath, SessionId, ThreadId, TurnId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::reply::{Act, Outcome};
use super::rule::Script;
use crate::port::{BoxFuture, DeltaSink, Model, ModelError, Refusal, Request, Response};
use crate::request::RequestView;

/// A model that answers from a script.
#[derive(Clone, Debug)]
pub struct Scripted {
    script: Arc<Script>,
    log: Option<Arc<File>>,
}

impl Scripted {
    /// A model that answers from this script.
    pub fn new(script: Script) -> Self {
        Self { script: Arc::new(script), log: None }
    }

    /// Appends each request to this file, before it is answered. The file is made if it is not there.
    pub fn log(self, path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { log: Some(Arc::new(file)), ..self })
    }

    async fn answer(self, request: Request, sink: Arc<dyn DeltaSink>) -> Result<Response, ModelError> {
        let reply = {
            let body = request.body.concat();
            let view = RequestView::parse(&body).map_err(|error| ModelError::Refused {
                status: 400,
                reason: Refusal::BadRequest,
                message: error.to_string(),
            })?;
            if let Some(log) = &self.log {
                append(log, &request, &view).map_err(|error| ModelError::Refused {
                    status: 0,
                    reason: Refusal::Other,
                    message: format!("the log of requests cannot be written: {error}"),
                })?;
            }
            self.script.reply_to(&request, &view)
        };
        for act in &reply.acts {
            match act {
                Act::Item(item) => item.announce(&*sink),
                Act::Delay(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
                Act::Fail(_) | Act::Hang => break,
            }
        }
        match reply.outcome() {
            Outcome::Response(response) => Ok(response),
            Outcome::Error(error) => Err(error),
            Outcome::Hang => std::future::pending().await,
        }
    }
}

impl Model for Scripted {
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        Box::pin(self.clone().answer(request, sink))
    }
}

#[derive(Serialize)]
struct Logged<'a> {
    session: SessionId,
    thread: ThreadId,
    path: &'a AgentPath,
    parent: Option<ThreadId>,
    turn: &'a TurnId,
    root_turn: &'a TurnId,
    attempt: u32,
    input: &'a RawValue,
}

/// One write a line, so that a kill leaves whole lines and processes that share the file do not mix theirs.
fn append(mut log: &File, request: &Request, view: &RequestView<'_>) -> std::io::Result<()> {
    let origin = &request.origin;
    let mut line = serde_json::to_vec(&Logged {
        session: origin.session,
        thread: origin.thread,
        path: &origin.path,
        parent: origin.parent,
        turn: &origin.turn,
        root_turn: &origin.root_turn,
        attempt: origin.attempt,
        input: view.input(),
    })?;
    // The input stands as it came; should a body be laid out over several lines, its line breaks are between tokens.
    line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
    line.push(b'\n');
    log.write_all(&line)
}
