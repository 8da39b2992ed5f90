//! The settings of a thread, as clients read and write them.

use sapwood_actors::seat::Seat;
use sapwood_protocol::app::change::SettingsUpdate;
use sapwood_protocol::app::settings::{
    ActivePermissionProfile, CollaborationMode, ModeKind, ModeSettings, MultiAgentMode, Personality, ReasoningSummary,
    ThreadSettings,
};
use sapwood_protocol::app::thread::Environment;
use sapwood_protocol::own::{Manner, ThreadSettings as Set};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tree::LoadedTree;
use crate::rpc::RpcError;

/// The settings that the next turn of a thread has.
pub(crate) fn of(tree: &LoadedTree, seat: &Seat) -> ThreadSettings {
    let run = &tree.tree.settings;
    let asking = seat.look(|view| view.asking.clone());
    let model = asking.model.clone().unwrap_or_else(|| run.model.clone());
    let effort = match asking.model {
        Some(_) => asking.effort.clone(),
        None => run.effort.clone(),
    };
    let profile = tree.prepared.lock().permission_profile.clone();
    tree.works(seat, |works| {
        // Whoever works by another policy than the run was given does not work by its profile.
        let profile = profile.filter(|_| *works.sandbox() == run.sandbox);
        let mode = word::<ModeKind>(works.mode()).unwrap_or(ModeKind::Default);
        let settings = ModeSettings {
            model: model.to_string(),
            reasoning_effort: effort.as_deref().map(Into::into),
            developer_instructions: works.mode_instructions().map(Into::into),
        };
        ThreadSettings {
            disabled_plugin_ids: Vec::new(),
            cwd: works.cwd().to_owned(),
            environments: Some(environments(tree, works.cwd(), &works.workspace_roots())),
            approval_policy: works.approval_policy(),
            approvals_reviewer: works.approvals_reviewer(),
            sandbox_policy: works.sandbox().wire(),
            active_permission_profile: profile.map(|id| ActivePermissionProfile { id, extends: None }),
            model: model.to_string(),
            model_provider: asking.provider.as_ref().unwrap_or(&run.provider).to_string(),
            service_tier: works.service_tier().map(Into::into),
            effort: effort.as_deref().map(Into::into),
            summary: works.summary().and_then(word::<ReasoningSummary>),
            collaboration_mode: CollaborationMode { mode, settings },
            multi_agent_mode: MultiAgentMode::default(),
            personality: works.personality().and_then(word::<Personality>),
        }
    })
}

/// Where it works, if there is a place.
pub(crate) fn environments(tree: &LoadedTree, cwd: &str, roots: &[String]) -> Vec<Environment> {
    let local = || Environment::local(cwd, roots);
    tree.tree.settings.has_environment.then(local).into_iter().collect()
}

/// What a client sets, checked: nothing if it sets nothing.
///
/// # Errors
/// Two of them contradict each other, or one cannot be had.
pub(crate) fn set(update: &SettingsUpdate, roots: Option<&[String]>) -> Result<Option<Set>, RpcError> {
    if update.sandbox_policy.is_some() && update.permissions.is_some() {
        return Err(RpcError::invalid("`permissions` cannot be combined with `sandboxPolicy`"));
    }
    let environment = match update.environments.as_deref() {
        None | Some([]) => None,
        Some([one, ..]) if one.environment_id == "local" => Some(one),
        Some([one, ..]) => {
            let text = format!("unknown environment `{}`: this server has `local`", one.environment_id);
            return Err(RpcError::invalid(text));
        }
    };
    let cwd = update.cwd.as_ref().or(environment.map(|environment| &environment.cwd));
    if let Some(cwd) = cwd.filter(|cwd| !cwd.starts_with('/')) {
        return Err(RpcError::invalid(format!("`cwd` is to be an absolute path, and is `{cwd}`")));
    }
    let roots = roots.or_else(|| environment.and_then(|environment| environment.runtime_workspace_roots.as_deref()));
    let sandbox = match &update.permissions {
        Some(profile) => Some(profile_sandbox(profile)?),
        None => update.sandbox_policy.clone().map(Into::into),
    };
    let mode = update.collaboration_mode.as_ref();
    let of_mode = mode.map(|mode| &mode.settings);
    let model = update.model.clone().or_else(|| of_mode.map(|settings| settings.model.clone()));
    let effort = update.effort.clone().or_else(|| of_mode.and_then(|settings| settings.reasoning_effort.clone()));
    let manner = Manner {
        cwd: cwd.map(|cwd| cwd.as_str().into()),
        workspace_roots: roots.map(|roots| roots.to_vec().into()),
        approval_policy: update.approval_policy.map(Into::into),
        approvals_reviewer: update.approvals_reviewer,
        sandbox,
        summary: update.summary.as_ref().map(name),
        service_tier: update.service_tier.as_ref().map(|tier| tier.as_deref().map(Into::into)),
        personality: update.personality.as_ref().map(name),
        mode: mode.map(|mode| name(&mode.mode)),
        mode_instructions: of_mode.map(|settings| settings.developer_instructions.as_deref().map(Into::into)),
    };
    let set =
        Set { provider: None, model: model.map(Into::into), effort: effort.map(|effort| Some(effort.into())), manner };
    Ok((set != Set::default()).then_some(set))
}

/// The policy of one of the profiles that are built in.
fn profile_sandbox(profile: &str) -> Result<sapwood_protocol::approval::SandboxPolicy, RpcError> {
    let mode = profile.strip_prefix(':').unwrap_or(profile);
    let mode = match mode {
        "workspace" => "workspace-write",
        "danger-no-sandbox" | "full-access" => "danger-full-access",
        mode => mode,
    };
    sapwood_protocol::approval::SandboxPolicy::of_mode(mode)
        .ok_or_else(|| RpcError::invalid(format!("unknown permission profile `{profile}`; see permissionProfile/list")))
}

/// A word of the wire, by its text.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::from(text)).ok()
}

/// The text of a word of the wire.
pub(super) fn name(word: &impl Serialize) -> std::sync::Arc<str> {
    let value = serde_json::to_value(word).unwrap_or_default();
    value.as_str().unwrap_or_default().into()
}
