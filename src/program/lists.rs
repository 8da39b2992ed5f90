//! Permission profiles and features.

use sapwood_protocol::app::lists::{ExperimentalFeature, FeatureStage, PermissionProfileSummary};

use crate::config::{PROFILES, Requirements, Rights};

/// What there is of Codex's features. Each is on, and none can be switched off.
const FEATURES: [&str; 4] = ["shell_tool", "unified_exec", "multi_agent", "multi_agent_v2"];

/// The permission profiles, and whether a client may choose them.
pub(super) fn permission_profiles(rights: &Rights, required: &Requirements) -> Vec<PermissionProfileSummary> {
    let is_allowed = |id: &str| rights.of_profile(id).is_some_and(|profile| required.refuses(&profile).is_none());
    let summary = |id: &str| PermissionProfileSummary { id: id.to_owned(), description: None, allowed: is_allowed(id) };
    PROFILES.into_iter().map(|(id, _)| summary(id)).collect()
}

pub(super) fn features() -> Vec<ExperimentalFeature> {
    let feature = |name: &str| ExperimentalFeature {
        name: name.to_owned(),
        stage: FeatureStage::Stable,
        display_name: None,
        description: None,
        announcement: None,
        enabled: true,
        default_enabled: true,
    };
    FEATURES.into_iter().map(feature).collect()
}
