//! What a command may touch, and how the kernel is made to enforce it: Landlock, applied by the command's own process before exec.
//!
//! Landlock restricts a process for good, with everything it will ever start, and looks at the file that is opened and not at the
//! path that led there, so links and renames do not get around it. Reading and executing stay free in every mode; so does git.
//!
//! *Hard requirements*, without which a restricted command is refused: every kind of writing, creating, removing, renaming, linking
//! and truncating, and TCP bind and connect (ABI 4, Linux 6.7). *Where the kernel has it*: device ioctls (ABI 5), signals and
//! abstract Unix sockets beyond the sandbox (ABI 6). *Not covered by Landlock*: UDP, Unix sockets that have a path, file modes and
//! owners (`chmod`, `chown`, `touch -t`), and read access.

use std::io;
use std::path::{Component, Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

/// What a command may touch. Ordered by width: `ReadOnly` is within everything, everything is within `DangerFullAccess`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Reads and executes; writes nothing but a few harmless devices; no TCP.
    ReadOnly,
    /// As `ReadOnly`, and writes beneath the roots, `/tmp` and sapwood's own `$TMPDIR`.
    WorkspaceWrite {
        /// Absolute directories, without a symbolic link or `..` anywhere: see [`SandboxMode::resolved`]. One that leads elsewhere
        /// when the command starts is refused, for else a parent's command could widen its child's root by swapping it for a link.
        roots: Vec<PathBuf>,
    },
    /// No restriction by us.
    DangerFullAccess,
}

impl SandboxMode {
    /// The same mode with every root as the file system knows it now. For roots that come from a person or a configuration, once;
    /// not for those recorded in a rollout, which have to stay what they were.
    ///
    /// # Errors
    ///
    /// [`Why::Root`] names the first root that does not exist or cannot be reached.
    pub fn resolved(self) -> Result<Self, Why> {
        let Self::WorkspaceWrite { roots } = self else {
            return Ok(self);
        };
        let resolve = |root: PathBuf| root.canonicalize().map_err(|source| Why::Root { root, source });
        Ok(Self::WorkspaceWrite { roots: roots.into_iter().map(resolve).collect::<Result<_, _>>()? })
    }

    /// Whether this grants nothing that `other` does not.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ReadOnly, _) | (_, Self::DangerFullAccess) => true,
            (Self::WorkspaceWrite { roots }, Self::WorkspaceWrite { roots: outer }) => {
                roots.iter().all(|root| outer.iter().any(|outer| is_beneath(root, outer)))
            }
            _ => false,
        }
    }

    /// The widest mode that is within both: a child's rights, from what it asks for and what its parent has.
    #[must_use]
    pub fn narrower(self, other: Self) -> Self {
        match (self, other) {
            (Self::ReadOnly, _) | (_, Self::ReadOnly) => Self::ReadOnly,
            (one, Self::DangerFullAccess) | (Self::DangerFullAccess, one) => one,
            (Self::WorkspaceWrite { roots: ours }, Self::WorkspaceWrite { roots: theirs }) => {
                let in_any = |root: &PathBuf, outer: &[PathBuf]| outer.iter().any(|outer| is_beneath(root, outer));
                let mut roots: Vec<PathBuf> = ours.iter().filter(|root| in_any(root, &theirs)).cloned().collect();
                roots.extend(theirs.into_iter().filter(|root| in_any(root, &ours)));
                // So that the order of the two does not show.
                roots.sort();
                roots.dedup();
                Self::WorkspaceWrite { roots }
            }
        }
    }
}

/// By names alone; a path with `..`, or a relative one, is beneath nothing.
fn is_beneath(inner: &Path, outer: &Path) -> bool {
    let is_plain = |path: &Path| path.is_absolute() && path.components().all(|part| part != Component::ParentDir);
    is_plain(inner) && is_plain(outer) && inner.starts_with(outer)
}

/// The version of Landlock that the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(pub u32);

/// Why a sandbox cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Landlock is missing, turned off or too old.
    #[error(
        "this kernel cannot enforce the sandbox, which needs Landlock ABI 4 (Linux 6.7 or newer, with `landlock` in its `lsm=` list); \
         to run without a sandbox, use `-s danger-full-access`"
    )]
    Kernel(#[source] RulesetError),
    /// Landlock is there, and did not take the rules.
    #[error("the kernel refused the sandbox: {0}; to run without one, use `-s danger-full-access`")]
    Refused(#[source] RulesetError),
    /// A writable root cannot be opened.
    #[error("the writable root {root:?} cannot be used: {source}; create it, or remove it from the writable roots")]
    Root {
        /// The root as given.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A writable root is, or has become, a link to another place.
    #[error("the writable root {root:?} leads to {found:?}; if that is meant, name {found:?} as the root")]
    RootMoved {
        /// The root as given.
        root: PathBuf,
        /// Where it leads.
        found: PathBuf,
    },
    /// The kernel took the rules and did not enforce them.
    #[error("the kernel accepted the sandbox but did not enforce it; to run without one, use `-s danger-full-access`")]
    NotEnforced,
}

impl From<RulesetError> for Why {
    fn from(error: RulesetError) -> Self {
        match error {
            RulesetError::HandleAccesses(_) => Self::Kernel(error),
            _ => Self::Refused(error),
        }
    }
}

/// Whether this machine can enforce the restricted modes, by doing it: in a thread of its own, which ends with the restriction.
///
/// # Errors
///
/// [`Why`] says what is missing and what to do.
pub fn probe() -> Result<Abi, Why> {
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| enforce(&SandboxMode::ReadOnly, None)).join();
        outcome.unwrap_or(Err(Why::NotEnforced)).map(|abi| abi.unwrap_or(Abi(0)))
    })
}

/// Restricts the calling thread and everything it starts, for good. `None`: nothing to enforce.
///
/// `tmpdir` is sapwood's own `$TMPDIR`, never the command's, which could name any place.
pub(super) fn enforce(mode: &SandboxMode, tmpdir: Option<&Path>) -> Result<Option<Abi>, Why> {
    let roots: &[PathBuf] = match mode {
        SandboxMode::DangerFullAccess => return Ok(None),
        SandboxMode::ReadOnly => &[],
        SandboxMode::WorkspaceWrite { roots } => roots,
    };
    let mut rules = base_rules()?;
    if matches!(mode, SandboxMode::WorkspaceWrite { .. }) {
        for root in roots {
            rules = allow(rules, exactly(root)?, everything())?;
        }
        for scratch in [Some(Path::new("/tmp")), tmpdir].into_iter().flatten() {
            if let Ok(folder) = open(scratch) {
                rules = allow(rules, folder, everything())?;
            }
        }
    }
    let status = rules.restrict_self()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } if status.no_new_privs => {
            let known = effective_abi as u32;
            Ok(Some(Abi(kernel_abi.and_then(|abi| u32::try_from(abi).ok()).unwrap_or(known))))
        }
        _ => Err(Why::NotEnforced),
    }
}

/// What the restricted modes share: read and execute anywhere, write to devices that keep nothing.
fn base_rules() -> Result<RulesetCreated, Why> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V4))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::IoctlDev)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let whole = open(Path::new("/")).map_err(|source| Why::Root { root: "/".into(), source })?;
    rules = allow(rules, whole, AccessFs::from_read(ABI::V4))?;
    let write = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
    for (device, access) in [
        ("/dev/null", write | AccessFs::IoctlDev),
        ("/dev/zero", write | AccessFs::IoctlDev),
        ("/dev/full", write | AccessFs::IoctlDev),
        ("/dev/random", write),
        ("/dev/urandom", write),
        ("/dev/tty", write),
    ] {
        if let Ok(device) = open(Path::new(device)) {
            rules = allow(rules, device, access)?;
        }
    }
    Ok(rules)
}

fn everything() -> BitFlags<AccessFs> {
    AccessFs::from_all(ABI::V5)
}

fn allow(rules: RulesetCreated, place: rustix::fd::OwnedFd, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Why> {
    Ok(rules.add_rule(PathBeneath::new(place, access))?)
}

fn open(path: &Path) -> io::Result<rustix::fd::OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a root and makes sure that it is the place it names: the check and the rule are about the same open file.
fn exactly(root: &Path) -> Result<rustix::fd::OwnedFd, Why> {
    use std::os::fd::AsRawFd;
    let failed = |source| Why::Root { root: root.to_owned(), source };
    let place = open(root).map_err(failed)?;
    let found = std::fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(failed)?;
    // Compared by components, so that a trailing slash is no difference.
    if found == root { Ok(place) } else { Err(Why::RootMoved { root: root.to_owned(), found }) }
}

#[cfg(test)]
mod tests {
    use super::SandboxMode::{DangerFullAccess, ReadOnly};
    use super::*;

    fn workspace(roots: &[&str]) -> SandboxMode {
        SandboxMode::WorkspaceWrite { roots: roots.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn the_names_are_codexs() {
        let json = |mode: &SandboxMode| serde_json::to_string(mode).unwrap();
        assert_eq!(json(&ReadOnly), r#"{"type":"read-only"}"#);
        assert_eq!(json(&DangerFullAccess), r#"{"type":"danger-full-access"}"#);
        let some = workspace(&["/a"]);
        assert_eq!(json(&some), r#"{"type":"workspace-write","roots":["/a"]}"#);
        assert_eq!(serde_json::from_str::<SandboxMode>(&json(&some)).unwrap(), some);
    }

    #[test]
    fn the_narrower_of_two_is_within_both() {
        let cases = [
            (ReadOnly, DangerFullAccess, ReadOnly),
            (workspace(&["/a"]), ReadOnly, ReadOnly),
            (workspace(&["/a"]), DangerFullAccess, workspace(&["/a"])),
            (DangerFullAccess, DangerFullAccess, DangerFullAccess),
            (workspace(&["/a/b", "/c"]), workspace(&["/a", "/c/d"]), workspace(&["/a/b", "/c/d"])),
            (workspace(&["/a"]), workspace(&["/a/"]), workspace(&["/a"])),
            (workspace(&["/a"]), workspace(&["/ab"]), workspace(&[])),
            (workspace(&["/a/../b"]), workspace(&["/a"]), workspace(&[])),
            (workspace(&["a"]), workspace(&["a"]), workspace(&[])),
        ];
        for (one, other, expected) in cases {
            for (one, other) in [(&one, &other), (&other, &one)] {
                let narrower = one.clone().narrower(other.clone());
                assert_eq!(narrower, expected, "{one:?} and {other:?}");
                assert!(narrower.is_within(one) && narrower.is_within(other));
            }
        }
        assert!(!DangerFullAccess.is_within(&workspace(&["/"])));
        assert!(!workspace(&[]).is_within(&ReadOnly), "it may write to /tmp");
    }

    #[test]
    fn a_probe_leaves_the_caller_unrestricted() {
        assert!(probe().unwrap() >= Abi(4));
        tempfile::tempdir().unwrap();
        std::thread::spawn(|| tempfile::tempdir().unwrap()).join().unwrap();
    }
}
