//! The home, and the configuration that is read there.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock, statvfs};
use rustix::io::Errno;

use super::report::Check;
use crate::config::{Reading, State};
use crate::home::Homes;
use crate::text::thousands;

/// Less room than this is soon used up: a day of a large tree writes some hundred megabytes.
const LITTLE_ROOM: u64 = 500 * 1024 * 1024;
/// With less than this the first tree may come to a stop.
const NO_ROOM: u64 = 10 * 1024 * 1024;

/// Where rollouts are kept, why there, and whether they can be.
pub fn check(homes: &Homes, by_flag: bool) -> Check {
    const NAME: &str = "home";
    let home = &homes.home;
    let why = match (by_flag, homes.by_codex_home) {
        (true, _) => "by --home",
        (_, true) => "by CODEX_HOME",
        _ if env::var_os("SAPWOOD_HOME").is_some_and(|value| !value.is_empty()) => "by SAPWOOD_HOME",
        _ => "the usual place",
    };
    let kind = if homes.is_codex() { ", a Codex home" } else { "" };
    let says = format!("{} ({why}{kind})", home.display());
    let there = nearest(home);
    if !there.is_dir() {
        let what = format!("{says}: {} is no directory", there.display());
        return Check::failure(NAME, what, "name another place with --home, or move what is there away");
    }
    if access(&there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let what = format!("{says}: nothing can be written in {}", there.display());
        return Check::failure(NAME, what, "change its owner or its rights, or name another place with --home");
    }
    if let Err(error) = can_lock(&there) {
        let what = format!("{says}: this file system gives no locks: {error}");
        return Check::failure(
            NAME,
            what,
            "keep the home on a local disk: without locks two programs write one rollout",
        );
    }
    let free = match statvfs(&there) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => return Check::ok(NAME, format!("{says}; its free space cannot be told: {error}")),
    };
    let room = format!("{} MB free", thousands(free / 1_048_576));
    let made = if there == *home { "" } else { "; it is made when it is first needed" };
    let says = format!("{says}, can be written and locked, {room}{made}");
    if free < NO_ROOM {
        return Check::failure(NAME, says, "free some room on that disk: nothing more can be accepted without");
    }
    if free < LITTLE_ROOM {
        return Check::warning(NAME, says, "free some room on that disk");
    }
    Check::ok(NAME, says)
}

/// The path itself, or what is nearest above it.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(path).to_owned()
}

/// A shared lock of the directory itself, for a moment: nobody else locks it, and nothing is made.
fn can_lock(folder: &Path) -> Result<(), std::io::Error> {
    match flock(&File::open(folder)?, FlockOperation::NonBlockingLockShared) {
        Ok(()) | Err(Errno::WOULDBLOCK) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The files that the configuration comes from, and what is wrong with them.
pub fn files(reading: &Reading) -> Check {
    const NAME: &str = "configuration";
    const TODO: &str = "see `sapwood config check`";
    let read: Vec<String> = reading
        .files
        .iter()
        .filter(|file| file.state != State::Missing)
        .map(|file| format!("{} ({})", file.source.path.display(), file.state.name()))
        .collect();
    let errors = reading.problems.iter().filter(|problem| problem.exit.is_some()).count();
    let warnings = reading.problems.len() - errors;
    let files = match read.len() {
        0 => "no file: everything is as it is without one".to_owned(),
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    };
    let mut details: Vec<String> = reading.problems.iter().map(|problem| problem.message.clone()).collect();
    details.extend(read);
    match (errors, warnings) {
        (0, 0) => Check::ok(NAME, files),
        (0, n) => Check::warning(NAME, format!("{files}, {n} that should be looked at"), TODO),
        (n, _) => Check::failure(NAME, format!("{files}, {n} mistakes: no run can start"), TODO),
    }
    .with(details)
}
