//! What the program that holds the server gives it: configuration, models, accounts, and what a new thread begins with.
//!
//! The server knows no file of a person and no provider; it asks here. Every answer is as of now: files change under a
//! server that runs for weeks.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use sapwood_actors::agent::Settings;
use sapwood_protocol::app::account::GetAccountResponse;
use sapwood_protocol::app::config::{
    ConfigBatchWriteParams, ConfigReadResponse, ConfigRequirementsReadResponse, ConfigWriteErrorCode,
    ConfigWriteResponse,
};
use sapwood_protocol::app::lists::{ExperimentalFeature, PermissionProfileSummary};
use sapwood_protocol::app::models::{Model, ModelProviderCapabilities, ModelProviderListResponse};
use sapwood_protocol::approval::{ApprovalPolicy, ApprovalsReviewer, SandboxPolicy};
use sapwood_protocol::ids::ThreadId;
use serde_json::{Map, Value, json};

use crate::rpc::RpcError;

/// An answer that somebody else is asked for first.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProgramError>> + Send + 'a>>;

/// What the binary gives the server. Methods that are not futures may read a few small files: they are called where
/// that blocks nobody.
pub trait Program: Send + Sync + 'static {
    /// The directory that counts where a client names none.
    fn cwd(&self) -> &Path;

    /// The configuration as a directory sees it, with every layer if that is wanted.
    ///
    /// # Errors
    /// It cannot be used as it is.
    fn config(&self, cwd: Option<&Path>, layers: bool) -> Result<ConfigReadResponse, ProgramError>;

    /// Changes the person's own file: all of it or nothing.
    ///
    /// # Errors
    /// What is wrong with the change; the file is as it was.
    fn write_config(&self, write: &ConfigBatchWriteParams) -> Result<ConfigWriteResponse, ProgramError>;

    /// What the machine's owner requires and proposes.
    ///
    /// # Errors
    /// It cannot be read.
    fn requirements(&self) -> Result<ConfigRequirementsReadResponse, ProgramError>;

    /// The models of a provider, or of the one that is configured: in the order in which a person is offered them, hidden
    /// ones too, at least one, and one of them the default.
    fn models<'a>(&'a self, provider: Option<&'a str>) -> Asking<'a, Vec<Model>>;

    /// The providers that a person may choose from.
    ///
    /// # Errors
    /// The configuration cannot be used.
    fn providers(&self) -> Result<ModelProviderListResponse, ProgramError>;

    /// What agents can do beside answering.
    fn capabilities(&self) -> ModelProviderCapabilities;

    /// The permission profiles that a directory sees.
    ///
    /// # Errors
    /// The configuration cannot be used.
    fn permission_profiles(&self, cwd: Option<&Path>) -> Result<Vec<PermissionProfileSummary>, ProgramError>;

    /// The features that can be switched or looked at.
    ///
    /// # Errors
    /// The configuration cannot be used.
    fn features(&self, cwd: Option<&Path>) -> Result<Vec<ExperimentalFeature>, ProgramError>;

    /// As whom the provider knows us.
    ///
    /// # Errors
    /// The configuration cannot be used.
    fn account(&self) -> Result<GetAccountResponse, ProgramError>;

    /// What a thread begins, or goes on, with. Nothing is written.
    ///
    /// # Errors
    /// What the client asked for cannot be had.
    fn thread_settings(&self, request: ThreadRequest) -> Result<Prepared, ProgramError>;
}

/// Somebody who has a program: what the handlers of `methods` need.
pub trait HasProgram: Send + Sync + 'static {
    /// The program.
    fn program(&self) -> &Arc<dyn Program>;

    /// Where a loaded thread works. None for one that is not loaded.
    fn thread_cwd(&self, thread: ThreadId) -> Option<PathBuf>;
}

/// What a client says of a thread that is started, resumed, forked or set otherwise, or of a command of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThreadRequest {
    /// Where it works. Without it: where it worked, or the directory of the server.
    pub cwd: Option<PathBuf>,
    /// The directories that count as its workspace.
    pub workspace_roots: Option<Vec<PathBuf>>,
    /// The model.
    pub model: Option<String>,
    /// The provider.
    pub model_provider: Option<String>,
    /// The service tier; `Some(None)` for none, whatever is configured.
    pub service_tier: Option<Option<String>>,
    /// When a person is asked.
    pub approval_policy: Option<ApprovalPolicy>,
    /// Who is asked.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may touch, by a mode's name.
    pub sandbox: Option<String>,
    /// The same, by the id of a permission profile.
    pub permissions: Option<String>,
    /// The same, all of it said.
    pub sandbox_policy: Option<SandboxPolicy>,
    /// Keys of the configuration, for this thread alone.
    pub config: Map<String, Value>,
    /// What the model is told about its work, instead of what it is told else.
    pub base_instructions: Option<String>,
    /// The name that the client gave itself.
    pub originator: String,
    /// The thread goes on: what its rollout recorded of it.
    pub resume: Option<Recorded>,
}

/// What a rollout recorded of its thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The effort.
    pub effort: Option<String>,
    /// Where it worked.
    pub cwd: Option<PathBuf>,
    /// What its commands could touch.
    pub sandbox: Option<SandboxPolicy>,
    /// When a person was asked.
    pub approval_policy: Option<ApprovalPolicy>,
}

/// What a thread begins, or goes on, with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// For the tree: model, provider, effort, tier, sandbox, policies, AGENTS.md, base instructions and context window are
    /// those in force. What a rollout says of its thread counts before them.
    pub settings: Settings,
    /// Where it works, absolute.
    pub cwd: PathBuf,
    /// The directories that count as its workspace, absolute.
    pub workspace_roots: Vec<String>,
    /// The client named model, provider or effort: for a thread that goes on these are to be set.
    pub model_is_said: bool,
    /// The client said what commands may touch: for a thread that goes on this is to be set.
    pub rights_are_said: bool,
    /// The permission profile that the sandbox is, if it was chosen as one.
    pub permission_profile: Option<String>,
    /// The AGENTS.md files that the model is told, in their order.
    pub instruction_sources: Vec<PathBuf>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Why the program cannot do what a client asks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// The request asks for something that cannot be had.
    #[error("{message}")]
    Invalid {
        /// What, and what to do.
        message: String,
    },
    /// A provider that the configuration does not have.
    #[error(
        "the model provider `{provider}` is not configured; add [model_providers.{provider}] with its base_url to config.toml, \
         or choose another one"
    )]
    UnknownProvider {
        /// Its id.
        provider: String,
    },
    /// A change of the configuration that is refused.
    #[error("{message}")]
    Write {
        /// The kind, for programs.
        code: ConfigWriteErrorCode,
        /// What, and what to do.
        message: String,
    },
    /// Something on this machine is in the way.
    #[error("{message}")]
    Failed {
        /// What, and what to do.
        message: String,
    },
}

impl ProgramError {
    /// The request asks for something that cannot be had.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// Something on this machine is in the way.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into() }
    }
}

impl From<ProgramError> for RpcError {
    fn from(error: ProgramError) -> Self {
        let message = error.to_string();
        match error {
            ProgramError::Invalid { .. } => RpcError::invalid(message),
            ProgramError::UnknownProvider { provider } => RpcError::invalid(message)
                .with_data(json!({"type": "modelProviderNotConfigured", "modelProvider": provider})),
            ProgramError::Write { code, .. } => {
                RpcError::invalid(message).with_data(json!({"config_write_error_code": code}))
            }
            ProgramError::Failed { .. } => RpcError::internal(message),
        }
    }
}
