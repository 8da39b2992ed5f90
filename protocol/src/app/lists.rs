//! Short lists that clients make menus of.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The entries.
    pub data: Vec<T>,
    /// Where the next page begins; `null` after the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A whole list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List<T> {
    /// The entries.
    pub data: Vec<T>,
}

/// The params of `permissionProfile/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PermissionProfileListParams {
    /// Where the page begins.
    pub cursor: Option<String>,
    /// Entries of a page, at most.
    pub limit: Option<u32>,
    /// The directory whose project counts.
    pub cwd: Option<String>,
}

/// A permission profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionProfileSummary {
    /// Its id; those that are built in begin with a colon.
    pub id: String,
    /// What it is for.
    pub description: Option<String>,
    /// The machine's owner allows it.
    pub allowed: bool,
}

/// The params of `experimentalFeature/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentalFeatureListParams {
    /// Where the page begins.
    pub cursor: Option<String>,
    /// Entries of a page, at most.
    pub limit: Option<u32>,
    /// The thread whose directory counts.
    pub thread_id: Option<String>,
}

/// A feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeature {
    /// Its key in `[features]`.
    pub name: String,
    /// How far it is.
    pub stage: FeatureStage,
    /// Its name for a person, while it is tried out.
    pub display_name: Option<String>,
    /// What it does, while it is tried out.
    pub description: Option<String>,
    /// What a person is told of it, while it is tried out.
    pub announcement: Option<String>,
    /// It is on.
    pub enabled: bool,
    /// It is on where nothing says otherwise.
    pub default_enabled: bool,
}

/// How far a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FeatureStage {
    /// Tried out.
    Beta,
    /// Being made.
    UnderDevelopment,
    /// Made.
    Stable,
    /// To be avoided.
    Deprecated,
    /// Gone.
    Removed,
}

/// What a mode of collaboration sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollaborationModeMask {
    /// Its name for a person.
    pub name: String,
    /// Its name in requests.
    pub mode: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its effort.
    pub reasoning_effort: Option<String>,
}

/// The params of `skills/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SkillsListParams {
    /// The directories; none for that of the server.
    pub cwds: Vec<String>,
    /// What was found before does not count.
    pub force_reload: bool,
}

/// The skills that a directory sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillsListEntry {
    /// The directory, as it was named.
    pub cwd: String,
    /// Its skills.
    pub skills: Vec<serde_json::Value>,
    /// What could not be read.
    pub errors: Vec<FileError>,
}

/// The params of `hooks/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HooksListParams {
    /// The directories; none for that of the server.
    pub cwds: Vec<String>,
    /// A thread whose hooks are wanted instead.
    pub thread_id: Option<String>,
}

/// The hooks that a directory sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HooksListEntry {
    /// The directory, as it was named.
    pub cwd: String,
    /// Its hooks.
    pub hooks: Vec<serde_json::Value>,
    /// What a person should know of them.
    pub warnings: Vec<String>,
    /// What could not be read.
    pub errors: Vec<FileError>,
}

/// A file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}
