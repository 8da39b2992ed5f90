//! Notifications: what a client is told without asking. Each type knows its method.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item::ThreadItem;
use super::settings::ThreadSettingsUpdated;
use super::thread::{Thread, ThreadStatus};
use super::turn::{Turn, TurnError};
use crate::ids::{ThreadId, TurnId};

/// Params of a notification.
pub trait Notice: Serialize {
    /// The method that it is sent under.
    const METHOD: &'static str;
}

macro_rules! notices {
    ($($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? = $method:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("Sent as `", $method, "`.")]
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $name $(<$life>)? {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl $(<$life>)? Notice for $name $(<$life>)? {
                const METHOD: &'static str = $method;
            }
        )*

        /// The methods of the notifications here.
        pub const NOTICES: &[&str] = &[$($method,)* ThreadSettingsUpdated::METHOD];
    };
}

impl Notice for ThreadSettingsUpdated {
    const METHOD: &'static str = "thread/settings/updated";
}

notices! {
    /// A thread is there.
    ThreadStarted = "thread/started" {
        /// The thread, without turns.
        thread: Thread,
    }
    /// A thread is in another state.
    ThreadStatusChanged = "thread/status/changed" {
        /// The thread.
        thread_id: ThreadId,
        /// How it is now.
        status: ThreadStatus,
    }
    /// A thread was archived.
    ThreadArchived = "thread/archived" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// A thread is no longer archived.
    ThreadUnarchived = "thread/unarchived" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// A thread was deleted.
    ThreadDeleted = "thread/deleted" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// A thread is no longer loaded.
    ThreadClosed = "thread/closed" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// A thread has another name.
    ThreadNameUpdated = "thread/name/updated" {
        /// The thread.
        thread_id: ThreadId,
        /// The name.
        #[serde(default)]
        thread_name: Option<String>,
    }
    /// The messages that wait are others.
    ThreadQueueChanged = "thread/queue/changed" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// A thread has no goal.
    ThreadGoalCleared = "thread/goal/cleared" {
        /// The thread.
        thread_id: ThreadId,
    }
    /// What a thread has used.
    ThreadTokenUsageUpdated = "thread/tokenUsage/updated" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn that used it.
        turn_id: TurnId,
        /// How much.
        token_usage: ThreadTokenUsage,
    }
    /// The history was compacted; the item `contextCompaction` says the same.
    ThreadCompacted = "thread/compacted" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn that did it.
        turn_id: TurnId,
    }
    /// A turn began.
    TurnStarted = "turn/started" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn: Turn,
    }
    /// A turn ended.
    TurnCompleted = "turn/completed" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn: Turn,
    }
    /// What a turn has changed in files.
    TurnDiffUpdated = "turn/diff/updated" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// All of it, unified, with paths from the root of the repository.
        diff: String,
    }
    /// What a turn is going to do.
    TurnPlanUpdated = "turn/plan/updated" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// Why the plan changed.
        #[serde(default)]
        explanation: Option<String>,
        /// The steps.
        plan: Vec<PlanStep>,
    }
    /// An item began.
    ItemStarted = "item/started" {
        /// The item.
        item: ThreadItem,
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// When, in milliseconds since 1970.
        started_at_ms: u64,
    }
    /// An item ended.
    ItemCompleted = "item/completed" {
        /// The item.
        item: ThreadItem,
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// How long its content is, where that was counted.
        #[serde(default)]
        content_token_count: Option<u64>,
        /// When, in milliseconds since 1970.
        completed_at_ms: u64,
    }
    /// More of an answer.
    AgentMessageDelta<'a> = "item/agentMessage/delta" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The text.
        delta: Cow<'a, str>,
    }
    /// More of a proposed plan.
    PlanDelta<'a> = "item/plan/delta" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The text.
        delta: Cow<'a, str>,
    }
    /// More of a reasoning's summary.
    ReasoningSummaryDelta<'a> = "item/reasoning/summaryTextDelta" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The text.
        delta: Cow<'a, str>,
        /// Which part of the summary.
        summary_index: i64,
    }
    /// A reasoning's summary has another part.
    ReasoningSummaryPartAdded<'a> = "item/reasoning/summaryPartAdded" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// Which part of the summary.
        summary_index: i64,
    }
    /// More of a reasoning itself.
    ReasoningTextDelta<'a> = "item/reasoning/textDelta" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The text.
        delta: Cow<'a, str>,
        /// Which part of the content.
        content_index: i64,
    }
    /// More of a command's output.
    CommandOutputDelta<'a> = "item/commandExecution/outputDelta" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The text.
        delta: Cow<'a, str>,
    }
    /// The model typed into a terminal.
    TerminalInteraction<'a> = "item/commandExecution/terminalInteraction" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The session.
        process_id: Cow<'a, str>,
        /// What was typed.
        stdin: Cow<'a, str>,
    }
    /// What a patch is going to change.
    FileChangePatchUpdated<'a> = "item/fileChange/patchUpdated" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The item.
        item_id: Cow<'a, str>,
        /// The changes so far, as the item has them.
        changes: Vec<Value>,
    }
    /// A question to clients is no longer open.
    ServerRequestResolved = "serverRequest/resolved" {
        /// The thread that asked.
        thread_id: ThreadId,
        /// The id of the request: a text or a number.
        request_id: Value,
    }
    /// A turn met an error.
    ErrorNotice = "error" {
        /// The error.
        error: TurnError,
        /// The request is made again; otherwise the turn fails.
        will_retry: bool,
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
    }
    /// Something a person should know.
    Warning = "warning" {
        /// The thread that it is about.
        #[serde(default)]
        thread_id: Option<ThreadId>,
        /// What it is.
        message: String,
    }
    /// Something old was used.
    DeprecationNotice = "deprecationNotice" {
        /// What, and what to use instead.
        summary: String,
        /// More of it.
        #[serde(default)]
        details: Option<String>,
    }
    /// Something is wrong with the configuration.
    ConfigWarning = "configWarning" {
        /// What.
        summary: String,
        /// More of it.
        #[serde(default)]
        details: Option<String>,
        /// The file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Where in the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range: Option<Value>,
    }
    /// The provider took another model.
    ModelRerouted = "model/rerouted" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The model that was asked.
        from_model: String,
        /// The one that answers.
        to_model: String,
        /// Why.
        reason: ModelRerouteReason,
    }
    /// The provider holds an answer back to check it.
    SafetyBufferingUpdated = "model/safetyBuffering/updated" {
        /// The thread.
        thread_id: ThreadId,
        /// The turn.
        turn_id: TurnId,
        /// The model.
        model: String,
        /// What is checked for.
        use_cases: Vec<String>,
        /// Why.
        reasons: Vec<String>,
        /// A client should show it.
        show_buffering_ui: bool,
        /// A model that answers sooner.
        #[serde(default)]
        faster_model: Option<String>,
    }
}

/// What a thread has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTokenUsage {
    /// All together.
    pub total: TokenUsageBreakdown,
    /// In the last request.
    pub last: TokenUsageBreakdown,
    /// How many tokens the model can have before it.
    #[serde(default)]
    pub model_context_window: Option<i64>,
}

/// What was used, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenUsageBreakdown {
    /// Input and output.
    pub total_tokens: i64,
    /// What the model read.
    pub input_tokens: i64,
    /// Of that, what the provider had kept.
    pub cached_input_tokens: i64,
    /// Of that, what the provider keeps from now on.
    #[serde(default)]
    pub cache_write_input_tokens: i64,
    /// What the model wrote.
    pub output_tokens: i64,
    /// Of that, what it thought.
    pub reasoning_output_tokens: i64,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What is to be done.
    pub step: String,
    /// How far it is.
    pub status: PlanStepStatus,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanStepStatus {
    /// Not begun.
    Pending,
    /// Begun. Models say it with an underscore.
    #[serde(alias = "in_progress")]
    InProgress,
    /// Done.
    Completed,
}

/// Why a provider took another model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelRerouteReason {
    /// The request looked dangerous.
    HighRiskCyberActivity,
}
