//! What a script says, and which of its rules fits.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::request::{Entry, find_call};

/// A script: rules, of which the first that fits answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it is for; nobody reads it.
    #[serde(default)]
    pub about: Option<String>,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule: when it fits, and what it answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The agent's path, or how it starts and a `*`.
    #[serde(default = "every_agent")]
    pub agent: String,
    /// What the last item must be.
    #[serde(default)]
    pub on: Matcher,
    /// What an item of the turn must contain.
    #[serde(default)]
    pub turn_contains: Option<String>,
    /// How often it answers, as far as the input shows.
    #[serde(default)]
    pub times: Option<u32>,
    /// Up to which attempt it answers.
    #[serde(default)]
    pub attempt_at_most: Option<u32>,
    /// What it answers.
    pub reply: Vec<Step>,
}

fn every_agent() -> String {
    "*".to_owned()
}

/// What the last item of a request must be: all that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// Says that anything will do.
    #[serde(default)]
    pub any: bool,
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Whether it is a user's message.
    #[serde(default)]
    pub user: Option<bool>,
    /// What it contains.
    #[serde(default)]
    pub text_contains: Option<String>,
    /// The id, or the tool, of the call whose output it is.
    #[serde(default)]
    pub call: Option<String>,
    /// The agent whose mail it is.
    #[serde(default)]
    pub mail_from: Option<String>,
}

/// A step of a reply.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A message.
    Text(TextStep),
    /// A reasoning item.
    Reasoning(String),
    /// A function call.
    Call(CallStep),
    /// A custom tool call.
    CustomCall(CustomCallStep),
    /// Any item.
    Item(Value),
    /// Waits so many milliseconds.
    DelayMs(u64),
    /// What the response cost.
    Usage(UsageStep),
    /// Fails.
    Fail(FailStep),
    /// Breaks the stream.
    Cut(CutStep),
    /// Never answers.
    Hang,
}

/// A message: its text, or more about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TextStep {
    /// Only its text.
    Plain(String),
    /// More about it.
    Full {
        /// Its text.
        text: String,
        /// `commentary` or `final_answer`.
        #[serde(default)]
        phase: Option<String>,
        /// In how many pieces it is heard; 1 if not given.
        #[serde(default)]
        deltas: Option<usize>,
    },
}

/// A function call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallStep {
    /// The tool.
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// An object, or a text that is sent as it is; `{}` if not given.
    #[serde(default)]
    pub arguments: Option<Value>,
    /// The call id.
    #[serde(default)]
    pub id: Option<String>,
}

/// A custom tool call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomCallStep {
    /// The tool.
    pub name: String,
    /// Its input.
    #[serde(default)]
    pub input: String,
    /// The call id.
    #[serde(default)]
    pub id: Option<String>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailStep {
    /// The HTTP status; 0 where there is none.
    #[serde(default)]
    pub status: u16,
    /// What the provider says.
    #[serde(default)]
    pub message: String,
    /// How long it asks to wait.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// The account has used up what it may use, until then, in milliseconds since 1970.
    #[serde(default)]
    pub usage_limit_until_ms: Option<u64>,
}

/// A broken stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutStep {
    /// After how many items of the reply; here if not given.
    #[serde(default)]
    pub after_items: Option<usize>,
}

/// What a response cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageStep {
    /// See [`sapwood_protocol::Usage`].
    pub input_tokens: u64,
    /// See [`sapwood_protocol::Usage`].
    pub cached_input_tokens: u64,
    /// See [`sapwood_protocol::Usage`].
    pub cache_write_input_tokens: u64,
    /// See [`sapwood_protocol::Usage`].
    pub output_tokens: u64,
    /// See [`sapwood_protocol::Usage`].
    pub reasoning_output_tokens: u64,
    /// Input and output together if not given.
    pub total_tokens: Option<u64>,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("the script {path} cannot be read: {source}; give the path of a JSON file", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no script.
    #[error("the script{at} is not understood: {source}", at = path.as_ref().map(|p| format!(" {}", p.display())).unwrap_or_default())]
    Parse {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
}

impl Script {
    /// Reads a script.
    pub fn from_json(json: &[u8]) -> Result<Self, ScriptError> {
        serde_json::from_slice(json).map_err(|source| ScriptError::Parse { path: None, source })
    }

    /// Reads a script from a file.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        let json = std::fs::read(path).map_err(|source| ScriptError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&json).map_err(|source| ScriptError::Parse { path: Some(path.to_owned()), source })
    }

    /// The rule that answers the agent at `path` after these items, at this attempt.
    pub(super) fn rule(&self, path: &str, entries: &[Entry<'_>], attempt: u32) -> Option<&Rule> {
        let mut used = vec![0u32; self.rules.len()];
        if self.rules.iter().any(|rule| rule.times.is_some() && rule.is_for(path)) {
            for end in requests(entries) {
                let found = self.rules.iter().enumerate().position(|(i, rule)| {
                    rule.leaves_items() && rule.has_times_left(used[i]) && rule.fits(path, &entries[..end], 1)
                });
                if let Some(i) = found {
                    used[i] += 1;
                }
            }
        }
        let mut rules = self.rules.iter().zip(&used);
        rules
            .find(|(rule, used)| rule.has_times_left(**used) && rule.fits(path, entries, attempt))
            .map(|(rule, _)| rule)
    }
}

/// Where earlier requests ended: the places where the model's items begin.
pub(super) fn requests<'e>(entries: &'e [Entry<'_>]) -> impl Iterator<Item = usize> + 'e {
    (0..entries.len()).filter(|&i| entries[i].is_of_model() && (i == 0 || !entries[i - 1].is_of_model()))
}

impl Rule {
    fn is_for(&self, path: &str) -> bool {
        self.agent.strip_suffix('*').map_or(self.agent == path, |start| path.starts_with(start))
    }

    fn has_times_left(&self, used: u32) -> bool {
        self.times.is_none_or(|times| used < times)
    }

    fn leaves_items(&self) -> bool {
        let ends = |step: &Step| matches!(step, Step::Fail(_) | Step::Cut(_) | Step::Hang);
        let adds = |step: &Step| !ends(step) && !matches!(step, Step::DelayMs(_) | Step::Usage(_));
        self.reply.iter().any(adds) && !self.reply.iter().any(ends)
    }

    fn fits(&self, path: &str, entries: &[Entry<'_>], attempt: u32) -> bool {
        self.is_for(path)
            && self.attempt_at_most.is_none_or(|most| attempt <= most)
            && self.on.fits(entries)
            && self.turn_contains.as_ref().is_none_or(|text| turn(entries).iter().any(|e| e.text().contains(text)))
    }
}

/// The items since the last that starts a turn, that one included.
fn turn<'e, 'a>(entries: &'e [Entry<'a>]) -> &'e [Entry<'a>] {
    let start = entries.iter().rposition(Entry::starts_turn).unwrap_or(0);
    &entries[start..]
}

impl Matcher {
    fn fits(&self, entries: &[Entry<'_>]) -> bool {
        let Some(last) = entries.last() else { return *self == Self::default() || self.any };
        let is_user = matches!(last, Entry::Message { role, .. } if role == "user");
        let is_call = |wanted: &str| {
            let Entry::Output { call_id, .. } = last else { return false };
            call_id == wanted || find_call(entries, call_id).is_some_and(|call| call.name == wanted)
        };
        self.kind.as_ref().is_none_or(|kind| last.kind() == kind)
            && self.user.is_none_or(|user| is_user == user)
            && self.text_contains.as_ref().is_none_or(|text| last.text().contains(text))
            && self.call.as_deref().is_none_or(is_call)
            && self.mail_from.as_ref().is_none_or(|from| matches!(last, Entry::Mail(mail) if mail.author == *from))
    }
}
