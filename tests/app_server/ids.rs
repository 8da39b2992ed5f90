//! Whose id is whose: what the recorded server called it, and what ours does. One to one, both ways.

use std::collections::HashMap;

use serde_json::Value;

/// How ids begin that a model gives.
const OF_MODELS: [&str; 6] = ["msg_", "call_", "rs_", "fc_", "ctc_", "resp_"];
const UUID_CHARS: usize = 36;

/// The pairs so far.
#[derive(Default)]
pub struct Ids {
    ours: HashMap<String, String>,
    theirs: HashMap<String, String>,
}

impl Ids {
    /// Pairs two ids. False if one of them has another partner.
    pub fn pair(&mut self, theirs: &str, ours: &str) -> bool {
        match (self.ours.get(theirs), self.theirs.get(ours)) {
            (None, None) => {
                self.ours.insert(theirs.to_owned(), ours.to_owned());
                self.theirs.insert(ours.to_owned(), theirs.to_owned());
                true
            }
            (known, _) => known.is_some_and(|known| known == ours),
        }
    }

    pub fn ours(&self, theirs: &str) -> Option<&str> {
        self.ours.get(theirs).map(String::as_str)
    }

    /// True if it is the partner of something.
    pub fn is_known_of_ours(&self, ours: &str) -> bool {
        self.theirs.contains_key(ours)
    }

    /// A recorded value with our ids in place of theirs, wherever they stand.
    pub fn to_ours(&self, value: &mut Value) {
        each_text(value, &mut |text| {
            if let Some(ours) = self.ours.get(text) {
                text.clone_from(ours);
                return;
            }
            for uuid in uuids(text) {
                if let Some(ours) = self.ours.get(&uuid) {
                    *text = text.replace(&uuid, ours);
                }
            }
        });
    }

    /// Text of ours with their ids in place of ours.
    pub fn to_theirs(&self, text: &str) -> String {
        let known = uuids(text).into_iter().filter_map(|uuid| Some((self.theirs.get(&uuid)?.clone(), uuid)));
        known.fold(text.to_owned(), |text, (theirs, ours)| text.replace(&ours, &theirs))
    }
}

/// True for what a server or a model made up to name something.
pub fn is_id(text: &str) -> bool {
    is_uuid(text) || OF_MODELS.iter().any(|start| text.starts_with(start)) && !text.contains(char::is_whitespace)
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let fits = |(at, byte): (usize, u8)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    text.len() == UUID_CHARS && text.bytes().enumerate().all(fits)
}

fn uuids(text: &str) -> Vec<String> {
    let starts = 0..text.len().saturating_sub(UUID_CHARS - 1);
    starts.filter_map(|at| text.get(at..at + UUID_CHARS)).filter(|part| is_uuid(part)).map(str::to_owned).collect()
}

/// Changes every text of a value.
pub fn each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| each_text(value, change)),
        Value::Object(map) => map.values_mut().for_each(|value| each_text(value, change)),
        _ => {}
    }
}
