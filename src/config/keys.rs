//! Which configuration keys there are.

use crate::text::nearest;

/// The keys that are used.
pub const USED: &[&str] = &[
    "model",
    "model_provider",
    "sandbox_mode",
    "agents.max_depth",
    "agents.interrupt_message",
    "features.multi_agent_v2.max_concurrent_threads_per_session",
    "features.multi_agent_v2.min_wait_timeout_ms",
    "features.multi_agent_v2.default_wait_timeout_ms",
    "features.multi_agent_v2.max_wait_timeout_ms",
    "sapwood.script",
    "sapwood.script_log",
];

/// Tables that hold used keys.
pub const TABLES: &[&str] = &["agents", "features", "features.multi_agent_v2", "sapwood"];

/// Codex's other keys in `[agents]`; tables there are roles.
const AGENTS: &[&str] = &["job_max_runtime_seconds", "max_concurrent_threads_per_session", "max_threads"];

/// Codex's other keys in `[features.multi_agent_v2]`.
const MULTI_AGENT_V2: &[&str] = &[
    "disable_direct_message",
    "disable_native_tools",
    "enabled",
    "expose_spawn_agent_model_overrides",
    "hide_spawn_agent_metadata",
    "multi_agent_mode_hint_text",
    "non_code_mode_only",
    "preserve_fork_prefix",
    "root_agent_usage_hint_text",
    "subagent_developer_instructions",
    "subagent_usage_hint_text",
    "tool_namespace",
    "usage_hint_enabled",
    "usage_hint_text",
    "wait_agent_enabled",
];

/// Codex's top-level keys, those of earlier versions included: they pass, and most of them do nothing here.
const CODEX: &[&str] = &[
    "agents",
    "allow_login_shell",
    "analytics",
    "approval_policy",
    "approvals_reviewer",
    "apps",
    "apps_mcp_product_sku",
    "audio",
    "auto_review",
    "background_terminal_max_timeout",
    "chatgpt_base_url",
    "check_for_update_on_startup",
    "cli_auth_credentials_store",
    "commit_attribution",
    "compact_prompt",
    "debug",
    "default_permissions",
    "desktop",
    "developer_instructions",
    "disable_paste_burst",
    "disable_response_storage",
    "experimental_compact_prompt_file",
    "experimental_instructions_file",
    "experimental_realtime_start_instructions",
    "experimental_realtime_ws_backend_prompt",
    "experimental_realtime_ws_base_url",
    "experimental_realtime_ws_model",
    "experimental_realtime_ws_startup_context",
    "experimental_thread_config_endpoint",
    "experimental_thread_store",
    "experimental_use_freeform_apply_patch",
    "experimental_use_unified_exec_tool",
    "features",
    "feedback",
    "file_opener",
    "forced_chatgpt_workspace_id",
    "forced_login_method",
    "ghost_snapshot",
    "hide_agent_reasoning",
    "history",
    "hooks",
    "include_apps_instructions",
    "include_collaboration_mode_instructions",
    "include_environment_context",
    "include_permissions_instructions",
    "instructions",
    "log_dir",
    "marketplaces",
    "mcp_oauth_callback_port",
    "mcp_oauth_callback_url",
    "mcp_oauth_credentials_store",
    "mcp_servers",
    "memories",
    "model",
    "model_auto_compact_token_limit",
    "model_auto_compact_token_limit_scope",
    "model_catalog_json",
    "model_context_window",
    "model_instructions_file",
    "model_max_output_tokens",
    "model_provider",
    "model_providers",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_supports_reasoning_summaries",
    "model_verbosity",
    "notice",
    "notify",
    "openai_base_url",
    "oss_provider",
    "otel",
    "permissions",
    "personality",
    "plan_mode_reasoning_effort",
    "plugins",
    "preferred_auth_method",
    "profile",
    "profiles",
    "project_doc_fallback_filenames",
    "project_doc_max_bytes",
    "project_root_markers",
    "projects",
    "realtime",
    "review_model",
    "sandbox_mode",
    "sandbox_permissions",
    "sandbox_workspace_write",
    "service_tier",
    "shell_environment_policy",
    "show_raw_agent_reasoning",
    "skills",
    "sqlite_home",
    "suppress_unstable_features_warning",
    "tool_output_token_limit",
    "tool_suggest",
    "tools",
    "tui",
    "web_search",
    "windows",
    "windows_wsl_setup_acknowledged",
];

/// True for a key that Codex accepts and that does nothing here.
pub fn passes(key: &str, is_table: bool) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["sapwood", ..] => false,
        ["agents", name] => is_table || AGENTS.contains(&name),
        ["features", "multi_agent_v2", name, ..] => MULTI_AGENT_V2.contains(&name),
        // Roles, features that come and go, and what is inside of the other tables.
        ["agents" | "features", ..] => true,
        [head, ..] => CODEX.contains(&head),
        [] => false,
    }
}

/// The key that was most likely meant.
pub fn meant(key: &str) -> Option<String> {
    let Some((table, name)) = key.rsplit_once('.') else {
        return nearest(key, CODEX.iter().copied().chain(["sapwood"])).map(str::to_owned);
    };
    let used = USED.iter().filter_map(|used| used.strip_prefix(table)?.strip_prefix('.'));
    let others = match table {
        "agents" => AGENTS,
        "features.multi_agent_v2" => MULTI_AGENT_V2,
        _ => &[],
    };
    nearest(name, used.chain(others.iter().copied())).map(|near| format!("{table}.{near}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codexs_keys_pass_and_slips_do_not() {
        for key in ["tui", "tui.theme", "mcp_servers.a.command", "agents.max_threads", "features.goals"] {
            assert!(passes(key, false), "{key}");
        }
        assert!(passes("agents.scout", true));
        for key in ["modle", "agents.max_dept", "features.multi_agent_v2.slots", "sapwood.srcipt"] {
            assert!(!passes(key, false), "{key}");
        }
        assert_eq!(meant("modle").as_deref(), Some("model"));
        assert_eq!(meant("agents.max_dept").as_deref(), Some("agents.max_depth"));
        assert_eq!(meant("sapwood.srcipt").as_deref(), Some("sapwood.script"));
        assert_eq!(meant("sapwood.colour"), None);
    }

    #[test]
    fn used_keys_lie_in_used_tables() {
        for (table, _) in USED.iter().filter_map(|key| key.rsplit_once('.')) {
            assert!(TABLES.contains(&table), "{table}");
        }
    }
}
