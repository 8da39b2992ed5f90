//! From what is told to what is written.

use std::sync::Arc;

use sapwood_actors::agent::event::Part;
use sapwood_actors::agent::plan::StepStatus;
use sapwood_protocol::app::notices::{
    AgentMessageDelta, CommandOutputDelta, ErrorNotice, ItemCompleted, ItemStarted, ModelRerouteReason, ModelRerouted,
    Notice, PlanStep, PlanStepStatus, ReasoningSummaryDelta, ReasoningSummaryPartAdded, ReasoningTextDelta,
    SafetyBufferingUpdated, TerminalInteraction, ThreadQueueChanged, ThreadStatusChanged, ThreadTokenUsage,
    ThreadTokenUsageUpdated, TokenUsageBreakdown, TurnCompleted, TurnDiffUpdated, TurnPlanUpdated, TurnStarted,
    Warning,
};
use sapwood_protocol::{ThreadId, TurnId, Usage};

use super::story::Told;
use crate::connection::Notification;

/// A notification of a thread.
pub(crate) fn notice<N: Notice>(thread: &Arc<str>, notice: &N) -> Notification {
    Notification::new(N::METHOD, notice).of_thread(Arc::clone(thread))
}

/// Whose notifications are written.
pub(crate) struct Voice {
    pub id: ThreadId,
    pub name: Arc<str>,
    /// Tokens that its model can see at once.
    pub context_window: u64,
}

impl Voice {
    /// What a client reads. Nothing for what takes more than the story to say.
    pub fn write(&self, told: Told) -> Option<Notification> {
        let thread_id = self.id;
        let of = told.turn().map(|turn| Arc::from(turn.as_str()));
        let written = match told {
            Told::Status(status) => self.notice(&ThreadStatusChanged { thread_id, status }),
            Told::TurnStarted(turn) => self.notice(&TurnStarted { thread_id, turn }),
            Told::ItemStarted { turn, item, at } => {
                self.notice(&ItemStarted { item, thread_id, turn_id: turn, started_at_ms: at.0 })
            }
            Told::ItemCompleted { turn, item, at } => self.notice(&ItemCompleted {
                item,
                thread_id,
                turn_id: turn,
                content_token_count: None,
                completed_at_ms: at.0,
            }),
            Told::SummaryPart { turn, item, part } => self.notice(&ReasoningSummaryPartAdded {
                thread_id,
                turn_id: turn,
                item_id: (&*item).into(),
                summary_index: index(part),
            }),
            Told::Delta { turn, item, part, text } => self.delta(turn, &item, part, &text),
            Told::Typed { turn, item, session, chars } => self.notice(&TerminalInteraction {
                thread_id,
                turn_id: turn,
                item_id: (&*item).into(),
                process_id: session.to_string().into(),
                stdin: chars.into(),
            }),
            Told::Usage { turn, total, last } => {
                let token_usage = ThreadTokenUsage {
                    total: breakdown(total),
                    last: breakdown(last),
                    model_context_window: Some(index(self.context_window)),
                };
                self.notice(&ThreadTokenUsageUpdated { thread_id, turn_id: turn, token_usage })
            }
            Told::Error { turn, error, will_retry } => {
                self.notice(&ErrorNotice { error, will_retry, thread_id, turn_id: turn })
            }
            Told::TurnCompleted(turn) => self.notice(&TurnCompleted { thread_id, turn }),
            Told::Plan { turn, plan } => {
                let steps = plan.plan.iter().map(|step| PlanStep {
                    step: step.step.clone(),
                    status: match step.status {
                        StepStatus::Pending => PlanStepStatus::Pending,
                        StepStatus::InProgress => PlanStepStatus::InProgress,
                        StepStatus::Completed => PlanStepStatus::Completed,
                    },
                });
                let (explanation, plan) = (plan.explanation.clone(), steps.collect());
                self.notice(&TurnPlanUpdated { thread_id, turn_id: turn, explanation, plan })
            }
            Told::Diff { turn, diff } => {
                self.notice(&TurnDiffUpdated { thread_id, turn_id: turn, diff: diff.as_ref().to_owned() })
            }
            Told::SafetyBuffering { turn, what } => self.notice(&SafetyBufferingUpdated {
                thread_id,
                turn_id: turn,
                model: String::new(),
                use_cases: what.use_cases.clone(),
                reasons: what.reasons.clone(),
                show_buffering_ui: what.show,
                faster_model: what.faster_model.clone(),
            }),
            Told::Rerouted { turn, from, to } => self.notice(&ModelRerouted {
                thread_id,
                turn_id: turn,
                from_model: from.as_ref().to_owned(),
                to_model: to.as_ref().to_owned(),
                reason: ModelRerouteReason::HighRiskCyberActivity,
            }),
            Told::Warning(message) => self.notice(&Warning { thread_id: Some(thread_id), message }),
            Told::Queue => self.notice(&ThreadQueueChanged { thread_id }),
            Told::Settings | Told::Asked { .. } | Told::Resolved(_) => return None,
        };
        Some(of.into_iter().fold(written, Notification::of_turn))
    }

    fn notice<N: Notice>(&self, params: &N) -> Notification {
        notice(&self.name, params)
    }

    fn delta(&self, turn_id: TurnId, item: &str, part: Part, text: &str) -> Notification {
        let (thread_id, item_id, delta) = (self.id, item.into(), text.into());
        let written = match part {
            Part::Text => self.notice(&AgentMessageDelta { thread_id, turn_id, item_id, delta }),
            Part::Output => self.notice(&CommandOutputDelta { thread_id, turn_id, item_id, delta }),
            Part::Summary(part) => {
                let summary_index = index(part);
                self.notice(&ReasoningSummaryDelta { thread_id, turn_id, item_id, delta, summary_index })
            }
            Part::Raw(part) => {
                let content_index = index(part);
                self.notice(&ReasoningTextDelta { thread_id, turn_id, item_id, delta, content_index })
            }
        };
        written.joining()
    }
}

/// Counts of the wire are signed.
fn index(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn breakdown(usage: Usage) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        total_tokens: index(usage.total_tokens),
        input_tokens: index(usage.input_tokens),
        cached_input_tokens: index(usage.cached_input_tokens),
        cache_write_input_tokens: index(usage.cache_write_input_tokens),
        output_tokens: index(usage.output_tokens),
        reasoning_output_tokens: index(usage.reasoning_output_tokens),
    }
}
