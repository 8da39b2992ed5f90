//! Our own rollout lines: `sapwood.<kind>`, with a payload that says its version.
//!
//! They never have an ordinal: Codex numbers from the last line it can parse, and would use ours again.

mod input;
mod queued;
mod said;

use serde::{Deserialize, Serialize};

use crate::asked::{Answered, Asked};
use crate::ids::{CallId, InputId, ThreadId, TurnId};
use crate::line::{EarlyOutput, Line, LineError, View};
use crate::path::AgentPath;
use crate::time::Millis;

pub use input::{Accepted, Begun, Body, How, InputLane, Sender, Settled};
pub use queued::{QueueChange, QueueLine, QueuedInput};
pub use said::{Manner, Said, ThreadSettings};

/// The version of the payloads below.
pub const VERSION: u32 = 1;

/// What every kind of ours starts with.
pub const PREFIX: &str = "sapwood.";

/// A line of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Own {
    /// An input was accepted: from here on it is pending until a line consumes or settles it.
    Accepted(Accepted),
    /// A pending input will never be consumed.
    Settled(Settled),
    /// A pending input is begun again after an unclean end.
    Begun(Begun),
    /// A tool may have had effects from here on.
    ToolStarted(ToolStarted),
    /// A tool has ended before an earlier call of its answer: its output waits. Only in a legacy rollout, where no line of
    /// Codex's could carry the mark.
    ToolEnded(EarlyOutput),
    /// A child is being made.
    Spawn(Spawn),
    /// A turn waits for mail.
    Waiting(Waiting),
    /// A turn pauses before it asks the model again.
    Paused(Paused),
    /// The agent was taken out of service.
    Quarantined(Quarantined),
    /// What another program kept of this thread beside its rollout was taken over.
    Adopted(Adopted),
    /// A person or a client is asked.
    Asked(Asked),
    /// A question is closed.
    Answered(Answered),
    /// Something about the messages that wait has changed.
    Queue(QueueLine),
    /// A command of the user may have had effects from here on.
    ShellStarted(ShellStarted),
}

/// The turn that caused something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnOrigin {
    /// The turn that sent it.
    pub turn: TurnId,
    /// The root turn that ultimately caused that turn.
    pub root_turn: TurnId,
}

/// How a turn ended, for the one who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It came to its end.
    Completed,
    /// The model or the provider failed for good.
    Failed,
    /// Somebody else than the requester interrupted it.
    Cancelled,
    /// The process died under it.
    Lost,
    /// The agent crashed too often and was taken out of service.
    Quarantined,
}

impl Outcome {
    /// A person or a crash stopped the turn: messages that wait for its end are not begun by themselves.
    pub fn stops_queue(self) -> bool {
        match self {
            Outcome::Completed | Outcome::Failed => false,
            Outcome::Cancelled | Outcome::Lost | Outcome::Quarantined => true,
        }
    }
}

/// `sapwood.tool_started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolStarted {
    /// The call.
    pub call: CallId,
    /// The process group that runs it, where it is a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ProcessGroup>,
}

/// `sapwood.shell_started`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellStarted {
    /// The input that asks for it; it is pending until the model is told what came of it.
    pub input: InputId,
    /// The turn that it is shown in.
    pub turn: TurnId,
    /// Where it runs.
    pub cwd: String,
    /// The process group that runs it; absent if it could not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ProcessGroup>,
}

/// A process group that may outlive a crash: killed later only if both numbers match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessGroup {
    /// Its id, which is the process id of its leader.
    pub id: i32,
    /// When the leader started, in clock ticks since boot (field 22 of `/proc/<id>/stat`).
    pub start: u64,
}

/// `sapwood.spawn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// The thread id of the child, chosen before it exists so that making it again makes the same one.
    pub child: ThreadId,
    /// The call that asks for it.
    pub call: CallId,
    /// Its path.
    pub path: AgentPath,
    /// What it inherits of its spawner's history; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
}

/// The part of a spawner's history that a child inherits. Written before the child exists, so that making it again gives
/// it the same part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The first line of the spawner's rollout that is not inherited: its ordinal, or in a legacy rollout its number among
    /// the lines with a Codex type.
    pub end: u64,
    /// Only the last so many turns before that; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
}

/// `sapwood.waiting`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The call that waits.
    pub call: CallId,
    /// When it gives up.
    pub until: Millis,
}

/// `sapwood.paused`: the account has used up what it may use for now. The turn stays open and costs nothing; the model's
/// next answer ends the pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// When the limit ends, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// What the provider said, for a person.
    pub reason: String,
}

/// `sapwood.quarantined`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// What went wrong, for a person.
    pub reason: String,
}

/// `sapwood.adopted`: written once, when a thread of another program is first written by us. From here on this rollout is
/// the truth about these things, and what the other program notes later is not taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The goal of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// Its children that were closed: they and all below them are no part of the tree any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<ThreadId>,
}

/// What a thread is to reach, over many turns (`goals-and-rollouts.md` D.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// What is to be reached.
    pub objective: String,
    /// Where it stands.
    pub status: GoalStatus,
    /// How many tokens it may use; absent for as many as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
    /// How many it has used.
    pub tokens_used: u64,
    /// How long it was worked on, in seconds.
    pub time_used_seconds: u64,
    /// When it was set.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

/// Where a goal stands, in the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GoalStatus {
    /// It is worked on.
    Active,
    /// Somebody has paused it.
    Paused,
    /// It cannot be reached as things are.
    Blocked,
    /// A usage limit stopped it.
    UsageLimited,
    /// Its budget is used up.
    BudgetLimited,
    /// It is reached.
    Complete,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    payload: &'a T,
}

impl Own {
    /// The `type` of the line.
    pub fn kind(&self) -> &'static str {
        match self {
            Own::Accepted(_) => "sapwood.accepted",
            Own::Settled(_) => "sapwood.settled",
            Own::Begun(_) => "sapwood.begun",
            Own::ToolStarted(_) => "sapwood.tool_started",
            Own::ToolEnded(_) => "sapwood.tool_ended",
            Own::Spawn(_) => "sapwood.spawn",
            Own::Waiting(_) => "sapwood.waiting",
            Own::Paused(_) => "sapwood.paused",
            Own::Quarantined(_) => "sapwood.quarantined",
            Own::Adopted(_) => "sapwood.adopted",
            Own::Asked(_) => "sapwood.asked",
            Own::Answered(_) => "sapwood.answered",
            Own::Queue(_) => "sapwood.queue",
            Own::ShellStarted(_) => "sapwood.shell_started",
        }
    }

    /// Writes the line.
    pub fn line(&self, now: Millis) -> Line {
        Line::encode(now, None, self.kind(), &Versioned { v: VERSION, payload: self }, None)
    }

    /// Reads a line of ours. `None` if it is none, or of a kind that this version does not know.
    pub fn parse(view: &View<'_>) -> Result<Option<Self>, LineError> {
        Ok(Some(match &*view.kind {
            "sapwood.accepted" => Own::Accepted(view.payload()?),
            "sapwood.settled" => Own::Settled(view.payload()?),
            "sapwood.begun" => Own::Begun(view.payload()?),
            "sapwood.tool_started" => Own::ToolStarted(view.payload()?),
            "sapwood.tool_ended" => Own::ToolEnded(view.payload()?),
            "sapwood.spawn" => Own::Spawn(view.payload()?),
            "sapwood.waiting" => Own::Waiting(view.payload()?),
            "sapwood.paused" => Own::Paused(view.payload()?),
            "sapwood.quarantined" => Own::Quarantined(view.payload()?),
            "sapwood.adopted" => Own::Adopted(view.payload()?),
            "sapwood.asked" => Own::Asked(view.payload()?),
            "sapwood.answered" => Own::Answered(view.payload()?),
            "sapwood.queue" => Own::Queue(view.payload()?),
            "sapwood.shell_started" => Own::ShellStarted(view.payload()?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::{Resolution, What};
    use crate::ids::AskId;
    use crate::item::MailKind;

    #[test]
    fn own_lines_come_back() {
        let thread: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
        let turn = TurnOrigin { turn: TurnId::from("t2"), root_turn: TurnId::from("t1") };
        let from = Sender { thread, path: AgentPath::root(), n: 12 };
        let text = "do it".to_owned();
        let body = Some(Body::Mail { kind: MailKind::NewTask, text, turn, outcome: None });
        let id = InputId::from("a:12");
        let call = CallId::from("c1");
        let path = AgentPath::root().join("a").unwrap();
        let all = [
            Own::Accepted(Accepted {
                id: id.clone(),
                place: 0,
                lane: InputLane::Mail,
                wake: true,
                from: Some(from),
                body,
                turn: None,
            }),
            Own::Accepted(Accepted {
                id: id.clone(),
                place: 1,
                lane: InputLane::User,
                wake: true,
                from: None,
                body: None,
                turn: Some("t".into()),
            }),
            Own::Accepted(Accepted {
                id: id.clone(),
                place: 2,
                lane: InputLane::User,
                wake: false,
                from: None,
                body: Some(Body::Settings {
                    settings: ThreadSettings {
                        model: Some("m".into()),
                        effort: Some(None),
                        ..ThreadSettings::default()
                    },
                }),
                turn: None,
            }),
            Own::Settled(Settled { id: id.clone(), how: How::DeadLetter }),
            Own::Begun(Begun { id }),
            Own::ToolStarted(ToolStarted { call: call.clone(), group: Some(ProcessGroup { id: 7, start: 9 }) }),
            Own::Spawn(Spawn { child: thread, call: call.clone(), path: path.clone(), fork: None }),
            Own::Spawn(Spawn { child: thread, call: call.clone(), path, fork: Some(Fork { end: 12, turns: Some(2) }) }),
            Own::ToolEnded(EarlyOutput { call: call.clone(), text: "out".into() }),
            Own::Waiting(Waiting { call, until: Millis(5) }),
            Own::Paused(Paused { until: Some(Millis(7)), reason: "used up".into() }),
            Own::Quarantined(Quarantined { reason: "panic".into() }),
            Own::Adopted(Adopted { goal: None, closed: vec![thread] }),
            Own::Asked(Asked {
                id: AskId::from("q"),
                call: CallId::from("c1"),
                at: Millis(4),
                what: What::FileChange { reason: None, grant_root: None, paths: vec!["/a".into()] },
            }),
            Own::Answered(Answered { id: AskId::from("q"), how: Resolution::Withdrawn }),
            Own::Accepted(Accepted {
                id: "q".into(),
                place: 3,
                lane: InputLane::User,
                wake: false,
                from: None,
                body: Some(Body::Queued(QueuedInput { said: Said::text("later"), metadata: None })),
                turn: None,
            }),
            Own::Accepted(Accepted {
                id: "i".into(),
                place: 4,
                lane: InputLane::User,
                wake: false,
                from: None,
                body: Some(Body::Items { items: vec![serde_json::json!({"type": "message", "role": "user"})] }),
                turn: None,
            }),
            Own::Queue(QueueLine {
                place: 5,
                change: QueueChange::Edited { id: "q".into(), queued: QueuedInput::default() },
            }),
            Own::ShellStarted(ShellStarted {
                input: "s".into(),
                turn: "t".into(),
                cwd: "/w".into(),
                group: Some(ProcessGroup { id: 7, start: 9 }),
            }),
            Own::Queue(QueueLine { place: 6, change: QueueChange::Ordered { ids: vec!["q".into()] } }),
            Own::Queue(QueueLine { place: 7, change: QueueChange::Released { id: "q".into(), turn: "t".into() } }),
        ];
        for own in all {
            let line = own.line(Millis(1));
            let view = line.view().unwrap();
            assert_eq!(view.ordinal, None);
            assert!(view.payload.get().starts_with(r#"{"v":1,"#), "{line:?}");
            assert_eq!(Own::parse(&view).unwrap(), Some(own));
        }
    }
}
