//! What a thread begins, or goes on, with: the client's words before those of the configuration.

use std::path::Path;

use sapwood_actors::agent::state::Asking;
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_server::program::{Prepared, ProgramError, Recorded, ThreadRequest};

use super::{Served, usable};
use crate::config::{Named, Sandbox};
use crate::exit::Failure;
use crate::providers::Choice;
use crate::rights::{self, Wanted};
use crate::settings;

impl Served {
    pub(super) fn prepare(&self, request: ThreadRequest) -> Result<Prepared, ProgramError> {
        let said = (request.sandbox.as_deref(), request.permissions.as_deref(), request.sandbox_policy);
        let wanted = wanted(said)?;
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
        let required = self.required()?;
        let allowed = required.allowed.clone();
        warnings.extend(required.warnings.iter().cloned());
        if let Some(recorded) = &request.resume {
            warnings.extend(rights::recorded(recorded.sandbox.as_ref(), recorded.approval_policy, &allowed));
        }
        let recorded = request.resume.as_ref().map(asking);
        let choice = Choice::new(&config, request.model.as_deref(), recorded.as_ref(), &providers)
            .map_err(|failure| ProgramError::invalid(failure.message))?;
        if !providers.knows(&choice.provider) {
            return Err(ProgramError::UnknownProvider { provider: choice.provider });
        }
        warnings.extend(providers.warnings(&choice.provider));
        let rights_are_said = wanted.is_some();
        let Sandbox { mut policy, profile } =
            rights::sandbox(&config, wanted, &required, &mut warnings).map_err(refused)?;
        if let SandboxPolicy::WorkspaceWrite { writable_roots, .. } = &mut policy {
            settings::make_absolute(writable_roots, &cwd);
        }
        let approval_policy = rights::approval_policy(&config, request.approval_policy, &allowed, &mut warnings);
        let approvals_reviewer = rights::reviewer(&config, request.approvals_reviewer, &allowed, &mut warnings);
        let mut settings = settings::of(&config, &providers, choice, policy, &request.originator);
        // What a thread's own lines say counts: a client changes it by lines.
        (settings.model_is_said, settings.manner_is_said) = (false, false);
        settings.approval_policy = approval_policy.map_err(refused)?;
        settings.approvals_reviewer = approvals_reviewer.map_err(refused)?;
        settings.allowed = allowed;
        settings.managed_instructions = required.developer_instructions.map(Into::into);
        if let Some(tier) = request.service_tier {
            settings.service_tier = tier.as_deref().map(settings::tier);
        }
        if let Some(instructions) = request.base_instructions {
            settings.base_instructions = instructions.into();
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
            warnings,
        })
    }
}

fn asking(recorded: &Recorded) -> Asking {
    let text = |value: &Option<String>| value.as_deref().map(Into::into);
    Asking {
        provider: text(&recorded.provider),
        model: text(&recorded.model),
        effort: text(&recorded.effort),
        ..Asking::default()
    }
}

/// What a client wants commands to be able to touch, in the one way in which it says it.
fn wanted<'a>(
    said: (Option<&'a str>, Option<&'a str>, Option<SandboxPolicy>),
) -> Result<Option<Wanted<'a>>, ProgramError> {
    match said {
        (None, None, None) => Ok(None),
        (Some(mode), None, None) => Ok(Some(Wanted::Mode(mode))),
        (None, Some(id), None) => Ok(Some(Wanted::Profile(id))),
        (None, None, Some(policy)) => Ok(Some(Wanted::Policy(policy))),
        (Some(_), Some(_), _) => Err(ProgramError::invalid("`permissions` cannot be combined with `sandbox`")),
        (_, _, Some(_)) => Err(ProgramError::invalid("`sandboxPolicy` cannot be combined with another sandbox")),
    }
}

fn refused(failure: Failure) -> ProgramError {
    ProgramError::invalid(failure.message)
}
