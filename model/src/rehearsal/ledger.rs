//! What came of the shell calls that a history shows, and whether a job is done, to be tried again, or given up.

use serde_json::Value;

use super::command::{Job, NARROWEST};
use crate::request::Entry;

/// Tries of one job, whatever they come to: a runtime that is killed again and again must not keep us here for ever.
const MAX_TRIES: usize = 8;
/// Tries that the runtime refused, or whose output made no sense: the same call gets the same answer.
const MAX_ERRORS: usize = 3;
/// The first call's time limit. Counting 100,000 files takes a few seconds.
const TIMEOUT_MS: u64 = 120_000;
/// The limit after one that ran out.
const LONG_TIMEOUT_MS: u64 = 900_000;

/// What an output of `exec_command` says.
#[derive(Debug, PartialEq, Eq)]
enum Ran<'e> {
    /// It may have run or not; what we run only reads, so it is run again.
    Unknown,
    TimedOut,
    Refused(&'e str),
    Done {
        output: &'e str,
        truncated: bool,
    },
}

fn ran(output: &str) -> Ran<'_> {
    if is_unknown(output) {
        return Ran::Unknown;
    }
    let (head, body) = match output.split_once("\nOutput:\n") {
        Some((head, body)) => (head, Some(body)),
        None => (output, output.strip_suffix("\nOutput:").map(|_| "")),
    };
    if head.lines().any(|line| line.starts_with("Process timed out")) {
        return Ran::TimedOut;
    }
    match body {
        Some(output) => Ran::Done { output, truncated: output.lines().any(is_omission) },
        None => Ran::Refused(output),
    }
}

/// True for the output of a call of which nobody knows whether it ran.
pub(super) fn is_unknown(output: &str) -> bool {
    output == "aborted" || output.starts_with("Effect unknown:")
}

fn is_omission(line: &str) -> bool {
    line.starts_with("[... ") && line.ends_with(" omitted ...]")
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand<T> {
    /// Its result is known.
    Ready(T),
    /// It is to be called, so narrow and with this time limit.
    Todo { narrow: usize, timeout_ms: u64 },
    /// It was tried often enough.
    Failed(String),
}

/// Where `job` stands after these items. `read` makes sense of its output, or says that something is missing.
pub(super) fn stand<T>(entries: &[Entry<'_>], job: &Job, read: impl Fn(&str) -> Option<T>) -> Stand<T> {
    let (mut tries, mut errors, mut narrow) = (0, 0, 0);
    let mut timeout_ms = TIMEOUT_MS;
    let mut why = "its effect stayed unknown".to_owned();
    for output in outputs(entries, "exec_command", |arguments| {
        arguments["cmd"].as_str().and_then(Job::of_command).as_ref() == Some(job)
    }) {
        tries += 1;
        match output.map_or(Ran::Unknown, |(_, output)| ran(output)) {
            Ran::Unknown => {}
            Ran::TimedOut => {
                errors += 1;
                timeout_ms = LONG_TIMEOUT_MS;
                why = "it took too long".to_owned();
            }
            Ran::Refused(text) => {
                errors += 1;
                why = first_line(text);
            }
            Ran::Done { output, truncated } => {
                if let Some(result) = read(output) {
                    return Stand::Ready(result);
                }
                errors += usize::from(!truncated || narrow == NARROWEST);
                narrow = (narrow + 1).min(NARROWEST);
                why = match output.lines().find(|line| !line.starts_with("how ")) {
                    _ if truncated => "its output arrived incomplete".to_owned(),
                    Some(line) => format!("its output made no sense: {}", first_line(line)),
                    None => "it said nothing".to_owned(),
                };
            }
        }
    }
    if tries >= MAX_TRIES || errors >= MAX_ERRORS { Stand::Failed(why) } else { Stand::Todo { narrow, timeout_ms } }
}

/// The calls of a tool whose arguments fit, each with the place and text of its output.
pub(super) fn outputs<'e>(
    entries: &'e [Entry<'_>],
    tool: &'e str,
    fits: impl Fn(&Value) -> bool + 'e,
) -> impl Iterator<Item = Option<(usize, &'e str)>> + 'e {
    entries.iter().enumerate().filter_map(move |(i, entry)| {
        let Entry::Call(call) = entry else { return None };
        let arguments: Value = serde_json::from_str(&call.arguments).ok()?;
        if call.name != tool || !fits(&arguments) {
            return None;
        }
        Some(entries.iter().enumerate().skip(i).find_map(|(at, entry)| match entry {
            Entry::Output { call_id, text } if *call_id == call.call_id => Some((at, text.as_str())),
            _ => None,
        }))
    })
}

/// The first line of a text, short enough to stand in a sentence.
pub(super) fn first_line(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 160;
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing")
        .chars()
        .take(SHOWN_CHARACTERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::command::Area;
    use super::*;
    use crate::request::Call;

    fn done(text: &str) -> String {
        format!(
            "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\n{text}"
        )
    }

    fn history(outputs: &[String]) -> Vec<Entry<'static>> {
        let arguments = serde_json::json!({"cmd": job().command(0)}).to_string();
        let pair = |(i, output): (usize, &String)| {
            let call_id = format!("c{i}");
            let call = Call {
                call_id: call_id.clone().into(),
                name: "exec_command".into(),
                namespace: None,
                arguments: arguments.clone().into(),
            };
            [Entry::Call(call), Entry::Output { call_id: call_id.into(), text: output.clone() }]
        };
        outputs.iter().enumerate().flat_map(pair).collect()
    }

    fn job() -> Job {
        Job::list(Area::All)
    }

    #[test]
    fn a_job_after_its_outputs() {
        let todo = |narrow, timeout_ms| Stand::Todo { narrow, timeout_ms };
        let unknown = || "Effect unknown: the program ended".to_owned();
        let cut = || done("ok\n[... 9 bytes omitted ...]\nok\n");
        let refused = || "the sandbox is not available; use -s danger-full-access\nmore".to_owned();
        let table: Vec<(Vec<String>, Stand<&str>)> = vec![
            (vec![], todo(0, TIMEOUT_MS)),
            (vec!["aborted".to_owned(), unknown()], todo(0, TIMEOUT_MS)),
            (vec![cut()], todo(1, TIMEOUT_MS)),
            (vec![cut(), cut(), done("yes")], Stand::Ready("yes")),
            (vec![cut(), cut(), cut(), cut(), cut()], Stand::Failed("its output arrived incomplete".to_owned())),
            (vec!["Wall time: 9\nProcess timed out after 9 ms\nOutput:\n".to_owned()], todo(0, LONG_TIMEOUT_MS)),
            (vec![refused(), refused()], todo(0, TIMEOUT_MS)),
            (vec![refused(); 3], Stand::Failed("the sandbox is not available; use -s danger-full-access".to_owned())),
            (vec![done("sh: odd"); 3], Stand::Failed("its output made no sense: sh: odd".to_owned())),
            (vec![unknown(); 8], Stand::Failed("its effect stayed unknown".to_owned())),
        ];
        for (outputs, expected) in table {
            let read = |output: &str| (output == "yes").then_some("yes");
            assert_eq!(stand(&history(&outputs), &job(), read), expected, "{outputs:?}");
        }
    }

    #[test]
    fn a_call_without_output_is_called_again() {
        let mut entries = history(&[done("yes")]);
        entries.pop();
        assert_eq!(stand(&entries, &job(), |_| Some(())), Stand::Todo { narrow: 0, timeout_ms: TIMEOUT_MS });
    }
}
