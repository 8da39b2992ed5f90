//! What all agents of a tree share: one value, made once, behind one pointer.

use std::sync::Arc;

use sapwood_protocol::Millis;
use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};
use sapwood_protocol::record::Git;

use super::allowed::Allowed;
use super::approval::DynamicTools;

/// The context window of a model that no catalogue knows: Codex's fallback, less the twentieth that it keeps free.
pub const CONTEXT_WINDOW: u64 = 258_400;

/// The settings of a tree.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model's name, as requests and turn contexts give it.
    pub model: Arc<str>,
    /// The provider's id.
    pub provider: Arc<str>,
    /// The reasoning effort, in the provider's words.
    pub effort: Option<Arc<str>>,
    /// Provider, model and effort were said for this run: what rollouts recorded of them does not count.
    pub model_is_said: bool,
    /// The form of a reasoning's summary, in the provider's words.
    pub summary: Option<String>,
    /// How long answers are, in the provider's words.
    pub verbosity: Option<String>,
    /// The service tier, in the provider's words.
    pub service_tier: Option<String>,
    /// The JSON schema of the root's final answer, as its text.
    pub output_schema: Option<String>,
    /// What root threads that are made are for (`thread_source`).
    pub thread_source: Option<Arc<str>>,
    /// The repository that the tree works in, as it was when the tree came into memory.
    pub git: Option<Git>,
    /// There is a place where agents work: without one no command is run and no file changed, and the tools for it are not
    /// offered.
    pub has_environment: bool,
    /// Tools that the client of a root thread that is made runs.
    pub client_tools: DynamicTools,
    /// Tokens that the model can see at once.
    pub context_window: u64,
    /// What a model is told about its work; under 4 KB.
    pub base_instructions: Arc<str>,
    /// What a model is told beside its base instructions, where its thread does not say it.
    pub developer_instructions: Option<Arc<str>>,
    /// What the machine's owner has every model told.
    pub managed_instructions: Option<Arc<str>>,
    /// The text of the project's AGENTS.md files, if there are any.
    pub agents_md: Option<String>,
    /// What a command may touch.
    pub sandbox: SandboxPolicy,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// Who is asked.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What the machine's owner lets agents have, whatever is said above or recorded.
    pub allowed: Allowed,
    /// Somebody is there who can be asked: a person, or a client in one's place.
    pub is_attended: bool,
    /// Models may ask people questions in every mode, and not in plan mode alone.
    pub asks_in_default_mode: bool,
    /// The folder that `TMPDIR` names, where it names one.
    pub tmpdir: Option<String>,
    /// Rights were said for this run: what rollouts recorded of how their agents work does not count.
    pub manner_is_said: bool,
    /// Which kind of client root threads that are made are from (`source` of their first line).
    pub source: &'static str,
    /// The shell that runs commands, by name.
    pub shell: String,
    /// The time zone's name, for the model.
    pub timezone: String,
    /// Seconds that local time is ahead of UTC: the date that a model is told.
    pub utc_offset_seconds: i32,
    /// The client that started the tree.
    pub originator: String,
    /// Our version.
    pub version: String,
    /// Limits of `wait_agent`.
    pub wait: WaitLimits,
    /// Default and longest run of a shell command.
    pub exec_timeout: ExecLimits,
    /// Generations below the root, at most: the tools to spawn are not offered at the bottom.
    pub max_depth: u32,
    /// Agents in one tree, at most, the ended ones included.
    pub max_agents: usize,
    /// Turns that work at the same time, the root's included.
    pub slots: u32,
    /// Tries of one request after the first, where another try may succeed.
    pub retries: Retries,
    /// What follows when the account has used up what it may use for now.
    pub on_usage_limit: OnUsageLimit,
    /// An interrupted turn leaves a note for the model.
    pub interrupt_message: bool,
}

/// How often one request is tried again, counted apart for the two ways in which it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Where the provider did not begin to answer.
    pub request: u32,
    /// Where the answer broke off.
    pub stream: u32,
}

impl Default for Retries {
    /// Codex's.
    fn default() -> Self {
        Self { request: 4, stream: 5 }
    }
}

/// What follows when the account has used up what it may use for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUsageLimit {
    /// The tree pauses until somebody asks it to go on.
    #[default]
    Pause,
    /// It goes on by itself when the limit ends, where the provider says when.
    Wait,
}

/// Limits of `wait_agent`, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    /// Shorter ones are made this long.
    pub min: u64,
    /// Without a wish.
    pub default: u64,
    /// Longer ones are refused.
    pub max: u64,
}

impl Default for WaitLimits {
    /// Codex's (`multi-agent.md` 2.1).
    fn default() -> Self {
        Self { min: 10_000, default: 30_000, max: 3_600_000 }
    }
}

/// Limits of a shell command, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct ExecLimits {
    /// A longer time limit is cut to this.
    pub max: u64,
}

impl Default for ExecLimits {
    /// An hour holds a long test suite. What has no end of its own has no limit, and goes on in the background.
    fn default() -> Self {
        Self { max: 3_600_000 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "rehearsal".into(),
            provider: "rehearsal".into(),
            effort: None,
            model_is_said: true,
            summary: None,
            verbosity: None,
            service_tier: None,
            output_schema: None,
            thread_source: None,
            git: None,
            has_environment: true,
            client_tools: DynamicTools::default(),
            context_window: CONTEXT_WINDOW,
            base_instructions: Arc::clone(&super::prompt::SHARED_BASE_INSTRUCTIONS),
            developer_instructions: None,
            managed_instructions: None,
            agents_md: None,
            sandbox: SandboxPolicy::READ_ONLY,
            approval_policy: ApprovalPolicy::Never,
            approvals_reviewer: ApprovalsReviewer::User,
            allowed: Allowed::default(),
            is_attended: true,
            asks_in_default_mode: false,
            tmpdir: None,
            manner_is_said: true,
            source: "exec",
            shell: "bash".into(),
            timezone: "Etc/UTC".into(),
            utc_offset_seconds: 0,
            originator: "sapwood_exec".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            wait: WaitLimits::default(),
            exec_timeout: ExecLimits::default(),
            max_depth: 8,
            max_agents: 10_000,
            slots: 4,
            retries: Retries::default(),
            on_usage_limit: OnUsageLimit::default(),
            interrupt_message: true,
        }
    }
}

impl Settings {
    /// The local date of a moment, `YYYY-MM-DD`.
    pub fn date(&self, now: Millis) -> String {
        let local = now.0 as i64 + i64::from(self.utc_offset_seconds) * 1000;
        Millis(u64::try_from(local).unwrap_or_default()).timestamp()[..10].to_owned()
    }
}
