//! A world of its own for one tree: a home, a directory to work in, and the files that the outside remembers by.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::codex::Codex;
use crate::processes;
use crate::rollouts::{self, Rollout};

/// The longest a run may take. Those that work take a tenth of a second.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What every run is told: which model, and that waiting is short.
const USUAL: [&str; 4] = ["-c", "model_provider=scripted", "-c", "features.multi_agent_v2.min_wait_timeout_ms=1"];

/// A folder that is removed with all that is in it.
pub struct World {
    folder: TempDir,
    flags: Vec<String>,
    codex: Codex,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    /// The lines of stdout.
    pub receipts: Vec<Value>,
    pub stderr: String,
}

impl Ran {
    /// The exit code; none if it was killed.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl World {
    /// A world with this script; `LEDGER` in it stands for the file that commands write to.
    pub fn new(script: &str) -> Self {
        let folder = TempDir::with_prefix("sapwood-torture-").unwrap();
        let codex = Codex::live_in(&folder.path().join("home"));
        let mut world = Self { folder, flags: Vec::new(), codex };
        fs::create_dir(world.place("work")).unwrap();
        let script = script.replace("LEDGER", world.place("ledger").to_str().unwrap());
        fs::write(world.place("script.json"), script).unwrap();
        let set = |key: &str, file: &str| format!("sapwood.{key}={}", world.place(file).display());
        let flags = ["-c", &set("script", "script.json"), "-c", &set("script_log", "requests")].map(str::to_owned);
        world.flags = USUAL.map(str::to_owned).into_iter().chain(flags).collect();
        world
    }

    /// The same world, in which each run is told this too.
    pub fn told(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().copied().map(str::to_owned));
        self
    }

    /// A file or folder of this world.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home of the person who lives here.
    pub fn home(&self) -> PathBuf {
        self.place("home")
    }

    /// The program with nothing but what this world has.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sapwood"));
        command.args(args).current_dir(self.place("work")).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.home()).env("TZ", "UTC");
        command
    }

    /// Starts `exec`, with its output going to files: what a client has read is not lost with us.
    pub fn start(&self, what: &[&str], faults: &[(&str, &str)]) -> Child {
        let out = |name: &str| File::create(self.place(name)).unwrap();
        let mut command = self.program(&["exec", "--json"]);
        command.args(&self.flags).args(what).envs(faults.iter().copied());
        command.stdout(out("stdout")).stderr(out("stderr")).spawn().unwrap()
    }

    /// What became of a run.
    pub fn end(&self, mut child: Child) -> Ran {
        let status = processes::end_of(&mut child, PATIENCE);
        let stderr = fs::read_to_string(self.place("stderr")).unwrap();
        let stdout = fs::read_to_string(self.place("stdout")).unwrap();
        let receipts = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let receipts = receipts.map(|line| serde_json::from_str(line).unwrap()).collect();
        Ran { status, receipts, stderr }
    }

    /// Runs a tree for this prompt.
    pub fn exec(&self, prompt: &str, faults: &[(&str, &str)]) -> Ran {
        self.end(self.start(&[prompt], faults))
    }

    /// Lets the last tree go on.
    pub fn resume(&self, faults: &[(&str, &str)]) -> Ran {
        self.end(self.start(&["resume", "--last"], faults))
    }

    /// What `ps` says of each agent: its path and state, and the process that holds it.
    pub fn ps(&self) -> Vec<(String, String, Option<u64>)> {
        let output = self.program(&["ps", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |agent: &Value, key: &str| agent[key].as_str().unwrap().to_owned();
        let agents = said["agents"].as_array().unwrap().iter();
        agents.map(|agent| (text(agent, "agent_path"), text(agent, "state"), agent["pid"].as_u64())).collect()
    }

    /// All rollouts, by path.
    pub fn rollouts(&self) -> Vec<Rollout> {
        rollouts::read(&self.sessions())
    }

    /// Where the rollouts are.
    pub fn sessions(&self) -> PathBuf {
        self.home().join(".local/state/sapwood/sessions")
    }

    /// The lines that commands have written.
    pub fn ledger(&self) -> Vec<String> {
        lines(&self.place("ledger"))
    }

    /// The requests that the model got.
    pub fn requests(&self) -> Vec<Value> {
        // A kill can cut the last one.
        lines(&self.place("requests")).iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How many bytes the tree has written in all places that can be seen from outside.
    pub fn progress(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let rollouts = rollouts::files(&self.sessions());
        rollouts.iter().map(|path| size(path)).sum::<u64>()
            + size(&self.place("requests"))
            + size(&self.place("ledger"))
    }
}

impl Drop for World {
    /// What failed is kept, to be looked at; else Codex, who lives here too, must not have noticed anything.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        } else {
            self.codex.is_untouched();
        }
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
