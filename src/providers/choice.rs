//! Which provider, model and effort a run asks for.
//!
//! A thread that goes on keeps its own, as its rollout recorded them, whatever files say by now. Model, provider or
//! effort on the command line count instead, and then nothing that was recorded does.

use sapwood_actors::agent::state::Asking;

use super::{Providers, REHEARSAL};
use crate::config::Config;
use crate::exit::Failure;

/// What a run asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub provider: String,
    pub model: String,
    pub effort: Option<String>,
    /// What rollouts recorded does not count.
    pub is_said: bool,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

impl Choice {
    /// Of the configuration, the model that `-m` names, and the thread that goes on, if one does.
    ///
    /// # Errors
    /// No model is named for a provider that has no usual one.
    pub fn new(
        config: &Config,
        flag: Option<&str>,
        recorded: Option<&Asking>,
        providers: &Providers,
    ) -> Result<Self, Failure> {
        let is_said = config.model_is_said || flag.is_some();
        let wanted = providers.chosen(config);
        let kept = recorded.filter(|own| !is_said && (own.provider.is_some() || own.model.is_some()));
        let Some(own) = kept else {
            let model = named(config, flag, &wanted, providers)?;
            // What is said counts for agents below the root too; a new tree has nobody to whom it matters.
            return Ok(Self {
                provider: wanted,
                model,
                effort: config.effort.clone(),
                is_said: true,
                notes: Vec::new(),
            });
        };
        let provider = own.provider.as_deref().unwrap_or(&wanted).to_owned();
        let Some(model) = own.model.as_ref().map(ToString::to_string) else {
            let model = named(config, None, &provider, providers)?;
            return Ok(Self { provider, model, effort: config.effort.clone(), is_said: false, notes: Vec::new() });
        };
        let wanted_model = named(config, None, &wanted, providers).ok();
        let mut notes = Vec::new();
        if provider != wanted || wanted_model.as_ref().is_some_and(|wanted| *wanted != model) {
            let wanted_model = wanted_model.as_deref().unwrap_or("no model");
            notes.push(format!(
                "note: this tree goes on with the model `{model}` of `{provider}`, as it began, and not with the configured \
                 `{wanted_model}` of `{wanted}`; -m or -c model_provider=... on the command line changes that"
            ));
        }
        Ok(Self { provider, model, effort: own.effort.as_ref().map(ToString::to_string), is_said: false, notes })
    }
}

fn named(config: &Config, flag: Option<&str>, provider: &str, providers: &Providers) -> Result<String, Failure> {
    if provider == REHEARSAL {
        // It is no model, so that none can be named.
        return Ok(REHEARSAL.to_owned());
    }
    let named = flag.or(config.model.as_deref()).or_else(|| providers.default_model(provider));
    named.map(str::to_owned).ok_or_else(|| {
        Failure::configuration(format!(
            "the provider `{provider}` has no usual model: name one with -m, or as `model` in the configuration"
        ))
    })
}
