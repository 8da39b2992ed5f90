//! A world whose provider is a server of the test.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sapwood_testkit::{Answer, Received, Server};

use crate::support::{Ran, World};

/// What the program sends as its key.
pub const KEY: &str = "sk-loop-5f0e2c7791";

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A world, its server, and how the provider is configured.
pub struct Loop {
    pub world: World,
    pub server: Server,
    patience: Duration,
}

/// What `config.toml` says beside the address. The defaults suit a test: few and short.
pub struct Config {
    pub request_retries: u32,
    pub stream_retries: u32,
    pub idle_ms: u64,
    /// Turns that work at the same time.
    pub slots: usize,
    /// More of the file.
    pub more: &'static str,
}

impl Default for Config {
    fn default() -> Self {
        Self { request_retries: 2, stream_retries: 2, idle_ms: 20_000, slots: 64, more: "" }
    }
}

impl Config {
    /// The text of the file, for a provider at this address.
    fn text(&self, base_url: &str) -> String {
        let Self { request_retries, stream_retries, idle_ms, slots, more } = self;
        format!(
            "model = \"loop-1\"\nmodel_provider = \"loop\"\n{more}\n\
             [model_providers.loop]\nname = \"Loopback\"\nbase_url = \"{base_url}\"\nwire_api = \"responses\"\n\
             env_key = \"LOOP_KEY\"\nrequest_max_retries = {request_retries}\nstream_max_retries = {stream_retries}\n\
             stream_idle_timeout_ms = {idle_ms}\n\
             [features.multi_agent_v2]\nmax_concurrent_threads_per_session = {slots}\n"
        )
    }
}

impl Loop {
    /// A world whose provider answers like this.
    pub async fn start(config: Config, answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let this = Self { world: World::new(), server: Server::start(answer).await, patience: PATIENCE };
        this.configure(&config, &this.server.base_url());
        this
    }

    /// Lets runs take longer, for a test that is about time.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Writes the configuration of a provider at this address.
    pub fn configure(&self, config: &Config, base_url: &str) {
        self.world.write("user/.config/sapwood/config.toml", config.text(base_url));
    }

    /// Runs `exec` with the rights to write files. One that hangs is killed, and the test fails.
    pub async fn exec(&self, args: &[&str]) -> Ran {
        self.exec_as(KEY, args).await
    }

    /// The same with another key.
    pub async fn exec_as(&self, key: &str, args: &[&str]) -> Ran {
        self.exec_with(&[("LOOP_KEY", key)], args).await
    }

    /// The same with these variables; the key among them.
    pub async fn exec_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        let all = ["exec", "-s", "danger-full-access"].into_iter().chain(args.iter().copied());
        let mut command = self.world.sapwood(all);
        command.envs(variables.iter().copied()).env("SAPWOOD_SYSTEM_CONFIG", "");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        if let Ok(output) = tokio::time::timeout(self.patience, &mut ended).await {
            return Ran::of(output.unwrap());
        }
        kill_process(pid, Signal::KILL).unwrap();
        let ran = Ran::of(ended.await.unwrap());
        panic!("it hangs, {:?}: {}", self.server.counts(), ran.err);
    }

    /// How often each name was written into `work/runs/NAME`, a line each time.
    pub fn runs(&self, name: &str) -> usize {
        let runs = std::fs::read_to_string(self.world.path("work/runs").join(name)).unwrap_or_default();
        runs.lines().count()
    }

    /// Makes the folder that commands write into.
    pub fn make_runs(&self) {
        std::fs::create_dir_all(self.world.path("work/runs")).unwrap();
    }
}

/// The command that leaves one line for each of its runs.
pub fn leave_a_line(name: &str) -> String {
    format!("echo ran >> runs/{name}")
}
