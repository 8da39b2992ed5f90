//! The configuration as clients of the app server see it: everything that holds, where it comes from, layer by layer.
//!
//! Its form is Codex's: every top-level key is there, with its default where nothing sets it (`defaults.json`). Keys that
//! nobody knows are left out, and secrets are not shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use sapwood_protocol::app::config::{ConfigLayer, ConfigLayerMetadata, ConfigLayerSource, ConfigReadResponse};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::keys::{self, Kind, Known};
use super::layer::{Layer, Rank};
use super::path::KeyPath;
use super::value::HIDDEN;
use super::{Reading, State};

/// Codex's defaults, in its order.
#[derive(Debug, Deserialize)]
struct Defaults {
    top: Map<String, Json>,
    /// Of the keys in a table that is there, by its path; `*` stands for any name.
    inside: BTreeMap<String, Map<String, Json>>,
}

static DEFAULTS: LazyLock<Defaults> =
    LazyLock::new(|| serde_json::from_str(include_str!("defaults.json")).expect("the file beside this one is valid"));

/// A layer under its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub source: ConfigLayerSource,
    /// A fingerprint of what it says.
    pub version: String,
    /// What it says, secrets too.
    pub tree: Map<String, Json>,
}

impl Named {
    fn new(source: ConfigLayerSource, tree: Map<String, Json>) -> Self {
        Self { source, version: version(&tree), tree }
    }

    /// Its name and state.
    pub fn metadata(&self) -> ConfigLayerMetadata {
        ConfigLayerMetadata { name: self.source.clone(), version: self.version.clone() }
    }

    /// What it says at a path.
    pub fn at(&self, path: &[&str]) -> Option<&Json> {
        let (last, above) = path.split_last()?;
        above.iter().try_fold(&self.tree, |tree, part| tree.get(*part)?.as_object())?.get(*last)
    }

    fn shown(&self, disabled_reason: Option<String>) -> ConfigLayer {
        let config = Json::Object(without_secrets(&self.tree, &mut Vec::new()));
        ConfigLayer { name: self.source.clone(), version: self.version.clone(), config, disabled_reason }
    }
}

/// The layers that count, the first one first. The person's own file and the machine's are there also where they are
/// missing: a client may want to write the one, and to know of the other.
pub fn layers(reading: &Reading, own: &std::path::Path) -> Vec<Named> {
    let mut named = Vec::new();
    let mut flags = Map::new();
    for layer in reading.layers.iter().filter(|layer| layer.rank == Rank::Flag).rev() {
        lay_over(&mut flags, &layer.tree);
    }
    if !flags.is_empty() {
        named.push(Named::new(ConfigLayerSource::SessionFlags, flags));
    }
    let profile = reading.profile.as_deref();
    for layer in &reading.layers {
        let source = match (layer.rank, &layer.file) {
            (Rank::Project, Some(_)) => project(layer),
            (Rank::Profile, Some(file)) => {
                let file = file.to_string_lossy().into_owned();
                ConfigLayerSource::User { file, profile: profile.map(str::to_owned) }
            }
            _ => continue,
        };
        named.push(Named::new(source, allowed(layer)));
    }
    for file in &reading.files {
        let path = file.source.path.to_string_lossy().into_owned();
        let is_wanted = match file.source.rank {
            Rank::System => matches!(file.state, State::Read | State::Missing),
            Rank::User => file.state == State::Read || (file.state == State::Missing && file.source.path == own),
            _ => false,
        };
        if is_wanted {
            let is_it =
                |layer: &&Layer| layer.rank == file.source.rank && layer.file.as_deref() == Some(&*file.source.path);
            let tree = reading.layers.iter().find(is_it).map(|layer| layer.tree.clone()).unwrap_or_default();
            named.push(Named::new(
                match file.source.rank {
                    Rank::System => ConfigLayerSource::System { file: path },
                    _ => ConfigLayerSource::User { file: path, profile: None },
                },
                tree,
            ));
        }
    }
    named
}

/// The answer to `config/read`. `own` is the person's file that clients write.
pub fn response(reading: &Reading, own: &std::path::Path, with_layers: bool) -> ConfigReadResponse {
    let layers = layers(reading, own);
    let mut merged = Map::new();
    let mut origins = BTreeMap::new();
    for layer in layers.iter().rev() {
        lay_over(&mut merged, &layer.tree);
        let metadata = layer.metadata();
        leaves(&layer.tree, &mut Vec::new(), &mut |path| {
            origins.insert(path.join("."), metadata.clone());
        });
    }
    // What a layer says of a table that one before it replaced by something else is not there any more.
    let mut there = BTreeSet::new();
    leaves(&merged, &mut Vec::new(), &mut |path| {
        there.insert(path.join("."));
    });
    origins.retain(|path, _| there.contains(path));
    let merged = without_secrets(&merged, &mut Vec::new());
    let shown = || {
        let untrusted = reading.untrusted.iter().map(|layer| {
            let reason = format!("its project is not trusted; to read it, trust the project in {}", own.display());
            Named::new(project(layer), allowed(layer)).shown(Some(reason))
        });
        let at = layers.iter().take_while(|layer| is_before_projects(&layer.source)).count();
        let mut shown: Vec<ConfigLayer> = layers.iter().map(|layer| layer.shown(None)).collect();
        shown.splice(at..at, untrusted);
        shown
    };
    ConfigReadResponse { config: completed(&merged), origins, layers: with_layers.then(shown) }
}

/// A fingerprint of what a layer says: Codex's, so that both programs say the same of one file.
pub fn version(tree: &Map<String, Json>) -> String {
    let hash = Sha256::digest(sorted(&Json::Object(tree.clone())).to_string());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(table) => {
            let sorted_table: BTreeMap<&String, Json> = table.iter().map(|(key, value)| (key, sorted(value))).collect();
            Json::Object(sorted_table.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn is_before_projects(source: &ConfigLayerSource) -> bool {
    matches!(source, ConfigLayerSource::SessionFlags)
}

fn project(layer: &Layer) -> ConfigLayerSource {
    let folder = layer.folder.as_deref().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    ConfigLayerSource::Project { dot_codex_folder: folder }
}

/// What a layer says and may say.
fn allowed(layer: &Layer) -> Map<String, Json> {
    fn keep(table: &Map<String, Json>, above: &mut Vec<String>) -> Map<String, Json> {
        let mut kept = Map::new();
        for (key, value) in table {
            above.push(key.clone());
            if !keys::is_refused_in_project(&parts(above)) {
                let value = match value {
                    Json::Object(inner) => Json::Object(keep(inner, above)),
                    other => other.clone(),
                };
                kept.insert(key.clone(), value);
            }
            above.pop();
        }
        kept
    }
    if layer.rank == Rank::Project { keep(&layer.tree, &mut Vec::new()) } else { layer.tree.clone() }
}

/// Lays a table over another: tables key by key, everything else as a whole.
pub fn lay_over(below: &mut Map<String, Json>, above: &Map<String, Json>) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Json::Object(below)), Json::Object(above)) => lay_over(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Every key that holds something else than a table, and the entries of lists.
fn leaves(table: &Map<String, Json>, above: &mut Vec<String>, found: &mut dyn FnMut(&[String])) {
    fn of(value: &Json, path: &mut Vec<String>, found: &mut dyn FnMut(&[String])) {
        match value {
            Json::Object(table) => leaves(table, path, found),
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    path.push(at.to_string());
                    of(item, path, found);
                    path.pop();
                }
            }
            _ => found(path),
        }
    }
    for (key, value) in table {
        above.push(key.clone());
        of(value, above, found);
        above.pop();
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn without_secrets(table: &Map<String, Json>, above: &mut Vec<String>) -> Map<String, Json> {
    let mut shown = Map::new();
    for (key, value) in table {
        above.push(key.clone());
        let value = match value {
            Json::Object(inner) => Json::Object(without_secrets(inner, above)),
            _ if is_hidden(&parts(above), value) => Json::from(HIDDEN),
            other => other.clone(),
        };
        shown.insert(key.clone(), value);
        above.pop();
    }
    shown
}

/// A value at a path, as a client may see it.
pub fn shown(path: &[&str], value: &Json) -> Json {
    match value {
        Json::Object(table) => {
            Json::Object(without_secrets(table, &mut path.iter().map(|part| (*part).to_owned()).collect()))
        }
        _ if is_hidden(path, value) => Json::from(HIDDEN),
        other => other.clone(),
    }
}

fn is_hidden(path: &[&str], value: &Json) -> bool {
    // An address may hold a password, or a key in its parameters.
    let is_telling = value.as_str().is_some_and(|text| text.contains("://") && text.contains(['@', '?']));
    is_telling
        || match keys::known(path, false) {
            Known::Used(key) => matches!(key.kind, Kind::Secret | Kind::Unsupported),
            Known::Unknown => path.first() == Some(&"model_providers"),
            Known::Table => false,
            Known::Passes => matches!(
                path,
                ["mcp_servers", _, "env" | "http_headers" | "bearer_token", ..]
                    | ["shell_environment_policy", "set", ..]
                    | ["otel", ..]
            ),
        }
}

/// With the defaults of what nothing sets.
fn completed(set: &Map<String, Json>) -> Map<String, Json> {
    let mut all = Map::new();
    for (key, default) in &DEFAULTS.top {
        let value = set.get(key).map_or_else(|| default.clone(), |value| inside(&[key], value));
        all.insert(key.clone(), value);
    }
    // Ours: clients pass over what they do not know.
    all.extend(set.get("sapwood").map(|own| ("sapwood".to_owned(), own.clone())));
    all
}

fn inside(path: &[&str], value: &Json) -> Json {
    let Json::Object(table) = value else { return value.clone() };
    let name = KeyPath::from_iter(path.iter().copied()).to_string();
    let of_any = path.split_last().map(|(_, above)| format!("{}.*", above.join(".")));
    let defaults = DEFAULTS.inside.get(&name).or_else(|| DEFAULTS.inside.get(&of_any?));
    let mut all = defaults.cloned().unwrap_or_default();
    for (key, value) in table {
        let below: Vec<&str> = path.iter().copied().chain([&**key]).collect();
        all.insert(key.clone(), inside(&below, value));
    }
    Json::Object(all)
}
