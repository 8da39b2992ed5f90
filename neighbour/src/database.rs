//! Opening a database of another program without leaving a trace.
//!
//! SQLite writes when it reads: beside a database in WAL mode it makes an index (`-shm`), and marks in it what it reads.
//! So a database is opened in one of four ways, by what stands beside it:
//! - a log (`-wal`) and its index: read-only, and the index too. With nobody else there SQLite keeps an index of its own
//!   in memory; with Codex there it takes shared locks, which change no byte.
//! - a log without its index, which is what an unclean end leaves: nobody has it open, so both files are copied into a
//!   private folder for the moment of the reading.
//! - a rollback journal, which an unclean end leaves too: read-only, so that SQLite itself says that it has to be played back.
//! - none of these, or an empty log: as a file that does not change, and afterwards it is looked whether that was so.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::TempDir;

use crate::error::Warning;

/// How long a lock of another process is waited for: Codex holds one for the time of a transaction.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a database is read again that changed meanwhile.
const TRIES: usize = 3;

/// The largest database that is copied to be read. Codex's have some hundred KB; this is no place for a larger one.
const MAX_COPY_BYTES: u64 = 256 * 1024 * 1024;

/// The name of a database, and the version that is known: `state_5.sqlite`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) stem: &'static str,
    pub(crate) version: u32,
}

impl Name {
    fn file(self) -> String {
        format!("{}_{}.sqlite", self.stem, self.version)
    }

    /// Where it is in a home.
    pub(crate) fn place(self, home: &Path) -> PathBuf {
        home.join(self.file())
    }
}

/// The versions of a database that are in a home, in no order.
pub(crate) fn versions(home: &Path, name: &Name) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    let version = |file: OsString| {
        let file = file.to_str()?.strip_prefix(name.stem)?.strip_prefix('_')?.strip_suffix(".sqlite")?.to_owned();
        file.parse().ok()
    };
    entries.flatten().filter_map(|entry| version(entry.file_name())).collect()
}

/// Lets `read` ask the database of that name. Nothing is asked where there is none. `read` may be called again, after the
/// database has changed under it.
pub(crate) fn with<T>(
    home: &Path,
    name: &Name,
    mut read: impl FnMut(&Connection) -> Result<T, rusqlite::Error>,
) -> Result<Option<T>, Warning> {
    let place = name.place(home);
    let versions = versions(home, name);
    if let Some(newer) = versions.iter().copied().max().filter(|newest| *newest > name.version) {
        let place = Name { version: newer, ..*name }.place(home);
        return Err(Warning::Newer { place, known: name.file() });
    }
    if !versions.contains(&name.version) {
        return Ok(None);
    }
    for _ in 0..TRIES {
        let before = State::of(&place).map_err(|error| unreadable(&place, &error))?;
        let (connection, _copy) = open(&place, &before)?;
        let result = read(&connection);
        // Only what was taken for unchanging can have changed unseen: elsewhere SQLite's own locks see to it.
        let is_same = before.has_log() || State::of(&place).is_ok_and(|after| after == before);
        if is_same {
            return result.map(Some).map_err(|error| warning(&place, &error));
        }
    }
    Err(Warning::Changing { place })
}

/// What stands beside a database, and whether the database is the same one.
#[derive(Debug, PartialEq)]
struct State {
    main: Seen,
    log: Option<Seen>,
    has_index: bool,
    has_journal: bool,
}

/// A file, as far as it says whether it has changed: inode, length, and time of the last change in nanoseconds.
#[derive(Debug, PartialEq)]
struct Seen(u64, u64, i64, i64);

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
    }
}

impl State {
    fn of(place: &Path) -> io::Result<Self> {
        let look = |end: &str| match fs::metadata(beside(place, end)) {
            Ok(metadata) => Ok(Some(Seen::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self {
            main: Seen::of(&fs::metadata(place)?),
            log: look("-wal")?,
            has_index: look("-shm")?.is_some(),
            has_journal: look("-journal")?.is_some(),
        })
    }

    fn has_log(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.1 > 0)
    }

    fn bytes(&self) -> u64 {
        self.main.1 + self.log.as_ref().map_or(0, |log| log.1)
    }
}

/// The second value keeps the copy for as long as it is read.
fn open(place: &Path, state: &State) -> Result<(Connection, Option<TempDir>), Warning> {
    match (state.has_log(), state.has_index) {
        (true, true) => Ok((connect(place, place, "mode=ro&readonly_shm=1")?, None)),
        (true, false) => {
            let copy = copy(place, state)?;
            let connection = connect(place, &copy.path().join("copy.sqlite"), "mode=rw")?;
            Ok((connection, Some(copy)))
        }
        // A journal that was left behind is played back by who may write; to us SQLite says that it is there.
        (false, _) if state.has_journal => Ok((connect(place, place, "mode=ro")?, None)),
        (false, _) => Ok((connect(place, place, "mode=ro&immutable=1")?, None)),
    }
}

fn connect(place: &Path, file: &Path, how: &str) -> Result<Connection, Warning> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let flags = match how {
        // Our own copy: SQLite needs to make its index.
        "mode=rw" => (flags - OpenFlags::SQLITE_OPEN_READ_ONLY) | OpenFlags::SQLITE_OPEN_READ_WRITE,
        _ => flags,
    };
    let connection = Connection::open_with_flags(uri(file, how), flags).map_err(|error| warning(place, &error))?;
    connection.busy_timeout(PATIENCE).map_err(|error| warning(place, &error))?;
    Ok(connection)
}

fn copy(place: &Path, state: &State) -> Result<TempDir, Warning> {
    if state.bytes() > MAX_COPY_BYTES {
        let why = format!("it has {} bytes, and more than {MAX_COPY_BYTES} are not copied to be read", state.bytes());
        return Err(Warning::Unreadable { place: place.to_owned(), why });
    }
    let copied = || -> io::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        let to = folder.path().join("copy.sqlite");
        fs::copy(place, &to)?;
        fs::copy(beside(place, "-wal"), beside(&to, "-wal"))?;
        Ok(folder)
    };
    copied().map_err(|error| unreadable(place, &error))
}

fn beside(place: &Path, end: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A file as SQLite wants it named, with every byte escaped that could mean something else there.
fn uri(file: &Path, how: &str) -> String {
    let mut uri = "file://".to_owned();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{uri}?{how}")
}

fn unreadable(place: &Path, why: &impl ToString) -> Warning {
    Warning::Unreadable { place: place.to_owned(), why: why.to_string() }
}

fn warning(place: &Path, error: &rusqlite::Error) -> Warning {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Warning::Locked { place: place.to_owned() },
        // What SQLite says of a table or a column that is not there.
        Some(ErrorCode::Unknown) => Warning::Schema { place: place.to_owned(), why: error.to_string() },
        _ => unreadable(place, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_escapes_what_a_path_may_hold() {
        assert_eq!(uri(Path::new("/a b/c?d#e%.sqlite"), "mode=ro"), "file:///a%20b/c%3Fd%23e%25.sqlite?mode=ro");
        assert_eq!(uri(Path::new("/ä"), "x"), "file:///%C3%A4?x");
    }
}
