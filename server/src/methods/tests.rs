//! What a client is answered, with a program that says what it is told to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
use sapwood_protocol::ids::ThreadId;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::connection::Connections;
use crate::program::{Asking, HasProgram, Prepared, Program, ProgramError, ThreadRequest};
use crate::router::{Call, Method, Reply};
use crate::rpc::RequestId;

const THREAD: &str = "01a1fd34-2380-76e1-9c23-8940ead12e34";

/// A program whose answers are known.
struct Told;

impl Program for Told {
    fn cwd(&self) -> &Path {
        Path::new("/work")
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
        Err(ProgramError::invalid("no thread is started here"))
    }
}

struct World {
    program: Arc<dyn Program>,
}

impl HasProgram for World {
    fn program(&self) -> &Arc<dyn Program> {
        &self.program
    }

    fn thread_cwd(&self, thread: ThreadId) -> Option<PathBuf> {
        (thread.to_string() == THREAD).then(|| "/thread".into())
    }
}

/// The one answer to a request: its result, or its error.
async fn asked(method: &'static str, params: Value) -> Value {
    let world = Arc::new(World { program: Arc::new(Told) });
    let connections = Connections::new();
    let connection = connections.add().unwrap();
    let table: Vec<Method<World>> = super::table();
    let row = table.iter().find(|row| row.name() == method).unwrap();
    let id: RequestId = serde_json::from_value(json!(1)).unwrap();
    let params = RawValue::from_string(params.to_string()).unwrap();
    let call = Call { connection: Arc::clone(&connection), id: id.clone(), method, params, trace: None };
    row.handle(world, call, Reply::new(Arc::clone(&connection), id, method)).await;
    let mut frames = Vec::new();
    connection.take(&mut frames).await;
    assert_eq!(frames.len(), 1, "{frames:?}");
    let mut answer: Value = serde_json::from_slice(&frames[0]).unwrap();
    assert_eq!(answer["id"], 1);
    ["result", "error"].iter().find_map(|key| Some(answer.get_mut(*key)?.take())).unwrap()
}

fn invalid(message: &str) -> Value {
    json!({"code": -32600, "message": message})
}

#[tokio::test]
async fn configuration_is_read_and_written() {
    assert_eq!(asked("config/read", json!({})).await, json!({"config": {"cwd": null}, "origins": {}}));
    let with_layers = json!({"config": {"cwd": "/x"}, "origins": {}, "layers": []});
    assert_eq!(asked("config/read", json!({"cwd": "/x", "includeLayers": true})).await, with_layers);
    let broken = json!({"code": -32603, "message": "config.toml:1: `model` must be a string"});
    assert_eq!(asked("config/read", json!({"cwd": "/broken"})).await, broken);
    let wrong = invalid("Invalid request: invalid type: integer `7`, expected a string");
    assert_eq!(asked("config/read", json!({"cwd": 7})).await, wrong);

    let written = |version: &str| json!({"status": "ok", "version": version, "filePath": "/home/config.toml", "overriddenMetadata": null});
    let edit = |key: &str| json!({"keyPath": key, "value": null, "mergeStrategy": "upsert"});
    assert_eq!(asked("config/value/write", edit("a.b")).await, written("1:Some(\"a.b\")"));
    assert_eq!(asked("config/batchWrite", json!({"edits": []})).await, written("0:None"));
    let both = json!({"edits": [edit("a"), edit("b")], "reloadUserConfig": true});
    assert_eq!(asked("config/batchWrite", both).await, written("2:Some(\"a\")"));
    let conflict = json!({
        "code": -32600, "message": "modified", "data": {"config_write_error_code": "configVersionConflict"},
    });
    assert_eq!(asked("config/value/write", edit("refused")).await, conflict);
    for (params, why) in [
        (json!({"keyPath": "a", "value": 1}), "missing field `mergeStrategy`"),
        (json!({"keyPath": "a", "mergeStrategy": "replace"}), "missing field `value`"),
        (
            json!({"keyPath": "a", "value": 1, "mergeStrategy": "zap"}),
            "unknown variant `zap`, expected `replace` or `upsert`",
        ),
    ] {
        assert_eq!(asked("config/value/write", params).await, invalid(&format!("Invalid request: {why}")));
    }
    let requirements = json!({
        "supportsIndependentSpeedModes": true,
        "requirements": {
            "allowedApprovalPolicies": null, "allowedSandboxModes": null,
            "models": {"newThread": {"model": "m", "modelReasoningEffort": null, "serviceTier": null}},
        },
    });
    assert_eq!(asked("configRequirements/read", Value::Null).await, requirements);
}

#[tokio::test]
async fn models_come_in_pages_and_hidden_ones_for_who_asks() {
    async fn page(params: Value) -> (Vec<String>, Value) {
        let answer = asked("model/list", params).await;
        let ids = answer["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned());
        (ids.collect(), answer["nextCursor"].clone())
    }
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(json!({})).await, (ids(&["a", "c"]), Value::Null));
    assert_eq!(page(json!({"includeHidden": true})).await, (ids(&["a", "b", "c"]), Value::Null));
    assert_eq!(page(json!({"limit": 1, "includeHidden": false})).await, (ids(&["a"]), json!("1")));
    assert_eq!(page(json!({"limit": 0, "cursor": "1"})).await, (ids(&["c"]), Value::Null));
    assert_eq!(page(json!({"cursor": "2"})).await, (Vec::new(), Value::Null));
    for (params, why) in [
        (json!({"cursor": "zz"}), "invalid cursor: zz"),
        (json!({"cursor": ""}), "invalid cursor: "),
        (json!({"cursor": "-1"}), "invalid cursor: -1"),
        (json!({"cursor": "3"}), "cursor 3 exceeds total models 2"),
        (json!({"limit": -1}), "Invalid request: invalid value: integer `-1`, expected u32"),
    ] {
        assert_eq!(asked("model/list", params).await, invalid(why));
    }
    let mut unknown = asked("model/list", json!({"modelProvider": "nope"})).await;
    assert!(unknown["message"].take().as_str().unwrap().contains("`nope`"));
    let data = json!({"type": "modelProviderNotConfigured", "modelProvider": "nope"});
    assert_eq!(unknown, json!({"code": -32600, "message": null, "data": data}));
    let model = &asked("model/list", json!({"limit": 1})).await["data"][0];
    let whole = json!({
        "id": "a", "model": "a", "upgrade": null, "upgradeInfo": null, "availabilityNux": null, "displayName": "",
        "description": "", "modelSpecialty": null, "hidden": false,
        "supportedReasoningEfforts": [{"reasoningEffort": "low", "description": ""}], "defaultReasoningEffort": "low",
        "inputModalities": [], "supportsPersonality": false, "multiAgentVersion": null, "additionalSpeedTiers": [],
        "serviceTiers": [], "defaultServiceTier": null, "availableAccessPrograms": null, "isDefault": false,
    });
    assert_eq!(model.to_string(), whole.to_string(), "the order of fields too");
}

#[tokio::test]
async fn providers_and_accounts() {
    let gateway = |id: &str, auth: Value| {
        json!({
            "id": id, "name": id, "canEdit": true, "baseUrl": null,
            "settings": {"type": "customGateway", "auth": auth},
        })
    };
    let listed = json!({
        "data": [
            gateway("a", json!({"mode": "none"})),
            gateway("b", json!({"mode": "environmentVariable", "envKey": "KEY"})),
            gateway("c", json!({"mode": "externallyConfigured", "envKey": null})),
            {"id": "openai", "name": "openai", "canEdit": true, "baseUrl": null, "settings": {"type": "openai"}},
        ],
        "defaultProviderId": "a", "canChangeDefault": true,
    });
    assert_eq!(asked("modelProvider/list", json!({})).await, listed);
    let can = json!({"imageGeneration": false, "webSearch": true});
    assert_eq!(asked("modelProvider/capabilities/read", json!({})).await, can);
    let account = json!({
        "account": {"type": "chatgpt", "email": null, "planType": "team"}, "userId": null, "requiresOpenaiAuth": true,
        "workspaceRouting": null,
    });
    assert_eq!(asked("account/read", json!({"refreshToken": true})).await, account);
}

#[tokio::test]
async fn lists_for_menus() {
    let profile = |id: &str| json!({"id": id, "description": null, "allowed": true});
    let two = json!({"data": [profile(":a"), profile(":b")], "nextCursor": "2"});
    assert_eq!(asked("permissionProfile/list", json!({"cwd": "rel", "limit": 2})).await, two);
    let beyond = invalid("cursor 4 exceeds total permission profiles 3");
    assert_eq!(asked("permissionProfile/list", json!({"cursor": "4"})).await, beyond);
    let modes = json!({"data": [
        {"name": "Plan", "mode": "plan", "model": null, "reasoning_effort": "medium"},
        {"name": "Default", "mode": "default", "model": null, "reasoning_effort": null},
    ]});
    assert_eq!(asked("collaborationMode/list", json!({})).await, modes);
    let feature = |name: &str| {
        json!({
            "data": [{
                "name": name, "stage": "underDevelopment", "displayName": null, "description": null,
                "announcement": null, "enabled": false, "defaultEnabled": false,
            }],
            "nextCursor": null,
        })
    };
    assert_eq!(asked("experimentalFeature/list", json!({})).await, feature("nowhere"));
    assert_eq!(asked("experimentalFeature/list", json!({"threadId": THREAD})).await, feature("/thread"));
    let other = THREAD.replace('4', "5");
    let not_found = invalid(&format!("thread not found: {other}"));
    assert_eq!(asked("experimentalFeature/list", json!({"threadId": other})).await, not_found);
    let no_id = asked("experimentalFeature/list", json!({"threadId": "x"})).await;
    assert!(no_id["message"].as_str().unwrap().starts_with("invalid thread id: "), "{no_id}");
}

#[tokio::test]
async fn skills_and_hooks_of_directories_are_none_yet() {
    let skills = |cwd: &str| json!({"cwd": cwd, "skills": [], "errors": []});
    assert_eq!(asked("skills/list", json!({"forceReload": true})).await, json!({"data": [skills("/work")]}));
    let two = json!({"data": [skills("rel"), skills("/nope")]});
    assert_eq!(asked("skills/list", json!({"cwds": ["rel", "/nope"]})).await, two);
    let hooks = |cwd: &str| json!({"data": [{"cwd": cwd, "hooks": [], "warnings": [], "errors": []}]});
    assert_eq!(asked("hooks/list", json!({"cwds": ["/p"], "threadId": null})).await, hooks("/p"));
    assert_eq!(asked("hooks/list", json!({})).await, hooks("/work"));
    assert_eq!(asked("hooks/list", json!({"threadId": THREAD})).await, hooks("/thread"));
    let both = invalid("specify either threadId or cwds");
    assert_eq!(asked("hooks/list", json!({"threadId": THREAD, "cwds": ["/"]})).await, both);
}
