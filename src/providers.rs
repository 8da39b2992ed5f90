//! From configuration to a model: who may be asked, where they are, and with which key.
//!
//! Each agent of a tree names its provider. The client of one is made when it is asked first, and stays.

mod address;
mod choice;
mod credentials;
mod login;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sapwood_actors::agent::settings::Retries;
use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_model::http::Now;
use sapwood_model::{
    BoxFuture, DeltaSink, Governors, Http, Model, ModelError, Provider, Refusal, Rehearsal, Request, Response, Script,
    Scripted, Secret,
};

use crate::config::{Config, ProviderTable};
use crate::exit::Failure;
use crate::home::Homes;

pub use address::is_exposed;
pub use choice::Choice;
pub use credentials::{Environment, OPENAI_KEYS};
pub use login::Login;

/// The model that a provider is asked for where nothing names one: the one that Codex 0.169 asks for then.
pub const DEFAULT_MODEL: &str = "gpt-6.1-sol";
/// Where the provider openai is.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// The provider that is no language model.
pub const REHEARSAL: &str = "rehearsal";
/// The provider that answers from a file.
pub const SCRIPTED: &str = "scripted";
/// The provider that has OpenAI's models.
pub const OPENAI: &str = "openai";
/// Codex's ids of Amazon's models.
const AMAZON: [&str; 2] = ["amazon-bedrock", "amazon-bedrock-runtime"];
/// Providers on this machine, and where they are. They need no key.
const LOCAL: [(&str, &str, &str); 2] =
    [("ollama", "Ollama", "http://localhost:11434/v1"), ("lmstudio", "LM Studio", "http://localhost:1234/v1")];

/// Everybody who may be asked.
pub struct Providers {
    /// What the configuration says of them.
    configured: Configured,
    entries: BTreeMap<String, Entry>,
    environment: Environment,
    /// Who asks, as requests say it.
    originator: String,
    governors: Arc<Governors>,
    now: Now,
}

/// What a configuration says of providers, and nothing else of it.
#[derive(PartialEq)]
struct Configured(
    BTreeMap<String, ProviderTable>,
    Option<(String, String)>,
    Option<std::path::PathBuf>,
    Option<std::path::PathBuf>,
);

impl Configured {
    fn of(config: &Config) -> Self {
        Self(config.providers.clone(), config.openai_base_url.clone(), config.script.clone(), config.script_log.clone())
    }
}

struct Entry {
    how: How,
    /// Made when it is asked first; what is wrong with it stays wrong.
    made: OnceLock<Result<Made, Failure>>,
}

/// A provider that can be asked.
#[derive(Clone)]
struct Made {
    model: Arc<dyn Model>,
    /// The same over HTTP, where it is: one client, with its connections.
    http: Option<Http>,
}

impl Made {
    fn here(model: impl Model) -> Self {
        Self { model: Arc::new(model), http: None }
    }

    fn over(http: Http) -> Self {
        Self { model: Arc::new(http.clone()), http: Some(http) }
    }
}

/// How a provider is asked.
enum How {
    /// In this process.
    Rehearsal,
    /// From a file.
    Scripted(Box<Config>),
    /// Over HTTP.
    Http(Box<ProviderTable>),
}

impl Providers {
    /// All that are built in or configured. Nothing is read or asked yet.
    pub fn new(config: &Config, environment: Environment, originator: &str, now: Now) -> Self {
        let mut entries = BTreeMap::from([
            (REHEARSAL.to_owned(), How::Rehearsal),
            (SCRIPTED.to_owned(), How::Scripted(Box::new(config.clone()))),
        ]);
        for (id, table) in tables(config) {
            entries.entry(id).or_insert_with(|| How::Http(Box::new(table)));
        }
        let entry = |(id, how)| (id, Entry { how, made: OnceLock::new() });
        Self {
            configured: Configured::of(config),
            entries: entries.into_iter().map(entry).collect(),
            environment,
            originator: originator.to_owned(),
            governors: Governors::new(Arc::clone(&now)),
            now,
        }
    }

    /// The same for this process, its clock and what it reads of Codex's home.
    pub fn of_process(config: &Config, homes: &Homes, originator: &str) -> Self {
        Self::new(config, Environment::of_process(&homes.codex), originator, Arc::new(|| SystemClock.now()))
    }

    /// True if another configuration says the same of providers.
    pub fn are_of(&self, config: &Config) -> bool {
        self.configured == Configured::of(config)
    }

    /// True for a provider that is built in or configured, whether or not it can be asked.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// True for a provider that knows us by keys of Amazon's.
    pub fn is_of_amazon(&self, id: &str) -> bool {
        let is_aws = |table: &ProviderTable| table.unsupported.as_ref().is_some_and(|(what, _)| what == "aws");
        AMAZON.contains(&id) || self.table(id).is_some_and(is_aws)
    }

    /// True for a provider whose key is OpenAI's.
    pub fn requires_openai_auth(&self, id: &str) -> bool {
        self.table(id).is_some_and(|table| table.requires_openai_auth)
    }

    fn table(&self, id: &str) -> Option<&ProviderTable> {
        match self.entries.get(id).map(|entry| &entry.how) {
            Some(How::Http(table)) => Some(table),
            _ => None,
        }
    }

    /// Who is asked where only the configuration says so: a key in the environment is as good as a word.
    pub fn chosen(&self, config: &Config) -> String {
        match &config.provider {
            Some(provider) => provider.id.clone(),
            None if self.environment.openai_key().is_some() => OPENAI.to_owned(),
            None => REHEARSAL.to_owned(),
        }
    }

    /// The model of a provider where nothing names one. None for those that have whatever somebody put there.
    pub fn default_model(&self, id: &str) -> Option<&'static str> {
        match id {
            REHEARSAL => Some(REHEARSAL),
            SCRIPTED => Some(SCRIPTED),
            _ if LOCAL.iter().any(|(local, ..)| *local == id) => None,
            _ => Some(DEFAULT_MODEL),
        }
    }

    /// How often requests to a provider are tried again.
    pub fn retries(&self, id: &str) -> Retries {
        let usual = Retries::default();
        match self.entries.get(id).map(|entry| &entry.how) {
            Some(How::Http(table)) => Retries {
                request: table.request_max_retries.unwrap_or(usual.request),
                stream: table.stream_max_retries.unwrap_or(usual.stream),
            },
            _ => usual,
        }
    }

    /// The model that a provider is.
    ///
    /// # Errors
    /// A provider that is not configured, or that cannot be asked as it is.
    pub fn model(&self, id: &str) -> Result<Arc<dyn Model>, Failure> {
        self.made(id).map(|made| made.model)
    }

    fn made(&self, id: &str) -> Result<Made, Failure> {
        let entry = self.entry(id)?;
        let make = || match &entry.how {
            How::Rehearsal => Ok(Made::here(Rehearsal)),
            How::Scripted(config) => scripted(config).map(Made::here),
            How::Http(table) => self.client(id, table).map(Made::over),
        };
        entry.made.get_or_init(make).clone()
    }

    fn entry(&self, id: &str) -> Result<&Entry, Failure> {
        self.entries.get(id).ok_or_else(|| not_configured(id))
    }

    /// Looks whether a provider could be asked, as far as that is known without asking it. Writes nothing.
    ///
    /// # Errors
    /// As [`Providers::model`].
    pub fn check(&self, id: &str) -> Result<(), Failure> {
        match &self.entry(id)?.how {
            How::Rehearsal => Ok(()),
            How::Scripted(config) => script(config).map(|_| ()),
            How::Http(_) => self.made(id).map(|_| ()),
        }
    }

    /// The client of a provider over HTTP, to ask it something else than a model's answer. None for a provider in this
    /// process.
    ///
    /// # Errors
    /// As [`Providers::model`].
    pub fn http(&self, id: &str) -> Result<Option<Http>, Failure> {
        match &self.entry(id)?.how {
            How::Http(_) => self.made(id).map(|made| made.http),
            How::Rehearsal | How::Scripted(_) => Ok(None),
        }
    }

    /// What a person should know of the way in which a provider is asked.
    pub fn warnings(&self, id: &str) -> Vec<String> {
        let Some(How::Http(table)) = self.entries.get(id).map(|entry| &entry.how) else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        if let Some((url, place)) = &table.base_url
            && is_exposed(url)
            && matches!(self.environment.key(id, table), Ok(Some(_)))
        {
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            warnings.push(format!(
                "{place}the provider `{id}` is asked over http, so anybody on the way can read its key; use https"
            ));
        }
        let is_usual = table.base_url.as_ref().is_none_or(|(_, place)| place.is_empty());
        if id == OPENAI && is_usual && self.environment.variable("OPENAI_BASE_URL").is_some() {
            warnings.push("OPENAI_BASE_URL is not read, as in Codex; set openai_base_url".to_owned());
        }
        warnings
    }

    /// The variables that hold keys and the values of headers: no command of an agent should see them.
    pub fn secret_variables(&self) -> Vec<String> {
        let tables = self.entries.values().filter_map(|entry| match &entry.how {
            How::Http(table) => Some(table),
            How::Rehearsal | How::Scripted(_) => None,
        });
        let named = tables.flat_map(|table| {
            table.env_key.iter().chain(table.env_http_headers.iter().map(|(_, variable)| variable)).cloned()
        });
        let all: std::collections::BTreeSet<String> = named.chain(OPENAI_KEYS.map(str::to_owned)).collect();
        all.into_iter().collect()
    }

    fn client(&self, id: &str, table: &ProviderTable) -> Result<Http, Failure> {
        let provider = self.provider(id, table)?;
        let client = Http::new(provider, Arc::clone(&self.governors), Arc::clone(&self.now));
        client.map_err(|error| Failure::configuration(error.to_string()))
    }

    fn provider(&self, id: &str, table: &ProviderTable) -> Result<Provider, Failure> {
        if let Some((what, place)) = &table.unsupported {
            return Err(Failure::configuration(format!(
                "{place}: model_providers.{id}.{what} is not available in this version; name the variable that holds the \
                 key in env_key"
            )));
        }
        let Some((base_url, _)) = &table.base_url else {
            let place = &table.place;
            return Err(Failure::configuration(format!(
                "{place}: the provider `{id}` has no address; set model_providers.{id}.base_url"
            )));
        };
        let mut provider = Provider::new(id, base_url.clone());
        if let Some(name) = &table.name {
            provider.name.clone_from(name);
        }
        if let Some((key, from)) = self.environment.key(id, table)? {
            (provider.key, provider.key_from) = (Some(key), Some(from));
        }
        provider.headers = self.headers(table);
        let secret = |(name, value): &(String, crate::config::Hidden)| (name.clone(), Secret::from(&*value.0));
        provider.query = table.query_params.iter().map(secret).collect();
        if let Some(idle) = table.stream_idle_timeout_ms {
            provider.stream_idle_timeout = Duration::from_millis(idle);
        }
        provider.originator.clone_from(&self.originator);
        env!("CARGO_PKG_VERSION").clone_into(&mut provider.version);
        Ok(provider)
    }

    /// Those from the environment come last, and win.
    fn headers(&self, table: &ProviderTable) -> Vec<(String, Secret)> {
        let written = table.http_headers.iter().map(|(name, value)| (name.clone(), Secret::from(&*value.0)));
        let named = table
            .env_http_headers
            .iter()
            .filter_map(|(name, variable)| Some((name.clone(), Secret::from(self.environment.variable(variable)?))));
        written.chain(named).collect()
    }
}

impl Model for Providers {
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        match self.model(&request.origin.provider) {
            Ok(model) => model.sample(request, sink),
            Err(failure) => {
                let error = ModelError::Refused { status: 0, reason: Refusal::Other, message: failure.message };
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }
}

/// The providers over HTTP: the built-in ones, with what the configuration says of them, and the others.
fn tables(config: &Config) -> BTreeMap<String, ProviderTable> {
    let mut tables = config.providers.clone();
    let built_in = |url: &str| Some((url.to_owned(), String::new()));
    for (id, name, url) in LOCAL {
        let table = tables.entry(id.to_owned()).or_default();
        table.name.get_or_insert_with(|| name.to_owned());
        table.base_url = table.base_url.take().or_else(|| built_in(url));
    }
    let openai = tables.entry(OPENAI.to_owned()).or_default();
    openai.name.get_or_insert_with(|| "OpenAI".to_owned());
    openai.base_url =
        config.openai_base_url.clone().or_else(|| openai.base_url.take()).or_else(|| built_in(OPENAI_BASE_URL));
    openai.requires_openai_auth = true;
    for (header, variable) in [("OpenAI-Organization", "OPENAI_ORGANIZATION"), ("OpenAI-Project", "OPENAI_PROJECT")] {
        if !openai.env_http_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header)) {
            openai.env_http_headers.push((header.to_owned(), variable.to_owned()));
        }
    }
    tables
}

fn scripted(config: &Config) -> Result<Scripted, Failure> {
    let model = Scripted::new(script(config)?);
    match &config.script_log {
        None => Ok(model),
        Some(log) => model.log(log).map_err(|error| {
            let log = log.display();
            Failure::configuration(format!("sapwood.script_log {log} cannot be written: {error}"))
        }),
    }
}

fn script(config: &Config) -> Result<Script, Failure> {
    let Some(path) = &config.script else {
        return Err(Failure::configuration("model_provider `scripted` needs a script: set sapwood.script to its file"));
    };
    Script::load(path).map_err(|error| Failure::configuration(error.to_string()))
}

fn not_configured(id: &str) -> Failure {
    let id = crate::text::one_line(id, 60);
    Failure::configuration(format!(
        "the provider `{id}` is not configured: add [model_providers.{id}] with its base_url, or name another one with \
         -c model_provider=..."
    ))
}
