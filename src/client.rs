//! What the client that started us says of itself and of its task, beside the prompt.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use sapwood_actors::agent::Settings;
use serde_json::Value;

use crate::cli::ExecArgs;
use crate::exit::Failure;
use crate::text::one_line;

/// The variable in which Codex's SDKs name themselves.
pub const ORIGINATOR: &str = "CODEX_INTERNAL_ORIGINATOR_OVERRIDE";
/// The longest name of a client: it is in the head of every request.
const MAX_ORIGINATOR: usize = 64;
/// The largest schema, in bytes: it is in every request of the root.
const MAX_SCHEMA: u64 = 256 * 1024;

/// What a client said.
#[derive(Debug)]
pub struct Client {
    /// The schema of the root's last message, as JSON without line breaks.
    schema: Option<String>,
    thread_source: Option<String>,
    originator: Option<String>,
    notes: Vec<String>,
}

impl Client {
    /// Reads and checks all of it. `originator` is the value of [`ORIGINATOR`].
    pub fn read(args: &ExecArgs, originator: Option<OsString>) -> Result<Self, Failure> {
        if let Some(image) = args.images.first() {
            let image = image.display();
            return Err(Failure::usage(format!(
                "--image {image}: images are not available in this version; describe in the prompt what is to be seen"
            )));
        }
        let mut notes = args.notes.clone();
        let named = originator.filter(|name| !name.is_empty());
        let checked = named.as_ref().and_then(|name| name.to_str()).filter(|name| is_originator(name));
        if named.is_some() && checked.is_none() {
            notes.push(format!(
                "warning: {ORIGINATOR} is ignored: it must be 1 to {MAX_ORIGINATOR} printable ASCII characters"
            ));
        }
        Ok(Self {
            schema: args.output_schema.as_deref().map(schema).transpose()?,
            thread_source: args.thread_source.clone(),
            originator: checked.map(str::to_owned),
            notes,
        })
    }

    /// The name that it gave itself.
    pub fn originator(&self) -> Option<&str> {
        self.originator.as_deref()
    }

    /// Puts it into the settings of a tree. Returns what a person should know.
    pub fn tell(self, settings: &mut Settings) -> Vec<String> {
        settings.output_schema = self.schema;
        settings.thread_source = self.thread_source.map(Into::into);
        self.notes
    }
}

fn is_originator(name: &str) -> bool {
    let blank = name.starts_with(' ') || name.ends_with(' ');
    name.len() <= MAX_ORIGINATOR && !blank && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Reads the file of `--output-schema`.
fn schema(path: &Path) -> Result<String, Failure> {
    let named = path.display();
    let wrong = |why: String| Failure::usage(format!("--output-schema {named}{why}"));
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_SCHEMA + 1).read_to_end(&mut text));
    read.map_err(|error| wrong(format!(": it cannot be read: {error}")))?;
    if text.len() as u64 > MAX_SCHEMA {
        return Err(wrong(format!(": it is larger than {} KB, the most that a schema may be", MAX_SCHEMA / 1024)));
    }
    let value: Value = serde_json::from_slice(&text).map_err(|error| {
        let (line, column, text) = (error.line(), error.column(), error.to_string());
        let why = text.rsplit_once(" at line ").map_or(&*text, |(why, _)| why);
        wrong(format!(":{line}:{column}: it is no JSON: {why}"))
    })?;
    match value {
        Value::Object(_) => Ok(value.to_string()),
        other => {
            let other = one_line(&other.to_string(), 40);
            Err(wrong(format!(":1:1: a JSON schema must be an object, and this is `{other}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_not_be_sent_is_ignored_with_a_warning() {
        for (name, used) in [
            ("codex_sdk_ts", true),
            ("My editor 1.0", true),
            ("", false),
            ("a\nb", false),
            (" a", false),
            ("ä", false),
            (&*"x".repeat(MAX_ORIGINATOR + 1), false),
        ] {
            let client = Client::read(&ExecArgs::default(), Some(name.into())).unwrap();
            assert_eq!(client.originator(), used.then_some(name));
            let notes = client.tell(&mut Settings::default());
            assert_eq!(notes.is_empty(), used || name.is_empty(), "{notes:?}");
        }
    }
}
