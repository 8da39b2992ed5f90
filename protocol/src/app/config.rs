//! Configuration: what it says, where that comes from, and changes to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approval::ApprovalsReviewer;

/// The params of `config/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigReadParams {
    /// Every layer by itself is wanted too.
    pub include_layers: bool,
    /// The directory whose project counts; without it, that of the server.
    pub cwd: Option<String>,
}

/// The configuration as a directory sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigReadResponse {
    /// What holds, with the defaults of what nothing sets.
    pub config: Map<String, Value>,
    /// By dotted key: the layer that set it.
    pub origins: BTreeMap<String, ConfigLayerMetadata>,
    /// The layers, the one that counts most first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<ConfigLayer>>,
}

/// A layer, and which state of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigLayerMetadata {
    /// Which one.
    pub name: ConfigLayerSource,
    /// A fingerprint of what it says.
    pub version: String,
}

/// What one layer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigLayer {
    /// Which one.
    pub name: ConfigLayerSource,
    /// A fingerprint of what it says.
    pub version: String,
    /// What it says.
    pub config: Value,
    /// Why it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
}

/// Where a layer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConfigLayerSource {
    /// The machine's file.
    System {
        /// Where it is, or would be.
        file: String,
    },
    /// A file of the person.
    User {
        /// Where it is, or would be.
        file: String,
        /// The profile that it is of.
        #[serde(default)]
        profile: Option<String>,
    },
    /// A project's folder.
    Project {
        /// The folder that holds the file.
        dot_codex_folder: String,
    },
    /// The command line.
    SessionFlags,
}

/// How a value meets the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeStrategy {
    /// It takes its place.
    Replace,
    /// A table is laid over a table, key by key; anything else takes its place.
    Upsert,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigEdit {
    /// The dotted key; a part with a dot in it stands in quotes.
    pub key_path: String,
    /// What it is to be; `null` takes it away.
    pub value: Value,
    /// How it meets the one that is there.
    pub merge_strategy: MergeStrategy,
}

/// The params of `config/value/write`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigValueWriteParams {
    /// The dotted key; a part with a dot in it stands in quotes.
    pub key_path: String,
    /// What it is to be; `null` takes it away.
    pub value: Value,
    /// How it meets the one that is there.
    pub merge_strategy: MergeStrategy,
    /// The file; only the person's own may be written.
    #[serde(default)]
    pub file_path: Option<String>,
    /// The state of the file that the client has seen.
    #[serde(default)]
    pub expected_version: Option<String>,
}

/// The params of `config/batchWrite`: all changes or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigBatchWriteParams {
    /// In their order.
    pub edits: Vec<ConfigEdit>,
    /// The file; only the person's own may be written.
    #[serde(default)]
    pub file_path: Option<String>,
    /// The state of the file that the client has seen.
    #[serde(default)]
    pub expected_version: Option<String>,
    /// Threads that are loaded are to take over what changed.
    #[serde(default)]
    pub reload_user_config: bool,
}

impl From<ConfigValueWriteParams> for ConfigBatchWriteParams {
    fn from(one: ConfigValueWriteParams) -> Self {
        let edit = ConfigEdit { key_path: one.key_path, value: one.value, merge_strategy: one.merge_strategy };
        Self {
            edits: vec![edit],
            file_path: one.file_path,
            expected_version: one.expected_version,
            reload_user_config: false,
        }
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigWriteResponse {
    /// Whether it counts.
    pub status: WriteStatus,
    /// The state of the file now.
    pub version: String,
    /// The file.
    pub file_path: String,
    /// The first of the changes that does not count, and why.
    #[serde(default)]
    pub overridden_metadata: Option<OverriddenMetadata>,
}

/// Whether a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteStatus {
    /// It does.
    Ok,
    /// It is written, and another layer says something else.
    OkOverridden,
}

/// Why a change does not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OverriddenMetadata {
    /// For people.
    pub message: String,
    /// The layer that counts.
    pub overriding_layer: ConfigLayerMetadata,
    /// What it says.
    pub effective_value: Value,
}

/// What is wrong with a change, in `data.config_write_error_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigWriteErrorCode {
    /// It is not for the person's own file.
    ConfigLayerReadonly,
    /// The file is not in the state that the client has seen.
    ConfigVersionConflict,
    /// It makes no configuration.
    ConfigValidationError,
}

/// The answer to `configRequirements/read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRequirementsReadResponse {
    /// Two kinds of speed are required apart from one another.
    pub supports_independent_speed_modes: bool,
    /// What is required; `null` if nothing is.
    pub requirements: Option<ConfigRequirements>,
}

/// What the machine's owner requires and proposes, as far as Sapwood knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigRequirements {
    /// What every model is told beside everything else.
    pub additional_developer_instructions: Option<String>,
    /// When a person may be asked.
    pub allowed_approval_policies: Option<Vec<Value>>,
    /// Who may be asked.
    pub allowed_approvals_reviewers: Option<Vec<ApprovalsReviewer>>,
    /// Which permission profiles may be chosen: those with `true`.
    pub allowed_permission_profiles: Option<BTreeMap<String, bool>>,
    /// Which sandboxes may be chosen.
    pub allowed_sandbox_modes: Option<Vec<String>>,
    /// The permission profile of threads that nobody chose one for.
    pub default_permissions: Option<String>,
    /// What is proposed for models.
    pub models: Option<ModelsRequirements>,
}

/// What is proposed for models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelsRequirements {
    /// For a thread that a client starts. The client applies it, not the server.
    pub new_thread: Option<NewThreadDefaults>,
}

/// What a client proposes for a new thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NewThreadDefaults {
    /// The model.
    pub model: Option<String>,
    /// The effort.
    pub model_reasoning_effort: Option<String>,
    /// The service tier.
    pub service_tier: Option<String>,
}
