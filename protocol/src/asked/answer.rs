//! What came of a question.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::What;
use crate::approval::Permissions;
use crate::ids::AskId;

/// `sapwood.answered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The question.
    pub id: AskId,
    /// What came of it.
    pub how: Resolution,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Resolution {
    /// A command or a change of files was decided on.
    Decided {
        /// How.
        decision: Decision,
    },
    /// Rights were granted, as the client said: at most what was asked for counts.
    Granted {
        /// Which.
        permissions: Permissions,
        /// For how long.
        #[serde(default)]
        scope: Scope,
        /// Each command of this turn is to be reviewed.
        #[serde(default)]
        strict_auto_review: bool,
    },
    /// Questions were answered.
    Given {
        /// The answers, by question; none for one that was left out.
        answers: BTreeMap<String, Given>,
    },
    /// A tool of the client came to its end.
    Returned {
        /// What it returned.
        content_items: Vec<ContentItem>,
        /// It did what it was to do.
        success: bool,
    },
    /// The client answered with an error.
    Failed,
    /// The client's answer made no sense.
    Invalid,
    /// Nobody answered before the turn ended.
    Withdrawn,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Yes, this once.
    Accept,
    /// Yes, and the same again in this session.
    AcceptForSession,
    /// Yes, and whatever begins with these words.
    AcceptWithExecpolicyAmendment(Amendment),
    /// From now on, for connections to this host.
    ApplyNetworkPolicyAmendment {
        /// The rule.
        network_policy_amendment: NetworkAmendment,
    },
    /// No; the turn goes on.
    Decline,
    /// No; the turn ends.
    Cancel,
}

/// The first words of commands that run without a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// The words.
    pub execpolicy_amendment: Vec<String>,
}

/// A rule for connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAmendment {
    /// To which host.
    pub host: String,
    /// What holds for it.
    pub action: RuleAction,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleAction {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// How long rights last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// For the rest of the turn.
    #[default]
    Turn,
    /// For the rest of the session.
    Session,
}

/// The answer to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// What was chosen, and what was said.
    pub answers: Vec<String>,
}

/// A piece of what a client's tool returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ContentItem {
    /// Text.
    InputText {
        /// The text.
        text: String,
    },
    /// A picture.
    InputImage {
        /// Where it is, or all of it as a `data:` URL.
        image_url: String,
    },
    /// A sound.
    InputAudio {
        /// Where it is, or all of it as a `data:` URL.
        audio_url: String,
    },
}

impl What {
    /// Reads what a client answered: the `result` of its response, or `None` for an error. Whatever it is, it closes the
    /// question.
    pub fn resolved(&self, result: Option<&Value>) -> Resolution {
        #[derive(Deserialize)]
        struct Decided {
            decision: Decision,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Granted {
            permissions: Permissions,
            #[serde(default)]
            scope: Scope,
            #[serde(default)]
            strict_auto_review: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Answers {
            answers: BTreeMap<String, Given>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Returned {
            content_items: Vec<ContentItem>,
            success: bool,
        }
        let Some(result) = result else {
            return Resolution::Failed;
        };
        let resolution = match self {
            What::Command(_) => {
                Decided::deserialize(result).map(|Decided { decision }| Resolution::Decided { decision })
            }
            What::FileChange { .. } => match Decided::deserialize(result) {
                Ok(Decided {
                    decision: Decision::AcceptWithExecpolicyAmendment(_) | Decision::ApplyNetworkPolicyAmendment { .. },
                }) => return Resolution::Invalid,
                other => other.map(|Decided { decision }| Resolution::Decided { decision }),
            },
            What::Permissions { .. } => Granted::deserialize(result).map(|granted| Resolution::Granted {
                permissions: granted.permissions,
                scope: granted.scope,
                strict_auto_review: granted.strict_auto_review.unwrap_or_default(),
            }),
            What::UserInput { .. } => {
                Answers::deserialize(result).map(|Answers { answers }| Resolution::Given { answers })
            }
            What::DynamicTool { .. } => Returned::deserialize(result)
                .map(|Returned { content_items, success }| Resolution::Returned { content_items, success }),
        };
        resolution.unwrap_or(Resolution::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all, command};
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn decisions_have_the_forms_of_the_wire() {
        let words = Amendment { execpolicy_amendment: vec!["touch".into()] };
        let rule = NetworkAmendment { host: "h".into(), action: RuleAction::Deny };
        let table = [
            (Decision::Accept, json!("accept")),
            (Decision::AcceptForSession, json!("acceptForSession")),
            (
                Decision::AcceptWithExecpolicyAmendment(words),
                json!({"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["touch"]}}),
            ),
            (
                Decision::ApplyNetworkPolicyAmendment { network_policy_amendment: rule },
                json!({"applyNetworkPolicyAmendment": {"network_policy_amendment": {"host": "h", "action": "deny"}}}),
            ),
            (Decision::Decline, json!("decline")),
            (Decision::Cancel, json!("cancel")),
        ];
        for (decision, form) in table {
            assert_eq!(to_value(&decision).unwrap(), form);
            assert_eq!(from_value::<Decision>(form.clone()).unwrap(), decision);
            let resolution = command().resolved(Some(&json!({"decision": form})));
            assert_eq!(resolution, Resolution::Decided { decision });
        }
    }

    #[test]
    fn every_question_survives_an_error_and_nonsense() {
        for what in all() {
            assert_eq!(what.resolved(None), Resolution::Failed);
            for nonsense in [json!(null), json!({}), json!({"decision": "perhaps"}), json!([1]), json!("accept")] {
                assert_eq!(what.resolved(Some(&nonsense)), Resolution::Invalid, "{nonsense} to {what:?}");
            }
        }
    }

    #[test]
    fn a_change_of_files_has_no_amendments() {
        let files = What::FileChange { reason: None, grant_root: None, paths: vec!["/a".into()] };
        let amendment = json!({"decision": {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": []}}});
        assert_eq!(files.resolved(Some(&amendment)), Resolution::Invalid);
        let decided = Resolution::Decided { decision: Decision::AcceptForSession };
        assert_eq!(files.resolved(Some(&json!({"decision": "acceptForSession"}))), decided);
    }

    #[test]
    fn answers_of_the_other_kinds_are_read() {
        let [_, _, permissions, questions, tool] = all();
        let network =
            Permissions { network: Some(crate::approval::Network { enabled: Some(true) }), file_system: None };
        assert_eq!(
            permissions.resolved(Some(&json!({"permissions": {"network": {"enabled": true}}}))),
            Resolution::Granted { permissions: network.clone(), scope: Scope::Turn, strict_auto_review: false }
        );
        let strict = json!({
            "permissions": {"network": {"enabled": true}, "fileSystem": null}, "scope": "session", "strictAutoReview": true,
        });
        assert_eq!(
            permissions.resolved(Some(&strict)),
            Resolution::Granted { permissions: network, scope: Scope::Session, strict_auto_review: true }
        );
        let given = Given { answers: vec!["A".into()] };
        assert_eq!(
            questions.resolved(Some(&json!({"answers": {"q1": {"answers": ["A"]}}}))),
            Resolution::Given { answers: [("q1".to_owned(), given)].into() }
        );
        let items = json!([
            {"type": "inputText", "text": "t"}, {"type": "inputImage", "imageUrl": "data:x"},
            {"type": "inputAudio", "audioUrl": "data:y"},
        ]);
        assert_eq!(
            tool.resolved(Some(&json!({"contentItems": items, "success": true}))),
            Resolution::Returned {
                content_items: vec![
                    ContentItem::InputText { text: "t".into() },
                    ContentItem::InputImage { image_url: "data:x".into() },
                    ContentItem::InputAudio { audio_url: "data:y".into() },
                ],
                success: true,
            }
        );
    }
}
