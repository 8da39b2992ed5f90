//! Configuration: layers of TOML, key by key the first that sets one wins.
//!
//! From the first to the last: the command line; the project of the working directory, if a person trusts it; the
//! profile; the person's own files; the machine's. `keys.rs` says which keys there are, `sources.rs` which files.
//!
//! A key that nobody knows is a warning with its file and line. It is an error where it can only be meant for us: on
//! the command line, and in `[sapwood]`. A value that cannot be used is always an error.

mod codex;
pub mod edit;
pub mod keys;
mod layer;
mod merged;
mod path;
mod provider;
mod requirements;
mod rights;
pub mod seen;
mod sources;
#[cfg(test)]
mod tests;
mod trust;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sapwood_actors::agent::settings::{OnUsageLimit, WaitLimits};

use serde_json::{Map, Value as Json};

use crate::exit::{Exit, Failure};

use layer::Source;
pub use layer::{Layer, Problem, Rank};
pub use merged::{Merged, Set};
pub use path::KeyPath;
pub use provider::ProviderTable;
pub use requirements::Requirements;
pub use rights::{PROFILES, Rights, Sandbox};
pub use sources::{File, Places, State};
pub use trust::Trust;
pub use value::Hidden;

/// The keys that stand for the same limit, and how much each leaves out of it: the most precise comes first, and counts
/// within one layer.
const SLOTS: [(&[&str], u32); 3] = [
    (&["features", "multi_agent_v2", "max_concurrent_threads_per_session"], 0),
    // Without the root. In Codex these are threads that are open; here an agent that does nothing costs nothing, so the
    // limit is on those that work.
    (&["agents", "max_concurrent_threads_per_session"], 1),
    (&["agents", "max_threads"], 1),
];

/// The configuration, as far as anything set it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub model: Option<String>,
    pub provider: Option<Named>,
    pub effort: Option<String>,
    pub summary: Option<String>,
    pub verbosity: Option<String>,
    pub service_tier: Option<String>,
    /// Model, provider or effort stand on the command line: what rollouts recorded of them does not count.
    pub model_is_said: bool,
    /// With its place.
    pub openai_base_url: Option<(String, String)>,
    /// By id.
    pub providers: BTreeMap<String, ProviderTable>,
    /// What commands may touch, and who is asked.
    pub rights: Rights,
    /// What a person said of the project.
    pub trust: Trust,
    pub developer_instructions: Option<String>,
    pub max_depth: Option<u32>,
    pub interrupt_message: Option<bool>,
    pub asks_in_default_mode: Option<bool>,
    pub slots: Option<u32>,
    pub min_wait_ms: Option<u64>,
    pub default_wait_ms: Option<u64>,
    pub max_wait_ms: Option<u64>,
    pub on_usage_limit: Option<OnUsageLimit>,
    pub script: Option<PathBuf>,
    pub script_log: Option<PathBuf>,
    /// What a person should know, and what does not keep the program from running.
    pub warnings: Vec<String>,
    /// What a person may want to know.
    pub notes: Vec<String>,
}

/// The id of a provider, and who named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub id: String,
    pub place: String,
}

/// Everything that was found, and what becomes of it.
#[derive(Debug, Default)]
pub struct Reading {
    /// The files, the one that counts most first.
    pub files: Vec<File>,
    /// What they and the command line say, in the same order.
    pub layers: Vec<Layer>,
    /// What projects say that nobody trusts. It does not count.
    pub untrusted: Vec<Layer>,
    /// What is set.
    pub merged: Merged,
    /// The configuration.
    pub config: Config,
    /// The profile that is used.
    pub profile: Option<String>,
    /// What is wrong, in the order of the layers.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Reads everything, and fails with the first thing that cannot be used.
    pub fn load(places: &Places<'_>) -> Result<Self, Failure> {
        let reading = Reading::of(places);
        match reading.problems.into_iter().find_map(|problem| Some((problem.exit?, problem.message))) {
            Some((exit, message)) => Err(Failure::new(exit, message)),
            None => Ok(reading.config),
        }
    }

    /// The limits of `wait_agent`.
    pub fn wait(&self) -> WaitLimits {
        let usual = WaitLimits::default();
        let min = self.min_wait_ms.unwrap_or(usual.min.min(self.default_wait_ms.unwrap_or(u64::MAX)));
        let max = self.max_wait_ms.unwrap_or(usual.max);
        WaitLimits { min, default: self.default_wait_ms.unwrap_or(usual.default.clamp(min, max.max(min))), max }
    }
}

impl Reading {
    /// Reads everything. What cannot be used is a problem, and the rest is there.
    pub fn of(places: &Places<'_>) -> Self {
        let found = places.read();
        let mut problems = found.problems;
        let merged = Merged::of(&found.layers, &mut problems);
        let mut config = Config { notes: found.notes, trust: found.trust, ..Config::default() };
        config.take_model(&merged);
        config.take_limits(&merged);
        config.rights = Rights::of(&merged, &mut problems);
        config.developer_instructions = merged.text(&["developer_instructions"]);
        config.check_waits(&mut problems);
        let text = |problem: &Problem| problem.exit.is_none().then(|| problem.message.clone());
        config.warnings = problems.iter().filter_map(text).collect();
        Self {
            files: found.files,
            layers: found.layers,
            untrusted: found.untrusted,
            merged,
            config,
            profile: found.profile,
            problems,
        }
    }

    /// The exit code that all this deserves.
    pub fn exit(&self) -> Exit {
        self.problems.iter().find_map(|problem| problem.exit).unwrap_or(Exit::Done)
    }
}

impl Config {
    fn take_model(&mut self, merged: &Merged) {
        let said = ["model", "model_provider", "model_reasoning_effort"];
        self.model_is_said = said.iter().any(|key| merged.get(&[key]).is_some_and(|set| set.rank == Rank::Flag));
        self.model = merged.text(&["model"]);
        self.provider = merged.text(&["model_provider"]).map(|id| Named { id, place: place(merged, "model_provider") });
        self.effort = merged.text(&["model_reasoning_effort"]);
        // Codex's word for asking for none.
        self.summary = merged.text(&["model_reasoning_summary"]).filter(|summary| summary != "none");
        self.verbosity = merged.text(&["model_verbosity"]);
        self.service_tier = merged.text(&["service_tier"]);
        self.openai_base_url = merged.text(&["openai_base_url"]).map(|url| (url, place(merged, "openai_base_url")));
        self.providers = ProviderTable::all(merged);
        self.script = merged.text(&["sapwood", "script"]).map(PathBuf::from);
        self.script_log = merged.text(&["sapwood", "script_log"]).map(PathBuf::from);
    }

    fn take_limits(&mut self, merged: &Merged) {
        let wait = |name: &str| merged.number(&["features", "multi_agent_v2", name]);
        self.min_wait_ms = wait("min_wait_timeout_ms");
        self.default_wait_ms = wait("default_wait_timeout_ms");
        self.max_wait_ms = wait("max_wait_timeout_ms");
        self.max_depth = merged.number(&["agents", "max_depth"]).and_then(|depth| depth.try_into().ok());
        if merged.boolean(&["features", "multi_agent"]) == Some(false) {
            self.max_depth = Some(0);
        }
        self.interrupt_message = merged.boolean(&["agents", "interrupt_message"]);
        self.asks_in_default_mode = merged.boolean(&["features", "default_mode_request_user_input"]);
        self.slots = slots(merged).map(|(slots, _)| slots);
        self.on_usage_limit = merged.text(&["sapwood", "on_usage_limit"]).map(|word| match &*word {
            "wait" => OnUsageLimit::Wait,
            _ => OnUsageLimit::Pause,
        });
    }

    fn check_waits(&self, problems: &mut Vec<Problem>) {
        let WaitLimits { min, default, max } = self.wait();
        if !(min <= default && default <= max) {
            problems.push(Problem::error(format!(
                "features.multi_agent_v2: min_wait_timeout_ms ({min}) <= default_wait_timeout_ms ({default}) <= \
                 max_wait_timeout_ms ({max}) does not hold"
            )));
        }
    }
}

/// A text that is to be a file of the configuration.
#[derive(Debug)]
pub struct Checked {
    /// What it says.
    pub tree: Map<String, Json>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Looks at a text as if it were the person's own file.
///
/// # Errors
/// It is no TOML.
pub fn check(path: &Path, text: &str) -> Result<Checked, Failure> {
    let layer = Layer::parse(&Source { path: path.to_owned(), rank: Rank::User }, text)?;
    let mut problems = Vec::new();
    Merged::of(std::slice::from_ref(&layer), &mut problems);
    Ok(Checked { tree: layer.tree, problems })
}

/// How many turns of a tree work at the same time, the root's included, and what says so.
pub fn slots(merged: &Merged) -> Option<(u32, &Set)> {
    let set = SLOTS.iter().filter_map(|(key, more)| {
        let slots = u32::try_from(merged.number(key)?).ok()?.saturating_add(*more);
        Some((slots, merged.get(key)?))
    });
    // The first of those that are set by the same layer.
    set.min_by_key(|(_, set)| set.layer)
}

fn place(merged: &Merged, key: &str) -> String {
    merged.get(&[key]).map(|set| set.place.clone()).unwrap_or_default()
}
