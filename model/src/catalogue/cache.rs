//! The file in which lists are kept: ours, and only a copy. Whoever deletes it loses one question.
//!
//! It is replaced as a whole. Two programs that replace it at once lose the list of one, which is asked for again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sapwood_protocol::Millis;
use serde::{Deserialize, Serialize};

use super::{ModelInfo, TTL};

/// The name of the file.
pub const FILE: &str = "models_cache.json";
/// The form of the file. One of another form is replaced.
const FORM: u32 = 1;
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Providers whose lists are kept, at most; the oldest goes first.
const MAX_LISTS: usize = 32;

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Cache {
    form: u32,
    lists: BTreeMap<String, List>,
}

/// The list of one provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// Where the provider was.
    pub base_url: String,
    /// Names this state of its list.
    pub etag: Option<String>,
    /// When it was asked.
    pub fetched_at: Millis,
    /// Who asked.
    pub client_version: String,
    /// What it said, as far as it was understood.
    pub models: Vec<ModelInfo>,
}

impl List {
    pub fn new(place: &str, etag: Option<String>, now: Millis, version: &str, models: Vec<ModelInfo>) -> Self {
        Self { base_url: place.to_owned(), etag, fetched_at: now, client_version: version.to_owned(), models }
    }

    /// True if it need not be asked for again. One from the future tells nothing of its age.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.fetched_at <= now && now.since(self.fetched_at) < TTL
    }
}

impl Cache {
    /// The list of a provider, if it was at the same place then.
    pub fn take(mut self, provider: &str, place: &str) -> Option<List> {
        self.lists.remove(provider).filter(|list| list.base_url == place && !list.models.is_empty())
    }
}

/// What is kept. A file that cannot be used is as good as none.
pub fn read(file: &Path, warnings: &mut Vec<String>) -> Cache {
    match try_read(file) {
        Ok(cache) => cache,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Cache::default(),
        Err(error) => {
            let file = file.display();
            warnings.push(format!("the kept list of models {file} cannot be used, and is made anew: {error}"));
            Cache::default()
        }
    }
}

fn try_read(file: &Path) -> io::Result<Cache> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("it has more than {MAX_BYTES} bytes")));
    }
    let cache: Cache = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    // Another version of this program has its own, and no person is to be told of that.
    if cache.form == FORM { Ok(cache) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Keeps a list beside those of other providers.
pub fn write(file: &Path, provider: &str, list: List) -> io::Result<()> {
    let mut cache = read(file, &mut Vec::new());
    cache.form = FORM;
    cache.lists.insert(provider.to_owned(), list);
    while cache.lists.len() > MAX_LISTS {
        let oldest = cache.lists.iter().filter(|(id, _)| *id != provider).min_by_key(|(_, list)| list.fetched_at);
        let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { break };
        cache.lists.remove(&oldest);
    }
    let bytes = serde_json::to_vec(&cache)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    replace(file, &bytes)
}

/// Whoever reads meanwhile sees the old file or the new one.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let new = file.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let written = File::create(&new).and_then(|mut out| out.write_all(bytes)).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&new);
    }
    written
}
