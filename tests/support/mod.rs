//! A world of its own for each test: a home, a Codex home that must stay as it is, a repository, and the program.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

pub struct World {
    dir: TempDir,
    codex: BTreeMap<PathBuf, Vec<u8>>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let codex = dir.path().join("user/.codex");
        fs::create_dir_all(codex.join("sessions/2026")).unwrap();
        fs::create_dir_all(dir.path().join("work")).unwrap();
        fs::write(codex.join("config.toml"), "[tui]\ntheme = \"dark\"\n").unwrap();
        fs::write(codex.join("auth.json"), "{}").unwrap();
        let codex = files(&codex);
        Self { dir, codex }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state home of the program.
    pub fn home(&self) -> PathBuf {
        self.path("user/.local/state/sapwood")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Makes `work` a git repository that lists all its files.
    pub fn git(&self) {
        for args in [&["init", "-q"][..], &["add", "-A"]] {
            let mut git = Command::new("git");
            git.args(args).current_dir(self.path("work")).env("HOME", self.path("user"));
            assert!(git.status().unwrap().success());
        }
    }

    pub fn sapwood<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sapwood"));
        command.args(args).env_clear().current_dir(self.path("work")).stdin(Stdio::null());
        command.env("HOME", self.path("user")).env("PATH", std::env::var_os("PATH").unwrap()).env("TZ", "UTC");
        // What the machine's owner configured is none of a test's business.
        command.env("SAPWOOD_SYSTEM_CONFIG", "");
        command
    }

    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(self.sapwood(args).output().unwrap())
    }

    /// The arguments that make the scripted model answer by these rules, and log its requests to `log`.
    pub fn script(&self, name: &str, rules: Value) -> [String; 6] {
        let script = self.write(name, json!({ "rules": rules }).to_string());
        let log = self.path("log");
        [
            "-c".into(),
            "model_provider=scripted".into(),
            "-c".into(),
            format!("sapwood.script={}", script.display()),
            "-c".into(),
            format!("sapwood.script_log={}", log.display()),
        ]
    }

    /// Runs `exec` with a script.
    pub fn exec(&self, script: &[String], args: &[&str]) -> Ran {
        self.run(["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(args.iter().copied()))
    }

    /// Starts `exec` with a script, and waits until its stderr says something.
    pub fn start(&self, script: &[String], args: &[&str], until: &str) -> Started {
        let all = ["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(args.iter().copied());
        let mut child = self.sapwood(all).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains(until) {
            assert_ne!(err.read_line(&mut seen).unwrap(), 0, "it ended before it said {until:?}: {seen}");
        }
        Started { child, err, seen }
    }

    /// The requests that the scripted model got.
    pub fn requests(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("log")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What `ps --json` shows: path and state of each agent.
    pub fn ps(&self) -> Vec<(String, String)> {
        let ran = self.run(["ps", "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown: Value = serde_json::from_str(&ran.out).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let agents = shown["agents"].as_array().unwrap().iter();
        agents.map(|agent| (text(&agent["agent_path"]), text(&agent["state"]))).collect()
    }

    /// The rollouts of the home.
    pub fn rollouts(&self) -> Vec<PathBuf> {
        files(&self.home()).into_keys().filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(files(&self.path("user/.codex")), self.codex, "Codex's home was changed");
        }
    }
}

/// A run that goes on.
pub struct Started {
    pub child: Child,
    err: BufReader<ChildStderr>,
    pub seen: String,
}

impl Started {
    /// The id of its tree.
    pub fn session(&self) -> String {
        session(&self.seen)
    }

    /// Sends it a signal, and waits for its end.
    pub fn signal(mut self, signal: rustix::process::Signal) -> Ran {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut self.seen).unwrap();
        Ran { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err: self.seen }
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The events of `--json`.
    pub fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn session(&self) -> String {
        session(&self.err)
    }
}

fn session(err: &str) -> String {
    let (_, rest) = err.split_once("session ").expect("it says its session");
    rest.split_whitespace().next().unwrap().to_owned()
}

pub fn with_stdin(mut command: Command, text: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(text);
    Ran::of(child.wait_with_output().unwrap())
}

pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { drop(found.insert(path.clone(), fs::read(path).unwrap())) }
        }
    }
    found
}
