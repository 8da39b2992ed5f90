//! Queued messages: `queue_1.sqlite`, one row a message, with its content as JSON.

use std::path::Path;

use sapwood_protocol::ThreadId;
use serde::Deserialize;

use crate::database::{self, Name};
use crate::error::Warning;
use crate::{MAX_QUEUED, Queued};

pub(crate) const NAME: Name = Name { stem: "queue", version: 1 };

const QUERY: &str = "SELECT id, payload_json FROM queued_items WHERE thread_id = ?1 ORDER BY queue_order, id LIMIT ?2";

/// What is queued: Codex's only kind.
#[derive(Deserialize)]
enum Payload {
    UserInput { content: Vec<Part> },
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// Reads the messages that wait for these threads.
pub(crate) fn read(
    home: &Path,
    threads: &[ThreadId],
    queued: &mut Vec<Queued>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Warning> {
    let rows = database::with(home, &NAME, |connection| {
        let mut query = connection.prepare(QUERY)?;
        let mut rows: Vec<(ThreadId, String, String)> = Vec::new();
        for thread in threads {
            let found = query.query_map((thread.to_string(), MAX_QUEUED as i64 + 1), |row| {
                Ok((*thread, row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            for row in found {
                rows.push(row?);
            }
        }
        Ok(rows)
    })?;
    let mut rows = rows.unwrap_or_default();
    for thread in threads {
        let of_thread = || rows.iter().enumerate().filter(|(_, row)| row.0 == *thread);
        if let Some((beyond, _)) = of_thread().nth(MAX_QUEUED) {
            rows.remove(beyond);
            let why =
                format!("it has more than {MAX_QUEUED} queued messages, and the first {MAX_QUEUED} are taken over");
            warnings.push(Warning::Row { place: NAME.place(home), thread: *thread, why });
        }
    }
    for (thread, id, payload) in rows {
        let mut note = |why: String| {
            let why = format!("its queued message {id} {why}");
            warnings.push(Warning::Row { place: NAME.place(home), thread, why });
        };
        match text(&payload) {
            Ok((text, 0)) => queued.push(Queued { thread, id, text }),
            Ok((text, left)) if !text.is_empty() => {
                note(format!("is taken over without its {left} attachments: only text is"));
                queued.push(Queued { thread, id, text });
            }
            Ok(_) => note("has attachments only, and is not taken over".to_owned()),
            Err(why) => note(format!("is not known to this version, and not taken over: {why}")),
        }
    }
    Ok(())
}

/// The text of a message, its parts on lines of their own, and how many parts are none.
fn text(payload: &str) -> Result<(String, usize), serde_json::Error> {
    let Payload::UserInput { content } = serde_json::from_str(payload)?;
    let (texts, rest): (Vec<Part>, Vec<Part>) = content.into_iter().partition(|part| part.kind == "text");
    let texts: Vec<String> = texts.into_iter().filter_map(|part| part.text).collect();
    Ok((texts.join("\n"), rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_texts() {
        let read = |payload: &str| text(payload).map_err(|_| ());
        let two = r#"{"UserInput":{"content":[{"type":"text","text":"a","text_elements":[]},{"type":"text","text":"b"}],"client_id":"m"}}"#;
        assert_eq!(read(two), Ok(("a\nb".into(), 0)));
        let image = r#"{"UserInput":{"content":[{"type":"image","image_url":"x"},{"type":"text","text":"look"}]}}"#;
        assert_eq!(read(image), Ok(("look".into(), 1)));
        assert_eq!(read(r#"{"UserInput":{"content":[]}}"#), Ok((String::new(), 0)));
        assert_eq!(read(r#"{"Later":{}}"#), Err(()));
    }
}
