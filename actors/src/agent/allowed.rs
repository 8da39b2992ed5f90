//! What the machine's owner lets agents have, whoever asks: a client, a configuration, or a rollout.

use std::sync::Arc;

use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};

/// The most careful sandbox: never too much.
static READ_ONLY: SandboxPolicy = SandboxPolicy::READ_ONLY;

/// What is allowed; of what is not listed, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Kinds of sandbox, by name. Read-only is allowed also where it is not among them.
    pub sandboxes: Option<Arc<[String]>>,
    /// When a person is asked. The first one stands for those that are not among them.
    pub approval_policies: Option<Arc<[ApprovalPolicy]>>,
    /// Who is asked. The first one stands for those that are not among them.
    pub reviewers: Option<Arc<[ApprovalsReviewer]>>,
}

impl Allowed {
    /// What holds where this is wanted.
    pub fn sandbox<'a>(&self, wanted: &'a SandboxPolicy) -> &'a SandboxPolicy {
        let name = wanted.name();
        let is_allowed = self.sandboxes.as_ref().is_none_or(|own| own.iter().any(|own| own == name));
        if is_allowed || name == READ_ONLY.name() { wanted } else { &READ_ONLY }
    }

    /// What holds where this is wanted.
    pub fn approval_policy(&self, wanted: ApprovalPolicy) -> ApprovalPolicy {
        among(self.approval_policies.as_deref(), wanted)
    }

    /// What holds where this is wanted.
    pub fn reviewer(&self, wanted: ApprovalsReviewer) -> ApprovalsReviewer {
        among(self.reviewers.as_deref(), wanted)
    }
}

/// What is wanted, if it is among them; else the first of them.
fn among<T: Copy + PartialEq>(allowed: Option<&[T]>, wanted: T) -> T {
    match allowed {
        Some(allowed @ [first, ..]) if !allowed.contains(&wanted) => *first,
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_becomes_what_is() {
        let (danger, write) = (SandboxPolicy::DangerFullAccess, SandboxPolicy::workspace_write());
        let nothing = Allowed::default();
        assert_eq!(nothing.sandbox(&danger), &danger);
        assert_eq!(nothing.approval_policy(ApprovalPolicy::Never), ApprovalPolicy::Never);
        assert_eq!(nothing.reviewer(ApprovalsReviewer::User), ApprovalsReviewer::User);
        let own = Allowed {
            sandboxes: Some(["workspace-write".to_owned()].into()),
            approval_policies: Some([ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest].into()),
            reviewers: Some([ApprovalsReviewer::AutoReview].into()),
        };
        let external = SandboxPolicy::ExternalSandbox { network_access: Default::default() };
        let online = SandboxPolicy::ReadOnly { network_access: true };
        let held = [&write, &online, &danger, &external].map(|policy| own.sandbox(policy));
        assert_eq!(held, [&write, &online, &SandboxPolicy::READ_ONLY, &SandboxPolicy::READ_ONLY]);
        let policies = [ApprovalPolicy::OnRequest, ApprovalPolicy::Never].map(|policy| own.approval_policy(policy));
        assert_eq!(policies, [ApprovalPolicy::OnRequest, ApprovalPolicy::Untrusted]);
        assert_eq!(own.reviewer(ApprovalsReviewer::User), ApprovalsReviewer::AutoReview);
    }
}
