//! How an agent works: what the run says, what its thread has, and what its turn keeps; and no more than is allowed.

use std::borrow::Cow;
use std::sync::Arc;

use sapwood_protocol::approval::{
    AccessMode, ApprovalPolicy, ApprovalsReviewer, EntryPath, FileSystemProfile, NetworkAccess, PermissionProfile,
    SandboxPolicy, SpecialPath,
};
use sapwood_protocol::own::Manner;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::settings::Settings;

/// How an agent works: each answer is the run's where the run said it, else the thread's, else the run's default.
#[derive(Clone, Copy, Debug)]
pub struct Works<'a> {
    own: Option<&'a Manner>,
    /// What the thread tells its model, whatever the run says of how it works.
    told: Option<&'a Arc<str>>,
    /// The directory that the thread was born in.
    home: &'a str,
    run: &'a Settings,
}

impl<'a> Works<'a> {
    /// The thread says `own`, and was born in `home`.
    pub fn by(own: Option<&'a Manner>, home: &'a str, run: &'a Settings) -> Self {
        let told = own.and_then(|own| own.developer_instructions.as_ref());
        Self { own: own.filter(|_| !run.manner_is_said), told, home, run }
    }

    fn own<T: ?Sized>(&self, read: impl Fn(&'a Manner) -> Option<&'a T>) -> Option<&'a T> {
        self.own.and_then(read)
    }

    /// Where it works.
    pub fn cwd(&self) -> &'a str {
        self.own(|own| own.cwd.as_deref()).unwrap_or(self.home)
    }

    /// The directories that count as its workspace.
    pub fn workspace_roots(&self) -> Cow<'a, [String]> {
        match self.own(|own| own.workspace_roots.as_deref()) {
            Some(roots) => roots.into(),
            None => vec![self.cwd().to_owned()].into(),
        }
    }

    /// When a person is asked.
    pub fn approval_policy(&self) -> ApprovalPolicy {
        let wanted = self.own(|own| own.approval_policy.as_ref()).unwrap_or(&self.run.approval_policy);
        self.run.allowed.approval_policy(*wanted)
    }

    /// Who is asked.
    pub fn approvals_reviewer(&self) -> ApprovalsReviewer {
        let wanted = self.own(|own| own.approvals_reviewer.as_ref()).unwrap_or(&self.run.approvals_reviewer);
        self.run.allowed.reviewer(*wanted)
    }

    /// What commands may touch.
    pub fn sandbox(&self) -> &'a SandboxPolicy {
        self.run.allowed.sandbox(self.own(|own| own.sandbox.as_ref()).unwrap_or(&self.run.sandbox))
    }

    /// The form of a reasoning's summary.
    pub fn summary(&self) -> Option<&'a str> {
        self.own(|own| own.summary.as_deref()).or(self.run.summary.as_deref())
    }

    /// The service tier.
    pub fn service_tier(&self) -> Option<&'a str> {
        match self.own(|own| own.service_tier.as_ref()) {
            Some(tier) => tier.as_deref(),
            None => self.run.service_tier.as_deref(),
        }
    }

    /// The voice of the model.
    pub fn personality(&self) -> Option<&'a str> {
        self.own(|own| own.personality.as_deref())
    }

    /// What the model is told beside its base instructions.
    pub fn developer_instructions(&self) -> Option<&'a str> {
        self.told.or(self.run.developer_instructions.as_ref()).map(|text| &**text).filter(|text| !text.is_empty())
    }

    /// The mode of collaboration: `default` or `plan`.
    pub fn mode(&self) -> &'a str {
        self.own(|own| own.mode.as_deref()).unwrap_or("default")
    }

    /// What the mode of collaboration says to the model.
    pub fn mode_instructions(&self) -> Option<&'a str> {
        self.own(|own| own.mode_instructions.as_ref()).and_then(|said| said.as_deref())
    }

    /// All of it, said, as far as lines of Codex's can say it.
    pub fn manner(&self) -> Manner {
        Manner {
            cwd: Some(self.cwd().into()),
            workspace_roots: Some(self.workspace_roots().into_owned().into()),
            approval_policy: Some(self.approval_policy()),
            approvals_reviewer: Some(self.approvals_reviewer()),
            sandbox: Some(self.sandbox().clone()),
            summary: self.summary().map(Into::into),
            service_tier: self.service_tier().map(|tier| Some(tier.into())),
            personality: self.personality().map(Into::into),
            developer_instructions: None,
            mode: Some(self.mode().into()),
            mode_instructions: self.mode_instructions().map(|said| Some(said.into())),
        }
    }

    /// What a child is told, so that it works the same; nothing where it would anyway.
    pub(super) fn for_a_child(&self) -> Manner {
        match self.own {
            Some(own) => Manner { mode: None, mode_instructions: None, ..own.clone() },
            None => Manner { developer_instructions: self.told.cloned(), ..Manner::default() },
        }
    }

    /// True if the rollout says the same.
    pub(super) fn is(&self, own: Option<&Arc<Manner>>) -> bool {
        own.is_some_and(|own| Manner { developer_instructions: None, ..(**own).clone() } == self.manner())
    }

    /// The permissions as lines of Codex's have them.
    pub(super) fn profile(&self) -> PermissionProfile {
        self.sandbox().profile(self.cwd())
    }

    /// The mode of collaboration as lines of Codex's have it.
    pub(super) fn collaboration_mode(&self, model: &str, effort: Option<&Arc<str>>) -> Value {
        json!({"mode": self.mode(), "settings":
            {"model": model, "reasoning_effort": effort, "developer_instructions": self.mode_instructions()}})
    }
}

/// What a line says of how an agent works and whom it asks. A value of a form that is not known is as good as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Recorded {
    pub model_provider_id: Option<Arc<str>>,
    pub model: Option<Arc<str>>,
    /// Of a turn.
    pub effort: Option<Arc<str>>,
    /// Of a thread.
    pub reasoning_effort: Option<Arc<str>>,
    cwd: Option<Arc<str>>,
    #[serde(alias = "runtime_workspace_roots")]
    workspace_roots: Option<Arc<[String]>>,
    #[serde(deserialize_with = "known")]
    approval_policy: Option<ApprovalPolicy>,
    #[serde(deserialize_with = "known")]
    approvals_reviewer: Option<ApprovalsReviewer>,
    #[serde(deserialize_with = "known")]
    permission_profile: Option<PermissionProfile>,
    #[serde(deserialize_with = "known")]
    sandbox_policy: Option<SandboxPolicy>,
    #[serde(deserialize_with = "known")]
    reasoning_summary: Option<Arc<str>>,
    #[serde(deserialize_with = "known")]
    service_tier: Option<Arc<str>>,
    #[serde(deserialize_with = "known")]
    personality: Option<Arc<str>>,
    #[serde(deserialize_with = "known")]
    collaboration_mode: Option<Mode>,
}

#[derive(Debug, Deserialize)]
struct Mode {
    mode: Arc<str>,
    #[serde(default)]
    settings: ModeSettings,
}

#[derive(Debug, Default, Deserialize)]
struct ModeSettings {
    #[serde(default)]
    developer_instructions: Option<Arc<str>>,
}

impl Recorded {
    /// How it works, as what was said.
    pub fn manner(self) -> Manner {
        let cwd = self.cwd.as_deref().unwrap_or_default();
        let of_profile = || self.permission_profile.as_ref().map(|profile| sandbox_of(profile, cwd));
        let sandbox = self.sandbox_policy.or_else(of_profile);
        let (mode, instructions) = match self.collaboration_mode {
            Some(Mode { mode, settings }) => (Some(mode), settings.developer_instructions.map(Some)),
            None => (None, None),
        };
        Manner {
            cwd: self.cwd,
            workspace_roots: self.workspace_roots,
            approval_policy: self.approval_policy,
            approvals_reviewer: self.approvals_reviewer,
            sandbox,
            summary: self.reasoning_summary,
            service_tier: self.service_tier.map(Some),
            personality: self.personality,
            developer_instructions: None,
            mode,
            mode_instructions: instructions,
        }
    }
}

/// The policy that a profile stands for in a directory: the narrowest of the known ones that has all its rights to write
/// by path.
fn sandbox_of(profile: &PermissionProfile, cwd: &str) -> SandboxPolicy {
    let (entries, network) = match profile {
        PermissionProfile::Disabled => return SandboxPolicy::DangerFullAccess,
        PermissionProfile::External { network } => {
            return SandboxPolicy::ExternalSandbox { network_access: *network };
        }
        PermissionProfile::Managed { file_system: FileSystemProfile::Unrestricted, .. } => {
            return SandboxPolicy::DangerFullAccess;
        }
        PermissionProfile::Managed { file_system: FileSystemProfile::Restricted { entries, .. }, network } => {
            (entries, *network)
        }
    };
    let network_access = network == NetworkAccess::Enabled;
    let written = || entries.iter().filter(|entry| entry.access == AccessMode::Write).map(|entry| &entry.path);
    if written().next().is_none() {
        return SandboxPolicy::ReadOnly { network_access };
    }
    let special =
        |wanted: &SpecialPath| written().any(|path| matches!(path, EntryPath::Special { value } if value == wanted));
    let writable_roots = written().filter_map(|path| match path {
        EntryPath::Path { path } if path != cwd => Some(path.clone()),
        _ => None,
    });
    SandboxPolicy::WorkspaceWrite {
        writable_roots: writable_roots.collect(),
        network_access,
        exclude_tmpdir_env_var: !special(&SpecialPath::Tmpdir),
        exclude_slash_tmp: !special(&SpecialPath::SlashTmp),
    }
}

/// A value, where its form is one that is known.
pub(super) fn known<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    let value = <&RawValue>::deserialize(value)?;
    Ok(serde_json::from_str(value.get()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::allowed::Allowed;

    #[test]
    fn what_is_written_of_a_policy_is_read_again() {
        let mut wide = SandboxPolicy::workspace_write();
        if let SandboxPolicy::WorkspaceWrite { writable_roots, network_access, exclude_slash_tmp, .. } = &mut wide {
            (*network_access, *exclude_slash_tmp) = (true, true);
            writable_roots.push("/elsewhere".into());
        }
        let policies = [
            SandboxPolicy::DangerFullAccess,
            SandboxPolicy::READ_ONLY,
            SandboxPolicy::ReadOnly { network_access: true },
            SandboxPolicy::ExternalSandbox { network_access: NetworkAccess::Enabled },
            SandboxPolicy::workspace_write(),
            wide,
        ];
        for policy in policies {
            assert_eq!(sandbox_of(&policy.profile("/w"), "/w"), policy);
        }
    }

    #[test]
    fn nobody_works_with_more_than_is_allowed_whoever_said_it() {
        let own = Manner {
            sandbox: Some(SandboxPolicy::DangerFullAccess),
            approval_policy: Some(ApprovalPolicy::Never),
            developer_instructions: Some("told".into()),
            ..Manner::default()
        };
        let rights = |run: &Settings| {
            let works = Works::by(Some(&own), "/", run);
            (works.sandbox().name(), works.approval_policy(), works.developer_instructions().map(str::to_owned))
        };
        let told = || Some("told".to_owned());
        let free = Settings { manner_is_said: false, ..Settings::default() };
        assert_eq!(rights(&free), ("danger-full-access", ApprovalPolicy::Never, told()));
        let allowed = Allowed {
            sandboxes: Some(["read-only".to_owned(), "workspace-write".to_owned()].into()),
            approval_policies: Some([ApprovalPolicy::OnRequest].into()),
            reviewers: None,
        };
        let held = ("read-only", ApprovalPolicy::OnRequest, told());
        assert_eq!(rights(&Settings { allowed: allowed.clone(), ..free }), held);
        let said = Settings { sandbox: SandboxPolicy::DangerFullAccess, allowed, ..Settings::default() };
        assert_eq!(rights(&said), held, "also where the run says so");
    }
}
