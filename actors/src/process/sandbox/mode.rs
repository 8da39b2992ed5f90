//! The modes, and their order: what is within what, by names alone.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Why;
use super::protected::NAMES;

/// What a command may touch. Ordered by width: everything is within `DangerFullAccess`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Reads and executes; writes nothing but a few harmless devices.
    ReadOnly {
        /// Whether it may use the network.
        #[serde(default, skip_serializing_if = "is_false")]
        network_access: bool,
    },
    /// As `ReadOnly`, and writes beneath the roots, `/tmp` and sapwood's own `$TMPDIR`; but not to `.git`, `.codex` and `.agents` in a
    /// root, or in a folder between a root and the command's directory.
    WorkspaceWrite {
        /// Absolute directories, without a symbolic link or `..` anywhere: see [`SandboxMode::resolved`]. One that leads elsewhere
        /// when the command starts is refused, for else a parent's command could widen its child's root by swapping it for a link.
        roots: Vec<PathBuf>,
        /// Whether it may use the network.
        #[serde(default, skip_serializing_if = "is_false")]
        network_access: bool,
        /// Whether sapwood's own `$TMPDIR` stays read-only.
        #[serde(default, skip_serializing_if = "is_false")]
        exclude_tmpdir_env_var: bool,
        /// Whether `/tmp` stays read-only.
        #[serde(default, skip_serializing_if = "is_false")]
        exclude_slash_tmp: bool,
    },
    /// No restriction by us.
    DangerFullAccess,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

impl SandboxMode {
    /// Reads only, without network: what a command gets when nobody decided otherwise.
    pub const READ_ONLY: Self = Self::ReadOnly { network_access: false };

    /// Writes beneath these and in the usual places for temporary files, without network.
    pub fn workspace(roots: Vec<PathBuf>) -> Self {
        Self::WorkspaceWrite { roots, network_access: false, exclude_tmpdir_env_var: false, exclude_slash_tmp: false }
    }

    /// Whether the network may be used.
    pub fn network_access(&self) -> bool {
        match self {
            Self::ReadOnly { network_access } | Self::WorkspaceWrite { network_access, .. } => *network_access,
            Self::DangerFullAccess => true,
        }
    }

    /// The same mode with every root as the file system knows it now. For roots that come from a person or a configuration, once;
    /// not for those recorded in a rollout, which have to stay what they were.
    ///
    /// # Errors
    ///
    /// [`Why::Root`] names the first root that does not exist or cannot be reached.
    pub fn resolved(mut self) -> Result<Self, Why> {
        if let Self::WorkspaceWrite { roots, .. } = &mut self {
            for root in roots {
                *root = root.canonicalize().map_err(|source| Why::Root { root: root.clone(), source })?;
            }
        }
        Ok(self)
    }

    /// Whether this grants nothing that `other` does not.
    ///
    /// By names: what a `.git` file of a root points to is protected when a command starts, and not known here.
    pub fn is_within(&self, other: &Self) -> bool {
        if self.network_access() && !other.network_access() {
            return false;
        }
        match (self, other) {
            (Self::ReadOnly { .. }, _) | (_, Self::DangerFullAccess) => true,
            (
                Self::WorkspaceWrite { roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. },
                Self::WorkspaceWrite {
                    roots: outer,
                    exclude_tmpdir_env_var: no_tmpdir,
                    exclude_slash_tmp: no_slash_tmp,
                    ..
                },
            ) => {
                (*exclude_tmpdir_env_var || !no_tmpdir)
                    && (*exclude_slash_tmp || !no_slash_tmp)
                    && roots.iter().all(|root| is_beneath_any(root, outer))
            }
            _ => false,
        }
    }

    /// The widest mode that is within both: a child's rights, from what it asks for and what its parent has.
    #[must_use]
    pub fn narrower(self, other: Self) -> Self {
        let network_access = self.network_access() && other.network_access();
        match (self, other) {
            (Self::ReadOnly { .. }, _) | (_, Self::ReadOnly { .. }) => Self::ReadOnly { network_access },
            (one, Self::DangerFullAccess) | (Self::DangerFullAccess, one) => one,
            (
                Self::WorkspaceWrite { roots: ours, exclude_tmpdir_env_var, exclude_slash_tmp, .. },
                Self::WorkspaceWrite {
                    roots: theirs,
                    exclude_tmpdir_env_var: no_tmpdir,
                    exclude_slash_tmp: no_slash_tmp,
                    ..
                },
            ) => {
                let mut roots: Vec<PathBuf> =
                    ours.iter().filter(|root| is_beneath_any(root, &theirs)).cloned().collect();
                roots.extend(theirs.into_iter().filter(|root| is_beneath_any(root, &ours)));
                // So that the order of the two does not show.
                roots.sort();
                roots.dedup();
                Self::WorkspaceWrite {
                    roots,
                    network_access,
                    exclude_tmpdir_env_var: exclude_tmpdir_env_var || no_tmpdir,
                    exclude_slash_tmp: exclude_slash_tmp || no_slash_tmp,
                }
            }
        }
    }
}

fn is_beneath_any(inner: &Path, outer: &[PathBuf]) -> bool {
    outer.iter().any(|outer| is_beneath(inner, outer))
}

/// By names alone; a path with `..`, or a relative one, is beneath nothing, and so is what a root protects: as a root of its own it
/// would be writable.
fn is_beneath(inner: &Path, outer: &Path) -> bool {
    let is_plain = |path: &Path| path.is_absolute() && path.components().all(|part| part != Component::ParentDir);
    let is_protected = |part: Component| NAMES.iter().any(|name| part.as_os_str() == *name);
    is_plain(inner)
        && is_plain(outer)
        && inner.strip_prefix(outer).is_ok_and(|rest| !rest.components().any(is_protected))
}

#[cfg(test)]
mod tests {
    use super::SandboxMode::DangerFullAccess;
    use super::*;

    const READ_ONLY: SandboxMode = SandboxMode::READ_ONLY;
    const READ_AND_NETWORK: SandboxMode = SandboxMode::ReadOnly { network_access: true };

    fn workspace(roots: &[&str]) -> SandboxMode {
        SandboxMode::workspace(roots.iter().map(PathBuf::from).collect())
    }

    fn with(
        roots: &[&str],
        network_access: bool,
        exclude_tmpdir_env_var: bool,
        exclude_slash_tmp: bool,
    ) -> SandboxMode {
        let roots = roots.iter().map(PathBuf::from).collect();
        SandboxMode::WorkspaceWrite { roots, network_access, exclude_tmpdir_env_var, exclude_slash_tmp }
    }

    #[test]
    fn the_names_are_codexs_and_what_is_usual_is_not_written() {
        let cases = [
            (READ_ONLY, r#"{"type":"read-only"}"#),
            (READ_AND_NETWORK, r#"{"type":"read-only","network_access":true}"#),
            (DangerFullAccess, r#"{"type":"danger-full-access"}"#),
            (workspace(&["/a"]), r#"{"type":"workspace-write","roots":["/a"]}"#),
            (
                with(&[], true, true, true),
                r#"{"type":"workspace-write","roots":[],"network_access":true,"exclude_tmpdir_env_var":true,"exclude_slash_tmp":true}"#,
            ),
        ];
        for (mode, text) in cases {
            assert_eq!(serde_json::to_string(&mode).unwrap(), text);
            assert_eq!(serde_json::from_str::<SandboxMode>(text).unwrap(), mode);
        }
    }

    #[test]
    fn the_narrower_of_two_is_within_both() {
        let cases = [
            (READ_ONLY, DangerFullAccess, READ_ONLY),
            (READ_AND_NETWORK, DangerFullAccess, READ_AND_NETWORK),
            (READ_AND_NETWORK, READ_ONLY, READ_ONLY),
            (workspace(&["/a"]), READ_ONLY, READ_ONLY),
            (workspace(&["/a"]), READ_AND_NETWORK, READ_ONLY),
            (with(&["/a"], true, false, false), READ_AND_NETWORK, READ_AND_NETWORK),
            (workspace(&["/a"]), DangerFullAccess, workspace(&["/a"])),
            (DangerFullAccess, DangerFullAccess, DangerFullAccess),
            (workspace(&["/a/b", "/c"]), workspace(&["/a", "/c/d"]), workspace(&["/a/b", "/c/d"])),
            (workspace(&["/a"]), workspace(&["/a/"]), workspace(&["/a"])),
            (workspace(&["/a"]), workspace(&["/ab"]), workspace(&[])),
            (workspace(&["/a/../b"]), workspace(&["/a"]), workspace(&[])),
            (workspace(&["a"]), workspace(&["a"]), workspace(&[])),
            (workspace(&["/a/.git", "/a/b/.codex/c"]), workspace(&["/a"]), workspace(&[])),
            (workspace(&["/a/.git/b"]), workspace(&["/a/.git"]), workspace(&["/a/.git/b"])),
            (with(&["/a"], true, true, false), with(&["/a"], true, false, true), with(&["/a"], true, true, true)),
            (with(&[], true, false, false), with(&[], false, false, false), workspace(&[])),
        ];
        for (one, other, expected) in cases {
            for (one, other) in [(&one, &other), (&other, &one)] {
                let narrower = one.clone().narrower(other.clone());
                assert_eq!(narrower, expected, "{one:?} and {other:?}");
                assert!(narrower.is_within(one) && narrower.is_within(other), "{narrower:?} in {one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn what_grants_more_is_not_within() {
        let cases = [
            (DangerFullAccess, with(&["/"], true, false, false)),
            (workspace(&[]), READ_ONLY),
            (workspace(&[]), with(&[], false, true, false)),
            (workspace(&[]), with(&[], false, false, true)),
            (with(&[], true, false, false), workspace(&[])),
            (READ_AND_NETWORK, workspace(&["/"])),
            (workspace(&["/a/.agents"]), workspace(&["/a"])),
        ];
        for (wide, narrow) in cases {
            assert!(!wide.is_within(&narrow), "{wide:?} in {narrow:?}");
            assert!(wide.is_within(&wide) && wide.is_within(&DangerFullAccess));
        }
    }
}
