//! What comes of the answer to a question.

use sapwood_protocol::asked::{ContentItem, Decision, Resolution, What};
use serde_json::{Value, json};

use super::verdict::{Confinement, Rights};
use super::{permissions, questions};

/// What a call does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The command runs.
    Run(Confinement),
    /// The files are changed.
    Change,
    /// It is not done.
    Not {
        /// What the model reads.
        text: String,
        /// How its item ends.
        end: ItemEnd,
        /// The turn ends, too.
        interrupts: bool,
    },
    /// The call is done, and the model reads this.
    Output(Output),
    /// The tool of the client is done.
    Tool {
        /// What it returned.
        items: Vec<ContentItem>,
        /// It did what it was to do.
        success: bool,
        /// What the model reads.
        output: Output,
    },
}

/// How the item of a call ends that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    /// A person said no.
    Declined,
    /// Nobody could say.
    Failed,
}

/// What a model reads as the output of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Text.
    Text(String),
    /// Text, pictures and sound: the array that stands where a text would.
    Parts(Value),
}

/// What comes of an answer. A withdrawn question has no next step: the turn that asked is over.
pub fn next(asked: &What, how: &Resolution, rights: &Rights<'_>) -> Option<Next> {
    if *how == Resolution::Withdrawn {
        return None;
    }
    Some(match (asked, how) {
        (What::Command(ask), Resolution::Decided { decision }) if is_yes(decision) => Next::Run(rights.approved(ask)),
        (What::FileChange { .. }, Resolution::Decided { decision }) if is_yes(decision) => Next::Change,
        (What::Command(_), how) => not("exec_command failed: ", how),
        (What::FileChange { .. }, how) => not("patch ", how),
        (What::Permissions { .. }, how) => Next::Output(Output::Text(permissions::answered(asked, how)?)),
        (What::UserInput { .. }, how) => Next::Output(Output::Text(questions::answered(how))),
        (What::DynamicTool { .. }, Resolution::Returned { content_items, success }) => {
            let parts = content_items.iter().map(part).collect();
            Next::Tool { items: content_items.clone(), success: *success, output: Output::Parts(parts) }
        }
        (What::DynamicTool { .. }, how) => {
            let text = match how {
                Resolution::Failed => "dynamic tool request failed",
                _ => "dynamic tool response was invalid",
            };
            let items = vec![ContentItem::InputText { text: text.into() }];
            Next::Tool { items, success: false, output: Output::Text(text.into()) }
        }
    })
}

fn is_yes(decision: &Decision) -> bool {
    match decision {
        Decision::Accept | Decision::AcceptForSession | Decision::AcceptWithExecpolicyAmendment(_) => true,
        Decision::Decline | Decision::Cancel => false,
        Decision::ApplyNetworkPolicyAmendment { network_policy_amendment } => {
            network_policy_amendment.action == sapwood_protocol::asked::RuleAction::Allow
        }
    }
}

fn not(what: &str, how: &Resolution) -> Next {
    let (why, end) = match how {
        Resolution::Decided { .. } => ("rejected by user", ItemEnd::Declined),
        _ => ("approval request failed", ItemEnd::Failed),
    };
    let interrupts = matches!(how, Resolution::Decided { decision: Decision::Cancel });
    Next::Not { text: format!("{what}{why}"), end, interrupts }
}

fn part(item: &ContentItem) -> Value {
    match item {
        ContentItem::InputText { text } => json!({"type": "input_text", "text": text}),
        ContentItem::InputImage { image_url } => {
            json!({"type": "input_image", "image_url": image_url, "detail": "original"})
        }
        ContentItem::InputAudio { audio_url } => json!({"type": "input_audio", "audio_url": audio_url}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::World;
    use super::*;
    use sapwood_protocol::approval::Permissions;
    use sapwood_protocol::asked::{Amendment, CommandAsk, NetworkAmendment, RuleAction};

    fn command(unconfined: bool) -> What {
        What::Command(Box::new(CommandAsk {
            command: vec!["/bin/bash".into(), "-lc".into(), "touch a".into()],
            cwd: "/w".into(),
            tty: false,
            reason: None,
            actions: Vec::new(),
            unconfined,
            permissions: None,
            amendment: None,
            decisions: Vec::new(),
        }))
    }

    fn files() -> What {
        What::FileChange { reason: None, grant_root: None, paths: vec!["/a".into()] }
    }

    fn tool() -> What {
        What::DynamicTool { namespace: None, tool: "t".into(), arguments: json!({}) }
    }

    fn decided(decision: Decision) -> Resolution {
        Resolution::Decided { decision }
    }

    fn next_of(asked: &What, how: &Resolution) -> Option<Next> {
        next(asked, how, &World::default().rights())
    }

    #[test]
    fn a_yes_runs_what_was_asked_for() {
        let words = Amendment { execpolicy_amendment: vec!["touch".into()] };
        for yes in [Decision::Accept, Decision::AcceptForSession, Decision::AcceptWithExecpolicyAmendment(words)] {
            assert_eq!(next_of(&command(true), &decided(yes.clone())), Some(Next::Run(Confinement::None)));
            let sandboxed = Next::Run(Confinement::Sandboxed(Permissions::default()));
            assert_eq!(next_of(&command(false), &decided(yes)), Some(sandboxed));
        }
        assert_eq!(next_of(&files(), &decided(Decision::AcceptForSession)), Some(Next::Change));
    }

    #[test]
    fn a_no_goes_on_a_cancel_ends_the_turn_and_an_error_fails() {
        let rule = |action| Decision::ApplyNetworkPolicyAmendment {
            network_policy_amendment: NetworkAmendment { host: "h".into(), action },
        };
        let table = [
            (decided(Decision::Decline), "rejected by user", ItemEnd::Declined, false),
            (decided(Decision::Cancel), "rejected by user", ItemEnd::Declined, true),
            (decided(rule(RuleAction::Deny)), "rejected by user", ItemEnd::Declined, false),
            (Resolution::Failed, "approval request failed", ItemEnd::Failed, false),
            (Resolution::Invalid, "approval request failed", ItemEnd::Failed, false),
        ];
        for (how, why, end, interrupts) in table {
            for (asked, what) in [(command(true), "exec_command failed: "), (files(), "patch ")] {
                let text = format!("{what}{why}");
                assert_eq!(next_of(&asked, &how), Some(Next::Not { text, end, interrupts }), "{how:?}");
            }
        }
        for asked in [command(true), files(), tool()] {
            assert_eq!(next_of(&asked, &Resolution::Withdrawn), None);
        }
    }

    #[test]
    fn outputs_of_tools_are_those_recorded() {
        let items = vec![
            ContentItem::InputText { text: "x".into() },
            ContentItem::InputImage { image_url: "data:image/png;base64,AA".into() },
        ];
        let output = json!([
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "original"},
        ]);
        for success in [true, false] {
            let how = Resolution::Returned { content_items: items.clone(), success };
            let next = Next::Tool { items: items.clone(), success, output: Output::Parts(output.clone()) };
            assert_eq!(next_of(&tool(), &how), Some(next));
        }
        for (how, text) in [
            (Resolution::Failed, "dynamic tool request failed"),
            (Resolution::Invalid, "dynamic tool response was invalid"),
        ] {
            let items = vec![ContentItem::InputText { text: text.into() }];
            let next = Next::Tool { items, success: false, output: Output::Text(text.into()) };
            assert_eq!(next_of(&tool(), &how), Some(next));
        }
    }
}
