//! The file of one open rollout, and its lock.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::locks::WriterLock;
use crate::faults;
use crate::source::Source;
use crate::writer::Storage;

/// Fields are dropped in order: the file is closed before the lock is given back.
pub(super) struct FileStorage {
    file: Arc<File>,
    _lock: WriterLock,
}

impl FileStorage {
    /// `file` must be open for reading and for appending.
    pub(super) fn new(file: File, lock: WriterLock) -> Self {
        Self { file: Arc::new(file), _lock: lock }
    }

    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }
}

impl Source for FileStorage {
    fn len(&self) -> io::Result<u64> {
        // Asked before each append, so it is the cheaper of the two calls: 0.25 us against 0.43 us of `metadata`.
        let stat = rustix::fs::fstat(&self.file)?;
        // What is written to a file without a name is lost, and nobody would say so.
        if stat.st_nlink == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted while it was open"));
        }
        Ok(stat.st_size.unsigned_abs())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(at, buffer)
    }
}

impl Storage for FileStorage {
    type Reader = Arc<File>;

    fn reader(&self) -> Arc<File> {
        self.file()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        faults::write(bytes, |bytes| write(&mut &*self.file, bytes))
    }

    fn durable(&self, len: u64) -> u64 {
        len
    }
}

/// One write(2), and more only where the system took a part.
fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while done < bytes.len() {
        match to.write(&bytes[done..]) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::is_full;

    #[test]
    fn a_full_device_is_told_from_other_failures() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (written, error) = write(&mut full, b"line\n").unwrap_err();
        assert_eq!((written, is_full(&error)), (0, true));
        assert!(is_full(&io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error())));
        let mut closed = File::open("/dev/null").unwrap();
        assert!(!is_full(&write(&mut closed, b"line\n").unwrap_err().1));
    }

    #[test]
    fn a_short_write_goes_on_and_a_failure_says_how_far_it_came() {
        struct Slow(Vec<u8>, usize);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match self.1 {
                    0 => Err(io::ErrorKind::StorageFull.into()),
                    room => {
                        let n = bytes.len().min(3).min(room);
                        self.0.extend_from_slice(&bytes[..n]);
                        self.1 -= n;
                        Ok(n)
                    }
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut wide = Slow(Vec::new(), 100);
        assert!(write(&mut wide, b"0123456789").is_ok());
        assert_eq!(wide.0, b"0123456789");
        let mut narrow = Slow(Vec::new(), 7);
        assert_eq!(write(&mut narrow, b"0123456789").unwrap_err().0, 7);
    }
}
