//! What is said of a failure: one sentence that names the provider and the model, what happened and what to do.
//! Whatever came back from the provider goes through [`Scrub`] and [`one_line`] first, in here and nowhere else.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};
use sapwood_protocol::Millis;
use serde_json::Value;

use crate::http::fault::{Fault, Meaning};
use crate::http::provider::Provider;
use crate::http::secret::Scrub;
use crate::http::text::{html_title, one_line};
use crate::http::{events, limits};
use crate::port::{ModelError, Refusal};

/// Speaks for one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) scrub: &'a Scrub,
    /// The model that is asked; `None` where the call is about none.
    pub(crate) model: Option<&'a str>,
}

impl Voice<'_> {
    fn who(&self) -> String {
        let name = one_line(&self.provider.name);
        match self.model {
            Some(model) => format!("the provider {name} (model {})", one_line(model)),
            None => format!("the provider {name}"),
        }
    }

    /// Somebody else's words, fit to be shown. Scrubbed before they are cut, so that no end of a key is left.
    fn quote(&self, text: &str) -> String {
        one_line(&self.scrub.clean(text))
    }

    /// The innermost cause of an error, which is the one that a person can act on.
    fn cause(&self, error: &dyn Error) -> String {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        self.quote(&cause.to_string())
    }

    /// A header could not be written.
    pub(crate) fn unsendable(&self) -> ModelError {
        let message =
            format!("{} cannot be asked: where the request comes from does not fit into a header", self.who());
        ModelError::Refused { status: 0, reason: Refusal::BadRequest, message }
    }

    /// No answer began: the connection was refused, broke, or never was.
    pub(crate) fn unanswered(&self, error: reqwest::Error) -> ModelError {
        let is_connect = error.is_connect();
        let cause = self.cause(&error.without_url());
        let message = if is_connect {
            let base = one_line(&self.provider.base_url);
            format!("{} cannot be reached at {base}: {cause}; check base_url and the network", self.who())
        } else {
            // Closed, reset, or not in HTTP: the cause says which.
            format!("{} gave no answer that can be read: {cause}; try again", self.who())
        };
        ModelError::Unavailable { status: 0, message, retry_after_ms: None }
    }

    /// No answer began in time.
    pub(crate) fn silent(&self, waited: Duration) -> ModelError {
        let message = format!(
            "{} did not answer within {}; try again, or raise stream_idle_timeout_ms",
            self.who(),
            seconds(waited)
        );
        ModelError::Unavailable { status: 0, message, retry_after_ms: None }
    }

    /// The stream broke: what was seen of it.
    pub(crate) fn cut(&self, what: &str, items: usize) -> ModelError {
        let items = match items {
            0 => "before its first item was complete".to_owned(),
            1 => "after 1 item".to_owned(),
            n => format!("after {n} items"),
        };
        ModelError::Cut { why: format!("{} {} {items}", self.who(), self.quote(what)) }
    }

    /// The stream broke with an error of the connection.
    pub(crate) fn broke(&self, error: reqwest::Error, items: usize) -> ModelError {
        self.cut(&format!("lost the connection ({})", self.cause(&error.without_url())), items)
    }

    /// The stream was silent for too long.
    pub(crate) fn stalled(&self, waited: Duration, items: usize) -> ModelError {
        self.cut(&format!("sent nothing for {} (stream_idle_timeout_ms)", seconds(waited)), items)
    }

    /// More came than anything of this kind has.
    pub(crate) fn too_long(&self, what: &str, limit: usize) -> ModelError {
        let limit = if limit < 1_000_000 { format!("{limit} bytes") } else { format!("{} MB", limit / 1_000_000) };
        let message = format!(
            "{} sent {what} of more than {limit}, which is not believed; check that base_url ({}) is that of a Responses API",
            self.who(),
            one_line(&self.provider.base_url)
        );
        ModelError::Refused { status: 200, reason: Refusal::Other, message }
    }

    /// A success that is no stream of events.
    pub(crate) fn no_stream(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ModelError {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no content type");
        let message = format!(
            "{} answered {} with {} in place of text/event-stream{}; check that base_url ({}) is that of a Responses API",
            self.who(),
            named(status),
            self.quote(kind),
            self.excerpt(body, &Fault::default()),
            one_line(&self.provider.base_url)
        );
        ModelError::Refused { status: status.as_u16(), reason: Refusal::Other, message }
    }

    /// A stream that is packed, which nobody asked for.
    pub(crate) fn packed(&self, headers: &HeaderMap) -> ModelError {
        let how = headers.get(CONTENT_ENCODING).and_then(|how| how.to_str().ok()).unwrap_or("no known name");
        let message = format!(
            "{} answered with the content encoding {}, which was not asked for and is not understood; have it send its streams as they are",
            self.who(),
            self.quote(how)
        );
        ModelError::Refused { status: 200, reason: Refusal::Other, message }
    }

    /// A redirect: a key never travels to where somebody else points.
    pub(crate) fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> ModelError {
        let bare = |to: &str| match Url::parse(to) {
            Ok(mut url) => {
                // What stands behind the path, or before the host, may be a token.
                url.set_query(None);
                url.set_fragment(None);
                let _ = (url.set_username(""), url.set_password(None));
                url.to_string()
            }
            Err(_) => to.split(['?', '#']).next().unwrap_or_default().to_owned(),
        };
        let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).map_or_else(|| "nowhere".to_owned(), bare);
        let message = format!(
            "{} answered {}: it redirects to {}, and redirects are not followed; put the right address into base_url",
            self.who(),
            named(status),
            self.quote(&to)
        );
        ModelError::Refused { status: status.as_u16(), reason: Refusal::Other, message }
    }

    /// An answer that is an error.
    pub(crate) fn answered(&self, status: StatusCode, headers: &HeaderMap, body: &[u8], now: Millis) -> ModelError {
        let fault = serde_json::from_slice::<Value>(body).map(|body| Fault::of(&body)).unwrap_or_default();
        let what = format!("answered {}{}", named(status), self.excerpt(body, &fault));
        let wait = limits::retry_after_ms(headers, now).or_else(|| fault.retry_after_ms());
        let ends = || limits::from_headers(headers, now).as_ref().and_then(limits::used_up_until);
        let until = fault.until(now).or_else(ends).or_else(|| wait.map(|ms| now.plus(ms)));
        let code = status.as_u16();
        match fault.meaning(Some(code)) {
            Meaning::UsageLimit => self.usage_limited(&what, until),
            Meaning::Busy(stands) => {
                let is_transient = matches!(code, 408 | 409 | 425 | 429 | 500..);
                self.busy(if is_transient { code } else { stands }, &what, wait)
            }
            Meaning::Refused(reason) => self.refused(code, reason, &what),
            Meaning::Broken => self.busy(code, &what, wait),
        }
    }

    /// A response that failed in its stream.
    pub(crate) fn failed(&self, failure: events::Failure, items: usize, now: Millis) -> ModelError {
        let fault = match failure {
            events::Failure::Malformed(why) => return self.cut(&format!("sent a {why},"), items),
            events::Failure::Incomplete(reason) if reason == "content_filter" => {
                return self.refused(200, Refusal::Policy, "ended the response early (content_filter)");
            }
            events::Failure::Incomplete(reason) => {
                return self.cut(&format!("ended the response early ({reason})"), items);
            }
            events::Failure::Failed(fault) => fault,
        };
        let words = [&fault.message, &fault.code, &fault.kind].into_iter().find(|text| !text.is_empty());
        let what = match words {
            Some(words) => format!("failed: {}", self.quote(words)),
            None => "failed without a reason".to_owned(),
        };
        match fault.meaning(None) {
            Meaning::UsageLimit => self.usage_limited(&what, fault.until(now)),
            Meaning::Busy(status) => self.busy(status, &what, fault.retry_after_ms()),
            Meaning::Refused(reason) => self.refused(fault.status.unwrap_or(200), reason, &what),
            Meaning::Broken => ModelError::Cut { why: format!("{} {what}", self.who()) },
        }
    }

    fn usage_limited(&self, what: &str, until: Option<Millis>) -> ModelError {
        let ends = match until {
            Some(until) => format!("the account's usage limit ends at {}", until.timestamp()),
            None => "the account's usage limit is reached; see its plan and billing".to_owned(),
        };
        ModelError::UsageLimited { message: format!("{} {what}; {ends}", self.who()), until }
    }

    fn busy(&self, status: u16, what: &str, retry_after_ms: Option<u64>) -> ModelError {
        let wait = match retry_after_ms {
            Some(ms) => format!("it asks to wait {}", seconds(Duration::from_millis(ms))),
            None => "try again later".to_owned(),
        };
        ModelError::Unavailable { status, message: format!("{} {what}; {wait}", self.who()), retry_after_ms }
    }

    fn refused(&self, status: u16, reason: Refusal, what: &str) -> ModelError {
        let todo = match reason {
            Refusal::Unauthorized => self.about_key(status),
            Refusal::ContextWindow => {
                "the request is longer than the model's context window: compact the thread, or choose another model"
                    .to_owned()
            }
            Refusal::ModelNotFound => {
                format!("check the name of the model, and base_url ({})", one_line(&self.provider.base_url))
            }
            Refusal::Policy => "a policy of the provider forbids it: change what is asked".to_owned(),
            Refusal::BadRequest | Refusal::Other => "the same request will be refused again".to_owned(),
        };
        ModelError::Refused { status, reason, message: format!("{} {what}; {todo}", self.who()) }
    }

    fn about_key(&self, status: u16) -> String {
        let Provider { id, key, key_from, .. } = self.provider;
        match (key, key_from) {
            (Some(_), Some(from)) if status == 403 => format!("check what the key in {from} may use"),
            (Some(_), Some(from)) => format!("check the key in {from}"),
            (Some(_), None) => format!("check the key of model_providers.{id}"),
            (None, Some(from)) => format!("there is no key: set {from}"),
            (None, None) => format!("there is no key: name its variable in model_providers.{id}.env_key"),
        }
    }

    /// What a body says to a person, after a colon; nothing for an empty one.
    fn excerpt(&self, body: &[u8], fault: &Fault) -> String {
        let text = String::from_utf8_lossy(body);
        let said = if fault.message.is_empty() {
            html_title(&text).unwrap_or(text.into_owned())
        } else {
            fault.message.clone()
        };
        let said = self.quote(&said);
        if said.is_empty() { said } else { format!(": {}", said.trim_end_matches('.')) }
    }
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_millis() as f64 / 1e3)
}
