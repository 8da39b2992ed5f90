//! The settings of a thread, as clients read and write them.

use sapwood_actors::agent::manner::Works;
use sapwood_actors::seat::Seat;
use sapwood_protocol::app::change::SettingsUpdate;
use sapwood_protocol::app::settings::{
    ActivePermissionProfile, CollaborationMode, ModeKind, ModeSettings, MultiAgentMode, Personality, ReasoningSummary,
    ThreadSettings,
};
use sapwood_protocol::app::thread::Environment;
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_protocol::own::{Manner, ThreadSettings as Set};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::mode;
use super::tree::LoadedTree;
use crate::app::AppServer;
use crate::program::ThreadRequest;
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
    let (profile, of_profile) = {
        let prepared = tree.prepared.lock();
        (prepared.permission_profile.clone(), prepared.settings.sandbox.clone())
    };
    tree.works(seat, |works| {
        // Whoever works by another policy does not work by this profile.
        let profile = profile.filter(|_| *works.sandbox() == of_profile);
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

/// What a client sets.
pub(crate) struct Change {
    /// For the thread; nothing if it sets nothing.
    pub set: Option<Set>,
    /// What commands may touch from here on, and the permission profile that it is, if it says so.
    chosen: Option<(SandboxPolicy, Option<String>)>,
}

impl Change {
    /// What a client wants to set, as far as it may: rights are the program's to give.
    ///
    /// # Errors
    /// Two of them contradict each other, or one cannot be had.
    pub async fn of(
        app: &AppServer,
        (tree, seat): (&LoadedTree, &Seat),
        update: &SettingsUpdate,
        roots: Option<&[String]>,
    ) -> Result<Self, RpcError> {
        let mut set = wanted(update, roots)?;
        let manner = &mut set.manner;
        let request = tree.works(seat, |works| rights_request(update, manner, works));
        let Some(request) = request else {
            let chosen = manner.sandbox.clone().map(|policy| (policy, None));
            return Ok(Self { set: (set != Set::default()).then_some(set), chosen });
        };
        let asking = seat.look(|view| view.asking.clone());
        let run = &tree.tree.settings;
        let request = ThreadRequest {
            // Whom it asks is not what is asked here.
            model: Some(asking.model.as_ref().unwrap_or(&run.model).to_string()),
            model_provider: Some(asking.provider.as_ref().unwrap_or(&run.provider).to_string()),
            ..request
        };
        let rights = app.prepare(request).await?;
        if rights.rights_are_said {
            manner.sandbox = Some(rights.settings.sandbox);
        }
        let chosen = manner.sandbox.clone().map(|policy| (policy, rights.permission_profile));
        Ok(Self { set: Some(set), chosen })
    }

    /// It was accepted, and from here on the thread is set so: what it was begun with is not its profile any more.
    pub fn begins(&self, tree: &LoadedTree, seat: &Seat) {
        if let Some((policy, profile)) = self.chosen.as_ref().filter(|_| seat.parent.is_none()) {
            let mut prepared = tree.prepared.lock();
            prepared.permission_profile.clone_from(profile);
            prepared.settings.sandbox.clone_from(policy);
        }
    }
}

/// What a client wants to set. A permission profile is not resolved yet.
fn wanted(update: &SettingsUpdate, roots: Option<&[String]>) -> Result<Set, RpcError> {
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
    let mode = update.collaboration_mode.as_ref();
    let of_mode = mode.map(|mode| &mode.settings);
    let model = update.model.clone().or_else(|| of_mode.map(|settings| settings.model.clone()));
    let effort = update.effort.clone().or_else(|| of_mode.and_then(|settings| settings.reasoning_effort.clone()));
    let manner = Manner {
        cwd: cwd.map(|cwd| cwd.as_str().into()),
        workspace_roots: roots.map(|roots| roots.to_vec().into()),
        approval_policy: update.approval_policy.map(Into::into),
        approvals_reviewer: update.approvals_reviewer,
        sandbox: update.sandbox_policy.clone().map(Into::into),
        summary: update.summary.as_ref().map(name),
        service_tier: update.service_tier.as_ref().map(|tier| tier.as_deref().map(Into::into)),
        personality: update.personality.as_ref().map(name),
        developer_instructions: None,
        mode: mode.map(|mode| name(&mode.mode)),
        mode_instructions: mode.map(|mode| Some(mode::instructions(mode).into())),
    };
    Ok(Set { provider: None, model: model.map(Into::into), effort: effort.map(|effort| Some(effort.into())), manner })
}

/// What the program is to be asked about rights: nothing where the thread has them already, since it has no more than it may.
fn rights_request(update: &SettingsUpdate, wanted: &Manner, works: Works<'_>) -> Option<ThreadRequest> {
    let sandbox = wanted.sandbox.clone().filter(|sandbox| sandbox != works.sandbox());
    let approval_policy = wanted.approval_policy.filter(|policy| *policy != works.approval_policy());
    let approvals_reviewer = wanted.approvals_reviewer.filter(|reviewer| *reviewer != works.approvals_reviewer());
    let is_asked =
        sandbox.is_some() || update.permissions.is_some() || approval_policy.is_some() || approvals_reviewer.is_some();
    is_asked.then(|| ThreadRequest {
        cwd: Some(wanted.cwd.as_deref().unwrap_or(works.cwd()).into()),
        permissions: update.permissions.clone(),
        sandbox_policy: sandbox,
        approval_policy,
        approvals_reviewer,
        ..ThreadRequest::default()
    })
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
