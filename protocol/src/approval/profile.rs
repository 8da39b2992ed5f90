//! Rights in detail: the profile that a rollout records.

use std::num::NonZeroUsize;

use serde::{Deserialize, Deserializer, Serialize};

use super::permissions::Permissions;
use super::sandbox::{NetworkAccess, SandboxPolicy};

/// What stays read-only in a directory that may be written: what other programs act on.
pub const PROTECTED: [&str; 4] = [".git", ".agents", ".codex", ".aws"];

/// What an agent may do, as `turn_context` and `thread_settings_applied` record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PermissionProfile {
    /// This program confines commands.
    Managed {
        /// Which files.
        file_system: FileSystemProfile,
        /// Which connections.
        network: NetworkAccess,
    },
    /// Nothing is confined.
    Disabled,
    /// Somebody else confines commands.
    External {
        /// Which connections they let through.
        network: NetworkAccess,
    },
}

/// Which files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FileSystemProfile {
    /// Those that are named.
    Restricted {
        /// The names, the later ones over the earlier ones.
        entries: Vec<FileSystemEntry>,
        /// How deep patterns are looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        glob_scan_max_depth: Option<NonZeroUsize>,
    },
    /// All.
    Unrestricted,
}

/// One name, and what holds for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemEntry {
    /// The name.
    pub path: EntryPath,
    /// What holds for it and all below it.
    pub access: AccessMode,
    /// What follows if it does not exist: `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_path_behavior: Option<String>,
}

/// What may be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// It may be read.
    Read,
    /// It may be read and written.
    Write,
    /// Neither.
    #[serde(alias = "none")]
    Deny,
}

/// How an entry names files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EntryPath {
    /// By their path.
    Path {
        /// The path.
        path: String,
    },
    /// By a pattern.
    GlobPattern {
        /// The pattern.
        pattern: String,
    },
    /// By what they are.
    Special {
        /// What they are.
        value: SpecialPath,
    },
}

/// Places that each machine, and each turn, has for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SpecialPath {
    /// Everything.
    Root,
    /// What a program needs to start.
    Minimal,
    /// The workspace.
    ProjectRoots {
        /// Only this part of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
    },
    /// The folder that `TMPDIR` names.
    Tmpdir,
    /// `/tmp`.
    SlashTmp,
    /// One that a newer program knows.
    Unknown {
        /// Its name.
        path: String,
        /// Only this part of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
    },
}

impl SandboxPolicy {
    /// The profile of this policy in a directory, as Codex records it.
    pub fn profile(&self, cwd: &str) -> PermissionProfile {
        let entry = |path, access| FileSystemEntry { path, access, missing_path_behavior: None };
        let special = |value, access| entry(EntryPath::Special { value }, access);
        let managed = |entries| PermissionProfile::Managed {
            file_system: FileSystemProfile::Restricted { entries, glob_scan_max_depth: None },
            network: if self.has_network() { NetworkAccess::Enabled } else { NetworkAccess::Restricted },
        };
        let everything = special(SpecialPath::Root, AccessMode::Read);
        match self {
            SandboxPolicy::DangerFullAccess => PermissionProfile::Disabled,
            SandboxPolicy::ExternalSandbox { network_access } => {
                PermissionProfile::External { network: *network_access }
            }
            SandboxPolicy::ReadOnly { .. } => managed(vec![everything]),
            SandboxPolicy::WorkspaceWrite { writable_roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } => {
                let roots: Vec<&str> = std::iter::once(cwd).chain(writable_roots.iter().map(String::as_str)).collect();
                let mut entries = vec![everything];
                for root in &roots {
                    entries.push(entry(EntryPath::Path { path: (*root).into() }, AccessMode::Write));
                }
                if !exclude_slash_tmp {
                    entries.push(special(SpecialPath::SlashTmp, AccessMode::Write));
                }
                if !exclude_tmpdir_env_var {
                    entries.push(special(SpecialPath::Tmpdir, AccessMode::Write));
                }
                for root in &roots {
                    entries.extend(PROTECTED.map(|name| FileSystemEntry {
                        path: EntryPath::Path { path: format!("{}/{name}", root.trim_end_matches('/')) },
                        access: AccessMode::Read,
                        missing_path_behavior: Some("skip".into()),
                    }));
                }
                managed(entries)
            }
        }
    }
}

impl<'de> Deserialize<'de> for PermissionProfile {
    /// Old rollouts have no tag: what they name is all that may be touched.
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Tagged {
            Managed { file_system: FileSystemProfile, network: NetworkAccess },
            Disabled,
            External { network: NetworkAccess },
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Tagged(Tagged),
            Old(Permissions),
        }
        Ok(match Either::deserialize(value)? {
            Either::Tagged(Tagged::Managed { file_system, network }) => {
                PermissionProfile::Managed { file_system, network }
            }
            Either::Tagged(Tagged::Disabled) => PermissionProfile::Disabled,
            Either::Tagged(Tagged::External { network }) => PermissionProfile::External { network },
            Either::Old(old) => {
                let network = if old.has_network() { NetworkAccess::Enabled } else { NetworkAccess::Restricted };
                let entries = old.file_system.map(|files| files.entries()).unwrap_or_default();
                let file_system = FileSystemProfile::Restricted { entries, glob_scan_max_depth: None };
                PermissionProfile::Managed { file_system, network }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn profiles_of_policies_are_those_recorded() {
        let read = json!({"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"});
        let table = [
            (SandboxPolicy::DangerFullAccess, json!({"type": "disabled"})),
            (
                SandboxPolicy::READ_ONLY,
                json!({
                    "type": "managed", "file_system": {"type": "restricted", "entries": [read]}, "network": "restricted",
                }),
            ),
            (
                SandboxPolicy::workspace_write(),
                json!({"type": "managed", "file_system": {"type": "restricted", "entries": [
                    read,
                    {"path": {"type": "path", "path": "/w"}, "access": "write"},
                    {"path": {"type": "special", "value": {"kind": "slash_tmp"}}, "access": "write"},
                    {"path": {"type": "special", "value": {"kind": "tmpdir"}}, "access": "write"},
                    {"path": {"type": "path", "path": "/w/.git"}, "access": "read", "missing_path_behavior": "skip"},
                    {"path": {"type": "path", "path": "/w/.agents"}, "access": "read", "missing_path_behavior": "skip"},
                    {"path": {"type": "path", "path": "/w/.codex"}, "access": "read", "missing_path_behavior": "skip"},
                    {"path": {"type": "path", "path": "/w/.aws"}, "access": "read", "missing_path_behavior": "skip"},
                ]}, "network": "restricted"}),
            ),
        ];
        for (policy, form) in table {
            let profile = policy.profile("/w");
            assert_eq!(to_value(&profile).unwrap(), form);
            assert_eq!(from_value::<PermissionProfile>(form).unwrap(), profile);
        }
    }

    #[test]
    fn a_profile_of_an_old_rollout_is_read() {
        let old = json!({"network": {"enabled": true}, "file_system": {"write": ["/w"]}});
        let entry = FileSystemEntry {
            path: EntryPath::Path { path: "/w".into() },
            access: AccessMode::Write,
            missing_path_behavior: None,
        };
        let file_system = FileSystemProfile::Restricted { entries: vec![entry], glob_scan_max_depth: None };
        let profile = PermissionProfile::Managed { file_system, network: NetworkAccess::Enabled };
        assert_eq!(from_value::<PermissionProfile>(old).unwrap(), profile);
    }
}
