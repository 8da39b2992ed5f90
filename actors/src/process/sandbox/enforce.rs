//! The rules of Landlock, and the order in which the three layers are put on.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope, make_bitflags,
};
use rustix::fs::{FileType, Mode, OFlags};

use super::{SandboxMode, Shortfall, Why, namespaces, protected};

/// Entries of one folder that are named to the kernel one by one: some milliseconds, and far more than a source folder has.
const MAX_ENTRIES: usize = 10_000;

/// The version of Landlock that the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(pub u32);

/// Whether this machine can enforce the restricted modes, by doing it: in a thread of its own, which ends with the restriction. What it
/// can and cannot do beyond Landlock is in [`crate::process::Processes::shortfalls`], since only a process can try that.
///
/// # Errors
///
/// [`Why`] says what is missing and what to do.
pub fn probe() -> Result<Abi, Why> {
    let nowhere = Places { writable: Vec::new(), read_only: Vec::new() };
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| restrict(&nowhere, &mut Vec::new(), false, false)).join();
        outcome.unwrap_or(Err(Why::NotEnforced))
    })
}

/// What a sandbox depends on beside its mode.
pub(in super::super) struct Surroundings<'a> {
    /// Sapwood's own `$TMPDIR`, never the command's, which could name any place.
    pub tmpdir: Option<&'a Path>,
    /// The process's current directory.
    pub cwd: &'a Path,
    /// Whether stdin is a terminal of the command's own.
    pub terminal: bool,
}

/// Restricts this process, which has one thread, and everything it starts, for good. Says what it could not do as it should.
pub(in super::super) fn enforce(mode: &SandboxMode, around: &Surroundings) -> Result<Vec<Shortfall>, Why> {
    if matches!(mode, SandboxMode::DangerFullAccess) {
        return Ok(Vec::new());
    }
    let network_access = mode.network_access();
    let mut places = Places::of(mode, around)?;
    let isolated = namespaces::isolate(&places.read_only, network_access)?;
    let mut shortfalls = Vec::new();
    if let Err(reason) = isolated.network {
        shortfalls.push(Shortfall::OnlyTcpRefused { reason });
    }
    if isolated.mounts.is_ok() {
        places.read_only.clear();
        // Entered anew: a folder that was entered before is beneath the mounts.
        std::env::set_current_dir(around.cwd).map_err(|source| Why::Root { root: around.cwd.into(), source })?;
    }
    let mut frozen = Vec::new();
    namespaces::lay_down_rights()?;
    restrict(&places, &mut frozen, network_access, around.terminal)?;
    if let (Err(reason), false) = (isolated.mounts, frozen.is_empty()) {
        shortfalls.push(Shortfall::FrozenFolders { folders: frozen, reason });
    }
    Ok(shortfalls)
}

/// Where may be written, and what of it may not.
struct Places {
    writable: Vec<(PathBuf, OwnedFd)>,
    read_only: Vec<PathBuf>,
}

impl Places {
    fn of(mode: &SandboxMode, around: &Surroundings) -> Result<Self, Why> {
        let SandboxMode::WorkspaceWrite { roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } = mode else {
            return Ok(Self { writable: Vec::new(), read_only: Vec::new() });
        };
        let mut writable = Vec::new();
        for root in roots {
            writable.push((root.clone(), exactly(root)?));
        }
        let slash_tmp = (!exclude_slash_tmp).then_some(Path::new("/tmp"));
        let tmpdir = around.tmpdir.filter(|_| !exclude_tmpdir_env_var);
        for scratch in [slash_tmp, tmpdir].into_iter().flatten() {
            if let (Ok(folder), Ok(path)) = (open(scratch), scratch.canonicalize()) {
                writable.push((path, folder));
            }
        }
        let paths: Vec<PathBuf> = writable.iter().map(|(path, _)| path.clone()).collect();
        let read_only = protected::within(roots, &paths, around.cwd);
        Ok(Self { writable, read_only })
    }
}

fn restrict(places: &Places, frozen: &mut Vec<PathBuf>, network_access: bool, terminal: bool) -> Result<Abi, Why> {
    let mut rules = base_rules(network_access, terminal)?;
    for (path, folder) in &places.writable {
        rules = allow_around(rules, path, folder, &places.read_only, frozen)?;
    }
    match rules.restrict_self()? {
        status if !status.no_new_privs => Err(Why::NotEnforced),
        status => match status.landlock {
            LandlockStatus::Available { effective_abi, kernel_abi } => {
                let known = effective_abi as u32;
                Ok(Abi(kernel_abi.and_then(|abi| u32::try_from(abi).ok()).unwrap_or(known)))
            }
            _ => Err(Why::NotEnforced),
        },
    }
}

/// What the restricted modes share: read and execute anywhere, write to devices that keep nothing.
fn base_rules(network_access: bool, terminal: bool) -> Result<RulesetCreated, Why> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V4))?;
    if !network_access {
        rules = rules.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    let mut rules = rules
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::IoctlDev)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let whole = open(Path::new("/")).map_err(|source| Why::Root { root: "/".into(), source })?;
    rules = allow(rules, &whole, AccessFs::from_read(ABI::V4))?;
    let write = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
    for (device, access) in [
        ("/dev/null", write | AccessFs::IoctlDev),
        ("/dev/zero", write | AccessFs::IoctlDev),
        ("/dev/full", write | AccessFs::IoctlDev),
        ("/dev/random", write),
        ("/dev/urandom", write),
        // It stands for the terminal of the session, which is the command's own: it has one of ours, or none.
        ("/dev/tty", write | AccessFs::IoctlDev),
    ] {
        if let Ok(device) = open(Path::new(device)) {
            rules = allow(rules, &device, access)?;
        }
    }
    if terminal && let Ok(terminal) = open(Path::new("/proc/self/fd/0")) {
        rules = allow(rules, &terminal, write | AccessFs::IoctlDev)?;
    }
    Ok(rules)
}

/// Allows everything beneath the folder but in what is protected. Where that is beneath it, the folder itself gets no right, for a
/// right holds for everything beneath: its entries get them one by one.
fn allow_around(
    mut rules: RulesetCreated,
    path: &Path,
    folder: &OwnedFd,
    protected: &[PathBuf],
    frozen: &mut Vec<PathBuf>,
) -> Result<RulesetCreated, Why> {
    if protected.iter().any(|place| place == path) {
        return Ok(rules);
    }
    if !protected.iter().any(|place| place.starts_with(path)) {
        return allow(rules, folder, rights_over(folder));
    }
    if frozen.iter().any(|done| done == path) {
        return Ok(rules);
    }
    frozen.push(path.to_owned());
    let failed = |source| Why::Protected { path: path.to_owned(), source };
    // Through the open folder: the path may lead elsewhere by now.
    let entries = fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())).map_err(failed)?;
    for (count, entry) in entries.enumerate() {
        if count == MAX_ENTRIES {
            return Err(Why::TooManyEntries { folder: path.to_owned(), limit: MAX_ENTRIES });
        }
        let name = entry.map_err(failed)?.file_name();
        // What cannot be opened, or went away, cannot be written either.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::openat(folder, &name, flags, Mode::empty()) else {
            continue;
        };
        if kind(&opened) != Some(FileType::Symlink) {
            rules = allow_around(rules, &path.join(name), &opened, protected, frozen)?;
        }
    }
    Ok(rules)
}

fn kind(file: &OwnedFd) -> Option<FileType> {
    rustix::fs::fstat(file).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
}

fn rights_over(place: &OwnedFd) -> BitFlags<AccessFs> {
    match kind(place) {
        Some(FileType::Directory) => AccessFs::from_all(ABI::V5),
        _ => AccessFs::from_file(ABI::V5),
    }
}

fn allow(rules: RulesetCreated, place: &OwnedFd, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Why> {
    Ok(rules.add_rule(PathBeneath::new(place, access))?)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a root and makes sure that it is the place it names: the check and the rule are about the same open file.
fn exactly(root: &Path) -> Result<OwnedFd, Why> {
    let failed = |source| Why::Root { root: root.to_owned(), source };
    let place = open(root).map_err(failed)?;
    let found = fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(failed)?;
    // Compared by components, so that a trailing slash is no difference.
    if found == root { Ok(place) } else { Err(Why::RootMoved { root: root.to_owned(), found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_the_caller_unrestricted() {
        assert!(probe().unwrap() >= Abi(4));
        tempfile::tempdir().unwrap();
        std::thread::spawn(|| tempfile::tempdir().unwrap()).join().unwrap();
    }

    /// What a machine without namespaces gets, tried in a thread that ends with it.
    #[test]
    fn without_mounts_a_protected_place_freezes_the_folders_around_it_and_nothing_else() {
        let site = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let root = site.path().canonicalize().unwrap();
        for folder in [".git", "src", "sub/.codex", "sub/deep"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["file", ".git/config", "sub/.codex/config"] {
            fs::write(root.join(file), "before").unwrap();
        }
        let places = Places {
            writable: vec![(root.clone(), open(&root).unwrap())],
            read_only: vec![root.join(".git"), root.join("sub/.codex")],
        };
        let (frozen, allowed) = std::thread::scope(|scope| {
            let tried = scope.spawn(|| {
                let mut frozen = Vec::new();
                restrict(&places, &mut frozen, false, false).unwrap();
                let files = [
                    "file",
                    "src/new",
                    "sub/deep/new",
                    "new",
                    "sub/new",
                    ".git/config",
                    ".git/new",
                    "sub/.codex/config",
                ];
                let writes = files.map(|file| (file, fs::write(root.join(file), "after").is_ok()));
                let moved = fs::rename(root.join(".git"), root.join("src/git")).is_ok();
                let linked = fs::hard_link(root.join(".git/config"), root.join("src/config")).is_ok();
                (frozen, (writes, moved, linked))
            });
            tried.join().unwrap()
        });
        assert_eq!(frozen, [root.clone(), root.join("sub")]);
        let expected = [
            ("file", true),
            ("src/new", true),
            ("sub/deep/new", true),
            ("new", false),
            ("sub/new", false),
            (".git/config", false),
            (".git/new", false),
            ("sub/.codex/config", false),
        ];
        assert_eq!(allowed, (expected, false, false));
    }
}
