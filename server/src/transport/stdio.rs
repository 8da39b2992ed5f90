//! One client on stdin and stdout, a frame a line.
//!
//! Both are read and written by a thread of their own: they may be pipes, files or terminals, and none of those is to hold
//! up the runtime. The reading thread cannot be woken from a read; it ends with the process.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::{Incoming, Sink, Source};
use crate::connection::{CloseReason, Manner, drive};
use crate::rpc::{FRAME_BYTES, Line, Lines};
use crate::server::{ExitReason, Server};
use crate::service::Service;

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces read and not yet looked at.
const PIECES: usize = 2;

/// A client on stdio waits as long as it likes: without it there is no server.
const MANNER: Manner = Manner { drains: true, stall: None, ping: None };

/// Serves the client on stdin and stdout to its end.
pub(super) async fn serve<S: Service>(server: Arc<Server<S>>) -> Option<ExitReason> {
    match server.connections().add() {
        Ok(connection) => {
            let (source, sink) = (Stdin::start(io::stdin()), Stdout::start(io::stdout()));
            drive(server, connection, source, sink, MANNER).await;
        }
        Err(full) => warn!(%full, "stdin is not read"),
    }
    Some(ExitReason::StdinClosed)
}

pub(crate) struct Stdin {
    pieces: mpsc::Receiver<Vec<u8>>,
    lines: Lines,
    is_over: bool,
}

impl Stdin {
    fn start(mut from: impl Read + Send + 'static) -> Self {
        let (send, pieces) = mpsc::channel(PIECES);
        // Detached: it ends at the end of what it reads, or when nobody takes it, or with the process.
        std::thread::spawn(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) if send.blocking_send(buffer[..count].to_vec()).is_err() => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return warn!(%error, "stdin cannot be read"),
                }
            }
        });
        Self::of(pieces)
    }

    /// What comes in these pieces.
    pub(crate) fn of(pieces: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { pieces, lines: Lines::new(FRAME_BYTES), is_over: false }
    }
}

impl Source for Stdin {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.lines.pop() {
                Some(Line::Whole(line)) => return Some(Incoming::Frame(line.into())),
                Some(Line::TooLong(beginning)) => return Some(Incoming::TooLong(beginning.into())),
                None if self.is_over => return None,
                None => match self.pieces.recv().await {
                    Some(piece) => self.lines.feed(&piece),
                    None => {
                        self.is_over = true;
                        self.lines.finish();
                    }
                },
            }
        }
    }
}

/// What is written, and who is told how it went.
type Batch = (Vec<Bytes>, oneshot::Sender<io::Result<()>>);

struct Stdout {
    /// The thread ends when this is dropped.
    batches: mpsc::Sender<Batch>,
}

impl Stdout {
    fn start(mut to: impl Write + Send + 'static) -> Self {
        let (batches, mut receive) = mpsc::channel::<Batch>(1);
        std::thread::spawn(move || {
            while let Some((batch, done)) = receive.blocking_recv() {
                let mut lines = Vec::with_capacity(batch.iter().map(|frame| frame.len() + 1).sum());
                for frame in batch {
                    lines.extend_from_slice(&frame);
                    lines.push(b'\n');
                }
                // Nobody is told when the connection has ended meanwhile.
                let _ = done.send(to.write_all(&lines).and_then(|()| to.flush()));
            }
        });
        Self { batches }
    }
}

impl Sink for Stdout {
    async fn write(&mut self, batch: &mut Vec<Bytes>) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (done, told) = oneshot::channel();
        self.batches.send((std::mem::take(batch), done)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }

    async fn close(&mut self, _: CloseReason) {}
}
