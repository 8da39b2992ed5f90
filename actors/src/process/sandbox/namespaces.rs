//! A world of its own for one command: read-only mounts, and no network.
//!
//! For a process of one thread that is about to become the command: a user namespace cannot be entered by one thread of many.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, open};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind_recursive, mount_change, mount_remount};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::Why;

/// What came of it; each reason is the system's.
#[derive(Debug)]
pub(super) struct Isolated {
    /// The protected places are read-only.
    pub mounts: Result<(), String>,
    /// There is no network.
    pub network: Result<(), String>,
}

/// Makes the places read-only and the network unreachable, as far as this system lets us.
///
/// # Errors
///
/// [`Why::Identity`]: a user namespace was entered and cannot be used; there is no way back.
pub(super) fn isolate(read_only: &[PathBuf], network_access: bool) -> Result<Isolated, Why> {
    let mounts = if read_only.is_empty() { UnshareFlags::empty() } else { UnshareFlags::NEWNS };
    let network = if network_access { UnshareFlags::empty() } else { UnshareFlags::NEWNET };
    let mut refused = None;
    // The most first. One without the other is for systems that allow only one of them.
    for wanted in [mounts | network, mounts, network] {
        if wanted.is_empty() {
            continue;
        }
        match enter(wanted) {
            Ok(()) => {
                let no = |flag| if wanted.contains(flag) { Ok(()) } else { Err(reason(refused)) };
                let mut isolated = Isolated { mounts: no(mounts), network: no(network) };
                if wanted.contains(UnshareFlags::NEWNS) {
                    isolated.mounts = protect(read_only).map_err(|error| error.to_string());
                }
                return Ok(isolated);
            }
            Err(Entering::Refused(error)) => refused = refused.or(Some(error)),
            Err(Entering::Halfway(error)) => return Err(Why::Identity(error)),
        }
    }
    let outcome = |wanted: UnshareFlags| if wanted.is_empty() { Ok(()) } else { Err(reason(refused)) };
    Ok(Isolated { mounts: outcome(mounts), network: outcome(network) })
}

fn reason(refused: Option<rustix::io::Errno>) -> String {
    refused.map_or_else(String::new, |error| io::Error::from(error).to_string())
}

enum Entering {
    Refused(rustix::io::Errno),
    Halfway(io::Error),
}

/// With our own rights if they suffice: then every user and group keeps its name. With a user namespace otherwise, in which we are who
/// we were and everybody else is nobody.
fn enter(wanted: UnshareFlags) -> Result<(), Entering> {
    if unshare(wanted).is_ok() {
        return Ok(());
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(wanted | UnshareFlags::NEWUSER).map_err(Entering::Refused)?;
    // Without it the kernel takes no group map from those who are not root outside.
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{group} {group} 1")))
        .map_err(Entering::Halfway)
}

#[expect(
    deprecated,
    reason = "marked so because unsharing the table of descriptors is unsound; none of these flags does, and this process has one thread"
)]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

fn protect(places: &[PathBuf]) -> io::Result<()> {
    // What is mounted outside still arrives; what we mount stays here.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    places.iter().try_for_each(|place| mount_read_only(place))
}

fn mount_read_only(place: &Path) -> io::Result<()> {
    let below = itself(place)?;
    mount_bind_recursive(name(&below), name(&below))?;
    // Opened again: this one is on the new mount.
    let mounted = itself(place)?;
    let before = fstatvfs(&mounted)?.f_flag;
    // A mount's other flags have to be repeated, or the kernel takes it for an attempt to get rid of them.
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| before.contains(*flag)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, MountFlags::union);
    mount_remount(name(&mounted), flags, "")?;
    if fstatvfs(&itself(place)?)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    Err(io::Error::other(format!("{place:?} was mounted read-only and can be written")))
}

/// The place and not what it links to.
fn itself(place: &Path) -> io::Result<OwnedFd> {
    Ok(open(place, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// A name that leads to exactly what is open, whatever has become of its path.
fn name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What a restricted command of root's keeps: rights over files, and to become others. Not those over the machine, with which it
/// could leave its namespaces, make devices or load code into the kernel.
const KEPT_RIGHTS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Lays down rights over the machine, for good. Others than root lose all of them by exec, once none is ambient.
pub(super) fn lay_down_rights() -> Result<(), Why> {
    let failed = |error: rustix::io::Errno| Why::Rights(error.into());
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let sets = rustix::thread::capabilities(None).map_err(failed)?;
    if !KEPT_RIGHTS.contains(sets.permitted) {
        for bit in 0..u64::BITS {
            let right = CapabilitySet::from_bits_retain(1 << bit);
            // An error is the end of the rights that this kernel knows.
            match rustix::thread::capability_is_in_bounding_set(right) {
                Ok(true) if !KEPT_RIGHTS.contains(right) => {
                    rustix::thread::remove_capability_from_bounding_set(right).map_err(failed)?;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    let kept = CapabilitySets {
        effective: sets.effective & KEPT_RIGHTS,
        permitted: sets.permitted & KEPT_RIGHTS,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, kept).map_err(failed)
}
