//! What a client says of a thread when it begins or goes on: for the program, and for the thread's own settings.

use std::path::PathBuf;
use std::sync::Arc;

use sapwood_actors::agent::Agent;
use sapwood_actors::agent::approval::DynamicTools;
use sapwood_actors::tree::INPUT_BYTES;
use sapwood_protocol::app::dynamic::DynamicTool;
use sapwood_protocol::app::start::ThreadOverrides;
use sapwood_protocol::own::{Manner, ThreadSettings as Set};

use super::settings::name;
use crate::connection::Connection;
use crate::program::{Prepared, Recorded, ThreadRequest};
use crate::rpc::RpcError;

/// The tools of a client, if they are in order.
pub(super) fn client_tools(tools: &[DynamicTool]) -> Result<DynamicTools, RpcError> {
    let same = serde_json::to_value(tools).and_then(serde_json::from_value::<DynamicTools>);
    let same = same.map_err(|error| RpcError::invalid(format!("`dynamicTools` cannot be read: {error}")))?;
    same.checked().map_err(|error| RpcError::invalid(error.to_string()))
}

/// What a client says of a thread, for the program.
pub(super) fn request(
    overrides: &ThreadOverrides,
    connection: &Connection,
    resume: Option<Recorded>,
) -> Result<ThreadRequest, RpcError> {
    if overrides.sandbox.is_some() && overrides.permissions.is_some() {
        return Err(RpcError::invalid("`permissions` cannot be combined with `sandbox`"));
    }
    if overrides.developer_instructions.as_ref().is_some_and(|text| text.len() > INPUT_BYTES) {
        return Err(RpcError::invalid(format!("`developerInstructions` has more than {INPUT_BYTES} bytes")));
    }
    Ok(ThreadRequest {
        cwd: overrides.cwd.as_ref().map(PathBuf::from),
        workspace_roots: overrides
            .runtime_workspace_roots
            .as_ref()
            .map(|roots| roots.iter().map(PathBuf::from).collect()),
        model: overrides.model.clone(),
        model_provider: overrides.model_provider.clone(),
        service_tier: overrides.service_tier.clone(),
        approval_policy: overrides.approval_policy.map(Into::into),
        approvals_reviewer: overrides.approvals_reviewer,
        sandbox: overrides.sandbox.map(|mode| name(&mode).to_string()),
        permissions: overrides.permissions.clone(),
        sandbox_policy: None,
        config: overrides.config.clone().unwrap_or_default(),
        base_instructions: overrides.base_instructions.clone(),
        originator: connection.client().map(|client| client.info.name.clone()).unwrap_or_default(),
        resume,
    })
}

/// How the model is to speak, and what it is told: no program has a say in it.
pub(super) fn voice(overrides: &ThreadOverrides) -> Manner {
    Manner {
        personality: overrides.personality.map(|personality| name(&personality)),
        developer_instructions: overrides.developer_instructions.as_deref().map(Into::into),
        ..Manner::default()
    }
}

/// What of it is set in a thread that goes on: what the client named, and nothing else.
pub(super) fn said(
    prepared: &Prepared,
    overrides: &ThreadOverrides,
    cwd: Option<PathBuf>,
    roots: Option<Vec<PathBuf>>,
) -> Option<Set> {
    let settings = &prepared.settings;
    let rights = prepared.rights_are_said;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let manner = Manner {
        cwd: cwd.map(|_| prepared.cwd.to_string_lossy().into()),
        workspace_roots: roots.map(|roots| roots.into_iter().map(text).collect()),
        approval_policy: overrides.approval_policy.map(Into::into),
        approvals_reviewer: overrides.approvals_reviewer,
        sandbox: rights.then(|| settings.sandbox.clone()),
        service_tier: overrides.service_tier.as_ref().map(|tier| tier.as_deref().map(Into::into)),
        ..voice(overrides)
    };
    let model = prepared.model_is_said;
    let set = Set {
        provider: model.then(|| Arc::clone(&settings.provider)),
        model: model.then(|| Arc::clone(&settings.model)),
        effort: model.then(|| settings.effort.clone()),
        manner,
    };
    (set != Set::default()).then_some(set)
}

/// A fork begins in the usual mode of collaboration, whatever its source is in: people choose a mode where they work.
pub(super) fn in_usual_mode(source: &Agent, set: Option<Set>) -> Option<Set> {
    const USUAL: &str = "default";
    let is_unusual = source.asking.manner.as_ref().is_some_and(|manner| {
        manner.mode.as_deref().is_some_and(|mode| mode != USUAL)
            || manner.mode_instructions.iter().flatten().count() > 0
    });
    if !is_unusual {
        return set;
    }
    let set = set.unwrap_or_default();
    let manner = Manner { mode: Some(USUAL.into()), mode_instructions: Some(None), ..set.manner };
    Some(Set { manner, ..set })
}

pub(super) fn recorded(agent: &Agent) -> Recorded {
    let asking = &agent.asking;
    let text = |value: &Option<Arc<str>>| value.as_deref().map(str::to_owned);
    let cwd = asking.manner.as_ref().and_then(|manner| manner.cwd.as_deref()).unwrap_or(&agent.identity().cwd);
    Recorded {
        provider: text(&asking.provider),
        model: text(&asking.model),
        effort: text(&asking.effort),
        cwd: Some(PathBuf::from(cwd)),
        sandbox: asking.manner.as_ref().and_then(|manner| manner.sandbox.clone()),
        approval_policy: asking.manner.as_ref().and_then(|manner| manner.approval_policy),
    }
}

pub(super) fn text_of(prepared: &Prepared) -> Result<String, RpcError> {
    let cwd = prepared.cwd.to_str();
    cwd.map(str::to_owned).ok_or_else(|| RpcError::invalid("the path of `cwd` is no valid UTF-8"))
}
