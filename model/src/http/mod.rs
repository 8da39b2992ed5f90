//! Responses over HTTP: the client of a provider.
//!
//! What it is for: sends a request as it is stored, reads the stream of events that answers it, and says what went
//! wrong in a sentence that a person can act on.
//! What it never does: it retries nothing, follows no redirect, logs nothing, and shows no key.
//!
//! Invariants:
//! - A request body is never copied: the slices that are stored are the slices that are sent.
//! - Every answer is bounded in bytes and in silence.
//! - Dropping a call closes its connection; a call that ends gives it back to the next.
//!
//! Where to start reading: [`Provider`] is what is configured, [`Http`] the client, `events` what a stream means,
//! `fault` what an error means, `voice` how it is said.

mod body;
mod call;
mod events;
mod fault;
mod limits;
mod metadata;
mod provider;
mod reroute;
mod secret;
mod sse;
mod text;
mod tls;
mod voice;
mod wire;

#[cfg(test)]
mod events_tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Url};
use sapwood_protocol::Millis;

pub use provider::{HttpError, Provider};
pub use secret::Secret;

use crate::governor::{Governors, Pass};
use crate::http::secret::Scrub;
use crate::http::voice::Voice;
use crate::port::{BoxFuture, Delta, DeltaSink, Model, ModelError, Request, Response};

/// Connections to a provider that are kept while nobody uses them, at most.
const IDLE_CONNECTIONS: usize = 64;
/// How long such a connection is kept: less than the load balancers of providers do.
const IDLE_CONNECTION: Duration = Duration::from_secs(50);

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The client of one provider. One for the process: its connections are shared by all agents. Cloning it is cheap.
#[derive(Clone)]
pub struct Http {
    parts: Arc<Parts>,
}

struct Parts {
    provider: Provider,
    scrub: Scrub,
    client: Client,
    /// The base of all addresses, with its query.
    base: Url,
    responses: Url,
    headers: HeaderMap,
    /// Tells accounts of one provider apart, without telling their keys.
    account: String,
    governors: Arc<Governors>,
    now: Now,
}

impl Parts {
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("provider", &self.parts.provider).finish_non_exhaustive()
    }
}

impl Http {
    /// A client. Nothing is sent yet. `governors` are those of the process; `now` tells the time for limits that end
    /// at a date.
    ///
    /// # Errors
    /// A provider that cannot be asked: the error names the key in the configuration.
    pub fn new(provider: Provider, governors: Arc<Governors>, now: Now) -> Result<Self, HttpError> {
        let (base, headers) = (provider.url()?, provider.headers()?);
        let client = client(&base)
            .tls_backend_preconfigured(tls::config(base.scheme() == "https")?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(provider.connect_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| HttpError::Client(provider.scrub().clean(&error.without_url().to_string())))?;
        let mut parts = Parts {
            scrub: provider.scrub(),
            account: account(&provider),
            responses: base.clone(),
            provider,
            client,
            base,
            headers,
            governors,
            now,
        };
        parts.responses = parts.url("responses");
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The provider that it asks.
    pub fn provider(&self) -> &Provider {
        &self.parts.provider
    }

    /// Gets `path` below the base address (`models`): the body, and its `etag` if it has one.
    ///
    /// # Errors
    /// As of a request to a model; a body of more than `max_bytes` is refused. It may take thirty seconds in all.
    pub async fn get(&self, path: &str, max_bytes: usize) -> Result<(Bytes, Option<String>), ModelError> {
        call::get(self, path, max_bytes).await
    }

    fn voice<'a>(&'a self, model: Option<&'a str>) -> Voice<'a> {
        Voice { provider: &self.parts.provider, scrub: &self.parts.scrub, model }
    }
}

impl Model for Http {
    fn sample(&self, request: Request, sink: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        let http = self.clone();
        Box::pin(async move {
            let parts = &*http.parts;
            let governor = parts.governors.of(&parts.provider.id, &parts.account, &request.origin.model);
            let mut pass = governor.admit(&request.origin, &sink).await?;
            sink.delta(Delta::Sent);
            let result = call::sample(&http, &request, &sink, &mut pass).await;
            give_back(pass, &result);
            result
        })
    }
}

/// Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY` ...). A provider on this machine is asked directly:
/// no proxy can reach it.
fn client(base: &Url) -> ClientBuilder {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback { Client::builder().no_proxy() } else { Client::builder() }
}

/// Tells the governor how a request went.
fn give_back(pass: Pass, result: &Result<Response, ModelError>) {
    match result {
        Ok(_) => pass.done(),
        Err(ModelError::UsageLimited { until, .. }) => pass.usage_limited(*until),
        Err(ModelError::Unavailable { status: 429 | 503 | 529, retry_after_ms, .. }) => {
            pass.refused(retry_after_ms.map(Duration::from_millis));
        }
        Err(_) => pass.failed(),
    }
}

/// A name for the account behind a key: the same for the same key and headers, within this process.
fn account(provider: &Provider) -> String {
    let mut hasher = DefaultHasher::new();
    let headers = provider.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.reveal()));
    (provider.key.as_ref().map(Secret::reveal), headers.collect::<Vec<_>>()).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
