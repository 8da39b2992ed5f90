//! Looking over a home without reading it: which rollouts are there, and whether they changed.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::tz::TimeZone;
use sapwood_protocol::{Millis, ThreadId};
use serde::{Deserialize, Serialize};

use super::index::Place;
use super::{FileJournal, failed};
use crate::port::OpenError;

/// A rollout that is there, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The thread.
    pub thread: ThreadId,
    /// When it was made, to the second, as far as its name can tell.
    pub created: Millis,
    /// Changes whenever the rollout does.
    pub stamp: FileStamp,
    /// It is archived.
    pub archived: bool,
    /// Where it is: for the one field in which clients expect that.
    pub place: String,
}

/// Two equal stamps of one rollout mean that nothing was written between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// How long it is, in bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified: u64,
}

impl FileJournal {
    /// All rollouts that can be read, archived ones too: one look at each file, and none into it. 10,000 take some 30 ms.
    pub fn survey(&self) -> Result<Vec<Found>, OpenError> {
        let places = self.index.scan().map_err(|error| failed("search", &self.home, &error))?;
        let zone = TimeZone::system();
        // What is gone since the scan was archived or deleted.
        let found = |place: &Place| found(place, &zone).ok();
        Ok(places.iter().filter(|place| !place.name.compressed).filter_map(found).collect())
    }

    /// One rollout, looked at and not read.
    pub fn look(&self, thread: ThreadId) -> Result<Found, OpenError> {
        let look = |journal: &Self| {
            let place = journal.find(thread)?;
            found(&place, &TimeZone::system()).map_err(|error| failed("look at", &place.path, &error))
        };
        look(self).or_else(|_| {
            // It may have been archived, or back, since it was last found.
            self.index.forget(thread);
            look(self)
        })
    }
}

fn found(place: &Place, zone: &TimeZone) -> std::io::Result<Found> {
    let metadata = fs::metadata(&place.path)?;
    let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    let stamp = FileStamp { bytes: metadata.len(), modified: u64::try_from(modified).unwrap_or_default() };
    Ok(Found {
        thread: place.name.thread,
        created: place.name.created(zone).unwrap_or(Millis(stamp.modified / 1_000_000)),
        stamp,
        archived: place.archived,
        place: place.path.to_string_lossy().into_owned(),
    })
}
