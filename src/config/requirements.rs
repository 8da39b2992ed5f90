//! What the machine's owner requires and proposes: `requirements.toml` beside each of the machine's configuration files.
//!
//! Of each key the first file that sets it counts.

use std::path::Path;

use sapwood_protocol::app::config::{ConfigRequirements, ModelsRequirements, NewThreadDefaults};
use serde_json::{Map, Value as Json};

use super::layer::{Layer, Rank, Source};
use super::seen;
use crate::exit::Failure;
use crate::home::Homes;

/// The name of the file.
const FILE: &str = "requirements.toml";

/// What is required and proposed; none if no file says anything.
///
/// # Errors
/// A file that cannot be used: what it requires is not known then.
pub fn of(homes: &Homes) -> Result<Option<ConfigRequirements>, Failure> {
    let mut all = Map::new();
    for folder in homes.system.iter().rev().filter_map(|config| config.parent()) {
        let source = Source { path: folder.join(FILE), rank: Rank::System };
        if let Some(layer) = Layer::read(&source)? {
            check(&layer, &source.path)?;
            seen::lay_over(&mut all, &layer.tree);
        }
    }
    Ok((!all.is_empty()).then(|| read(&all)))
}

fn read(all: &Map<String, Json>) -> ConfigRequirements {
    let list = |key: &str| all.get(key).and_then(Json::as_array).cloned();
    let words = |list: Vec<Json>| list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
    let new_thread = all.get("models").and_then(|models| models.get("new_thread")).and_then(Json::as_object);
    let defaults = |table: &Map<String, Json>| {
        let text = |key: &str| table.get(key).and_then(Json::as_str).map(str::to_owned);
        NewThreadDefaults {
            model: text("model"),
            model_reasoning_effort: text("model_reasoning_effort"),
            service_tier: text("service_tier"),
        }
    };
    ConfigRequirements {
        allowed_approval_policies: list("allowed_approval_policies"),
        allowed_sandbox_modes: list("allowed_sandbox_modes").map(words),
        models: new_thread.map(|table| ModelsRequirements { new_thread: Some(defaults(table)) }),
    }
}

/// What we read of it is of the right kind: a requirement that is passed over is none.
fn check(layer: &Layer, path: &Path) -> Result<(), Failure> {
    let is_wrong = |key: &[&str], is_right: fn(&Json) -> bool, kind: &str| {
        let (last, above) = key.split_last()?;
        let table = above.iter().try_fold(&layer.tree, |tree, part| tree.get(*part)?.as_object())?;
        (!is_right(table.get(*last)?)).then(|| format!("{}: `{}` must be {kind}", path.display(), key.join(".")))
    };
    let lists = ["allowed_approval_policies", "allowed_sandbox_modes"];
    let texts = ["model", "model_reasoning_effort", "service_tier"].map(|key| ["models", "new_thread", key]);
    let wrong = lists.iter().find_map(|key| is_wrong(&[*key], Json::is_array, "a list"));
    let wrong = wrong.or_else(|| texts.iter().find_map(|key| is_wrong(key, Json::is_string, "a string")));
    wrong.map_or(Ok(()), |why| Err(Failure::configuration(why)))
}
