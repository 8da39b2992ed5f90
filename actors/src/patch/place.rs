//! A name in a directory that is reached without a link: where a change is made.
//!
//! Every step is taken from the root anew, one name at a time, and a link on the way is an error. So what is written lies where the
//! path says, whatever is swapped meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How often another name is tried for a temporary file, where somebody left one of the same name.
const NAME_TRIES: usize = 100;

static NAMES: AtomicU64 = AtomicU64::new(0);

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory; no link on its path.
    pub directory: PathBuf,
    /// The name in it.
    pub name: OsString,
}

/// The file that a new one takes the place of, under the same name or another.
#[derive(Clone, Debug)]
pub(super) struct Follows {
    /// Where it is.
    pub place: Place,
    /// Its permissions.
    pub mode: u32,
}

impl Place {
    /// Nothing for the root of the file system, which is no name in a directory.
    pub fn of(path: &Path) -> Option<Self> {
        Some(Self { directory: path.parent()?.to_owned(), name: path.file_name()?.to_owned() })
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    fn open_directory(&self) -> io::Result<OwnedFd> {
        walk(&self.directory)
    }

    /// Makes the directories that are missing; those that it made are put into `made`, outermost first.
    pub fn make_directory(&self, made: &mut Vec<Place>) -> io::Result<()> {
        match self.open_directory() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(drop),
        }
        let Some(directory) = Self::of(&self.directory) else { return Err(io::ErrorKind::NotFound.into()) };
        directory.make_directory(made)?;
        match rustix::fs::mkdirat(directory.open_directory()?, &directory.name, Mode::from_raw_mode(0o777)) {
            Ok(()) => made.push(directory),
            // Somebody else made it just now.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.open_directory().map(drop)
    }

    /// What the file holds, up to a byte more than this.
    pub fn read(&self, at_most: u64) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(self.open_directory()?, &self.name, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::Error::other("it is not a regular file any more"));
        }
        let mut bytes = Vec::new();
        file.take(at_most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether anything has this name. A directory that is missing is an error.
    pub fn exists(&self) -> io::Result<bool> {
        match rustix::fs::statat(self.open_directory()?, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// An error if the file's permissions forbid us to write it.
    pub fn check_writable(&self) -> io::Result<()> {
        let access = rustix::fs::Access::WRITE_OK;
        Ok(rustix::fs::accessat(self.open_directory()?, &self.name, access, AtFlags::EACCESS)?)
    }

    /// A new file beside this one. It gets the mode of the one that it follows, and its owner if we may give it; if it follows
    /// none, it is as any new file.
    pub fn stage(&self, content: &[u8], follows: Option<&Follows>) -> io::Result<Place> {
        let (place, file) = self.beside(|directory, name| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o666))
        })?;
        let mut file = File::from(file);
        let written = file.write_all(content).and_then(|()| follows.map_or(Ok(()), |old| old.pass_on(&file)));
        match written {
            Ok(()) => Ok(place),
            Err(error) => {
                // The first error is the one to tell; a temporary file that stays is found by its name.
                let _ = place.remove();
                Err(error)
            }
        }
    }

    /// Puts what `from`, a name in the same directory, holds here, where nothing may be.
    pub fn fill(&self, from: &Place) -> io::Result<()> {
        let directory = self.open_directory()?;
        match rustix::fs::renameat_with(&directory, &from.name, &directory, &self.name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&directory, &from.name, &directory, &self.name, AtFlags::empty())?;
                Ok(rustix::fs::unlinkat(&directory, &from.name, AtFlags::empty())?)
            }
            other => Ok(other?),
        }
    }

    /// Puts what `from`, a name in the same directory, holds here. The place where the old file is then. At no moment is there none.
    pub fn swap(&self, from: &Place) -> io::Result<Place> {
        let directory = self.open_directory()?;
        match rustix::fs::renameat_with(&directory, &from.name, &directory, &self.name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(from.clone()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let (aside, ()) = self.beside(|directory, name| {
                    rustix::fs::linkat(directory, &self.name, directory, name, AtFlags::empty())
                })?;
                match from.replace(self) {
                    Ok(()) => Ok(aside),
                    Err(error) => aside.remove().and(Err(error)),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the file another name beside its own.
    pub fn set_aside(&self) -> io::Result<Place> {
        let (aside, ()) = self.beside(|directory, name| {
            match rustix::fs::renameat_with(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    rustix::fs::renameat(directory, &self.name, directory, name)
                }
                other => other,
            }
        })?;
        Ok(aside)
    }

    /// Takes the place of another name in the same directory.
    pub fn replace(&self, other: &Place) -> io::Result<()> {
        let directory = self.open_directory()?;
        Ok(rustix::fs::renameat(&directory, &self.name, &directory, &other.name)?)
    }

    pub fn remove(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.open_directory()?, &self.name, AtFlags::empty())?)
    }

    pub fn remove_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.open_directory()?, &self.name, AtFlags::REMOVEDIR)?)
    }

    /// Does something with a name that nobody has.
    fn beside<T>(&self, mut act: impl FnMut(&OwnedFd, &OsStr) -> rustix::io::Result<T>) -> io::Result<(Place, T)> {
        let directory = self.open_directory()?;
        for _ in 0..NAME_TRIES {
            let number = NAMES.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".sapwood-patch-{}-{number}", std::process::id()));
            match act(&directory, &name) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(out) => return Ok((Place { directory: self.directory.clone(), name }, out)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Follows {
    fn pass_on(&self, file: &File) -> io::Result<()> {
        let old = rustix::fs::statat(self.place.open_directory()?, &self.place.name, AtFlags::SYMLINK_NOFOLLOW)?;
        let new = rustix::fs::fstat(file)?;
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
            let (user, group) = (rustix::fs::Uid::from_raw(old.st_uid), rustix::fs::Gid::from_raw(old.st_gid));
            // Only root may give a file away. For anybody else a file that is replaced becomes their own.
            let _ = rustix::fs::fchown(file, Some(user), Some(group));
        }
        // Without set-user-id and set-group-id, which the kernel takes away from a file that is written too.
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode & 0o777))?)
    }
}

fn walk(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::fs::open("/", flags, Mode::empty())?;
    for component in directory.components().skip(1) {
        at = rustix::fs::openat(&at, component.as_os_str(), flags, Mode::empty())?;
    }
    Ok(at)
}
