//! The typed view of Codex's rollout lines, for reading; and the payloads of those kinds that Sapwood writes.
//!
//! The view stands beside the bytes of a line and never writes them back. What is known of a kind only by name, or
//! differs between versions, stays a [`Value`]; a kind that this version does not know is [`Record::Unknown`], and
//! never an error. Field tables: `goals-and-rollouts.md` A.4 to A.10. Field order: that of the recorded rollouts.

mod event;
mod history;
mod item;
mod legacy;
mod meta;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::line::{LineError, View};
use crate::own::{self, Own};

pub use event::{
    AbortReason, EventMsg, Goal, ItemCompleted, TaskComplete, TaskStarted, ThreadGoalUpdated, ThreadRolledBack,
    ThreadSettings, ThreadSettingsApplied, TokenCount, TokenInfo, TurnAborted, TurnAttribution, TurnError,
};
pub use history::{Compacted, TokenUsageRecord, TurnContext, WorldState};
pub use item::{
    AgentMessage, Compaction, ContextCompaction, CustomToolCall, CustomToolCallOutput, FunctionCall,
    FunctionCallOutput, LocalShellCall, Message, Reasoning, ResponseItem, ToolSearchCall, ToolSearchOutput,
};
pub use legacy::{
    AgentMessageEvent, AgentReasoning, AgentReasoningRawContent, ContextCompacted, PatchApplyEnd, UserMessage,
};
pub use meta::{
    BaseInstructions, ContextWindow, Git, HistoryBase, HistoryMode, Provenance, SessionMeta, Source, Subagent,
    ThreadSpawn,
};

/// One line, by what its type says.
///
/// Serialises to its payload; what was unknown serialises to `null`, because its content was not kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// `session_meta`: what the thread is. The first one of a rollout counts, later ones are notes.
    SessionMeta(Box<SessionMeta>),
    /// `response_item`: an element of the history that the model sees.
    ResponseItem(Box<ResponseItem>),
    /// `event_msg`: what happened, for clients and for the life cycle of turns.
    EventMsg(Box<EventMsg>),
    /// `turn_context`: the settings of a turn.
    TurnContext(Box<TurnContext>),
    /// `compacted`: a checkpoint that replaces the history before it.
    Compacted(Box<Compacted>),
    /// `world_state`: what the model was told of its environment.
    WorldState(WorldState),
    /// `token_usage_record`: what one response cost.
    TokenUsageRecord(Box<TokenUsageRecord>),
    /// `inter_agent_communication`: agent mail in its older form, the whole mail in one line.
    InterAgentCommunication(Value),
    /// `inter_agent_communication_metadata`: the line before an agent message.
    InterAgentCommunicationMetadata(InterAgentCommunicationMetadata),
    /// A line of ours.
    Own(Box<Own>),
    /// A kind that this version does not know. It keeps its place in the file and means nothing.
    #[serde(serialize_with = "nothing")]
    Unknown {
        /// The type of the line.
        kind: String,
        /// The type inside its payload, for events and response items; empty otherwise.
        tag: String,
    },
}

/// `inter_agent_communication_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterAgentCommunicationMetadata {
    /// The mail starts a turn of an idle agent.
    #[serde(default)]
    pub trigger_turn: bool,
}

fn nothing<S: serde::Serializer>(_: &str, _: &str, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_unit()
}

impl Record {
    /// Reads the payload of a line. Fails where a known kind does not hold what it must; Codex ignores such a line.
    pub fn parse(view: &View<'_>) -> Result<Self, LineError> {
        let unknown = |tag: &str| Record::Unknown { kind: view.kind.clone().into_owned(), tag: tag.to_owned() };
        Ok(match &*view.kind {
            "session_meta" => Record::SessionMeta(view.payload()?),
            "response_item" => {
                let tag = view.tag();
                match ResponseItem::parse(view, &tag)? {
                    Some(item) => Record::ResponseItem(Box::new(item)),
                    None => unknown(&tag),
                }
            }
            "event_msg" => {
                let tag = view.tag();
                match EventMsg::parse(view, &tag)? {
                    Some(event) => Record::EventMsg(Box::new(event)),
                    None => unknown(&tag),
                }
            }
            "turn_context" => Record::TurnContext(view.payload()?),
            "compacted" => Record::Compacted(view.payload()?),
            "world_state" => Record::WorldState(view.payload()?),
            "token_usage_record" => Record::TokenUsageRecord(view.payload()?),
            "inter_agent_communication" => Record::InterAgentCommunication(view.payload()?),
            "inter_agent_communication_metadata" => Record::InterAgentCommunicationMetadata(view.payload()?),
            kind if kind.starts_with(own::PREFIX) => match Own::parse(view)? {
                Some(own) => Record::Own(Box::new(own)),
                None => unknown(""),
            },
            _ => unknown(""),
        })
    }
}

/// Makes an enum of payloads that are told apart by the `type` inside them: its variants, how it is read, how it
/// is written (each payload writes its own `type`).
macro_rules! tagged {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident($payload:ty) = $($tag:literal)|+ , )+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant($payload), )+
        }

        impl $name {
            /// Reads the payload of a line whose inner type is `tag`; `None` for a type that is not known.
            pub(super) fn parse(
                view: &crate::line::View<'_>,
                tag: &str,
            ) -> Result<Option<Self>, crate::line::LineError> {
                Ok(Some(match tag {
                    $( $($tag)|+ => $name::$variant(view.payload()?), )+
                    _ => return Ok(None),
                }))
            }
        }
    };
}
use tagged;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Line;

    fn parse(line: &str) -> Result<Record, LineError> {
        Record::parse(&Line::from_bytes(line.as_bytes().to_vec().into()).view()?)
    }

    #[test]
    fn old_names_and_missing_fields() {
        let meta = |fields: &str| {
            let id = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
            match parse(&format!(r#"{{"type":"session_meta","payload":{{"id":"{id}"{fields}}}}}"#)).unwrap() {
                Record::SessionMeta(meta) => *meta,
                other => panic!("{other:?}"),
            }
        };
        let old = meta("");
        assert_eq!(old.history_mode, HistoryMode::Legacy);
        assert_eq!(old.source, Source::Vscode);
        assert_eq!((old.session_id, old.session()), (None, old.id.into()));
        assert_eq!(meta(r#","source":"toaster""#).source, Source::Unknown);
        assert_eq!(meta(r#","source":{"toaster":{"slots":2}}"#).source, Source::Unknown);
        assert_eq!(meta(r#","source":{"custom":"ide"}"#).source, Source::Custom("ide".into()));
        assert_eq!(meta(r#","source":{"subagent":"review"}"#).source, Source::Subagent(Subagent::Review));
        assert_eq!(meta(r#","history_mode":"future""#).history_mode, HistoryMode::Unknown("future".into()));
        let spawn = r#","source":{"subagent":{"thread_spawn":{"parent_thread_id":"01a1fb6a-a76e-71a2-bd2a-94a0af49bbe0","depth":2,"agent_type":"scout"}}}"#;
        let Source::Subagent(Subagent::ThreadSpawn(spawn)) = meta(spawn).source else { panic!() };
        assert_eq!((spawn.depth, spawn.agent_role.as_deref()), (2, Some("scout")));
        assert!(meta(r#","agent_type":"scout""#).agent_role.is_some());
    }

    #[test]
    fn a_mode_that_is_no_text_is_refused_rather_than_legacy() {
        let line = |mode: &str| {
            format!(
                r#"{{"type":"session_meta","payload":{{"id":"01a1fb6a-a76e-71a2-bd2a-94a0af49bbef","history_mode":{mode}}}}}"#
            )
        };
        for mode in ["null", "7", "{}"] {
            assert!(matches!(parse(&line(mode)), Err(LineError::Payload { .. })), "{mode}");
        }
    }

    #[test]
    fn aliases_of_turn_events() {
        let event = |payload: &str| match parse(&format!(r#"{{"type":"event_msg","payload":{payload}}}"#)).unwrap() {
            Record::EventMsg(event) => *event,
            other => panic!("{other:?}"),
        };
        assert!(matches!(event(r#"{"type":"turn_started","turn_id":"t"}"#), EventMsg::TaskStarted(_)));
        assert!(matches!(event(r#"{"type":"turn_complete","turn_id":"t"}"#), EventMsg::TaskComplete(_)));
        let EventMsg::TurnAborted(old) = event(r#"{"type":"turn_aborted","turn_id":null,"reason":"sunspots"}"#) else {
            panic!()
        };
        assert_eq!((old.turn_id, old.reason), (None, AbortReason::Unknown));
    }

    #[test]
    fn what_is_unknown_is_no_error() {
        let unknown = |kind: &str, tag: &str| Record::Unknown { kind: kind.into(), tag: tag.into() };
        assert_eq!(parse(r#"{"type":"realtime_item","payload":{"a":1}}"#).unwrap(), unknown("realtime_item", ""));
        assert_eq!(parse(r#"{"type":"sapwood.later","payload":{"v":9}}"#).unwrap(), unknown("sapwood.later", ""));
        assert_eq!(parse(r#"{"type":"event_msg","payload":{"type":"new"}}"#).unwrap(), unknown("event_msg", "new"));
        assert_eq!(parse(r#"{"type":"response_item","payload":7}"#).unwrap(), unknown("response_item", ""));
        assert_eq!(serde_json::to_string(&unknown("a", "b")).unwrap(), "null");
        assert!(parse(r#"{"type":"event_msg","payload":{"type":"task_started"}}"#).is_err());
    }
}
