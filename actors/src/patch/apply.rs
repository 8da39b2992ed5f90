//! A plan is carried out: all of it, or nothing.
//!
//! 1. Everything is looked at once more: what is to change is what the plan saw, and nothing stands where something is to be new.
//! 2. Every new content is written into a file beside its target.
//! 3. These change places with their targets, by renames; what is replaced or removed keeps another name until the end.
//! 4. The old files go.
//!
//! Up to 4 each step is taken back if a later one fails. Only the death of the process in 3 leaves a patch half done; the files that
//! it leaves are called `.sapwood-patch-*` and stand beside the targets.
//!
//! A file is replaced, not overwritten: another hard link to it, which may lie outside of what may be written, keeps the old content.

use std::io;
use std::path::PathBuf;

use super::MAX_FILE_BYTES;
use super::place::{Follows, Place};
use super::plan::{ChangeKind, Plan, Writable};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Old files under their temporary names that could not be removed; the patch is applied all the same.
    pub left: Vec<PathBuf>,
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing was done: these may not be written.
    #[error("{} may not be written", list(.paths))]
    Outside {
        /// Real paths.
        paths: Vec<PathBuf>,
    },
    /// Nothing is different from before: the file is not what the patch was made for.
    #[error("{path} has changed since the patch was checked; read it again and send the patch again", path = path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// Nothing is different from before: a step failed.
    #[error("Failed to {what} {path}: {source}", path = path.display())]
    Failed {
        /// Which step.
        what: &'static str,
        /// Of which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A step failed, and what was done before it could not all be taken back.
    #[error("{cause}; and these could not be put back: {}. Look at them and mend them by hand", list(.torn))]
    Torn {
        /// The step that failed.
        cause: Box<ApplyError>,
        /// What is not as it was: the files, and the names under which the old ones are kept.
        torn: Vec<PathBuf>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// Carries a plan out. Blocks; not to be dropped in the middle.
///
/// # Errors
///
/// [`ApplyError`]. But for `Torn` every file is as it was.
pub fn apply(plan: &Plan, writable: &Writable) -> Result<Applied, ApplyError> {
    apply_observed(plan, writable, &mut |_| Ok(()))
}

/// As [`apply`]; `before` is called before each step that changes what others see, and may make it fail.
pub(super) fn apply_observed(
    plan: &Plan,
    writable: &Writable,
    before: &mut dyn FnMut(usize) -> io::Result<()>,
) -> Result<Applied, ApplyError> {
    let paths = plan.outside(writable);
    if !paths.is_empty() {
        return Err(ApplyError::Outside { paths });
    }
    let mut work = Work { before, steps: 0, done: Vec::new(), spare: Vec::new() };
    match work.run(plan) {
        Ok(()) => Ok(Applied { left: work.finish() }),
        Err(cause) => {
            // Before the directories that they are in.
            let mut torn = work.clear();
            torn.extend(work.undo());
            match torn.is_empty() {
                true => Err(cause),
                false => Err(ApplyError::Torn { cause: Box::new(cause), torn }),
            }
        }
    }
}

/// A step that is done, and how it is taken back.
enum Done<'p> {
    Directory(Place),
    /// With what is there now, by which it is known again: an inode's number may be given to another file.
    Added(Place, &'p str),
    /// The old file is at the second place.
    Replaced(Place, Place, &'p str),
    /// The old file is at the second place.
    Removed(Place, Place),
}

struct Work<'a, 'p> {
    before: &'a mut dyn FnMut(usize) -> io::Result<()>,
    steps: usize,
    done: Vec<Done<'p>>,
    /// New contents that wait beside their targets.
    spare: Vec<Place>,
}

/// One file and what becomes of it.
enum Job<'p> {
    /// Its content, and the file that moves there.
    Add(Place, &'p str, Option<Follows>),
    /// Its old content, its new content, its permissions.
    Replace(Place, &'p str, &'p str, u32),
    /// Its old content.
    Remove(Place, &'p str),
}

impl Job<'_> {
    fn place(&self) -> &Place {
        match self {
            Self::Add(place, ..) | Self::Replace(place, ..) | Self::Remove(place, ..) => place,
        }
    }
}

fn jobs(plan: &Plan) -> Result<Vec<Job<'_>>, ApplyError> {
    let place = |path: &PathBuf| {
        let no_name = || failed("write", path.clone(), io::ErrorKind::IsADirectory.into());
        Place::of(path).ok_or_else(no_name)
    };
    let mut jobs = Vec::new();
    for change in &plan.changes {
        let at = place(&change.real)?;
        match &change.kind {
            ChangeKind::Add { content } => jobs.push(Job::Add(at, content, None)),
            ChangeKind::Delete { content, .. } => jobs.push(Job::Remove(at, content)),
            ChangeKind::Update { move_to: Some(to), old, new, mode, .. } => {
                let follows = Follows { place: at.clone(), mode: *mode };
                jobs.push(Job::Add(place(&to.real)?, new, Some(follows)));
                jobs.push(Job::Remove(at, old));
            }
            ChangeKind::Update { old, new, .. } if old == new => {}
            ChangeKind::Update { old, new, mode, .. } => jobs.push(Job::Replace(at, old, new, *mode)),
        }
    }
    Ok(jobs)
}

impl<'p> Work<'_, 'p> {
    fn run(&mut self, plan: &'p Plan) -> Result<(), ApplyError> {
        let jobs = jobs(plan)?;
        for job in &jobs {
            self.check(job)?;
        }
        let mut staged = Vec::with_capacity(jobs.len());
        for job in &jobs {
            staged.push(self.stage(job)?);
        }
        for (job, staged) in jobs.iter().zip(staged) {
            self.commit(job, staged)?;
        }
        Ok(())
    }

    fn check(&self, job: &Job) -> Result<(), ApplyError> {
        let place = job.place();
        match job {
            Job::Add(..) => match place.exists() {
                Ok(false) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Ok(true) => Err(ApplyError::Changed { path: place.path() }),
                Err(error) => Err(failed("look at", place.path(), error)),
            },
            Job::Replace(_, old, ..) => {
                check_content(place, old)?;
                place.check_writable().map_err(|error| failed("write", place.path(), error))
            }
            Job::Remove(_, old) => check_content(place, old),
        }
    }

    fn stage(&mut self, job: &Job) -> Result<Option<Place>, ApplyError> {
        let place = job.place();
        let fail = |error| failed("write file", place.path(), error);
        let staged = match job {
            Job::Add(_, content, follows) => {
                let mut made = Vec::new();
                let result = place.make_directory(&mut made);
                self.done.extend(made.into_iter().map(Done::Directory));
                result.map_err(fail)?;
                place.stage(content.as_bytes(), follows.as_ref()).map_err(fail)?
            }
            Job::Replace(_, _, new, mode) => {
                let follows = Follows { place: place.clone(), mode: *mode };
                place.stage(new.as_bytes(), Some(&follows)).map_err(fail)?
            }
            Job::Remove(..) => return Ok(None),
        };
        self.spare.push(staged.clone());
        Ok(Some(staged))
    }

    fn commit(&mut self, job: &Job<'p>, staged: Option<Place>) -> Result<(), ApplyError> {
        let place = job.place();
        let what = if staged.is_some() { "write file" } else { "delete file" };
        let fail = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => ApplyError::Changed { path: place.path() },
            _ => failed(what, place.path(), error),
        };
        (self.before)(self.steps).map_err(|error| failed(what, place.path(), error))?;
        self.steps += 1;
        match (job, staged) {
            (Job::Add(_, content, _), Some(temporary)) => {
                place.fill(&temporary).map_err(fail)?;
                self.spare.retain(|spare| spare.name != temporary.name);
                self.done.push(Done::Added(place.clone(), content));
                Ok(())
            }
            (Job::Replace(_, old, new, _), Some(temporary)) => {
                let aside = place.swap(&temporary).map_err(fail)?;
                self.spare.retain(|spare| spare.name != temporary.name);
                self.done.push(Done::Replaced(place.clone(), aside.clone(), new));
                // What was replaced may have changed between the look at it and now.
                check_content(&aside, old).map_err(|_| ApplyError::Changed { path: place.path() })
            }
            (Job::Remove(_, old), _) => {
                let aside = place.set_aside().map_err(fail)?;
                self.done.push(Done::Removed(place.clone(), aside.clone()));
                check_content(&aside, old).map_err(|_| ApplyError::Changed { path: place.path() })
            }
            (Job::Add(..) | Job::Replace(..), None) => unreachable!("what is added or replaced was staged"),
        }
    }

    /// Takes back what was done, the last first. What could not be.
    fn undo(&mut self) -> Vec<PathBuf> {
        let mut torn = Vec::new();
        for done in self.done.drain(..).rev() {
            match done {
                // Somebody else may have put something into it; then it stays.
                Done::Directory(place) => drop(place.remove_directory()),
                Done::Added(place, ours) => {
                    if check_content(&place, ours).is_err() || place.remove().is_err() {
                        torn.push(place.path());
                    }
                }
                Done::Replaced(place, aside, ours) => {
                    if check_content(&place, ours).is_err() || aside.replace(&place).is_err() {
                        torn.extend([place.path(), aside.path()]);
                    }
                }
                Done::Removed(place, aside) => {
                    if place.fill(&aside).is_err() {
                        torn.extend([place.path(), aside.path()]);
                    }
                }
            }
        }
        torn
    }

    /// Removes the old files. What could not be removed.
    fn finish(&mut self) -> Vec<PathBuf> {
        let old = self.done.drain(..).filter_map(|done| match done {
            Done::Replaced(_, aside, _) | Done::Removed(_, aside) => Some(aside),
            Done::Directory(_) | Done::Added(..) => None,
        });
        old.filter(|place| place.remove().is_err()).map(|place| place.path()).collect()
    }

    /// Removes the new files that did not come to their places. What could not be removed.
    fn clear(&mut self) -> Vec<PathBuf> {
        self.spare.drain(..).filter(|place| place.remove().is_err()).map(|place| place.path()).collect()
    }
}

fn check_content(place: &Place, expected: &str) -> Result<(), ApplyError> {
    match place.read(MAX_FILE_BYTES) {
        Ok(bytes) if bytes == expected.as_bytes() => Ok(()),
        _ => Err(ApplyError::Changed { path: place.path() }),
    }
}

fn failed(what: &'static str, path: PathBuf, source: io::Error) -> ApplyError {
    ApplyError::Failed { what, path, source }
}
