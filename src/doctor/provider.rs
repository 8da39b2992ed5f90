//! Who would be asked, with which key, and whether somebody answers.

use std::time::Duration;

use sapwood_model::{Http, ModelError, Refusal};

use super::report::Check;
use crate::config::Config;
use crate::home::Homes;
use crate::providers::Providers;

/// How long the provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest list of models that is read; it is not looked at.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

const NAME: &str = "provider";

/// Looks at the provider that a run would ask, and asks it for its models.
pub fn check(config: &Config, homes: &Homes) -> Check {
    let providers = Providers::of_process(config, homes, "sapwood_doctor");
    let id = providers.chosen(config);
    let http = match providers.check(&id).and_then(|()| providers.http(&id)) {
        Ok(Some(http)) => http,
        Ok(None) => return Check::ok(NAME, format!("{id}: works in this process, and needs no network and no key")),
        Err(failure) => {
            let todo = "set what is missing, or name another provider with model_provider";
            return Check::failure(NAME, format!("{id}: {}", failure.message), todo);
        }
    };
    let key = match (&http.provider().key, &http.provider().key_from) {
        (Some(_), Some(from)) => format!("with a key from {from}"),
        (Some(_), None) => "with a key".to_owned(),
        (None, _) => "without a key".to_owned(),
    };
    let who = format!("{id}, {key}");
    let warnings = providers.warnings(&id);
    match ask(&http) {
        Ok(()) if warnings.is_empty() => Check::ok(NAME, format!("{who}: answers")),
        Ok(()) => Check::warning(NAME, format!("{who}: answers"), warnings.join("; ")),
        Err(answer) => answer.check(&who).with(warnings),
    }
}

/// What kept the provider from a good answer.
enum Answer {
    Late,
    Error(ModelError),
    /// Nothing could be asked.
    Unasked(String),
}

impl Answer {
    fn check(self, who: &str) -> Check {
        match self {
            Answer::Late => Check::failure(
                NAME,
                format!("{who}: no answer within {} seconds", PATIENCE.as_secs()),
                "look at the network, the proxy (HTTPS_PROXY, NO_PROXY) and base_url",
            ),
            Answer::Unasked(why) => Check::failure(NAME, format!("{who}: {why}"), "try again"),
            Answer::Error(error) => {
                let says = format!("{who}: {error}");
                match error {
                    ModelError::Refused { reason: Refusal::Unauthorized, .. } => {
                        Check::failure(NAME, says, "set another key: this one is refused")
                    }
                    ModelError::Refused { status: 404 | 405 | 501, .. } => Check::warning(
                        NAME,
                        format!("{who}: answers, and has no list of models"),
                        "nothing, if the provider is known to have none; else look at base_url",
                    ),
                    ModelError::UsageLimited { .. } | ModelError::Unavailable { status: 429, .. } => {
                        Check::warning(NAME, says, "wait until the limit ends; a run pauses until then")
                    }
                    _ => Check::failure(NAME, says, "look at base_url and the network, or try again later"),
                }
            }
        }
    }
}

fn ask(http: &Http) -> Result<(), Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Answer::Unasked(format!("nothing can be asked: {error}")))?;
    let asked = async { tokio::time::timeout(PATIENCE, http.get("models", MAX_LIST_BYTES)).await };
    let answer = match runtime.block_on(asked) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Answer::Error(error)),
        Err(_) => Err(Answer::Late),
    };
    // A look-up of a name that hangs is not waited for.
    runtime.shutdown_background();
    answer
}
