//! The diff of a turn: what all its patches did together, as git would show it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diff;
use super::plan::{ChangeKind, Plan};

/// Lines of context, as git has them.
const CONTEXT_LINES: usize = 3;

/// The most bytes of old and new text that a turn keeps for its diff: 64 MiB. What comes above is named without its lines.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// Permissions of a new file, as git counts them: executable or not.
const NEW_MODE: u32 = 0o644;

/// The id of what does not exist.
const NO_ID: &str = "0000000000000000000000000000000000000000";

/// Adds up the changes of a turn. Patches that were not applied are not recorded.
#[derive(Clone, Debug)]
pub struct TurnDiff {
    /// Paths in it are relative to this directory.
    root: PathBuf,
    /// The files that were touched, as they were before the turn, where there was one.
    before: BTreeMap<PathBuf, Content>,
    /// The files that were touched, as they are, where there is one.
    now: BTreeMap<PathBuf, Live>,
    kept_bytes: usize,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    id: Arc<str>,
    executable: bool,
    /// Nothing where it was too much to keep.
    text: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Live {
    content: Content,
    /// The path that it had before the turn; nothing if it is new.
    origin: Option<PathBuf>,
}

impl TurnDiff {
    /// The diff of a turn that has changed nothing yet. `root` is what [`repository_root`](super::repository_root) says of the
    /// turn's own working directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root, before: BTreeMap::new(), now: BTreeMap::new(), kept_bytes: 0 }
    }

    /// Adds what a plan did, once it is applied, and says the whole diff; nothing while the turn has changed nothing.
    pub fn told(&mut self, plan: &Plan) -> Option<String> {
        let had_changed = self.has_changed();
        self.record(plan);
        let text = self.text();
        // One that takes its changes back says so.
        (had_changed || !text.is_empty()).then_some(text)
    }

    /// Adds what a plan did, once it is applied.
    pub fn record(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let path = &change.real;
            match &change.kind {
                ChangeKind::Add { content } => {
                    let content = self.content(content, NEW_MODE);
                    self.now.insert(path.clone(), Live { content, origin: None });
                }
                ChangeKind::Delete { content, mode } => {
                    self.take(path, content, *mode);
                }
                ChangeKind::Update { move_to, old, new, mode, .. } => {
                    let origin = self.take(path, old, *mode);
                    let content = self.content(new, *mode);
                    let to = move_to.as_ref().map_or(path, |to| &to.real);
                    self.now.insert(to.clone(), Live { content, origin });
                }
            }
        }
    }

    /// The whole diff; empty if the turn has changed nothing in the end.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (old, new) in self.pairs() {
            self.put(&mut out, old, new);
        }
        out
    }

    /// True if there is something to be shown: what [`text`](Self::text) finds out by showing it.
    fn has_changed(&self) -> bool {
        self.pairs().into_iter().any(|(old, new)| self.is_shown(old, new))
    }

    /// Each file as it was before the turn, beside what it is now, in the order of their paths.
    fn pairs(&self) -> Vec<(Option<&Path>, Option<&Path>)> {
        let mut pairs: Vec<(Option<&Path>, Option<&Path>)> = Vec::new();
        for (path, live) in &self.now {
            // A file that is where one was before is that file changed, wherever its content came from.
            let stayed = self.before.contains_key(path).then_some(path);
            let moved = || live.origin.as_ref().filter(|origin| !self.now.contains_key(*origin));
            pairs.push((stayed.or_else(moved).map(PathBuf::as_path), Some(path)));
        }
        let is_paired = |path: &PathBuf| pairs.iter().any(|(old, _)| *old == Some(path));
        let gone: Vec<_> = self.before.keys().filter(|path| !is_paired(path)).collect();
        pairs.extend(gone.into_iter().map(|path| (Some(path.as_path()), None)));
        pairs.sort_by_key(|(old, new)| old.or(*new));
        pairs
    }

    /// Ends the life of a file at this path. The path that it had before the turn, if it is not of this turn.
    fn take(&mut self, path: &Path, text: &Arc<str>, mode: u32) -> Option<PathBuf> {
        if let Some(live) = self.now.remove(path) {
            return live.origin;
        }
        if !self.before.contains_key(path) {
            let content = self.content(text, mode);
            self.before.insert(path.to_owned(), content);
        }
        Some(path.to_owned())
    }

    fn content(&mut self, text: &Arc<str>, mode: u32) -> Content {
        let fits = self.kept_bytes + text.len() <= MAX_KEPT_BYTES;
        if fits {
            self.kept_bytes += text.len();
        }
        Content { id: blob_id(text).into(), executable: mode & 0o100 != 0, text: fits.then(|| text.clone()) }
    }

    fn contents(&self, old: Option<&Path>, new: Option<&Path>) -> (Option<&Content>, Option<&Content>) {
        let now = new.and_then(|path| self.now.get(path)).map(|live| &live.content);
        (old.and_then(|path| self.before.get(path)), now)
    }

    fn is_shown(&self, old: Option<&Path>, new: Option<&Path>) -> bool {
        let (before, now) = self.contents(old, new);
        before != now || is_moved(old, new)
    }

    fn put(&self, out: &mut String, old: Option<&Path>, new: Option<&Path>) {
        if !self.is_shown(old, new) {
            return;
        }
        let (before, now) = self.contents(old, new);
        let Some(either) = old.or(new) else { return };
        let (a, b) = (self.name("a/", old.unwrap_or(either)), self.name("b/", new.unwrap_or(either)));
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(out, "diff --git {a} {b}");
        match (before, now) {
            (None, Some(now)) => drop(writeln!(out, "new file mode {}", mode(now))),
            (Some(before), None) => drop(writeln!(out, "deleted file mode {}", mode(before))),
            (Some(before), Some(now)) if before.executable != now.executable => {
                let _ = writeln!(out, "old mode {}\nnew mode {}", mode(before), mode(now));
            }
            _ => {}
        }
        if is_moved(old, new) {
            let (from, to) = (self.name("", old.unwrap_or(either)), self.name("", new.unwrap_or(either)));
            let _ = writeln!(out, "rename from {from}\nrename to {to}");
        }
        let (old_id, new_id) = (id(before), id(now));
        if old_id == new_id {
            return;
        }
        let _ = writeln!(out, "index {old_id}..{new_id}");
        let (Some(old_text), Some(new_text)) = (text(before), text(now)) else { return };
        let hunks = diff::hunks(old_text, new_text, CONTEXT_LINES);
        if !hunks.is_empty() {
            let from = if before.is_some() { a.as_str() } else { "/dev/null" };
            let to = if now.is_some() { b.as_str() } else { "/dev/null" };
            let _ = write!(out, "--- {from}\n+++ {to}\n{hunks}");
        }
    }

    /// Relative to the root; a file beyond it by its whole path. Quoted as git does where it has to be.
    fn name(&self, side: &str, path: &Path) -> String {
        let name = format!("{side}{}", path.strip_prefix(&self.root).unwrap_or(path).display());
        if !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return name;
        }
        let mut quoted = String::from('"');
        for c in name.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                c if c.is_control() => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        let _ = write!(quoted, "\\{byte:03o}");
                    }
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }
}

fn is_moved(old: Option<&Path>, new: Option<&Path>) -> bool {
    old.is_some() && new.is_some() && old != new
}

fn id(content: Option<&Content>) -> &str {
    content.map_or(NO_ID, |content| &content.id)
}

/// Nothing where the text was too much to keep.
fn text(content: Option<&Content>) -> Option<&str> {
    content.map_or(Some(""), |content| content.text.as_deref())
}

fn mode(content: &Content) -> &'static str {
    if content.executable { "100755" } else { "100644" }
}

/// What git calls a file with this content.
fn blob_id(text: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(format!("blob {}\0", text.len()).as_bytes());
    sha1.update(text.as_bytes());
    sha1.digest().to_string()
}
