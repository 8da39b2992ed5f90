//! What clients of a server on real files are told, beside what Codex 0.169.0 tells of the same.

use std::path::PathBuf;

use sapwood_model::catalogue::Catalogue;
use sapwood_protocol::app::config::{ConfigEdit, ConfigWriteErrorCode, MergeStrategy, WriteStatus};
use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};
use sapwood_server::program::Recorded;
use serde_json::json;

use super::*;

/// A folder below which all homes lie. The project is `repo`.
struct World {
    root: tempfile::TempDir,
    base: PathBuf,
    overrides: Vec<String>,
    variables: Vec<(&'static str, &'static str)>,
}

/// The configuration that Codex was asked with.
const MINE: &str = "\
model = \"fake-model\" # why
model_provider = \"fake\"
[model_providers.fake]
name = \"fake\"
base_url = \"http://127.0.0.1:9/v1\"
";
const TRUSTED: &str = "[projects.\"ROOT/repo\"]\ntrust_level = \"trusted\"\n";

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("repo/.git")).unwrap();
        let world = Self { root, base, overrides: Vec::new(), variables: Vec::new() };
        for (name, text) in files {
            let path = world.base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.replace("ROOT", world.base.to_str().unwrap())).unwrap();
        }
        world
    }

    fn flags(mut self, flags: &[&str]) -> Self {
        self.overrides = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self
    }

    fn served(&self) -> Served {
        let base = self.root.path().canonicalize().unwrap();
        let homes = Homes {
            home: base.join("home"),
            state: base.join("state"),
            config: base.join("config"),
            codex: base.join("codex"),
            system: ["etc/sapwood/config.toml", "etc/codex/config.toml"].map(|path| base.join(path)).to_vec(),
            by_codex_home: false,
        };
        let variables = self.variables.clone();
        let look =
            move |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let environment = Environment::new(&homes.codex, look);
        Served::new(homes, base.join("repo"), None, self.overrides.clone(), environment, "test")
    }

    fn clean(&self, text: &str) -> String {
        text.replace(self.base.to_str().unwrap(), "ROOT")
    }

    fn own(&self) -> String {
        std::fs::read_to_string(self.base.join("home/config.toml")).unwrap_or_default()
    }
}

fn edit(key: &str, value: Value, merge_strategy: MergeStrategy) -> ConfigEdit {
    ConfigEdit { key_path: key.to_owned(), value, merge_strategy }
}

fn write(edits: &[(&str, Value)]) -> ConfigBatchWriteParams {
    let edits = edits.iter().map(|(key, value)| edit(key, value.clone(), MergeStrategy::Replace)).collect();
    ConfigBatchWriteParams { edits, ..ConfigBatchWriteParams::default() }
}

#[test]
fn layers_have_the_names_and_fingerprints_of_codex() {
    let files = [
        ("home/config.toml", "model = \"mine\"\n[projects.\"ROOT/repo\"]\ntrust_level = \"trusted\"\n"),
        ("repo/.codex/config.toml", "model = \"proj\"\nmodel_reasoning_effort = \"low\"\nnotify = [\"x\"]\n"),
    ];
    let world = World::new(&files).flags(&["model=\"flagged\"", "model_verbosity=high"]);
    let read = world.served().config(Some(Path::new(".")), true).unwrap();
    let layers = serde_json::to_string(&read.layers).unwrap();
    let layers: Value = serde_json::from_str(&world.clean(&layers)).unwrap();
    let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let flags = "sha256:ff5b3a5127c3631e0b3d044fac1c154a8fd59fbde358631e0d58ece8ae923280";
    let project = "sha256:f3578ce708ff8b09d46be96d69278aaa371052ff60f5a4ee808716295eb051fc";
    let system = |file: &str| json!({"name": {"type": "system", "file": file}, "version": empty, "config": {}});
    let user = &read.layers.as_ref().unwrap()[2].version;
    let expected = json!([
        {"name": {"type": "sessionFlags"}, "version": flags, "config": {"model": "flagged", "model_verbosity": "high"}},
        {"name": {"type": "project", "dotCodexFolder": "ROOT/repo/.codex"}, "version": project,
         "config": {"model": "proj", "model_reasoning_effort": "low"}},
        {"name": {"type": "user", "file": "ROOT/home/config.toml", "profile": null}, "version": user,
         "config": {"model": "mine", "projects": {"ROOT/repo": {"trust_level": "trusted"}}}},
        system("ROOT/etc/sapwood/config.toml"),
        system("ROOT/etc/codex/config.toml"),
    ]);
    assert_eq!(layers, expected);
    assert_eq!([&read.config["model"], &read.config["model_reasoning_effort"]], [&json!("flagged"), &json!("low")]);
    let from = |key: &str| serde_json::to_value(&read.origins[key]).unwrap()["name"]["type"].clone();
    assert_eq!([from("model"), from("model_reasoning_effort")], ["sessionFlags", "project"]);
    let trust = format!("projects.{}.trust_level", world.base.join("repo").display());
    assert_eq!(from(&trust), "user");
    assert_eq!(read.origins.len(), 4, "{:?}", read.origins.keys());
    let nowhere = world.served().config(None, false).unwrap();
    assert_eq!((nowhere.layers, &nowhere.config["model_reasoning_effort"]), (None, &Value::Null));
}

#[test]
fn every_key_is_there_and_no_secret_is() {
    let file =
        format!("{MINE}experimental_bearer_token = \"sk-1\"\n[sapwood]\non_usage_limit = \"wait\"\n[x]\ny = 1\n");
    let world = World::new(&[("home/config.toml", &file), ("repo/.codex/config.toml", "model = \"no\"\n")]);
    let read = world.served().config(Some(&world.base.join("repo")), true).unwrap();
    assert_eq!(read.config.len(), 108, "Codex's, and `sapwood`");
    let provider = &read.config["model_providers"]["fake"];
    assert_eq!(provider.as_object().unwrap().len(), 24);
    assert_eq!(provider["experimental_bearer_token"], "***");
    assert_eq!((&provider["wire_api"], &provider["aws"]), (&json!("responses"), &Value::Null));
    assert_eq!(read.config["history"], json!({"persistence": "save-all", "max_bytes": null}));
    assert_eq!(read.config["sapwood"], json!({"on_usage_limit": "wait"}));
    assert_eq!(read.config.get("x"), None);
    let layers = read.layers.unwrap();
    let untrusted = &layers[0];
    assert_eq!(untrusted.config, json!({"model": "no"}));
    assert!(untrusted.disabled_reason.as_deref().unwrap().contains("not trusted"));
    assert!(!serde_json::to_string(&layers).unwrap().contains("sk-1"));
    let broken = World::new(&[("home/config.toml", "model = 7\n")]);
    let error = broken.served().config(None, false).unwrap_err();
    assert_eq!(
        broken.clean(&error.to_string()),
        "failed to load configuration: ROOT/home/config.toml:1: `model` must be a string, and is 7"
    );
}

#[test]
fn a_change_is_written_where_it_belongs_and_all_of_it_or_nothing() {
    let world = World::new(&[("codex/config.toml", "model = \"codex\"\n"), ("home/config.toml", MINE)]);
    let served = world.served();
    let written = served.write_config(&write(&[("model", json!("m2")), ("tui.theme", json!("dark"))])).unwrap();
    let expected = format!("{}\n[tui]\ntheme = \"dark\"\n", MINE.replace("fake-model", "m2"));
    assert_eq!(world.own(), expected, "comments stay");
    assert_eq!((written.status, written.overridden_metadata), (WriteStatus::Ok, None));
    assert_eq!(world.clean(&written.file_path), "ROOT/home/config.toml");
    let layers = served.config(None, true).unwrap().layers.unwrap();
    assert_eq!(layers[0].version, written.version);
    assert_eq!(std::fs::read_to_string(world.base.join("codex/config.toml")).unwrap(), "model = \"codex\"\n");

    let code = |write: &ConfigBatchWriteParams| match served.write_config(write).unwrap_err() {
        ProgramError::Write { code, message } => (code, world.clean(&message)),
        other => panic!("{other}"),
    };
    use ConfigWriteErrorCode::{ConfigLayerReadonly, ConfigValidationError, ConfigVersionConflict};
    for path in ["/etc/x.toml", "rel.toml", "ROOT/codex/config.toml"] {
        let file_path = Some(path.replace("ROOT", world.base.to_str().unwrap()));
        let elsewhere = ConfigBatchWriteParams { file_path, ..write(&[("model", json!("x"))]) };
        assert_eq!(code(&elsewhere).0, ConfigLayerReadonly, "{path}");
    }
    let stale = ConfigBatchWriteParams { expected_version: Some("sha256:0".into()), ..write(&[("model", json!("x"))]) };
    assert_eq!(code(&stale).0, ConfigVersionConflict);
    for (key, value, why) in [
        ("model", json!(7), "Invalid configuration: ROOT/home/config.toml:1: `model` must be a string, and is 7"),
        ("", json!(7), "keyPath must not be empty"),
        ("a..b", json!(7), "keyPath segments must not be empty"),
        ("model.x", json!(7), "cannot set value on non-table parent"),
    ] {
        let both = write(&[("model_verbosity", json!("low")), (key, value)]);
        assert_eq!(code(&both), (ConfigValidationError, why.to_owned()));
    }
    assert_eq!(world.own(), expected, "what is refused changes nothing");
    let own = Some(world.base.join("home/config.toml").to_str().unwrap().to_owned());
    let named = ConfigBatchWriteParams { file_path: own, expected_version: Some(written.version), ..write(&[]) };
    assert_eq!(served.write_config(&named).unwrap().status, WriteStatus::Ok);
    assert_eq!(world.own(), expected);
    let left: Vec<_> =
        std::fs::read_dir(world.base.join("home")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["config.toml"]);
}

#[test]
fn a_change_that_does_not_count_says_why() {
    let world = World::new(&[("repo/.codex/config.toml", "model = \"p\"\n")]).flags(&["model=\"flagged\""]);
    let written = world.served().write_config(&write(&[("tui.theme", json!("x")), ("model", json!("m2"))])).unwrap();
    assert_eq!(written.status, WriteStatus::OkOverridden);
    let why = serde_json::to_value(written.overridden_metadata).unwrap();
    assert_eq!(why["message"], "Overridden by session flags");
    assert_eq!(
        (&why["effectiveValue"], &why["overridingLayer"]["name"]),
        (&json!("flagged"), &json!({"type": "sessionFlags"}))
    );
    assert_eq!(world.own(), "model = \"m2\"\n\n[tui]\ntheme = \"x\"\n", "the file is made");
}

#[test]
fn what_the_machine_proposes_is_layered_shown_and_not_applied() {
    let world = World::new(&[
        ("home/config.toml", MINE),
        ("etc/sapwood/requirements.toml", "[models.new_thread]\nmodel = \"ours\"\n"),
        (
            "etc/codex/requirements.toml",
            "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\nallowed_approval_policies = [\"never\"]\n\
             [models.new_thread]\nmodel = \"theirs\"\nservice_tier = \"fast\"\n",
        ),
    ]);
    let served = world.served();
    let read = serde_json::to_value(served.requirements().unwrap()).unwrap();
    let expected = json!({
        "supportsIndependentSpeedModes": true,
        "requirements": {
            "additionalDeveloperInstructions": null, "allowedApprovalPolicies": ["never"],
            "allowedApprovalsReviewers": null, "allowedPermissionProfiles": null,
            "allowedSandboxModes": ["read-only", "workspace-write"], "defaultPermissions": null,
            "models": {"newThread": {"model": "ours", "modelReasoningEffort": null, "serviceTier": "fast"}},
        },
    });
    assert_eq!(read, expected);
    let prepared = served.thread_settings(ThreadRequest::default()).unwrap();
    assert_eq!((&*prepared.settings.model, prepared.settings.service_tier), ("fake-model", None));
    assert_eq!(prepared.settings.approval_policy, ApprovalPolicy::Never, "the one that is allowed");
    let allowed: Vec<bool> = served.permission_profiles(None).unwrap().iter().map(|profile| profile.allowed).collect();
    assert_eq!(allowed, [true, true, false]);
    let danger = ThreadRequest { sandbox: Some("danger-full-access".into()), ..ThreadRequest::default() };
    assert!(matches!(served.thread_settings(danger), Err(ProgramError::Invalid { .. })));
    assert_eq!(World::new(&[]).served().requirements().unwrap().requirements, None);
    let wrong = World::new(&[("etc/codex/requirements.toml", "allowed_sandbox_modes = 1\n")]);
    assert!(matches!(wrong.served().requirements(), Err(ProgramError::Failed { .. })));
}

#[test]
fn what_the_machine_requires_is_kept() {
    let required = "allowed_approvals_reviewers = [\"auto_review\"]\ndefault_permissions = \":workspace\"\n\
                    additional_developer_instructions = \"be safe\"\nlog_dir = \"x\"\n\
                    [allowed_permission_profiles]\n\":workspace\" = true\n\":read-only\" = true\n";
    let world = World::new(&[("home/config.toml", MINE), ("etc/codex/requirements.toml", required)]);
    let served = world.served();
    let read = serde_json::to_value(served.requirements().unwrap().requirements).unwrap();
    let expected = json!({
        "additionalDeveloperInstructions": "be safe", "allowedApprovalPolicies": null,
        "allowedApprovalsReviewers": ["auto_review"],
        "allowedPermissionProfiles": {":read-only": true, ":workspace": true}, "allowedSandboxModes": null,
        "defaultPermissions": ":workspace", "models": null,
    });
    assert_eq!(read, expected);
    let allowed: Vec<bool> = served.permission_profiles(None).unwrap().iter().map(|profile| profile.allowed).collect();
    assert_eq!(allowed, [true, true, false]);
    let begun = served.thread_settings(ThreadRequest::default()).unwrap();
    let file = world.base.join("etc/codex/requirements.toml");
    assert_eq!(begun.warnings, [format!("{}: `log_dir` is not enforced in this version", file.display())]);
    assert_eq!(begun.permission_profile.as_deref(), Some(":workspace"), "nobody chose another");
    assert_eq!(begun.settings.approvals_reviewer, ApprovalsReviewer::AutoReview);
    assert_eq!(begun.settings.managed_instructions.as_deref(), Some("be safe"));
    let modes: Vec<&str> =
        begun.settings.allowed.sandboxes.iter().flat_map(|own| own.iter().map(|own| &**own)).collect();
    assert_eq!(modes, ["read-only", "workspace-write"]);
    let danger = || SandboxPolicy::DangerFullAccess;
    let refused = |request: ThreadRequest| served.thread_settings(request).unwrap_err().to_string();
    assert_eq!(
        refused(ThreadRequest { permissions: Some(":danger-full-access".into()), ..ThreadRequest::default() }),
        "the permission profile `:danger-full-access` is not allowed on this machine (allowed_permission_profiles in \
         requirements.toml)"
    );
    for request in [
        ThreadRequest { sandbox: Some("danger-full-access".into()), ..ThreadRequest::default() },
        ThreadRequest { sandbox_policy: Some(danger()), ..ThreadRequest::default() },
    ] {
        let why = "the sandbox `danger-full-access` is not allowed on this machine (allowed_permission_profiles in \
                   requirements.toml)";
        assert_eq!(refused(request), why);
    }
    let user = ThreadRequest { approvals_reviewer: Some(ApprovalsReviewer::User), ..ThreadRequest::default() };
    assert_eq!(
        refused(user),
        "the approvals reviewer \"user\" is not allowed on this machine (allowed_approvals_reviewers in requirements.toml)"
    );
}

/// What a thread gets, as a client sees it.
fn rights(world: &World, request: ThreadRequest) -> (ApprovalPolicy, SandboxPolicy, Option<String>) {
    let prepared = world.served().thread_settings(request).unwrap();
    (prepared.settings.approval_policy, prepared.settings.sandbox, prepared.permission_profile)
}

#[test]
fn rights_depend_on_trust_only_where_nobody_says_them() {
    let mine = |trust: &str| World::new(&[("home/config.toml", &format!("{MINE}{trust}"))]);
    let (trusted, unknown) = (mine(TRUSTED), mine(""));
    let untrusted = mine(&TRUSTED.replace("trusted", "untrusted"));
    let nothing = ThreadRequest::default;
    let workspace = SandboxPolicy::workspace_write;
    let profile = |id: &str| Some(id.to_owned());
    let (asks, careful) = (ApprovalPolicy::OnRequest, ApprovalPolicy::Untrusted);
    assert_eq!(rights(&trusted, nothing()), (asks, workspace(), profile(":workspace")));
    assert_eq!(rights(&unknown, nothing()), (asks, SandboxPolicy::READ_ONLY, profile(":read-only")));
    assert_eq!(rights(&untrusted, nothing()), (careful, workspace(), profile(":workspace")));
    let mode = |mode: &str| ThreadRequest { sandbox: Some(mode.into()), ..nothing() };
    assert_eq!(rights(&untrusted, mode("danger-full-access")), (careful, SandboxPolicy::DangerFullAccess, None));
    let named = |id: &str| ThreadRequest { permissions: Some(id.into()), ..nothing() };
    assert_eq!(rights(&trusted, named(":read-only")), (asks, SandboxPolicy::READ_ONLY, profile(":read-only")));
    let before = untrusted.own();
    let flagged = unknown.flags(&["projects.\"ROOT/repo\".trust_level=\"untrusted\""]);
    let own = flagged.own();
    rights(&flagged, mode("danger-full-access"));
    assert_eq!((untrusted.own(), flagged.own()), (before, own), "no thread makes a project trusted");
    let both = ThreadRequest { permissions: Some(":workspace".into()), ..mode("read-only") };
    let error = trusted.served().thread_settings(both).unwrap_err();
    assert_eq!(error, ProgramError::invalid("`permissions` cannot be combined with `sandbox`"));
    for request in [mode("write"), named("mine")] {
        assert!(matches!(trusted.served().thread_settings(request), Err(ProgramError::Invalid { .. })));
    }
}

#[test]
fn a_thread_begins_with_what_its_client_says_first() {
    let file = format!("developer_instructions = \"be kind\"\nservice_tier = \"flex\"\n{MINE}{TRUSTED}");
    let files = [
        ("home/config.toml", &*file),
        ("home/AGENTS.md", "g"),
        ("repo/AGENTS.md", "hi"),
        ("repo/.codex/config.toml", "model = \"proj\"\n"),
    ];
    let world = World::new(&files);
    let served = world.served();
    let plain = served.thread_settings(ThreadRequest { originator: "tui".into(), ..ThreadRequest::default() }).unwrap();
    assert_eq!((&*plain.settings.model, &*plain.settings.provider), ("proj", "fake"));
    assert_eq!((&*plain.settings.originator, plain.cwd), ("tui", world.base.join("repo")));
    assert_eq!(plain.workspace_roots, [world.base.join("repo").to_str().unwrap()]);
    assert_eq!(plain.instruction_sources, ["home/AGENTS.md", "repo/AGENTS.md"].map(|file| world.base.join(file)));
    assert_eq!(plain.settings.agents_md.as_deref(), Some("g\n\n--- project-doc ---\n\nhi"));
    assert_eq!(plain.settings.developer_instructions.as_deref(), Some("be kind"));
    assert_eq!((plain.model_is_said, plain.rights_are_said, plain.warnings), (false, false, Vec::<String>::new()));
    let config = json!({
        "model": "cm", "model_reasoning_effort": "high", "sandbox_workspace_write": {"network_access": true},
        "mcp_servers.codex_tui": {"url": "http://x"}, "nope.x": 1, "features.plugins": false,
        "model_providers.other.base_url": "http://x", "developer_instructions": "dev",
    });
    let request = ThreadRequest {
        config: config.as_object().unwrap().clone(),
        approval_policy: Some(ApprovalPolicy::Never),
        approvals_reviewer: Some(ApprovalsReviewer::AutoReview),
        service_tier: Some(Some("fast".into())),
        sandbox: Some("workspace-write".into()),
        base_instructions: Some("base".into()),
        ..ThreadRequest::default()
    };
    let said = served.thread_settings(request.clone()).unwrap();
    assert_eq!((&*said.settings.model, said.settings.effort.as_deref()), ("cm", Some("high")));
    assert!(said.settings.sandbox.has_network());
    assert_eq!((said.settings.service_tier.as_deref(), &*said.settings.base_instructions), (Some("priority"), "base"));
    assert_eq!(said.settings.developer_instructions.as_deref(), Some("dev"));
    assert_eq!((said.model_is_said, said.rights_are_said), (true, true));
    assert_eq!(said.settings.approvals_reviewer, ApprovalsReviewer::AutoReview);
    assert_eq!(said.warnings.len(), 2, "an unknown key, and one that is not for a thread: {:?}", said.warnings);
    let named = ThreadRequest { model: Some("mm".into()), ..request };
    assert_eq!(&*served.thread_settings(named).unwrap().settings.model, "mm");
}

#[test]
fn a_thread_that_goes_on_keeps_its_model_and_place() {
    let world = World::new(&[("home/config.toml", MINE), ("elsewhere/x", "")]);
    let recorded = Recorded {
        provider: Some("fake".into()),
        model: Some("old".into()),
        effort: Some("low".into()),
        cwd: Some(world.base.join("elsewhere")),
        ..Recorded::default()
    };
    let resume = ThreadRequest { resume: Some(recorded), ..ThreadRequest::default() };
    let kept = world.served().thread_settings(resume.clone()).unwrap();
    assert_eq!((&*kept.settings.model, kept.settings.effort.as_deref()), ("old", Some("low")));
    assert_eq!((kept.cwd, kept.model_is_said), (world.base.join("elsewhere"), false));
    let changed = ThreadRequest { model: Some("new".into()), cwd: Some("sub".into()), ..resume };
    let changed = world.served().thread_settings(changed).unwrap();
    assert_eq!((&*changed.settings.model, changed.cwd), ("new", world.base.join("repo/sub")));
    let unknown = ThreadRequest { model_provider: Some("zzz".into()), ..ThreadRequest::default() };
    let error = world.served().thread_settings(unknown).unwrap_err();
    assert_eq!(error, ProgramError::UnknownProvider { provider: "zzz".into() });
}

#[test]
fn accounts_are_those_of_the_provider() {
    let with = |provider: &str, more: &str, auth: &str| {
        let file = MINE.replace("\"fake\"\n[", &format!("\"{provider}\"\n[")) + more;
        World::new(&[("home/config.toml", &file), ("codex/auth.json", auth)])
    };
    let key = "{\"OPENAI_API_KEY\": \"sk-x\"}";
    let read = |world: &World| serde_json::to_value(world.served().account().unwrap()).unwrap();
    let answer = |account: Value, requires: bool| json!({"account": account, "userId": null, "requiresOpenaiAuth": requires, "workspaceRouting": null});
    assert_eq!(read(&with("fake", "", key)), answer(Value::Null, false));
    assert_eq!(read(&with("fake", "requires_openai_auth = true\n", "{}")), answer(Value::Null, true));
    assert_eq!(read(&with("openai", "", key)), answer(json!({"type": "apiKey"}), true));
    let aws = json!({"type": "amazonBedrock", "usesCodexManagedCredentials": false});
    assert_eq!(read(&with("amazon-bedrock", "", key)), answer(aws.clone(), false));
    assert_eq!(read(&with("fake", "aws = {region = \"x\"}\n", key)), answer(aws, false));
    // The claims `{"https://api.openai.com/auth":{"chatgpt_plan_type":"team"}}`: nobody's address is in them.
    let claims = "eyJodHRwczovL2FwaS5vcGVuYWkuY29tL2F1dGgiOnsiY2hhdGdwdF9wbGFuX3R5cGUiOiJ0ZWFtIn19";
    let login = format!("{{\"auth_mode\": \"chatgpt\", \"tokens\": {{\"id_token\": \"e30.{claims}.s\"}}}}");
    let chatgpt = json!({"type": "chatgpt", "email": null, "planType": "team"});
    assert_eq!(read(&with("openai", "", &login)), answer(chatgpt, true));
    let by_variable = World { variables: vec![("CODEX_API_KEY", "sk-y")], ..with("openai", "", "{}") };
    assert_eq!(read(&by_variable), answer(json!({"type": "apiKey"}), true));
}

#[test]
fn providers_are_listed_without_what_is_secret() {
    let file = "[model_providers.a]\nbase_url = \"http://a/v1\"\nname = \"A\"\n[model_providers.b]\nenv_key = \"KEY\"\n\
                base_url = \"http://b/v1?k=s\"\n[model_providers.c]\nbase_url = \"http://c\"\nenv_key = \"KEY\"\n";
    let world = World::new(&[("home/config.toml", file)]);
    let listed = serde_json::to_value(Program::providers(&world.served()).unwrap()).unwrap();
    let gateway = |id: &str, name: &str, can_edit: bool, url: Value, auth: Value| {
        json!({"id": id, "name": name, "canEdit": can_edit, "baseUrl": url,
               "settings": {"type": "customGateway", "auth": auth}})
    };
    let expected = json!({
        "data": [
            gateway("a", "A", true, json!("http://a/v1"), json!({"mode": "none"})),
            gateway("b", "b", true, Value::Null, json!({"mode": "externallyConfigured", "envKey": "KEY"})),
            gateway("c", "c", true, json!("http://c"), json!({"mode": "environmentVariable", "envKey": "KEY"})),
            {"id": "openai", "name": "OpenAI", "canEdit": false, "baseUrl": null, "settings": {"type": "openai"}},
            gateway("rehearsal", "rehearsal", false, Value::Null, json!({"mode": "none"})),
        ],
        "defaultProviderId": "rehearsal", "canChangeDefault": true,
    });
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn two_providers_a_fetched_list_and_a_static_one() {
    let server = sapwood_testkit::Server::start(|_: &sapwood_testkit::Received| {
        let models = json!({"data": [{"id": "b"}, {"id": "a", "context_window": 1000}]});
        sapwood_testkit::Answer::body(models.to_string())
    });
    let server = server.await;
    let file = format!("model_provider = \"mine\"\n[model_providers.mine]\nbase_url = \"{}\"\n", server.base_url());
    let world = World::new(&[("home/config.toml", &file)]);
    let served = world.served();
    let ids = |models: &[models::Model]| models.iter().map(|model| model.id.clone()).collect::<Vec<_>>();
    let fetched = served.models(None).await.unwrap();
    assert_eq!((ids(&fetched), fetched[0].is_default), (vec!["a".into(), "b".into()], true));
    let known = served.models(Some("openai")).await.unwrap();
    let catalogue = Catalogue::known("openai");
    assert_eq!(ids(&known), catalogue.models().iter().map(|model| model.slug.clone()).collect::<Vec<_>>());
    assert_eq!(known.iter().filter(|model| model.is_default).count(), 1);
    let first = serde_json::to_value(&known[0]).unwrap();
    assert_eq!((&first["id"], &first["isDefault"]), (&json!("gpt-6.1-sol"), &json!(true)));
    assert_eq!(first["additionalSpeedTiers"], json!(["fast"]));
    let only = served.models(Some("rehearsal")).await.unwrap();
    assert_eq!((ids(&only), only[0].is_default), (vec!["rehearsal".into()], true));
    assert_eq!(only[0].supported_reasoning_efforts.len(), 1, "clients choose from model and effort");
    let unknown = served.models(Some("nope")).await.unwrap_err();
    assert_eq!(unknown, ProgramError::UnknownProvider { provider: "nope".into() });
}
