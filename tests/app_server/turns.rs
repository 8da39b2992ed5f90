//! What a connection is told without asking, thread by thread, in order.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use crate::allowed::{self, CHILD};
use crate::compare::{Comparison, align};

/// One thing that was told, or asked of the client.
#[derive(Clone)]
struct Told {
    /// The method, for an item its type, and whether it is of a child.
    what: String,
    thread: Option<String>,
    turn: Option<String>,
    params: Value,
}

/// What one thread is told, or the connection outside of threads.
struct Group {
    thread: Option<String>,
    told: Vec<Told>,
}

impl Group {
    /// Its turns, in the order they were first told of.
    fn turns(&self) -> Vec<&str> {
        let mut turns: Vec<&str> = Vec::new();
        for turn in self.told.iter().filter_map(|told| told.turn.as_deref()) {
            if !turns.contains(&turn) {
                turns.push(turn);
            }
        }
        turns
    }

    /// Leaves out the turns that no client began, where the allow-list has them: all that is told of them, and the statuses
    /// that come of them.
    fn leave_out_unasked(&mut self) {
        if !allowed::is_left_out(UNASKED) {
            return;
        }
        let is_unasked = |told: &Told| {
            let turn = &told.params["turn"];
            told.what == "turn/started" && turn["rootTurnId"].is_string() && turn["rootTurnId"] != turn["id"]
        };
        let turns: HashSet<String> =
            self.told.iter().filter(|told| is_unasked(told)).filter_map(|told| told.turn.clone()).collect();
        let (mut kept, mut open): (Vec<Told>, bool) = (Vec::new(), false);
        for told in self.told.drain(..) {
            match &told.turn {
                Some(turn) if turns.contains(turn) => {
                    if told.what == "turn/started" {
                        // It became active for this turn.
                        kept.pop_if(|before| before.what == STATUS);
                    }
                    open = told.what != "turn/completed";
                }
                None if open && told.what == STATUS => {}
                _ => kept.push(told),
            }
        }
        self.told = kept;
    }
}

/// What tells how a thread is.
const STATUS: &str = "thread/status/changed";
/// What the allow-list calls a turn of a thread with clients that none of them began.
const UNASKED: &str = "turn(unasked)";

/// Which threads the recording made, and which of them are children.
pub struct Made {
    pub threads: HashSet<String>,
    pub children: HashSet<String>,
}

/// True for what is told of a thread that the recording made, or of none, and not left out of a child.
pub fn is_awaited(message: &Value, made: &Made) -> bool {
    let Some(Told { what, thread: Some(thread), .. }) = told(message) else { return true };
    made.threads.contains(&thread) && !(made.children.contains(&thread) && allowed::is_left_out(&(what + CHILD)))
}

/// Compares all that one connection was told, but of threads that the recording did not make.
pub fn compare(comparison: &mut Comparison, ours: &[Value], theirs: &[Value], made: &Made) {
    let mut ours: Vec<Option<Group>> = groups(ours).into_iter().map(Some).collect();
    let is_made = |group: &Group| group.thread.as_ref().is_none_or(|thread| made.threads.contains(thread));
    for mut theirs in groups(theirs).into_iter().filter(is_made) {
        let belongs = |ours: &Group| fits(comparison, ours.thread.as_deref(), theirs.thread.as_deref());
        let found = ours.iter().position(|ours| ours.as_ref().is_some_and(belongs));
        let mut ours = found.and_then(|at| ours[at].take()).unwrap_or(Group { thread: None, told: Vec::new() });
        if theirs.thread.as_ref().is_some_and(|thread| made.children.contains(thread)) {
            [&mut ours, &mut theirs].into_iter().flat_map(|group| &mut group.told).for_each(|told| told.what += CHILD);
        } else {
            ours.leave_out_unasked();
        }
        if let (Some(ours), Some(theirs)) = (&ours.thread, &theirs.thread) {
            comparison.ids.pair(theirs, ours);
        }
        // Turns that no answer named: one after the other.
        let news = ours.turns().into_iter().filter(|turn| !comparison.ids.is_known_of_ours(turn)).collect::<Vec<_>>();
        let unpaired = theirs.turns().into_iter().filter(|turn| comparison.ids.ours(turn).is_none());
        for (theirs, ours) in unpaired.collect::<Vec<_>>().into_iter().zip(news) {
            comparison.ids.pair(theirs, ours);
        }
        sequence(comparison, &within(ours.told, &theirs.told), &theirs.told);
    }
    for more in ours.into_iter().flatten() {
        sequence(comparison, &more.told, &[]);
    }
}

/// What was told while they recorded: they may have ended before the rest came.
fn within(mut ours: Vec<Told>, theirs: &[Told]) -> Vec<Told> {
    let count = |told: &[Told], what: &str| told.iter().filter(|told| told.what == what).count();
    while ours.last().is_some_and(|last| last.turn.is_none() && count(&ours, &last.what) > count(theirs, &last.what)) {
        ours.pop();
    }
    ours
}

/// True if both name the same as far as is known: of what is not known, the next one.
fn fits(comparison: &Comparison, ours: Option<&str>, theirs: Option<&str>) -> bool {
    match (ours, theirs) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => match comparison.ids.ours(theirs) {
            Some(known) => known == ours,
            None => !comparison.ids.is_known_of_ours(ours),
        },
        _ => false,
    }
}

fn groups(heard: &[Value]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for told in heard.iter().filter_map(told) {
        let at = groups.iter().position(|group| group.thread == told.thread).unwrap_or_else(|| {
            groups.push(Group { thread: told.thread.clone(), told: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[at].told;
        // How a text is cut into deltas says nothing; all of an item are one.
        let earlier = group.iter_mut().find(|earlier| {
            told.params["delta"].is_string()
                && earlier.what == told.what
                && earlier.params["itemId"] == told.params["itemId"]
        });
        match earlier {
            Some(earlier) => {
                let text =
                    [&earlier.params["delta"], &told.params["delta"]].map(|delta| delta.as_str().unwrap_or_default());
                earlier.params["delta"] = json!(text.concat());
            }
            None => group.push(told),
        }
    }
    groups
}

/// What the allow-list calls a message: its method, and for an item its type.
pub fn name(method: &str, params: &Value) -> String {
    let kind = params["item"]["type"].as_str().map(|kind| format!("({kind})")).unwrap_or_default();
    method.to_owned() + &kind
}

fn told(message: &Value) -> Option<Told> {
    let (method, params) = (message["method"].as_str()?, &message["params"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let thread = text(&params["threadId"]).or_else(|| text(&params["thread"]["id"]));
    let turn = text(&params["turnId"]).or_else(|| text(&params["turn"]["id"]));
    Some(Told { what: name(method, params), thread, turn, params: params.clone() })
}

/// Compares what both were told in the same order, and names the rest. What may come at another place has an order of its own.
fn sequence(comparison: &mut Comparison, ours: &[Told], theirs: &[Told]) {
    let moved: BTreeSet<&str> =
        ours.iter().chain(theirs).map(|told| &*told.what).filter(|what| allowed::is_moved(what)).collect();
    let of = |told: &'_ [Told], moves: Option<&str>| -> Vec<Told> {
        let is = |told: &&Told| moves.map_or(!moved.contains(&*told.what), |what| told.what == what);
        told.iter().filter(is).cloned().collect()
    };
    for moves in moved.iter().copied().map(Some).chain([None]) {
        in_order(comparison, &of(ours, moves), &of(theirs, moves));
    }
}

fn in_order(comparison: &mut Comparison, ours: &[Told], theirs: &[Told]) {
    let same = |mine: &Told, yours: &Told| {
        mine.what == yours.what && fits(comparison, mine.turn.as_deref(), yours.turn.as_deref())
    };
    for pair in align(ours, theirs, same) {
        match pair {
            (Some(mine), Some(yours)) => {
                comparison.values(&format!("{} params", mine.what), &mine.params, &yours.params);
            }
            (Some(mine), None) => comparison.differ(&mine.what, Some(&mine.params), None),
            (None, yours) => {
                yours.into_iter().for_each(|yours| comparison.differ(&yours.what, None, Some(&yours.params)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(thread: &str, kind: &str) -> Value {
        json!({"method": STATUS, "params": {"threadId": thread, "status": {"type": kind}}})
    }

    fn begins(thread: &str, turn: &str, root: &str) -> Value {
        let turn = json!({"id": turn, "rootTurnId": root});
        json!({"method": "turn/started", "params": {"threadId": thread, "turn": turn}})
    }

    fn ends(thread: &str, turn: &str) -> Value {
        json!({"method": "turn/completed", "params": {"threadId": thread, "turn": {"id": turn}}})
    }

    fn says(thread: &str, turn: &str, text: &str) -> Value {
        let params = json!({"threadId": thread, "turnId": turn, "itemId": turn, "delta": text});
        json!({"method": "item/plan/delta", "params": params})
    }

    /// A turn of a thread, from status to status.
    fn turn(thread: &str, turn: &str) -> Vec<Value> {
        let begin = [status(thread, "active"), begins(thread, turn, turn)];
        let end = [says(thread, turn, "a"), says(thread, turn, "b"), status(thread, "idle"), ends(thread, turn)];
        [begin.as_slice(), &end].concat()
    }

    const OUR_THREAD: &str = "01a1fdf1-0000-7000-8000-000000000001";
    const OUR_TURN: &str = "01a1fdf1-0000-7000-8000-000000000002";
    const ANOTHER: &str = "01a1fdf1-0000-7000-8000-000000000003";
    const THREAD: &str = "01a1fb63-0000-7000-8000-000000000001";
    const TURN: &str = "01a1fb63-0000-7000-8000-000000000002";

    /// The places where they differ.
    fn differ(ours: &[Value]) -> Vec<String> {
        let mut comparison = Comparison::default();
        let made = Made { threads: HashSet::from([THREAD.to_owned()]), children: HashSet::new() };
        compare(&mut comparison, ours, &turn(THREAD, TURN), &made);
        comparison.found.into_iter().map(|found| found.at).collect()
    }

    #[test]
    fn whatever_is_not_as_recorded_is_found() {
        let same = turn(OUR_THREAD, OUR_TURN);
        assert_eq!(differ(&same), [""; 0]);
        let changed = |change: fn(&mut Vec<Value>)| {
            let mut ours = same.clone();
            change(&mut ours);
            differ(&ours)
        };
        assert_eq!(changed(|ours| ours.swap(0, 1)), ["turn/started", "turn/started"], "another order");
        assert_eq!(changed(|ours| drop(ours.remove(5))), ["turn/completed"], "less");
        assert_eq!(changed(|ours| ours.insert(1, status(OUR_THREAD, "idle"))), [STATUS], "more");
        let another = |ours: &mut Vec<Value>| ours[3] = says(OUR_THREAD, OUR_TURN, "c");
        assert_eq!(changed(another), ["item/plan/delta params.delta"], "another value");
        let other = |ours: &mut Vec<Value>| ours[5] = ends(OUR_THREAD, ANOTHER);
        assert_eq!(changed(other), ["turn/completed", "turn/completed"], "of another turn");
        assert_eq!(differ(&[]).len(), 5, "nothing");
    }

    #[test]
    fn how_a_text_is_cut_says_nothing() {
        let mut ours = turn(OUR_THREAD, OUR_TURN);
        ours.splice(2..4, [says(OUR_THREAD, OUR_TURN, "ab")]);
        assert_eq!(differ(&ours), [""; 0]);
    }

    #[test]
    fn a_turn_that_no_client_began_is_left_out_whole() {
        let mut ours = turn(OUR_THREAD, OUR_TURN);
        let mut more = turn(OUR_THREAD, ANOTHER);
        more[1] = begins(OUR_THREAD, ANOTHER, OUR_TURN);
        ours.extend(more);
        assert_eq!(differ(&ours), [""; 0]);
    }
}
