//! The flags of `exec`: ours and Codex's, and what becomes of each of them here.
//!
//! What asks for less than is done anyway is accepted without a word. What has no effect is accepted with a note. What
//! somebody counts on and cannot have is refused.

use super::exec::{Color, Line};
use super::table::{Does, Flag, Takes};
use crate::exit::Failure;
use crate::text::{nearest, one_line};

type Exec = Flag<Line>;

const NONE: Takes = Takes::Nothing;
const SANDBOXES: &[&str] = &["read-only", "workspace-write", "danger-full-access"];
const APPROVALS: &[&str] = &["untrusted", "on-failure", "on-request", "never"];

/// In the order of the help.
pub const FLAGS: &[Exec] = &[
    Exec::new(
        "json",
        NONE,
        Does::Switch(|line| &mut line.args.json),
        "Events on stdout, one JSON object a line, in Codex's form; the last is `sapwood.ended`",
    )
    .also(&["experimental-json"]),
    Exec::new(
        "last",
        NONE,
        Does::Switch(|line| &mut line.last),
        "The newest tree of this directory; if there is none, the newest at all",
    ),
    Exec::new("all", NONE, Does::Switch(|line| &mut line.all), "With --last: the newest tree of any directory"),
    Exec::new("model", Takes::Text("MODEL"), Does::Text(|line| &mut line.args.model), "The model").short('m'),
    Exec::new(
        "profile",
        Takes::Text("NAME"),
        Does::Text(|line| &mut line.args.profile),
        "A profile of the configuration, on top of the rest of it",
    )
    .short('p'),
    Exec::new("cd", Takes::Dir, Does::Path(|line| &mut line.args.cd), "The directory to work in").short('C'),
    Exec::new(
        "config",
        Takes::Text("K=V"),
        Does::Texts(|line| &mut line.args.overrides),
        "Sets a configuration key: a dotted path, and a TOML value or a plain string.\nCan be repeated",
    )
    .short('c'),
    Exec::new("enable", Takes::Text("FEATURE"), Does::Read(enable), "The same as -c features.FEATURE=true"),
    Exec::new("disable", Takes::Text("FEATURE"), Does::Read(disable), "The same as -c features.FEATURE=false"),
    Exec::new(
        "sandbox",
        Takes::Word("MODE", SANDBOXES),
        Does::Read(sandbox),
        "What shell commands may do: read-only (the default), workspace-write or danger-full-access",
    )
    .short('s'),
    Exec::new(
        "dangerously-bypass-approvals-and-sandbox",
        NONE,
        Does::Read(|line, _| sandbox(line, "danger-full-access")),
        "The same as -s danger-full-access",
    )
    .also(&["yolo"]),
    Exec::new(
        "add-dir",
        Takes::Dir,
        Does::Paths(|line| &mut line.args.add_dirs),
        "A further directory that commands may write to. Can be repeated",
    ),
    Exec::new(
        "output-last-message",
        Takes::File,
        Does::Path(|line| &mut line.args.output),
        "The file that gets the root's last message when its turn succeeded",
    )
    .short('o'),
    Exec::new(
        "output-schema",
        Takes::File,
        Does::Path(|line| &mut line.args.output_schema),
        "A file with the JSON schema of the root's last message",
    ),
    Exec::new(
        "thread-source",
        Takes::Text("SOURCE"),
        Does::Read(thread_source),
        "What a new tree is for, as its rollout and its requests say it",
    ),
    Exec::new("quiet", NONE, Does::Switch(|line| &mut line.args.quiet), "Only warnings and errors on stderr")
        .short('q'),
    Exec::new(
        "color",
        Takes::Word("WHEN", Color::NAMES),
        Does::Read(color),
        "Colours: auto (the default, which obeys NO_COLOR), always or never",
    ),
    Exec::new("home", Takes::Dir, Does::Path(|line| &mut line.args.home), "Where rollouts are kept"),
    // What follows is Codex's alone.
    Exec::new("image", Takes::File, Does::Paths(|line| &mut line.args.images), "").short('i'),
    // We run anywhere.
    Exec::new("skip-git-repo-check", NONE, Does::Nothing, ""),
    // There are no execution rules.
    Exec::new("ignore-rules", NONE, Does::Nothing, ""),
    // No hook is run, trusted or not.
    Exec::new("dangerously-bypass-hook-trust", NONE, Does::Nothing, ""),
    Exec::new("ask-for-approval", Takes::Word("POLICY", APPROVALS), Does::Read(approval), "").short('a'),
    Exec::new(
        "cyber-access-program",
        Takes::Text("PROGRAM"),
        Does::Read(|line, program| {
            let program = one_line(program, 40);
            line.note(format!("--cyber-access-program {program} has no effect: no access program is requested"))
        }),
        "",
    ),
    Exec::new(
        "trust",
        NONE,
        Does::Read(|line, _| {
            line.note("--trust has no effect: what a command may do does not depend on trust in a project".to_owned())
        }),
        "",
    ),
    Exec::new("full-auto", NONE, Does::Read(|line, _| sandbox(line, "workspace-write")), ""),
    Exec::new(
        "approve-for-me",
        NONE,
        Does::Refused("needs a reviewer of approvals, which is not available in this version yet; leave it out"),
        "",
    ),
    Exec::new(
        "ephemeral",
        NONE,
        Does::Refused(
            "is not available in this version: what was accepted is always kept; `--home DIR` with a directory that \
             is removed afterwards leaves nothing",
        ),
        "",
    ),
    Exec::new(
        "worktree",
        NONE,
        Does::Refused("is not available in this version; make a worktree with git, and name it with --cd"),
        "",
    ),
    Exec::new(
        "ignore-user-config",
        NONE,
        Does::Refused("is not available in this version; -c on the command line wins over every file"),
        "",
    ),
    Exec::new(
        "strict-config",
        NONE,
        Does::Refused("is not available in this version; `sapwood config check` tells which keys are not known"),
        "",
    ),
    Exec::new("oss", NONE, Does::Refused(LOCAL), ""),
    Exec::new("local-provider", Takes::Text("PROVIDER"), Does::Refused(LOCAL), ""),
    Exec::new("search", NONE, Does::Refused("is not available in this version: there is no web search yet"), ""),
];

const LOCAL: &str = "is not available in this version; describe a local provider in config.toml as \
                     model_providers.NAME, and choose it with -c model_provider=NAME";

impl Line {
    fn note(&mut self, note: String) -> Result<(), Failure> {
        self.args.notes.push(format!("note: {note}"));
        Ok(())
    }
}

fn enable(line: &mut Line, feature: &str) -> Result<(), Failure> {
    switch(line, feature, true)
}

fn disable(line: &mut Line, feature: &str) -> Result<(), Failure> {
    switch(line, feature, false)
}

fn switch(line: &mut Line, feature: &str, on: bool) -> Result<(), Failure> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if feature.is_empty() || !feature.chars().all(is_name) {
        let feature = one_line(feature, 60);
        return Err(Failure::usage(format!("--enable and --disable need the name of a feature, not `{feature}`")));
    }
    line.args.overrides.push(format!("features.{feature}={on}"));
    Ok(())
}

fn sandbox(line: &mut Line, mode: &str) -> Result<(), Failure> {
    match &line.args.sandbox {
        // Codex's flag and ours may say it twice, but not against each other.
        Some(other) if other != mode => {
            let modes = [other.as_str(), mode].map(|mode| one_line(mode, 40)).join(" and ");
            Err(Failure::usage(format!("the sandbox cannot be both {modes}")))
        }
        _ => {
            line.args.sandbox = Some(mode.to_owned());
            Ok(())
        }
    }
}

/// The longest source of a thread: it is in the head of every request.
const MAX_SOURCE: usize = 64;

fn thread_source(line: &mut Line, source: &str) -> Result<(), Failure> {
    if source.is_empty() || source.len() > MAX_SOURCE || !source.bytes().all(|byte| byte.is_ascii_graphic()) {
        let source = one_line(source, 60);
        return Err(Failure::usage(format!(
            "--thread-source `{source}`: 1 to {MAX_SOURCE} printable ASCII characters without blanks are needed"
        )));
    }
    line.args.thread_source = Some(source.to_owned());
    Ok(())
}

fn color(line: &mut Line, when: &str) -> Result<(), Failure> {
    line.args.color = match when {
        "auto" => Color::Auto,
        "always" => Color::Always,
        "never" => Color::Never,
        other => return Err(no_such("--color", other, Color::NAMES)),
    };
    Ok(())
}

fn approval(line: &mut Line, policy: &str) -> Result<(), Failure> {
    match policy {
        "never" => Ok(()),
        policy if APPROVALS.contains(&policy) => {
            line.note(format!("-a {policy} has no effect: `exec` never asks, the sandbox alone says what may be done"))
        }
        other => Err(no_such("-a", other, APPROVALS)),
    }
}

fn no_such(flag: &str, value: &str, known: &[&str]) -> Failure {
    let meant = nearest(value, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    let known = known.join(", ");
    let meant = meant.unwrap_or_else(|| format!("; it is one of {known}"));
    Failure::usage(format!("{flag} {}: there is no such value{meant}", one_line(value, 40)))
}
