//! A folder with nothing in it, for patches of worlds without a disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sapwood_actors::agent::input::{Patched, Planned};
use sapwood_actors::patch::words::{self, Outcome};
use sapwood_actors::patch::{Applied, Files, Found, Kind, parse, plan};

struct Empty;

impl Files for Empty {
    fn look(&self, path: &Path) -> io::Result<Found> {
        Ok(Found { real: path.to_owned(), is_link: false, kind: Kind::Missing })
    }
}

/// What a patch would do there.
pub fn look(patch: &str, cwd: &Path) -> Result<Arc<Planned>, String> {
    let parsed = parse(patch).map_err(|error| words::refusal(&error))?;
    let plan = plan(&parsed, cwd, &Empty).map_err(|error| words::refusal(&error))?;
    let paths = plan.changes.iter().map(|change| change.path.to_string_lossy().into_owned()).collect();
    Ok(Arc::new(Planned { plan, paths }))
}

/// What it came to, in no time.
pub fn done(planned: Arc<Planned>) -> Patched {
    let outcome = Outcome::of(&planned.plan, &Ok(Applied { left: Vec::new() }));
    Patched { planned, outcome, took: Duration::ZERO, diff: Some("diff".into()) }
}
