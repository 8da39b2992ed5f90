//! Where a command's output goes: into the answer, or piece by piece to the client, within a cap for each stream.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_actors::process::{Stream, Viewer};
use tokio::sync::Notify;

/// Bytes of each output that a client gets if it does not say how many: a long build's log.
pub const DEFAULT_OUTPUT_CAP: u64 = 1 << 20;

/// Bytes of each output that an answer holds, cap or no cap: as base64 in no notification, but in one line all the same.
pub const MAX_BUFFERED_BYTES: usize = 32 << 20;

/// Bytes that wait for a client that streams: what it reads in a moment, and little for a thousand of them.
pub const QUEUED_OUTPUT_BYTES: usize = 256 << 10;

/// A piece of output on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub stream: Stream,
    pub bytes: Vec<u8>,
    pub cap_reached: bool,
}

/// What one command has written and nobody has taken yet. The command's task fills it, the request's empties it.
#[derive(Debug)]
pub(super) struct Outlet {
    cap: Option<u64>,
    /// When to hold the command up.
    full_at: usize,
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    queued: usize,
    /// Of stdout and of stderr, what was let through.
    passed: [u64; 2],
}

impl Outlet {
    /// For a client that gets each piece.
    pub(super) fn streaming(cap: Option<u64>) -> Arc<Self> {
        Self::new(cap, QUEUED_OUTPUT_BYTES)
    }

    /// For an answer at the end.
    pub(super) fn buffering(cap: Option<u64>) -> Arc<Self> {
        // Both streams, and one read more: the engine ends a command that comes so far.
        Self::new(cap, 2 * MAX_BUFFERED_BYTES)
    }

    fn new(cap: Option<u64>, full_at: usize) -> Arc<Self> {
        let (state, filled, emptied) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { cap, full_at, state, filled, emptied })
    }

    fn put(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state.lock();
        let passed = &mut state.passed[usize::from(stream == Stream::Stderr)];
        let left = self.cap.map_or(u64::MAX, |cap| cap - *passed);
        let bytes = &bytes[..usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())];
        if bytes.is_empty() {
            return;
        }
        *passed += bytes.len() as u64;
        let cap_reached = self.cap == Some(*passed);
        state.queued += bytes.len();
        match state.pieces.back_mut().filter(|last| last.stream == stream) {
            Some(last) => {
                last.bytes.extend_from_slice(bytes);
                last.cap_reached = cap_reached;
            }
            None => state.pieces.push_back(Piece { stream, bytes: bytes.to_vec(), cap_reached }),
        }
        self.filled.notify_one();
    }

    /// What waits, if anything does.
    pub(super) fn take(&self) -> Option<Piece> {
        let mut state = self.state.lock();
        let piece = state.pieces.pop_front()?;
        state.queued -= piece.bytes.len();
        self.emptied.notify_one();
        Some(piece)
    }

    /// The next piece. May be dropped at any await: then nothing is taken.
    pub(super) async fn next(&self) -> Piece {
        loop {
            if let Some(piece) = self.take() {
                return piece;
            }
            self.filled.notified().await;
        }
    }

    fn is_full(&self) -> bool {
        self.state.lock().queued >= self.full_at
    }
}

/// The command's side.
pub(super) struct Filling(pub Arc<Outlet>);

impl Viewer for Filling {
    fn show(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.put(stream, bytes);
    }

    async fn room(&mut self) {
        while self.0.is_full() {
            self.0.emptied.notified().await;
        }
    }
}

/// What an answer is made of.
#[derive(Debug, Default)]
pub(super) struct Buffered {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Buffered {
    /// `false`: that is more than an answer holds.
    pub(super) fn add(&mut self, piece: &Piece) -> bool {
        let buffer = match piece.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        buffer.extend_from_slice(&piece.bytes);
        buffer.len() <= MAX_BUFFERED_BYTES
    }

    /// stdout and stderr as text; what is none is replaced.
    pub(super) fn texts(self) -> (String, String) {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(self.stdout), text(self.stderr))
    }
}
