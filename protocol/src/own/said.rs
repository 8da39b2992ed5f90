//! What a user said, and what an input sets of its thread.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::app::UserInput;
use crate::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};

/// What a user said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The parts, as the client gave them; none for a turn without a new message.
    #[serde(default)]
    pub input: Vec<UserInput>,
    /// The client's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Box<str>>,
    /// Settings that are applied before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<ThreadSettings>>,
    /// The JSON schema of the final answer of the turn that it starts, as its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Arc<str>>,
}

impl Said {
    /// One piece of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { input: vec![UserInput::text(text)], ..Self::default() }
    }

    /// How long it is, in bytes, with all that comes with it.
    pub fn bytes(&self) -> usize {
        let input: usize = self.input.iter().map(UserInput::bytes).sum();
        let settings = self.settings.as_deref().map_or(0, ThreadSettings::bytes);
        let client_id = self.client_id.as_deref().map_or(0, str::len);
        input + settings + client_id + self.output_schema.as_deref().map_or(0, str::len)
    }
}

/// What an input sets of its thread, for the turns that begin afterwards. What it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadSettings {
    /// The provider, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The reasoning effort; `null` takes it back.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub effort: Option<Option<Arc<str>>>,
    /// How the agent works.
    #[serde(flatten)]
    pub manner: Manner,
}

impl ThreadSettings {
    /// How long they are as they are kept, in bytes.
    pub fn bytes(&self) -> usize {
        // Structs with text keys: serialising them cannot fail.
        serde_json::to_vec(self).expect("settings serialise").len()
    }
}

/// How an agent works, as far as it was said: where, with which rights, in which voice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manner {
    /// Its working directory, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Arc<str>>,
    /// The directories that count as its workspace; without them the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_roots: Option<Arc<[String]>>,
    /// When a person is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<ApprovalPolicy>,
    /// Who is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may touch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxPolicy>,
    /// The form of a reasoning's summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Arc<str>>,
    /// The service tier; `null` takes it back.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub service_tier: Option<Option<Arc<str>>>,
    /// The voice of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Arc<str>>,
    /// What the model is told beside its base instructions, before anything is said; empty for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<Arc<str>>,
    /// The mode of collaboration: `default` or `plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Arc<str>>,
    /// What the mode of collaboration says to the model; `null` takes it back.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub mode_instructions: Option<Option<Arc<str>>>,
}

impl Manner {
    /// Takes over what `newer` says.
    pub fn set(&mut self, newer: &Manner) {
        fn take<T: Clone>(own: &mut Option<T>, newer: &Option<T>) {
            if newer.is_some() {
                own.clone_from(newer);
            }
        }
        take(&mut self.cwd, &newer.cwd);
        take(&mut self.workspace_roots, &newer.workspace_roots);
        take(&mut self.approval_policy, &newer.approval_policy);
        take(&mut self.approvals_reviewer, &newer.approvals_reviewer);
        take(&mut self.sandbox, &newer.sandbox);
        take(&mut self.summary, &newer.summary);
        take(&mut self.service_tier, &newer.service_tier);
        take(&mut self.personality, &newer.personality);
        take(&mut self.developer_instructions, &newer.developer_instructions);
        take(&mut self.mode, &newer.mode);
        take(&mut self.mode_instructions, &newer.mode_instructions);
    }

    /// True if nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is there was said, also `null`.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}
