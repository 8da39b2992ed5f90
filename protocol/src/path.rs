//! Agent paths: where an agent stands in its tree (`/root`, `/root/a`, `/root/a/b`).
//!
//! Grammar and error texts as in `multi-agent.md` 1.2: a model has learnt to read them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path, in bytes. Ours: a path is repeated in each mail and each line of a view.
pub const MAX_PATH_BYTES: usize = 1024;

/// An absolute agent path: `/root`, `/morpheus`, or `/root` and one segment for each generation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentPath(Arc<str>);

/// Why a text is no agent path. The texts are those that a model gets as the output of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty reference.
    #[error("agent path must not be empty")]
    Empty,
    /// An empty segment.
    #[error("agent_name must not be empty")]
    EmptyName,
    /// The name of the root.
    #[error("agent_name `root` is reserved")]
    Root,
    /// One of the names that mean a place in a file system.
    #[error("agent_name `{}` is reserved", if *.double { ".." } else { "." })]
    Dots {
        /// `..` rather than `.`.
        double: bool,
    },
    /// A segment with a slash inside.
    #[error("agent_name must not contain `/`")]
    Slash,
    /// A segment with any other character that is not allowed.
    #[error("agent_name must use only lowercase letters, digits, and underscores")]
    Characters,
    /// An absolute path that starts elsewhere.
    #[error("absolute agent paths must start with `/root` or be `/morpheus`")]
    Start,
    /// An absolute path with a slash at its end.
    #[error("absolute agent path must not end with `/`")]
    AbsoluteEnd,
    /// A relative path with a slash at its end.
    #[error("relative agent path must not end with `/`")]
    RelativeEnd,
    /// A path longer than [`MAX_PATH_BYTES`].
    #[error("agent path must be at most {MAX_PATH_BYTES} bytes long")]
    TooLong,
}

const ROOT: &str = "/root";
const MORPHEUS: &str = "/morpheus";

fn check_name(name: &str) -> Result<(), PathError> {
    match name {
        "" => Err(PathError::EmptyName),
        "root" => Err(PathError::Root),
        "." => Err(PathError::Dots { double: false }),
        ".." => Err(PathError::Dots { double: true }),
        _ if name.contains('/') => Err(PathError::Slash),
        _ if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') => Ok(()),
        _ => Err(PathError::Characters),
    }
}

impl AgentPath {
    /// The path of the agent that a user talks to.
    pub fn root() -> Self {
        Self(ROOT.into())
    }

    /// True for the root of a tree.
    pub fn is_root(&self) -> bool {
        &*self.0 == ROOT
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Generations below the root: 0 for the root itself.
    pub fn depth(&self) -> u32 {
        (self.0.bytes().filter(|b| *b == b'/').count() as u32).saturating_sub(1)
    }

    /// The child called `name`.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        check_name(name)?;
        Self::bounded(format!("{}/{name}", self.0))
    }

    /// What `reference` means when this agent says it: an absolute path, or segments below its own path.
    pub fn resolve(&self, reference: &str) -> Result<Self, PathError> {
        if reference.is_empty() {
            return Err(PathError::Empty);
        }
        if reference.starts_with('/') {
            return reference.parse();
        }
        if reference.ends_with('/') {
            return Err(PathError::RelativeEnd);
        }
        reference.split('/').try_fold(self.clone(), |at, name| at.join(name))
    }

    /// True for this path itself and for the paths below it, by whole segments.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn bounded(path: String) -> Result<Self, PathError> {
        if path.len() > MAX_PATH_BYTES { Err(PathError::TooLong) } else { Ok(Self(path.into())) }
    }
}

impl FromStr for AgentPath {
    type Err = PathError;

    /// Parses an absolute path.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.is_empty() {
            return Err(PathError::Empty);
        }
        if s == MORPHEUS {
            return Ok(Self(s.into()));
        }
        let rest = s.strip_prefix(ROOT).ok_or(PathError::Start)?;
        if rest.is_empty() {
            return Ok(Self::root());
        }
        let names = rest.strip_prefix('/').ok_or(PathError::Start)?;
        if names.is_empty() || names.ends_with('/') {
            return Err(PathError::AbsoluteEnd);
        }
        names.split('/').try_for_each(check_name)?;
        Self::bounded(s.to_owned())
    }
}

impl fmt::Display for AgentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AgentPath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgentPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths() {
        for good in ["/root", "/root/a", "/root/a_1/b", "/morpheus"] {
            assert_eq!(good.parse::<AgentPath>().unwrap().as_str(), good);
        }
        let bad = [
            ("", PathError::Empty),
            ("/", PathError::Start),
            ("/rooted", PathError::Start),
            ("/other/a", PathError::Start),
            ("/morpheus/a", PathError::Start),
            ("/root/", PathError::AbsoluteEnd),
            ("/root/a/", PathError::AbsoluteEnd),
            ("/root//a", PathError::EmptyName),
            ("/root/..", PathError::Dots { double: true }),
            ("/root/A", PathError::Characters),
        ];
        for (text, error) in bad {
            assert_eq!(text.parse::<AgentPath>(), Err(error), "{text}");
        }
    }

    #[test]
    fn names_and_their_texts() {
        let root = AgentPath::root();
        let text = |name: &str| root.join(name).unwrap_err().to_string();
        assert_eq!(text(""), "agent_name must not be empty");
        assert_eq!(text("root"), "agent_name `root` is reserved");
        assert_eq!(text(".."), "agent_name `..` is reserved");
        assert_eq!(text("."), "agent_name `.` is reserved");
        assert_eq!(text("a/b"), "agent_name must not contain `/`");
        assert_eq!(text("Ä"), "agent_name must use only lowercase letters, digits, and underscores");
        assert_eq!(root.join(&"a".repeat(2000)), Err(PathError::TooLong));
    }

    #[test]
    fn references() {
        let a: AgentPath = "/root/a".parse().unwrap();
        assert_eq!(a.resolve("b/c").unwrap().as_str(), "/root/a/b/c");
        assert_eq!(a.resolve("/root/b").unwrap().as_str(), "/root/b");
        assert_eq!(a.resolve(""), Err(PathError::Empty));
        assert_eq!(a.resolve("b/"), Err(PathError::RelativeEnd));
        assert_eq!(a.resolve("../b"), Err(PathError::Dots { double: true }));
        assert_eq!(a.depth(), 1);
        assert_eq!(AgentPath::root().depth(), 0);
        assert!(a.covers(&a.resolve("b").unwrap()) && !a.covers(&"/root/ab".parse().unwrap()));
    }
}
