//! A server of its own for each test: a home, a folder, a model on loopback, and the program.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use sapwood_testkit::{Answer, Received, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::client::Connection;

/// Everything but the program: it survives a kill.
pub struct World {
    dir: TempDir,
    pub model: Server,
}

impl World {
    /// A world whose model answers like this.
    pub async fn new(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::with("", answer).await
    }

    /// The same, with more in the configuration.
    pub async fn with(more: &str, answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let (dir, model) = (tempfile::tempdir().unwrap(), Server::start(answer).await);
        let this = Self { dir, model };
        std::fs::create_dir_all(this.home()).unwrap();
        std::fs::create_dir_all(this.project()).unwrap();
        for args in [&["init", "-q", "-b", "master"][..], &["commit", "-q", "--allow-empty", "-m", "first"]] {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]).args(args);
            let git = git.current_dir(this.project()).env("HOME", this.root()).env("GIT_CONFIG_NOSYSTEM", "1");
            assert!(git.status().unwrap().success(), "the recorded project is a repository");
        }
        std::fs::write(this.home().join("config.toml"), this.config() + more).unwrap();
        this
    }

    pub fn home(&self) -> PathBuf {
        self.path("codex-home")
    }

    pub fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// What the machine's owner requires from the next start on.
    pub fn requires(&self, text: &str) {
        std::fs::create_dir_all(self.path("etc")).unwrap();
        std::fs::write(self.path("etc/requirements.toml"), text).unwrap();
    }

    /// The folder that all of it is in, as the program sees it.
    pub fn root(&self) -> String {
        self.dir.path().canonicalize().unwrap().to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.root()).join(name)
    }

    /// What the recorded server was configured with.
    fn config(&self) -> String {
        let (url, project) = (self.model.base_url(), self.project());
        format!(
            "model = \"fake-model\"\nmodel_provider = \"fake\"\ncheck_for_update_on_startup = false\n\
             [analytics]\nenabled = false\n\
             [projects.{project:?}]\ntrust_level = \"trusted\"\n\
             [model_providers.fake]\nname = \"fake\"\nbase_url = \"{url}\"\nwire_api = \"responses\"\n\
             requires_openai_auth = false\nrequest_max_retries = 0\nstream_max_retries = 0\nsupports_websockets = false\n"
        )
    }

    /// `app-server` with these arguments. `APP_SERVER_PROGRAM` names another program, to see what the real one says.
    fn command(&self, args: &[&str]) -> Command {
        let program = std::env::var_os("APP_SERVER_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_sapwood").into());
        let mut command = Command::new(program);
        command.arg("app-server").args(args).env_clear().current_dir(self.project()).kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("TZ", "Etc/UTC");
        let machine = self.path("etc/config.toml");
        let is_required = machine.with_file_name("requirements.toml").exists();
        command.env("SAPWOOD_SYSTEM_CONFIG", if is_required { machine.as_os_str() } else { "".as_ref() });
        let homes = [("HOME", self.dir.path()), ("CODEX_HOME", &self.home()), ("SAPWOOD_HOME", &self.home())];
        command.envs(homes.map(|(name, path): (_, &Path)| (name, path.as_os_str())));
        command
    }

    /// The program over stdio, which is one connection.
    pub fn over_stdio(&self) -> (Running, Connection) {
        let mut command = self.command(&["--listen", "stdio://"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let connection = Connection::over_pipes(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (Running { child, url: String::new() }, connection)
    }

    /// The same with its log, in JSON: all lines, when it has ended.
    pub fn over_stdio_with_log(&self) -> (Running, Connection, JoinHandle<Vec<Value>>) {
        let mut command = self.command(&["--listen", "stdio://"]);
        command.env("LOG_FORMAT", "json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let connection = Connection::over_pipes(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Ok(Some(line)) = err.next_line().await {
                lines.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
            }
            lines
        });
        (Running { child, url: String::new() }, connection, log)
    }

    /// The program on a websocket; `port` 0 for any free one.
    pub async fn over_websocket(&self, port: u16) -> Running {
        self.over_websocket_told(port, &[]).await
    }

    /// The same, told more in its environment.
    pub async fn over_websocket_told(&self, port: u16, env: &[(&str, &str)]) -> Running {
        let mut command = self.command(&["--listen", &format!("ws://127.0.0.1:{port}")]);
        command.envs(env.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = loop {
            let Some(line) = err.next_line().await.unwrap() else { panic!("it ended before it listened:\n{said}") };
            // Codex has a colon more.
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("ws://")) {
                break url.to_owned();
            }
            said += &(line + "\n");
        };
        // Whoever does not read lets it block.
        tokio::spawn(async move { while let Ok(Some(_)) = err.next_line().await {} });
        Running { child, url }
    }
}

/// A program that runs. Dropping it kills it.
pub struct Running {
    child: Child,
    url: String,
}

impl Running {
    /// One more client.
    pub async fn connect(&self) -> Connection {
        Connection::over_websocket(&self.url).await
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').unwrap();
        port.trim_end_matches('/').parse().unwrap()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) {
        tokio::time::timeout(crate::client::PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        kill_process(Pid::from_raw(self.child.id().unwrap() as i32).unwrap(), Signal::KILL).unwrap();
        self.child.wait().await.unwrap();
    }
}
