//! `model/list`: the models of a provider as clients offer them.

use std::time::Duration;

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_model::catalogue::{Catalogue, Effort, Fetch, ModelInfo, Refresh, Visibility};
use sapwood_protocol::app::models::{AvailabilityNux, Model, ModelServiceTier, ReasoningEffortOption};
use sapwood_server::program::ProgramError;

use super::Served;
use crate::providers::DEFAULT_MODEL;
use crate::settings;

/// How long a provider may take to say its models: a client that starts waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The effort of a model that says none: clients make their choices from model and effort.
const USUAL_EFFORT: &str = "medium";

impl Served {
    pub(super) async fn list_models(&self, provider: Option<&str>) -> Result<Vec<Model>, ProgramError> {
        let (config, providers) = self.configured(None)?;
        let chosen = providers.chosen(&config);
        let id = provider.unwrap_or(&chosen);
        if !providers.knows(id) {
            return Err(ProgramError::UnknownProvider { provider: id.to_owned() });
        }
        // Without a key nobody can be asked, and something may be known all the same.
        let http = providers.http(id).ok().flatten();
        let fetch = http.as_ref().map(|http| http as &dyn Fetch);
        let catalogues = settings::catalogues(&self.homes);
        let asked = catalogues.load(id, fetch, Refresh::Online, SystemClock.now());
        let (catalogue, warnings) = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(listed) => listed,
            Err(_) => {
                let (catalogue, mut warnings) = catalogues.kept(id, fetch.map(Fetch::place));
                warnings.push(format!("the provider `{id}` did not say its models within {} s", PATIENCE.as_secs()));
                (catalogue, warnings)
            }
        };
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let usual = providers.default_model(id);
        let own = config.model.as_deref().filter(|_| id == chosen).or(usual).unwrap_or(DEFAULT_MODEL);
        Ok(listed(&catalogue, usual, own))
    }
}

/// The models of a catalogue, one of them the default: `usual` if it is there, else the first that a person is shown. Where
/// none is known there is `own`, the one that is asked for.
pub(super) fn listed(catalogue: &Catalogue, usual: Option<&str>, own: &str) -> Vec<Model> {
    let mut models: Vec<Model> = catalogue.models().iter().map(model).collect();
    if models.iter().all(|model| model.hidden) {
        let known = ModelInfo { slug: own.to_owned(), display_name: own.to_owned(), ..ModelInfo::default() };
        models.retain(|model| model.id != own);
        models.insert(0, model(&known));
    }
    let default = models.iter().position(|model| Some(&*model.id) == usual && !model.hidden);
    let default = default.or_else(|| models.iter().position(|model| !model.hidden)).unwrap_or_default();
    models[default].is_default = true;
    models
}

fn model(info: &ModelInfo) -> Model {
    let usual = Effort { effort: USUAL_EFFORT.to_owned(), description: None };
    let efforts = if info.efforts.is_empty() { std::slice::from_ref(&usual) } else { &info.efforts };
    let named = info.default_effort.clone().filter(|named| efforts.iter().any(|effort| effort.effort == *named));
    // The middle one.
    let default = || efforts[(efforts.len() - 1) / 2].effort.clone();
    let tier = |tier: &sapwood_model::catalogue::ServiceTier| ModelServiceTier {
        id: tier.id.clone(),
        name: tier.name.clone(),
        description: tier.description.clone(),
    };
    let is_fast = info.service_tiers.iter().any(|tier| tier.id == settings::tier("fast"));
    // A plain list says nothing of what its models read.
    let read = &info.input_modalities;
    Model {
        id: info.slug.clone(),
        model: info.slug.clone(),
        availability_nux: info.announcement.clone().map(|message| AvailabilityNux { message }),
        display_name: info.display_name.clone(),
        description: info.description.clone().unwrap_or_default(),
        hidden: info.visibility == Visibility::Hide,
        supported_reasoning_efforts: efforts.iter().map(effort).collect(),
        default_reasoning_effort: named.unwrap_or_else(default),
        input_modalities: if read.is_empty() { vec!["text".to_owned()] } else { read.clone() },
        multi_agent_version: info.multi_agent_version.clone(),
        additional_speed_tiers: is_fast.then(|| "fast".to_owned()).into_iter().collect(),
        service_tiers: info.service_tiers.iter().map(tier).collect(),
        default_service_tier: info.default_service_tier.clone(),
        ..Model::default()
    }
}

fn effort(effort: &Effort) -> ReasoningEffortOption {
    let usual = match &*effort.effort {
        "none" => "No reasoning",
        "minimal" => "Hardly any reasoning",
        "low" => "Little reasoning, the fastest answers",
        "medium" => "Some reasoning, for everyday work",
        "high" => "Much reasoning, for hard problems",
        "xhigh" => "Very much reasoning, for harder problems",
        "max" => "All the reasoning that the model can do",
        "ultra" => "All the reasoning, and it delegates by itself",
        _ => "",
    };
    let description = effort.description.clone().unwrap_or_else(|| usual.to_owned());
    ReasoningEffortOption { reasoning_effort: effort.effort.clone(), description }
}
