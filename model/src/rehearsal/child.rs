//! The child: lists its folder, counts it, reports.

use sapwood_protocol::item::MailKind;

use super::command::{Area, Job};
use super::ledger::{Stand, stand};
use super::report::{Report, folder_of_task};
use super::tally::{Listing, Tally};
use super::{Move, no_shell};
use crate::request::{Entry, RequestView};

/// Where the last task came in, and what it says; `None` for an agent that was never given one.
fn last_task<'e>(entries: &'e [Entry<'_>]) -> Option<(usize, &'e str)> {
    entries.iter().enumerate().rev().find_map(|(at, entry)| match entry {
        Entry::Mail(mail) if mail.kind == Some(MailKind::NewTask) => Some((at, mail.payload.as_str())),
        _ => None,
    })
}

/// What a child does next; `None` if this agent is no child.
pub(super) fn next(view: &RequestView<'_>) -> Option<Vec<Move>> {
    let entries = view.entries();
    let (at, task) = last_task(entries)?;
    let (folder, area) = match folder_of_task(task) {
        Some(folder) => (folder.clone(), Area::Folder(folder)),
        None => (".".to_owned(), Area::All),
    };
    let count = Job::count(area.clone());
    // A result that was found for an earlier task still stands: being asked again means that the report was lost.
    if let Stand::Ready(tally) = stand(entries, &count, Tally::of_output) {
        return Some(vec![Move::Answer(Report { folder, tally }.text())]);
    }
    if let Some(sorry) = no_shell(view) {
        return Some(vec![Move::Answer(sorry)]);
    }
    let entries = &entries[at..];
    let list = Job::list(area);
    if let Stand::Todo { narrow, timeout_ms } = stand(entries, &list, Listing::of_output) {
        let what = Move::Say(format!("I will look at what is in {folder:?}, then count it."));
        return Some(vec![what, Move::Run { job: list, narrow, timeout_ms }]);
    }
    Some(vec![match stand(entries, &count, Tally::of_output) {
        Stand::Ready(tally) => Move::Answer(Report { folder, tally }.text()),
        Stand::Todo { narrow, timeout_ms } => Move::Run { job: count, narrow, timeout_ms },
        Stand::Failed(why) => Move::Answer(format!("I could not count folder {folder:?}: {why}.")),
    }])
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::super::report::task;
    use super::*;

    fn src() -> Area {
        Area::Folder("src".to_owned())
    }

    fn asked(history: History) -> History {
        history.mail("/root", "NEW_TASK", &task("src"))
    }

    fn moves(history: &History) -> Option<Vec<Move>> {
        next(&RequestView::parse(&history.body()).unwrap())
    }

    #[test]
    fn what_comes_next() {
        let run = |job: Job| Move::Run { job, narrow: 0, timeout_ms: 120_000 };
        let say = Move::Say("I will look at what is in \"src\", then count it.".to_owned());
        let counts = "how git\nrow 2 .rs 5 40\nend 2 5 40\n";
        let tally = Tally::of_output(counts).unwrap();
        let report = Move::Answer(Report { folder: "src".to_owned(), tally }.text());
        let sorry = |why: &str| Move::Answer(format!("I could not count folder \"src\": {why}."));

        let start = asked(History::with(&[]));
        let listed = start.clone().ran(&Job::list(src()), "how git\nmore 0 0\ntop 2\nend 0 2\n");
        let counted = listed.clone().ran(&Job::count(src()), counts);
        let broken = |history: History| (0..3).fold(history, |h, _| h.ran(&Job::count(src()), "sh: no awk"));
        let table = [
            (start.clone(), vec![say, run(Job::list(src()))]),
            (listed.clone(), vec![run(Job::count(src()))]),
            (counted.clone(), vec![report.clone()]),
            (asked(counted), vec![report]),
            (broken(listed.clone()), vec![sorry("its output made no sense: sh: no awk")]),
        ];
        for (history, expected) in table {
            assert_eq!(moves(&history), Some(expected));
        }
        // Asked again, it tries again.
        assert_ne!(moves(&asked(broken(listed))), Some(vec![sorry("its output made no sense: sh: no awk")]));
    }

    #[test]
    fn other_tasks_and_other_agents() {
        assert_eq!(moves(&History::root()), None);
        let other = History::with(&[]).mail("/root", "NEW_TASK", "Sing.");
        assert!(matches!(&moves(&other).unwrap()[..], [Move::Say(_), Move::Run { job, .. }] if job.area == Area::All));
    }
}
