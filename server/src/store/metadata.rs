//! What people change of a thread beside its name. It stands in the thread's own rollout, as a line of ours: so it survives the
//! index, and a loaded thread writes it like any other.

use sapwood_protocol::app::thread::GitInfo;
use sapwood_protocol::record::Git;
use sapwood_protocol::{Line, Millis, own};
use serde::{Deserialize, Deserializer, Serialize};

use super::row::Row;

/// The kind of its line.
pub(super) const KIND: &str = "sapwood.metadata";

/// What is changed: what is left out stays, `null` takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    /// The commit.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub sha: Option<Option<String>>,
    /// The branch.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub branch: Option<Option<String>>,
    /// Where the repository was cloned from.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub origin_url: Option<Option<String>>,
    /// The project.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Option<String>>,
    /// A choice of the client that is kept for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daybreak_enabled: Option<bool>,
}

/// What is there was said, also `null`.
fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Serialize)]
struct Payload<'a> {
    v: u32,
    #[serde(flatten)]
    patch: &'a Patch,
}

impl Patch {
    /// The line that keeps it, for `Log::admit`.
    pub fn line(&self, now: Millis) -> Line {
        Line::encode(now, None, KIND, &Payload { v: own::VERSION, patch: self }, None)
    }

    pub(super) fn apply(self, row: &mut Row) {
        let mut git = row.git.take().unwrap_or_default();
        let fields = [(self.sha, &mut git.sha), (self.branch, &mut git.branch), (self.origin_url, &mut git.origin_url)];
        for (said, field) in fields {
            if let Some(value) = said {
                *field = value;
            }
        }
        row.git = (git != GitInfo::default()).then_some(git);
        if let Some(project) = self.project_id {
            row.project = project;
        }
        row.daybreak = self.daybreak_enabled.or(row.daybreak);
    }
}

pub(super) fn git_info(git: Git) -> GitInfo {
    GitInfo { sha: git.commit_hash, branch: git.branch, origin_url: git.repository_url }
}
