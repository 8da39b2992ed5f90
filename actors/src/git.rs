//! Where a git repository keeps what it knows, found from its files.
//!
//! Nothing is asked of git: a program that does so for each thread spends more on that than on all else of a start. What is
//! read may have been written by an agent, so it is read within bounds.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More of a `.git` or `commondir` file is not read: one line with one path, of which the kernel takes 4 KiB.
const MAX_POINTER_BYTES: u64 = 8 << 10;

/// The root of the working tree that holds this directory.
pub fn root(cwd: &Path) -> Option<&Path> {
    // A file in a worktree or a submodule.
    cwd.ancestors().find(|dir| dir.join(".git").exists())
}

/// The folders of a repository, by git's own words for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dirs {
    /// Of this working tree.
    pub git_dir: PathBuf,
    /// Of all working trees of the repository; the same one if there is only one.
    pub common_dir: PathBuf,
}

impl Dirs {
    /// Those of the working tree whose `.git` this is: a folder, or the file of a worktree or a submodule that points to it.
    pub fn of(dot_git: &Path) -> Option<Self> {
        let git_dir = match dot_git.is_dir() {
            true => dot_git.to_owned(),
            false => dot_git.parent()?.join(first_line(dot_git)?.strip_prefix("gitdir:")?.trim()),
        };
        let common_dir = first_line(&git_dir.join("commondir"));
        let common_dir = common_dir.map_or_else(|| git_dir.clone(), |common| git_dir.join(common.trim()));
        Some(Self { git_dir, common_dir })
    }
}

/// A regular file's first line: a FIFO would hold up whoever reads it.
fn first_line(file: &Path) -> Option<String> {
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    fs::File::open(file).ok()?.take(MAX_POINTER_BYTES).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}
