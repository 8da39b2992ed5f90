//! Who is asked before something is done, and what a command may touch: policies in the forms that files, configuration
//! and clients have for them.

pub mod paths;
mod permissions;
mod profile;
mod sandbox;

use serde::{Deserialize, Serialize};

pub use permissions::{FileSystem, Network, Permissions};
pub use profile::{
    AccessMode, EntryPath, FileSystemEntry, FileSystemProfile, PROTECTED, PermissionProfile, SpecialPath,
};
pub use sandbox::{NetworkAccess, SandboxPolicy, WireSandbox};

/// When a person, or a reviewer in a person's place, is asked before something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// For each command that is not known to only read.
    Untrusted,
    /// When the model asks to leave the sandbox.
    #[default]
    OnRequest,
    /// Never: what is not allowed fails, and the model is told.
    Never,
    /// When a command failed because of the sandbox. Read from old files and configurations, never chosen.
    OnFailure,
    /// Kind by kind.
    Granular(Granular),
}

/// Which kinds of question may reach a person. A kind that may not is refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Granular {
    /// To leave the sandbox.
    pub sandbox_approval: bool,
    /// What a rule wants to be asked.
    pub rules: bool,
    /// Questions of MCP servers.
    pub mcp_elicitations: bool,
    /// The tool `request_permissions`.
    #[serde(default)]
    pub request_permissions: bool,
    /// To use a skill.
    #[serde(default)]
    pub skill_approval: bool,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalsReviewer {
    /// A person.
    #[default]
    User,
    /// A reviewing agent.
    #[serde(alias = "guardian_subagent")]
    AutoReview,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn policies_have_the_forms_of_codex() {
        let granular = Granular {
            sandbox_approval: true,
            rules: false,
            mcp_elicitations: true,
            request_permissions: false,
            skill_approval: false,
        };
        let table = [
            (ApprovalPolicy::Untrusted, json!("untrusted")),
            (ApprovalPolicy::OnRequest, json!("on-request")),
            (ApprovalPolicy::Never, json!("never")),
            (ApprovalPolicy::OnFailure, json!("on-failure")),
            (
                ApprovalPolicy::Granular(granular),
                json!({"granular": {
                    "sandbox_approval": true, "rules": false, "mcp_elicitations": true,
                    "request_permissions": false, "skill_approval": false,
                }}),
            ),
        ];
        for (policy, form) in table {
            assert_eq!(to_value(policy).unwrap(), form);
            assert_eq!(from_value::<ApprovalPolicy>(form).unwrap(), policy);
        }
        let short = json!({"granular": {"sandbox_approval": true, "rules": false, "mcp_elicitations": true}});
        assert_eq!(from_value::<ApprovalPolicy>(short).unwrap(), ApprovalPolicy::Granular(granular));
        assert!(from_value::<ApprovalPolicy>(json!("sometimes")).is_err());
    }

    #[test]
    fn the_old_name_of_a_reviewer_is_read_and_not_written() {
        for name in ["auto_review", "guardian_subagent"] {
            assert_eq!(from_value::<ApprovalsReviewer>(json!(name)).unwrap(), ApprovalsReviewer::AutoReview);
        }
        assert_eq!(to_value(ApprovalsReviewer::AutoReview).unwrap(), json!("auto_review"));
        assert_eq!(to_value(ApprovalsReviewer::User).unwrap(), json!("user"));
    }
}
