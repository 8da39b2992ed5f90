//! Where our requests differ from the recorded ones, on purpose: all of it, each with its reason.

use serde_json::{Value, json};

/// One difference.
pub struct Exemption {
    /// The recordings it is in, by the start of their names.
    pub recordings: &'static [&'static str],
    /// Why it is there.
    pub reason: &'static str,
    /// What differs.
    pub difference: Difference,
}

impl Exemption {
    fn is_in(&self, recording: &str) -> bool {
        self.recordings.iter().any(|start| recording.starts_with(start))
    }
}

/// What differs.
pub enum Difference {
    /// An item that only the recording has, once in each request.
    Theirs(fn(&Value) -> bool),
    /// An item that only we have, once in each request.
    Ours(fn(&Value) -> bool),
    /// An item of both, the same but for its words. Gives the words that are compared instead, for an item that is meant.
    Words {
        /// In the recording.
        theirs: fn(&Value) -> Option<String>,
        /// In our request.
        ours: fn(&Value) -> Option<String>,
    },
}

/// Whose request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The recording's.
    Theirs,
    /// Ours.
    Ours,
}

/// The differences of this version.
pub const EXEMPTIONS: [Exemption; 5] = [
    Exemption {
        recordings: &["01-", "02-"],
        reason: "deferred tools are announced with the tool search, a later issue",
        difference: Difference::Theirs(|item| {
            is_text(item, "developer", |text| text.starts_with("<tools>\nDeferred tool namespaces:"))
        }),
    },
    Exemption {
        recordings: &["01-", "02-"],
        reason: "recorded with the agent tools of version 1, which have no hint; ours are always those of version 2",
        difference: Difference::Ours(|item| is_text(item, "developer", is_hint)),
    },
    Exemption {
        recordings: &["04-multi-agent-v2"],
        reason: "the hint is in our own words",
        difference: Difference::Words {
            theirs: |item| is_text(item, "developer", |text| text.starts_with("[elided: ")).then(|| "the hint".into()),
            ours: |item| is_text(item, "developer", is_hint).then(|| "the hint".into()),
        },
    },
    Exemption {
        recordings: &["04-multi-agent-v2"],
        reason: "the multi-agent mode is a setting of a later issue",
        difference: Difference::Theirs(|item| {
            is_text(item, "developer", |text| text.starts_with("<multi_agent_mode>"))
        }),
    },
    Exemption {
        recordings: &["01-", "02-", "04-multi-agent-v2"],
        reason: "what the environment allows is said in our own words; directory, shell, date and zone are the same",
        difference: Difference::Words {
            theirs: |item| environment(item, "  <filesystem>"),
            ours: |item| environment(item, "  <sandbox_mode>danger-full-access</sandbox_mode>"),
        },
    },
];

fn text_of(item: &Value) -> &str {
    item["content"][0]["text"].as_str().unwrap_or_default()
}

/// True for a message of this role whose text is meant.
pub fn is_text(item: &Value, role: &str, says: impl Fn(&str) -> bool) -> bool {
    item["type"] == "message" && item["role"] == role && says(text_of(item))
}

fn is_hint(text: &str) -> bool {
    text.contains("The `collaboration` tools let you start agents")
}

/// The environment without the line that starts with `own`, which must be there, once.
fn environment(item: &Value, own: &str) -> Option<String> {
    is_text(item, "user", |text| text.starts_with("<environment_context>\n")).then(|| {
        let (own, same): (Vec<_>, Vec<_>) = text_of(item).lines().partition(|line| line.starts_with(own));
        assert_eq!(own.len(), 1, "{item}");
        same.join("\n")
    })
}

/// The items of a request as they are compared: their JSON, without what is exempt, with new ids as their kind. Counts
/// each exemption that was used in `used`.
pub fn compared(name: &str, side: Side, input: &[Value], used: &mut [usize]) -> Vec<String> {
    without(&EXEMPTIONS, name, side, input, used).iter().map(|item| normal(item).to_string()).collect()
}

/// The items of a request without what is exempt. Counts each exemption that was used in `used`.
pub fn without(exemptions: &[Exemption], name: &str, side: Side, input: &[Value], used: &mut [usize]) -> Vec<Value> {
    let mut left: Vec<Option<Value>> = input.iter().cloned().map(Some).collect();
    for (k, exemption) in exemptions.iter().enumerate().filter(|(_, exemption)| exemption.is_in(name)) {
        match (&exemption.difference, side) {
            (Difference::Theirs(is), Side::Theirs) | (Difference::Ours(is), Side::Ours) => {
                let found: Vec<_> = (0..input.len()).filter(|at| is(&input[*at])).collect();
                assert_eq!(found.len(), 1, "{name} {side:?}, once in each request: {}", exemption.reason);
                left[found[0]] = None;
                used[k] += 1;
            }
            (Difference::Words { theirs, ours }, _) => {
                let words = if side == Side::Theirs { theirs } else { ours };
                for at in 0..input.len() {
                    let Some(words) = words(&input[at]) else { continue };
                    let item = left[at].as_mut().unwrap();
                    match item["type"] == "message" {
                        true => item["content"][0]["text"] = json!(words),
                        false => item["output"] = json!(words),
                    }
                    used[k] += 1;
                }
            }
            _ => {}
        }
    }
    left.into_iter().flatten().collect()
}

/// Each exemption of a recording was needed, and no other.
pub fn assert_needed(exemptions: &[Exemption], name: &str, used: &[Vec<usize>; 2]) {
    for (k, exemption) in exemptions.iter().enumerate() {
        let is_used = used[0][k] + used[1][k] > 0;
        assert_eq!(is_used, exemption.is_in(name), "{name}: not needed: {}", exemption.reason);
    }
}

/// An item whose new ids are replaced by what kind of id they are.
fn normal(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some((prefix, id)) = item["id"].as_str().and_then(|id| id.split_once('_'))
        && id.parse::<sapwood_protocol::ThreadId>().is_ok()
    {
        item["id"] = json!(format!("{prefix}_<new>"));
    }
    if let Some(rest) = item["output"].as_str().and_then(|output| output.strip_prefix("Chunk ID: ")) {
        let (chunk, rest) = rest.split_once('\n').unwrap();
        assert!(chunk.len() == 6 && chunk.bytes().all(|b| b.is_ascii_hexdigit()), "{chunk}");
        item["output"] = json!(format!("Chunk ID: <new>\n{rest}"));
    }
    item
}
