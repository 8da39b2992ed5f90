//! The parts of what a user says, in their two forms: the wire's, and the one inside a rollout's `UserMessage` items.

use serde::{Deserialize, Serialize};

/// A part of what a user says, as clients send it and items show it. Optional parts are written as `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UserInput {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// The spans of it that a client draws specially. The wire's name has an underscore.
        #[serde(default)]
        text_elements: Vec<TextElement>,
    },
    /// An image that the provider can fetch, or has.
    Image {
        /// Where it is.
        #[serde(flatten)]
        source: MediaSource,
        /// How closely the model looks.
        #[serde(default)]
        detail: Option<ImageDetail>,
    },
    /// An image in a file here.
    LocalImage {
        /// How closely the model looks.
        #[serde(default)]
        detail: Option<ImageDetail>,
        /// The file.
        path: String,
    },
    /// Sound that the provider can fetch, or has.
    Audio {
        /// Where it is.
        #[serde(flatten)]
        source: MediaSource,
    },
    /// Sound in a file here.
    LocalAudio {
        /// The file.
        path: String,
    },
    /// A skill that the user chose.
    Skill {
        /// Its name.
        name: String,
        /// Its file.
        path: String,
    },
    /// Something the user named: an app, a plugin, a thread.
    Mention {
        /// Its name.
        name: String,
        /// What it is, as a URI.
        path: String,
    },
}

impl UserInput {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), text_elements: Vec::new() }
    }

    /// How long it is, in bytes: what a limit on input counts.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text { text, text_elements } => {
                let elements = text_elements.iter().map(TextElement::bytes).sum::<usize>();
                text.len() + elements
            }
            Self::Image { source, .. } | Self::Audio { source } => source.as_str().len(),
            Self::LocalImage { path, .. } | Self::LocalAudio { path } => path.len(),
            Self::Skill { name, path } | Self::Mention { name, path } => name.len() + path.len(),
        }
    }
}

/// Where an image or a sound is. Given both, the URL counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "data did not match any variant of untagged enum ImageReference")]
pub enum MediaSource {
    /// At a URL, often one that holds the data itself.
    Url {
        /// The URL.
        url: String,
    },
    /// With the provider.
    File {
        /// The provider's name for it.
        #[serde(rename = "fileId")]
        file_id: String,
    },
}

impl MediaSource {
    /// The URL or the file's id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Url { url } => url,
            Self::File { file_id } => file_id,
        }
    }
}

/// How closely a model looks at an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageDetail {
    /// As the model sees fit.
    Auto,
    /// Coarsely, and cheaply.
    Low,
    /// Finely.
    High,
    /// In its own size.
    Original,
}

/// A span of a text that a client draws specially.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextElement {
    /// Which bytes of the text.
    pub byte_range: ByteRange,
    /// What stands for it on a screen.
    #[serde(default)]
    pub placeholder: Option<String>,
}

impl TextElement {
    fn bytes(&self) -> usize {
        size_of::<ByteRange>() + self.placeholder.as_ref().map_or(0, String::len)
    }
}

/// Bytes of a text: from `start`, up to but not with `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

/// A part of what a user said, as a rollout keeps it. What is not there is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RolloutInput {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Its spans.
        #[serde(default)]
        text_elements: Vec<RolloutTextElement>,
    },
    /// An image that the provider can fetch, or has.
    Image {
        /// Where it is.
        #[serde(flatten)]
        source: RolloutImage,
        /// How closely the model looks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<ImageDetail>,
    },
    /// An image in a file.
    LocalImage {
        /// The file.
        path: String,
        /// How closely the model looks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<ImageDetail>,
    },
    /// Sound that the provider can fetch, or has.
    Audio {
        /// Where it is.
        #[serde(flatten)]
        source: RolloutAudio,
    },
    /// Sound in a file.
    LocalAudio {
        /// The file.
        path: String,
    },
    /// A skill.
    Skill {
        /// Its name.
        name: String,
        /// Its file.
        path: String,
    },
    /// Something the user named.
    Mention {
        /// Its name.
        name: String,
        /// What it is, as a URI.
        path: String,
    },
}

/// Where an image of a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutImage {
    /// At a URL.
    ImageUrl(String),
    /// With the provider.
    FileId(String),
}

/// Where a sound of a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutAudio {
    /// At a URL.
    AudioUrl(String),
    /// With the provider.
    FileId(String),
}

/// A span of a text, as a rollout keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTextElement {
    /// Which bytes of the text.
    pub byte_range: ByteRange,
    /// What stands for it on a screen.
    #[serde(default)]
    pub placeholder: Option<String>,
}

impl From<UserInput> for RolloutInput {
    fn from(input: UserInput) -> Self {
        match input {
            UserInput::Text { text, text_elements } => {
                Self::Text { text, text_elements: text_elements.into_iter().map(Into::into).collect() }
            }
            UserInput::Image { source, detail } => Self::Image { source: source.into(), detail },
            UserInput::LocalImage { detail, path } => Self::LocalImage { path, detail },
            UserInput::Audio { source } => Self::Audio { source: source.into() },
            UserInput::LocalAudio { path } => Self::LocalAudio { path },
            UserInput::Skill { name, path } => Self::Skill { name, path },
            UserInput::Mention { name, path } => Self::Mention { name, path },
        }
    }
}

impl From<RolloutInput> for UserInput {
    fn from(input: RolloutInput) -> Self {
        match input {
            RolloutInput::Text { text, text_elements } => {
                Self::Text { text, text_elements: text_elements.into_iter().map(Into::into).collect() }
            }
            RolloutInput::Image { source, detail } => Self::Image { source: source.into(), detail },
            RolloutInput::LocalImage { path, detail } => Self::LocalImage { detail, path },
            RolloutInput::Audio { source } => Self::Audio { source: source.into() },
            RolloutInput::LocalAudio { path } => Self::LocalAudio { path },
            RolloutInput::Skill { name, path } => Self::Skill { name, path },
            RolloutInput::Mention { name, path } => Self::Mention { name, path },
        }
    }
}

impl From<TextElement> for RolloutTextElement {
    fn from(element: TextElement) -> Self {
        Self { byte_range: element.byte_range, placeholder: element.placeholder }
    }
}

impl From<RolloutTextElement> for TextElement {
    fn from(element: RolloutTextElement) -> Self {
        Self { byte_range: element.byte_range, placeholder: element.placeholder }
    }
}

impl From<MediaSource> for RolloutImage {
    fn from(source: MediaSource) -> Self {
        match source {
            MediaSource::Url { url } => Self::ImageUrl(url),
            MediaSource::File { file_id } => Self::FileId(file_id),
        }
    }
}

impl From<RolloutImage> for MediaSource {
    fn from(source: RolloutImage) -> Self {
        match source {
            RolloutImage::ImageUrl(url) => Self::Url { url },
            RolloutImage::FileId(file_id) => Self::File { file_id },
        }
    }
}

impl From<MediaSource> for RolloutAudio {
    fn from(source: MediaSource) -> Self {
        match source {
            MediaSource::Url { url } => Self::AudioUrl(url),
            MediaSource::File { file_id } => Self::FileId(file_id),
        }
    }
}

impl From<RolloutAudio> for MediaSource {
    fn from(source: RolloutAudio) -> Self {
        match source {
            RolloutAudio::AudioUrl(url) => Self::Url { url },
            RolloutAudio::FileId(file_id) => Self::File { file_id },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client sends, what an item shows, what a rollout keeps; each as measured with Codex 0.169.0.
    const MEASURED: &[(&str, &str, &str)] = &[
        (
            r#"{"type":"text","text":"héllo","text_elements":[{"byteRange":{"start":0,"end":2},"placeholder":"ph"},{"byteRange":{"start":1,"end":3}}]}"#,
            r#"{"type":"text","text":"héllo","text_elements":[{"byteRange":{"start":0,"end":2},"placeholder":"ph"},{"byteRange":{"start":1,"end":3},"placeholder":null}]}"#,
            r#"{"type":"text","text":"héllo","text_elements":[{"byte_range":{"start":0,"end":2},"placeholder":"ph"},{"byte_range":{"start":1,"end":3},"placeholder":null}]}"#,
        ),
        (
            r#"{"type":"text","text":"b","textElements":[{"byteRange":{"start":0,"end":1}}]}"#,
            r#"{"type":"text","text":"b","text_elements":[]}"#,
            r#"{"type":"text","text":"b","text_elements":[]}"#,
        ),
        (
            r#"{"type":"image","url":"data:,a"}"#,
            r#"{"type":"image","url":"data:,a","detail":null}"#,
            r#"{"type":"image","image_url":"data:,a"}"#,
        ),
        (
            r#"{"type":"image","fileId":"f","detail":"low"}"#,
            r#"{"type":"image","fileId":"f","detail":"low"}"#,
            r#"{"type":"image","file_id":"f","detail":"low"}"#,
        ),
        (
            r#"{"type":"localImage","path":"/a.png"}"#,
            r#"{"type":"localImage","detail":null,"path":"/a.png"}"#,
            r#"{"type":"local_image","path":"/a.png"}"#,
        ),
        (
            r#"{"type":"localImage","path":"/a.png","detail":"original"}"#,
            r#"{"type":"localImage","detail":"original","path":"/a.png"}"#,
            r#"{"type":"local_image","path":"/a.png","detail":"original"}"#,
        ),
        (
            r#"{"type":"audio","url":"data:,a"}"#,
            r#"{"type":"audio","url":"data:,a"}"#,
            r#"{"type":"audio","audio_url":"data:,a"}"#,
        ),
        (
            r#"{"type":"localAudio","path":"/a.wav"}"#,
            r#"{"type":"localAudio","path":"/a.wav"}"#,
            r#"{"type":"local_audio","path":"/a.wav"}"#,
        ),
        (
            r#"{"type":"skill","name":"s","path":"/s"}"#,
            r#"{"type":"skill","name":"s","path":"/s"}"#,
            r#"{"type":"skill","name":"s","path":"/s"}"#,
        ),
        (
            r#"{"type":"mention","name":"m","path":"app://m"}"#,
            r#"{"type":"mention","name":"m","path":"app://m"}"#,
            r#"{"type":"mention","name":"m","path":"app://m"}"#,
        ),
    ];

    #[test]
    fn both_forms_are_those_of_the_real_server() {
        for (sent, shown, kept) in MEASURED {
            let input: UserInput = serde_json::from_str(sent).expect(sent);
            assert_eq!(serde_json::to_string(&input).unwrap(), *shown);
            let rollout = RolloutInput::from(input.clone());
            assert_eq!(serde_json::to_string(&rollout).unwrap(), *kept);
            let read: RolloutInput = serde_json::from_str(kept).expect(kept);
            assert_eq!(UserInput::from(read), input);
        }
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        for wrong in [
            r#"{"type":"image"}"#,
            r#"{"type":"text"}"#,
            r#"{"type":"text","text":1}"#,
            r#"{"type":"video","url":"u"}"#,
            r#"{"text":"a"}"#,
            r#"{"type":"localImage","path":"/a","detail":"huge"}"#,
        ] {
            assert!(serde_json::from_str::<UserInput>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn its_size_is_that_of_what_it_carries() {
        assert_eq!(UserInput::text("four").bytes(), 4);
        assert_eq!(UserInput::Mention { name: "ab".into(), path: "app://c".into() }.bytes(), 9);
    }
}
