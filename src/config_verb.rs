//! `config`: which files the configuration comes from, what it says, and whether it does.

use serde_json::{Map, Value as Json, json};

use crate::cli::{ConfigAction, ConfigArgs};
use crate::config::keys::{self, Key, USED};
use crate::config::{Config, KeyPath, Places, Rank, Reading, Set, State, slots};
use crate::ending::Ending;
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::output::{Piece, write_now};
use crate::providers::Providers;
use crate::setup::directory;
use crate::text::safe;

/// Shows it.
pub fn run(args: &ConfigArgs) -> Exit {
    match show(args) {
        Ok((pieces, exit)) => write_now(&pieces, exit),
        // The terminal record is `exec`'s.
        Err(failure) => Ending::failed(&failure).say_now(false),
    }
}

fn show(args: &ConfigArgs) -> Result<(Vec<Piece>, Exit), Failure> {
    let cwd = directory(args.cd.as_deref())?;
    let homes = Homes::find(args.home.as_deref())?;
    let places = Places {
        homes: &homes,
        cwd: Some(&cwd),
        profile: args.profile.as_deref(),
        overrides: &args.overrides,
        client: None,
    };
    let reading = Reading::of(&places);
    match &args.action {
        ConfigAction::Path => Ok((path(&reading, args.json), Exit::Done)),
        ConfigAction::Get(key) => get(reading, key.as_deref(), args.json).map(|pieces| (pieces, Exit::Done)),
        ConfigAction::Check => Ok(check(&reading, &homes, args.json)),
    }
}

fn text(lines: impl IntoIterator<Item = String>) -> Vec<Piece> {
    lines.into_iter().map(|line| Piece::out(safe(&line))).collect()
}

/// The files, the one that counts most first.
fn path(reading: &Reading, json: bool) -> Vec<Piece> {
    if json {
        let files = reading.files.iter().map(|file| {
            let path = file.source.path.to_string_lossy();
            let is_trusted = (file.source.rank == Rank::Project).then_some(file.is_trusted);
            json!({
                "path": path, "layer": file.source.rank.name(), "state": file.state.name(),
                "exists": file.state != State::Missing, "trusted": is_trusted,
            })
        });
        let files: Vec<Json> = files.collect();
        return vec![Piece::out(json!({"profile": reading.profile, "files": files}).to_string())];
    }
    let lines = reading.files.iter().map(|file| {
        let (layer, path) = (file.source.rank.name(), file.source.path.display());
        let trust = match (file.source.rank, file.is_trusted) {
            (Rank::Project, false) if file.state == State::Missing => ", and the project is not trusted",
            _ => "",
        };
        format!("{layer:<8} {path}  ({}{trust})", file.state.name())
    });
    text(lines)
}

/// The value of a key, as far as a person may see it.
struct Shown {
    key: String,
    value: Json,
    /// Where it comes from; `default`, or `unset`.
    from: String,
    doc: &'static str,
}

impl Shown {
    fn set(path: &KeyPath, set: &Set) -> Self {
        let doc = USED.iter().find(|key| key.matches(&path.parts())).map_or("", |key| key.doc);
        Self { key: path.to_string(), value: set.value.json(), from: set.place.clone(), doc }
    }

    fn default(key: &'static Key) -> Self {
        let (value, from) = match key.default {
            "" => (Json::Null, "unset"),
            // As it is written in TOML, which of these is JSON too.
            text => (serde_json::from_str(text).unwrap_or_default(), "default"),
        };
        Self { key: key.name.to_owned(), value, from: from.to_owned(), doc: key.doc }
    }
}

/// What there is to be said of all keys: what is set, and the rest as it is without that.
fn all(reading: &Reading) -> Vec<Shown> {
    let mut shown = Vec::new();
    for key in USED {
        let set: Vec<Shown> = reading
            .merged
            .all()
            .filter(|(path, _)| key.matches(&path.parts()) || is_unsupported(key, path))
            .map(|(path, set)| Shown::set(path, set))
            .collect();
        if set.is_empty() && !key.name.contains('*') {
            shown.push(Shown::default(key));
        }
        shown.extend(set);
    }
    // Three spellings of one limit: the one that is asked for first says what counts.
    let name = "features.multi_agent_v2.max_concurrent_threads_per_session";
    if let Some((slots, set)) = slots(&reading.merged)
        && let Some(entry) = shown.iter_mut().find(|entry| entry.key == name)
    {
        (entry.value, entry.from) = (json!(slots), set.place.clone());
    }
    shown
}

/// A table that is refused as a whole, whatever stands in it.
fn is_unsupported(key: &Key, path: &KeyPath) -> bool {
    let parts = path.parts();
    key.kind == keys::Kind::Unsupported && parts.len() > 3 && key.matches(&parts[..3])
}

fn get(reading: Reading, key: Option<&str>, json: bool) -> Result<Vec<Piece>, Failure> {
    if let Some(problem) = reading.problems.iter().find(|problem| problem.exit.is_some()) {
        return Err(Failure::new(problem.exit.unwrap_or(Exit::Configuration), problem.message.clone()));
    }
    let mut shown = all(&reading);
    if let Some(key) = key {
        let wanted = KeyPath::parse(key).ok_or_else(|| Failure::usage(format!("`{key}` is no key")))?;
        let inside = |entry: &Shown| {
            let path = KeyPath::parse(&entry.key).unwrap_or_default();
            path.0.starts_with(&wanted.0)
        };
        shown.retain(inside);
        if shown.is_empty() {
            return nothing(&wanted, json);
        }
    }
    if json {
        let entry =
            |entry: &Shown| json!({"key": entry.key, "value": entry.value, "from": entry.from, "doc": entry.doc});
        let keys: Vec<Json> = shown.iter().map(entry).collect();
        return Ok(vec![Piece::out(
            Json::Object(Map::from_iter([("keys".to_owned(), Json::Array(keys))])).to_string(),
        )]);
    }
    let mut lines = Vec::new();
    for entry in &shown {
        // Whoever asks for some keys wants to know what they are; whoever asks for all wants them on one page.
        lines.extend(key.map(|_| format!("# {}", entry.doc)));
        lines.push(match &entry.value {
            Json::Null => format!("# {} is not set", entry.key),
            value => format!("{} = {value}  # {}", entry.key, entry.from),
        });
    }
    Ok(text(lines))
}

/// What there is to be said of a key that is not set, or that nobody knows.
fn nothing(wanted: &KeyPath, json: bool) -> Result<Vec<Piece>, Failure> {
    let parts = wanted.parts();
    match keys::known(&parts, false) {
        keys::Known::Used(_) | keys::Known::Table if json => Ok(vec![Piece::out(json!({"keys": []}).to_string())]),
        keys::Known::Used(_) | keys::Known::Table => {
            let below = USED.iter().filter(|key| key.is_at_or_below(&parts));
            let said = below.map(|key| format!("# {}: {}", key.name, key.doc));
            Ok(text([format!("# {wanted} is not set")].into_iter().chain(said)))
        }
        keys::Known::Passes => Err(Failure::usage(format!("`{wanted}` is a key of Codex that has no effect here"))),
        keys::Known::Unknown => {
            let hint = keys::meant(&parts).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(Failure::usage(format!("unknown configuration key `{wanted}`{hint}")))
        }
    }
}

/// Everything that is wrong, and everything that a person should know.
fn check(reading: &Reading, homes: &Homes, json: bool) -> (Vec<Piece>, Exit) {
    let problem = |level: &'static str, message: &str| (level, message.to_owned());
    let mut found: Vec<(&str, String)> = reading
        .problems
        .iter()
        .map(|wrong| problem(if wrong.exit.is_some() { "error" } else { "warning" }, &wrong.message))
        .collect();
    if reading.exit() == Exit::Done {
        found.extend(check_provider(&reading.config, homes));
    }
    found.extend(reading.config.notes.iter().map(|note| problem("note", note)));
    let errors = found.iter().filter(|(level, _)| *level == "error").count();
    let exit = if errors > 0 { Exit::Configuration } else { Exit::Done };
    if json {
        let problems: Vec<Json> =
            found.iter().map(|(level, message)| json!({"level": level, "message": message})).collect();
        return (vec![Piece::out(json!({"ok": errors == 0, "problems": problems}).to_string())], exit);
    }
    let mut lines: Vec<String> = found.iter().map(|(level, message)| format!("{level}: {message}")).collect();
    let warnings = found.iter().filter(|(level, _)| *level == "warning").count();
    lines.push(match (errors, warnings) {
        (0, 0) => "the configuration is fine".to_owned(),
        (0, _) => "the configuration can be used".to_owned(),
        _ => "the configuration cannot be used".to_owned(),
    });
    (text(lines), exit)
}

/// The provider that a run would ask, as far as it can be told without asking it.
fn check_provider(config: &Config, homes: &Homes) -> Vec<(&'static str, String)> {
    let providers = Providers::of_process(config, homes, "sapwood");
    let chosen = providers.chosen(config);
    let mut found: Vec<_> = providers.warnings(&chosen).into_iter().map(|warning| ("warning", warning)).collect();
    found.extend(providers.check(&chosen).err().map(|failure| ("error", failure.message)));
    found
}
