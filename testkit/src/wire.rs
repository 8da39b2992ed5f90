//! Reading requests, byte by byte.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a head at most.
const HEAD_MAX_BYTES: usize = 256 * 1024;
/// Bytes of a body at most.
const BODY_MAX_BYTES: usize = 256 * 1024 * 1024;

/// A request as it came.
pub(crate) struct Raw {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// The value of the first header of this name, however it is spelt.
pub(crate) fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads one request. `None` where the client left before one began.
pub(crate) async fn request<R, W>(reader: &mut R, writer: &mut W, rest: &mut BytesMut) -> io::Result<Option<Raw>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(head) = until(reader, rest, b"\r\n\r\n", HEAD_MAX_BYTES).await? else { return Ok(None) };
    let mut raw = head_of(&head)?;
    if raw.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if raw.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        raw.body = chunks(reader, rest).await?;
    } else if let Some(length) = raw.header("content-length") {
        let length = length.parse().map_err(|_| invalid("a content-length that is no number"))?;
        raw.body = exactly(reader, rest, length).await?;
    }
    Ok(Some(raw))
}

fn head_of(head: &[u8]) -> io::Result<Raw> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("a head that is no UTF-8"))?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else { return Err(invalid("no request line")) };
    let headers = lines.map(|line| line.split_once(':').ok_or_else(|| invalid("a header without a colon")));
    let headers = headers.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
    Ok(Raw {
        method: method.into(),
        target: target.into(),
        headers: headers.collect::<Result<_, _>>()?,
        body: Bytes::new(),
    })
}

/// Reads until `mark`, and returns what is before it. `None` where nothing comes any more before the first byte.
async fn until<R>(reader: &mut R, rest: &mut BytesMut, mark: &[u8], max: usize) -> io::Result<Option<BytesMut>>
where
    R: AsyncRead + Unpin,
{
    loop {
        if let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
            let found = rest.split_to(at);
            rest.advance(mark.len());
            return Ok(Some(found));
        }
        if rest.len() > max {
            return Err(invalid("a head or a chunk head that does not end"));
        }
        if reader.read_buf(rest).await? == 0 {
            return if rest.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

async fn exactly<R: AsyncRead + Unpin>(reader: &mut R, rest: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    if length > BODY_MAX_BYTES {
        return Err(invalid("a body that is too long"));
    }
    while rest.len() < length {
        if reader.read_buf(rest).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(rest.split_to(length).freeze())
}

async fn chunks<R: AsyncRead + Unpin>(reader: &mut R, rest: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let head = until(reader, rest, b"\r\n", HEAD_MAX_BYTES).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = std::str::from_utf8(&head).ok().and_then(|head| head.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| invalid("a chunk without a size"))?;
        if body.len().saturating_add(size) > BODY_MAX_BYTES {
            return Err(invalid("a body that is too long"));
        }
        let chunk = exactly(reader, rest, size + 2).await?;
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok(body.freeze());
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
