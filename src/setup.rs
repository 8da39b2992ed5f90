//! From the command line, the configuration and the machine to what a run needs.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_actors::agent::Settings;
use sapwood_actors::agent::state::Asking;
use sapwood_actors::process::sandbox;
use sapwood_actors::service::ServiceError;
use sapwood_actors::tree::INPUT_BYTES;
use sapwood_actors::{fold, git};
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_rollout::FileJournal;

use crate::cli::{ExecArgs, Prompt, Wanted};
use crate::config::{Config, Places, Requirements, Sandbox};
use crate::exit::Failure;
use crate::home::Homes;
use crate::providers::{Choice, Providers, REHEARSAL};
use crate::rights;
use crate::session::{self, Found};
use crate::settings;

/// What a run needs.
pub struct Setup {
    pub homes: Homes,
    /// Where rollouts are kept: not always the home that was named.
    pub home: PathBuf,
    pub journal: Arc<FileJournal>,
    /// The tree that is to go on.
    pub resume: Option<Found>,
    pub cwd: PathBuf,
    pub providers: Arc<Providers>,
    /// The program that runs commands.
    pub shell: PathBuf,
    /// Environment variables that commands do not see: they hold keys.
    pub hidden: Vec<String>,
    pub settings: Settings,
    /// What a person should know before it starts.
    pub notes: Vec<String>,
}

/// The tree that goes on, and what its root's rollout recorded.
struct Goes {
    home: PathBuf,
    found: Found,
    recorded: Asking,
}

impl Setup {
    /// Puts everything together; what is wrong is said before anything is written anywhere. `originator` is the name
    /// that the client gave itself.
    pub fn new(args: &ExecArgs, originator: Option<&str>) -> Result<Self, Failure> {
        let cwd = directory(args.cd.as_deref())?;
        if args.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
            return Err(Failure::usage("-m needs the name of a model, and is empty"));
        }
        let homes = Homes::find(args.home.as_deref())?;
        let places = Places {
            homes: &homes,
            cwd: Some(&cwd),
            profile: args.profile.as_deref(),
            overrides: &args.overrides,
            client: None,
        };
        let config = Config::load(&places)?;
        let mut notes: Vec<String> = config.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        notes.extend(config.notes.iter().map(|note| format!("note: {note}")));
        let originator = originator.map_or_else(|| Settings::default().originator, str::to_owned);
        let providers = Providers::of_process(&config, &homes, &originator);
        let goes = args.resume.as_ref().map(|wanted| find(&homes, &config, &providers, wanted, &cwd)).transpose()?;
        let recorded = goes.as_ref().map(|goes| &goes.recorded);
        let choice = Choice::new(&config, args.model.as_deref(), recorded, &providers)?;
        // What is wrong with the provider is said now; those of other agents wait until they are asked.
        providers.model(&choice.provider)?;
        notes.extend(providers.warnings(&choice.provider).into_iter().map(|warning| format!("warning: {warning}")));
        notes.extend(choice.notes.iter().cloned());
        tell_of_rehearsal(&choice, args.model.as_deref(), &config, &mut notes);
        let required = Requirements::of(&homes)?;
        notes.extend(required.warnings.iter().map(|warning| format!("warning: {warning}")));
        let sandbox = sandbox(args, &config, &required, &cwd, &mut notes)?;
        if sandbox.confines_files() {
            sandbox::probe().map_err(|why| Failure::configuration(why.to_string()))?;
        }
        let (home, resume) = match goes {
            Some(goes) => (goes.home, Some(goes.found)),
            None => (home_of(&homes, &choice.provider).to_owned(), None),
        };
        if resume.is_none() && home != homes.home {
            let (ours, codex) = (home.display(), homes.home.display());
            notes.push(format!("note: the rehearsal never writes into a Codex home ({codex}); rollouts go to {ours}"));
        }
        let settings = settings::of(&config, &providers, choice, sandbox, &originator);
        // Whoever reads the output of `exec` has no way to answer.
        let managed_instructions = required.developer_instructions.map(Into::into);
        let settings = Settings { is_attended: false, allowed: required.allowed, managed_instructions, ..settings };
        let (shell, _) = settings::shell();
        let journal = Arc::new(FileJournal::new(home.clone()));
        let (hidden, providers) = (providers.secret_variables(), Arc::new(providers));
        Ok(Self { homes, home, journal, resume, cwd, providers, shell, hidden, settings, notes })
    }

    /// Looks up the model in what is known of its provider's models. Nobody is asked: `sapwood models` does that.
    pub fn look_up_model(&mut self) {
        let warnings = settings::look_up_model(&mut self.settings, &self.homes, &self.providers);
        self.notes.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
    }

    /// Looks at the project of the directory in which the root works.
    pub fn read_project(&mut self, cwd: &Path) {
        let (_, warnings) = settings::read_project(&mut self.settings, &self.homes, cwd);
        self.notes.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
        if git::root(cwd).is_none() {
            self.notes.push(format!("note: {} is in no git repository", cwd.display()));
        }
    }
}

/// Where a run with this provider keeps its rollouts.
fn home_of<'a>(homes: &'a Homes, provider: &str) -> &'a Path {
    if provider == REHEARSAL && homes.is_codex() { &homes.state } else { &homes.home }
}

/// Finds the tree that is to go on. Its rollouts are where its provider puts them, and that is only known from them:
/// where this run would put its own, or in the home that was named.
fn find(homes: &Homes, config: &Config, providers: &Providers, wanted: &Wanted, cwd: &Path) -> Result<Goes, Failure> {
    let look = |home: &Path| {
        let journal = FileJournal::new(home.to_owned());
        let found = session::find(&journal, wanted, cwd)?;
        let root = fold::read(&journal, found.session.into())
            .map_err(|error| session::refused(ServiceError::Open(error), home))?;
        Ok(Goes { home: home.to_owned(), found, recorded: root.asking })
    };
    let first = home_of(homes, &providers.chosen(config));
    look(first).or_else(|why| if first == homes.home { Err(why) } else { look(&homes.home).map_err(|_| why) })
}

fn tell_of_rehearsal(choice: &Choice, flag: Option<&str>, config: &Config, notes: &mut Vec<String>) {
    if choice.provider != REHEARSAL {
        return;
    }
    let how = if config.provider.is_some() { "" } else { " (no model_provider is configured)" };
    notes.push(format!(
        "note: this is the rehearsal, a program and no language model{how}; model_provider in config.toml or \
         -c chooses another, see `sapwood exec --help`"
    ));
    if let Some(model) = flag {
        notes.push(format!("note: the rehearsal is no model, so -m {model} has no effect"));
    }
}

/// What commands may touch: as the command line says, else the configuration, else the most careful way.
fn sandbox(
    args: &ExecArgs,
    config: &Config,
    required: &Requirements,
    cwd: &Path,
    notes: &mut Vec<String>,
) -> Result<SandboxPolicy, Failure> {
    let rights = &config.rights;
    let flag = args.sandbox.as_deref().map(|mode| {
        rights.of_mode(mode).ok_or_else(|| {
            Failure::usage(format!(
                "-s {mode}: there is no such mode; use read-only, workspace-write or danger-full-access"
            ))
        })
    });
    let (flag, mut warnings) = (flag.transpose()?, Vec::new());
    let is_said = flag.is_some();
    let usual = Sandbox { policy: SandboxPolicy::READ_ONLY, profile: None };
    let chosen = flag.or_else(|| rights.sandbox.clone()).unwrap_or(usual);
    let mut policy = rights::within(chosen, is_said, required, &mut warnings)?.policy;
    notes.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
    let roots = args.add_dirs.iter().filter_map(|dir| cwd.join(dir).into_os_string().into_string().ok());
    match &mut policy {
        SandboxPolicy::WorkspaceWrite { writable_roots, .. } => {
            writable_roots.extend(roots);
            settings::make_absolute(writable_roots, cwd);
        }
        SandboxPolicy::ReadOnly { .. } if !args.add_dirs.is_empty() => {
            notes.push("note: --add-dir has no effect: in the sandbox read-only nothing may be written".to_owned());
        }
        _ => {}
    }
    Ok(policy)
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

/// What the user says. `None` if nobody says anything.
pub fn prompt(prompt: Option<&Prompt>) -> Result<Option<String>, Failure> {
    let text = match prompt {
        Some(Prompt::Text(text)) => text.clone(),
        None if std::io::stdin().is_terminal() => return Ok(None),
        Some(Prompt::Stdin) | None => {
            let mut bytes = Vec::new();
            // One byte more tells that there is too much; an endless stdin is not kept.
            match std::io::stdin().lock().take(INPUT_BYTES as u64 + 1).read_to_end(&mut bytes) {
                Ok(_) if bytes.len() > INPUT_BYTES => {
                    return Err(Failure::usage(format!(
                        "the prompt on stdin has more than {INPUT_BYTES} bytes, the most that are accepted; put it into a \
                         file and say where it is"
                    )));
                }
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
