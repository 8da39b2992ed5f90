//! Configuration: layers of TOML, the first that sets a key wins.
//!
//! A key that nobody knows is a warning with its file and line. It is an error where it can only be meant for us: on
//! the command line, and in `[sapwood]`. A value that cannot be used is always an error.

mod keys;

use std::ops::Range;
use std::path::{Path, PathBuf};

use sapwood_actors::agent::settings::{SandboxMode, WaitLimits};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::exit::Failure;
use crate::home::Homes;

/// The configuration, as far as anything set it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub model: Option<String>,
    pub provider: Option<Provider>,
    pub sandbox: Option<SandboxMode>,
    pub max_depth: Option<u32>,
    pub interrupt_message: Option<bool>,
    pub slots: Option<u32>,
    pub min_wait_ms: Option<u64>,
    pub default_wait_ms: Option<u64>,
    pub max_wait_ms: Option<u64>,
    pub script: Option<PathBuf>,
    pub script_log: Option<PathBuf>,
    /// What a person should know, and what does not keep the program from running.
    pub warnings: Vec<String>,
}

/// A provider, and who named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    pub id: String,
    pub place: String,
}

/// The longest `wait_agent` that may be configured, as in Codex.
const MAX_WAIT_MS: i64 = 3_600_000;
/// More generations than any tree needs.
const MAX_DEPTH: i64 = 1_000;
/// More turns at the same time than any machine can feed.
const MAX_SLOTS: i64 = 100_000;

/// Where keys come from.
enum Source<'a> {
    /// `-c`; the whole of it.
    Flag(&'a str),
    File {
        path: &'a Path,
        text: &'a str,
        /// Codex wrote it for itself: what it allows and we cannot do yet is no error.
        codex: bool,
    },
}

impl Source<'_> {
    /// `file:line`, or the flag.
    fn place(&self, span: &Range<usize>) -> String {
        match self {
            Source::Flag(flag) => format!("-c {flag}"),
            Source::File { path, text, .. } => {
                let before = text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n');
                format!("{}:{}", path.display(), 1 + before.count())
            }
        }
    }

    /// A path in it, as seen from where it stands.
    fn path(&self, path: &str) -> PathBuf {
        match self {
            Source::File { path: file, .. } => file.parent().unwrap_or(Path::new("")).join(path),
            Source::Flag(_) => PathBuf::from(path),
        }
    }
}

impl Config {
    /// Reads all layers: `-c`, our home, the user's, Codex's.
    pub fn load(homes: &Homes, overrides: &[String]) -> Result<Self, Failure> {
        let mut config = Config::default();
        // The last one on the command line wins.
        for flag in overrides.iter().rev() {
            config.flag(flag)?;
        }
        let codex = homes.codex.join("config.toml");
        let mut read: Vec<PathBuf> = Vec::new();
        for file in [homes.home.join("config.toml"), homes.config.join("config.toml"), codex.clone()] {
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            if read.contains(&real) {
                continue;
            }
            let is_codex = file == codex || codex.canonicalize().is_ok_and(|codex| codex == real);
            config.file(&file, is_codex)?;
            read.push(real);
        }
        config.check_waits()?;
        Ok(config)
    }

    /// The limits of `wait_agent`.
    pub fn wait(&self) -> WaitLimits {
        let usual = WaitLimits::default();
        let min = self.min_wait_ms.unwrap_or(usual.min.min(self.default_wait_ms.unwrap_or(u64::MAX)));
        let max = self.max_wait_ms.unwrap_or(usual.max);
        WaitLimits { min, default: self.default_wait_ms.unwrap_or(usual.default.clamp(min, max.max(min))), max }
    }

    fn check_waits(&self) -> Result<(), Failure> {
        let WaitLimits { min, default, max } = self.wait();
        if min <= default && default <= max {
            return Ok(());
        }
        Err(Failure::configuration(format!(
            "features.multi_agent_v2: min_wait_timeout_ms ({min}) <= default_wait_timeout_ms ({default}) <= \
             max_wait_timeout_ms ({max}) does not hold"
        )))
    }

    fn flag(&mut self, flag: &str) -> Result<(), Failure> {
        let source = Source::Flag(flag);
        let Some((key, value)) = flag.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            return Err(Failure::usage(format!("-c {flag}: `key=value` is needed")));
        };
        if key.is_empty() || key.split('.').any(|part| part.trim().is_empty()) {
            return Err(Failure::usage(format!("-c {flag}: `{key}` is no key")));
        }
        let document = format!("v = {value}");
        let parsed = DeTable::parse(&document).ok().and_then(|table| table.get_ref().get("v").cloned());
        // Whatever is no TOML value is a string, so that nobody has to quote twice in a shell.
        let value = parsed.unwrap_or_else(|| {
            Spanned::new(0..0, DeValue::String(value.trim_matches(|c| c == '"' || c == '\'').into()))
        });
        self.entry(&source, key.to_owned(), &(0..0), &value)
    }

    fn file(&mut self, path: &Path, codex: bool) -> Result<(), Failure> {
        let text = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(Failure::configuration(format!("{} cannot be read: {error}", path.display()))),
        };
        let text = String::from_utf8(text)
            .map_err(|_| Failure::configuration(format!("{} is no valid UTF-8", path.display())))?;
        let source = Source::File { path, text: &text, codex };
        let table = DeTable::parse(&text).map_err(|error| {
            let place = source.place(&error.span().unwrap_or(0..0));
            Failure::configuration(format!("{place}: {}", error.message()))
        })?;
        self.table(&source, "", table.get_ref())
    }

    fn table(&mut self, source: &Source<'_>, prefix: &str, table: &DeTable<'_>) -> Result<(), Failure> {
        // As they stand in the file, so that warnings do.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = key.get_ref();
            let dotted = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
            self.entry(source, dotted, &key.span(), value)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        source: &Source<'_>,
        key: String,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Failure> {
        let place = source.place(span);
        let inner = value.get_ref();
        if keys::USED.contains(&&*key) {
            return self.set(source, &key, Value { key: &key, place: &place, value: inner });
        }
        if keys::TABLES.contains(&&*key) {
            return match inner {
                DeValue::Table(table) => self.table(source, &key, table),
                // Codex's short form, which only switches the feature.
                DeValue::Boolean(_) if key == "features.multi_agent_v2" => Ok(()),
                _ => Err(Value { key: &key, place: &place, value: inner }.wrong("a table")),
            };
        }
        if keys::passes(&key, inner.is_table()) {
            return Ok(());
        }
        let meant = keys::meant(&key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let message = format!("{place}: unknown configuration key `{key}`{meant}");
        if matches!(source, Source::Flag(_)) || key.starts_with("sapwood.") {
            return Err(Failure::configuration(message));
        }
        self.warnings.push(message);
        Ok(())
    }

    /// Takes a value if no layer above has set it, and looks at it in any case.
    fn set(&mut self, source: &Source<'_>, key: &str, value: Value<'_>) -> Result<(), Failure> {
        match key {
            "model" => first(&mut self.model, value.text()?),
            "model_provider" => {
                let provider = Provider { id: value.text()?, place: value.place.to_owned() };
                first(&mut self.provider, provider);
            }
            "sandbox_mode" => {
                let codex = matches!(source, Source::File { codex: true, .. });
                let mode = match (&*value.text()?, codex) {
                    ("read-only", _) => SandboxMode::ReadOnly,
                    ("danger-full-access", _) => SandboxMode::DangerFullAccess,
                    ("workspace-write", true) if self.sandbox.is_none() => {
                        self.warnings.push(format!(
                            "{}: sandbox_mode `workspace-write` is not available in this version yet; commands run \
                             `read-only`",
                            value.place
                        ));
                        SandboxMode::ReadOnly
                    }
                    ("workspace-write", true) => SandboxMode::ReadOnly,
                    _ => return Err(value.wrong("`read-only` or `danger-full-access`")),
                };
                first(&mut self.sandbox, mode);
            }
            "agents.max_depth" => first(&mut self.max_depth, value.number(0, MAX_DEPTH)? as u32),
            "agents.interrupt_message" => first(&mut self.interrupt_message, value.boolean()?),
            "features.multi_agent_v2.max_concurrent_threads_per_session" => {
                first(&mut self.slots, value.number(1, MAX_SLOTS)? as u32);
            }
            "features.multi_agent_v2.min_wait_timeout_ms" => {
                first(&mut self.min_wait_ms, value.number(0, MAX_WAIT_MS)? as u64);
            }
            "features.multi_agent_v2.default_wait_timeout_ms" => {
                first(&mut self.default_wait_ms, value.number(0, MAX_WAIT_MS)? as u64);
            }
            "features.multi_agent_v2.max_wait_timeout_ms" => {
                first(&mut self.max_wait_ms, value.number(0, MAX_WAIT_MS)? as u64);
            }
            "sapwood.script" => first(&mut self.script, source.path(&value.text()?)),
            "sapwood.script_log" => first(&mut self.script_log, source.path(&value.text()?)),
            _ => unreachable!("{key} is in the list of used keys and is not used"),
        }
        Ok(())
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

/// A value, and what to say of it when it does not do.
struct Value<'a> {
    key: &'a str,
    place: &'a str,
    value: &'a DeValue<'a>,
}

impl Value<'_> {
    fn text(&self) -> Result<String, Failure> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("a string"))
    }

    fn boolean(&self) -> Result<bool, Failure> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    fn number(&self, min: i64, max: i64) -> Result<i64, Failure> {
        let number = self.value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        let allowed = || format!("a whole number from {min} to {max}");
        number.filter(|n| (min..=max).contains(n)).ok_or_else(|| self.wrong(&allowed()))
    }

    fn wrong(&self, allowed: &str) -> Failure {
        let found = match self.value {
            DeValue::String(text) => format!("\"{}\"", crate::text::one_line(text, 60)),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            other => format!("a value of type {}", other.type_str()),
        };
        Failure::configuration(format!("{}: `{}` must be {allowed}, and is {found}", self.place, self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(root: &Path) -> Homes {
        Homes {
            home: root.join("home"),
            state: root.join("state"),
            config: root.join("config"),
            codex: root.join("codex"),
            by_codex_home: false,
        }
    }

    fn load(files: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
        let root = tempfile::tempdir().unwrap();
        for (folder, text) in files {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            std::fs::write(root.path().join(folder).join("config.toml"), text).unwrap();
        }
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let prefix = format!("{}/", root.path().display());
        let clean = |text: String| text.replace(&prefix, "");
        match Config::load(&homes(root.path()), &flags) {
            Ok(mut config) => {
                config.warnings = config.warnings.into_iter().map(clean).collect();
                Ok(config)
            }
            Err(failure) => Err(clean(failure.message)),
        }
    }

    #[test]
    fn the_first_layer_that_sets_a_key_wins() {
        let files = [
            ("home", "model = 'home'\n[agents]\nmax_depth = 3\n"),
            ("config", "model = 'user'\n[agents]\nmax_depth = 4\ninterrupt_message = false\n"),
            ("codex", "model = 'codex'\nsandbox_mode = 'danger-full-access'\n[tui]\ntheme = 'x'\n"),
        ];
        let flags = ["model=one", "model=two", "features.multi_agent_v2.max_concurrent_threads_per_session=9"];
        let expected = Config {
            model: Some("two".into()),
            max_depth: Some(3),
            interrupt_message: Some(false),
            sandbox: Some(SandboxMode::DangerFullAccess),
            slots: Some(9),
            ..Config::default()
        };
        assert_eq!(load(&files, &flags), Ok(expected));
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_its_line_and_an_error_where_it_is_ours() {
        let warnings =
            load(&[("codex", "model = 'm'\n\nmodle = 1\n[agents]\nmax_dept = 2\n[agents.scout]\nx = 1\n")], &[])
                .unwrap()
                .warnings;
        assert_eq!(
            warnings,
            [
                "codex/config.toml:3: unknown configuration key `modle`; did you mean `model`?",
                "codex/config.toml:5: unknown configuration key `agents.max_dept`; did you mean `agents.max_depth`?",
            ]
        );
        let error = "home/config.toml:2: unknown configuration key `sapwood.scrip`; did you mean `sapwood.script`?";
        assert_eq!(load(&[("home", "[sapwood]\nscrip = 'x'\n")], &[]), Err(error.into()));
        let error = "-c modle=1: unknown configuration key `modle`; did you mean `model`?";
        assert_eq!(load(&[], &["modle=1"]), Err(error.into()));
    }

    #[test]
    fn a_wrong_value_names_what_is_allowed() {
        let wrong = |text: &str| load(&[("home", text)], &[]).unwrap_err();
        assert_eq!(
            wrong("\n[agents]\nmax_depth = 'three'\n"),
            "home/config.toml:3: `agents.max_depth` must be a whole number from 0 to 1000, and is \"three\""
        );
        assert_eq!(
            wrong("[features.multi_agent_v2]\nmax_concurrent_threads_per_session = 0\n"),
            "home/config.toml:2: `features.multi_agent_v2.max_concurrent_threads_per_session` must be a whole number \
             from 1 to 100000, and is 0"
        );
        assert_eq!(
            wrong("sandbox_mode = 'workspace-write'\n"),
            "home/config.toml:1: `sandbox_mode` must be `read-only` or `danger-full-access`, and is \"workspace-write\""
        );
        assert_eq!(wrong("sapwood = 1\n"), "home/config.toml:1: `sapwood` must be a table, and is 1");
        assert!(wrong("a = 1\nb = = 2\n").starts_with("home/config.toml:2: "));
        assert!(
            wrong(
                "features.multi_agent_v2.min_wait_timeout_ms = 50000\nfeatures.multi_agent_v2.\
                       default_wait_timeout_ms = 20000\n"
            )
            .contains("does not hold")
        );
    }

    #[test]
    fn what_codex_allows_and_we_cannot_do_yet_is_narrowed() {
        let config = load(&[("codex", "sandbox_mode = 'workspace-write'\n")], &[]).unwrap();
        assert_eq!(config.sandbox, Some(SandboxMode::ReadOnly));
        assert!(config.warnings[0].starts_with("codex/config.toml:1: sandbox_mode `workspace-write`"));
    }
}
