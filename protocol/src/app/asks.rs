//! Server requests: questions to clients, and their answers.
//!
//! An answer is read leniently ([`Answer::or_refused`]): what cannot be read refuses, and never allows.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::dynamic::{DynamicToolCallParams, DynamicToolCallResponse, ToolContent};
use super::wire::read;

/// Params of a server request.
pub trait Ask: Serialize {
    /// The method that it is sent under.
    const METHOD: &'static str;
    /// What a client answers.
    type Answer: Answer;
}

/// What a client answers to a server request.
pub trait Answer: DeserializeOwned {
    /// The answer that lets nothing happen.
    fn refused() -> Self;

    /// Reads an answer; one that cannot be read refuses, and says what is wrong with it for the log.
    fn or_refused(json: &RawValue) -> (Self, Option<String>) {
        match read(json) {
            Ok(answer) => (answer, None),
            Err(why) => (Self::refused(), Some(why)),
        }
    }
}

/// Params of `item/commandExecution/requestApproval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandApprovalParams {
    /// What is asked.
    #[serde(default)]
    pub kind: CommandApprovalKind,
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item of the command.
    pub item_id: String,
    /// When the item began, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// Tells several questions of one item apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Where it would run.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// Why the model asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The connection that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_approval_context: Option<NetworkApprovalContext>,
    /// The command, for a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What it seems to do, as the item has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_actions: Option<Vec<Value>>,
    /// Permissions that are asked for beside those it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_permissions: Option<PermissionSet>,
    /// A rule that would allow such commands from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_execpolicy_amendment: Option<Vec<String>>,
    /// Rules that would allow or deny hosts from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_network_policy_amendments: Option<Vec<NetworkAmendment>>,
    /// The answers that make sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_decisions: Option<Vec<CommandDecision>>,
}

/// What is asked about a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandApprovalKind {
    /// To run it.
    #[default]
    Command,
    /// To type into it.
    WriteStdin,
    /// To run what a person typed.
    HumanCommand,
}

/// A connection that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkApprovalContext {
    /// To where.
    pub host: String,
    /// `http`, `https`, `socks5Tcp` or `socks5Udp`.
    pub protocol: String,
}

/// A rule about a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAmendment {
    /// The host.
    pub host: String,
    /// What holds for it.
    pub action: NetworkRule,
}

/// What holds for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkRule {
    /// It may be reached.
    Allow,
    /// It may not.
    Deny,
}

/// What a person says to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandDecision {
    /// Yes.
    Accept,
    /// Yes, and again without a question in this session.
    AcceptForSession,
    /// Yes, and a rule allows such commands from now on.
    AcceptWithExecpolicyAmendment {
        /// The rule: the words that such commands begin with.
        execpolicy_amendment: Vec<String>,
    },
    /// What the rule about the host says, from now on.
    ApplyNetworkPolicyAmendment {
        /// The rule.
        network_policy_amendment: NetworkAmendment,
    },
    /// No; the turn goes on.
    Decline,
    /// No, and the turn ends.
    Cancel,
}

/// The answer to `item/commandExecution/requestApproval`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandApprovalResponse {
    /// What the person says.
    pub decision: CommandDecision,
}

/// Params of `item/fileChange/requestApproval`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChangeApprovalParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item of the patch.
    pub item_id: String,
    /// When the item began, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// Why it is asked.
    #[serde(default)]
    pub reason: Option<String>,
    /// A directory in which patches would be allowed in this session.
    #[serde(default)]
    pub grant_root: Option<String>,
}

/// What a person says to a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileChangeDecision {
    /// Yes.
    Accept,
    /// Yes, and again without a question in this session.
    AcceptForSession,
    /// No; the turn goes on.
    Decline,
    /// No, and the turn ends.
    Cancel,
}

/// The answer to `item/fileChange/requestApproval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChangeApprovalResponse {
    /// What the person says.
    pub decision: FileChangeDecision,
}

/// Params of `item/permissions/requestApproval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionsApprovalParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The call.
    pub item_id: String,
    /// Where it would hold.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// When the call began, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// The working directory.
    pub cwd: String,
    /// Why the model asks.
    #[serde(default)]
    pub reason: Option<String>,
    /// What it asks for.
    pub permissions: PermissionSet,
}

/// Permissions beside those of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PermissionSet {
    /// To connect.
    pub network: Option<NetworkPermission>,
    /// To read and write.
    pub file_system: Option<FilePermission>,
}

/// Permission to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPermission {
    /// It may.
    pub enabled: Option<bool>,
}

/// Permission to read and write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilePermission {
    /// What may be read.
    pub read: Option<Vec<String>>,
    /// What may be written.
    pub write: Option<Vec<String>>,
    /// How deep patterns look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob_scan_max_depth: Option<u64>,
    /// The same, entry by entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<Value>>,
}

/// How long a permission holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrantScope {
    /// To the end of the turn.
    #[default]
    Turn,
    /// As long as the thread is loaded.
    Session,
}

/// The answer to `item/permissions/requestApproval`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionsApprovalResponse {
    /// What is granted of it.
    pub permissions: PermissionSet,
    /// How long it holds.
    #[serde(default)]
    pub scope: GrantScope,
    /// Every command of the turn is reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict_auto_review: Option<bool>,
}

/// Params of `item/tool/requestUserInput`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInputParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The call.
    pub item_id: String,
    /// What is asked.
    pub questions: Vec<Question>,
    /// The turn waits for the answer.
    pub is_blocking: bool,
    /// After so long the client answers by itself, in milliseconds.
    #[serde(default)]
    pub auto_resolution_ms: Option<u64>,
}

/// A question of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Names it in the answer.
    pub id: String,
    /// What it is about, in a few words.
    pub header: String,
    /// The question.
    pub question: String,
    /// Another answer than the options is possible.
    #[serde(default)]
    pub is_other: bool,
    /// The answer is not to be shown.
    #[serde(default)]
    pub is_secret: bool,
    /// Answers to choose from.
    #[serde(default)]
    pub options: Option<Vec<QuestionOption>>,
}

/// An answer to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionOption {
    /// The answer.
    pub label: String,
    /// What it means.
    pub description: String,
}

/// The answer to `item/tool/requestUserInput`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInputResponse {
    /// The answers, by the questions' ids; none if the person gave none.
    pub answers: BTreeMap<String, QuestionAnswer>,
}

/// What a person answers to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionAnswer {
    /// What was chosen or typed.
    pub answers: Vec<String>,
}

/// Params of `currentTime/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentTimeParams {
    /// The thread that wants to know.
    pub thread_id: String,
}

/// The answer to `currentTime/read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentTimeResponse {
    /// The client's time, in seconds since 1970; absent if it does not say.
    #[serde(default)]
    pub current_time_at: Option<i64>,
}

macro_rules! asks {
    ($($params:ty = $method:literal => $answer:ty, $refused:expr;)*) => {
        $(
            impl Ask for $params {
                const METHOD: &'static str = $method;
                type Answer = $answer;
            }

            impl Answer for $answer {
                fn refused() -> Self {
                    $refused
                }
            }
        )*
    };
}

asks! {
    CommandApprovalParams = "item/commandExecution/requestApproval" => CommandApprovalResponse,
        CommandApprovalResponse { decision: CommandDecision::Decline };
    FileChangeApprovalParams = "item/fileChange/requestApproval" => FileChangeApprovalResponse,
        FileChangeApprovalResponse { decision: FileChangeDecision::Decline };
    PermissionsApprovalParams = "item/permissions/requestApproval" => PermissionsApprovalResponse,
        PermissionsApprovalResponse {
            permissions: PermissionSet::default(), scope: GrantScope::Turn, strict_auto_review: None,
        };
    UserInputParams = "item/tool/requestUserInput" => UserInputResponse, UserInputResponse::default();
    DynamicToolCallParams = "item/tool/call" => DynamicToolCallResponse,
        DynamicToolCallResponse {
            content_items: vec![ToolContent::InputText { text: UNREADABLE.to_owned() }], success: false,
        };
    CurrentTimeParams = "currentTime/read" => CurrentTimeResponse, CurrentTimeResponse::default();
}

/// What a model reads when a client's answer to a call of its tool makes no sense.
const UNREADABLE: &str = "The client that has this tool gave an answer that cannot be read.";
