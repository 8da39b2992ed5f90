//! What commands may touch, and who is asked: as somebody wants it, else as it is configured, else as the machine's owner
//! proposes, else as the project is trusted; and never more than the owner allows.
//!
//! Whoever wants too much is refused. What is only configured gives way, with a warning.

use sapwood_actors::agent::allowed::Allowed;
use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};
use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Requirements, Sandbox, Trust};
use crate::exit::Failure;

/// What somebody wants commands to be able to touch.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted<'a> {
    /// A mode, by its name.
    Mode(&'a str),
    /// A permission profile, by its id.
    Profile(&'a str),
    /// All of it, said.
    Policy(SandboxPolicy),
}

/// What commands may touch.
///
/// # Errors
/// There is no such thing, or it is not allowed.
pub fn sandbox(
    config: &Config,
    wanted: Option<Wanted<'_>>,
    required: &Requirements,
    warnings: &mut Vec<String>,
) -> Result<Sandbox, Failure> {
    let rights = &config.rights;
    let is_said = wanted.is_some();
    let said = match wanted {
        None => None,
        Some(Wanted::Mode(mode)) => Some(rights.of_mode(mode).ok_or_else(|| {
            Failure::usage(format!(
                "unknown sandbox mode `{mode}`; there are read-only, workspace-write and danger-full-access"
            ))
        })?),
        Some(Wanted::Profile(id)) => Some(rights.of_profile(id).ok_or_else(|| {
            Failure::usage(format!(
                "unknown permission profile `{id}`; there are :read-only, :workspace and :danger-full-access, and \
                 [permissions.NAME] tables are not supported in this version"
            ))
        })?),
        Some(Wanted::Policy(policy)) => Some(Sandbox { policy, profile: None }),
    };
    let proposed = || required.default_profile.and_then(|id| rights.of_profile(id));
    let usual = || Sandbox { policy: SandboxPolicy::READ_ONLY, profile: Some(":read-only") };
    let chosen = said.or_else(|| rights.sandbox.clone()).or_else(proposed).or_else(|| by_trust(config));
    within(chosen.unwrap_or_else(usual), is_said, required, warnings)
}

/// What holds of what was chosen.
///
/// # Errors
/// It was said, and is not allowed.
pub fn within(
    chosen: Sandbox,
    is_said: bool,
    required: &Requirements,
    warnings: &mut Vec<String>,
) -> Result<Sandbox, Failure> {
    let Some(why) = required.refuses(&chosen) else { return Ok(chosen) };
    if is_said {
        return Err(Failure::configuration(why));
    }
    warnings.push(format!("{why}; commands run read-only"));
    Ok(Sandbox { policy: SandboxPolicy::READ_ONLY, profile: None })
}

/// Where a person said something of the project, agents may write in it: in one that is not trusted they ask first.
fn by_trust(config: &Config) -> Option<Sandbox> {
    match config.trust {
        Trust::Trusted | Trust::Untrusted => config.rights.of_profile(":workspace"),
        Trust::Unknown => None,
    }
}

/// When a person is asked.
///
/// # Errors
/// It is not allowed.
pub fn approval_policy(
    config: &Config,
    wanted: Option<ApprovalPolicy>,
    allowed: &Allowed,
    warnings: &mut Vec<String>,
) -> Result<ApprovalPolicy, Failure> {
    let usual = if config.trust == Trust::Untrusted { ApprovalPolicy::Untrusted } else { ApprovalPolicy::OnRequest };
    let words = ("approval policy", "allowed_approval_policies");
    held(wanted, config.rights.approval_policy, usual, |policy| allowed.approval_policy(policy), words, warnings)
}

/// Who is asked.
///
/// # Errors
/// This one is not allowed.
pub fn reviewer(
    config: &Config,
    wanted: Option<ApprovalsReviewer>,
    allowed: &Allowed,
    warnings: &mut Vec<String>,
) -> Result<ApprovalsReviewer, Failure> {
    let usual = ApprovalsReviewer::default();
    let words = ("approvals reviewer", "allowed_approvals_reviewers");
    held(wanted, config.rights.approvals_reviewer, usual, |reviewer| allowed.reviewer(reviewer), words, warnings)
}

/// What holds of what somebody wants, else of what is configured, else of what is usual. The words are for it, and for the key that
/// lists what is allowed.
fn held<T: Copy + PartialEq + Serialize>(
    wanted: Option<T>,
    configured: Option<T>,
    usual: T,
    allowed: impl Fn(T) -> T,
    (what, key): (&str, &str),
    warnings: &mut Vec<String>,
) -> Result<T, Failure> {
    let named = wanted.or(configured);
    let held = allowed(named.unwrap_or(usual));
    // What nobody chose is nobody's loss.
    let Some(named) = named.filter(|named| *named != held) else { return Ok(held) };
    let why = format!("the {what} {} is not allowed on this machine ({key} in requirements.toml)", json!(named));
    if wanted.is_some() {
        return Err(Failure::configuration(why));
    }
    warnings.push(format!("{why}; {} holds", json!(held)));
    Ok(held)
}

/// What a rollout recorded of its thread, and is not allowed any more: what a person should know.
pub fn recorded(
    sandbox: Option<&SandboxPolicy>,
    approval_policy: Option<ApprovalPolicy>,
    allowed: &Allowed,
) -> Vec<String> {
    let sandbox = sandbox.filter(|sandbox| allowed.sandbox(sandbox) != *sandbox).map(|sandbox| {
        format!(
            "this thread was left with the sandbox `{}`, which is not allowed on this machine (allowed_sandbox_modes in \
             requirements.toml); commands run read-only",
            sandbox.name()
        )
    });
    let policy = approval_policy.filter(|policy| allowed.approval_policy(*policy) != *policy).map(|policy| {
        format!(
            "this thread was left with the approval policy {}, which is not allowed on this machine \
             (allowed_approval_policies in requirements.toml); {} holds",
            json!(policy),
            json!(allowed.approval_policy(policy))
        )
    });
    sandbox.into_iter().chain(policy).collect()
}
