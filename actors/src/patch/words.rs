//! What the model is told of a patch, and what the rollout and the clients are shown of it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::apply::{Applied, ApplyError};
use super::grammar::{Action, Hunk, Line, Patch, Section};
use super::plan::{ChangeKind, PatchError, Plan};

/// How far a patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Begun, or waiting for an approval.
    InProgress,
    /// Applied.
    Completed,
    /// Not applied: a step failed.
    Failed,
    /// Not applied: it was not approved.
    Declined,
}

impl Status {
    /// The word in a rollout; a patch that is in progress has none.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::InProgress => None,
            Self::Completed => Some("completed"),
            Self::Failed => Some("failed"),
            Self::Declined => Some("declined"),
        }
    }
}

/// What came of a plan, in the words that the model and the rollout share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How far it came.
    pub status: Status,
    /// What it says if it was applied.
    pub stdout: String,
    /// What went wrong.
    pub stderr: String,
}

impl Outcome {
    /// Of a plan that was carried out, or was not.
    pub fn of(plan: &Plan, result: &Result<Applied, ApplyError>) -> Self {
        match result {
            Ok(applied) => {
                let left = applied
                    .left
                    .iter()
                    .map(|path| format!("{} is an old file that could not be removed\n", path.display()));
                Self { status: Status::Completed, stdout: success(plan), stderr: left.collect() }
            }
            Err(error) => Self { status: Status::Failed, stdout: String::new(), stderr: format!("{error}\n") },
        }
    }

    /// Before there is one, and for a patch that nobody approved.
    pub fn without(status: Status) -> Self {
        Self { status, stdout: String::new(), stderr: String::new() }
    }

    /// The output of the call.
    pub fn answer(&self, took: Duration) -> String {
        let code = i32::from(self.status != Status::Completed);
        // To a tenth, and without one where it is zero: "0", "0.1", "2".
        let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
        format!("Exit code: {code}\nWall time: {seconds} seconds\nOutput:\n{}{}", self.stdout, self.stderr)
    }
}

/// The output of a call whose patch was refused before anything was done.
pub fn refusal(error: &PatchError) -> String {
    match error {
        PatchError::Empty => "patch rejected: empty patch".to_owned(),
        error => format!("apply_patch verification failed: {error}"),
    }
}

/// The files of a plan as they are told: what is added, what is changed, what is removed, each in the patch's order.
fn success(plan: &Plan) -> String {
    let told = plan.changes.iter().map(|change| match &change.kind {
        ChangeKind::Add { .. } => ('A', &change.written),
        ChangeKind::Update { move_to: Some(to), .. } => ('M', &to.written),
        ChangeKind::Update { .. } => ('M', &change.written),
        ChangeKind::Delete { .. } => ('D', &change.written),
    });
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|(letter, _)| *letter == 'M');
    told.sort_by_key(|(letter, _)| *letter == 'D');
    let lines = told.iter().map(|(letter, path)| format!("{letter} {path}\n"));
    format!("Success. Updated the following files:\n{}", lines.collect::<String>())
}

/// The changes of a plan, by absolute path.
pub fn changes(plan: &Plan) -> Value {
    let entry = |kind: &ChangeKind| match kind {
        ChangeKind::Add { content } => json!({"type": "add", "content": **content}),
        ChangeKind::Delete { content, .. } => json!({"type": "delete", "content": **content}),
        // Nothing is lost, and a diff would show nothing: what it writes is shown, as Codex does.
        ChangeKind::Update { move_to: None, old, new, .. } if old == new => json!({"type": "add", "content": **new}),
        ChangeKind::Update { unified_diff, move_to, .. } => {
            let move_path = move_to.as_ref().map(|to| to.path.to_string_lossy());
            json!({"type": "update", "unified_diff": unified_diff, "move_path": move_path})
        }
    };
    let all = plan.changes.iter().map(|change| (change.path.to_string_lossy().into_owned(), entry(&change.kind)));
    Value::Object(all.collect())
}

/// The changes of a patch as far as its text says them, by absolute path: for one that nobody has looked for in the files.
pub fn sketch(patch: &Patch, cwd: &Path) -> Value {
    let entry = |section: &Section| match &section.action {
        Action::Add { content } => json!({"type": "add", "content": content}),
        Action::Delete => json!({"type": "delete", "content": ""}),
        Action::Update { move_to, hunks } => {
            let move_path = move_to.as_ref().map(|to| cwd.join(to).to_string_lossy().into_owned());
            let text: String = hunks.iter().map(hunk).collect();
            json!({"type": "update", "unified_diff": text, "move_path": move_path})
        }
    };
    let all =
        patch.sections.iter().map(|section| (cwd.join(&section.path).to_string_lossy().into_owned(), entry(section)));
    Value::Object(all.collect())
}

/// A hunk as in a diff, without the numbers of its lines.
fn hunk(hunk: &Hunk) -> String {
    let lines = hunk.lines.iter().map(|line| match line {
        Line::Context(text) => format!(" {text}\n"),
        Line::Remove(text) => format!("-{text}\n"),
        Line::Add(text) => format!("+{text}\n"),
    });
    std::iter::once(format!("@@ {}\n", hunk.contexts.join(" "))).chain(lines).collect()
}

/// The item of a call's patch, as the rollout has it.
pub fn item(call: &str, plan: &Plan, outcome: &Outcome) -> Value {
    item_of(call, changes(plan), outcome)
}

/// The same of these changes.
pub fn item_of(call: &str, changes: Value, outcome: &Outcome) -> Value {
    let mut item = Map::new();
    item.insert("type".into(), "FileChange".into());
    item.insert("id".into(), call.into());
    item.insert("changes".into(), changes);
    if let Some(status) = outcome.status.word() {
        item.insert("status".into(), status.into());
        item.insert("stdout".into(), outcome.stdout.as_str().into());
        item.insert("stderr".into(), outcome.stderr.as_str().into());
    }
    Value::Object(item)
}

/// The event that a legacy rollout has instead of the item; nothing while the patch is in progress.
pub fn legacy_event(call: &str, turn: &str, plan: &Plan, outcome: &Outcome) -> Option<Value> {
    let status = outcome.status.word()?;
    Some(json!({
        "type": "patch_apply_end", "call_id": call, "turn_id": turn, "stdout": outcome.stdout, "stderr": outcome.stderr,
        "success": outcome.status == Status::Completed, "changes": changes(plan), "status": status,
    }))
}
