//! The place in its source's file that a fork's first line names. Nobody above this room knows of places in files; Codex
//! 0.169.0 does not read a first line with a `history_base` that says none.

use std::fs::File;

use sapwood_protocol::{Line, ThreadId, View, own};
use serde::Deserialize;
use serde_json::Value;

use crate::source::{Backwards, CHUNK_BYTES, Source};

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    history_base: Option<Base>,
}

#[derive(Deserialize)]
struct Base {
    thread_id: ThreadId,
    end_ordinal_exclusive: u64,
    #[serde(default)]
    end_byte_offset: Option<u64>,
}

/// The first line of a fork with the place where its source's part ends; `None` for a line that needs none. `open` opens
/// the file of a thread.
/// The error is for a person: `its ...`.
pub(super) fn placed(line: &Line, open: impl FnOnce(ThreadId) -> Result<File, String>) -> Result<Option<Line>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("its first line is {error}");
    let view = line.view().map_err(|error| wrong(&error))?;
    let meta: Meta = view.payload().map_err(|error| wrong(&error))?;
    let Some(base) = meta.history_base.filter(|base| base.end_byte_offset.is_none()) else { return Ok(None) };
    let (source, end) = (base.thread_id, base.end_ordinal_exclusive);
    let file = open(source).map_err(|why| format!("its source, thread {source}, {why}"))?;
    let offset = end_of(&file, end)
        .map_err(|error| format!("its source, thread {source}, cannot be read: {error}"))?
        .ok_or_else(|| format!("its source, thread {source}, has no line before ordinal {end}"))?;
    let mut envelope: Value = serde_json::from_slice(line.bytes()).map_err(|error| wrong(&error))?;
    envelope["payload"]["history_base"]["end_byte_offset"] = offset.into();
    Ok(Some(Line::from_bytes(format!("{envelope}\n").into_bytes().into())))
}

/// Where the last line ends that has an ordinal below `end`. A fork is mostly made at the end of its source, so it is
/// looked for from there.
fn end_of(source: &impl Source, end: u64) -> std::io::Result<Option<u64>> {
    let mut lines = Backwards::new(source, source.len()?, CHUNK_BYTES);
    while let Some((at, line)) = lines.next()? {
        let below = View::parse(&line)
            .is_ok_and(|view| !view.kind.starts_with(own::PREFIX) && view.ordinal.is_some_and(|ordinal| ordinal < end));
        if below {
            return Ok(Some(at + line.len() as u64));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sapwood_protocol::Millis;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_place_is_behind_the_last_line_below_the_end() {
        let codex = |ordinal| Line::encode(Millis(1), Some(ordinal), "event_msg", &json!({"type": "x"}), None);
        let own = Line::encode(Millis(1), None, "sapwood.begun", &json!({}), None);
        let lines = [codex(7), codex(8), own.clone(), codex(9), own, codex(10)];
        let bytes: Bytes = lines.iter().flat_map(|line| line.bytes().to_vec()).collect();
        let upto = |count: usize| lines[..count].iter().map(|line| line.bytes().len() as u64).sum::<u64>();
        for (end, place) in [(7, None), (8, Some(1)), (9, Some(2)), (10, Some(4)), (11, Some(6)), (99, Some(6))] {
            assert_eq!(end_of(&bytes, end).unwrap(), place.map(upto), "{end}");
        }
        let torn: Bytes = [&bytes[..], b"{\"ordinal\":11,\"ty"].concat().into();
        assert_eq!(end_of(&torn, 99).unwrap(), Some(upto(6)));
    }

    #[test]
    fn only_a_fork_without_a_place_gets_one() {
        let none = |_| -> Result<File, String> { panic!("no source is looked at") };
        let meta = |meta| Line::encode(Millis(1), Some(3), "session_meta", &meta, None);
        let source = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
        assert_eq!(placed(&meta(json!({"id": source})), none), Ok(None));
        let base = json!({"thread_id": source, "end_ordinal_exclusive": 3, "end_byte_offset": 9});
        assert_eq!(placed(&meta(json!({"id": source, "history_base": base})), none), Ok(None));
        let base = json!({"thread_id": source, "end_ordinal_exclusive": 3});
        let gone = |_| Err("is gone".to_owned());
        let why = format!("its source, thread {source}, is gone");
        assert_eq!(placed(&meta(json!({"id": source, "history_base": base})), gone), Err(why));
    }
}
