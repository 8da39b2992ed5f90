//! `config/value/write` and `config/batchWrite`: changes to the person's own file, all of them or none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sapwood_protocol::app::config::{
    ConfigBatchWriteParams, ConfigLayerSource, ConfigWriteErrorCode, ConfigWriteResponse, OverriddenMetadata,
    WriteStatus,
};
use sapwood_server::program::ProgramError;
use toml_edit::DocumentMut;

use super::Served;
use crate::config::{check, edit, seen};

impl Served {
    /// Whoever calls it sees to it that nobody else of this process writes meanwhile.
    pub(super) fn write(&self, write: &ConfigBatchWriteParams) -> Result<ConfigWriteResponse, ProgramError> {
        let own = self.own_file();
        let refused = |code, message: String| ProgramError::Write { code, message };
        let wrong = |message| refused(ConfigWriteErrorCode::ConfigValidationError, message);
        if write.file_path.as_deref().is_some_and(|path| !is_same(Path::new(path), &own)) {
            let own = own.display();
            return Err(refused(
                ConfigWriteErrorCode::ConfigLayerReadonly,
                format!("Only writes to the user config are allowed: {own}"),
            ));
        }
        let text = match fs::read_to_string(&own) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(&own, &format!("cannot be read: {error}"))),
        };
        let before = check(&own, &text).map_err(|failure| ProgramError::failed(failure.message))?;
        if write.expected_version.as_ref().is_some_and(|expected| *expected != seen::version(&before.tree)) {
            return Err(refused(
                ConfigWriteErrorCode::ConfigVersionConflict,
                "Configuration was modified since last read. Fetch latest version and retry.".to_owned(),
            ));
        }
        let mut document: DocumentMut = text.parse().map_err(|error| failed(&own, &format!("is no TOML: {error}")))?;
        edit::apply(&mut document, &write.edits).map_err(wrong)?;
        let changed = document.to_string();
        let after = check(&own, &changed).map_err(|failure| wrong(failure.message))?;
        if let Some(problem) = after.problems.iter().find(|problem| problem.exit.is_some()) {
            return Err(wrong(format!("Invalid configuration: {}", problem.message)));
        }
        if changed != text {
            replace(&own, &changed).map_err(|error| failed(&own, &format!("cannot be written: {error}")))?;
        }
        let overridden = self.overridden(write, &own);
        Ok(ConfigWriteResponse {
            status: if overridden.is_some() { WriteStatus::OkOverridden } else { WriteStatus::Ok },
            version: seen::version(&after.tree),
            file_path: own.canonicalize().unwrap_or(own).to_string_lossy().into_owned(),
            overridden_metadata: overridden,
        })
    }

    /// The first change that does not count, since a layer before the file says something else.
    fn overridden(&self, write: &ConfigBatchWriteParams, own: &Path) -> Option<OverriddenMetadata> {
        let reading = self.reading(None, None);
        let layers = seen::layers(&reading, own);
        let is_own = |source: &ConfigLayerSource| matches!(source, ConfigLayerSource::User { file, profile: None } if is_same(Path::new(file), own));
        write.edits.iter().find_map(|edit| {
            let path = edit::path(&edit.key_path).ok()?;
            let before = layers.iter().take_while(|layer| !is_own(&layer.source));
            let (layer, value) = before.into_iter().find_map(|layer| Some((layer, layer.at(&path.parts())?)))?;
            (*value != edit.value).then(|| OverriddenMetadata {
                message: format!("Overridden by {}", name(&layer.source)),
                overriding_layer: layer.metadata(),
                effective_value: seen::shown(&path.parts(), value),
            })
        })
    }
}

fn name(source: &ConfigLayerSource) -> String {
    match source {
        ConfigLayerSource::SessionFlags => "session flags".to_owned(),
        ConfigLayerSource::Project { dot_codex_folder } => format!("the project's {dot_codex_folder}"),
        ConfigLayerSource::User { file, .. } | ConfigLayerSource::System { file } => file.clone(),
    }
}

fn failed(own: &Path, why: &str) -> ProgramError {
    ProgramError::failed(format!("{} {why}", own.display()))
}

fn is_same(path: &Path, own: &Path) -> bool {
    path.is_absolute()
        && (path == own || path.canonicalize().is_ok_and(|real| own.canonicalize().is_ok_and(|own| own == real)))
}

/// Whoever reads meanwhile sees the old file or the new one. A link stays one: what it leads to is replaced.
fn replace(own: &Path, text: &str) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let target: PathBuf = own.canonicalize().unwrap_or_else(|_| own.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!(".config.toml.{}-{number}.tmp", std::process::id()));
    let written = File::create_new(&new).and_then(|mut out| {
        match fs::metadata(&target) {
            Ok(old) => out.set_permissions(old.permissions())?,
            Err(_) => out.set_permissions(private())?,
        }
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, &target)
    });
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&new);
    }
    written
}

/// A configuration may hold a key.
fn private() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o600)
}
