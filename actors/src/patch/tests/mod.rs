//! Tests of patches: each rule as a table, and properties of all of it.

mod apply;
mod grammar;
mod hunks;
mod plan;
mod properties;
mod turn_diff;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ChangeKind, Kind, PatchError, Plan, parse};

const CWD: &str = "/w";

/// Files with their texts, relative to [`CWD`].
fn files(texts: &[(&str, &str)]) -> BTreeMap<PathBuf, Kind> {
    let file = |text: &str| Kind::File { bytes: text.into(), mode: 0o644 };
    texts.iter().map(|(path, text)| (Path::new(CWD).join(path), file(text))).collect()
}

/// The sections as a whole patch.
fn enveloped(sections: &str) -> String {
    format!("*** Begin Patch\n{sections}*** End Patch\n")
}

fn planned(files: &BTreeMap<PathBuf, Kind>, sections: &str) -> Result<Plan, PatchError> {
    super::plan(&parse(&enveloped(sections))?, Path::new(CWD), files)
}

/// What one update of the file `f` makes of its text.
fn updated(text: &str, hunks: &str) -> Result<String, String> {
    let plan =
        planned(&files(&[("f", text)]), &format!("*** Update File: f\n{hunks}")).map_err(|error| error.to_string())?;
    match &plan.changes[0].kind {
        ChangeKind::Update { new, .. } => Ok(new.to_string()),
        other => panic!("an update is planned as {other:?}"),
    }
}
