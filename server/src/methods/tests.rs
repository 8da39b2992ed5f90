//! What a client is answered, with a program that says what it is told to say.

use std::path::PathBuf;
use std::sync::Arc;

use sapwood_protocol::ids::ThreadId;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connection::Connections;
use crate::program::{HasProgram, Program};
use crate::router::{Call, Method, Reply};
use crate::rpc::RequestId;
use crate::tests::program::Told;

const THREAD: &str = "01a1fd34-2380-76e1-9c23-8940ead12e34";

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
    let world = Arc::new(World { program: Arc::new(Told::default()) });
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
            "additionalDeveloperInstructions": null, "allowedApprovalPolicies": null, "allowedApprovalsReviewers": null,
            "allowedPermissionProfiles": null, "allowedSandboxModes": null, "defaultPermissions": null,
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
