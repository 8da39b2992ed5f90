//! Accounts: as whom the provider knows us.

use serde::{Deserialize, Serialize};

/// The params of `account/read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetAccountParams {
    /// A new token is wanted first.
    pub refresh_token: bool,
}

/// The answer to `account/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAccountResponse {
    /// The account; `null` if there is none, or none is needed.
    pub account: Option<Account>,
    /// The person at OpenAI, where that is known.
    pub user_id: Option<String>,
    /// The provider wants an account of OpenAI's.
    pub requires_openai_auth: bool,
    /// Nothing: requests go where the configuration says.
    pub workspace_routing: Option<serde_json::Value>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Account {
    /// A key of OpenAI's.
    ApiKey,
    /// A login with ChatGPT.
    Chatgpt {
        /// The person's address; `null` if the login does not say it.
        email: Option<String>,
        /// The plan.
        plan_type: String,
        /// The name of the workspace, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace_name: Option<String>,
    },
    /// Amazon's, found by its own means.
    AmazonBedrock {
        /// The credentials are kept by this program.
        #[serde(default)]
        uses_codex_managed_credentials: bool,
    },
}
