//! Commands that never started: their process died between the answer that asked for them and their first instruction.
//!
//! The model reads `aborted` for such a call, and no line says more of it. Clients were told nothing either: without this the
//! call would be in the history and nowhere on the screen.

use memchr::memmem;
use sapwood_protocol::Line;
use sapwood_protocol::app::item::{CommandAction, Item, ThreadItem};
use sapwood_protocol::own::ToolStarted;
use serde::Deserialize;

/// What the model reads for a call without an output.
const ABORTED: &str = "aborted";

/// The lines of the open turn that say what became of its calls, unread until somebody asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// We write this rollout. Codex shows nothing of such calls.
    ours: bool,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Call {
    r#type: String,
    call_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: String,
}

#[derive(Deserialize)]
struct Exec {
    cmd: String,
    #[serde(default)]
    workdir: Option<String>,
}

impl Calls {
    pub(super) fn own(&mut self, kind: &str, line: &Line) {
        self.ours = true;
        if kind == "sapwood.tool_started" {
            self.lines.push(line.clone());
        }
    }

    pub(super) fn response_item(&mut self, line: &Line) {
        if self.ours && memmem::find(line.bytes(), b"function_call").is_some() {
            self.lines.push(line.clone());
        }
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// The commands of the turn that have neither started nor an output.
    pub(super) fn never_started(&mut self) -> Vec<ThreadItem> {
        let mut calls: Vec<Call> = Vec::new();
        for line in self.lines.drain(..) {
            let Ok(view) = line.view() else { continue };
            if view.kind != "response_item" {
                if let Ok(started) = view.payload::<ToolStarted>() {
                    calls.retain(|call| call.call_id != started.call.as_str());
                }
                continue;
            }
            match view.payload::<Call>() {
                Ok(call) if call.r#type == "function_call" => calls.push(call),
                Ok(output) => calls.retain(|call| call.call_id != output.call_id),
                Err(_) => {}
            }
        }
        calls.iter().filter_map(aborted).collect()
    }
}

fn aborted(call: &Call) -> Option<ThreadItem> {
    if call.name != "exec_command" {
        return None;
    }
    let exec: Exec = serde_json::from_str(&call.arguments).ok()?;
    let item = Item::CommandExecution {
        id: (&*call.call_id).into(),
        plugin_id: None,
        script_path: None,
        command: (&*exec.cmd).into(),
        cwd: exec.workdir.as_deref().unwrap_or_default().into(),
        process_id: None,
        source: "agent".into(),
        status: "failed".into(),
        command_actions: vec![CommandAction::Unknown { command: (&*exec.cmd).into() }],
        aggregated_output: Some(ABORTED.into()),
        exit_code: None,
        duration_ms: None,
    };
    Some(ThreadItem::new(&item, None, None))
}
