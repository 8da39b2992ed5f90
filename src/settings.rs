//! From configuration to the settings of a tree: the one way that `exec` and the app server go.

use std::env;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sapwood_actors::agent::Settings;
use sapwood_actors::agent::settings::CONTEXT_WINDOW;
use sapwood_model::catalogue::Catalogues;
use sapwood_protocol::approval::SandboxPolicy;

use crate::config::Config;
use crate::home::Homes;
use crate::models;
use crate::project::{self, Instructions};
use crate::providers::{Choice, Providers};
use crate::repository;

/// What a tree begins with: who is asked for what, what commands may touch, and what the configuration limits. The client
/// asks for it as `originator`.
pub fn of(
    config: &Config,
    providers: &Providers,
    choice: Choice,
    sandbox: SandboxPolicy,
    originator: &str,
) -> Settings {
    let usual = Settings::default();
    let zone = TimeZone::system();
    Settings {
        retries: providers.retries(&choice.provider),
        model: choice.model.into(),
        provider: choice.provider.into(),
        effort: choice.effort.map(Into::into),
        model_is_said: choice.is_said,
        summary: config.summary.clone(),
        verbosity: config.verbosity.clone(),
        service_tier: config.service_tier.as_deref().map(tier),
        originator: originator.to_owned(),
        developer_instructions: config.developer_instructions.as_deref().map(Into::into),
        sandbox,
        tmpdir: std::env::var("TMPDIR").ok().filter(|dir| dir.starts_with('/')),
        shell: shell().1.to_owned(),
        timezone: zone.iana_name().unwrap_or("Etc/UTC").to_owned(),
        utc_offset_seconds: zone.to_offset(Timestamp::now()).seconds(),
        max_depth: config.max_depth.unwrap_or(usual.max_depth),
        slots: config.slots.unwrap_or(usual.slots),
        interrupt_message: config.interrupt_message.unwrap_or(usual.interrupt_message),
        asks_in_default_mode: config.asks_in_default_mode.unwrap_or(usual.asks_in_default_mode),
        on_usage_limit: config.on_usage_limit.unwrap_or(usual.on_usage_limit),
        wait: config.wait(),
        ..usual
    }
}

/// Looks up the model in what is known of its provider's models. Nobody is asked: `sapwood models` and `model/list` do
/// that. Returns what a person should know.
pub fn look_up_model(settings: &mut Settings, homes: &Homes, providers: &Providers) -> Vec<String> {
    // What is wrong with the provider is said where it is asked.
    let http = providers.http(&settings.provider).ok().flatten();
    let place = http.as_ref().map(|http| http.provider().base_url.clone());
    let (catalogue, warnings) = catalogues(homes).kept(&settings.provider, place.as_deref());
    settings.context_window = catalogue.context_window(&settings.model).unwrap_or(CONTEXT_WINDOW);
    warnings
}

/// Where lists of models are kept.
pub fn catalogues(homes: &Homes) -> Catalogues {
    Catalogues::new(models::folder(homes), env!("CARGO_PKG_VERSION"))
}

/// Tells the tree what the project of a directory says to agents. Returns the files, and what a person should know.
pub fn read_project(settings: &mut Settings, homes: &Homes, cwd: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let Instructions { text, sources, warnings } = project::agents_md(homes, cwd);
    settings.agents_md = text;
    settings.git = repository::of(cwd);
    (sources, warnings)
}

/// Directories as absolute paths, seen from this one.
pub fn make_absolute(dirs: &mut [String], cwd: &Path) {
    for dir in dirs {
        // A directory whose name is text joined to one that is not stays as it was, and is refused where it is used.
        if let Ok(absolute) = cwd.join(&*dir).into_os_string().into_string() {
            *dir = absolute;
        }
    }
}

/// Codex's word for a tier, in the words of the provider.
pub fn tier(name: &str) -> String {
    if name == "fast" { "priority".to_owned() } else { name.to_owned() }
}

/// The program that runs commands, and its name: bash where there is one, else sh.
pub fn shell() -> (PathBuf, &'static str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/bin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual).collect();
    let find = |name: &'static str| {
        folders.iter().map(|dir| dir.join(name)).find(|path| path.is_file()).map(|path| (path, name))
    };
    find("bash").or_else(|| find("sh")).unwrap_or_else(|| ("/bin/sh".into(), "sh"))
}
