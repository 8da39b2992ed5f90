//! Whether a command or a change of files runs, is asked for, or is refused.

use sapwood_protocol::approval::paths::{absolute, is_below};
use sapwood_protocol::approval::{ApprovalPolicy, Granular, PROTECTED, Permissions, SandboxPolicy};
use sapwood_protocol::asked::{Amendment, CommandAsk, Decision, What};
use serde::Deserialize;

use super::grants::Grants;
use super::words::{self, Script};
use super::{actions, safety};

/// What an agent may do, and whom it asks.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'a> {
    /// When it asks.
    pub policy: ApprovalPolicy,
    /// What it may do without asking.
    pub sandbox: &'a SandboxPolicy,
    /// The directories of its workspace, absolute.
    pub roots: &'a [String],
    /// The folder that `TMPDIR` names.
    pub tmpdir: Option<&'a str>,
    /// What was granted for the session.
    pub grants: &'a Grants,
    /// What was granted for the turn.
    pub turn: &'a Permissions,
}

/// What follows for a command, or a change of files.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It runs.
    Run(Confinement),
    /// It is asked for.
    Ask(Box<What>),
    /// It is not done, and this is what the model reads.
    Refused(String),
}

/// How a command runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Confinement {
    /// In the sandbox of the turn, with these rights beside it.
    Sandboxed(Permissions),
    /// Without one.
    None,
}

/// What a model asks for with a command, beside running it: further arguments of `exec_command`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Wish {
    /// Which way out of the sandbox.
    #[serde(default)]
    pub sandbox_permissions: Way,
    /// The question for the person.
    #[serde(default)]
    pub justification: Option<String>,
    /// First words of commands that it would like to run without being asked again.
    #[serde(default)]
    pub prefix_rule: Option<Vec<String>>,
    /// Rights beside those of the sandbox.
    #[serde(default)]
    pub additional_permissions: Option<Permissions>,
}

/// A way out of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// None.
    #[default]
    UseDefault,
    /// No sandbox.
    RequireEscalated,
    /// Named rights, in the sandbox.
    WithAdditionalPermissions,
}

/// A command that is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandCall {
    /// The program and its arguments: a shell, its flag, and a script.
    pub command: Vec<String>,
    /// Where, absolute.
    pub cwd: String,
    /// On a terminal.
    pub tty: bool,
    /// What the model asks for beside.
    pub wish: Wish,
}

/// What follows from a sandbox that stopped a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The model reads what happened.
    Leave,
    /// A person is asked whether it is to run without one.
    Ask,
    /// It runs again without one: the person has said yes to it.
    Unconfined,
}

/// What a model reads that names additional rights and gives none.
const NO_PERMISSIONS: &str = "missing `additional_permissions`; provide at least one of `network` or `file_system` when \
                              using `with_additional_permissions`";

/// Programs that run whatever they are told: a rule for their name alone would be a rule for everything.
const RUNS_ANYTHING: [&str; 15] = [
    "bash", "sh", "zsh", "dash", "fish", "env", "sudo", "python", "python3", "node", "perl", "ruby", "php", "xargs",
    "nohup",
];

impl Rights<'_> {
    /// True if the policy lets a question about the sandbox through.
    fn may_ask(&self) -> bool {
        match self.policy {
            ApprovalPolicy::Never => false,
            ApprovalPolicy::Granular(Granular { sandbox_approval, .. }) => sandbox_approval,
            ApprovalPolicy::Untrusted | ApprovalPolicy::OnRequest | ApprovalPolicy::OnFailure => true,
        }
    }

    fn may_amend(&self) -> bool {
        !matches!(self.policy, ApprovalPolicy::Granular(Granular { rules: false, .. }))
    }

    /// All that was granted beside the sandbox.
    pub fn granted(&self) -> Permissions {
        let mut granted = self.grants.permissions().clone();
        granted.add(self.turn);
        granted
    }

    fn default_run(&self) -> Confinement {
        if self.sandbox.confines_files() { Confinement::Sandboxed(self.granted()) } else { Confinement::None }
    }

    /// True if a file may be changed without asking.
    fn may_write(&self, path: &str) -> bool {
        match self.sandbox {
            SandboxPolicy::DangerFullAccess | SandboxPolicy::ExternalSandbox { .. } => true,
            SandboxPolicy::ReadOnly { .. } => self.granted().may_write(path),
            SandboxPolicy::WorkspaceWrite { writable_roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } => {
                let protected = |root: &str| {
                    PROTECTED.iter().any(|name| is_below(path, &format!("{}/{name}", root.trim_end_matches('/'))))
                };
                let own = self.roots.iter().chain(writable_roots).any(|root| is_below(path, root));
                let guarded = self.roots.iter().chain(writable_roots).any(|root| protected(root));
                let slash_tmp = !exclude_slash_tmp && is_below(path, "/tmp");
                let tmpdir = !exclude_tmpdir_env_var && self.tmpdir.is_some_and(|dir| is_below(path, dir));
                !guarded && (own || slash_tmp || tmpdir) || self.granted().may_write(path)
            }
        }
    }

    /// Whether a command runs.
    pub fn command(&self, call: &CommandCall) -> Verdict {
        let script = match call.command.as_slice() {
            [_, flag, script] if flag == "-lc" || flag == "-c" => words::split(script),
            _ => None,
        };
        let script = script.as_ref();
        let extra = match call.wish.extra(&call.cwd) {
            Ok(extra) => extra,
            Err(text) => return Verdict::Refused(text),
        };
        let confines = self.sandbox.confines_files();
        let escalates = call.wish.sandbox_permissions == Way::RequireEscalated && confines;
        let extra = extra.filter(|extra| confines && !escalates && !self.granted().covers(extra));
        if self.grants.has_prefix_of(&call.command, script) {
            return Verdict::Run(Confinement::None);
        }
        if (escalates || extra.is_some()) && !self.may_ask() {
            return Verdict::Refused(self.cannot_ask());
        }
        let destroys = script.and_then(safety::destroys);
        let untrusted = self.policy == ApprovalPolicy::Untrusted && !script.is_some_and(safety::only_reads);
        if let (Some(what), ApprovalPolicy::Never, true) = (destroys, self.policy, confines) {
            return Verdict::Refused(format!(
                "exec_command failed: rejected: `{what}` is not permitted under this approval policy. Use a safer approach"
            ));
        }
        let destroys = destroys.is_some() && self.policy != ApprovalPolicy::Never;
        if !(escalates || extra.is_some() || destroys || untrusted) {
            return Verdict::Run(self.default_run());
        }
        let ask = self.ask(call, script, escalates, extra);
        if self.grants.has_command(&ask) {
            return Verdict::Run(self.approved(&ask));
        }
        Verdict::Ask(Box::new(What::Command(Box::new(ask))))
    }

    fn ask(
        &self,
        call: &CommandCall,
        script: Option<&Script>,
        unconfined: bool,
        permissions: Option<Permissions>,
    ) -> CommandAsk {
        let amendment = self.may_amend().then(|| call.wish.amendment(&call.command, script)).flatten();
        let offered = amendment.clone().filter(|_| permissions.is_none());
        let offered =
            offered.map(|words| Decision::AcceptWithExecpolicyAmendment(Amendment { execpolicy_amendment: words }));
        let decisions = std::iter::once(Decision::Accept).chain(offered).chain([Decision::Cancel]).collect();
        let text = match call.command.as_slice() {
            [_, _, script] => script.clone(),
            command => sapwood_protocol::asked::shell::joined(command),
        };
        CommandAsk {
            command: call.command.clone(),
            cwd: call.cwd.clone(),
            tty: call.tty,
            reason: call.wish.justification.clone(),
            actions: actions::of_script(&text),
            unconfined,
            permissions,
            amendment,
            decisions,
        }
    }

    /// How a command runs that was asked for and accepted.
    pub fn approved(&self, ask: &CommandAsk) -> Confinement {
        if ask.unconfined {
            return Confinement::None;
        }
        match (self.default_run(), &ask.permissions) {
            (Confinement::Sandboxed(mut granted), Some(more)) => {
                granted.add(more);
                Confinement::Sandboxed(granted)
            }
            (run, _) => run,
        }
    }

    /// What follows when the sandbox stopped a command that may have been asked for before.
    pub fn after_denial(&self, was_approved: bool) -> Retry {
        match self.policy {
            ApprovalPolicy::Never | ApprovalPolicy::OnRequest | ApprovalPolicy::Granular(_) => Retry::Leave,
            ApprovalPolicy::Untrusted | ApprovalPolicy::OnFailure if was_approved => Retry::Unconfined,
            ApprovalPolicy::Untrusted | ApprovalPolicy::OnFailure => Retry::Ask,
        }
    }

    /// The question whether a command that the sandbox stopped runs without one.
    pub fn ask_again(&self, call: &CommandCall) -> What {
        let script = call.command.get(2).and_then(|script| words::split(script));
        let ask = self.ask(call, script.as_ref(), true, None);
        let reason = Some("The sandbox stopped this command. Run it again without the sandbox?".to_owned());
        What::Command(Box::new(CommandAsk { reason, ..ask }))
    }

    /// Whether files are changed. The paths are absolute.
    pub fn change(&self, paths: Vec<String>) -> Verdict {
        let free = paths.iter().all(|path| self.may_write(path));
        if free && self.policy != ApprovalPolicy::Untrusted || self.grants.has_files(&paths) {
            return Verdict::Run(Confinement::None);
        }
        if !self.may_ask() {
            let why = match self.sandbox {
                SandboxPolicy::ReadOnly { .. } => "writing is blocked by read-only sandbox",
                _ => "writing outside of the project",
            };
            return Verdict::Refused(format!("patch rejected: {why}; rejected by user approval settings"));
        }
        Verdict::Ask(Box::new(What::FileChange { reason: None, grant_root: None, paths }))
    }

    fn cannot_ask(&self) -> String {
        let policy = match self.policy {
            ApprovalPolicy::Granular(_) => "the approval policy does not allow sandbox approvals",
            _ => "approval policy is Never",
        };
        format!("{policy}; reject command: escalated permissions cannot be asked for, work within the sandbox")
    }
}

impl Wish {
    /// The rights it names, with absolute paths.
    fn extra(&self, cwd: &str) -> Result<Option<Permissions>, String> {
        let named = self.additional_permissions.as_ref().filter(|named| !named.is_empty());
        match (self.sandbox_permissions, named) {
            (Way::WithAdditionalPermissions, None) => Err(NO_PERMISSIONS.to_owned()),
            (_, named) => Ok(named.map(|named| super::permissions::at(cwd, named))),
        }
    }

    /// The first words of commands that would not be asked for any more: what the model proposes if it is about this
    /// command, else the first command of the script, else all of it.
    fn amendment(&self, command: &[String], script: Option<&Script>) -> Option<Vec<String>> {
        let Some(script) = script.filter(|script| !script.expands) else {
            return Some(command.to_vec());
        };
        let first = &script.commands.first()?.words;
        let proposed = self.prefix_rule.as_ref().filter(|rule| {
            let anything = rule.len() == 1 && RUNS_ANYTHING.contains(&rule[0].as_str());
            !rule.is_empty() && !anything && first.starts_with(rule)
        });
        Some(proposed.unwrap_or(first).clone())
    }
}

/// The paths of a patch, as they are asked for.
pub fn absolute_paths<'a>(cwd: &str, paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    paths.into_iter().map(|path| absolute(cwd, path)).collect()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
pub(super) mod tests;
