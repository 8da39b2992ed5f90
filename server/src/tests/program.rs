//! A program that says what it is told to say.

use std::path::{Path, PathBuf};

use sapwood_actors::agent::Settings;
use sapwood_protocol::app::account::{Account, GetAccountResponse};
use sapwood_protocol::app::config::{
    ConfigBatchWriteParams, ConfigReadResponse, ConfigRequirements, ConfigRequirementsReadResponse,
    ConfigWriteErrorCode, ConfigWriteResponse, ModelsRequirements, NewThreadDefaults, WriteStatus,
};
use sapwood_protocol::app::lists::{ExperimentalFeature, FeatureStage, PermissionProfileSummary};
use sapwood_protocol::app::models::{
    GatewayAuth, Model, ModelProviderCapabilities, ModelProviderListResponse, ModelProviderSummary, ProviderSettings,
    ReasoningEffortOption,
};
use serde_json::{Map, json};

use crate::program::{Asking, Prepared, Program, ProgramError, ThreadRequest};

/// A program whose answers are known.
#[derive(Debug, Default)]
pub struct Told {
    /// Threads begin with these, and work in the directory of the server; without them none is started.
    pub settings: Option<Settings>,
    /// The directory of the server; `/work` where nothing is said.
    pub cwd: Option<PathBuf>,
}

impl Program for Told {
    fn cwd(&self) -> &Path {
        self.cwd.as_deref().unwrap_or(Path::new("/work"))
    }

    fn config(&self, cwd: Option<&Path>, layers: bool) -> Result<ConfigReadResponse, ProgramError> {
        if cwd == Some(Path::new("/broken")) {
            return Err(ProgramError::failed("config.toml:1: `model` must be a string"));
        }
        let config = Map::from_iter([("cwd".to_owned(), json!(cwd))]);
        Ok(ConfigReadResponse { config, origins: Default::default(), layers: layers.then(Vec::new) })
    }

    fn write_config(&self, write: &ConfigBatchWriteParams) -> Result<ConfigWriteResponse, ProgramError> {
        match write.edits.first().map(|edit| &*edit.key_path) {
            Some("refused") => Err(ProgramError::Write {
                code: ConfigWriteErrorCode::ConfigVersionConflict,
                message: "modified".to_owned(),
            }),
            first => Ok(ConfigWriteResponse {
                status: WriteStatus::Ok,
                version: format!("{}:{first:?}", write.edits.len()),
                file_path: "/home/config.toml".to_owned(),
                overridden_metadata: None,
            }),
        }
    }

    fn requirements(&self) -> Result<ConfigRequirementsReadResponse, ProgramError> {
        let new_thread = NewThreadDefaults { model: Some("m".to_owned()), ..NewThreadDefaults::default() };
        let models = Some(ModelsRequirements { new_thread: Some(new_thread) });
        let requirements = Some(ConfigRequirements { models, ..ConfigRequirements::default() });
        Ok(ConfigRequirementsReadResponse { supports_independent_speed_modes: true, requirements })
    }

    fn models<'a>(&'a self, provider: Option<&'a str>) -> Asking<'a, Vec<Model>> {
        let model = |id: &str, hidden: bool| Model {
            id: id.to_owned(),
            model: id.to_owned(),
            hidden,
            default_reasoning_effort: "low".to_owned(),
            supported_reasoning_efforts: vec![ReasoningEffortOption {
                reasoning_effort: "low".to_owned(),
                description: String::new(),
            }],
            ..Model::default()
        };
        let listed = match provider {
            None => Ok(vec![model("a", false), model("b", true), model("c", false)]),
            Some(provider) => Err(ProgramError::UnknownProvider { provider: provider.to_owned() }),
        };
        Box::pin(std::future::ready(listed))
    }

    fn providers(&self) -> Result<ModelProviderListResponse, ProgramError> {
        let gateway = |auth: GatewayAuth| ProviderSettings::CustomGateway { auth };
        let provider = |id: &str, settings: ProviderSettings| ModelProviderSummary {
            id: id.to_owned(),
            name: id.to_owned(),
            can_edit: true,
            base_url: None,
            settings,
        };
        Ok(ModelProviderListResponse {
            data: vec![
                provider("a", gateway(GatewayAuth::None)),
                provider("b", gateway(GatewayAuth::EnvironmentVariable { env_key: "KEY".to_owned() })),
                provider("c", gateway(GatewayAuth::ExternallyConfigured { env_key: None })),
                provider("openai", ProviderSettings::Openai),
            ],
            default_provider_id: "a".to_owned(),
            can_change_default: true,
        })
    }

    fn capabilities(&self) -> ModelProviderCapabilities {
        ModelProviderCapabilities { image_generation: false, web_search: true }
    }

    fn permission_profiles(&self, _: Option<&Path>) -> Result<Vec<PermissionProfileSummary>, ProgramError> {
        let profile = |id: &str| PermissionProfileSummary { id: id.to_owned(), description: None, allowed: true };
        Ok([":a", ":b", ":c"].map(profile).to_vec())
    }

    fn features(&self, cwd: Option<&Path>) -> Result<Vec<ExperimentalFeature>, ProgramError> {
        let name = cwd.map_or_else(|| "nowhere".to_owned(), |cwd| cwd.display().to_string());
        Ok(vec![ExperimentalFeature {
            name,
            stage: FeatureStage::UnderDevelopment,
            display_name: None,
            description: None,
            announcement: None,
            enabled: false,
            default_enabled: false,
        }])
    }

    fn account(&self) -> Result<GetAccountResponse, ProgramError> {
        let account = Account::Chatgpt { email: None, plan_type: "team".to_owned(), workspace_name: None };
        Ok(GetAccountResponse { account: Some(account), requires_openai_auth: true, ..GetAccountResponse::default() })
    }

    fn thread_settings(&self, _: ThreadRequest) -> Result<Prepared, ProgramError> {
        let none = || ProgramError::invalid("no thread is started here");
        Ok(Prepared {
            settings: self.settings.clone().ok_or_else(none)?,
            cwd: self.cwd().to_owned(),
            workspace_roots: Vec::new(),
            model_is_said: false,
            rights_are_said: false,
            permission_profile: None,
            instruction_sources: Vec::new(),
            warnings: Vec::new(),
        })
    }
}
