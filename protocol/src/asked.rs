//! Questions: what a turn asks of a person or of a client, and what came of it.
//!
//! `sapwood.asked` opens a question, `sapwood.answered` closes it. Its id is a UUIDv7 that is minted once, stands in the
//! line, and *is* the JSON-RPC id of the request that a client gets: unique over all threads and processes, so the same
//! question after a disconnect or a restart has the same id, and an answer finds it whichever connection it comes by.
//! JSON-RPC ids are strings or integers; Codex counts integers for one process, which no restart can keep. Sorted by id,
//! questions stand in the order in which they were asked.

mod answer;
pub mod shell;
mod wire;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approval::Permissions;
use crate::ids::{AskId, CallId};
use crate::time::Millis;

pub use answer::{Amendment, Answered, ContentItem, Decision, Given, NetworkAmendment, Resolution, RuleAction, Scope};
pub use wire::ENVIRONMENT;

/// `sapwood.asked`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Names it, here and at the client.
    pub id: AskId,
    /// The call that needs the answer.
    pub call: CallId,
    /// When it was first asked.
    pub at: Millis,
    /// What is asked.
    pub what: What,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// May this command run?
    Command(Box<CommandAsk>),
    /// May these files be changed?
    FileChange {
        /// Why it is asked, where there is more to say than that they would be changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// A directory to write in for the rest of the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant_root: Option<String>,
        /// The files, by absolute paths: what a grant for the session is for.
        paths: Vec<String>,
    },
    /// May the agent do more?
    Permissions {
        /// The model's reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Where relative paths would begin.
        cwd: String,
        /// What it wants to do.
        permissions: Permissions,
    },
    /// Questions of the model to a person.
    UserInput {
        /// The questions.
        questions: Vec<Question>,
        /// Nothing goes on without an answer.
        blocking: bool,
        /// The client may answer by itself after so long, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auto_resolution_ms: Option<u64>,
    },
    /// A call of a tool that the client has.
    DynamicTool {
        /// The namespace of the tool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Its name within that.
        tool: String,
        /// What the model calls it with.
        arguments: Value,
    },
}

/// A command that may not run without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandAsk {
    /// The program and its arguments: a shell and a script.
    pub command: Vec<String>,
    /// Where it runs.
    pub cwd: String,
    /// It runs on a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Why it is asked: the model's justification, or what went wrong before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it does, for a person.
    pub actions: Vec<Action>,
    /// With an answer it runs outside the sandbox.
    #[serde(default)]
    pub unconfined: bool,
    /// What it may do beside, in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// The first words of commands that need not be asked for any more, if the person wishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amendment: Option<Vec<String>>,
    /// What the person is offered. Others are accepted too.
    pub decisions: Vec<Decision>,
}

/// One part of a script, as far as a glance at it says what it does. Serialised as in rollouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// It reads a file.
    Read {
        /// The part of the script.
        cmd: String,
        /// The name of the file.
        name: String,
        /// Its path, as it stands in the script.
        path: String,
    },
    /// It lists files.
    ListFiles {
        /// The part of the script.
        cmd: String,
        /// Of which directory.
        path: Option<String>,
    },
    /// It looks for something.
    Search {
        /// The part of the script.
        cmd: String,
        /// For what.
        query: Option<String>,
        /// Where.
        path: Option<String>,
    },
    /// Something else.
    Unknown {
        /// The part of the script.
        cmd: String,
    },
}

/// A question of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// What its answer is filed under.
    pub id: String,
    /// A few words above it.
    pub header: String,
    /// The question.
    pub question: String,
    /// An answer in the person's own words is welcome.
    #[serde(default)]
    pub is_other: bool,
    /// The answer is not shown while it is typed.
    #[serde(default)]
    pub is_secret: bool,
    /// Answers to choose from.
    pub options: Option<Vec<Choice>>,
}

/// An answer to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The answer.
    pub label: String,
    /// What follows from it.
    pub description: String,
}

impl What {
    /// True if the thread waits for a person's own words, and not for a yes or no.
    pub fn is_for_words(&self) -> bool {
        matches!(self, What::UserInput { .. })
    }

    /// True if the thread is shown as waiting for an approval.
    pub fn is_approval(&self) -> bool {
        matches!(self, What::Command(_) | What::FileChange { .. } | What::Permissions { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::Network;

    pub fn command() -> What {
        let words = || vec!["touch".to_owned(), "approved-by-test.txt".to_owned()];
        let script = "touch approved-by-test.txt && echo approved-ok".to_owned();
        What::Command(Box::new(CommandAsk {
            command: vec!["/bin/bash".into(), "-lc".into(), script.clone()],
            cwd: "/w".into(),
            tty: false,
            reason: Some("needs approval for test".into()),
            actions: vec![Action::Unknown { cmd: script }],
            unconfined: true,
            permissions: None,
            amendment: Some(words()),
            decisions: vec![
                Decision::Accept,
                Decision::AcceptWithExecpolicyAmendment(Amendment { execpolicy_amendment: words() }),
                Decision::Cancel,
            ],
        }))
    }

    /// One question of each kind.
    pub fn all() -> [What; 5] {
        let network = Some(Network { enabled: Some(true) });
        let choice = Choice { label: "A".into(), description: "first".into() };
        let question = Question {
            id: "q1".into(),
            header: "Pick".into(),
            question: "Which one?".into(),
            is_other: true,
            is_secret: false,
            options: Some(vec![choice]),
        };
        [
            command(),
            What::FileChange { reason: None, grant_root: None, paths: vec!["/w/a".into()] },
            What::Permissions {
                reason: Some("need".into()),
                cwd: "/w".into(),
                permissions: Permissions { network, file_system: None },
            },
            What::UserInput { questions: vec![question], blocking: true, auto_resolution_ms: None },
            What::DynamicTool {
                namespace: None,
                tool: "list_threads".into(),
                arguments: Value::Object(Default::default()),
            },
        ]
    }

    pub fn asked(what: What) -> Asked {
        Asked { id: AskId::from("q"), call: CallId::from("call_12"), at: Millis(1_795_220_204_873), what }
    }

    #[test]
    fn questions_come_back_from_their_lines() {
        for what in all() {
            let asked = asked(what);
            let text = serde_json::to_string(&asked).unwrap();
            assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked, "{text}");
        }
    }

    #[test]
    fn only_words_are_user_input_and_a_tool_is_neither() {
        let kinds = all().map(|what| (what.is_approval(), what.is_for_words()));
        assert_eq!(kinds, [(true, false), (true, false), (true, false), (false, true), (false, false)]);
    }
}
