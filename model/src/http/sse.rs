//! Server-sent events, as the HTML standard defines them: bytes in, events out, no I/O.
//!
//! Lines end with LF, CR or CRLF; a byte order mark at the very start and comments are skipped; the `data` lines of
//! an event are joined with LF; an event without `data` is none; what is not ended by an empty line is none. Chunks
//! may end anywhere, also inside a character or between CR and LF.

/// An event may have this many bytes. A response repeats its whole output in its last event, images included, so
/// this is far above what models write (128k tokens are about half a megabyte), and far below what hurts.
pub(crate) const EVENT_BYTES: usize = 32 * 1024 * 1024;

/// An event. Its bytes are those of the parser, until the next one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The name in its `event` line; empty for none.
    pub(crate) name: &'a [u8],
    /// Its data.
    pub(crate) data: &'a [u8],
}

/// An event is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Reads one stream.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The event was handed out: its bytes are to be forgotten.
    given: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line was read yet: a byte order mark may come.
    at_start: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(EVENT_BYTES)
    }
}

impl Parser {
    /// A parser whose events have at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let (line, name, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { limit, line, name, data, has_data: false, given: false, after_cr: false, at_start: true }
    }

    /// The next event that ends in `chunk`, which is moved forward; `None` when all of it is read.
    pub(crate) fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<Event<'_>>, TooLong> {
        if std::mem::take(&mut self.given) {
            self.forget();
        }
        loop {
            if !chunk.is_empty() && std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                *chunk = &chunk[1..];
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', chunk) else {
                self.line.extend_from_slice(chunk);
                *chunk = &[];
                return self.within().map(|()| None);
            };
            self.line.extend_from_slice(&chunk[..end]);
            self.after_cr = chunk[end] == b'\r';
            *chunk = &chunk[end + 1..];
            self.within()?;
            if self.end_line() {
                self.given = true;
                return Ok(Some(Event { name: &self.name, data: &self.data }));
            }
        }
    }

    /// True if the stream would end inside an event here.
    pub(crate) fn is_within_event(&self) -> bool {
        !self.line.is_empty() || (self.has_data && !self.given)
    }

    fn within(&self) -> Result<(), TooLong> {
        let bytes = self.line.len() + self.data.len() + self.name.len();
        if bytes > self.limit { Err(TooLong) } else { Ok(()) }
    }

    /// Takes the line in; true if it ends an event.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let marked = if std::mem::take(&mut self.at_start) { line.strip_prefix(b"\xEF\xBB\xBF") } else { None };
        let ends = self.take_line(marked.unwrap_or(&line));
        self.line = line;
        self.line.clear();
        ends
    }

    fn take_line(&mut self, line: &[u8]) -> bool {
        if line.is_empty() {
            if !self.has_data {
                self.forget();
            }
            return self.has_data;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // Comments (an empty name), `id`, `retry`, and whatever the standard does not know.
            _ => {}
        }
        false
    }

    fn forget(&mut self) {
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, Vec<u8>)> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for mut chunk in chunks {
            while let Some(event) = parser.next(&mut chunk).unwrap() {
                events.push((String::from_utf8(event.name.to_vec()).unwrap(), event.data.to_vec()));
            }
        }
        events
    }

    fn texts(stream: &str) -> Vec<(String, String)> {
        let text = |(name, data)| (name, String::from_utf8(data).unwrap());
        read([stream.as_bytes()]).into_iter().map(text).collect()
    }

    #[test]
    fn what_a_stream_means() {
        let cases: [(&str, &[(&str, &str)]); 12] = [
            ("event: a\ndata: {\"x\":1}\n\n", &[("a", "{\"x\":1}")]),
            ("data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n", &[("", "1"), ("", "2"), ("", "3")]),
            ("data: one\ndata:two\ndata:  three\n\n", &[("", "one\ntwo\n three")]),
            (": comment\n\n:\ndata: 1\n: more\n\n", &[("", "1")]),
            ("event: a\n\ndata: 1\n\n", &[("", "1")]),
            ("event: a\nevent: b\ndata\n\n", &[("b", "")]),
            ("\u{feff}data: 1\n\n\u{feff}data: 2\n\n", &[("", "1")]),
            ("data: 1\n\ndata: not ended\n", &[("", "1")]),
            ("id: 7\nretry: 10\nunknown: x\ndata: 1\n\n", &[("", "1")]),
            ("\n\n\r\n\n", &[]),
            ("data:\n\n", &[("", "")]),
            ("data: a: b\n\n", &[("", "a: b")]),
        ];
        for (stream, want) in cases {
            let want: Vec<_> = want.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            assert_eq!(texts(stream), want, "{stream:?}");
        }
    }

    #[test]
    fn an_event_ends_in_time_and_not_after_the_limit() {
        let stream = |n: usize| [b"data: ".as_slice(), &vec![b'x'; n], b"\n\n"].concat();
        // The line counts with its `data: `.
        assert_eq!(Parser::new(16).next(&mut &stream(10)[..]).unwrap().map(|event| event.data.len()), Some(10));
        assert_eq!(Parser::new(16).next(&mut &stream(11)[..]), Err(TooLong));
        let lines = b"data: 1234567\n".repeat(3);
        assert_eq!(Parser::new(24).next(&mut &lines[..]), Err(TooLong));
        assert_eq!(Parser::new(16).next(&mut &[b'x'; 17][..]), Err(TooLong), "also a line that never ends");
    }

    #[test]
    fn it_knows_whether_an_event_is_open() {
        for (stream, open) in [("data: 1\n\n", false), ("data: 1\n", true), ("da", true), (": c\n", false), ("", false)]
        {
            let (mut parser, mut chunk) = (Parser::default(), stream.as_bytes());
            while parser.next(&mut chunk).unwrap().is_some() {}
            assert_eq!(parser.is_within_event(), open, "{stream:?}");
        }
    }

    /// A stream of any lines, made of what can go wrong.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let parts = [
            "data: ",
            "data",
            "event: x",
            ":",
            "ä€😀",
            "{\"a\":1}",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\r\n\r\n",
            "\u{feff}",
            " ",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..60).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same_events(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
            prop_assert_eq!(read(chunks), read([stream.as_slice()]));
            prop_assert_eq!(read(stream.chunks(1)), read([stream.as_slice()]));
        }

        #[test]
        fn any_bytes_are_read(stream in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read(stream.chunks(1)), read([stream.as_slice()]));
        }
    }
}
