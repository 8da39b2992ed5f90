//! Reading: what stands at a path, and which path it really is.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::MAX_FILE_BYTES;

/// The longest `.git` file that is read: 64 KiB, more than any path.
const MAX_POINTER_BYTES: usize = 64 << 10;

/// Where a plan reads. [`Disk`] is the real one; a map of paths is one for tests.
pub trait Files {
    /// What stands at an absolute path without `.` and `..`. Links on the way are followed.
    ///
    /// # Errors
    ///
    /// What the file system says, but that nothing is there: that is [`Kind::Missing`].
    fn look(&self, path: &Path) -> io::Result<Found>;
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The path without a link anywhere. Of what is missing, the part that exists is real.
    pub real: PathBuf,
    /// True if the path itself is a link, and not only a directory above it.
    pub is_link: bool,
    /// What it is, or what the link leads to.
    pub kind: Kind,
}

/// What something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is there; the directory for it may be missing too.
    Missing,
    /// A regular file.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Its permissions, as in `chmod`.
        mode: u32,
    },
    /// A regular file of more than [`MAX_FILE_BYTES`].
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A directory.
    Directory,
    /// A device, a pipe, a socket.
    Special,
}

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn look(&self, path: &Path) -> io::Result<Found> {
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Found { real: real_of_missing(path)?, is_link: false, kind: Kind::Missing });
            }
            Err(error) => return Err(error),
        };
        let is_link = meta.file_type().is_symlink();
        // A link that leads nowhere is an error here, and not something that is missing.
        let real = path.canonicalize()?;
        let meta = std::fs::symlink_metadata(&real)?;
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_file() {
            read(&real)?
        } else {
            Kind::Special
        };
        Ok(Found { real, is_link, kind })
    }
}

/// The nearest directory above that exists, as it really is, and the rest of the path.
fn real_of_missing(path: &Path) -> io::Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    match parent.canonicalize() {
        Ok(real) => Ok(real.join(name)),
        // What is no link and does not exist: look above it. A link that leads nowhere is an error.
        Err(error) if error.kind() == io::ErrorKind::NotFound && std::fs::symlink_metadata(parent).is_err() => {
            Ok(real_of_missing(parent)?.join(name))
        }
        Err(error) => Err(error),
    }
}

/// Reads without waiting for what a pipe in the file's place would never send.
fn read(real: &Path) -> io::Result<Kind> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(real, flags, Mode::empty())?);
    let stat = rustix::fs::fstat(&file)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(Kind::Special);
    }
    let mut bytes = Vec::new();
    let size = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)? as u64;
    if size > MAX_FILE_BYTES {
        return Ok(Kind::TooLarge { bytes: u64::try_from(stat.st_size).unwrap_or(size).max(size) });
    }
    Ok(Kind::File { bytes, mode: stat.st_mode & 0o7777 })
}

/// Tests say what is there; a path in the map is real, and directories are what files stand in.
impl Files for BTreeMap<PathBuf, Kind> {
    fn look(&self, path: &Path) -> io::Result<Found> {
        let found = |kind| Ok(Found { real: path.to_owned(), is_link: false, kind });
        match self.get(path) {
            Some(kind) => found(kind.clone()),
            None if self.keys().any(|key| key.starts_with(path)) => found(Kind::Directory),
            None if self.keys().any(|key| path.starts_with(key)) => Err(io::ErrorKind::NotADirectory.into()),
            None => found(Kind::Missing),
        }
    }
}

/// A path as an absolute one without `.` and `..`, by its words alone.
pub(super) fn absolute(cwd: &Path, path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in cwd.join(path).components() {
        match component {
            Component::Normal(name) => out.push(name),
            // Above the root is the root.
            Component::ParentDir => drop(out.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// The directory that the paths of a turn's diff are relative to: the nearest one from here up with a `.git` in it, be it a
/// directory or the file that a worktree or a submodule has; else here. Nothing is asked of git.
pub fn repository_root(cwd: &Path, files: &dyn Files) -> PathBuf {
    let cwd = absolute(cwd, "");
    let real = |path: &Path| files.look(path).map_or_else(|_| path.to_owned(), |found| found.real);
    let here = real(&cwd);
    let has_git = |directory: &&Path| match files.look(&directory.join(".git")).map(|found| found.kind) {
        Ok(Kind::Directory) => true,
        Ok(Kind::File { bytes, .. }) => bytes.len() <= MAX_POINTER_BYTES && bytes.starts_with(b"gitdir:"),
        _ => false,
    };
    here.ancestors().find(has_git).map_or_else(|| here.clone(), Path::to_owned)
}
