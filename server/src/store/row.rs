//! What a list shows of a thread, derived from its rollout: from all of it once, then from what is added.

use std::borrow::Cow;

use sapwood_protocol::app::thread::{GitInfo, SessionSource, Thread, ThreadStatus};
use sapwood_protocol::item::{MailKind, mail_header};
use sapwood_protocol::own::{Body, Own};
use sapwood_protocol::record::{Goal, HistoryMode, SessionMeta, Source};
use sapwood_protocol::{Line, Millis, ThreadId, View};
use sapwood_rollout::{FileStamp, Found, Rollout};
use serde::{Deserialize, Serialize};

use super::metadata::{self, Patch};
use crate::history::Peek;

/// The line that says what somebody said to an agent.
const ACCEPTED: &str = "sapwood.accepted";
/// The longest preview that is kept, in characters. A client shows one line of it.
const PREVIEW_CHARS: usize = 2_000;

/// What a list shows of a thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) thread: ThreadId,
    pub(super) stamp: FileStamp,
    pub(super) archived: bool,
    pub(super) place: String,
    pub(super) created: Millis,
    pub(super) updated: Millis,
    pub(super) recency: Millis,
    pub(super) parent: Option<ThreadId>,
    pub(super) forked_from: Option<ThreadId>,
    /// The rollout that this one goes on from.
    pub(super) base: Option<ThreadId>,
    pub(super) mode: HistoryMode,
    pub(super) provider: String,
    pub(super) model: Option<String>,
    pub(super) effort: Option<String>,
    pub(super) cwd: String,
    pub(super) cli_version: String,
    pub(super) originator: Option<String>,
    source: Source,
    pub(super) thread_source: Option<String>,
    pub(super) nickname: Option<String>,
    pub(super) role: Option<String>,
    pub(super) git: Option<GitInfo>,
    preview: String,
    /// The goal of a thread in which nobody said anything.
    goal: Option<String>,
    pub(super) project: Option<String>,
    pub(super) daybreak: Option<bool>,
}

#[derive(Deserialize)]
struct TurnContext {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    effort: Option<String>,
}

#[derive(Deserialize)]
struct SettingsApplied {
    thread_settings: Settings,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    reasoning_effort: Option<String>,
}

#[derive(Deserialize)]
struct UserEvent<'a> {
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ItemEvent<'a> {
    #[serde(borrow)]
    item: Item<'a>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

/// What one agent tells another: in clear behind a header, or apart from it where only the model is to read it.
#[derive(Deserialize)]
struct Mail<'a> {
    #[serde(borrow, default)]
    content: Vec<MailPart<'a>>,
}

#[derive(Deserialize)]
struct MailPart<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    encrypted_content: Option<Cow<'a, str>>,
}

impl Mail<'_> {
    fn text(&self) -> String {
        let part = |part: &MailPart<'_>| match &part.encrypted_content {
            Some(payload) => payload.to_string(),
            None => mail_header(&part.text).1.to_owned(),
        };
        self.content.iter().map(part).collect()
    }
}

#[derive(Deserialize)]
struct GoalEvent {
    goal: Goal,
}

impl Row {
    /// Reads the row of a rollout. `None` for one without a readable first line.
    pub(super) fn read(found: &Found, rollout: &Rollout) -> Option<Self> {
        let mut lines = rollout.lines();
        let first = lines.next()?;
        let meta: SessionMeta = first.view().ok().filter(|view| view.kind == "session_meta")?.payload().ok()?;
        if meta.id != found.thread {
            return None;
        }
        let created = Millis::parse(&meta.timestamp).unwrap_or(found.created);
        let parent = meta.parent();
        let mut row = Self {
            thread: meta.id,
            stamp: found.stamp,
            archived: found.archived,
            place: found.place.clone(),
            created,
            updated: created,
            recency: created,
            parent,
            forked_from: meta.forked_from_id,
            base: meta.history_base.map(|base| base.thread_id).filter(|base| *base != meta.id),
            mode: meta.history_mode,
            provider: meta.model_provider.unwrap_or_default(),
            model: None,
            effort: None,
            cwd: meta.cwd,
            cli_version: meta.cli_version,
            originator: Some(meta.originator).filter(|originator| !originator.is_empty()),
            source: meta.source,
            thread_source: meta.thread_source,
            nickname: meta.agent_nickname,
            role: meta.agent_role,
            git: meta.git.map(metadata::git_info),
            preview: String::new(),
            goal: None,
            project: None,
            daybreak: None,
        };
        lines.for_each(|line| row.apply(&line));
        Some(row)
    }

    /// The row of the same rollout, which has grown. `tail` holds all that is new; lines that were read before may come again.
    pub(super) fn grown(&self, found: &Found, tail: &Rollout) -> Self {
        let (stamp, archived, place) = (found.stamp, found.archived, found.place.clone());
        let mut row = Self { stamp, archived, place, ..self.clone() };
        tail.lines().for_each(|line| row.apply(&line));
        row
    }

    /// What its user said first or, of an agent, its first task; or what it is to reach.
    pub(super) fn preview(&self) -> &str {
        if self.preview.is_empty() { self.goal.as_deref().unwrap_or_default() } else { &self.preview }
    }

    fn apply(&mut self, line: &Line) {
        let Some(peek) = Peek::of(line.bytes()) else { return };
        if let Some(at) = Millis::parse(&peek.timestamp) {
            self.updated = self.updated.max(at);
        }
        let wanted = match &*peek.kind {
            "turn_context" | "session_meta" | metadata::KIND => true,
            "event_msg" => peek.tag.is_none_or(|tag| self.is_told_by(tag)),
            // Of an agent its task is what it was told first: with us from its birth on, in Codex once a turn takes it up.
            ACCEPTED => self.parent.is_some() && self.preview.is_empty(),
            "response_item" => peek.tag == Some("agent_message") && self.parent.is_some() && self.preview.is_empty(),
            _ => false,
        };
        let Some(view) = wanted.then(|| line.view().ok()).flatten() else { return };
        match &*view.kind {
            "turn_context" => {
                if let Ok(TurnContext { model, effort }) = view.payload() {
                    (self.model, self.effort) = (model.or(self.model.take()), effort);
                }
            }
            // A later one of this thread is a note of its repository.
            "session_meta" => {
                let meta = view.payload::<SessionMeta>().ok().filter(|meta| meta.id == self.thread);
                self.git = meta.and_then(|meta| meta.git).map(metadata::git_info).or(self.git.take());
            }
            metadata::KIND => {
                if let Ok(patch) = view.payload::<Patch>() {
                    patch.apply(self);
                }
            }
            ACCEPTED => {
                if let Ok(Some(Own::Accepted(accepted))) = Own::parse(&view)
                    && let Some(Body::Mail { kind: MailKind::NewTask, text, .. }) = &accepted.body
                {
                    self.said(text);
                }
            }
            "response_item" => {
                if let Ok(mail) = view.payload::<Mail<'_>>() {
                    self.said(&mail.text());
                }
            }
            _ => self.event(&view),
        }
    }

    /// True for events that may change it: of the others, only the head is read.
    fn is_told_by(&self, tag: &str) -> bool {
        match tag {
            "task_started" | "turn_started" | "thread_settings_applied" | "thread_goal_updated" => true,
            "user_message" | "item_completed" => self.preview.is_empty(),
            _ => false,
        }
    }

    fn event(&mut self, view: &View<'_>) {
        match &*view.tag() {
            "task_started" | "turn_started" => self.recency = view.at().unwrap_or(self.recency),
            "thread_settings_applied" => {
                if let Ok(SettingsApplied { thread_settings: Settings { model, reasoning_effort } }) = view.payload() {
                    (self.model, self.effort) = (model.or(self.model.take()), reasoning_effort);
                }
            }
            "thread_goal_updated" => {
                self.goal = view.payload::<GoalEvent>().ok().map(|event| preview(&event.goal.objective));
            }
            "user_message" if self.preview.is_empty() => {
                if let Ok(event) = view.payload::<UserEvent<'_>>() {
                    self.said(&event.message);
                }
            }
            "item_completed" if self.preview.is_empty() => {
                if let Ok(ItemEvent { item }) = view.payload()
                    && item.r#type == "UserMessage"
                {
                    self.said(&item.content.iter().map(|part| &*part.text).collect::<String>());
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, text: &str) {
        self.preview = match text.trim() {
            "" => "[Image]".to_owned(),
            text => preview(text),
        };
    }

    /// The thread as clients see it while it is not loaded.
    pub(super) fn thread(&self, name: Option<&String>, preview: String) -> Thread {
        Thread {
            id: self.thread,
            environments: None,
            extra: None,
            session_id: self.thread.into(),
            forked_from_id: self.forked_from,
            attached_to_thread_id: None,
            parent_thread_id: self.parent,
            preview,
            ephemeral: false,
            section: None,
            section_entered_at: None,
            project_id: self.project.clone(),
            history_mode: (&self.mode).into(),
            model_provider: self.provider.clone(),
            model: self.model.clone(),
            reasoning_effort: self.effort.clone(),
            created_at: self.created.secs(),
            updated_at: self.updated.secs(),
            recency_at: Some(self.recency.secs()),
            status: ThreadStatus::NotLoaded,
            path: Some(self.place.clone()),
            cwd: self.cwd.clone(),
            cli_version: self.cli_version.clone(),
            originator: self.originator.clone(),
            source: self.source(),
            can_accept_direct_input: None,
            thread_source: self.thread_source.clone(),
            agent_nickname: self.nickname.clone(),
            agent_role: self.role.clone(),
            git_info: self.git.clone(),
            name: name.cloned(),
            daybreak_enabled: self.daybreak,
            turns: Vec::new(),
        }
    }

    pub(super) fn source(&self) -> SessionSource {
        (&self.source).into()
    }
}

fn preview(text: &str) -> String {
    text.trim().chars().take(PREVIEW_CHARS).collect()
}
