//! What a command may touch, in the two forms that Codex has for it: the one of rollouts and configuration, and the one
//! of the wire.

use serde::{Deserialize, Serialize};

/// What a command may touch. Serialised as in `turn_context` lines; [`SandboxPolicy::wire`] is the form for clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SandboxPolicy {
    /// Whatever the person may do.
    DangerFullAccess,
    /// Read anything, write nothing.
    ReadOnly {
        /// It may connect to other machines.
        #[serde(default, skip_serializing_if = "is_false")]
        network_access: bool,
    },
    /// Somebody else confines this program; it confines nothing itself.
    ExternalSandbox {
        /// What that somebody lets through.
        #[serde(default)]
        network_access: NetworkAccess,
    },
    /// Read anything, write in the workspace and in temporary folders.
    WorkspaceWrite {
        /// Directories to write in, beside the workspace; absolute.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        writable_roots: Vec<String>,
        /// It may connect to other machines.
        #[serde(default)]
        network_access: bool,
        /// Not in the folder that `TMPDIR` names.
        #[serde(default)]
        exclude_tmpdir_env_var: bool,
        /// Not in `/tmp`.
        #[serde(default)]
        exclude_slash_tmp: bool,
    },
}

/// What an outer sandbox lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkAccess {
    /// Nothing.
    #[default]
    Restricted,
    /// Everything.
    Enabled,
}

/// The same policy as clients read and write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WireSandbox {
    /// Whatever the person may do.
    DangerFullAccess,
    /// Read anything, write nothing.
    ReadOnly {
        /// It may connect to other machines.
        #[serde(default)]
        network_access: bool,
    },
    /// Somebody else confines this program.
    ExternalSandbox {
        /// What that somebody lets through.
        #[serde(default)]
        network_access: NetworkAccess,
    },
    /// Read anything, write in the workspace and in temporary folders.
    WorkspaceWrite {
        /// Directories to write in, beside the workspace.
        #[serde(default)]
        writable_roots: Vec<String>,
        /// It may connect to other machines.
        #[serde(default)]
        network_access: bool,
        /// Not in the folder that `TMPDIR` names.
        #[serde(default)]
        exclude_tmpdir_env_var: bool,
        /// Not in `/tmp`.
        #[serde(default)]
        exclude_slash_tmp: bool,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

impl SandboxPolicy {
    /// Read-only without a network: what holds where nothing else was said.
    pub const READ_ONLY: Self = SandboxPolicy::ReadOnly { network_access: false };

    /// Writing in the workspace and in temporary folders, without a network.
    pub fn workspace_write() -> Self {
        SandboxPolicy::WorkspaceWrite {
            writable_roots: Vec::new(),
            network_access: false,
            exclude_tmpdir_env_var: false,
            exclude_slash_tmp: false,
        }
    }

    /// The policy that a mode's name stands for, on a command line and in `thread/start`.
    pub fn of_mode(name: &str) -> Option<Self> {
        match name {
            "danger-full-access" => Some(SandboxPolicy::DangerFullAccess),
            "read-only" => Some(Self::READ_ONLY),
            "workspace-write" => Some(Self::workspace_write()),
            _ => None,
        }
    }

    /// Its kind, by name.
    pub fn name(&self) -> &'static str {
        match self {
            SandboxPolicy::DangerFullAccess => "danger-full-access",
            SandboxPolicy::ReadOnly { .. } => "read-only",
            SandboxPolicy::ExternalSandbox { .. } => "external-sandbox",
            SandboxPolicy::WorkspaceWrite { .. } => "workspace-write",
        }
    }

    /// True if it keeps commands from files: only then there is something to ask for.
    pub fn confines_files(&self) -> bool {
        matches!(self, SandboxPolicy::ReadOnly { .. } | SandboxPolicy::WorkspaceWrite { .. })
    }

    /// True if a command may connect to other machines.
    pub fn has_network(&self) -> bool {
        match self {
            SandboxPolicy::DangerFullAccess => true,
            SandboxPolicy::ReadOnly { network_access } | SandboxPolicy::WorkspaceWrite { network_access, .. } => {
                *network_access
            }
            SandboxPolicy::ExternalSandbox { network_access } => *network_access == NetworkAccess::Enabled,
        }
    }

    /// The form for clients.
    pub fn wire(&self) -> WireSandbox {
        self.clone().into()
    }
}

impl From<SandboxPolicy> for WireSandbox {
    fn from(policy: SandboxPolicy) -> Self {
        match policy {
            SandboxPolicy::DangerFullAccess => WireSandbox::DangerFullAccess,
            SandboxPolicy::ReadOnly { network_access } => WireSandbox::ReadOnly { network_access },
            SandboxPolicy::ExternalSandbox { network_access } => WireSandbox::ExternalSandbox { network_access },
            SandboxPolicy::WorkspaceWrite {
                writable_roots,
                network_access,
                exclude_tmpdir_env_var,
                exclude_slash_tmp,
            } => WireSandbox::WorkspaceWrite {
                writable_roots,
                network_access,
                exclude_tmpdir_env_var,
                exclude_slash_tmp,
            },
        }
    }
}

impl From<WireSandbox> for SandboxPolicy {
    fn from(policy: WireSandbox) -> Self {
        match policy {
            WireSandbox::DangerFullAccess => SandboxPolicy::DangerFullAccess,
            WireSandbox::ReadOnly { network_access } => SandboxPolicy::ReadOnly { network_access },
            WireSandbox::ExternalSandbox { network_access } => SandboxPolicy::ExternalSandbox { network_access },
            WireSandbox::WorkspaceWrite {
                writable_roots,
                network_access,
                exclude_tmpdir_env_var,
                exclude_slash_tmp,
            } => SandboxPolicy::WorkspaceWrite {
                writable_roots,
                network_access,
                exclude_tmpdir_env_var,
                exclude_slash_tmp,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn a_policy_has_a_form_for_files_and_one_for_clients() {
        let roots = SandboxPolicy::WorkspaceWrite {
            writable_roots: vec!["/x".into()],
            network_access: true,
            exclude_tmpdir_env_var: true,
            exclude_slash_tmp: false,
        };
        let table = [
            (
                SandboxPolicy::DangerFullAccess,
                json!({"type": "danger-full-access"}),
                json!({"type": "dangerFullAccess"}),
            ),
            (
                SandboxPolicy::READ_ONLY,
                json!({"type": "read-only"}),
                json!({"type": "readOnly", "networkAccess": false}),
            ),
            (
                SandboxPolicy::ExternalSandbox { network_access: NetworkAccess::Enabled },
                json!({"type": "external-sandbox", "network_access": "enabled"}),
                json!({"type": "externalSandbox", "networkAccess": "enabled"}),
            ),
            (
                SandboxPolicy::workspace_write(),
                json!({
                    "type": "workspace-write", "network_access": false, "exclude_tmpdir_env_var": false,
                    "exclude_slash_tmp": false,
                }),
                json!({
                    "type": "workspaceWrite", "writableRoots": [], "networkAccess": false, "excludeTmpdirEnvVar": false,
                    "excludeSlashTmp": false,
                }),
            ),
            (
                roots,
                json!({
                    "type": "workspace-write", "writable_roots": ["/x"], "network_access": true,
                    "exclude_tmpdir_env_var": true, "exclude_slash_tmp": false,
                }),
                json!({
                    "type": "workspaceWrite", "writableRoots": ["/x"], "networkAccess": true,
                    "excludeTmpdirEnvVar": true, "excludeSlashTmp": false,
                }),
            ),
        ];
        for (policy, core, wire) in table {
            assert_eq!(to_value(&policy).unwrap(), core);
            assert_eq!(to_value(policy.wire()).unwrap(), wire);
            assert_eq!(from_value::<SandboxPolicy>(core).unwrap(), policy);
            assert_eq!(SandboxPolicy::from(from_value::<WireSandbox>(wire).unwrap()), policy);
        }
        let short = json!({"type": "workspaceWrite"});
        assert_eq!(SandboxPolicy::from(from_value::<WireSandbox>(short).unwrap()), SandboxPolicy::workspace_write());
    }

    #[test]
    fn modes_are_policies() {
        for (mode, confines, network) in
            [("danger-full-access", false, true), ("read-only", true, false), ("workspace-write", true, false)]
        {
            let policy = SandboxPolicy::of_mode(mode).unwrap();
            assert_eq!((policy.name(), policy.confines_files(), policy.has_network()), (mode, confines, network));
        }
        assert_eq!(SandboxPolicy::of_mode("external-sandbox"), None);
    }
}
