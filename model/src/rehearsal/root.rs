//! The root: lists the repository, spawns children, waits for them, answers.

use super::answer::{self, NOTICE};
use super::ledger::Stand;
use super::plan::{Child, Need, Plan, State};
use super::report::task;
use super::{COLLABORATION, Move, no_shell};
use crate::request::RequestView;

use super::command::{Area, Job};

/// How long one wait lasts. A report ends it at once, so it only bounds how often nothing is said.
const WAIT_MS: u64 = 60_000;
/// Waits that were answered with an error, before the root does without.
const MAX_WAIT_ERRORS: u32 = 3;

/// What the root does next.
pub(super) fn next(view: &RequestView<'_>) -> Vec<Move> {
    let plan = Plan::fold(view);
    let moves = work(&plan);
    if !moves.is_empty() {
        return match no_shell(view) {
            Some(sorry) => vec![Move::Answer(format!("{sorry}\n\n{NOTICE}"))],
            None => moves,
        };
    }
    waiting(&plan, view).unwrap_or_else(|| vec![Move::Answer(answer::table(&plan, view))])
}

/// What can be done at once: the list first, then all spawns and the root's own counts together.
fn work(plan: &Plan) -> Vec<Move> {
    match &plan.listing {
        Stand::Todo { narrow, timeout_ms } => {
            let say = Move::Say("I will list this repository, and ask an agent about each large folder.".to_owned());
            let job = Job::list(Area::All);
            return vec![say, Move::Run { job, narrow: *narrow, timeout_ms: *timeout_ms }];
        }
        Stand::Failed(_) => return Vec::new(),
        Stand::Ready(_) => {}
    }
    let unasked = plan.children.iter().filter(|child| child.state == State::Unasked);
    let mut moves: Vec<Move> =
        unasked.map(|child| Move::Spawn { task_name: child.task_name.clone(), message: task(&child.folder) }).collect();
    let own = plan.own.iter().map(|(job, stand)| (job.clone(), stand));
    let refused = plan.children.iter().filter_map(|child| match &child.state {
        State::Refused { own, .. } => Some((child.job(), own)),
        _ => None,
    });
    moves.extend(own.chain(refused).filter_map(|(job, stand)| match stand {
        Stand::Todo { narrow, timeout_ms } => Some(Move::Run { job, narrow: *narrow, timeout_ms: *timeout_ms }),
        Stand::Ready(_) | Stand::Failed(_) => None,
    }));
    moves
}

/// What to do while reports are missing; `None` when nothing more will come.
fn waiting(plan: &Plan, view: &RequestView<'_>) -> Option<Vec<Move>> {
    let needs: Vec<(&Child, Need)> = plan.children.iter().map(|child| (child, plan.need(child, view))).collect();
    // While a child is at work, those that were lost have time to report after all.
    let at_work = needs.iter().any(|(child, need)| child.state == State::Out && *need == Need::Wait);
    if !at_work {
        if needs.iter().any(|(_, need)| *need == Need::Look) {
            return Some(vec![Move::List]);
        }
        let lost = needs.iter().filter(|(_, need)| *need == Need::FollowUp);
        let again: Vec<Move> = lost
            .map(|(child, _)| Move::FollowUp {
                target: child.path.clone().unwrap_or_else(|| child.task_name.clone()),
                message: task(&child.folder),
            })
            .collect();
        if !again.is_empty() {
            return Some(again);
        }
    }
    let missing: Vec<&str> = needs
        .iter()
        .filter(|(_, need)| !matches!(need, Need::Nothing | Need::Missing(_)))
        .map(|(child, _)| child.folder.as_str())
        .collect();
    if missing.is_empty() {
        return None;
    }
    if view.offers(Some(COLLABORATION), "wait_agent") && plan.wait_errors < MAX_WAIT_ERRORS {
        // A limit that the runtime does not take is the likely reason for an error, so the next wait names none.
        return Some(vec![Move::Wait { timeout_ms: (plan.wait_errors == 0).then_some(WAIT_MS) }]);
    }
    let text = format!("Reports are still to come on {}. I go on when they arrive.", missing.join(", "));
    Some(vec![Move::Answer(text)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::history::History;
    use super::super::report::Report;
    use super::super::tally::Tally;
    use super::*;

    const LIST: &str = "how git\ndir 3 a\ndir 2 b\nmore 0 0\ntop 1\nend 2 6\n";
    const OWN: &str = "how git\nrow 1 .md 2 3\nend 1 2 3\n";

    fn rest() -> Job {
        Job::count(Area::Except(vec!["a".to_owned(), "b".to_owned()]))
    }

    fn listed() -> History {
        History::root().ran(&Job::list(Area::All), LIST)
    }

    /// Both children spawned, the root's own count done.
    fn out() -> History {
        listed().spawned("map_a").spawned("map_b").ran(&rest(), OWN)
    }

    fn report(folder: &str) -> String {
        let tally = Tally::of_output("how git\nrow 2 .rs 5 40\nend 2 5 40\n").unwrap();
        Report { folder: folder.to_owned(), tally }.text()
    }

    fn reported(history: History, name: &str) -> History {
        history.mail(&format!("/root/map_{name}"), "FINAL_ANSWER", &report(name))
    }

    fn lost(history: History) -> History {
        history.mail("/root/map_b", "FINAL_ANSWER", "Agent lost: the program ended")
    }

    fn agents(history: History, status: &str) -> History {
        let agents = json!({"agents": [{"agent_name": "/root/map_b", "agent_status": status}]});
        history.call("list_agents", json!({}), &agents.to_string())
    }

    fn waited(history: History, times: usize) -> History {
        let timed_out = r#"{"message":"Wait timed out.","timed_out":true}"#;
        (0..times).fold(history, |history, _| history.call("wait_agent", json!({}), timed_out))
    }

    fn asked_again(history: History) -> History {
        history.call("followup_task", json!({"target": "/root/map_b"}), "")
    }

    fn moves(history: &History) -> String {
        let body = history.body();
        let moves = next(&RequestView::parse(&body).unwrap());
        let name = |step: &Move| match step {
            Move::Say(_) => "say".to_owned(),
            Move::Run { job, narrow, .. } => {
                let area = match &job.area {
                    Area::All => "all",
                    Area::Folder(name) => name,
                    Area::Except(_) => "rest",
                };
                format!("{:?} {area} {narrow}", job.verb)
            }
            Move::Spawn { task_name, .. } => format!("spawn {task_name}"),
            Move::Wait { timeout_ms } => format!("wait {timeout_ms:?}"),
            Move::List => "list".to_owned(),
            Move::FollowUp { target, .. } => format!("follow up {target}"),
            Move::Answer(text) => text.lines().next().unwrap_or_default().to_owned(),
        };
        moves.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_comes_next() {
        const DONE: &str = "# Map of this repository";
        const WAIT: &str = "wait Some(60000)";
        let b_lost = || lost(reported(out(), "a"));
        let again = || asked_again(agents(b_lost(), "not_found"));
        let no_wait =
            History::with(&["spawn_agent"]).ran(&Job::list(Area::All), LIST).spawned("map_a").spawned("map_b");
        let table = [
            ("asked", History::root(), "say, List all 0"),
            ("listed", listed(), "spawn map_a, spawn map_b, Count rest 0"),
            (
                "a spawn aborted",
                listed().spawned("map_a").call("spawn_agent", json!({"task_name": "map_b"}), "aborted"),
                "spawn map_b, Count rest 0",
            ),
            (
                "a spawn refused",
                listed().spawned("map_a").call("spawn_agent", json!({"task_name": "map_b"}), "no"),
                "Count rest 0, Count b 0",
            ),
            ("children at work", out(), WAIT),
            ("a wait of unknown effect", out().call("wait_agent", json!({}), "aborted"), WAIT),
            ("a wait refused", out().call("wait_agent", json!({}), "too long"), "wait None"),
            (
                "waits do not work",
                (0..3).fold(out(), |h, _| h.call("wait_agent", json!({}), "unsupported")),
                "Reports are still to come on a, b. I go on when they arrive.",
            ),
            ("no waits", no_wait.ran(&rest(), OWN), "Reports are still to come on a, b. I go on when they arrive."),
            ("one reported", reported(out(), "a"), WAIT),
            ("one lost, one at work", lost(out()), WAIT),
            ("only a lost one left", b_lost(), "list"),
            ("it is at work again", agents(b_lost(), "running"), WAIT),
            ("it is not", agents(b_lost(), "not_found"), "follow up /root/map_b"),
            ("it was asked again", again(), WAIT),
            ("it was asked again, and reports", reported(again(), "b"), DONE),
            ("it stays silent", waited(again(), 3), DONE),
            ("it is lost again", lost(again()), "list"),
            ("it is lost for good", agents(lost(again()), "not_found"), DONE),
            ("it reports late", reported(waited(again(), 3), "b"), DONE),
            ("a wait that lasts", waited(out(), 59), WAIT),
            ("a wait that lasted too long", waited(out(), 60), DONE),
            ("both reported", reported(reported(out(), "b"), "a"), DONE),
            ("reported, then said to be lost", lost(reported(reported(out(), "b"), "a")), DONE),
            ("reported twice", reported(reported(reported(out(), "a"), "b"), "b"), DONE),
            ("no tools for agents", History::with(&[]).ran(&Job::list(Area::All), LIST), "Count all 0"),
        ];
        for (state, history, expected) in table {
            assert_eq!(moves(&history), expected, "{state}");
        }
    }

    #[test]
    fn a_request_without_a_shell() {
        let view = RequestView::parse(br#"{"input":[]}"#).unwrap();
        let [Move::Answer(text)] = &next(&view)[..] else { panic!("no answer") };
        assert!(text.contains("no `exec_command`") && text.contains(NOTICE));
    }
}
