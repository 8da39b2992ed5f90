//! The git repository of a directory: its commit, its branch, and where it was cloned from.
//!
//! Read from its files, as [`sapwood_actors::git`] says. What is not there, or kept in a way that this does not know, is left out.

use std::fs;
use std::path::Path;

use sapwood_actors::git;
use sapwood_protocol::record::Git;

/// References lead to references; this many steps are no real repository.
const MAX_STEPS: usize = 5;

/// The repository that holds this directory, if one does.
pub fn of(cwd: &Path) -> Option<Git> {
    let dirs = git::Dirs::of(&git::root(cwd)?.join(".git"))?;
    let head = text(&dirs.git_dir.join("HEAD"))?;
    let branch = head.strip_prefix("ref: refs/heads/").map(str::to_owned);
    let commit_hash = commit(&dirs, head);
    let repository_url = text(&dirs.common_dir.join("config")).and_then(|config| origin(&config));
    let git = Git { commit_hash, branch, repository_url };
    (git != Git::default()).then_some(git)
}

/// The commit that the text of a reference leads to.
fn commit(dirs: &git::Dirs, mut reference: String) -> Option<String> {
    for _ in 0..MAX_STEPS {
        let Some(name) = reference.strip_prefix("ref: ") else {
            let is_hash = reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
            return is_hash.then_some(reference);
        };
        let loose = text(&dirs.git_dir.join(name)).or_else(|| text(&dirs.common_dir.join(name)));
        reference = loose.or_else(|| packed(&text(&dirs.common_dir.join("packed-refs"))?, name))?;
    }
    None
}

/// A reference among those that are kept in one file.
fn packed(refs: &str, name: &str) -> Option<String> {
    refs.lines().find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name).map(|(hash, _)| hash.to_owned()))
}

/// The address of the remote `origin`.
fn origin(config: &str) -> Option<String> {
    let lines = config.lines().map(str::trim).skip_while(|line| *line != r#"[remote "origin"]"#).skip(1);
    let mut own = lines.take_while(|line| !line.starts_with('['));
    let url = own.find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "url"));
    url.map(|(_, url)| without_secret(url.trim().trim_matches('"')))
}

/// An address of the web without who asks: what stands there may be a token, and rollouts are shown to others.
fn without_secret(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("http")) else {
        return url.to_owned();
    };
    let host = rest.find('/').unwrap_or(rest.len());
    let from = rest[..host].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[from..])
}

/// What a small file says.
fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9e07d14a73dcf842cbb6d12c6c4f32ac15b52b08";

    /// A folder with these files in it.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn an_address_is_kept_without_its_secret() {
        let cases = [
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("ssh://git@host/a", "ssh://git@host/a"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://token@host/a", "https://host/a"),
            ("https://me:p@ss@host", "https://host"),
        ];
        for (url, kept) in cases {
            assert_eq!(without_secret(url), kept);
        }
    }

    #[test]
    fn a_repository_says_its_commit_its_branch_and_its_origin() {
        let hash = format!("{HASH}\n");
        let packed = format!("# pack-refs with: peeled fully-peeled sorted\n{HASH} refs/heads/main\n");
        let remotes = "[core]\n\tbare = false\n[remote \"other\"]\n\turl = no\n[remote \"origin\"]\n\turl = git@h:a/b\n\
                       [branch \"x\"]\n\turl = no\n";
        let git = |commit: Option<&str>, branch: Option<&str>, url: Option<&str>| {
            let own = |text: &str| text.to_owned();
            Some(Git { commit_hash: commit.map(own), branch: branch.map(own), repository_url: url.map(own) })
        };
        // (files, what they say of the folder `work/deep`)
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<Git>);
        let head = ("work/.git/HEAD", "ref: refs/heads/main\n");
        let cases: [Case<'_>; 6] = [
            (&[head, ("work/.git/refs/heads/main", &hash)], git(Some(HASH), Some("main"), None)),
            (
                &[head, ("work/.git/packed-refs", &packed), ("work/.git/config", remotes)],
                git(Some(HASH), Some("main"), Some("git@h:a/b")),
            ),
            (&[head], git(None, Some("main"), None)),
            (&[("work/.git/HEAD", &hash)], git(Some(HASH), None, None)),
            (
                &[
                    ("work/.git", "gitdir: ../main/.git/worktrees/w\n"),
                    ("main/.git/worktrees/w/HEAD", "ref: refs/heads/main\n"),
                    ("main/.git/worktrees/w/commondir", "../..\n"),
                    ("main/.git/refs/heads/main", &hash),
                    ("main/.git/config", remotes),
                ],
                git(Some(HASH), Some("main"), Some("git@h:a/b")),
            ),
            (&[("work/.git/HEAD", "ref: refs/loop"), ("work/.git/refs/loop", "ref: refs/loop")], None),
        ];
        for (files, expected) in cases {
            let dir = folder(files);
            let deep = dir.path().join("work/deep");
            fs::create_dir_all(&deep).unwrap();
            assert_eq!(of(&deep), expected, "{files:?}");
        }
        let none = folder(&[("work/file", "")]);
        assert_eq!(of(&none.path().join("work")), None);
    }
}
