//! A provider as it is configured, and what is made of it once: its address and the headers of every request.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::http::secret::{Scrub, Secret};

/// Somebody who answers Responses requests over HTTP: the values of `model_providers.<id>`.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its id in the configuration.
    pub id: String,
    /// Its name for a person.
    pub name: String,
    /// Where it is, without `/responses`: `https://api.openai.com/v1`. No user, query or fragment.
    pub base_url: String,
    /// The key, sent as `authorization: Bearer`.
    pub key: Option<Secret>,
    /// Where the key comes from, or should (`OPENAI_API_KEY`), for whoever has to mend it.
    pub key_from: Option<String>,
    /// More headers, by name.
    pub headers: Vec<(String, Secret)>,
    /// What stands in the query of every request. It may hold a key, so it is shown nowhere.
    pub query: Vec<(String, Secret)>,
    /// How long it may be silent, before its answer begins and within it.
    pub stream_idle_timeout: Duration,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// Who asks: the header `originator`, and the first word of the user agent (`sapwood_exec`).
    pub originator: String,
    /// The version of who asks.
    pub version: String,
}

impl Provider {
    /// A provider with an id and an address, and the defaults of everything else: no key, five minutes of silence
    /// (Codex's default), ten seconds to connect.
    pub fn new(id: impl Into<String>, base_url: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            base_url: base_url.into(),
            key: None,
            key_from: None,
            headers: Vec::new(),
            query: Vec::new(),
            stream_idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            originator: "sapwood_exec".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Everything that must not be seen in a text.
    pub(crate) fn scrub(&self) -> Scrub {
        let pairs = self.headers.iter().chain(&self.query).map(|(_, value)| value);
        Scrub::new(self.key.iter().chain(pairs))
    }

    /// The base of its addresses, with a `/` at its end and the query of every request.
    pub(crate) fn url(&self) -> Result<Url, HttpError> {
        let wrong = |why: &str| HttpError::BaseUrl { provider: self.id.clone(), why: why.to_owned() };
        let mut url = Url::parse(&self.base_url).map_err(|error| wrong(&format!("is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("must begin with http:// or https:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold a user or a password; name the variable of the key in env_key"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment; put them into query_params"));
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query.iter().map(|(name, value)| (name, value.reveal())));
        }
        Ok(url)
    }

    /// The headers of every request.
    pub(crate) fn headers(&self) -> Result<HeaderMap, HttpError> {
        let mut headers = HeaderMap::new();
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let agent = format!("{}/{} ({os}; {arch})", self.originator, self.version);
        let plain = |text: &str| HeaderValue::from_str(text).map_err(|_| HttpError::Originator);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("originator", plain(&self.originator)?);
        headers.insert(USER_AGENT, plain(&agent)?);
        for (name, value) in &self.headers {
            let (name, value) = self.header(name, value)?;
            headers.insert(name, value);
        }
        if let Some(key) = &self.key {
            let from = self.key_from.clone().unwrap_or_else(|| format!("the key of model_providers.{}", self.id));
            let bearer = sensitive(&format!("Bearer {}", key.reveal())).filter(|_| !key.reveal().trim().is_empty());
            headers.insert(AUTHORIZATION, bearer.ok_or(HttpError::Key { from })?);
        }
        Ok(headers)
    }

    fn header(&self, name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), HttpError> {
        let key = || format!("model_providers.{}.http_headers.{name}", self.id);
        let header: HeaderName = name.parse().map_err(|_| HttpError::HeaderName { key: key() })?;
        if is_reserved(header.as_str()) {
            return Err(HttpError::Reserved { key: key() });
        }
        if header == AUTHORIZATION && self.key.is_some() {
            return Err(HttpError::TwoKeys { key: key() });
        }
        let value = sensitive(value.reveal()).ok_or_else(|| HttpError::HeaderValue { key: key() })?;
        Ok((header, value))
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers that a configuration cannot set: those that say who asks, and those that frame the message. What a
/// proxy between us would read (`proxy-*`) is none of a provider's business.
fn is_reserved(name: &str) -> bool {
    const OURS: [&str; 4] = ["session-id", "thread-id", "x-client-request-id", "x-openai-subagent"];
    const FRAMING: [&str; 12] = [
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    OURS.contains(&name) || FRAMING.contains(&name) || name.starts_with("x-codex-") || name.starts_with("proxy-")
}

/// Why there is no client for a provider. Names the key in the configuration, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address.
    #[error("model_providers.{provider}.base_url {why}")]
    BaseUrl {
        /// The provider's id.
        provider: String,
        /// What is wrong with it.
        why: String,
    },
    /// The name of a header.
    #[error("{key}: this is no name of an HTTP header; use letters, digits and dashes")]
    HeaderName {
        /// Where it is set.
        key: String,
    },
    /// The value of a header.
    #[error("{key}: its value cannot be sent; remove line ends and control characters from it")]
    HeaderValue {
        /// Where it is set.
        key: String,
    },
    /// A header that a configuration cannot set.
    #[error("{key}: this header is Sapwood's own and cannot be configured; remove it")]
    Reserved {
        /// Where it is set.
        key: String,
    },
    /// A key and an `authorization` header.
    #[error("{key}: the provider has a key already (env_key); remove one of both")]
    TwoKeys {
        /// Where it is set.
        key: String,
    },
    /// The key.
    #[error("{from} holds no key that can be sent: it is empty, or has line ends or control characters in it")]
    Key {
        /// Where it comes from.
        from: String,
    },
    /// The name or version of who asks.
    #[error("the originator and version of this client must be plain text")]
    Originator,
    /// The client.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(name: &str, value: &str) -> Result<HeaderMap, HttpError> {
        let mut provider = Provider::new("acme", "https://acme.test/v1");
        provider.headers.push((name.to_owned(), value.into()));
        provider.headers()
    }

    #[test]
    fn addresses() {
        let url = |base: &str, query: &[(&str, &str)]| {
            let mut provider = Provider::new("acme", base);
            provider.query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            provider
                .url()
                .and_then(|url| Ok(url.join("x").map(|_| url).map_err(|_| HttpError::Originator)?.to_string()))
        };
        assert_eq!(url("https://acme.test/v1", &[]).unwrap(), "https://acme.test/v1/");
        assert_eq!(url("https://acme.test/v1//", &[]).unwrap(), "https://acme.test/v1/");
        assert_eq!(url("http://[::1]:9", &[("api-version", "a b&c")]).unwrap(), "http://[::1]:9/?api-version=a+b%26c");
        for (base, why) in [
            ("acme", "is no address: relative URL without a base"),
            ("", "is no address: relative URL without a base"),
            ("file:///x", "must begin with http:// or https:// and name a host"),
            (
                "https://me:secret@acme.test",
                "must not hold a user or a password; name the variable of the key in env_key",
            ),
            ("https://acme.test/v1?key=secret", "must not have a query or a fragment; put them into query_params"),
        ] {
            let error = url(base, &[]).unwrap_err().to_string();
            assert_eq!(error, format!("model_providers.acme.base_url {why}"));
        }
    }

    #[test]
    fn what_a_configuration_cannot_send() {
        let at = |name: &str| format!("model_providers.acme.http_headers.{name}");
        for name in [
            "Session-Id",
            "thread-id",
            "x-codex-turn-metadata",
            "X-Client-Request-Id",
            "x-openai-subagent",
            "content-length",
            "content-type",
            "accept",
            "host",
            "transfer-encoding",
            "proxy-authorization",
        ] {
            assert_eq!(with_header(name, "v"), Err(HttpError::Reserved { key: at(name) }));
        }
        assert_eq!(with_header("a b", "v"), Err(HttpError::HeaderName { key: at("a b") }));
        assert_eq!(with_header("x-a", "se\ncret"), Err(HttpError::HeaderValue { key: at("x-a") }));
        let mut provider = Provider::new("acme", "https://acme.test");
        provider.headers.push(("Authorization".to_owned(), "Basic c2VjcmV0".into()));
        assert_eq!(provider.headers().unwrap()[AUTHORIZATION], "Basic c2VjcmV0");
        provider.key = Some("sk-secret".into());
        assert_eq!(provider.headers(), Err(HttpError::TwoKeys { key: at("Authorization") }));
        for key in ["sk-sec\nret", "  "] {
            let mut provider = Provider::new("acme", "https://acme.test");
            (provider.key, provider.key_from) = (Some(key.into()), Some("ACME_KEY".to_owned()));
            let error = provider.headers().unwrap_err().to_string();
            assert!(error.starts_with("ACME_KEY holds no key that can be sent"), "{error}");
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let mut provider = Provider::new("acme", "https://acme.test");
        provider.key = Some("sk-secret-1".into());
        provider.headers.push(("x-api-key".to_owned(), "sk-secret-2".into()));
        provider.query.push(("key".to_owned(), "sk-secret-3".into()));
        let shown = format!("{provider:?} {:?}", provider.headers().unwrap());
        assert!(!shown.contains("sk-secret"), "{shown}");
        assert_eq!(provider.scrub().clean("sk-secret-1 sk-secret-2 sk-secret-3"), "*** *** ***");
    }
}
