//! `modelProvider/list`: the providers that a person may choose from.

use sapwood_protocol::app::models::{GatewayAuth, ModelProviderListResponse, ModelProviderSummary, ProviderSettings};

use crate::config::{ProviderTable, Rank, Reading};
use crate::providers::OPENAI;

/// Those that are configured, OpenAI, and the one that is asked.
pub(super) fn listed(reading: &Reading, chosen: &str) -> ModelProviderListResponse {
    let config = &reading.config;
    let configured = config.providers.iter().filter(|(id, _)| *id != OPENAI);
    let mut data: Vec<ModelProviderSummary> = configured
        .map(|(id, table)| {
            let is_theirs = reading.merged.below(&["model_providers", id]).any(|(_, set)| set.rank == Rank::User);
            ModelProviderSummary {
                id: id.clone(),
                name: table.name.clone().unwrap_or_else(|| id.clone()),
                can_edit: is_theirs,
                base_url: table.base_url.as_ref().map(|(url, _)| url.clone()).filter(|url| is_plain(url)),
                settings: ProviderSettings::CustomGateway { auth: auth(table) },
            }
        })
        .collect();
    data.push(ModelProviderSummary {
        id: OPENAI.to_owned(),
        name: "OpenAI".to_owned(),
        can_edit: false,
        base_url: None,
        settings: ProviderSettings::Openai,
    });
    if data.iter().all(|provider| provider.id != chosen) {
        // It is built in.
        data.push(ModelProviderSummary {
            id: chosen.to_owned(),
            name: chosen.to_owned(),
            can_edit: false,
            base_url: None,
            settings: ProviderSettings::CustomGateway { auth: GatewayAuth::None },
        });
    }
    let is_said = reading.merged.get(&["model_provider"]).is_some_and(|set| set.rank == Rank::Flag);
    ModelProviderListResponse { data, default_provider_id: chosen.to_owned(), can_change_default: !is_said }
}

/// An address that holds nothing but an address.
fn is_plain(url: &str) -> bool {
    !url.contains(['@', '?'])
}

fn auth(table: &ProviderTable) -> GatewayAuth {
    let is_more = table.bearer_token.is_some()
        || table.requires_openai_auth
        || table.unsupported.is_some()
        || !table.http_headers.is_empty()
        || !table.env_http_headers.is_empty()
        || !table.query_params.is_empty()
        || table.base_url.as_ref().is_some_and(|(url, _)| !is_plain(url));
    match &table.env_key {
        env_key if is_more => GatewayAuth::ExternallyConfigured { env_key: env_key.clone() },
        Some(env_key) => GatewayAuth::EnvironmentVariable { env_key: env_key.clone() },
        None => GatewayAuth::None,
    }
}
