//! Who holds what, what was left behind, and who wrote here.

use sapwood_rollout::What;

use super::report::Check;
use super::survey::{Survey, numbers};

/// The version of Codex that this one was measured against.
const KNOWN_CODEX: &str = "0.169.0";

/// Threads that are held.
pub fn locks(survey: &Survey) -> Check {
    const NAME: &str = "locks";
    if !std::path::Path::new("/proc/locks").exists() {
        let todo = "mount /proc: without it nobody is told who holds a thread; the locks themselves work";
        return Check::warning(NAME, "who holds which thread cannot be told", todo);
    }
    let held = &survey.inspection.held;
    let stale = survey.inspection.stale_locks.len();
    let stale = match stale {
        0 => String::new(),
        1 => "; 1 lock file that nobody here holds, which harms nobody".to_owned(),
        n => format!("; {n} lock files that nobody here holds, which harm nobody"),
    };
    let says = match held.len() {
        0 => format!("no thread is held{stale}"),
        1 => format!("1 thread is held{stale}"),
        n => format!("{n} threads are held{stale}"),
    };
    Check::ok(NAME, says).with(held.iter().map(|(thread, holder)| format!("{thread}: {holder}")).collect())
}

/// What crashes left.
pub fn check(survey: &Survey) -> Check {
    const NAME: &str = "leftovers";
    if !survey.errors.is_empty() {
        let todo = "make the home readable for this user";
        return Check::failure(NAME, "the home cannot be looked through", todo).with(survey.errors.clone());
    }
    let mut says = Vec::new();
    let mut todo = Vec::new();
    let mut details = Vec::new();
    let mut tell = |count: usize, one: &str, many: &str, what_to_do: &str| {
        if count > 0 {
            says.push(if count == 1 { format!("1 {one}") } else { format!("{count} {many}") });
            if !todo.contains(&what_to_do.to_owned()) {
                todo.push(what_to_do.to_owned());
            }
        }
    };
    let count = |what| survey.inspection.leftovers.iter().filter(|left| left.what == what).count();
    tell(
        survey.orphans.len(),
        "process that outlived its agent",
        "processes that outlived their agents",
        "end the process group with `kill -- -PID`, or resume its tree",
    );
    tell(
        survey.open.len(),
        "turn that its process left open",
        "turns that their processes left open",
        "`sapwood exec resume ID` goes on, or closes them",
    );
    tell(
        survey.unreadable.len(),
        "rollout that cannot be used",
        "rollouts that cannot be used",
        "move what cannot be used out of `sessions/`",
    );
    tell(count(What::Empty), "empty rollout", "empty rollouts", "move what cannot be used out of `sessions/`");
    tell(
        count(What::BrokenTail),
        "rollout with a broken last line",
        "rollouts with a broken last line",
        "nothing: the next line is written behind a broken one",
    );
    tell(
        count(What::Unborn),
        "rollout that was never finished",
        "rollouts that were never finished",
        "delete temporary files, if no run is at work",
    );
    tell(count(What::Temporary), "temporary file", "temporary files", "delete temporary files, if no run is at work");
    details
        .extend(survey.orphans.iter().map(|(group, thread)| format!("process group {} of thread {thread}", group.id)));
    details.extend(survey.open.iter().map(|(thread, path)| format!("open turn: {path}, thread {thread}")));
    details.extend(survey.unreadable.iter().cloned());
    let left = survey.inspection.leftovers.iter().map(|left| format!("{}: {}", name(left.what), left.place));
    details.extend(left);
    let looked = survey.inspection.rollouts;
    let unread = match survey.unread {
        0 => String::new(),
        n => format!("; {n} older rollouts were not read"),
    };
    if says.is_empty() {
        return Check::ok(NAME, format!("none in {looked} rollouts{unread}"));
    }
    Check::warning(NAME, format!("{}{unread}", says.join(", ")), todo.join("; ")).with(details)
}

fn name(what: What) -> &'static str {
    match what {
        What::Unborn => "never finished",
        What::Temporary => "temporary",
        What::Empty => "empty",
        What::BrokenTail => "broken last line",
    }
}

/// Our version, and the newest of Codex that wrote here.
pub fn versions(survey: &Survey) -> Check {
    const NAME: &str = "versions";
    let ours = concat!("sapwood ", env!("CARGO_PKG_VERSION"));
    match survey.codex.first() {
        None => Check::ok(NAME, format!("{ours}; no rollout of Codex's")),
        Some(codex) if numbers(codex) > numbers(KNOWN_CODEX) => Check::warning(
            NAME,
            format!("{ours}; Codex {codex} wrote here, and this version knows {KNOWN_CODEX}"),
            "what a newer Codex adds is kept and passed over; update sapwood to use it",
        ),
        Some(codex) => Check::ok(NAME, format!("{ours}; Codex {codex} wrote here")),
    }
}
