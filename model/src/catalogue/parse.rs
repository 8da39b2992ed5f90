//! Lists of models as providers write them: OpenAI's plain one, and Codex's, which says more.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Effort, ModelInfo, ServiceTier, Visibility};

/// The longest list that is read, in bytes. Codex's, with the instructions of each model in it, has some hundred thousand.
pub const MAX_BYTES: usize = 4 << 20;
/// Models of one provider that are kept, at most.
pub const MAX_MODELS: usize = 1000;
/// The longest text of a model that is kept, in bytes; a longer one is left out.
const MAX_TEXT: usize = 4096;
/// Efforts and modalities of a model that are kept, at most.
const MAX_WORDS: usize = 32;

static KNOWN: LazyLock<BTreeMap<String, Vec<ModelInfo>>> = LazyLock::new(|| {
    let known: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(include_str!("static.json")).expect("the data file beside this one is valid");
    known.into_iter().map(|(id, models)| (id, models.iter().filter_map(rich).collect())).collect()
});

/// What is known of a provider's models without asking it.
pub fn known(provider: &str) -> Vec<ModelInfo> {
    KNOWN.get(provider).cloned().unwrap_or_default()
}

/// Both forms of a list. Everything else in it is passed over.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    models: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    data: Option<Vec<&'a RawValue>>,
}

/// The models of a list. One that has no name is left out; a list without any is none.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn list(provider: &str, body: &[u8]) -> Result<Vec<ModelInfo>, String> {
    if body.len() > MAX_BYTES {
        return Err(format!("its list has {} bytes, and {MAX_BYTES} are read", body.len()));
    }
    let raw: Raw<'_> =
        serde_json::from_slice(body).map_err(|error| format!("its answer is no list of models: {error}"))?;
    let (entries, read): (_, fn(&Value) -> Option<ModelInfo>) = match (raw.models, raw.data) {
        (Some(models), _) => (models, rich),
        (None, Some(data)) => (data, plain),
        (None, None) => return Err("its answer is no list of models: it has neither `models` nor `data`".to_owned()),
    };
    let values = entries.into_iter().filter_map(|entry| serde_json::from_str::<Value>(entry.get()).ok());
    let models: Vec<ModelInfo> =
        values.filter_map(|value| read(&value)).map(|model| completed(provider, model)).take(MAX_MODELS).collect();
    if models.is_empty() {
        return Err("its list names no model".to_owned());
    }
    Ok(models)
}

/// A model of Codex's form.
fn rich(value: &Value) -> Option<ModelInfo> {
    let slug = name(value, "slug")?;
    let visibility = match value["visibility"].as_str() {
        Some("hide" | "none") => Visibility::Hide,
        _ => Visibility::List,
    };
    Some(ModelInfo {
        display_name: text(&value["display_name"]).unwrap_or_else(|| slug.clone()),
        description: text(&value["description"]),
        context_window: value["context_window"].as_u64().filter(|window| *window > 0),
        effective_percent: value["effective_context_window_percent"].as_u64().filter(|percent| *percent > 0),
        default_effort: text(&value["default_reasoning_level"]),
        efforts: words(&value["supported_reasoning_levels"], effort),
        visibility,
        priority: value["priority"].as_i64(),
        input_modalities: words(&value["input_modalities"], text),
        supports_parallel_tool_calls: value["supports_parallel_tool_calls"].as_bool().unwrap_or_default(),
        service_tiers: words(&value["service_tiers"], tier),
        default_service_tier: text(&value["default_service_tier"]),
        multi_agent_version: text(&value["multi_agent_version"]),
        announcement: text(&value["availability_nux"]["message"]),
        slug,
    })
}

/// A model of OpenAI's form: little more than its name.
fn plain(value: &Value) -> Option<ModelInfo> {
    let slug = name(value, "id")?;
    let windows = ["context_window", "context_length", "max_model_len"];
    let context_window = windows.iter().find_map(|key| value[*key].as_u64()).filter(|window| *window > 0);
    Some(ModelInfo { display_name: slug.clone(), slug, context_window, ..ModelInfo::default() })
}

/// What the provider does not say of a model and we know.
fn completed(provider: &str, model: ModelInfo) -> ModelInfo {
    let known = KNOWN.get(provider).and_then(|models| models.iter().find(|known| known.slug == model.slug)).cloned();
    let Some(known) = known else { return model };
    let is_plain = model.priority.is_none() && model.efforts.is_empty();
    if is_plain {
        return ModelInfo { context_window: model.context_window.or(known.context_window), ..known };
    }
    ModelInfo { context_window: model.context_window.or(known.context_window), ..model }
}

fn name(value: &Value, key: &str) -> Option<String> {
    text(&value[key]).filter(|name| !name.is_empty())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| text.len() <= MAX_TEXT).map(str::to_owned)
}

/// An effort is an object, or its name alone.
fn effort(value: &Value) -> Option<Effort> {
    match value {
        Value::String(_) => Some(Effort { effort: text(value)?, description: None }),
        _ => Some(Effort { effort: name(value, "effort")?, description: text(&value["description"]) }),
    }
}

fn tier(value: &Value) -> Option<ServiceTier> {
    Some(ServiceTier {
        id: name(value, "id")?,
        name: text(&value["name"]).unwrap_or_default(),
        description: text(&value["description"]).unwrap_or_default(),
    })
}

fn words<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value.as_array().into_iter().flatten().filter_map(read).take(MAX_WORDS).collect()
}
