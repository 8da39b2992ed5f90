//! Keys: from the environment, the configuration, or what Codex keeps.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_model::Secret;
use serde_json::Value;

use super::login::Login;
use crate::config::ProviderTable;
use crate::exit::Failure;

/// The variables that may hold OpenAI's key. Codex's own comes first: it is meant for programs like this one.
pub const OPENAI_KEYS: [&str; 2] = ["CODEX_API_KEY", "OPENAI_API_KEY"];
/// Bytes of `auth.json`, at most.
const MAX_AUTH_BYTES: u64 = 1024 * 1024;

/// Looks a variable up.
type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where keys are found.
#[derive(Clone)]
pub struct Environment {
    lookup: Lookup,
    /// Codex's `auth.json`, whether or not it exists. Only read.
    auth: PathBuf,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl Environment {
    /// That of this process.
    pub fn of_process(codex_home: &Path) -> Self {
        Self::new(codex_home, |name| std::env::var(name).ok())
    }

    /// With another look at variables.
    pub fn new(codex_home: &Path, lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), auth: codex_home.join("auth.json") }
    }

    /// A variable that is set, and not to nothing.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// OpenAI's key from a variable, and the variable.
    pub fn openai_key(&self) -> Option<(Secret, &'static str)> {
        OPENAI_KEYS.into_iter().find_map(|name| Some((Secret::from(self.variable(name)?), name)))
    }

    /// As whom OpenAI knows us: by the key in a variable, else as Codex's home says. None for nobody.
    pub fn login(&self) -> Option<Login> {
        if self.openai_key().is_some() {
            return Some(Login::Key);
        }
        Login::of(&serde_json::from_slice(&read(&self.auth).ok()?).ok()?)
    }

    /// The key of a provider, and where it comes from. None if it needs none.
    ///
    /// # Errors
    /// It needs one, and there is none; the text says where it is looked for.
    pub fn key(&self, id: &str, table: &ProviderTable) -> Result<Option<(Secret, String)>, Failure> {
        if let Some(variable) = &table.env_key {
            let Some(key) = self.variable(variable) else {
                let how = table.env_key_instructions.as_ref().map(|how| format!("; {how}")).unwrap_or_default();
                return Err(Failure::configuration(format!(
                    "the provider `{id}` needs its key in the environment variable {variable}, which is not set{how}"
                )));
            };
            return Ok(Some((Secret::from(key), variable.clone())));
        }
        if let Some(token) = &table.bearer_token {
            let from = format!("model_providers.{id}.experimental_bearer_token");
            return Ok(Some((Secret::from(&*token.0), from)));
        }
        if !table.requires_openai_auth {
            return Ok(None);
        }
        if let Some((key, variable)) = self.openai_key() {
            return Ok(Some((key, variable.to_owned())));
        }
        let is_key = |name: &str| name.eq_ignore_ascii_case("authorization");
        if table.http_headers.iter().any(|(name, _)| is_key(name)) {
            return Ok(None);
        }
        self.kept(id).map(Some)
    }

    /// What Codex keeps of a login with a key.
    fn kept(&self, id: &str) -> Result<(Secret, String), Failure> {
        let place = self.auth.display();
        let missing = |why: String| {
            let [codex, openai] = OPENAI_KEYS;
            Failure::configuration(format!("the provider `{id}` needs a key: set {codex} or {openai}{why}"))
        };
        let bytes = match read(&self.auth) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(missing(String::new()));
            }
            Err(error) => return Err(missing(format!("; {place} cannot be read: {error}"))),
        };
        // What is wrong in it is not repeated: it may be a piece of a key.
        let Ok(auth) = serde_json::from_slice::<Value>(&bytes) else {
            return Err(missing(format!("; {place} is no valid JSON")));
        };
        match auth["OPENAI_API_KEY"].as_str().map(str::trim) {
            Some(key) if !key.is_empty() => Ok((Secret::from(key), format!("OPENAI_API_KEY in {place}"))),
            _ if auth["tokens"].is_object() => {
                Err(missing(format!("; the login with ChatGPT in {place} cannot be used here, only a key can")))
            }
            _ => Err(missing(String::new())),
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_AUTH_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_AUTH_BYTES {
        true => Err(std::io::Error::other(format!("it has more than {MAX_AUTH_BYTES} bytes"))),
        false => Ok(bytes),
    }
}
