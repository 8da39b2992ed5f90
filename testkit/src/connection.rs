//! One connection: reads requests, writes answers, and notices when the client leaves.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::answer::{Answer, Fault, Framing, Step};
use crate::server::Seen;
use crate::wire;

/// Bytes that are written at once where a body repeats itself.
const REPEAT_BLOCK_BYTES: usize = 64 * 1024;

/// Closes a connection in a way that the client sees as an error.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("it is a socket");
}

/// How an answer ended, where its connection cannot be used again.
enum Broken {
    /// The connection is closed, as the answer asked for.
    Close,
    /// The connection is reset, as the answer asked for.
    Reset,
    /// The client left.
    Left,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::Left
    }
}

/// Answers the requests of one connection, one after the other.
pub(crate) async fn serve(mut stream: TcpStream, connection: usize, seen: Arc<Seen>) {
    // Small events are sent as they come.
    stream.set_nodelay(true).expect("it is a socket");
    let mut rest = BytesMut::new();
    let with_reset = loop {
        let (mut reader, mut writer) = stream.split();
        let Ok(Some(raw)) = wire::request(&mut reader, &mut writer, &mut rest).await else { break false };
        let open = Open { seen: &seen, left: true };
        let answer = seen.answer(connection, raw);
        let outcome = tokio::select! {
            outcome = send(&mut writer, &answer) => outcome,
            () = left(&mut reader, &mut rest) => Err(Broken::Left),
        };
        // What it kept is given back before anybody is told that it ended.
        drop(answer);
        open.end(matches!(outcome, Err(Broken::Left)));
        match outcome {
            Ok(()) => {}
            Err(Broken::Reset) => break true,
            Err(Broken::Close | Broken::Left) => break false,
        }
    };
    if with_reset {
        reset(stream);
    }
}

/// Counts an answer as open until it is dropped.
struct Open<'s> {
    seen: &'s Seen,
    left: bool,
}

impl Open<'_> {
    fn end(mut self, left: bool) {
        self.left = left;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.seen.count(|counts| {
            counts.open -= 1;
            if self.left { counts.closed_early += 1 } else { counts.ended += 1 }
        });
    }
}

/// Ends when the client closes the connection. What it sends meanwhile is kept for the next request.
async fn left(reader: &mut ReadHalf<'_>, rest: &mut BytesMut) {
    while matches!(reader.read_buf(rest).await, Ok(read) if read > 0) {}
}

async fn send(writer: &mut WriteHalf<'_>, answer: &Answer) -> Result<(), Broken> {
    match answer.fault {
        Some(Fault::NoHead) => return Err(Broken::Close),
        Some(Fault::ResetAtOnce) => return Err(Broken::Reset),
        Some(Fault::Silence) => std::future::pending().await,
        _ => {}
    }
    if let Some(gate) = &answer.held {
        gate.opened().await;
    }
    writer.write_all(head(answer).as_bytes()).await?;
    let mut body = Body { writer, chunked: answer.framing == Framing::Chunked, sent: 0, fault: answer.fault.as_ref() };
    for step in &answer.steps {
        body.step(step).await?;
    }
    body.end(answer.framing).await
}

fn head(answer: &Answer) -> String {
    let status = answer.status;
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match answer.framing {
        Framing::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
        Framing::Length => format!("content-length: {}\r\n", answer.len()),
        Framing::Claimed(length) => format!("content-length: {length}\r\n"),
        Framing::Close => "connection: close\r\n".to_owned(),
    };
    head + "\r\n"
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 | 302 | 307 | 308 => "Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        529 => "Overloaded",
        _ => "Status",
    }
}

/// A body on its way.
struct Body<'w, 's, 'a> {
    writer: &'w mut WriteHalf<'s>,
    chunked: bool,
    /// Bytes that were sent, without the heads of chunks.
    sent: u64,
    fault: Option<&'a Fault>,
}

impl Body<'_, '_, '_> {
    async fn step(&mut self, step: &Step) -> Result<(), Broken> {
        match step {
            Step::Bytes(bytes) => self.bytes(bytes).await,
            Step::Repeat(bytes, total) => self.repeat(bytes, *total).await,
            Step::Wait(gate) => {
                gate.opened().await;
                Ok(())
            }
            Step::Delay(delay) => {
                tokio::time::sleep(*delay).await;
                Ok(())
            }
        }
    }

    /// Sends these bytes, up to where the fault is.
    async fn bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let at = match self.fault {
            Some(Fault::Cut(at) | Fault::Reset(at) | Fault::Stall(at, _)) => at.saturating_sub(self.sent),
            _ => u64::MAX,
        };
        let Some((before, after)) = usize::try_from(at).ok().and_then(|at| bytes.split_at_checked(at)) else {
            return self.write(bytes).await;
        };
        self.write(before).await?;
        match self.fault.take() {
            Some(Fault::Cut(_)) => Err(Broken::Close),
            Some(Fault::Reset(_)) => Err(Broken::Reset),
            Some(Fault::Stall(_, None)) => std::future::pending().await,
            Some(Fault::Stall(_, Some(gate))) => {
                gate.opened().await;
                self.write(after).await
            }
            _ => unreachable!("only these have a place"),
        }
    }

    async fn repeat(&mut self, bytes: &Bytes, total: u64) -> Result<(), Broken> {
        let times = total.div_ceil(bytes.len() as u64);
        let block = (REPEAT_BLOCK_BYTES / bytes.len()).max(1) as u64;
        let many = bytes.repeat(block.min(times) as usize);
        for _ in 0..times / block {
            self.bytes(&many).await?;
        }
        self.bytes(&many[..(times % block) as usize * bytes.len()]).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.sent += bytes.len() as u64;
        if !self.chunked {
            return Ok(self.writer.write_all(bytes).await?);
        }
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        Ok(self.writer.write_all(&chunk).await?)
    }

    async fn end(self, framing: Framing) -> Result<(), Broken> {
        // A fault behind the last byte still happens.
        match (self.fault, framing) {
            (Some(Fault::Reset(_)), _) => Err(Broken::Reset),
            (Some(Fault::Cut(_)), _) | (None, Framing::Close | Framing::Claimed(_)) => Err(Broken::Close),
            (Some(Fault::Stall(_, None)), _) => std::future::pending().await,
            (_, Framing::Chunked) => Ok(self.writer.write_all(b"0\r\n\r\n").await?),
            _ => Ok(()),
        }
    }
}
