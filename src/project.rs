//! What a project says to agents: its AGENTS.md files.

use std::path::{Path, PathBuf};

use sapwood_actors::git;

use crate::home::Homes;

/// Bytes of AGENTS.md that a model gets, at most: Codex's default for `project_doc_max_bytes`.
const MAX_BYTES: usize = 32 * 1024;
/// In each directory the first of these that is there counts.
const NAMES: [&str; 2] = ["AGENTS.override.md", "AGENTS.md"];
/// What Codex puts between the global instructions and those of the project.
const PROJECT: &str = "\n\n--- project-doc ---\n\n";

/// What AGENTS.md files say to agents.
#[derive(Debug, Default, PartialEq)]
pub struct Instructions {
    /// All of them; none if they say nothing.
    pub text: Option<String>,
    /// The files that say something, in their order.
    pub sources: Vec<PathBuf>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The instructions that apply to a directory: the global ones first, then from the root of the project down.
pub fn agents_md(homes: &Homes, cwd: &Path) -> Instructions {
    let root = git::root(cwd).unwrap_or(cwd);
    let mut project: Vec<&Path> = cwd.ancestors().take_while(|dir| dir.starts_with(root)).collect();
    project.reverse();
    let mut homes = vec![homes.home.as_path(), homes.codex.as_path()];
    homes.dedup_by(|a, b| a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b)));
    let mut doc = Doc { text: String::new(), cut: None, sources: Vec::new(), warnings: Vec::new() };
    for dir in homes {
        doc.add(dir, "\n\n");
    }
    let mut between = PROJECT;
    for dir in project {
        if doc.add(dir, between) {
            between = "\n\n";
        }
    }
    if let Some(path) = doc.cut {
        let path = path.display();
        doc.warnings
            .push(format!("{path}: AGENTS.md files have more than {MAX_BYTES} bytes in all; the rest is left out"));
    }
    let text = Some(doc.text).filter(|text| !text.is_empty());
    Instructions { text, sources: doc.sources, warnings: doc.warnings }
}

struct Doc {
    text: String,
    cut: Option<PathBuf>,
    sources: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Doc {
    /// Adds the file of a directory. False if there is none, or nothing in it.
    fn add(&mut self, dir: &Path, between: &str) -> bool {
        for path in NAMES.map(|name| dir.join(name)) {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return false,
                Err(error) => {
                    self.warnings.push(format!("{} cannot be read: {error}", path.display()));
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&bytes);
            if text.trim().is_empty() {
                return false;
            }
            if matches!(text, std::borrow::Cow::Owned(_)) {
                let path = path.display();
                self.warnings.push(format!("{path}: invalid UTF-8 was replaced by U+FFFD"));
            }
            self.push(&text, if self.text.is_empty() { "" } else { between }, path);
            return true;
        }
        false
    }

    fn push(&mut self, text: &str, between: &str, path: PathBuf) {
        let room = MAX_BYTES.saturating_sub(self.text.len() + between.len());
        if room > 0 {
            self.text.push_str(between);
            self.text.push_str(&text[..text.floor_char_boundary(room)]);
            self.sources.push(path.clone());
        }
        if text.len() > room {
            self.cut.get_or_insert(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Homes) {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let at = |name: &str| root.path().join(name);
        let homes = Homes {
            home: at("home"),
            state: at("s"),
            config: at("c"),
            codex: at("codex"),
            system: Vec::new(),
            by_codex_home: false,
        };
        (root, homes)
    }

    #[test]
    fn global_first_then_down_from_the_root_and_an_override_instead() {
        let (root, homes) = tree(&[
            ("AGENTS.md", b"above the repository"),
            ("home/AGENTS.md", b"ours"),
            ("codex/AGENTS.md", b"not this"),
            ("codex/AGENTS.override.md", b"codex"),
            ("repo/.git/HEAD", b""),
            ("repo/AGENTS.md", b"top"),
            ("repo/a/AGENTS.md", b"not this either"),
            ("repo/a/AGENTS.override.md", b"bad \xff byte"),
            ("repo/a/b/AGENTS.md", b" \n"),
        ]);
        let cwd = root.path().join("repo/a/b");
        let Instructions { text, sources, warnings } = agents_md(&homes, &cwd);
        let files = ["home/AGENTS.md", "codex/AGENTS.override.md", "repo/AGENTS.md", "repo/a/AGENTS.override.md"];
        assert_eq!(sources, files.map(|file| root.path().join(file)));
        assert_eq!(text.unwrap(), "ours\n\ncodex\n\n--- project-doc ---\n\ntop\n\nbad \u{fffd} byte");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].ends_with("repo/a/AGENTS.override.md: invalid UTF-8 was replaced by U+FFFD"));
    }

    #[test]
    fn all_of_it_is_bounded() {
        let (root, homes) = tree(&[("home/AGENTS.md", &[b'a'; MAX_BYTES]), ("x/AGENTS.md", b"more")]);
        let Instructions { text, sources, warnings } = agents_md(&homes, &root.path().join("x"));
        assert_eq!((text.unwrap().len(), sources), (MAX_BYTES, vec![root.path().join("home/AGENTS.md")]));
        assert!(warnings[0].contains("x/AGENTS.md"), "{warnings:?}");
        assert_eq!(agents_md(&homes, &root.path().join("y")).text.unwrap().len(), MAX_BYTES);
    }
}
