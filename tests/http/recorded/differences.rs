//! Where our requests over HTTP differ from the recorded ones, on purpose: all of it, each with its reason. What a run
//! in one process has too is in `exempt.rs`.

use super::exempt::{Difference, Exemption, is_text};

/// Headers of Codex that we do not send.
pub const NO_HEADER: [(&str, &str); 1] = [("x-codex-beta-features", "compaction by the provider is a later issue")];

/// Members of the turn metadata that we do not send.
pub const NO_MEMBER: [(&str, &str); 8] = [
    ("installation_id", "nothing here tells one installation from another"),
    ("context_window_id", "context windows have a number and no id of their own"),
    ("sandbox", "names a mechanism of Codex"),
    ("auto_review_enabled", "automatic review is a later issue"),
    ("node_repl_auto_review_required", "there is no such tool"),
    ("node_repl_disabled", "there is no such tool"),
    ("workspaces", "what a repository holds and where it comes from is told to nobody"),
    ("analytics_enabled", "nothing is ever reported"),
];

/// A member of the turn metadata that only we send, at the root: `exec` says what its threads are for, the recorded
/// client did not.
pub const OUR_MEMBER: (&str, &str) = ("thread_source", "user");

/// A member whose value differs where a later process asks: the recorded client asked all from one process.
pub const IN_A_LATER_PROCESS: (&str, &str, &str) = ("history_initialization", "new", "cold_resume");

/// Tools of Codex that we do not offer.
pub const NO_TOOL: [(&str, &str); 7] = [
    ("request_user_input", "`exec` has nobody to whom a question could be put"),
    ("view_image", "a later issue"),
    ("get_goal", "goals are a later issue"),
    ("create_goal", "goals are a later issue"),
    ("update_goal", "goals are a later issue"),
    ("tool_search", "a later issue"),
    ("web_search", "a later issue"),
];

/// Tools and namespaces that we offer, and these recordings do not. Some have the first generation of the tools for agents,
/// behind the tool search; and the model that they asked keeps no checklist.
pub const OUR_TOOLS: [(&str, &[&str]); 2] = [("collaboration", &["01-", "02-"]), ("update_plan", &["0"])];

/// Items that differ only here.
pub const ITEMS: [Exemption; 1] = [Exemption {
    recordings: &["01-", "02-", "04-multi-agent-v2"],
    reason: "the recorded client set short base instructions; `exec` has no setting for them",
    difference: Difference::Words {
        theirs: |item| is_text(item, "developer", |text| text == "You are a test agent.").then(base),
        ours: |item| {
            is_text(item, "developer", |text| text.starts_with("You are an agent that works for a person")).then(base)
        },
    },
}];

fn base() -> String {
    "the base instructions".into()
}
