//! What commands may touch, and who is asked: as far as the configuration says it.

use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, Granular, SandboxPolicy};

use super::layer::Problem;
use super::merged::Merged;

/// The permission profiles that there are, and the sandbox mode that each is.
pub const PROFILES: [(&str, &str); 3] =
    [(":read-only", "read-only"), (":workspace", "workspace-write"), (":danger-full-access", "danger-full-access")];

/// What is configured. What nothing sets is left to who asks: `exec` and the app server have defaults of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rights {
    /// What commands may touch.
    pub sandbox: Option<Sandbox>,
    /// What `workspace-write` means.
    pub workspace: Workspace,
    /// When a person is asked.
    pub approval_policy: Option<ApprovalPolicy>,
    /// Who is asked.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
}

/// What commands may touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// What it is.
    pub policy: SandboxPolicy,
    /// The permission profile that it was chosen as.
    pub profile: Option<&'static str>,
}

/// The table `sandbox_workspace_write`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workspace {
    /// Directories to write in beside the workspace, as they are named.
    pub writable_roots: Vec<String>,
    pub network_access: bool,
    pub exclude_tmpdir_env_var: bool,
    pub exclude_slash_tmp: bool,
}

impl Rights {
    /// What is set. A profile that there is not is a warning, and stands for the most careful one.
    pub fn of(merged: &Merged, problems: &mut Vec<Problem>) -> Self {
        let workspace = |name: &str| merged.boolean(&["sandbox_workspace_write", name]).unwrap_or_default();
        let mut rights = Self {
            sandbox: None,
            workspace: Workspace {
                writable_roots: merged.texts(&["sandbox_workspace_write", "writable_roots"]).unwrap_or_default(),
                network_access: workspace("network_access"),
                exclude_tmpdir_env_var: workspace("exclude_tmpdir_env_var"),
                exclude_slash_tmp: workspace("exclude_slash_tmp"),
            },
            approval_policy: policy(merged),
            approvals_reviewer: merged.text(&["approvals_reviewer"]).map(|word| match &*word {
                "user" => ApprovalsReviewer::User,
                _ => ApprovalsReviewer::AutoReview,
            }),
        };
        let (mode, profile) = (merged.get(&["sandbox_mode"]), merged.get(&["default_permissions"]));
        // The layer that counts more; in one layer the profile does.
        let is_mode = match (mode, profile) {
            (Some(mode), Some(profile)) => mode.layer < profile.layer,
            (mode, _) => mode.is_some(),
        };
        let name = |key: &str| merged.text(&[key]).unwrap_or_default();
        rights.sandbox = match (is_mode, profile) {
            (true, _) => rights.of_mode(&name("sandbox_mode")),
            (false, Some(set)) => Some(rights.of_profile(&name("default_permissions")).unwrap_or_else(|| {
                let (place, id) = (&set.place, crate::text::one_line(&name("default_permissions"), 60));
                problems.push(Problem::warning(format!(
                    "{place}: the permission profile `{id}` is not available in this version; commands run read-only. \
                     There are :read-only, :workspace and :danger-full-access"
                )));
                Sandbox { policy: SandboxPolicy::READ_ONLY, profile: None }
            })),
            (false, None) => None,
        };
        rights
    }

    /// A mode, by its name.
    pub fn of_mode(&self, name: &str) -> Option<Sandbox> {
        let policy = match SandboxPolicy::of_mode(name)? {
            SandboxPolicy::WorkspaceWrite { .. } => self.workspace.policy(),
            other => other,
        };
        Some(Sandbox { policy, profile: None })
    }

    /// A permission profile, by its id.
    pub fn of_profile(&self, id: &str) -> Option<Sandbox> {
        let (profile, mode) = PROFILES.into_iter().find(|(profile, _)| *profile == id)?;
        Some(Sandbox { profile: Some(profile), ..self.of_mode(mode)? })
    }
}

impl Workspace {
    fn policy(&self) -> SandboxPolicy {
        SandboxPolicy::WorkspaceWrite {
            writable_roots: self.writable_roots.clone(),
            network_access: self.network_access,
            exclude_tmpdir_env_var: self.exclude_tmpdir_env_var,
            exclude_slash_tmp: self.exclude_slash_tmp,
        }
    }
}

fn policy(merged: &Merged) -> Option<ApprovalPolicy> {
    let word = merged.get(&["approval_policy"]);
    let granular = merged.below(&["approval_policy", "granular"]).map(|(_, set)| set.layer).min();
    if granular.is_some_and(|layer| word.is_none_or(|word| layer < word.layer)) {
        let kind = |name: &str| merged.boolean(&["approval_policy", "granular", name]).unwrap_or_default();
        return Some(ApprovalPolicy::Granular(Granular {
            sandbox_approval: kind("sandbox_approval"),
            rules: kind("rules"),
            mcp_elicitations: kind("mcp_elicitations"),
            request_permissions: kind("request_permissions"),
            skill_approval: kind("skill_approval"),
        }));
    }
    // Its words are those of the table of keys.
    serde_json::from_value(merged.text(&["approval_policy"])?.into()).ok()
}
