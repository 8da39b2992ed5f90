//! Which models a provider has, and what is known of them.
//!
//! A list comes from the provider (`GET models`), from what it said before (a file in our home), or from what is known
//! without asking. A provider that cannot be asked costs a warning, never a run.

mod cache;
mod parse;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use bytes::Bytes;
use sapwood_protocol::Millis;
use serde::{Deserialize, Serialize};

use crate::http::Http;
use crate::port::{BoxFuture, ModelError};

pub use cache::FILE;
pub use parse::{MAX_BYTES, MAX_MODELS};

/// A list that is younger is not asked for again: Codex's time.
pub const TTL: Millis = Millis(5 * 60 * 1000);
/// How much of its window a model is given where nothing says so, in percent: Codex's share.
const EFFECTIVE_PERCENT: u64 = 95;

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelInfo {
    /// Its name in requests.
    pub slug: String,
    /// Its name for a person.
    pub display_name: String,
    /// What it is good for.
    pub description: Option<String>,
    /// Tokens of its window, where that is known.
    pub context_window: Option<u64>,
    /// How much of the window a turn may fill, in percent.
    pub effective_percent: Option<u64>,
    /// The effort that it makes where none is named.
    pub default_effort: Option<String>,
    /// The efforts that it can make, the least first.
    pub efforts: Vec<Effort>,
    /// Whether a person is shown it.
    pub visibility: Visibility,
    /// Smaller comes first; a model without one comes last.
    pub priority: Option<i64>,
    /// What it reads (`text`, `image`).
    pub input_modalities: Vec<String>,
    /// It may make several calls in one answer.
    pub supports_parallel_tool_calls: bool,
    /// The service tiers that it can be asked in.
    pub service_tiers: Vec<ServiceTier>,
    /// The tier that it is asked in where none is named.
    pub default_service_tier: Option<String>,
    /// The tools for agents that it knows (`v1`, `v2`).
    pub multi_agent_version: Option<String>,
    /// What a person is told of it once.
    pub announcement: Option<String>,
}

/// An effort that a model can make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Its name in requests.
    pub effort: String,
    /// What it means, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A service tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceTier {
    /// Its name in requests.
    pub id: String,
    /// Its name for a person.
    pub name: String,
    /// What it means, for a person.
    pub description: String,
}

/// Whether a person is shown a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// In every list.
    #[default]
    List,
    /// Only who knows its name uses it.
    Hide,
}

impl ModelInfo {
    /// Tokens that a turn may fill.
    pub fn usable_window(&self) -> Option<u64> {
        let percent = self.effective_percent.unwrap_or(EFFECTIVE_PERCENT).min(100);
        Some(self.context_window?.saturating_mul(percent) / 100)
    }
}

/// Where a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The provider has just said it.
    Provider,
    /// The provider said it then.
    Cache {
        /// When.
        fetched_at: Millis,
    },
    /// It is known without asking; empty for a provider of which nothing is.
    Static,
}

/// The models of one provider, those first that come first.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    models: Vec<ModelInfo>,
    source: Source,
}

impl Catalogue {
    fn new(mut models: Vec<ModelInfo>, source: Source) -> Self {
        models.sort_by(|a, b| {
            let rank = |model: &ModelInfo| model.priority.unwrap_or(i64::MAX);
            rank(a).cmp(&rank(b)).then_with(|| a.slug.cmp(&b.slug))
        });
        // The one that comes first counts.
        let mut seen = std::collections::BTreeSet::new();
        models.retain(|model| seen.insert(model.slug.clone()));
        Self { models, source }
    }

    /// What is known of a provider's models without asking it.
    pub fn known(provider: &str) -> Self {
        Self::new(parse::known(provider), Source::Static)
    }

    fn said_before(kept: cache::List) -> Self {
        Self::new(kept.models, Source::Cache { fetched_at: kept.fetched_at })
    }

    /// All models, hidden ones too, in order.
    pub fn models(&self) -> &[ModelInfo] {
        &self.models
    }

    /// Where the list comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// What is known of a model. A name that only adds a suffix (`gpt-5.5-2026-01-01`) is that model.
    pub fn model(&self, name: &str) -> Option<&ModelInfo> {
        let is_it = |model: &&ModelInfo| {
            name.strip_prefix(model.slug.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.models.iter().filter(is_it).max_by_key(|model| model.slug.len())
    }

    /// Tokens that a turn of a model may fill: the `model_context_window` of turns. None if nobody says so.
    pub fn context_window(&self, model: &str) -> Option<u64> {
        self.model(model)?.usable_window()
    }
}

/// When a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Always.
    Always,
    /// If its last list is older than [`TTL`], or another version of this program fetched it.
    Online,
    /// If there is no list of it yet.
    OnlineIfUncached,
    /// Never.
    Offline,
}

/// Somebody who can be asked for its models.
pub trait Fetch: Send + Sync {
    /// Where it is; a list from elsewhere is not its own. Holds no key.
    fn place(&self) -> &str;
    /// Its list, as it says it: at most [`MAX_BYTES`].
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, ModelError>>;
}

/// What a provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// Names this state of the list.
    pub etag: Option<String>,
}

impl Fetch for Http {
    fn place(&self) -> &str {
        &self.provider().base_url
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, ModelError>> {
        Box::pin(async {
            let (body, etag) = self.get("models", MAX_BYTES).await?;
            Ok(Fetched { body, etag })
        })
    }
}

/// The lists of all providers, kept in one file.
#[derive(Clone, Debug)]
pub struct Catalogues {
    file: PathBuf,
    version: String,
}

impl Catalogues {
    /// Kept in [`FILE`] of this folder, which is made if it is not there. `version` is that of the program.
    pub fn new(folder: impl Into<PathBuf>, version: impl Into<String>) -> Self {
        Self { file: folder.into().join(FILE), version: version.into() }
    }

    /// The models of a provider without asking it: what it said last at this place, or what is known. The second value is
    /// what went wrong, for a person. Reads one small file.
    pub fn kept(&self, provider: &str, place: Option<&str>) -> (Catalogue, Vec<String>) {
        let mut warnings = Vec::new();
        let kept = place.and_then(|place| cache::read(&self.file, &mut warnings).take(provider, place));
        (kept.map_or_else(|| Catalogue::known(provider), Catalogue::said_before), warnings)
    }

    /// The models of a provider. `fetch` asks it, where it can be asked. What went wrong is told in the second value, for a
    /// person; there is always a list, if only an empty one. Reads and writes one small file.
    pub async fn load(
        &self,
        provider: &str,
        fetch: Option<&dyn Fetch>,
        refresh: Refresh,
        now: Millis,
    ) -> (Catalogue, Vec<String>) {
        let mut warnings = Vec::new();
        let Some(fetch) = fetch else {
            return (Catalogue::known(provider), warnings);
        };
        let kept = cache::read(&self.file, &mut warnings).take(provider, fetch.place());
        let is_wanted = match (refresh, &kept) {
            (Refresh::Offline, _) => false,
            (Refresh::Always, _) | (_, None) => true,
            (Refresh::OnlineIfUncached, Some(_)) => false,
            (Refresh::Online, Some(kept)) => kept.client_version != self.version || !kept.is_fresh(now),
        };
        if is_wanted {
            match ask(provider, fetch).await {
                Ok((models, etag)) => {
                    let list = cache::List::new(fetch.place(), etag, now, &self.version, models.clone());
                    if let Err(error) = cache::write(&self.file, provider, list) {
                        let file = self.file.display();
                        warnings.push(format!("the models of `{provider}` could not be kept in {file}: {error}"));
                    }
                    return (Catalogue::new(models, Source::Provider), warnings);
                }
                Err(why) => {
                    let instead = match &kept {
                        Some(kept) => format!("the list of {} counts", kept.fetched_at.timestamp()),
                        None => "what is known without asking counts".to_owned(),
                    };
                    warnings.push(format!("the models of `{provider}` could not be fetched: {why}; {instead}"));
                }
            }
        }
        (kept.map_or_else(|| Catalogue::known(provider), Catalogue::said_before), warnings)
    }
}

async fn ask(provider: &str, fetch: &dyn Fetch) -> Result<(Vec<ModelInfo>, Option<String>), String> {
    let fetched = fetch.fetch().await.map_err(|error| error.to_string())?;
    Ok((parse::list(provider, &fetched.body)?, fetched.etag))
}
