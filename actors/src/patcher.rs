//! The workers of patches: one looks, one writes. Both are threads that may block, and neither decides anything.
//!
//! What is being written is written to its end, whoever waits for it: an incarnation that ends leaves the thread alone, and
//! the next one reads its answer. That takes as long as a few files take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use sapwood_protocol::{CallId, TurnId};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::agent::input::{Input, Patched, Planned, ToolResult};
use crate::patch::words::{self, Outcome};
use crate::patch::{Disk, TurnDiff, Writable, apply, parse, plan, repository_root};
use crate::process::SandboxMode;
use crate::seat::Seat;
use crate::workers::{Answer, Confined};

/// What a model reads whose patch nobody could look at.
const NO_ROOM: &str = "too many calls at once; try again with fewer";

/// The workers of one incarnation's patches.
pub(crate) struct Patcher {
    runtime: Handle,
    seat: Arc<Seat>,
    /// A task that has not begun ends with this.
    tasks: BTreeMap<CallId, Owned>,
    /// What the open turn has changed.
    diff: Arc<Mutex<Option<(TurnId, TurnDiff)>>>,
}

struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Patcher {
    pub fn new(runtime: Handle, seat: Arc<Seat>) -> Self {
        Self { runtime, seat, tasks: BTreeMap::new(), diff: Arc::default() }
    }

    fn run(&mut self, call: CallId, work: impl FnOnce() + Send + 'static) {
        self.tasks.retain(|_, task| !task.0.is_finished());
        self.tasks.insert(call, Owned(self.runtime.spawn_blocking(work)));
    }

    /// Looks what a patch would do. The error is an answer that found no room to wait in.
    pub fn plan(&mut self, effect: u64, call: CallId, patch: Arc<str>, place: Confined) -> Result<(), Input> {
        let answered = move |call, result| Input::Planned { effect, call, result };
        let lost = answered(call.clone(), Err("the patch could not be looked at; nothing was changed".to_owned()));
        let Some(answer) = Answer::new(&self.seat, Some(lost)) else {
            return Err(answered(call, Err(NO_ROOM.to_owned())));
        };
        self.run(call.clone(), move || {
            let result = look(&patch, &place).map(Arc::new);
            answer.send(answered(call, result));
        });
        Ok(())
    }

    /// Does what was found.
    pub fn apply(&mut self, call: CallId, planned: Arc<Planned>, place: Confined, turn: TurnId) -> Result<(), Input> {
        // Dropped before it begins, nobody can tell it from one that was lost in the middle.
        let lost = Input::ToolEnded { call: call.clone(), result: ToolResult::nothing() };
        let Some(answer) = Answer::new(&self.seat, Some(lost.clone())) else {
            return Err(lost);
        };
        let diff = Arc::clone(&self.diff);
        self.run(call.clone(), move || {
            let result = change(planned, &place, turn, &diff);
            answer.send(Input::Patched { call, result });
        });
        Ok(())
    }
}

fn look(patch: &str, place: &Confined) -> Result<Planned, String> {
    let parsed = parse(patch).map_err(|error| words::refusal(&error))?;
    let plan = plan(&parsed, &place.cwd, &Disk).map_err(|error| words::refusal(&error))?;
    let paths = plan.paths(&writable(&place.sandbox));
    let paths = paths.into_iter().map(|path| path.to_string_lossy().into_owned()).collect();
    Ok(Planned { plan, paths })
}

fn change(planned: Arc<Planned>, place: &Confined, turn: TurnId, diff: &Mutex<Option<(TurnId, TurnDiff)>>) -> Patched {
    let began = Instant::now();
    let result = apply(&planned.plan, &writable(&place.sandbox));
    let outcome = Outcome::of(&planned.plan, &result);
    let text = result.is_ok().then(|| {
        let mut diff = diff.lock();
        let is_of_turn = diff.as_ref().is_some_and(|(of, _)| *of == turn);
        if !is_of_turn {
            *diff = Some((turn, TurnDiff::new(root_of(&place.cwd))));
        }
        let (_, diff) = diff.as_mut().expect("it was just made");
        diff.told(&planned.plan).map(Arc::from)
    });
    let text = text.flatten();
    Patched { planned, outcome, took: began.elapsed(), diff: text }
}

fn root_of(cwd: &Path) -> PathBuf {
    repository_root(cwd, &Disk)
}

/// Where files may be written in this mode, without a link anywhere. A root that does not exist is none.
fn writable(mode: &SandboxMode) -> Writable {
    match mode {
        SandboxMode::DangerFullAccess => Writable::Anywhere,
        SandboxMode::ReadOnly { .. } => Writable::Nowhere,
        SandboxMode::WorkspaceWrite { roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } => {
            let tmpdir = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|_| !exclude_tmpdir_env_var);
            let tmp = (!exclude_slash_tmp).then(|| PathBuf::from("/tmp"));
            let all = roots.iter().cloned().chain(tmpdir.filter(|dir| dir.is_absolute())).chain(tmp);
            Writable::Beneath(all.filter_map(|root| root.canonicalize().ok()).collect())
        }
    }
}
