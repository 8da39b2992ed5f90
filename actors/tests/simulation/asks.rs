//! Questions of a simulated tree: what is answered, and what must hold of it in the end.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_protocol::approval::Permissions;
use sapwood_protocol::asked::{Asked, ContentItem, Decision, Resolution, Scope, What};
use sapwood_protocol::own::Own;
use sapwood_protocol::{CallId, Line};

/// An answer that fits the question, or an error.
pub fn any_answer(what: &What, chance: u64) -> Resolution {
    match (what, chance % 8) {
        (_, 0) => Resolution::Failed,
        (_, 1) => Resolution::Invalid,
        (What::Command(_) | What::FileChange { .. }, n) => {
            let decision = match n {
                2 => Decision::Decline,
                3 if chance.is_multiple_of(5) => Decision::Cancel,
                4 => Decision::AcceptForSession,
                _ => Decision::Accept,
            };
            Resolution::Decided { decision }
        }
        (What::Permissions { permissions, .. }, n) => {
            let permissions = if n == 2 { Permissions::default() } else { permissions.clone() };
            let scope = if n == 3 { Scope::Session } else { Scope::Turn };
            Resolution::Granted { permissions, scope, strict_auto_review: false }
        }
        (What::UserInput { .. }, _) => Resolution::Given { answers: BTreeMap::new() },
        (What::DynamicTool { .. }, n) => {
            let content_items = vec![ContentItem::InputText { text: n.to_string() }];
            Resolution::Returned { content_items, success: n != 2 }
        }
    }
}

fn is_yes(how: &Resolution) -> bool {
    matches!(how, Resolution::Decided { decision: Decision::Accept | Decision::AcceptForSession })
}

/// What must hold of the questions of a thread. `free` are its calls that ran outside of a sandbox.
pub fn check(seed: u64, lines: &[Line], free: &BTreeSet<CallId>) {
    let mut open: BTreeMap<_, Asked> = BTreeMap::new();
    let mut newest: BTreeMap<CallId, Option<Resolution>> = BTreeMap::new();
    let (mut allowed, mut answered, mut for_session) = (BTreeSet::new(), BTreeSet::new(), false);
    for line in lines {
        let Ok(view) = line.view() else { continue };
        if matches!(&*view.tag(), "task_complete" | "turn_aborted") {
            assert!(open.is_empty(), "seed {seed}: a turn ended, and is asking still: {open:?}");
        }
        match Own::parse(&view).unwrap() {
            Some(Own::Asked(asked)) => {
                let no_two = newest.insert(asked.call.clone(), None).is_none_or(|before| before.is_some());
                assert!(no_two, "seed {seed}: {} asks twice at once", asked.call);
                let before = open.insert(asked.id.clone(), asked);
                assert_eq!(before, None, "seed {seed}: one id for two questions");
            }
            Some(Own::Answered(answer)) => {
                let Some(asked) = open.remove(&answer.id) else {
                    panic!("seed {seed}: {} was answered, and is not open", answer.id);
                };
                assert!(answered.insert(answer.id), "seed {seed}: one question was answered twice");
                if is_yes(&answer.how) {
                    allowed.insert(asked.call.clone());
                }
                for_session |= matches!(answer.how, Resolution::Decided { decision: Decision::AcceptForSession });
                newest.insert(asked.call, Some(answer.how));
            }
            Some(Own::ToolStarted(started)) => {
                let how = newest.get(&started.call);
                let may = how.is_none_or(|how| how.as_ref().is_some_and(is_yes));
                assert!(may, "seed {seed}: {} began with the answer {how:?}", started.call);
            }
            _ => {}
        }
    }
    for call in free {
        assert!(allowed.contains(call) || for_session, "seed {seed}: nobody allowed {call}");
    }
}
