//! What the app server gets from this program: configuration, models, accounts, and what a thread begins with.

mod catalogue;
mod gateways;
mod lists;
mod prepare;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_model::{BoxFuture, DeltaSink, Model, ModelError, Request, Response};
use sapwood_protocol::app::account::{Account, GetAccountResponse};
use sapwood_protocol::app::config::{
    ConfigBatchWriteParams, ConfigReadResponse, ConfigRequirementsReadResponse, ConfigWriteResponse,
};
use sapwood_protocol::app::lists::{ExperimentalFeature, PermissionProfileSummary};
use sapwood_protocol::app::models::{self, ModelProviderCapabilities, ModelProviderListResponse};
use sapwood_server::program::{Asking, Prepared, Program, ProgramError, ThreadRequest};
use serde_json::{Map, Value};

use crate::config::{Config, Places, Reading, Requirements, seen};
use crate::home::Homes;
use crate::providers::{Environment, Login, Providers};

/// This program, as the app server sees it. One of them lives as long as the server.
pub struct Served {
    homes: Homes,
    /// The directory that the server was started in.
    cwd: PathBuf,
    profile: Option<String>,
    overrides: Vec<String>,
    environment: Environment,
    originator: String,
    /// Those of the configuration as it was last read.
    providers: RwLock<Arc<Providers>>,
    /// One change of the configuration at a time.
    writing: Mutex<()>,
}

impl Served {
    /// For a server that was started in this directory with these flags. Requests to providers carry the originator.
    pub fn new(
        homes: Homes,
        cwd: PathBuf,
        profile: Option<String>,
        overrides: Vec<String>,
        environment: Environment,
        originator: &str,
    ) -> Self {
        let places =
            Places { homes: &homes, cwd: None, profile: profile.as_deref(), overrides: &overrides, client: None };
        let config = Reading::of(&places).config;
        let providers = Arc::new(connected(&config, &environment, originator));
        Self {
            homes,
            cwd,
            profile,
            overrides,
            environment,
            originator: originator.to_owned(),
            providers: RwLock::new(providers),
            writing: Mutex::new(()),
        }
    }

    /// The providers as the configuration had them when it was last read.
    pub fn providers(&self) -> Arc<Providers> {
        Arc::clone(&self.providers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The person's file that clients write: that of the home, Codex's only where it is the home.
    fn own_file(&self) -> PathBuf {
        self.homes.home.join("config.toml")
    }

    /// A directory that a client named, absolute.
    fn directory(&self, named: &Path) -> PathBuf {
        let joined = self.cwd.join(named);
        // Without a slash at its end, so that one directory has one name.
        std::path::absolute(&joined).unwrap_or(joined).components().collect()
    }

    /// The configuration as a directory sees it, whether or not it can be used.
    fn reading(&self, cwd: Option<&Path>, client: Option<&Map<String, Value>>) -> Reading {
        Reading::of(&Places {
            homes: &self.homes,
            cwd,
            profile: self.profile.as_deref(),
            overrides: &self.overrides,
            client,
        })
    }

    /// The configuration, and its providers. Clients of providers stay as long as nothing about them changes.
    fn configured(&self, cwd: Option<&Path>) -> Result<(Config, Arc<Providers>), ProgramError> {
        let reading = self.reading(cwd, None);
        let config = usable(reading).map_err(ProgramError::failed)?;
        let providers = self.follow(&config);
        Ok((config, providers))
    }

    /// What the machine's owner requires, as it is written now.
    fn required(&self) -> Result<Requirements, ProgramError> {
        Requirements::of(&self.homes).map_err(|failure| ProgramError::failed(failure.message))
    }

    fn follow(&self, config: &Config) -> Arc<Providers> {
        let current = self.providers();
        if current.are_of(config) {
            return current;
        }
        let mut held = self.providers.write().unwrap_or_else(PoisonError::into_inner);
        if !held.are_of(config) {
            *held = Arc::new(connected(config, &self.environment, &self.originator));
        }
        Arc::clone(&held)
    }
}

fn connected(config: &Config, environment: &Environment, originator: &str) -> Providers {
    Providers::new(config, environment.clone(), originator, Arc::new(|| SystemClock.now()))
}

/// The configuration, or the first thing in it that cannot be used.
fn usable(reading: Reading) -> Result<Config, String> {
    match reading.problems.into_iter().find(|problem| problem.exit.is_some()) {
        Some(problem) => Err(format!("failed to load configuration: {}", problem.message)),
        None => Ok(reading.config),
    }
}

impl Program for Served {
    fn cwd(&self) -> &Path {
        &self.cwd
    }

    fn config(&self, cwd: Option<&Path>, layers: bool) -> Result<ConfigReadResponse, ProgramError> {
        let cwd = cwd.map(|cwd| self.directory(cwd));
        let reading = self.reading(cwd.as_deref(), None);
        let response = seen::response(&reading, &self.own_file(), layers);
        usable(reading).map_err(ProgramError::failed)?;
        Ok(response)
    }

    fn write_config(&self, write: &ConfigBatchWriteParams) -> Result<ConfigWriteResponse, ProgramError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(write)
    }

    fn requirements(&self) -> Result<ConfigRequirementsReadResponse, ProgramError> {
        let requirements = self.required()?.wire();
        Ok(ConfigRequirementsReadResponse { supports_independent_speed_modes: true, requirements })
    }

    fn models<'a>(&'a self, provider: Option<&'a str>) -> Asking<'a, Vec<models::Model>> {
        Box::pin(self.list_models(provider))
    }

    fn providers(&self) -> Result<ModelProviderListResponse, ProgramError> {
        let reading = self.reading(None, None);
        let providers = Served::providers(self);
        let chosen = providers.chosen(&reading.config);
        Ok(gateways::listed(&reading, &chosen))
    }

    fn capabilities(&self) -> ModelProviderCapabilities {
        // There are no such tools yet, whatever a provider could do.
        ModelProviderCapabilities { image_generation: false, web_search: false }
    }

    fn permission_profiles(&self, cwd: Option<&Path>) -> Result<Vec<PermissionProfileSummary>, ProgramError> {
        let cwd = cwd.map(|cwd| self.directory(cwd));
        let config = usable(self.reading(cwd.as_deref(), None)).map_err(ProgramError::failed)?;
        Ok(lists::permission_profiles(&config.rights, &self.required()?))
    }

    fn features(&self, cwd: Option<&Path>) -> Result<Vec<ExperimentalFeature>, ProgramError> {
        let _ = cwd;
        Ok(lists::features())
    }

    fn account(&self) -> Result<GetAccountResponse, ProgramError> {
        let (config, providers) = self.configured(None)?;
        let chosen = providers.chosen(&config);
        if providers.is_of_amazon(&chosen) {
            let account = Account::AmazonBedrock { uses_codex_managed_credentials: false };
            return Ok(GetAccountResponse { account: Some(account), ..GetAccountResponse::default() });
        }
        if !providers.requires_openai_auth(&chosen) {
            return Ok(GetAccountResponse::default());
        }
        let (account, user_id) = match self.environment.login() {
            Some(Login::Key) => (Some(Account::ApiKey), None),
            Some(Login::Chatgpt { email, plan, user }) => {
                (Some(Account::Chatgpt { email, plan_type: plan, workspace_name: None }), user)
            }
            None => (None, None),
        };
        Ok(GetAccountResponse { account, user_id, requires_openai_auth: true, workspace_routing: None })
    }

    fn thread_settings(&self, request: ThreadRequest) -> Result<Prepared, ProgramError> {
        self.prepare(request)
    }
}

/// Asked as the configuration has it when it is asked.
impl Model for Served {
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        Served::providers(self).sample(request, sink)
    }
}
