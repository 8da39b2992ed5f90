//! The keys that are used: one entry each, with its kind, its default and what it does.
//!
//! This table is the configuration reference: `sapwood config get` shows it, and pages are made from it.

use super::codex;
use crate::text::nearest;

/// A key that is used.
#[derive(Debug)]
pub struct Key {
    /// Its dotted path; `*` stands for a name that is chosen freely.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its value where nothing sets it, as it is written in TOML; empty for none.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The configuration of a project may set it.
    pub in_project: bool,
}

/// What a key may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Some text, not empty.
    Text,
    /// Some text that nobody is shown.
    Secret,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Some texts, each a path like [`Kind::Path`].
    Paths,
    /// The path of a file, relative to the file that names it, or to the working directory for `-c`.
    Path,
    /// `true` or `false`.
    Boolean,
    /// A whole number in these bounds.
    Number(i64, i64),
    /// An address. What is in it beside the address is nobody's business.
    Url,
    /// Whatever it is, it is refused where it would be needed.
    Unsupported,
}

/// The longest `wait_agent` that may be configured, as in Codex.
const MAX_WAIT_MS: i64 = 3_600_000;
/// More generations than any tree needs.
const MAX_DEPTH: i64 = 1_000;
/// More turns at the same time than any machine can feed.
const MAX_SLOTS: i64 = 100_000;
/// Codex takes any number of retries, and makes 100 of more.
const MAX_RETRIES: i64 = u32::MAX as i64;
/// A day: longer, no stream is silent.
const MAX_IDLE_MS: i64 = 86_400_000;

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, doc, in_project: true }
}

/// A key that a project may not set: it names who is asked, with which key, or a file.
const fn own(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, doc, in_project: false }
}

use Kind::{Boolean, Number, OneOf, Path, Paths, Secret, Text, Unsupported, Url};

/// The keys that are used, in the order in which a person reads about them.
pub const USED: &[Key] = &[
    key("model", Text, "", "The model. Without one, the provider's usual one"),
    own(
        "model_provider",
        Text,
        "",
        "The provider: one of model_providers, or openai, ollama, lmstudio, rehearsal, \
         scripted. Without one: openai if CODEX_API_KEY or OPENAI_API_KEY is set, else the rehearsal",
    ),
    key("model_reasoning_effort", Text, "", "How much the model reasons, in the provider's words"),
    key(
        "model_reasoning_summary",
        OneOf(&["auto", "concise", "detailed", "none"]),
        "",
        "The form of reasoning \
         summaries; `none` asks for none",
    ),
    key("model_verbosity", OneOf(&["low", "medium", "high"]), "", "How long answers are"),
    key("service_tier", Text, "", "The service tier, in the provider's words; `fast` asks for `priority`, as in Codex"),
    own("openai_base_url", Url, "\"https://api.openai.com/v1\"", "The base URL of the provider openai"),
    own("model_providers.*.name", Text, "", "The provider's name, for people"),
    own("model_providers.*.base_url", Url, "", "Its base URL, without the last part `/responses`"),
    own("model_providers.*.env_key", Text, "", "The environment variable that holds its key"),
    own("model_providers.*.env_key_instructions", Text, "", "What a person is told who has not set that variable"),
    own(
        "model_providers.*.experimental_bearer_token",
        Secret,
        "",
        "Its key. An environment variable is the better \
         place",
    ),
    own("model_providers.*.wire_api", OneOf(&["responses"]), "\"responses\"", "What it speaks: the Responses API"),
    own(
        "model_providers.*.request_max_retries",
        Number(0, MAX_RETRIES),
        "4",
        "Further tries of a request that it \
         did not begin to answer, 100 at most",
    ),
    own(
        "model_providers.*.stream_max_retries",
        Number(0, MAX_RETRIES),
        "5",
        "Further tries of a request whose \
         answer broke off, 100 at most",
    ),
    own(
        "model_providers.*.stream_idle_timeout_ms",
        Number(1, MAX_IDLE_MS),
        "300000",
        "How long an answer may be \
         silent before it counts as broken off, in milliseconds",
    ),
    own("model_providers.*.http_headers.*", Secret, "", "Headers of each request"),
    own(
        "model_providers.*.env_http_headers.*",
        Text,
        "",
        "Headers of each request, by the environment variables that \
         hold their values; where a variable is not set or empty, the header is left out",
    ),
    own("model_providers.*.query_params.*", Secret, "", "Parameters of each request's URL"),
    own(
        "model_providers.*.requires_openai_auth",
        Boolean,
        "false",
        "Its key is OpenAI's: CODEX_API_KEY, \
         OPENAI_API_KEY, or the one in auth.json of Codex's home",
    ),
    own("model_providers.*.supports_websockets", Boolean, "false", "Accepted, without effect: requests go over HTTP"),
    own("model_providers.*.auth", Unsupported, "", "A command that makes keys: not available in this version"),
    own("model_providers.*.aws", Unsupported, "", "Keys of AWS: not available in this version"),
    own("model_providers.*.gateway_oauth", Unsupported, "", "A login at a gateway: not available in this version"),
    key("developer_instructions", Text, "", "What the model is told beside its instructions"),
    key(
        "sandbox_mode",
        OneOf(&["read-only", "workspace-write", "danger-full-access"]),
        "\"read-only\"",
        "What shell commands may do. For clients of the app server workspace-write is the default in a project that is \
         trusted or untrusted by a word of yours",
    ),
    key("sandbox_workspace_write.writable_roots", Paths, "", "Directories to write in beside the workspace"),
    key("sandbox_workspace_write.network_access", Boolean, "false", "Commands may connect to other machines"),
    key(
        "sandbox_workspace_write.exclude_tmpdir_env_var",
        Boolean,
        "false",
        "Nothing is written in the folder of TMPDIR",
    ),
    key("sandbox_workspace_write.exclude_slash_tmp", Boolean, "false", "Nothing is written in /tmp"),
    key(
        "default_permissions",
        Text,
        "",
        "The same as sandbox_mode by the name of a permission profile: :read-only, :workspace or :danger-full-access",
    ),
    key(
        "approval_policy",
        OneOf(&["untrusted", "on-request", "on-failure", "never"]),
        "\"on-request\"",
        "When clients of the app server are asked. exec asks nobody",
    ),
    key("approval_policy.granular.sandbox_approval", Boolean, "", "A question to leave the sandbox reaches a person"),
    key("approval_policy.granular.rules", Boolean, "", "A question that a rule demands reaches a person"),
    key("approval_policy.granular.mcp_elicitations", Boolean, "", "A question of an MCP server reaches a person"),
    key(
        "approval_policy.granular.request_permissions",
        Boolean,
        "false",
        "A question for permissions reaches a person",
    ),
    key("approval_policy.granular.skill_approval", Boolean, "false", "A question to use a skill reaches a person"),
    key(
        "approvals_reviewer",
        OneOf(&["user", "auto_review", "guardian_subagent"]),
        "\"user\"",
        "Who answers when something is asked; guardian_subagent is the earlier name of auto_review",
    ),
    own("profile", Text, "", "The profile that is used without -p"),
    own(
        "projects.*.trust_level",
        OneOf(&["trusted", "untrusted"]),
        "",
        "Whether the configuration of the project in \
         that directory is read",
    ),
    key("agents.max_depth", Number(0, MAX_DEPTH), "8", "Generations below the root, at most"),
    key("agents.interrupt_message", Boolean, "true", "An interrupted turn leaves a note for the model"),
    key("features.multi_agent", Boolean, "true", "Agents may have agents of their own; `false` is a max_depth of 0"),
    key(
        "features.default_mode_request_user_input",
        Boolean,
        "false",
        "Models may ask people questions in every mode; \
         else in plan mode alone",
    ),
    key(
        "features.multi_agent_v2.max_concurrent_threads_per_session",
        Number(1, MAX_SLOTS),
        "4",
        "Turns of one tree \
         that work at the same time, the root's included",
    ),
    key(
        "agents.max_concurrent_threads_per_session",
        Number(1, MAX_SLOTS),
        "",
        "Agents below the root that work at the \
         same time: the same limit without the root. Agents that do nothing do not count",
    ),
    key("agents.max_threads", Number(1, MAX_SLOTS), "", "The earlier spelling of the same"),
    key(
        "features.multi_agent_v2.min_wait_timeout_ms",
        Number(0, MAX_WAIT_MS),
        "10000",
        "The shortest wait_agent, in \
         milliseconds",
    ),
    key(
        "features.multi_agent_v2.default_wait_timeout_ms",
        Number(0, MAX_WAIT_MS),
        "30000",
        "The usual wait_agent, in \
         milliseconds",
    ),
    key(
        "features.multi_agent_v2.max_wait_timeout_ms",
        Number(0, MAX_WAIT_MS),
        "3600000",
        "The longest wait_agent, in \
         milliseconds",
    ),
    key(
        "sapwood.on_usage_limit",
        OneOf(&["pause", "wait"]),
        "\"pause\"",
        "What a tree does when the account has used \
         up what it may use for now: pause until it is resumed, or wait for the end of the limit",
    ),
    own("sapwood.script", Path, "", "The script of the provider scripted"),
    own("sapwood.script_log", Path, "", "Where the provider scripted writes the requests that it got"),
];

/// Top-level keys of Codex that a project may not set either: they say where something is sent, or what is run.
const NEVER_IN_PROJECT: &[&str] = &[
    "apps_mcp_product_sku",
    "chatgpt_base_url",
    "experimental_realtime_webrtc_call_base_url",
    "experimental_realtime_ws_base_url",
    "model_providers",
    "notify",
    "otel",
    "profiles",
    "projects",
    "responses_api_metadata",
];

/// What a path is.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// A key that is used.
    Used(&'static Key),
    /// A table that holds used keys.
    Table,
    /// Codex's, without effect here.
    Passes,
    /// Nobody's.
    Unknown,
}

/// What the key at this path is.
pub fn known(path: &[&str], is_table: bool) -> Known {
    // A word, or a table.
    if is_table && path == ["approval_policy"] {
        return Known::Table;
    }
    if let Some(key) = USED.iter().find(|key| key.matches(path)) {
        return Known::Used(key);
    }
    match path {
        // Codex's short form, which only switches the feature.
        ["features", "multi_agent_v2"] if !is_table => Known::Passes,
        _ if is_above(path) => Known::Table,
        _ if codex::passes(path, is_table) => Known::Passes,
        _ => Known::Unknown,
    }
}

/// True if used keys lie below this path.
pub fn is_above(path: &[&str]) -> bool {
    USED.iter().any(|key| key.is_at_or_below(path) && !key.matches(path))
}

/// True for what the configuration of a project may not set.
pub fn is_refused_in_project(path: &[&str]) -> bool {
    match known(path, true) {
        Known::Used(key) => !key.in_project,
        _ => matches!(path, [head] if NEVER_IN_PROJECT.contains(head)),
    }
}

/// True for what a client may not set for one thread: all threads of a server share the providers.
pub fn is_refused_of_a_client(path: &[&str]) -> bool {
    matches!(path.first(), Some(&("model_providers" | "openai_base_url" | "profile" | "profiles" | "sapwood")))
}

/// True for a path whose value nobody is shown, whether or not it is one that we know.
pub fn is_secret(path: &[&str]) -> bool {
    match known(path, false) {
        Known::Used(key) => matches!(key.kind, Kind::Secret | Kind::Unsupported),
        // A slip in a name, or a whole table at once.
        Known::Unknown | Known::Table => path.first() == Some(&"model_providers"),
        Known::Passes => matches!(path, ["mcp_servers" | "otel" | "shell_environment_policy", ..]),
    }
}

/// The key that was most likely meant.
pub fn meant(path: &[&str]) -> Option<String> {
    let (name, above) = path.split_last()?;
    let used = USED.iter().filter_map(|key| {
        let parts: Vec<&'static str> = key.name.split('.').collect();
        let part = *parts.get(above.len())?;
        let fits = above.iter().zip(&parts).all(|(given, own)| *own == "*" || given == own);
        (fits && part != "*").then_some(part)
    });
    let others = match above {
        [] => codex::TOP,
        ["agents"] => codex::AGENTS,
        ["features", "multi_agent_v2"] => codex::MULTI_AGENT_V2,
        ["model_providers", _] => codex::PROVIDER,
        _ => &[],
    };
    let near = nearest(name, used.chain(others.iter().copied()))?;
    Some(super::path::KeyPath::from_iter(above.iter().copied().chain([near])).to_string())
}

impl Key {
    /// True for the path of this key, and for a table that it lies in.
    pub fn is_at_or_below(&self, path: &[&str]) -> bool {
        let mut parts = self.name.split('.');
        path.iter().all(|part| parts.next().is_some_and(|own| own == "*" || own == *part))
    }

    /// True for the path of this key.
    pub fn matches(&self, path: &[&str]) -> bool {
        self.name.split('.').count() == path.len()
            && self.name.split('.').zip(path).all(|(own, part)| own == "*" || own == *part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> Known {
        let path: Vec<&str> = key.split('.').collect();
        known(&path, false)
    }

    #[test]
    fn codexs_keys_pass_and_slips_do_not() {
        for key in ["tui", "tui.theme", "mcp_servers.a.command", "features.goals", "agents.scout.model"] {
            assert!(matches!(of(key), Known::Passes), "{key}");
        }
        for key in ["model", "agents.max_threads", "model_providers.x.base_url", "model_providers.x.query_params.a"] {
            assert!(matches!(of(key), Known::Used(_)), "{key}");
        }
        for key in
            ["modle", "agents.max_dept", "features.multi_agent_v2.slots", "sapwood.srcipt", "model_providers.x.ur"]
        {
            assert!(matches!(of(key), Known::Unknown), "{key}");
        }
        for key in ["agents", "features", "model_providers.x", "model_providers.x.http_headers", "sapwood", "projects"]
        {
            assert!(matches!(of(key), Known::Table), "{key}");
        }
        let meant = |key: &str| meant(&key.split('.').collect::<Vec<_>>());
        assert_eq!(meant("modle").as_deref(), Some("model"));
        assert_eq!(meant("agents.max_dept").as_deref(), Some("agents.max_depth"));
        assert_eq!(meant("sapwood.srcipt").as_deref(), Some("sapwood.script"));
        assert_eq!(meant("model_providers.x.base_ulr").as_deref(), Some("model_providers.x.base_url"));
        assert_eq!(meant("sapwood.colour"), None);
    }

    #[test]
    fn what_names_a_key_or_a_place_is_the_persons_alone() {
        for key in
            ["model_provider", "model_providers", "openai_base_url", "notify", "otel", "sapwood.script", "profile"]
        {
            assert!(is_refused_in_project(&key.split('.').collect::<Vec<_>>()), "{key}");
        }
        for key in ["model", "sandbox_mode", "sapwood", "sapwood.on_usage_limit", "mcp_servers", "agents"] {
            assert!(!is_refused_in_project(&key.split('.').collect::<Vec<_>>()), "{key}");
        }
    }

    #[test]
    fn each_default_is_a_value_of_its_kind_and_each_entry_says_what_it_does() {
        for key in USED {
            assert!(!key.doc.is_empty() && !key.doc.contains("  "), "{}", key.name);
            let default = key.default;
            match key.kind {
                _ if default.is_empty() => {}
                Kind::Boolean => assert!(default.parse::<bool>().is_ok(), "{}", key.name),
                Kind::Number(min, max) => assert!((min..=max).contains(&default.parse().unwrap()), "{}", key.name),
                Kind::OneOf(allowed) => assert!(allowed.contains(&default.trim_matches('"')), "{}", key.name),
                _ => assert!(default.starts_with('"') && default.ends_with('"'), "{}", key.name),
            }
        }
    }
}
