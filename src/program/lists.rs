//! Permission profiles and features.

use sapwood_protocol::app::config::ConfigRequirements;
use sapwood_protocol::app::lists::{ExperimentalFeature, FeatureStage, PermissionProfileSummary};
use sapwood_server::program::ProgramError;

use crate::config::PROFILES;

/// What there is of Codex's features. Each is on, and none can be switched off.
const FEATURES: [&str; 4] = ["shell_tool", "unified_exec", "multi_agent", "multi_agent_v2"];

pub(super) fn permission_profiles(
    requirements: Option<&ConfigRequirements>,
) -> Result<Vec<PermissionProfileSummary>, ProgramError> {
    let summary = |(id, mode): (&str, &str)| PermissionProfileSummary {
        id: id.to_owned(),
        description: None,
        allowed: allows(requirements, mode),
    };
    Ok(PROFILES.into_iter().map(summary).collect())
}

/// Whether the machine's owner allows a sandbox mode.
pub(super) fn allows(requirements: Option<&ConfigRequirements>, mode: &str) -> bool {
    let allowed = requirements.and_then(|requirements| requirements.allowed_sandbox_modes.as_ref());
    allowed.is_none_or(|allowed| allowed.iter().any(|own| own == mode))
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
