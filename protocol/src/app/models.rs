//! Models and providers, as clients offer them to a person.

use serde::{Deserialize, Serialize};

/// The params of `model/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelListParams {
    /// The provider; without it, the one that is configured.
    pub model_provider: Option<String>,
    /// Where the page begins: the `nextCursor` of the one before.
    pub cursor: Option<String>,
    /// Models of a page, at most.
    pub limit: Option<u32>,
    /// Models that are not for everybody are wanted too.
    pub include_hidden: Option<bool>,
}

/// One model. Fields in the order of the real server; those that Sapwood does not know are `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Model {
    /// Its id: the same as its name.
    pub id: String,
    /// Its name in requests.
    pub model: String,
    /// The model that is to follow it.
    pub upgrade: Option<String>,
    /// What is said of that.
    pub upgrade_info: Option<serde_json::Value>,
    /// What a person is told of it once.
    pub availability_nux: Option<AvailabilityNux>,
    /// Its name for a person.
    pub display_name: String,
    /// What it is good for.
    pub description: String,
    /// What it is made for.
    pub model_specialty: Option<String>,
    /// Only who knows its name uses it.
    pub hidden: bool,
    /// The efforts that it can make, the least first.
    pub supported_reasoning_efforts: Vec<ReasoningEffortOption>,
    /// The effort that it makes where none is named.
    pub default_reasoning_effort: String,
    /// What it reads.
    pub input_modalities: Vec<String>,
    /// Not any more.
    pub supports_personality: bool,
    /// The tools for agents that it knows.
    pub multi_agent_version: Option<String>,
    /// The earlier form of `serviceTiers`.
    pub additional_speed_tiers: Vec<String>,
    /// The service tiers that it can be asked in.
    pub service_tiers: Vec<ModelServiceTier>,
    /// The one that it is asked in where none is named.
    pub default_service_tier: Option<String>,
    /// Who may use it.
    pub available_access_programs: Option<serde_json::Value>,
    /// It is taken where none is named.
    pub is_default: bool,
}

/// What a person is told of a model once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityNux {
    /// The text.
    pub message: String,
}

/// An effort that a model can make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningEffortOption {
    /// Its name.
    pub reasoning_effort: String,
    /// What it means, for a person.
    pub description: String,
}

/// A service tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelServiceTier {
    /// Its name in requests.
    pub id: String,
    /// Its name for a person.
    pub name: String,
    /// What it means.
    pub description: String,
}

/// The answer to `modelProvider/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderListResponse {
    /// The providers that a person may choose from.
    pub data: Vec<ModelProviderSummary>,
    /// The one that threads begin with.
    pub default_provider_id: String,
    /// It can be changed by writing `model_provider`.
    pub can_change_default: bool,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderSummary {
    /// Its id in the configuration.
    pub id: String,
    /// Its name for a person.
    pub name: String,
    /// The person's own file describes it.
    pub can_edit: bool,
    /// Where it is; `null` if that is built in, or may hold a secret.
    pub base_url: Option<String>,
    /// What it is.
    pub settings: ProviderSettings,
}

/// What a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProviderSettings {
    /// OpenAI.
    Openai,
    /// Anybody who speaks the Responses API.
    CustomGateway {
        /// How it knows us.
        auth: GatewayAuth,
    },
}

/// How a provider knows us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum GatewayAuth {
    /// It does not need to.
    None,
    /// By a key in a variable.
    EnvironmentVariable {
        /// The variable.
        env_key: String,
    },
    /// By something else that the configuration says.
    ExternallyConfigured {
        /// The variable, if it has one too.
        env_key: Option<String>,
    },
}

/// The answer to `modelProvider/capabilities/read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderCapabilities {
    /// Agents can make images.
    pub image_generation: bool,
    /// Agents can search the web.
    pub web_search: bool,
}
