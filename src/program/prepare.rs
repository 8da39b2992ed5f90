//! What a thread begins, or goes on, with: the client's words before those of the configuration.

use std::path::Path;

use sapwood_actors::agent::state::Asking;
use sapwood_protocol::app::config::ConfigRequirements;
use sapwood_protocol::approval::{ApprovalPolicy, SandboxPolicy};
use sapwood_server::program::{Prepared, Program, ProgramError, Recorded, ThreadRequest};
use serde_json::json;

use super::{Served, lists, usable};
use crate::config::{Config, Named, Rights, Sandbox, Trust};
use crate::providers::Choice;
use crate::settings;

impl Served {
    pub(super) fn prepare(&self, request: ThreadRequest) -> Result<Prepared, ProgramError> {
        if request.permissions.is_some() && request.sandbox.is_some() {
            return Err(ProgramError::invalid("`permissions` cannot be combined with `sandbox`"));
        }
        if request.model.as_deref().is_some_and(|model| model.trim().is_empty()) {
            return Err(ProgramError::invalid("`model` is empty: name a model, or leave it out"));
        }
        let recorded_cwd = request.resume.as_ref().and_then(|recorded| recorded.cwd.as_deref());
        let cwd = self.directory(request.cwd.as_deref().or(recorded_cwd).unwrap_or(Path::new("")));
        let reading = self.reading(Some(&cwd), Some(&request.config));
        let mut config = usable(reading).map_err(ProgramError::invalid)?;
        let providers = self.follow(&config);
        let mut warnings = std::mem::take(&mut config.warnings);
        // What the server was started with is what threads begin with; one that goes on keeps its own.
        let keys = ["model", "model_provider", "model_reasoning_effort"];
        let model_is_said = request.model.is_some()
            || request.model_provider.is_some()
            || keys.iter().any(|key| request.config.get(*key).is_some_and(|value| !value.is_null()));
        if let Some(id) = request.model_provider {
            config.provider = Some(Named { id, place: "modelProvider".to_owned() });
        }
        config.model_is_said = model_is_said;
        let recorded = request.resume.map(asking);
        let choice = Choice::new(&config, request.model.as_deref(), recorded.as_ref(), &providers)
            .map_err(|failure| ProgramError::invalid(failure.message))?;
        if !providers.knows(&choice.provider) {
            return Err(ProgramError::UnknownProvider { provider: choice.provider });
        }
        warnings.extend(providers.warnings(&choice.provider));
        let requirements = self.requirements()?.requirements;
        let rights_are_said =
            request.sandbox.is_some() || request.permissions.is_some() || request.approval_policy.is_some();
        let wanted = (request.sandbox.as_deref(), request.permissions.as_deref());
        let Sandbox { mut policy, profile } = sandbox(&config, wanted, requirements.as_ref(), &mut warnings)?;
        if let SandboxPolicy::WorkspaceWrite { writable_roots, .. } = &mut policy {
            settings::make_absolute(writable_roots, &cwd);
        }
        let approval_policy = approvals(&config, request.approval_policy, requirements.as_ref(), &mut warnings)?;
        let mut settings = settings::of(&config, &providers, choice, policy, &request.originator);
        // What a thread's own lines say counts: a client changes it by lines.
        (settings.model_is_said, settings.manner_is_said) = (false, false);
        settings.approval_policy = approval_policy;
        settings.approvals_reviewer =
            request.approvals_reviewer.or(config.rights.approvals_reviewer).unwrap_or_default();
        if let Some(tier) = request.service_tier {
            settings.service_tier = tier.as_deref().map(settings::tier);
        }
        if let Some(instructions) = request.base_instructions {
            settings.base_instructions = instructions;
        }
        warnings.extend(settings::look_up_model(&mut settings, &self.homes, &providers));
        let (instruction_sources, more) = settings::read_project(&mut settings, &self.homes, &cwd);
        warnings.extend(more);
        let roots = request.workspace_roots.unwrap_or_else(|| vec![cwd.clone()]);
        let roots = roots.iter().map(|root| cwd.join(root).to_string_lossy().into_owned()).collect();
        Ok(Prepared {
            settings,
            cwd,
            workspace_roots: roots,
            model_is_said,
            rights_are_said,
            permission_profile: profile.map(str::to_owned),
            instruction_sources,
            developer_instructions: request.developer_instructions.or(config.developer_instructions),
            personality: request.personality,
            warnings,
        })
    }
}

fn asking(recorded: Recorded) -> Asking {
    Asking {
        provider: recorded.provider.map(Into::into),
        model: recorded.model.map(Into::into),
        effort: recorded.effort.map(Into::into),
        ..Asking::default()
    }
}

/// What commands may touch: as the client says, as is configured, or as the project is trusted.
fn sandbox(
    config: &Config,
    (mode, profile): (Option<&str>, Option<&str>),
    requirements: Option<&ConfigRequirements>,
    warnings: &mut Vec<String>,
) -> Result<Sandbox, ProgramError> {
    let rights = &config.rights;
    let said = match (mode, profile) {
        (Some(mode), _) => {
            let none = || {
                ProgramError::invalid(format!(
                    "unknown sandbox mode `{mode}`; there are read-only, workspace-write and danger-full-access"
                ))
            };
            Some(rights.of_mode(mode).ok_or_else(none)?)
        }
        (None, Some(id)) => {
            let none = || {
                ProgramError::invalid(format!(
                    "unknown permission profile `{id}`; permissionProfile/list says which ones there are"
                ))
            };
            Some(rights.of_profile(id).ok_or_else(none)?)
        }
        (None, None) => None,
    };
    let is_said = said.is_some();
    let chosen = said.or_else(|| rights.sandbox.clone()).or_else(|| by_trust(rights, config.trust));
    let chosen = chosen.unwrap_or(Sandbox { policy: SandboxPolicy::READ_ONLY, profile: Some(":read-only") });
    let name = chosen.policy.name();
    if lists::allows(requirements, name) {
        return Ok(chosen);
    }
    let why =
        format!("the sandbox `{name}` is not allowed on this machine (allowed_sandbox_modes in requirements.toml)");
    if is_said {
        return Err(ProgramError::invalid(why));
    }
    // The most careful one is never too much.
    warnings.push(format!("{why}; commands run read-only"));
    Ok(Sandbox { policy: SandboxPolicy::READ_ONLY, profile: None })
}

/// Where a person said something of the project, agents may write in it: in one that is not trusted they ask first.
fn by_trust(rights: &Rights, trust: Trust) -> Option<Sandbox> {
    match trust {
        Trust::Trusted | Trust::Untrusted => rights.of_profile(":workspace"),
        Trust::Unknown => None,
    }
}

fn approvals(
    config: &Config,
    said: Option<ApprovalPolicy>,
    requirements: Option<&ConfigRequirements>,
    warnings: &mut Vec<String>,
) -> Result<ApprovalPolicy, ProgramError> {
    let usual = if config.trust == Trust::Untrusted { ApprovalPolicy::Untrusted } else { ApprovalPolicy::OnRequest };
    let policy = said.or(config.rights.approval_policy).unwrap_or(usual);
    let Some(allowed) = requirements.and_then(|requirements| requirements.allowed_approval_policies.as_ref()) else {
        return Ok(policy);
    };
    let named = json!(policy);
    if allowed.contains(&named) {
        return Ok(policy);
    }
    let why = format!(
        "the approval policy {named} is not allowed on this machine (allowed_approval_policies in requirements.toml)"
    );
    let first = allowed.iter().find_map(|own| serde_json::from_value::<ApprovalPolicy>(own.clone()).ok());
    match first {
        Some(first) if said.is_none() => {
            warnings.push(format!("{why}; {} holds", json!(first)));
            Ok(first)
        }
        _ => Err(ProgramError::invalid(why)),
    }
}
