//! Codex's names: where a rollout is, and what its name says.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sapwood_protocol::{Millis, ThreadId};

use super::index::Place;

/// The name of a rollout: `rollout-<local time>-<thread>[_<segment>].jsonl[.zst]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) thread: ThreadId,
    /// `YYYY-MM-DDThh-mm-ss`, which sorts by time.
    pub(super) stamp: String,
    /// The later part of a thread that was reverted; a UUIDv7, so it sorts by time too.
    pub(super) segment: Option<String>,
    pub(super) compressed: bool,
}

const STAMP: &str = "%Y-%m-%dT%H-%M-%S";
const STAMP_BYTES: usize = 19;
const UUID_BYTES: usize = 36;

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (name, compressed) = match name.strip_suffix(".zst") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let rest = name.strip_prefix("rollout-")?.strip_suffix(".jsonl")?;
        let (stamp, rest) = rest.split_at_checked(STAMP_BYTES)?;
        let (thread, segment) = rest.strip_prefix('-')?.split_at_checked(UUID_BYTES)?;
        let segment = match segment {
            "" => None,
            segment => Some(segment.strip_prefix('_')?.parse::<ThreadId>().ok()?.to_string()),
        };
        let thread = thread.parse().ok()?;
        Some(Self { thread, stamp: stamp.to_owned(), segment, compressed })
    }

    /// When the rollout was made, as far as a name in local time can tell.
    pub(super) fn created(&self, zone: &TimeZone) -> Option<Millis> {
        let local: DateTime = strtime::parse(STAMP, &self.stamp).ok()?.to_datetime().ok()?;
        let at = local.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond();
        Some(Millis(at.try_into().ok()?))
    }

    /// Orders the rollouts of one thread: the largest is the live one.
    pub(super) fn age(&self) -> (&str, Option<&str>, bool) {
        (&self.stamp, self.segment.as_deref(), !self.compressed)
    }
}

/// Where a new thread belongs.
pub(super) fn place(home: &Path, thread: ThreadId, created: Millis, zone: &TimeZone) -> Place {
    // A clock that is off by ten thousand years still gets a folder.
    let at = i64::try_from(created.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    let local = at.to_zoned(zone.clone()).datetime();
    let stamp = local.strftime(STAMP).to_string();
    let path = home
        .join("sessions")
        .join(local.strftime("%Y/%m/%d").to_string())
        .join(format!("rollout-{stamp}-{thread}.jsonl"));
    Place { name: Name { thread, stamp, segment: None, compressed: false }, path, archived: false }
}

/// Gives a file its name, unless there is one of that name.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without that flag; a second link does not replace anything either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: &str = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
    const SEGMENT: &str = "01a1fb6b-7ee5-7d33-b163-d9a54ba1f4cb";

    #[test]
    fn names_are_in_local_time_and_come_back() {
        let thread: ThreadId = THREAD.parse().unwrap();
        let at = Millis(1_795_219_433_341);
        let in_zone = |hours: i8| {
            let zone = TimeZone::fixed(jiff::tz::offset(hours));
            let place = place(Path::new("/home"), thread, at, &zone);
            let name = place.path.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(Name::parse(&name), Some(place.name.clone()));
            assert_eq!(place.name.created(&zone), Some(Millis(1_795_219_433_000)));
            place.path.to_str().unwrap().to_owned()
        };
        assert_eq!(in_zone(0), format!("/home/sessions/2026/11/21/rollout-2026-11-21T00-03-53-{THREAD}.jsonl"));
        assert_eq!(in_zone(-3), format!("/home/sessions/2026/11/20/rollout-2026-11-20T21-03-53-{THREAD}.jsonl"));
        assert_eq!(in_zone(9), format!("/home/sessions/2026/11/21/rollout-2026-11-21T09-03-53-{THREAD}.jsonl"));
    }

    #[test]
    fn segments_and_compressed_names() {
        let stamp = "2026-11-21T00-03-53";
        let name = Name::parse(&format!("rollout-{stamp}-{THREAD}_{SEGMENT}.jsonl.zst")).unwrap();
        assert_eq!(name.age(), (stamp, Some(SEGMENT), false));
        assert!(name.age() > Name::parse(&format!("rollout-{stamp}-{THREAD}.jsonl")).unwrap().age());
        let bad = [
            format!("rollout-{stamp}-{THREAD}"),
            format!("rollout-{stamp}-{THREAD}.json"),
            format!("rollout-{stamp}-{THREAD}{SEGMENT}.jsonl"),
            format!("rollout-{stamp}-{THREAD}_.jsonl"),
            format!("rollout-{stamp}-{}.jsonl", &THREAD[1..]),
            format!(".unborn-{THREAD}"),
            "rollout-é.jsonl".to_owned(),
            "rollout-.jsonl".to_owned(),
        ];
        for name in bad {
            assert_eq!(Name::parse(&name), None, "{name}");
        }
    }
}
