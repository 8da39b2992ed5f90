//! The ids of the tree, and the one source they come from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::time::Millis;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

uuid_id! {
    /// One agent, and its rollout. A UUIDv7, minted when the thread is created and kept for ever.
    ThreadId
}
uuid_id! {
    /// One tree of agents: the thread id of its root, stored in the rollout of each of its agents.
    SessionId
}

impl From<ThreadId> for SessionId {
    fn from(root: ThreadId) -> Self {
        Self(root.0)
    }
}

impl From<SessionId> for ThreadId {
    fn from(session: SessionId) -> Self {
        Self(session.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as it stands in files and on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                Self(s.into())
            }
        }

        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self(s.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<str>::deserialize(d).map(|s| Self(s.as_ref().into()))
            }
        }
    };
}

text_id! {
    /// One turn. A UUIDv7 when we start it; any text when another program did.
    TurnId
}
text_id! {
    /// One response item, with its prefix (`msg_`, `fc_`, `fco_`, `amsg_` ...).
    ItemId
}
text_id! {
    /// The id that pairs a tool call with its output. The model gives it.
    CallId
}
text_id! {
    /// A question to a person or to a client. A UUIDv7, minted when it is first asked, and the same after a restart.
    AskId
}
/// An accepted input. Mail has `<sender>:<n>`; a user's input has the id its client gave, or a new one.
///
/// Agents remember many of them, and most are UUIDs: these are kept as 16 bytes, and shown as they were written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(Name);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    Uuid(Uuid),
    Text(Arc<str>),
}

impl From<&str> for InputId {
    fn from(text: &str) -> Self {
        // Only where it is shown as it is here: not in capitals, nor without hyphens.
        let uuid = Uuid::try_parse(text).ok();
        let uuid = uuid.filter(|uuid| *uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *text);
        Self(uuid.map_or_else(|| Name::Text(text.into()), Name::Uuid))
    }
}

impl From<String> for InputId {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl From<Uuid> for InputId {
    fn from(uuid: Uuid) -> Self {
        Self(Name::Uuid(uuid))
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Uuid(uuid) => uuid.hyphenated().fmt(f),
            Name::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for InputId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InputId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(d).map(|text| Self::from(&*text))
    }
}

/// The source of ids of one incarnation: a seeded generator, so that the same seed gives the same rollout.
///
/// It is no source of secrets. The program seeds it from the system's randomness; a simulation from its seed.
#[derive(Clone, Debug)]
pub struct Ids {
    state: u64,
}

impl Ids {
    /// A generator that is a function of `seed` alone.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 new bits (SplitMix64, public domain, Vigna 2015: one addition and a mix of the sum).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A UUIDv7 of the moment `now`.
    pub fn uuid(&mut self, now: Millis) -> Uuid {
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&self.bits().to_be_bytes());
        random[8..].copy_from_slice(&self.bits().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid()
    }

    /// A new thread id.
    pub fn thread(&mut self, now: Millis) -> ThreadId {
        ThreadId(self.uuid(now))
    }

    /// A new turn id.
    pub fn turn(&mut self, now: Millis) -> TurnId {
        TurnId::from(self.uuid(now).to_string())
    }

    /// A new id of a question.
    pub fn ask(&mut self, now: Millis) -> AskId {
        AskId::from(self.uuid(now).to_string())
    }

    /// A new item id with one of the prefixes that Codex uses (`msg`, `fco`, `amsg` ...).
    pub fn item(&mut self, prefix: &str, now: Millis) -> ItemId {
        ItemId::from(format!("{prefix}_{}", self.uuid(now)))
    }
}

/// The namespace of the ids of synthetic outputs, as measured on Codex 0.169.0 (`goals-and-rollouts.md` B.2).
const SYNTHETIC_OUTPUTS: Uuid = Uuid::from_u128(0x90d38d3e_6a5b4d52_bfe22f1e_634bfac4);

/// The id of the output that a prompt shows for a call without one: `<prefix>_` and the UUIDv5 of
/// `<prefix>:<call item id>`, so that two resumes build the same prompt.
pub fn synthetic_output_id(prefix: &str, call_item: &ItemId) -> ItemId {
    let name = format!("{prefix}:{call_item}");
    ItemId::from(format!("{prefix}_{}", Uuid::new_v5(&SYNTHETIC_OUTPUTS, name.as_bytes())))
}

/// The id of the message that carries a thread's base instructions at the head of each request: the same in
/// every request of the thread, because it is derived from the thread id.
pub fn base_instructions_id(thread: ThreadId) -> ItemId {
    ItemId::from(format!("msg_{}", Uuid::new_v5(&thread.0, b"base_instructions")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_ids_are_those_measured() {
        let id = |call: &str| synthetic_output_id("fco", &ItemId::from(call));
        assert_eq!(id("fc_call_k").as_str(), "fco_d917df01-4a76-51f9-8c6d-5f4d97c4c8f4");
        assert_eq!(id("fc_call_w1b").as_str(), "fco_9bc50ceb-01a0-55ef-a862-03d70119181f");
    }

    #[test]
    fn ids_of_one_seed_repeat_and_sort_by_time() {
        let mut a = Ids::seeded(7);
        let mut b = Ids::seeded(7);
        let first = a.thread(Millis(1_000));
        assert_eq!(first, b.thread(Millis(1_000)));
        assert!(a.thread(Millis(1_001)) > first);
        assert_eq!(first.0.get_version_num(), 7);
    }

    #[test]
    fn ids_are_their_text() {
        let id: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"01a1fb6a-a76e-71a2-bd2a-94a0af49bbef\"");
        // Also where it looks almost like a UUID.
        let uuid = id.to_string();
        for text in [&*uuid, &uuid.to_uppercase(), &uuid.replace('-', ""), &format!("urn:uuid:{uuid}"), "client:1", ""]
        {
            let input = InputId::from(text);
            assert_eq!(
                (input.to_string(), format!("\"{text}\"")),
                (text.to_owned(), serde_json::to_string(&input).unwrap())
            );
            assert_eq!(matches!(input.0, Name::Uuid(_)), text == uuid, "{text}");
        }
        let call: CallId = serde_json::from_str("\"call_\\u0031\"").unwrap();
        assert_eq!(call.as_str(), "call_1");
    }
}
