//! The file of `-o`: it gets the root's last message, all of it or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::exit::Failure;

/// A file that can be written, as far as that can be known beforehand.
#[derive(Clone, Debug)]
pub struct LastMessage {
    /// As the user named it.
    named: PathBuf,
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    /// A file, or nothing yet: it is replaced.
    File { path: PathBuf, folder: PathBuf },
    /// A pipe, a device, or the name of a file that somebody has open, like `/dev/stderr`: it is written to.
    Stream(PathBuf),
}

impl LastMessage {
    /// Looks whether it will be possible to write the file, and leaves nothing behind.
    pub fn prepare(named: &Path) -> Result<Self, Failure> {
        let refuse = |why: String| Failure::usage(format!("-o {} cannot be written: {why}", named.display()));
        let target = target(named).map_err(|error| refuse(error.to_string()))?;
        if let Target::File { folder, .. } = &target {
            let probe = temporary(folder);
            let tried = File::create_new(&probe).and_then(|_| fs::remove_file(&probe));
            tried.map_err(|error| refuse(format!("in {}: {error}", folder.display())))?;
        }
        Ok(Self { named: named.to_owned(), target })
    }

    /// Writes the message. Whoever looks sees the file as it was, or with all of the message in it. May wait for
    /// whoever reads a pipe.
    pub fn write(&self, text: &str) -> Result<(), String> {
        let written = match &self.target {
            Target::File { path, folder } => replace(path, &temporary(folder), text),
            Target::Stream(path) => {
                OpenOptions::new().append(true).open(path).and_then(|mut stream| stream.write_all(text.as_bytes()))
            }
        };
        let named = self.named.display();
        written.map_err(|error| format!("the last message could not be written to {named}: {error}"))
    }
}

fn target(named: &Path) -> io::Result<Target> {
    let path = std::path::absolute(named)?;
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(Target::Stream(path)),
        Ok(_) => {
            // What a link leads to is replaced, not the link.
            let real = path.canonicalize()?;
            let is_open = ["/dev", "/proc"].iter().any(|names| path.starts_with(names) && !real.starts_with(names));
            if is_open { Ok(Target::Stream(path)) } else { file(real) }
        }
        // A name that ends with a slash is that of a folder, also where there is none.
        Err(_) if named.as_os_str().as_encoded_bytes().ends_with(b"/") => Err(io::ErrorKind::IsADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => file(path),
        Err(error) => Err(error),
    }
}

fn file(path: PathBuf) -> io::Result<Target> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(_)) => Ok(Target::File { folder: folder.to_owned(), path }),
        _ => Err(io::ErrorKind::InvalidFilename.into()),
    }
}

/// Beside the file, so that it can be renamed to it.
fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!(".sapwood-{}", Uuid::new_v4().simple()))
}

fn replace(path: &Path, temporary: &Path, text: &str) -> io::Result<()> {
    let write = || {
        let mut file = File::create_new(temporary)?;
        file.write_all(text.as_bytes())?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        fs::rename(temporary, path)
    };
    let written = write();
    if written.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(temporary);
    }
    written
}
