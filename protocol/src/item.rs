//! Response items: the elements of a model's input and output.
//!
//! Items that we write are built here; items that come from a model or from another program stay as they came,
//! and [`ItemView`] reads the little that the machine needs of them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::input::ImageDetail;
use crate::ids::{CallId, ItemId};
use crate::path::AgentPath;

/// An item that Sapwood writes. Field order is that of the recorded rollouts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item<'a> {
    /// A message of a user, a developer or an assistant.
    Message {
        /// Its id.
        id: ItemId,
        /// Who speaks.
        role: Role,
        /// What is said.
        content: Vec<Content<'a>>,
    },
    /// Mail between agents.
    AgentMessage {
        /// Its id.
        id: ItemId,
        /// Who wrote it.
        author: &'a AgentPath,
        /// Whom it is for.
        recipient: &'a AgentPath,
        /// Header and payload.
        content: Vec<Content<'a>>,
    },
    /// The output of a function call.
    FunctionCallOutput {
        /// Its id.
        id: ItemId,
        /// The call it answers.
        call_id: &'a CallId,
        /// What the model reads.
        output: Output<'a>,
    },
    /// The output of a custom tool call.
    CustomToolCallOutput {
        /// Its id.
        id: ItemId,
        /// The call it answers.
        call_id: &'a CallId,
        /// What the model reads.
        output: Output<'a>,
    },
}

/// What a model reads as the output of a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output<'a> {
    /// Text.
    Text(&'a str),
    /// Text, pictures and sound: an array of parts in its place.
    Parts(&'a Value),
}

impl<'a> From<&'a str> for Output<'a> {
    fn from(text: &'a str) -> Self {
        Output::Text(text)
    }
}

/// Who a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, or what stands in for one.
    User,
    /// The program around the model.
    Developer,
    /// The model.
    Assistant,
    /// The provider.
    System,
}

/// A part of a message that Sapwood writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content<'a> {
    /// Text for the model.
    InputText {
        /// The text.
        text: Cow<'a, str>,
    },
    /// An image for the model.
    InputImage {
        /// Where it is; often the data itself.
        image_url: Cow<'a, str>,
        /// How closely the model looks.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<ImageDetail>,
    },
    /// Text of the model.
    OutputText {
        /// The text.
        text: Cow<'a, str>,
    },
    /// The payload of agent mail as the tool call gave it: a provider that encrypts it gave ciphertext.
    EncryptedContent {
        /// The payload.
        encrypted_content: Cow<'a, str>,
    },
}

/// The kind of agent mail, as the model reads it in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailKind {
    /// A task: it starts a turn.
    NewTask,
    /// A message that waits until its recipient looks.
    Message,
    /// What came of a turn.
    FinalAnswer,
}

/// The last line of the header of agent mail.
const PAYLOAD: &str = "Payload:\n";

/// Splits the text of agent mail into the kind that its header names and what follows the header; all of it, where it has none.
pub fn mail_header(text: &str) -> (Option<MailKind>, &str) {
    let Some((header, payload)) = text.split_once(PAYLOAD) else { return (None, text) };
    let label = header.lines().find_map(|line| line.strip_prefix("Message Type: "));
    let kinds = [MailKind::NewTask, MailKind::Message, MailKind::FinalAnswer];
    (kinds.into_iter().find(|kind| Some(kind.label()) == label), payload)
}

impl MailKind {
    /// The word in the header.
    pub fn label(self) -> &'static str {
        match self {
            MailKind::NewTask => "NEW_TASK",
            MailKind::Message => "MESSAGE",
            MailKind::FinalAnswer => "FINAL_ANSWER",
        }
    }

    /// True if such mail starts a turn of an idle agent.
    pub fn wakes(self) -> bool {
        matches!(self, MailKind::NewTask)
    }
}

impl<'a> Item<'a> {
    /// A message of one text.
    pub fn text(id: ItemId, role: Role, text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let content = match role {
            Role::Assistant => Content::OutputText { text },
            Role::User | Role::Developer | Role::System => Content::InputText { text },
        };
        Item::Message { id, role, content: vec![content] }
    }

    /// Agent mail in the form that models know (`multi-agent.md` 5.3): four header lines, then the payload, which
    /// stands inside the header's text for a final answer and in a part of its own otherwise.
    pub fn mail(id: ItemId, kind: MailKind, author: &'a AgentPath, recipient: &'a AgentPath, payload: &'a str) -> Self {
        let header = format!("Message Type: {}\nTask name: {recipient}\nSender: {author}\n{PAYLOAD}", kind.label());
        let content = match kind {
            MailKind::FinalAnswer => vec![Content::InputText { text: Cow::Owned(header + payload) }],
            MailKind::NewTask | MailKind::Message => vec![
                Content::InputText { text: Cow::Owned(header) },
                Content::EncryptedContent { encrypted_content: Cow::Borrowed(payload) },
            ],
        };
        Item::AgentMessage { id, author, recipient, content }
    }
}

/// What the machine reads of any item, whoever wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ItemView<'a> {
    /// The kind of item.
    #[serde(borrow, default, rename = "type")]
    pub kind: Cow<'a, str>,
    /// Its id; items of old files may have none.
    #[serde(default)]
    pub id: Option<ItemId>,
    /// The call it opens or answers.
    #[serde(default)]
    pub call_id: Option<CallId>,
    /// The name of the tool.
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    /// The namespace of the tool.
    #[serde(borrow, default)]
    pub namespace: Option<Cow<'a, str>>,
    /// The arguments of a function call: a text that should hold JSON.
    #[serde(borrow, default)]
    pub arguments: Option<Cow<'a, str>>,
    /// The input of a custom tool call.
    #[serde(borrow, default)]
    pub input: Option<Cow<'a, str>>,
    /// The role of a message.
    #[serde(borrow, default)]
    pub role: Option<Cow<'a, str>>,
    /// `commentary` or `final_answer`, where the model said so.
    #[serde(borrow, default)]
    pub phase: Option<Cow<'a, str>>,
    /// Who runs a tool search: `client` or `server`.
    #[serde(borrow, default)]
    pub execution: Option<Cow<'a, str>>,
    /// Codex's notes inside the item; they are not for other providers.
    #[serde(borrow, default)]
    pub internal_chat_message_metadata_passthrough: Option<&'a serde_json::value::RawValue>,
}

impl<'a> ItemView<'a> {
    /// Reads an item; `None` for what is no JSON object.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// The text of a message item: its text parts, joined. `None` for other items.
pub fn message_text(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default)]
        text: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        content: Vec<Part<'a>>,
    }
    let message: Message<'_> = serde_json::from_slice(json).ok()?;
    (message.kind == "message").then(|| message.content.iter().map(|part| &*part.text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_reads_as_recorded() {
        let root = AgentPath::root();
        let alpha = root.join("alpha").unwrap();
        let task = Item::mail(ItemId::from("amsg_1"), MailKind::NewTask, &root, &alpha, "TASK");
        assert_eq!(
            serde_json::to_string(&task).unwrap(),
            r#"{"type":"agent_message","id":"amsg_1","author":"/root","recipient":"/root/alpha","content":[{"type":"input_text","text":"Message Type: NEW_TASK\nTask name: /root/alpha\nSender: /root\nPayload:\n"},{"type":"encrypted_content","encrypted_content":"TASK"}]}"#
        );
        let answer = Item::mail(ItemId::from("amsg_2"), MailKind::FinalAnswer, &alpha, &root, "11");
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"type":"agent_message","id":"amsg_2","author":"/root/alpha","recipient":"/root","content":[{"type":"input_text","text":"Message Type: FINAL_ANSWER\nTask name: /root\nSender: /root/alpha\nPayload:\n11"}]}"#
        );
    }

    #[test]
    fn the_text_of_a_message() {
        let json = br#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a\n"},{"type":"output_text","text":"b"}]}"#;
        assert_eq!(message_text(json).as_deref(), Some("a\nb"));
        assert_eq!(message_text(br#"{"type":"reasoning"}"#), None);
    }
}
