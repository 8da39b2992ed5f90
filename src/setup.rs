//! From the command line, the configuration and the machine to what a run needs.

use std::env;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sapwood_actors::agent::Settings;
use sapwood_actors::agent::settings::SandboxMode;
use sapwood_actors::process::sandbox;
use sapwood_model::{Model, Rehearsal, Script, Scripted};

use crate::cli::{ExecArgs, Prompt};
use crate::config::Config;
use crate::exit::Failure;
use crate::home::Homes;
use crate::project;

/// What a run needs.
pub struct Setup {
    pub homes: Homes,
    /// Where rollouts are kept: not always the home that was named.
    pub home: PathBuf,
    pub cwd: PathBuf,
    pub model: Arc<dyn Model>,
    /// The program that runs commands.
    pub shell: PathBuf,
    pub settings: Settings,
    /// What a person should know before it starts.
    pub notes: Vec<String>,
}

/// The model, and what is told of it.
struct Chosen {
    model: Arc<dyn Model>,
    name: String,
    provider: &'static str,
}

impl Setup {
    /// Puts everything together; what is wrong is said before anything is written anywhere.
    pub fn new(args: &ExecArgs) -> Result<Self, Failure> {
        let cwd = directory(args.cd.as_deref())?;
        let flag = args.sandbox.as_deref().map(sandbox_flag).transpose()?;
        let homes = Homes::find(args.home.as_deref())?;
        let config = Config::load(&homes, &args.overrides)?;
        let mut notes: Vec<String> = config.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        let chosen = choose(args.model.as_deref(), &config, &mut notes)?;
        let sandbox = flag.or(config.sandbox).unwrap_or_default();
        if sandbox == SandboxMode::ReadOnly {
            sandbox::probe().map_err(|why| Failure::configuration(why.to_string()))?;
        }
        let mut home = homes.home.clone();
        if chosen.provider == "rehearsal" && homes.is_codex() {
            home.clone_from(&homes.state);
            let (ours, codex) = (home.display(), homes.home.display());
            notes.push(format!("note: the rehearsal never writes into a Codex home ({codex}); rollouts go to {ours}"));
        }
        let (shell, name) = shell();
        let wait = config.wait();
        let usual = Settings::default();
        let zone = TimeZone::system();
        let settings = Settings {
            model: chosen.name.into(),
            provider: chosen.provider.into(),
            sandbox,
            shell: name.to_owned(),
            timezone: zone.iana_name().unwrap_or("Etc/UTC").to_owned(),
            utc_offset_seconds: zone.to_offset(Timestamp::now()).seconds(),
            max_depth: config.max_depth.unwrap_or(usual.max_depth),
            slots: config.slots.unwrap_or(usual.slots),
            interrupt_message: config.interrupt_message.unwrap_or(usual.interrupt_message),
            wait,
            ..usual
        };
        Ok(Self { homes, home, cwd, model: chosen.model, shell, settings, notes })
    }

    /// Looks at the project of the directory in which the root works.
    pub fn read_project(&mut self, cwd: &Path) {
        let mut warnings = Vec::new();
        self.settings.agents_md = project::agents_md(&self.homes, cwd, &mut warnings);
        self.notes.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
        if project::git_root(cwd).is_none() {
            self.notes.push(format!("note: {} is in no git repository", cwd.display()));
        }
    }
}

/// The directory to work in.
pub fn directory(flag: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = flag.unwrap_or(Path::new("."));
    let refuse = |why: String| Failure::usage(format!("the directory {} cannot be used: {why}", dir.display()));
    let cwd = dir.canonicalize().map_err(|error| refuse(error.to_string()))?;
    // A directory that cannot be listed is one in which nothing can be found out.
    std::fs::read_dir(&cwd).map_err(|error| refuse(error.to_string()))?;
    match cwd.to_str() {
        Some(_) => Ok(cwd),
        None => Err(refuse("its path is no valid UTF-8".to_owned())),
    }
}

fn sandbox_flag(mode: &str) -> Result<SandboxMode, Failure> {
    match mode {
        "read-only" => Ok(SandboxMode::ReadOnly),
        "danger-full-access" => Ok(SandboxMode::DangerFullAccess),
        "workspace-write" => Err(Failure::usage(
            "-s workspace-write is not available in this version yet; use -s read-only, or -s danger-full-access",
        )),
        other => Err(Failure::usage(format!("-s {other}: there is no such mode; use read-only or danger-full-access"))),
    }
}

fn choose(flag: Option<&str>, config: &Config, notes: &mut Vec<String>) -> Result<Chosen, Failure> {
    const WITHOUT: &str = "this version has no HTTP provider yet; `-c model_provider=rehearsal` runs without one";
    let name = flag.map(str::to_owned).or_else(|| config.model.clone());
    let key = ["OPENAI_API_KEY", "CODEX_API_KEY"]
        .into_iter()
        .find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    match (&config.provider, key) {
        (Some(provider), _) if provider.id == "scripted" => {
            let Some(path) = &config.script else {
                return Err(Failure::configuration(
                    "model_provider `scripted` needs a script: set sapwood.script to its file",
                ));
            };
            let script = Script::load(path).map_err(|error| Failure::configuration(error.to_string()))?;
            let mut model = Scripted::new(script);
            if let Some(log) = &config.script_log {
                model = model.log(log).map_err(|error| {
                    let log = log.display();
                    Failure::configuration(format!("sapwood.script_log {log} cannot be written: {error}"))
                })?;
            }
            let name = name.unwrap_or_else(|| "scripted".to_owned());
            Ok(Chosen { model: Arc::new(model), name, provider: "scripted" })
        }
        (Some(provider), _) if provider.id != "rehearsal" => {
            let (place, id) = (&provider.place, &provider.id);
            Err(Failure::configuration(format!("{place}: model_provider `{id}`: {WITHOUT}")))
        }
        (None, Some(key)) => Err(Failure::configuration(format!("{key} is set, but {WITHOUT}"))),
        (provider, _) => {
            let how = if provider.is_some() { "" } else { " (no model_provider is configured)" };
            notes.push(format!(
                "note: this is the rehearsal, a program and no language model{how}; model_provider in config.toml or \
                 -c chooses another, see `sapwood exec --help`"
            ));
            if let Some(model) = flag {
                notes.push(format!("note: the rehearsal is no model, so -m {model} has no effect"));
            }
            Ok(Chosen { model: Arc::new(Rehearsal), name: "rehearsal".to_owned(), provider: "rehearsal" })
        }
    }
}

/// bash where there is one, else sh.
fn shell() -> (PathBuf, &'static str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/bin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual).collect();
    let find = |name: &'static str| {
        folders.iter().map(|dir| dir.join(name)).find(|path| path.is_file()).map(|path| (path, name))
    };
    find("bash").or_else(|| find("sh")).unwrap_or_else(|| ("/bin/sh".into(), "sh"))
}

/// What the user says. `None` if nobody says anything.
pub fn prompt(prompt: Option<&Prompt>) -> Result<Option<String>, Failure> {
    let text = match prompt {
        Some(Prompt::Text(text)) => text.clone(),
        None if std::io::stdin().is_terminal() => return Ok(None),
        Some(Prompt::Stdin) | None => {
            let mut bytes = Vec::new();
            match std::io::stdin().lock().read_to_end(&mut bytes) {
                Ok(_) => {}
                // Nothing is there to be read: as good as an empty one.
                Err(_) if prompt.is_none() => return Ok(None),
                Err(error) => return Err(Failure::usage(format!("stdin cannot be read: {error}"))),
            }
            String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                Failure::usage(format!("the prompt on stdin is no valid UTF-8 (at byte {at})"))
            })?
        }
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}
