//! Directories to map, and sums that are computed without the rehearsal.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of its own, with a home of its own beside it.
pub struct Repo {
    root: tempfile::TempDir,
    dir: PathBuf,
    git: bool,
}

/// Files, lines and bytes.
pub type Sum = (u64, u64, u64);

impl Repo {
    /// A directory without git.
    pub fn plain() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("work")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        let dir = root.path().join("work");
        Self { root, dir, git: false }
    }

    /// A git repository.
    pub fn git() -> Self {
        let repo = Self { git: true, ..Self::plain() };
        repo.run("git", &["init", "-q"]);
        repo
    }

    /// The directory that is mapped.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Maps what is in this folder from now on.
    pub fn enter(&mut self, folder: &str) {
        self.dir.push(folder);
    }

    pub fn write(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.dir().join(Path::new(name.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Stages everything: what is staged is listed.
    pub fn add(&self) {
        self.run("git", &["add", "-A"]);
    }

    /// A command with nothing of this machine's configuration, and nowhere to write temporary files.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir())
            .env("HOME", self.root.path().join("home"))
            .env("TMPDIR", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CEILING_DIRECTORIES", self.root.path())
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .env_remove("GIT_DIR");
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// What git lists, or what is there.
    fn names(&self) -> Vec<PathBuf> {
        if self.git {
            let listed = self.run("git", &["ls-files", "-z"]);
            let names = listed.split(|b| *b == 0).filter(|name| !name.is_empty());
            return names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect();
        }
        let mut names = Vec::new();
        let mut folders = vec![self.dir()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_type().unwrap().is_file() {
                    names.push(entry.path().strip_prefix(self.dir()).unwrap().to_owned());
                }
            }
        }
        names
    }

    /// The sums of the regular files: of all, and by top folder (none for files at the top).
    pub fn sums(&self) -> (Sum, BTreeMap<Option<PathBuf>, Sum>) {
        let mut by_folder: BTreeMap<Option<PathBuf>, Sum> = BTreeMap::new();
        let mut all = (0, 0, 0);
        for name in self.names() {
            let path = self.dir().join(&name);
            if !fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let content = fs::read(path).unwrap();
            let lines = content.iter().filter(|b| **b == b'\n').count() as u64;
            let folder = (name.components().count() > 1).then(|| name.iter().next().unwrap().into());
            for sum in [&mut all, by_folder.entry(folder).or_default()] {
                *sum = (sum.0 + 1, sum.1 + lines, sum.2 + content.len() as u64);
            }
        }
        (all, by_folder)
    }
}
