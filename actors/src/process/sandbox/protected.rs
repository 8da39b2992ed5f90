//! What stays read-only within what may be written: the places from which others take orders.
//!
//! A `.git` has hooks that run outside the sandbox with the user's next commit; `.codex` and `.agents` have what agents are told and
//! allowed to do.

use std::fs;
use std::path::{Path, PathBuf};

use crate::git;

/// Protected in every writable root, and in the folders between it and the command's directory.
pub(super) const NAMES: [&str; 3] = [".git", ".codex", ".agents"];

/// Everything that exists and has to stay read-only, each once, as the file system names it; links are named themselves and by their
/// destination.
///
/// `writable` are the places that may be written: what lies outside needs no protection.
pub(super) fn within(roots: &[PathBuf], writable: &[PathBuf], cwd: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in roots {
        let between = cwd.ancestors().take_while(|folder| folder.starts_with(root));
        for folder in between.chain([root.as_path()]) {
            for name in NAMES {
                add(&mut found, folder.join(name), writable);
            }
            for folder in git_folders(&folder.join(".git")) {
                add(&mut found, folder, writable);
            }
        }
    }
    // The outer ones first: a mount hides those beneath it that were made before.
    found.sort();
    found.dedup();
    found
}

fn add(found: &mut Vec<PathBuf>, path: PathBuf, writable: &[PathBuf]) {
    let Ok(meta) = fs::symlink_metadata(&path) else {
        return;
    };
    let destination = meta.is_symlink().then(|| path.canonicalize().ok()).flatten();
    for path in [Some(path), destination].into_iter().flatten() {
        // Strictly beneath: a pointer to a root, or to what holds one, is not to freeze the root.
        let is_inside = writable.iter().any(|place| path.starts_with(place));
        let holds_one = writable.iter().any(|place| place.starts_with(&path));
        if is_inside && !holds_one {
            found.push(path);
        }
    }
}

/// Where a `.git` that is a file points to, and the folder that this one shares with others: a worktree's, or a submodule's.
fn git_folders(dot_git: &Path) -> Vec<PathBuf> {
    // A folder is protected by its name.
    let dirs = Some(dot_git).filter(|path| path.is_file()).and_then(git::Dirs::of);
    let folders = dirs.map(|git::Dirs { git_dir, common_dir }| [git_dir, common_dir]).into_iter().flatten();
    folders.filter_map(|folder| folder.canonicalize().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_exists_is_found_through_pointers_and_links_and_nothing_outside_is() {
        let site = tempfile::tempdir().unwrap();
        let site = site.path().canonicalize().unwrap();
        for folder in
            ["main/.git/worktrees/tree", "tree/.codex", "tree/sub/deep/.agents", "tree/sub/.git", "tree/notes"]
        {
            fs::create_dir_all(site.join(folder)).unwrap();
        }
        fs::write(site.join("main/.git/worktrees/tree/commondir"), "../..\n").unwrap();
        let pointer = format!("gitdir: {}\n", site.join("main/.git/worktrees/tree").display());
        fs::write(site.join("tree/.git"), pointer).unwrap();
        symlink("notes", site.join("tree/.agents")).unwrap();
        let within = |roots: &[&str], cwd: &str| {
            let roots: Vec<PathBuf> = roots.iter().map(|root| site.join(root)).collect();
            let found = super::within(&roots, &roots, &site.join(cwd));
            found.iter().map(|path| path.strip_prefix(&site).unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let tree = ["tree/.agents", "tree/.codex", "tree/.git", "tree/notes"];
        assert_eq!(within(&["tree"], "tree"), tree);
        assert_eq!(
            within(&["tree"], "tree/sub/deep"),
            [&tree[..], &["tree/sub/.git", "tree/sub/deep/.agents"][..]]
                .concat()
                .into_iter()
                .map(String::from)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert_eq!(within(&["tree", "main"], "main"), [&["main/.git", "main/.git/worktrees/tree"], &tree[..]].concat());
        assert_eq!(within(&["tree/sub/deep"], "main"), ["tree/sub/deep/.agents"]);
        fs::write(site.join("tree/.git"), "gitdir: .").unwrap();
        assert_eq!(within(&["tree"], "tree"), tree, "a pointer to the root itself freezes nothing more");
    }
}
