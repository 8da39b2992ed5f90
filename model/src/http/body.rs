//! The body of a request on the wire: shared slices, no copy, an exact length.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::port::Body;

/// The slices of a body, one frame each.
#[derive(Debug)]
pub(crate) struct Slices {
    slices: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Slices {
    /// The body as it is.
    pub(crate) fn new(body: &Body) -> Self {
        Self::of(body.slices().to_vec())
    }

    /// The body with `members` (`"key":value`) in front of its own. A body that does not begin with an object
    /// that has members, or that has these already, stays as it is.
    pub(crate) fn with_members(body: &Body, members: &str) -> Self {
        let Some((first, rest)) = body.slices().split_first().filter(|(first, _)| fits(first, members)) else {
            return Self::new(body);
        };
        let mut slices = Vec::with_capacity(rest.len() + 2);
        slices.push(Bytes::from(format!("{{{members},")));
        slices.push(first.slice(1..));
        slices.extend_from_slice(rest);
        Self::of(slices)
    }

    fn of(slices: Vec<Bytes>) -> Self {
        let left = slices.iter().map(|slice| slice.len() as u64).sum();
        Self { slices: slices.into_iter(), left }
    }
}

/// True if `members` can stand in front of those that `first` begins with.
fn fits(first: &[u8], members: &str) -> bool {
    let key = members.split_once(':').map_or(members, |(key, _)| key);
    first.starts_with(b"{\"") && !first[1..].starts_with(key.as_bytes())
}

impl http_body::Body for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(slice) = self.slices.find(|slice| !slice.is_empty()) else { return Poll::Ready(None) };
        self.left -= slice.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;

    use super::*;

    fn frames(mut body: Slices) -> Vec<Bytes> {
        let mut frames = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let left = body.size_hint().exact().unwrap();
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => frames.push(frame.into_data().unwrap()),
                Poll::Ready(None) => {
                    assert_eq!((left, body.is_end_stream()), (0, true));
                    return frames;
                }
                Poll::Pending => unreachable!("slices are there"),
            }
        }
    }

    #[test]
    fn slices_go_out_as_they_are_stored() {
        let stored = [
            Bytes::from(r#"{"model":"m","input":["#.to_owned()),
            Bytes::new(),
            Bytes::from(vec![b'7'; 9]),
            "]}".into(),
        ];
        let body = Body::new(stored.to_vec());
        let slices = Slices::with_members(&body, r#""client_metadata":{"a":"b"}"#);
        let whole = r#"{"client_metadata":{"a":"b"},"model":"m","input":[777777777]}"#;
        assert_eq!(slices.size_hint().exact(), Some(whole.len() as u64));

        let sent = frames(slices);
        assert_eq!(sent.concat(), whole.as_bytes());
        // Each slice that was stored is sent from where it is stored, a second time too.
        for sent in [sent, frames(Slices::with_members(&body, r#""client_metadata":{"a":"b"}"#))] {
            let at: Vec<_> = sent.iter().map(|frame| frame.as_ptr()).collect();
            assert_eq!(at[1..], [stored[0][1..].as_ptr(), stored[2].as_ptr(), stored[3].as_ptr()]);
        }
    }

    #[test]
    fn a_body_that_cannot_take_members_stays() {
        for text in ["", "{}", "[1]", "{ \"a\":1}", r#"{"client_metadata":{},"a":1}"#] {
            let body = Body::new(vec![Bytes::from(text.to_owned())]);
            let sent = frames(Slices::with_members(&body, r#""client_metadata":{}"#)).concat();
            assert_eq!(String::from_utf8(sent).unwrap(), text);
        }
    }
}
