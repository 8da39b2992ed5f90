//! The open questions of an agent's turn, folded from its lines.

use std::sync::Arc;

use sapwood_protocol::CallId;
use sapwood_protocol::Millis;
use sapwood_protocol::approval::Permissions;
use sapwood_protocol::asked::{Answered, Asked, Resolution, Scope};
use sapwood_protocol::ids::AskId;

use super::permissions;

/// Open questions of one turn, at most: no more calls work side by side. One more is not asked, and its call is refused.
pub const MAX_OPEN: usize = 16;

/// The questions of the open turn: those that are open, in the order in which they were asked, and the answers that
/// their calls have not made use of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pending {
    open: Vec<Arc<Asked>>,
    heard: Vec<Heard>,
    granted: Permissions,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    asked: Arc<Asked>,
    how: Resolution,
    /// Its call has begun since.
    is_used: bool,
}

/// What a thread waits for, as its status says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingOn {
    /// An approval.
    pub approval: bool,
    /// A person's words.
    pub user_input: bool,
}

impl Pending {
    /// Follows `sapwood.asked`. The same question again is the same question.
    pub fn asked(&mut self, asked: Asked) {
        let mut known = self.open.iter().chain(self.heard.iter().map(|heard| &heard.asked));
        if !known.any(|known| known.id == asked.id) {
            self.open.push(Arc::new(asked));
        }
    }

    /// Follows `sapwood.answered`: what was asked, if it was open. The first answer counts.
    pub fn answered(&mut self, answered: &Answered) -> Option<&Asked> {
        let at = self.open.iter().position(|asked| asked.id == answered.id)?;
        let asked = self.open.remove(at);
        if let Some(granted) = permissions::granted(&asked.what, &answered.how)
            && !matches!(answered.how, Resolution::Granted { scope: Scope::Session, .. })
        {
            self.granted.add(&granted);
        }
        self.heard.push(Heard { asked, how: answered.how.clone(), is_used: false });
        self.heard.last().map(|heard| &*heard.asked)
    }

    /// The newest answer to a question of a call that the call has not begun with, while it is open.
    pub fn heard(&self, call: &CallId) -> Option<(&Asked, &Resolution)> {
        self.of(call).next_back().filter(|heard| !heard.is_used).map(|heard| (&*heard.asked, &heard.how))
    }

    /// True if there is an answer that its call has not begun with. What was withdrawn was answered by nobody.
    pub fn has_unused(&self) -> bool {
        self.heard.iter().any(|heard| !heard.is_used && heard.how != Resolution::Withdrawn)
    }

    /// True if a question of a call was answered, whether the call has begun since or not.
    pub fn was_answered(&self, call: &CallId) -> bool {
        self.of(call).next().is_some()
    }

    /// When a call first asked.
    pub fn since(&self, call: &CallId) -> Option<Millis> {
        let open = self.open.iter().filter(|asked| asked.call == *call);
        self.of(call).map(|heard| &heard.asked).chain(open).map(|asked| asked.at).min()
    }

    fn of(&self, call: &CallId) -> impl DoubleEndedIterator<Item = &Heard> {
        self.heard.iter().filter(move |heard| heard.asked.call == *call)
    }

    /// A call begins: it makes use of what it heard.
    pub fn begun(&mut self, call: &CallId) {
        self.heard.iter_mut().filter(|heard| heard.asked.call == *call).for_each(|heard| heard.is_used = true);
    }

    /// A call has its output: what it asked is of no use any more.
    pub fn closed(&mut self, call: &CallId) {
        self.open.retain(|asked| asked.call != *call);
        self.heard.retain(|heard| heard.asked.call != *call);
    }

    /// What was granted for this turn.
    pub fn granted(&self) -> &Permissions {
        &self.granted
    }

    /// True if another question may be asked.
    pub fn has_room(&self) -> bool {
        self.open.len() < MAX_OPEN
    }

    /// An open question.
    pub fn get(&self, id: &AskId) -> Option<&Arc<Asked>> {
        self.open.iter().find(|asked| asked.id == *id)
    }

    /// The open question of a call.
    pub fn of_call(&self, call: &CallId) -> Option<&Arc<Asked>> {
        self.open.iter().find(|asked| asked.call == *call)
    }

    /// The open questions, in order: what a client that comes later is asked.
    pub fn open(&self) -> &[Arc<Asked>] {
        &self.open
    }

    /// True if no question is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What the thread waits for. A tool of a client is work, and nothing that a person is waited for.
    pub fn waiting_on(&self) -> WaitingOn {
        WaitingOn {
            approval: self.open.iter().any(|asked| asked.what.is_approval()),
            user_input: self.open.iter().any(|asked| asked.what.is_for_words()),
        }
    }

    /// The turn is over: whatever was open is no question any more, and what was granted for it is gone. Its
    /// `sapwood.answered` lines come before the line that ends the turn; a foreign line that ends it comes without.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::approval::Network;
    use sapwood_protocol::asked::{Decision, What};

    fn files(id: &str) -> Asked {
        let what = What::FileChange { reason: None, grant_root: None, paths: vec!["/a".into()] };
        Asked { id: AskId::from(id), call: CallId::from(format!("call-{id}")), at: Millis(1), what }
    }

    fn words(id: &str) -> Asked {
        Asked { what: What::UserInput { questions: Vec::new(), blocking: true, auto_resolution_ms: None }, ..files(id) }
    }

    fn tool(id: &str) -> Asked {
        let what = What::DynamicTool { namespace: None, tool: "t".into(), arguments: serde_json::json!({}) };
        Asked { what, ..files(id) }
    }

    fn yes(id: &str) -> Answered {
        Answered { id: AskId::from(id), how: Resolution::Decided { decision: Decision::Accept } }
    }

    /// What happens to the questions of a turn.
    enum Does {
        Asks(Asked),
        /// An answer comes, and finds its question or not.
        Hears(&'static str, bool),
        Ends,
    }

    #[test]
    fn questions_are_answered_once_in_any_order() {
        use Does::*;
        let table: [(&str, Vec<Does>, &[&str]); 9] = [
            ("asked", vec![Asks(files("a"))], &["a"]),
            ("asked again after a restart", vec![Asks(files("a")), Asks(files("a"))], &["a"]),
            ("answered before it is asked again", vec![Asks(files("a")), Hears("a", true), Asks(files("a"))], &[]),
            ("answered", vec![Asks(files("a")), Hears("a", true)], &[]),
            ("answered twice", vec![Asks(files("a")), Hears("a", true), Hears("a", false)], &[]),
            ("never asked", vec![Hears("x", false)], &[]),
            (
                "out of order",
                vec![Asks(files("a")), Asks(words("b")), Asks(tool("c")), Hears("b", true), Hears("a", true)],
                &["c"],
            ),
            ("interrupted, then late", vec![Asks(files("a")), Asks(files("b")), Ends, Hears("a", false)], &[]),
            ("the next turn asks", vec![Asks(files("a")), Ends, Asks(files("b")), Hears("a", false)], &["b"]),
        ];
        for (name, steps, open) in table {
            let mut pending = Pending::default();
            for step in steps {
                match step {
                    Asks(asked) => pending.asked(asked),
                    Hears(id, found) => {
                        let asked = pending.answered(&yes(id)).map(|asked| asked.id.clone());
                        assert_eq!(asked, found.then(|| AskId::from(id)), "{name}");
                    }
                    Ends => pending.clear(),
                }
            }
            let left: Vec<&str> = pending.open().iter().map(|asked| asked.id.as_str()).collect();
            assert_eq!(left, open, "{name}");
        }
    }

    #[test]
    fn a_status_says_what_is_waited_for() {
        let mut pending = Pending::default();
        let table = [
            (tool("t"), WaitingOn { approval: false, user_input: false }),
            (words("w"), WaitingOn { approval: false, user_input: true }),
            (files("f"), WaitingOn { approval: true, user_input: true }),
        ];
        for (asked, waiting) in table {
            pending.asked(asked);
            assert_eq!(pending.waiting_on(), waiting);
        }
        pending.answered(&yes("w"));
        assert_eq!(pending.waiting_on(), WaitingOn { approval: true, user_input: false });
        assert_eq!(pending.of_call(&CallId::from("call-f")).map(|asked| asked.id.as_str()), Some("f"));
    }

    #[test]
    fn open_questions_are_bounded() {
        let mut pending = Pending::default();
        for n in 0..MAX_OPEN {
            assert!(pending.has_room());
            pending.asked(files(&n.to_string()));
        }
        assert!(!pending.has_room());
    }

    #[test]
    fn an_answer_stays_until_its_call_is_closed() {
        let mut pending = Pending::default();
        let call = CallId::from("call-a");
        pending.asked(files("a"));
        assert_eq!(pending.heard(&call), None);
        pending.answered(&yes("a"));
        assert_eq!(pending.heard(&call), Some((&files("a"), &yes("a").how)));
        // The sandbox stopped it: the same call asks again.
        let again = Asked { call: call.clone(), ..files("b") };
        pending.asked(again.clone());
        assert_eq!(pending.of_call(&call).map(|asked| &**asked), Some(&again));
        let no = Answered { id: AskId::from("b"), how: Resolution::Failed };
        pending.answered(&no);
        assert_eq!(pending.heard(&call), Some((&again, &Resolution::Failed)), "the newest one");
        pending.begun(&call);
        assert_eq!((pending.heard(&call), pending.was_answered(&call)), (None, true), "the call has begun with it");
        pending.closed(&call);
        assert_eq!(pending, Pending::default());
    }

    #[test]
    fn what_is_granted_for_a_turn_goes_with_it() {
        let network = Permissions { network: Some(Network { enabled: Some(true) }), file_system: None };
        let what = || What::Permissions { reason: None, cwd: "/w".into(), permissions: network.clone() };
        let granted = |id: &str, scope| Answered {
            id: AskId::from(id),
            how: Resolution::Granted { permissions: network.clone(), scope, strict_auto_review: false },
        };
        let mut pending = Pending::default();
        pending.asked(Asked { what: what(), ..files("a") });
        pending.answered(&granted("a", Scope::Session));
        assert!(pending.granted().is_empty(), "the session has it");
        pending.asked(Asked { what: what(), ..files("b") });
        pending.answered(&granted("b", Scope::Turn));
        assert_eq!(pending.granted(), &network);
        pending.clear();
        assert_eq!(pending, Pending::default());
    }
}
