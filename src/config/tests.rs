use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, Granular, SandboxPolicy};

use super::*;
use crate::home::Homes;

/// A folder with files, below which all homes lie.
struct World {
    root: tempfile::TempDir,
    homes: Homes,
}

impl World {
    /// Files by name. The home is `home`, our folder `config`, Codex's `codex`, the machine's files are in `etc`, and the
    /// project is `repo`, with work in `repo/a`.
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("repo/.git")).unwrap();
        std::fs::create_dir_all(base.join("repo/a")).unwrap();
        for (name, text) in files {
            let path = base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.replace("ROOT", base.to_str().unwrap())).unwrap();
        }
        let homes = Homes {
            home: base.join("home"),
            state: base.join("state"),
            config: base.join("config"),
            codex: base.join("codex"),
            system: ["etc/sapwood/config.toml", "etc/codex/config.toml"].map(|path| base.join(path)).to_vec(),
            by_codex_home: false,
        };
        Self { root, homes }
    }

    fn read(&self, profile: Option<&str>, flags: &[&str]) -> Reading {
        let overrides: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let cwd = self.root.path().canonicalize().unwrap().join("repo/a");
        Reading::of(&Places { homes: &self.homes, cwd: Some(&cwd), profile, overrides: &overrides, client: None })
    }

    fn load(&self, profile: Option<&str>, flags: &[&str]) -> Result<Config, String> {
        let reading = self.read(profile, flags);
        match reading.problems.iter().find(|problem| problem.exit.is_some()) {
            Some(problem) => Err(self.clean(&problem.message)),
            None => {
                let clean = |texts: &[String]| texts.iter().map(|text| self.clean(text)).collect();
                let config = reading.config;
                Ok(Config { warnings: clean(&config.warnings), notes: clean(&config.notes), ..config })
            }
        }
    }

    fn clean_table(&self, table: &ProviderTable) -> ProviderTable {
        let base_url = table.base_url.as_ref().map(|(url, place)| (url.clone(), self.clean(place)));
        ProviderTable { place: self.clean(&table.place), base_url, ..table.clone() }
    }

    fn clean(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.path().canonicalize().unwrap().display()), "")
    }
}

fn load(files: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
    World::new(files).load(None, flags)
}

const TRUST: (&str, &str) = ("codex/config.toml", "projects.'ROOT/repo'.trust_level = 'trusted'\n");

#[test]
fn the_first_layer_that_sets_a_key_wins() {
    let files = [
        ("home/config.toml", "model = 'home'\n[agents]\nmax_depth = 3\n"),
        ("config/config.toml", "model = 'user'\n[agents]\nmax_depth = 4\ninterrupt_message = false\n"),
        ("codex/config.toml", "model = 'codex'\nsandbox_mode = 'danger-full-access'\n[tui]\ntheme = 'x'\n"),
        ("etc/sapwood/config.toml", "model = 'machine'\nmodel_verbosity = 'low'\nservice_tier = 'flex'\n"),
        ("etc/codex/config.toml", "service_tier = 'fast'\nmodel_reasoning_effort = 'high'\n"),
    ];
    let flags = ["model=one", "model=two", "features.multi_agent_v2.max_concurrent_threads_per_session=9"];
    let expected = Config {
        model: Some("two".into()),
        model_is_said: true,
        max_depth: Some(3),
        interrupt_message: Some(false),
        rights: Rights {
            sandbox: Some(Sandbox { policy: SandboxPolicy::DangerFullAccess, profile: None }),
            ..Rights::default()
        },
        verbosity: Some("low".into()),
        service_tier: Some("flex".into()),
        effort: Some("high".into()),
        slots: Some(9),
        ..Config::default()
    };
    assert_eq!(load(&files, &flags), Ok(expected));
}

/// From the strongest to the weakest: each row is left out in turn, and the next one counts.
#[test]
fn precedence_is_flag_project_profile_user_machine() {
    let files = [
        ("repo/a/.sapwood/config.toml", "model = 'ours, near'\n"),
        ("repo/a/.codex/config.toml", "model = 'codex, near'\n"),
        ("repo/.sapwood/config.toml", "model = 'ours, far'\n"),
        ("home/p.config.toml", "model = 'profile, home'\n"),
        ("codex/p.config.toml", "model = 'profile, codex'\n"),
        ("home/config.toml", "model = 'home'\n[profiles.p]\nmodel = 'profile, table'\n"),
        ("config/config.toml", "model = 'user'\n"),
        ("codex/config.toml", "model = 'codex'\n[projects.'ROOT/repo']\ntrust_level = 'trusted'\n"),
        ("etc/sapwood/config.toml", "model = 'machine'\n"),
    ];
    let model = |left_out: usize, flags: &[&str]| {
        // The project is trusted throughout.
        let trust = TRUST.1;
        let mut rest: Vec<(&str, &str)> = files[left_out..].to_vec();
        if left_out > 7 {
            rest.push(("codex/config.toml", trust));
        }
        World::new(&rest).load(Some("p"), flags).map(|config| config.model.unwrap_or_default())
    };
    assert_eq!(model(0, &["model=flag"]).unwrap(), "flag");
    let expected = ["ours, near", "codex, near", "ours, far", "profile, home", "profile, codex", "profile, table"];
    for (left_out, expected) in expected.into_iter().enumerate() {
        assert_eq!(model(left_out, &[]).as_deref(), Ok(expected));
    }
    for (left_out, expected) in [(6, "user"), (7, "codex"), (8, "machine")] {
        assert_eq!(World::new(&files[left_out..]).load(None, &[]).unwrap().model.as_deref(), Some(expected));
    }
}

#[test]
fn tables_merge_key_by_key_through_the_layers() {
    let files = [
        ("home/config.toml", "[model_providers.x]\nbase_url = 'http://home/v1'\nhttp_headers = { a = '1' }\n"),
        (
            "codex/config.toml",
            "[model_providers.x]\nbase_url = 'http://codex/v1'\nenv_key = 'X_KEY'\n[model_providers.x.http_headers]\n\
             a = '2'\nb = '3'\n[model_providers.\"y.z\"]\nname = 'Y'\n",
        ),
    ];
    let world = World::new(&files);
    let flags = ["model_providers.\"y.z\".base_url=https://y/v1", "model_providers.x={name = 'X'}"];
    let config = world.load(None, &flags).unwrap();
    let hidden = |text: &str| Hidden(text.to_owned());
    let x = ProviderTable {
        place: "-c model_providers.x=***".into(),
        name: Some("X".into()),
        base_url: Some(("http://home/v1".into(), "home/config.toml:2".into())),
        env_key: Some("X_KEY".into()),
        http_headers: vec![("a".into(), hidden("1")), ("b".into(), hidden("3"))],
        ..ProviderTable::default()
    };
    let mut found = world.clean_table(&config.providers["x"]);
    assert!(found.place == "home/config.toml:2" || found.place == x.place, "the place of one of its keys");
    found.place.clone_from(&x.place);
    assert_eq!(found, x);
    let y = &config.providers["y.z"];
    assert_eq!((y.name.as_deref(), y.base_url.as_ref().map(|url| &*url.0)), (Some("Y"), Some("https://y/v1")));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!config.model_is_said);
}

#[test]
fn an_unknown_key_is_a_warning_with_its_line_and_an_error_where_it_is_ours() {
    let text = "model = 'm'\n\nmodle = 1\n[agents]\nmax_dept = 2\n[agents.scout]\nx = 1\n[modle_providers.a]\nb = 1\nc = 2\n\
                [model_providers.a]\nurl = 'sk-secret'\n";
    let warnings = load(&[("codex/config.toml", text)], &[]).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "codex/config.toml:3: unknown configuration key `modle`; did you mean `model`?",
            "codex/config.toml:5: unknown configuration key `agents.max_dept`; did you mean `agents.max_depth`?",
            "codex/config.toml:8: unknown configuration key `modle_providers`; did you mean `model_providers`?",
            "codex/config.toml:12: unknown configuration key `model_providers.a.url`",
        ]
    );
    let error = "home/config.toml:2: unknown configuration key `sapwood.scrip`; did you mean `sapwood.script`?";
    assert_eq!(load(&[("home/config.toml", "[sapwood]\nscrip = 'x'\n")], &[]), Err(error.into()));
    let error = "-c modle=1: unknown configuration key `modle`; did you mean `model`?";
    assert_eq!(load(&[], &["modle=1"]), Err(error.into()));
}

#[test]
fn a_wrong_value_names_what_is_allowed() {
    let wrong = |text: &str| load(&[("home/config.toml", text)], &[]).unwrap_err();
    let cases = [
        (
            "\n[agents]\nmax_depth = 'three'\n",
            "home/config.toml:3: `agents.max_depth` must be a whole number from 0 to 1000, and is \"three\"",
        ),
        (
            "[features.multi_agent_v2]\nmax_concurrent_threads_per_session = 0\n",
            "home/config.toml:2: `features.multi_agent_v2.max_concurrent_threads_per_session` must be a whole number from \
             1 to 100000, and is 0",
        ),
        (
            "sandbox_mode = 'workspace'\n",
            "home/config.toml:1: `sandbox_mode` must be `read-only`, `workspace-write` or `danger-full-access`, and is \
             \"workspace\"",
        ),
        ("sapwood = 1\n", "home/config.toml:1: `sapwood` must be a table, and is 1"),
        ("\n[model]\nx = 1\n", "home/config.toml:2: `model` must be a string, and is a value of type table"),
        ("model_providers.x = 'sk-1'\n", "home/config.toml:1: `model_providers.x` must be a table, and is a string"),
        ("model = ['a']\n", "home/config.toml:1: `model` must be a string, and is a value of type array"),
        (
            "[sapwood]\non_usage_limit = 'stop'\n",
            "home/config.toml:2: `sapwood.on_usage_limit` must be `pause` or `wait`, and is \"stop\"",
        ),
        (
            "[model_providers.x]\nwire_api = 'chat'\n",
            "home/config.toml:2: `model_providers.x.wire_api` is `chat`, which neither Codex nor we speak any more; if the \
             provider has the Responses API, set it to `responses`",
        ),
        (
            "[model_providers.x]\nexperimental_bearer_token = 12345\n",
            "home/config.toml:2: `model_providers.x.experimental_bearer_token` must be a string, and is a number",
        ),
    ];
    for (text, error) in cases {
        assert_eq!(wrong(text), error);
    }
    assert!(wrong("a = 1\nb = = 2\n").starts_with("home/config.toml:2: "));
    let waits = "[features.multi_agent_v2]\nmin_wait_timeout_ms = 50000\ndefault_wait_timeout_ms = 20000\n";
    assert!(wrong(waits).contains("does not hold"));
    assert_eq!(load(&[("home/config.toml", "features.multi_agent_v2 = true\n")], &[]), Ok(Config::default()));
}

#[test]
fn values_on_the_command_line_are_toml_or_plain_text_and_secrets_are_not_repeated() {
    let config =
        load(&[], &["model=gpt x", "agents.max_depth=0x10", "service_tier='a=b'", "agents.interrupt_message=false"]);
    let config = config.unwrap();
    let found = (config.model.as_deref(), config.max_depth, config.service_tier.as_deref(), config.interrupt_message);
    assert_eq!(found, (Some("gpt x"), Some(16), Some("a=b"), Some(false)));
    for (flag, error) in [
        ("model", "-c model: `key=value` is needed"),
        ("sk-1 2\"3", "-c ***: `key=value` is needed"),
        ("a..b=sk-1", "-c a..b=***: `a..b` is no key"),
        ("model=", "-c model=: `model` must be some text, and is \"\""),
        (
            "model_providers.x.bearer=sk-1",
            "-c model_providers.x.bearer=***: unknown configuration key `model_providers.x.bearer`",
        ),
        (
            "model_providers.x.http_headers=sk-1",
            "-c model_providers.x.http_headers=***: `model_providers.x.http_headers` must be a table, and is a string",
        ),
    ] {
        assert_eq!(load(&[], &[flag]), Err(error.into()));
    }
    let config = load(&[], &["model_providers.x.experimental_bearer_token=sk-1"]).unwrap();
    assert_eq!(config.providers["x"].bearer_token, Some(Hidden("sk-1".into())));
    assert!(!format!("{config:?}").contains("sk-1"));
}

#[test]
fn a_profile_has_to_be_there() {
    let world = World::new(&[("config/config.toml", "profile = 'q'\n[profiles.q]\nmodel = 'm'\nprofile = 'r'\n")]);
    let config = world.load(None, &[]).unwrap();
    assert_eq!(config.model.as_deref(), Some("m"));
    assert_eq!(config.warnings, ["config/config.toml:4: `profile` has no effect in a profile"]);
    let error = "-p: there is no profile `x`; write x.config.toml beside config.toml, or a table [profiles.x] into it";
    assert_eq!(world.load(Some("x"), &[]), Err(error.into()));
    let error = "-p: there is no profile `../x`; the name of a profile has letters, digits, `-` and `_`";
    assert_eq!(world.load(Some("../x"), &[]), Err(error.into()));
    let error = world.load(None, &["profile=y"]).unwrap_err();
    assert!(error.starts_with("-c profile=y: there is no profile `y`"), "{error}");
    assert_eq!(world.load(Some("q"), &[]).unwrap().model.as_deref(), Some("m"));
}

#[test]
fn a_project_that_is_not_trusted_is_one_note() {
    let files =
        [("repo/.codex/config.toml", "model = 'no'\nbroken"), ("repo/a/.sapwood/config.toml", "model = 'no'\n")];
    let config = load(&files, &[]).unwrap();
    assert_eq!((config.model, config.warnings), (None, Vec::new()));
    assert_eq!(config.notes.len(), 1);
    let note = "repo/a/.sapwood/config.toml (and 1 more) is not read, since the project is not trusted; to trust it: ";
    assert!(config.notes[0].starts_with(note), "{:?}", config.notes);
    let said = ["projects.'ROOT/repo/a'.trust_level = 'untrusted'\n", TRUST.1].concat();
    let files = [("repo/.codex/config.toml", "model = 'yes'\n"), files[1], ("home/config.toml", &*said)];
    let config = load(&files, &[]).unwrap();
    assert_eq!((config.model.as_deref(), config.notes.len()), (Some("yes"), 1));
}

#[test]
fn a_project_names_no_provider_no_place_and_no_file() {
    let text = "model = 'm'\nmodel_provider = 'evil'\nopenai_base_url = 'https://evil/v1'\nnotify = ['x']\nprofile = 'p'\n\
                [model_providers.evil]\nbase_url = 'https://evil/v1'\nhttp_headers = { a = 'b' }\n[sapwood]\nscript = 'x'\n\
                on_usage_limit = 'wait'\n[otel]\nexporter = 'x'\n[projects.'/']\ntrust_level = 'trusted'\n";
    let config = load(&[TRUST, ("repo/.codex/config.toml", text)], &[]).unwrap();
    let expected = Config {
        model: Some("m".into()),
        on_usage_limit: Some(OnUsageLimit::Wait),
        warnings: config.warnings.clone(),
        trust: Trust::Trusted,
        ..Config::default()
    };
    assert_eq!(config, expected);
    let refused: Vec<&str> = config.warnings.iter().map(|warning| warning.split('`').nth(1).unwrap()).collect();
    assert_eq!(
        refused,
        [
            "model_provider",
            "openai_base_url",
            "notify",
            "profile",
            "model_providers",
            "sapwood.script",
            "otel",
            "projects"
        ]
    );
    assert_eq!(
        config.warnings[0],
        "repo/.codex/config.toml:2: `model_provider` is not used: the configuration of a project may not set it; it \
         belongs into your own"
    );
}

#[test]
fn the_persons_own_files_are_no_projects() {
    let world = World::new(&[("repo/.codex/config.toml", "model_provider = 'mine'\n")]);
    let homes = Homes { codex: world.homes.codex.parent().unwrap().join("repo/.codex"), ..world.homes.clone() };
    let world = World { homes, ..world };
    let config = world.load(None, &[]).unwrap();
    assert_eq!(config.provider.map(|provider| provider.id).as_deref(), Some("mine"));
    assert_eq!((config.warnings, config.notes), (Vec::new(), Vec::new()));
}

#[test]
fn three_spellings_of_one_limit() {
    let v2 = "features.multi_agent_v2.max_concurrent_threads_per_session";
    for (home, codex, slots) in [
        ("", "[agents]\nmax_threads = 6\n", Some(7)),
        ("", "[agents]\nmax_threads = 6\nmax_concurrent_threads_per_session = 2\n", Some(3)),
        ("", "agents.max_threads = 6\nfeatures.multi_agent_v2.max_concurrent_threads_per_session = 4\n", Some(4)),
        ("agents.max_threads = 1\n", "features.multi_agent_v2.max_concurrent_threads_per_session = 4\n", Some(2)),
        ("", "", None),
    ] {
        let files = [("home/config.toml", home), ("codex/config.toml", codex)];
        assert_eq!(load(&files, &[]).unwrap().slots, slots, "{home}{codex}");
        assert_eq!(load(&files, &[&format!("{v2}=5")]).unwrap().slots, Some(5));
    }
}

#[test]
fn rights_are_what_the_first_layer_says() {
    let sandbox = |policy: SandboxPolicy, profile| Some(Sandbox { policy, profile });
    let workspace = |root: &str| SandboxPolicy::WorkspaceWrite {
        writable_roots: vec![root.to_owned()],
        network_access: true,
        exclude_tmpdir_env_var: false,
        exclude_slash_tmp: false,
    };
    let table = [
        ("sandbox_mode = 'workspace-write'\n", "", sandbox(SandboxPolicy::workspace_write(), None)),
        ("sandbox_mode = 'danger-full-access'\n", "default_permissions=:workspace", {
            sandbox(SandboxPolicy::workspace_write(), Some(":workspace"))
        }),
        ("default_permissions = ':workspace'\n", "sandbox_mode=read-only", sandbox(SandboxPolicy::READ_ONLY, None)),
        ("default_permissions = ':read-only'\nsandbox_mode = 'danger-full-access'\n", "model=x", {
            sandbox(SandboxPolicy::READ_ONLY, Some(":read-only"))
        }),
        ("model = 'x'\n", "sandbox_workspace_write.network_access=true", None),
    ];
    for (file, flag, expected) in table {
        let flags = [flag].into_iter().filter(|flag| !flag.is_empty()).collect::<Vec<_>>();
        assert_eq!(load(&[("home/config.toml", file)], &flags).unwrap().rights.sandbox, expected, "{file}{flag}");
    }
    let world = World::new(&[(
        "home/config.toml",
        "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nwritable_roots = ['more']\nnetwork_access = true\n",
    )]);
    let more = world.homes.home.join("more");
    let expected = sandbox(workspace(more.to_str().unwrap()), None);
    assert_eq!(world.load(None, &[]).unwrap().rights.sandbox, expected);
    let unknown = load(&[("home/config.toml", "default_permissions = 'mine'\n")], &[]).unwrap();
    assert_eq!(unknown.rights.sandbox, sandbox(SandboxPolicy::READ_ONLY, None));
    assert!(unknown.warnings[0].starts_with("home/config.toml:1: the permission profile `mine`"), "{unknown:?}");
}

#[test]
fn approvals_are_a_word_or_a_table_of_kinds() {
    let granular = Granular {
        sandbox_approval: true,
        rules: false,
        mcp_elicitations: true,
        request_permissions: false,
        skill_approval: false,
    };
    let kinds = "[approval_policy.granular]\nsandbox_approval = true\nrules = false\nmcp_elicitations = true\n";
    for (file, flags, policy) in [
        ("approval_policy = 'untrusted'\n", &[][..], Some(ApprovalPolicy::Untrusted)),
        (kinds, &[], Some(ApprovalPolicy::Granular(granular))),
        (kinds, &["approval_policy=never"], Some(ApprovalPolicy::Never)),
        ("model = 'x'\n", &[], None),
    ] {
        let rights = load(&[("home/config.toml", file)], flags).unwrap().rights;
        assert_eq!(rights.approval_policy, policy, "{file}");
    }
    let reviewer = load(&[("home/config.toml", "approvals_reviewer = 'guardian_subagent'\n")], &[]).unwrap();
    assert_eq!(reviewer.rights.approvals_reviewer, Some(ApprovalsReviewer::AutoReview));
}

#[test]
fn a_file_that_is_none_is_refused_and_not_waited_for() {
    let world = World::new(&[("home/config.toml/x", "")]);
    assert_eq!(world.load(None, &[]), Err("home/config.toml cannot be read: it is no file".into()));
    let long = "# long\n".repeat(200_000);
    let error = load(&[("home/config.toml", &long)], &[]).unwrap_err();
    assert!(error.starts_with("home/config.toml has more than 1048576 bytes"), "{error}");
}

#[test]
fn the_defaults_of_the_reference_are_the_defaults() {
    let usual = sapwood_actors::agent::Settings::default();
    let default = |name: &str| keys::USED.iter().find(|key| key.name == name).unwrap().default.to_owned();
    let v2 = |name: &str| default(&format!("features.multi_agent_v2.{name}"));
    assert_eq!(default("agents.max_depth"), usual.max_depth.to_string());
    assert_eq!(default("agents.interrupt_message"), usual.interrupt_message.to_string());
    assert_eq!(default("features.multi_agent"), (usual.max_depth > 0).to_string());
    assert_eq!(default("features.default_mode_request_user_input"), usual.asks_in_default_mode.to_string());
    assert_eq!(v2("max_concurrent_threads_per_session"), usual.slots.to_string());
    assert_eq!(v2("min_wait_timeout_ms"), usual.wait.min.to_string());
    assert_eq!(v2("default_wait_timeout_ms"), usual.wait.default.to_string());
    assert_eq!(v2("max_wait_timeout_ms"), usual.wait.max.to_string());
    assert_eq!(default("model_providers.*.request_max_retries"), usual.retries.request.to_string());
    assert_eq!(default("model_providers.*.stream_max_retries"), usual.retries.stream.to_string());
    assert_eq!(default("sandbox_mode"), format!("{:?}", usual.sandbox.name()));
}
