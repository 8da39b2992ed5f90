//! Reading a rollout from either end, whatever holds its bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr, memrchr};
use sapwood_protocol::{View, own};

/// How much is read at once, backwards and at the head. A whole turn usually fits.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes that may be read at any place.
pub(crate) trait Source {
    /// How many there are now.
    fn len(&self) -> io::Result<u64>;
    /// Fills `buffer` from `at`; fails where there are not enough.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Source for File {
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|m| m.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, at)
    }
}

impl<S: Source> Source for Arc<S> {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, buffer)
    }
}

impl Source for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_ref().len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = at + buffer.len() as u64;
        let part = self.get(at as usize..end as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

/// The bytes from `start` to `end`.
pub(crate) fn range(source: &impl Source, start: u64, end: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; (end - start) as usize];
    source.read_at(start, &mut bytes)?;
    Ok(bytes.into())
}

/// The lines of a source from its end, each with its place and its newline if it has one. Blank ones too.
pub(crate) struct Backwards<'a, S> {
    source: &'a S,
    chunk: usize,
    /// Where `buffer` starts; everything before it is unread, everything after it was given out.
    at: u64,
    buffer: Vec<u8>,
}

impl<'a, S: Source> Backwards<'a, S> {
    /// Starts at `end`; reads at least `chunk` bytes at once.
    pub(crate) fn new(source: &'a S, end: u64, chunk: usize) -> Self {
        Self { source, chunk: chunk.max(1), at: end, buffer: Vec::new() }
    }

    /// The next line towards the beginning.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            // The last byte may be the newline of the line itself.
            if let Some(before) = self.buffer.len().checked_sub(1)
                && let Some(end) = memrchr(b'\n', &self.buffer[..before])
            {
                let line = self.buffer.split_off(end + 1);
                return Ok(Some((self.at + end as u64 + 1, line)));
            }
            if self.at == 0 {
                let line = std::mem::take(&mut self.buffer);
                return Ok((!line.is_empty()).then_some((0, line)));
            }
            // Twice as much each time, so that a line of many chunks is still read in linear time.
            let more = self.at.min(self.chunk.max(self.buffer.len()) as u64);
            let mut buffer = vec![0; more as usize + self.buffer.len()];
            self.source.read_at(self.at - more, &mut buffer[..more as usize])?;
            buffer[more as usize..].copy_from_slice(&self.buffer);
            self.buffer = buffer;
            self.at -= more;
        }
    }
}

/// Where the last whole lines start that fit in `bytes`, at least one that is not blank.
pub(crate) fn tail_start(source: &impl Source, end: u64, bytes: u64) -> io::Result<u64> {
    let Some(from) = end.checked_sub(bytes).filter(|from| *from > 0) else { return Ok(0) };
    // Most often some lines fit: the first of them starts behind the first newline there is.
    let mut buffer = vec![0; CHUNK_BYTES.min((end - from + 1) as usize)];
    source.read_at(from - 1, &mut buffer)?;
    if let Some(newline) = memchr(b'\n', &buffer)
        && !buffer[newline + 1..].trim_ascii().is_empty()
    {
        return Ok(from + newline as u64);
    }
    let mut lines = Backwards::new(source, end, CHUNK_BYTES);
    let mut start = end;
    let mut found = false;
    while let Some((at, line)) = lines.next()? {
        if found && end - at > bytes {
            break;
        }
        found |= !line.trim_ascii().is_empty();
        start = at;
    }
    Ok(start)
}

/// True if the last line has no newline.
pub(crate) fn is_torn(source: &impl Source, end: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if end > 0 {
        source.read_at(end - 1, &mut last)?;
    }
    Ok(last != [b'\n'])
}

/// Why a source says no next ordinal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrdinalError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Codex refuses such a file too.
    #[error("it is paginated, and its last valid line has no ordinal")]
    Missing,
    /// Nobody can continue it.
    #[error("its last ordinal is the largest there is")]
    Last,
}

/// The ordinal of the next line in a paginated source: one more than that of the last line that can be read. Our own
/// lines have none and say nothing; what is no line is passed over.
pub(crate) fn next_ordinal(source: &impl Source, end: u64, chunk: usize) -> Result<u64, OrdinalError> {
    let mut lines = Backwards::new(source, end, chunk);
    while let Some((_, line)) = lines.next()? {
        let Ok(view) = View::parse(&line) else { continue };
        if view.kind.starts_with(own::PREFIX) {
            continue;
        }
        let ordinal = view.ordinal.ok_or(OrdinalError::Missing)?;
        return ordinal.checked_add(1).ok_or(OrdinalError::Last);
    }
    Ok(0)
}

/// Reads the first line that is not blank into the front of `scratch`, and says how long it is.
/// The error is for a person: `it ...`.
pub(crate) fn first_line(source: &impl Source, scratch: &mut Vec<u8>, limit: usize) -> Result<usize, String> {
    let cannot = |error: io::Error| format!("it cannot be read: {error}");
    let len = usize::try_from(source.len().map_err(cannot)?).unwrap_or(usize::MAX);
    let mut have = 0;
    let mut want = CHUNK_BYTES;
    loop {
        let size = len.min(want).min(limit);
        if scratch.len() < size {
            scratch.resize(size, 0);
        }
        source.read_at(have as u64, &mut scratch[have..size]).map_err(cannot)?;
        have = size;
        let blank = scratch[..have].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let end = memchr(b'\n', &scratch[blank..have]).map(|end| blank + end + 1);
        match end.or((have == len).then_some(len)) {
            Some(end) if end > blank => {
                scratch.copy_within(blank..end, 0);
                return Ok(end - blank);
            }
            Some(_) => return Err("it is empty".to_owned()),
            None if have == limit => return Err(format!("its first line is longer than {limit} bytes")),
            None => want *= 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn the_next_ordinal_is_that_of_the_last_line_that_has_one() {
        let next = |text: &str| next_ordinal(&bytes(text), text.len() as u64, 8).map_err(|e| e.to_string());
        let codex = "{\"ordinal\":6,\"type\":\"event_msg\",\"payload\":{}}\n";
        let own = "{\"type\":\"sapwood.begun\",\"payload\":{}}\n";
        assert_eq!(next(""), Ok(0));
        assert_eq!(next(codex), Ok(7));
        assert_eq!(next(&format!("{codex}{own}\n{{\"ordinal\":9,\"ty")), Ok(7));
        assert_eq!(next(codex.trim_end()), Ok(7));
        let missing = OrdinalError::Missing.to_string();
        assert_eq!(next(&format!("{codex}{{\"type\":\"event_msg\",\"payload\":{{}}}}\n{own}")), Err(missing));
        assert_eq!(next(&codex.replace('6', &u64::MAX.to_string())), Err(OrdinalError::Last.to_string()));
    }

    #[test]
    fn a_tail_is_whole_lines() {
        let tail = |text: &str, n| tail_start(&bytes(text), text.len() as u64, n).unwrap();
        assert_eq!(tail("", 9), 0);
        assert_eq!(tail("aaa\nbbb\nccc\n", 8), 4);
        assert_eq!(tail("aaa\nbbb\nccc\n", 7), 8);
        assert_eq!(tail("aaa\nbbb\nccc\n", 0), 8);
        assert_eq!(tail("aaa\nbbb\nccc", 7), 4);
        assert_eq!(tail("aaa\nbbb\n\n\n", 0), 4);
        assert_eq!(tail("aaa\n", 100), 0);
    }

    #[test]
    fn the_first_line_is_bounded() {
        let first = |text: &str, limit| {
            let mut scratch = Vec::new();
            first_line(&bytes(text), &mut scratch, limit).map(|n| String::from_utf8(scratch[..n].to_vec()).unwrap())
        };
        assert_eq!(first("aaa\nbbb\n", 100), Ok("aaa\n".into()));
        assert_eq!(first("\n  \naaa", 100), Ok("aaa".into()));
        assert_eq!(first("\n\n", 100), Err("it is empty".into()));
        assert_eq!(first("", 100), Err("it is empty".into()));
        assert_eq!(first("aaaa\n", 4), Err("its first line is longer than 4 bytes".into()));
        let long = format!("{}\nb", "a".repeat(3 * CHUNK_BYTES));
        assert_eq!(first(&long, usize::MAX).unwrap().len(), 3 * CHUNK_BYTES + 1);
        assert_eq!(
            first(&long, 2 * CHUNK_BYTES),
            Err(format!("its first line is longer than {} bytes", 2 * CHUNK_BYTES))
        );
    }

    #[test]
    fn backwards_is_forwards_reversed_on_every_recording_and_chunk() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts");
        let mut folders = vec![root];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|e| e != "jsonl") || path.ends_with("model_requests.jsonl") {
                    continue;
                }
                files += 1;
                let content = Bytes::from(std::fs::read(&path).unwrap());
                let forwards: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
                for chunk in 1..=200 {
                    let mut lines = Backwards::new(&content, content.len() as u64, chunk);
                    let mut end = content.len();
                    for expected in forwards.iter().rev() {
                        let (at, line) = lines.next().unwrap().unwrap();
                        assert!(line == *expected, "{}, chunk {chunk}", path.display());
                        end -= line.len();
                        assert_eq!(at as usize, end);
                    }
                    assert_eq!(lines.next().unwrap(), None);
                }
            }
        }
        assert_eq!(files, 51);
    }
}
