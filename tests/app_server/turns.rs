//! What a connection is told without asking, turn by turn, in order.

use serde_json::{Value, json};

use crate::compare::Comparison;

/// One thing that was told, or asked of the client.
struct Told {
    /// The method, and for an item its type.
    what: String,
    thread: Option<String>,
    turn: Option<String>,
    params: Value,
}

/// What belongs together: one turn, or what a thread or the connection has outside of turns.
struct Group {
    thread: Option<String>,
    turn: Option<String>,
    told: Vec<Told>,
}

/// Compares all that one connection was told, but of threads that the recording did not make.
pub fn compare(comparison: &mut Comparison, ours: &[Value], theirs: &[Value], made: &dyn Fn(&str) -> bool) {
    let mut ours: Vec<Option<Group>> = groups(ours).into_iter().map(Some).collect();
    let made = |group: &Group| group.thread.as_deref().is_none_or(made);
    for theirs in groups(theirs).into_iter().filter(made) {
        let found = ours.iter().position(|ours| ours.as_ref().is_some_and(|ours| belong(comparison, ours, &theirs)));
        let ours = found.and_then(|at| ours[at].take());
        if let Some(ours) = &ours {
            let pairs = [(&ours.thread, &theirs.thread), (&ours.turn, &theirs.turn)];
            for (ours, theirs) in pairs {
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    comparison.ids.pair(theirs, ours);
                }
            }
        }
        let mut told = ours.map(|group| group.told).unwrap_or_default();
        if theirs.turn.is_none() {
            // The recording may have ended before the rest came.
            let last = theirs.told.last().and_then(|last| told.iter().rposition(|ours| ours.what == last.what));
            told.truncate(last.map_or(told.len(), |last| last + 1));
        }
        sequence(comparison, told, theirs.told);
    }
    for more in ours.into_iter().flatten() {
        sequence(comparison, more.told, Vec::new());
    }
}

/// True if they are the same turn as far as is known: of what is not known, the next one.
fn belong(comparison: &Comparison, ours: &Group, theirs: &Group) -> bool {
    let fits = |ours: &Option<String>, theirs: &Option<String>| match (ours, theirs) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => match comparison.ids.ours(theirs) {
            Some(known) => known == ours,
            None => !comparison.ids.is_known_of_ours(ours),
        },
        _ => false,
    };
    fits(&ours.thread, &theirs.thread) && fits(&ours.turn, &theirs.turn)
}

fn groups(heard: &[Value]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for told in heard.iter().filter_map(told) {
        let at = groups.iter().position(|group| (&group.thread, &group.turn) == (&told.thread, &told.turn));
        let at = at.unwrap_or_else(|| {
            groups.push(Group { thread: told.thread.clone(), turn: told.turn.clone(), told: Vec::new() });
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

fn told(message: &Value) -> Option<Told> {
    let (method, params) = (message["method"].as_str()?, &message["params"]);
    let kind = params["item"]["type"].as_str().map(|kind| format!("({kind})")).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let thread = text(&params["threadId"]).or_else(|| text(&params["thread"]["id"]));
    let turn = text(&params["turnId"]).or_else(|| text(&params["turn"]["id"]));
    Some(Told { what: format!("{method}{kind}"), thread, turn, params: params.clone() })
}

/// What has an order of its own: Codex says what a response cost when its calls have ended, and we do when it is known.
const APART: &str = "thread/tokenUsage/updated";

/// Compares what both were told in the same order, and names the rest.
fn sequence(comparison: &mut Comparison, ours: Vec<Told>, theirs: Vec<Told>) {
    let split = |told: Vec<Told>| told.into_iter().partition::<Vec<Told>, _>(|told| told.what == APART);
    let ((ours_apart, ours), (theirs_apart, theirs)) = (split(ours), split(theirs));
    in_order(comparison, ours_apart, theirs_apart);
    in_order(comparison, ours, theirs);
}

fn in_order(comparison: &mut Comparison, ours: Vec<Told>, theirs: Vec<Told>) {
    let mut common = vec![vec![0; theirs.len() + 1]; ours.len() + 1];
    for (i, mine) in ours.iter().enumerate().rev() {
        for (j, yours) in theirs.iter().enumerate().rev() {
            let skip = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if mine.what == yours.what { common[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < ours.len() || j < theirs.len() {
        match (ours.get(i), theirs.get(j)) {
            (Some(mine), Some(yours)) if mine.what == yours.what => {
                comparison.values(&format!("{} params", mine.what), &mine.params, &yours.params);
                (i, j) = (i + 1, j + 1);
            }
            (Some(mine), yours) if yours.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                comparison.differ(&mine.what, Some(&mine.params), None);
                i += 1;
            }
            (_, Some(yours)) => {
                comparison.differ(&yours.what, None, Some(&yours.params));
                j += 1;
            }
            _ => unreachable!("one of them is left"),
        }
    }
}
