//! Whose home: where rollouts are kept, and where Codex's own things are only read.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What the machine's owner configures for everybody: ours, then Codex's.
const SYSTEM: [&str; 2] = ["/etc/sapwood/config.toml", "/etc/codex/config.toml"];

/// The places of one run.
#[derive(Clone, Debug)]
pub struct Homes {
    /// Where rollouts are kept.
    pub home: PathBuf,
    /// Our own state home, whatever was chosen.
    pub state: PathBuf,
    /// Our own configuration folder.
    pub config: PathBuf,
    /// Codex's home, whether or not it exists.
    pub codex: PathBuf,
    /// The machine's configuration files, the one that counts most first.
    pub system: Vec<PathBuf>,
    /// Rollouts were not put there by naming it: it is only what Codex uses.
    pub by_codex_home: bool,
}

impl Homes {
    /// From the flag and the environment.
    pub fn find(flag: Option<&Path>) -> Result<Self, Failure> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let user = set("HOME").map(PathBuf::from);
        let below = |base: Option<OsString>, rest: &str| -> Result<PathBuf, Failure> {
            // The XDG rules: a relative path is to be ignored.
            let base = base.map(PathBuf::from).filter(|path| path.is_absolute());
            base.or_else(|| user.as_ref().map(|user| user.join(rest))).ok_or_else(|| {
                Failure::configuration("there is no home: set HOME, or say where rollouts are kept with --home DIR")
            })
        };
        let state = match (below(set("XDG_STATE_HOME"), ".local/state"), flag) {
            (Ok(state), _) => state.join("sapwood"),
            (Err(_), Some(flag)) => absolute(flag)?,
            (Err(error), None) => return Err(error),
        };
        let config = below(set("XDG_CONFIG_HOME"), ".config").map_or_else(|_| state.clone(), |dir| dir.join("sapwood"));
        let codex_home = set("CODEX_HOME").map(PathBuf::from);
        let codex = match &codex_home {
            Some(codex) => absolute(codex)?,
            None => user.map_or_else(|| state.join(".codex"), |user| user.join(".codex")),
        };
        let named = flag.map(Path::to_owned).or_else(|| set("SAPWOOD_HOME").map(PathBuf::from));
        let by_codex_home = named.is_none() && codex_home.is_some();
        let home = absolute(&named.or(codex_home).unwrap_or_else(|| state.clone()))?;
        // A list of paths instead of the usual two; empty for none.
        let system = match env::var_os("SAPWOOD_SYSTEM_CONFIG") {
            Some(list) => env::split_paths(&list).filter(|path| path.is_absolute()).collect(),
            None => SYSTEM.map(PathBuf::from).to_vec(),
        };
        Ok(Self { home, state, config, codex, system, by_codex_home })
    }

    /// True if the home is Codex's, or some other Codex home.
    pub fn is_codex(&self) -> bool {
        let same =
            |a: &Path, b: &Path| a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        self.by_codex_home || same(&self.home, &self.codex) || self.home.join("auth.json").exists()
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("the home {} cannot be used: {error}", path.display())))
}
