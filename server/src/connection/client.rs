//! Who a client says it is, and what it can do.

use std::collections::HashSet;

use serde::Deserialize;

/// What a client says of itself when it begins.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Its name.
    #[serde(rename = "clientInfo")]
    pub info: ClientInfo,
    /// What it can do; nothing if it does not say.
    #[serde(default, deserialize_with = "or_default")]
    pub capabilities: Capabilities,
}

/// The name of a client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ClientInfo {
    /// For programs.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub title: Option<String>,
    /// Its own.
    pub version: String,
}

/// What a client can do, and does not want.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Methods and fields that may still change.
    #[serde(deserialize_with = "or_default")]
    pub experimental_api: bool,
    /// Approvals that only a person may give.
    #[serde(deserialize_with = "or_default")]
    pub required_human_approval: bool,
    /// Notifications, by their exact names, that it does not want.
    #[serde(rename = "optOutNotificationMethods", deserialize_with = "or_default")]
    pub opted_out: HashSet<Box<str>>,
}

/// `null` is the same as nothing.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}
