//! A plan: what a patch will do, decided from the files as they are, before anything is written.
//!
//! What a plan decides where the format does not say:
//! - *Add File* where a file stands replaces it, and is planned as an update, so that whoever looks sees what is lost.
//! - *Move to* a path where something stands is refused: the other file's content would go without being shown.
//! - A file named twice, under whatever name, is refused; all its hunks belong into one section.
//! - A link as the file of an update leads to the file that is changed; the link stays. To add, delete or move a link is refused.
//! - A directory is never deleted, and nothing is written where a parent is a file.
//! - Files that are not UTF-8 are refused; they cannot be shown as lines.

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_protocol::approval::PROTECTED;

use super::diff;
use super::files::{Files, Kind, absolute};
use super::grammar::{Action, Hunk, Patch, Section};
use super::hunks::{Miss, change};
use super::{MAX_FILE_BYTES, MAX_FILES, MAX_PATCH_BYTES};

/// Lines of context in the diff of one change: what Codex shows.
const CONTEXT_LINES: usize = 1;

/// What a patch will do. The files, and nothing but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the patch; no file is in it twice.
    pub changes: Vec<Change>,
}

/// What will happen to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path as the patch has it.
    pub written: String,
    /// The same, absolute.
    pub path: PathBuf,
    /// The file that it really is: no link anywhere.
    pub real: PathBuf,
    /// What will happen.
    pub kind: ChangeKind,
}

/// What will happen to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It will be there.
    Add {
        /// Its content.
        content: Arc<str>,
    },
    /// It will be gone.
    Delete {
        /// What it holds.
        content: Arc<str>,
        /// Its permissions.
        mode: u32,
    },
    /// It will be another.
    Update {
        /// From old to new, without a header; empty if only the name changes.
        unified_diff: String,
        /// Where it will be, if it moves.
        move_to: Option<Destination>,
        /// What it holds.
        old: Arc<str>,
        /// What it will hold.
        new: Arc<str>,
        /// Its permissions, which it keeps.
        mode: u32,
    },
}

/// Where a file moves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The path as the patch has it.
    pub written: String,
    /// The same, absolute.
    pub path: PathBuf,
    /// The same without a link anywhere.
    pub real: PathBuf,
}

/// Where files may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writable {
    /// Wherever the user may.
    Anywhere,
    /// Beneath these absolute directories, which have no link on their paths.
    Beneath(Vec<PathBuf>),
    /// Nowhere.
    Nowhere,
}

impl Writable {
    /// Whether a real path may be written.
    pub fn allows(&self, real: &Path) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Beneath(roots) => roots.iter().any(|root| real.starts_with(root) && real != root),
            Self::Nowhere => false,
        }
    }
}

impl Plan {
    /// What would be written and may not be: absolute real paths, in the patch's order. Empty if no approval is needed for
    /// their sake.
    pub fn outside(&self, writable: &Writable) -> Vec<PathBuf> {
        let touched = self.changes.iter().flat_map(Change::touched);
        touched.filter(|path| !writable.allows(path)).map(Path::to_owned).collect()
    }
}

impl Plan {
    /// The files that it touches, for whoever is to say whether it may: as the patch names them where they really are within
    /// what may be written, else where they really are. A path with a protected folder in it is always the real one.
    pub fn paths(&self, writable: &Writable) -> Vec<PathBuf> {
        let told = |path: &Path, real: &Path| {
            let is_protected = real.components().any(|part| PROTECTED.iter().any(|name| part.as_os_str() == *name));
            if writable.allows(real) && !is_protected { path.to_owned() } else { real.to_owned() }
        };
        let of_change = |change: &Change| {
            let moved = match &change.kind {
                ChangeKind::Update { move_to: Some(to), .. } => Some(told(&to.path, &to.real)),
                _ => None,
            };
            [Some(told(&change.path, &change.real)), moved]
        };
        self.changes.iter().flat_map(of_change).flatten().collect()
    }
}

impl Change {
    /// The real paths that are written or removed.
    pub(super) fn touched(&self) -> impl Iterator<Item = &Path> {
        let moved = match &self.kind {
            ChangeKind::Update { move_to: Some(to), .. } => Some(to.real.as_path()),
            _ => None,
        };
        std::iter::once(self.real.as_path()).chain(moved)
    }
}

/// Why a patch is refused. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// More text than is read.
    #[error("invalid patch: it has {bytes} bytes, and at most {MAX_PATCH_BYTES} are read; send it in several parts")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More files than are changed at once.
    #[error(
        "invalid patch: it changes {files} files, and at most {MAX_FILES} are changed at once; send it in several parts"
    )]
    TooMany {
        /// How many.
        files: usize,
    },
    /// It does not begin as a patch.
    #[error("invalid patch: The first line of the patch must be '*** Begin Patch'")]
    NoBegin,
    /// It does not end as a patch.
    #[error("invalid patch: The last line of the patch must be '*** End Patch'")]
    NoEnd,
    /// It has no section.
    #[error("empty patch")]
    Empty,
    /// A line is not what it should be.
    #[error("invalid patch: line {line}: {what}")]
    Line {
        /// Its number in the patch, from 1.
        line: usize,
        /// What is there, and what was expected.
        what: String,
    },
    /// A file cannot be looked at.
    #[error("Failed to {what} {path}: {source}")]
    Read {
        /// What for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands at the path cannot be changed like this.
    #[error("cannot {what} {path}: {why}")]
    Refused {
        /// What was wanted.
        what: &'static str,
        /// Of which path.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// One file in several sections, or one beneath another.
    #[error("invalid patch: multiple operations target {path}; write everything about a file in one section")]
    Twice {
        /// Which.
        path: PathBuf,
    },
    /// The text behind `@@` is not in the file.
    #[error("Failed to find context '{text}' in {path}\n{hint}")]
    Context {
        /// The text.
        text: String,
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The lines that stay or go are not in the file.
    #[error("Failed to find expected lines in {path}:\n{text}\n\n{hint}")]
    Lines {
        /// The lines.
        text: String,
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The hunks would take too long to be found.
    #[error("the hunks for {path} take too long to be found; send fewer at once, with more context")]
    TooMuch {
        /// The file.
        path: PathBuf,
    },
}

/// Says what a patch will do to the files beneath and beside the working directory. Writes nothing.
///
/// # Errors
///
/// [`PatchError`]: the first thing in the patch that cannot be done. Then nothing of it is.
pub fn plan(patch: &Patch, cwd: &Path, files: &dyn Files) -> Result<Plan, PatchError> {
    if patch.sections.len() > MAX_FILES {
        return Err(PatchError::TooMany { files: patch.sections.len() });
    }
    let mut changes = Vec::with_capacity(patch.sections.len());
    let mut touched = BTreeSet::new();
    for section in &patch.sections {
        let change = plan_section(section, cwd, files)?;
        for path in change.touched() {
            claim(&mut touched, path)?;
        }
        changes.push(change);
    }
    Ok(Plan { changes })
}

/// Each path once, and none that has to be a directory for another.
fn claim(touched: &mut BTreeSet<PathBuf>, path: &Path) -> Result<(), PatchError> {
    let above = path.ancestors().find(|above| touched.contains(*above));
    let beneath = || {
        touched
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .next()
            .filter(|next| next.starts_with(path))
            .map(PathBuf::as_path)
    };
    if let Some(taken) = above.or_else(beneath) {
        return Err(PatchError::Twice { path: taken.to_owned() });
    }
    touched.insert(path.to_owned());
    Ok(())
}

fn plan_section(section: &Section, cwd: &Path, files: &dyn Files) -> Result<Change, PatchError> {
    let path = absolute(cwd, &section.path);
    let at = |what, read| Target { files, path: &path, what, read };
    let (real, kind) = match &section.action {
        Action::Add { content } => at("add", "look at").add(content)?,
        Action::Delete => {
            let (real, content, mode) = at("delete", "read").own_file()?;
            (real, ChangeKind::Delete { content, mode })
        }
        Action::Update { move_to: None, hunks } => {
            let (real, _, old, mode) = at("update", "read file to update").file()?;
            (real, updated(&path, old, mode, hunks, None)?)
        }
        Action::Update { move_to: Some(to), hunks } => {
            let (real, old, mode) = at("move", "read file to update").own_file()?;
            let to = destination(to, cwd, files)?;
            (real, updated(&path, old, mode, hunks, Some(to))?)
        }
    };
    Ok(Change { written: section.path.clone(), path, real, kind })
}

fn destination(written: &str, cwd: &Path, files: &dyn Files) -> Result<Destination, PatchError> {
    let path = absolute(cwd, written);
    let target = Target { files, path: &path, what: "move a file to", read: "look at" };
    let found = target.look()?;
    match found.kind {
        Kind::Missing => Ok(Destination { written: written.to_owned(), real: found.real, path }),
        _ => Err(target.refused("something is there; delete or move that first, or choose another name")),
    }
}

fn updated(
    path: &Path,
    old: Arc<str>,
    mode: u32,
    hunks: &[Hunk],
    move_to: Option<Destination>,
) -> Result<ChangeKind, PatchError> {
    let new: Arc<str> = match change(&old, hunks) {
        Ok(new) => new.into(),
        Err(Miss::Context { text, hint }) => return Err(PatchError::Context { text, path: path.to_owned(), hint }),
        Err(Miss::Lines { text, hint }) => return Err(PatchError::Lines { text, path: path.to_owned(), hint }),
        Err(Miss::TooMuch) => return Err(PatchError::TooMuch { path: path.to_owned() }),
    };
    Ok(ChangeKind::Update { unified_diff: diff::hunks(&old, &new, CONTEXT_LINES), move_to, old, new, mode })
}

/// A path of the patch, and what is wanted of it.
struct Target<'a> {
    files: &'a dyn Files,
    path: &'a Path,
    /// For a refusal.
    what: &'static str,
    /// For a failure to look at it.
    read: &'static str,
}

impl Target<'_> {
    fn look(&self) -> Result<super::Found, PatchError> {
        self.files.look(self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotADirectory => self.refused("a directory on the way to it is a file"),
            _ => self.failed(source),
        })
    }

    fn add(&self, content: &str) -> Result<(PathBuf, ChangeKind), PatchError> {
        let found = self.look()?;
        let new: Arc<str> = content.into();
        if found.kind == Kind::Missing {
            return Ok((found.real, ChangeKind::Add { content: new }));
        }
        let (real, old, mode) = self.own_file()?;
        let unified_diff = diff::hunks(&old, &new, CONTEXT_LINES);
        Ok((real, ChangeKind::Update { unified_diff, move_to: None, old, new, mode }))
    }

    /// A text file that is no link.
    fn own_file(&self) -> Result<(PathBuf, Arc<str>, u32), PatchError> {
        let (real, is_link, text, mode) = self.file()?;
        if is_link {
            let real = real.display();
            return Err(self.refused(&format!(
                "it is a link; name {real} to change the file, or use the shell to change the link"
            )));
        }
        Ok((real, text, mode))
    }

    /// A text file.
    fn file(&self) -> Result<(PathBuf, bool, Arc<str>, u32), PatchError> {
        let found = self.look()?;
        let why = match found.kind {
            Kind::File { bytes, mode } => match String::from_utf8(bytes) {
                Ok(text) => return Ok((found.real, found.is_link, text.into(), mode)),
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    format!("it is not UTF-8 text (byte {at}); use the shell for it")
                }
            },
            // The words of the system, whichever way it was found out.
            Kind::Missing => return Err(self.failed(rustix::io::Errno::NOENT.into())),
            Kind::TooLarge { bytes } => {
                format!("it has {bytes} bytes, and files of up to {MAX_FILE_BYTES} are changed; use the shell for it")
            }
            Kind::Directory => "it is a directory".to_owned(),
            Kind::Special => "it is not a regular file".to_owned(),
        };
        Err(self.refused(&why))
    }

    fn refused(&self, why: &str) -> PatchError {
        PatchError::Refused { what: self.what, path: self.path.to_owned(), why: why.to_owned() }
    }

    fn failed(&self, source: io::Error) -> PatchError {
        PatchError::Read { what: self.read, path: self.path.to_owned(), source }
    }
}
