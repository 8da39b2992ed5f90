//! Where a command's output comes from, and where it goes.

use std::future::pending;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::output::{Capture, Output};

/// One read of output.
const CHUNK_BYTES: usize = 16 << 10;
/// What is still taken once nobody is waited for: no more than a pipe may hold.
const MAX_PIPE_BYTES: usize = 1 << 20;

/// Which of a command's two outputs. A command that has only one writes everything to [`Stream::Stdout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Its stdout; its stderr too, if that goes the same way.
    Stdout,
    /// Its stderr.
    Stderr,
}

/// The near end of an output, a pipe's or a terminal's, with its chunk.
struct Tap {
    pipe: pipe::Receiver,
    stream: Stream,
    open: bool,
    chunk: Vec<u8>,
}

impl Tap {
    fn new(pipe: pipe::Receiver, stream: Stream) -> Self {
        Self { pipe, stream, open: true, chunk: Vec::with_capacity(CHUNK_BYTES) }
    }

    async fn read(&mut self) {
        if !self.open {
            pending::<()>().await;
        }
        // A terminal that nobody has open any more answers with an error, not with an end.
        self.open = matches!(self.pipe.read_buf(&mut self.chunk).await, Ok(1..));
    }
}

/// Who sees a command's output as it arrives.
pub trait Viewer {
    /// A piece of it, cut anywhere.
    fn show(&mut self, stream: Stream, bytes: &[u8]);

    /// Waits until the next piece may come. Nothing is read meanwhile, so that the command waits too; only its time limit does not,
    /// and its last megabyte comes all the same once it has ended. May be dropped at any await.
    fn room(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<F: FnMut(Stream, &[u8])> Viewer for F {
    fn show(&mut self, stream: Stream, bytes: &[u8]) {
        self(stream, bytes);
    }
}

/// Moves output into the capture. Every method may be dropped at any await without losing a byte.
pub(super) struct Pump<V> {
    stdout: Tap,
    stderr: Option<Tap>,
    capture: Capture,
    viewer: V,
}

impl<V: Viewer> Pump<V> {
    pub(super) fn new(stdout: pipe::Receiver, stderr: Option<pipe::Receiver>, max_output: usize, viewer: V) -> Self {
        Self {
            stdout: Tap::new(stdout, Stream::Stdout),
            stderr: stderr.map(|pipe| Tap::new(pipe, Stream::Stderr)),
            capture: Capture::new(max_output),
            viewer,
        }
    }

    fn is_open(&self) -> bool {
        self.stdout.open || self.stderr.as_ref().is_some_and(|tap| tap.open)
    }

    /// One read; for ever after the end.
    pub(super) async fn step(&mut self) {
        self.viewer.room().await;
        match &mut self.stderr {
            None => self.stdout.read().await,
            Some(stderr) => tokio::select! {
                () = self.stdout.read() => {}
                () = stderr.read() => {}
            },
        }
        self.take_chunks();
    }

    fn take_chunks(&mut self) {
        for tap in [Some(&mut self.stdout), self.stderr.as_mut()].into_iter().flatten() {
            if !tap.chunk.is_empty() {
                self.viewer.show(tap.stream, &tap.chunk);
                self.capture.push(&tap.chunk);
                tap.chunk.clear();
            }
        }
    }

    pub(super) async fn rest(&mut self) {
        while self.is_open() {
            self.step().await;
        }
    }

    /// Keeps reading, so that nobody is held up by a full pipe, until `other` is done.
    pub(super) async fn alongside(&mut self, other: impl Future) {
        tokio::pin!(other);
        loop {
            tokio::select! {
                biased;
                _ = &mut other => return,
                () = self.step() => {}
            }
        }
    }

    /// What is there still, but no more than a pipe holds: its writers are dead, or we have stopped waiting for them.
    pub(super) fn finish(mut self) -> Output {
        let mut left = MAX_PIPE_BYTES;
        while left > 0 {
            let taps = [Some(&mut self.stdout), self.stderr.as_mut()].into_iter().flatten().filter(|tap| tap.open);
            let read: usize = taps.filter_map(|tap| tap.pipe.try_read_buf(&mut tap.chunk).ok()).sum();
            if read == 0 {
                break;
            }
            left = left.saturating_sub(read);
            self.take_chunks();
        }
        self.capture.finish()
    }
}
