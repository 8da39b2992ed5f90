//! The unix socket: who holds it, and how it is taken.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tokio::net::{UnixListener, UnixStream};
use tracing::info;

use super::ListenError;

/// Only its owner comes in.
const FOLDER_MODE: u32 = 0o700;
/// Only its owner connects.
const SOCKET_MODE: u32 = 0o600;

/// Who listens on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, whether or not there is a socket.
    Nobody,
    /// A process, by its id where the kernel tells it.
    Process(Option<i32>),
}

/// Looks who listens there, by asking the kernel.
pub async fn holder(path: &Path) -> Holder {
    match UnixStream::connect(path).await {
        Ok(stream) => Holder::Process(stream.peer_cred().ok().and_then(|peer| peer.pid())),
        // More wait for it than it accepts: it lives.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Holder::Process(recorded(path)),
        Err(_) => Holder::Nobody,
    }
}

/// A socket that is ours until this is dropped.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    /// The socket's inode, to remove no other.
    inode: u64,
    /// Held as long as we listen: of two that start at once, one does.
    _lock: File,
}

impl Bound {
    /// Takes the socket. One that a dead server left is replaced, one that somebody listens on is not.
    pub(super) async fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |error: io::Error| ListenError::Bind { address: format!("unix://{}", path.display()), error };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(failed)?;
        }
        let lock = lock(path).map_err(failed)?.ok_or_else(|| held(path, recorded(path)))?;
        if let Holder::Process(pid) = holder(path).await {
            return Err(held(path, pid));
        }
        match path.symlink_metadata() {
            Ok(there) if there.file_type().is_socket() || there.file_type().is_symlink() => {
                info!(path = %path.display(), "replaced the socket of a server that is gone");
                std::fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) => return Err(ListenError::NoSocket(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
        let inode = path.symlink_metadata().map_err(failed)?.ino();
        Ok(Self { listener, path: path.to_owned(), inode, _lock: lock })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // The lock file stays: who waits for it would hold one that is no more.
        if self.path.symlink_metadata().is_ok_and(|there| there.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn held(path: &Path, pid: Option<i32>) -> ListenError {
    let by = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    ListenError::Held { path: path.to_owned(), by }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

/// The lock beside the socket, with our process id in it; `None` if another holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(SOCKET_MODE);
    let mut file = options.open(lock_path(path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Some(file))
}

/// Who holds the lock, by what it wrote there.
fn recorded(path: &Path) -> Option<i32> {
    let mut text = String::new();
    // A process id has ten digits at most.
    File::open(lock_path(path)).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
