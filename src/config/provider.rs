//! A provider, as configuration describes it.

use std::collections::BTreeMap;

use super::merged::Merged;
use super::value::{Hidden, Value};

/// One table of `model_providers`, as far as anything set it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderTable {
    /// Where the first of its keys stands.
    pub place: String,
    pub name: Option<String>,
    /// With its place.
    pub base_url: Option<(String, String)>,
    pub env_key: Option<String>,
    pub env_key_instructions: Option<String>,
    pub bearer_token: Option<Hidden>,
    pub request_max_retries: Option<u32>,
    pub stream_max_retries: Option<u32>,
    pub stream_idle_timeout_ms: Option<u64>,
    /// Name and value.
    pub http_headers: Vec<(String, Hidden)>,
    /// Name, and the variable that holds the value.
    pub env_http_headers: Vec<(String, String)>,
    /// Name and value.
    pub query_params: Vec<(String, Hidden)>,
    pub requires_openai_auth: bool,
    /// What it would need that this version does not have, with its place.
    pub unsupported: Option<(String, String)>,
}

/// Codex's bound on retries, whatever is configured.
const MAX_RETRIES: u64 = 100;

impl ProviderTable {
    /// All tables, by the id of the provider.
    pub fn all(merged: &Merged) -> BTreeMap<String, Self> {
        let mut tables = BTreeMap::<String, Self>::new();
        for (rest, set) in merged.below(&["model_providers"]) {
            if let Some((id, key)) = rest.split_first() {
                let table = tables.entry(id.clone()).or_default();
                if table.place.is_empty() {
                    table.place.clone_from(&set.place);
                }
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                table.take(&key, &set.value, &set.place);
            }
        }
        tables
    }

    fn take(&mut self, key: &[&str], value: &Value, place: &str) {
        let retries = |number: i64| u64::try_from(number).unwrap_or_default().min(MAX_RETRIES) as u32;
        match (key, value) {
            (["name"], Value::Text(text)) => self.name = Some(text.clone()),
            (["base_url"], Value::Text(text)) => self.base_url = Some((text.clone(), place.to_owned())),
            (["env_key"], Value::Text(text)) => self.env_key = Some(text.clone()),
            (["env_key_instructions"], Value::Text(text)) => self.env_key_instructions = Some(text.clone()),
            (["experimental_bearer_token"], Value::Secret(token)) => self.bearer_token = Some(token.clone()),
            (["request_max_retries"], Value::Number(number)) => self.request_max_retries = Some(retries(*number)),
            (["stream_max_retries"], Value::Number(number)) => self.stream_max_retries = Some(retries(*number)),
            (["stream_idle_timeout_ms"], Value::Number(number)) => {
                self.stream_idle_timeout_ms = u64::try_from(*number).ok();
            }
            (["http_headers", name], Value::Secret(value)) => {
                self.http_headers.push(((*name).to_owned(), value.clone()));
            }
            (["env_http_headers", name], Value::Text(variable)) => {
                self.env_http_headers.push(((*name).to_owned(), variable.clone()));
            }
            (["query_params", name], Value::Secret(value)) => {
                self.query_params.push(((*name).to_owned(), value.clone()));
            }
            (["requires_openai_auth"], Value::Boolean(value)) => self.requires_openai_auth = *value,
            ([name @ ("auth" | "aws" | "gateway_oauth"), ..], _) => {
                self.unsupported.get_or_insert(((*name).to_owned(), place.to_owned()));
            }
            // `wire_api` has one value, and `supports_websockets` no effect.
            _ => {}
        }
    }
}
