//! What clients are told, rule by rule.

use sapwood_actors::agent::event::{Shown, Snapshot};
use sapwood_protocol::ids::ItemId;
use serde_json::{Value, json};

use super::*;
use crate::history;

const AT: Millis = Millis(7_000);

pub(super) fn turn(n: u32) -> TurnId {
    TurnId::from(format!("t{n}").as_str())
}

/// A message of the model in the form of rollouts.
pub(super) fn message(id: &str, text: &str) -> Value {
    let content = if text.is_empty() { json!([]) } else { json!([{"type": "Text", "text": text}]) };
    json!({"type": "AgentMessage", "id": id, "content": content})
}

/// A command in the form of rollouts.
pub(super) fn command(id: &str, status: &str) -> Value {
    let output = (status != "in_progress").then_some("out");
    json!({
        "type": "CommandExecution", "id": id, "process_id": null, "command": ["sh", "-c", "ls"], "cwd": "/",
        "parsed_cmd": [{"type": "unknown", "cmd": "ls"}], "source": "agent", "status": status,
        "aggregated_output": output, "exit_code": null, "duration": null,
    })
}

pub(super) fn begins(n: u32) -> Event {
    Event::TurnStarted { turn: turn(n), root: turn(n), started: AT }
}

pub(super) fn ends(n: u32, outcome: Outcome) -> Event {
    let (turn, root) = (turn(n), turn(n));
    let message = (outcome == Outcome::Failed).then(|| "broken".to_owned());
    Event::TurnEnded { turn, root, outcome, message, usage: Usage::default(), error: None, started: AT, ended: AT }
}

pub(super) fn starts(n: u32, item: &Value, is_streamed: bool) -> Event {
    let shown = Shown::Agent { id: item["id"].as_str().unwrap().to_owned(), text: String::new() };
    Event::ItemStarted { turn: turn(n), item: shown, snapshot: Some(Snapshot::begun(item, AT, is_streamed)) }
}

pub(super) fn completes(n: u32, item: &Value) -> Event {
    let id = item["id"].as_str().unwrap().to_owned();
    let item_shown = match item["type"] == "AgentMessage" {
        true => Shown::Agent { id, text: String::new() },
        false => Shown::Reasoning { id, text: String::new() },
    };
    Event::ItemCompleted { turn: turn(n), item: item_shown, snapshot: Some(Snapshot::completed(item, AT, AT)) }
}

fn says(n: u32, id: &str, text: &str) -> Event {
    Event::Delta { turn: turn(n), item: ItemId::from(id), part: Part::Text, text: text.to_owned() }
}

fn costs() -> Event {
    let spent = |total_tokens| Usage { total_tokens, ..Usage::default() };
    Event::Usage { last: spent(3), turn: spent(3), thread: spent(9) }
}

/// What was told, in a few words.
fn words(told: &[Told]) -> Vec<String> {
    let text = |item: &ThreadItem| {
        let item: Value = serde_json::from_str(item.json().get()).unwrap();
        let said = item["text"].as_str().filter(|text| !text.is_empty()).map(|text| format!(" {text}"));
        let status = item["status"].as_str().map(|status| format!(" {status}"));
        format!("{}{}{}", item["id"].as_str().unwrap(), said.unwrap_or_default(), status.unwrap_or_default())
    };
    let one = |told: &Told| match told {
        Told::Status(ThreadStatus::Active { active_flags }) => format!("active{active_flags:?}"),
        Told::Status(status) => format!("{status:?}"),
        Told::TurnStarted(turn) => format!("+{}", turn.id),
        Told::TurnCompleted(turn) => {
            let items: Vec<String> = turn.items.iter().map(text).collect();
            format!("-{} {:?} {items:?}", turn.id, turn.status)
        }
        Told::ItemStarted { item, .. } => format!("+{}", text(item)),
        Told::ItemCompleted { item, .. } => format!("-{}", text(item)),
        Told::Delta { item, text, .. } => format!("{item}: {text}"),
        Told::SummaryPart { item, part, .. } => format!("{item}#{part}"),
        Told::Usage { total, last, .. } => format!("spent {} of {}", last.total_tokens, total.total_tokens),
        Told::Error { error, will_retry, .. } => format!("error({} {will_retry})", error.message),
        other => format!("{other:?}"),
    };
    told.iter().map(one).collect()
}

fn tell(story: &mut Story, events: impl IntoIterator<Item = Event>) -> Vec<String> {
    let told: Vec<Told> = events.into_iter().flat_map(|event| story.tell(AT, event)).collect();
    words(&told)
}

fn new() -> Story {
    Story::since(ThreadStatus::Idle, None)
}

#[test]
fn a_thread_waits_before_a_command_is_shown_that_is_asked_for() {
    let waits = Snapshot { asks: true, ..Snapshot::begun(&command("c", "in_progress"), AT, false) };
    let item = Shown::Command { call: "c".into(), command: "ls".to_owned(), result: None };
    let asks = Event::ItemStarted { turn: turn(1), item, snapshot: Some(waits) };
    let runs = starts(1, &command("d", "in_progress"), false);
    let told = tell(&mut new(), [begins(1), runs, asks.clone(), asks]);
    assert_eq!(told, ["active[]", "+t1", "+d inProgress", "active[WaitingOnApproval]", "+c inProgress"]);
}

#[test]
fn a_turn_is_told_before_its_items_and_ends_after_them() {
    let (said, ran) = (message("m", "hello"), command("c", "completed"));
    let events = [
        begins(1),
        starts(1, &message("m", ""), true),
        says(1, "m", "hel"),
        says(1, "m", "lo"),
        completes(1, &said),
        costs(),
        starts(1, &command("c", "in_progress"), false),
        completes(1, &ran),
        ends(1, Outcome::Completed),
    ];
    let expected = [
        "active[]",
        "+t1",
        "+m",
        "m: hel",
        "m: lo",
        "-m hello",
        "+c inProgress",
        "-c completed",
        "spent 3 of 9",
        "Idle",
        r#"-t1 Completed ["m hello"]"#,
    ];
    assert_eq!(tell(&mut new(), events), expected);
}

#[test]
fn what_runs_ends_once_however_its_turn_does() {
    let open = || [begins(1), starts(1, &message("m", ""), true), starts(1, &command("c", "in_progress"), false)];
    // (how it ends, what is told of it)
    let table: [(Outcome, &[&str]); 4] = [
        (Outcome::Completed, &["Idle", "-t1 Completed []"]),
        (Outcome::Cancelled, &["Idle", "-t1 Interrupted []"]),
        (Outcome::Lost, &["Idle", "-t1 Interrupted []"]),
        (Outcome::Failed, &["SystemError", "error(broken false)", "-t1 Failed []"]),
    ];
    for (outcome, end) in table {
        let mut story = new();
        tell(&mut story, open());
        let told = tell(&mut story, [ends(1, outcome)]);
        assert_eq!(told, [&["-c failed"], end].concat(), "{outcome:?}");
        // Whatever comes late is of no turn that is open.
        let late = [completes(1, &message("m", "late")), says(1, "m", "late"), ends(1, outcome), costs()];
        assert_eq!(tell(&mut story, late), [""; 0], "{outcome:?}");
    }
}

#[test]
fn what_a_response_cost_is_told_when_its_calls_have_ended() {
    let runs = |id: &str| starts(1, &command(id, "in_progress"), false);
    let ran = |id: &str| completes(1, &command(id, "completed"));
    let mut story = new();
    tell(&mut story, [begins(1)]);
    assert_eq!(tell(&mut story, [costs(), runs("c")]), ["+c inProgress"]);
    assert_eq!(story.spent_in(), None);
    // The next response has nothing but a call.
    assert_eq!(tell(&mut story, [ran("c"), costs()]), ["-c completed", "spent 3 of 9"]);
    assert_eq!(story.spent_in(), Some(&turn(1)));
    let told = tell(&mut story, [runs("d"), ran("d"), starts(1, &message("m", ""), true)]);
    assert_eq!(told, ["+d inProgress", "-d completed", "spent 3 of 9", "+m"]);
    assert_eq!(
        tell(&mut story, [costs(), ends(1, Outcome::Cancelled)]),
        ["spent 3 of 9", "Idle", "-t1 Interrupted []"]
    );
    let told = tell(&mut story, [begins(2), costs(), Event::Dropped { turn: turn(2) }, ends(2, Outcome::Completed)]);
    assert_eq!(told, ["active[]", "+t2", "spent 3 of 9", "Idle", "-t2 Completed []"], "once");
}

#[test]
fn a_thread_whose_question_is_answered_goes_on_and_one_whose_question_is_withdrawn_rests() {
    let what = What::UserInput { questions: Vec::new(), blocking: false, auto_resolution_ms: None };
    let asked = Arc::new(Asked { id: AskId::from("q"), call: "c".into(), at: AT, what });
    // (whether it is withdrawn, how the thread is told to be then)
    let table: [(bool, &[&str]); 2] = [(false, &["active[]", "Idle"]), (true, &["Idle"])];
    for (is_withdrawn, expected) in table {
        let mut story = new();
        let asks = Event::Asked { turn: turn(1), asked: Arc::clone(&asked) };
        assert_eq!(tell(&mut story, [begins(1), asks])[2], "active[WaitingOnUserInput]");
        let resolved = Event::Resolved { turn: turn(1), asked: Arc::clone(&asked), is_withdrawn };
        let told = tell(&mut story, [resolved, ends(1, Outcome::Cancelled)]);
        assert!(told[0].starts_with("Resolved"), "{told:?}");
        assert_eq!(told[1..], [expected, &["-t1 Interrupted []"]].concat());
    }
}

#[test]
fn a_thought_is_whole_when_the_next_item_begins() {
    let thought = json!({"type": "Reasoning", "id": "r", "summary_text": ["hm, so"], "raw_content": []});
    let thinks =
        |part, text: &str| Event::Delta { turn: turn(1), item: ItemId::from("r"), part, text: text.to_owned() };
    let empty = json!({"type": "Reasoning", "id": "r", "summary_text": [], "raw_content": []});
    let speaks = || starts(1, &message("m", ""), true);
    let mut story = new();
    tell(&mut story, [begins(1), starts(1, &empty, true)]);
    let told = tell(&mut story, [thinks(Part::Summary(0), "hm, "), thinks(Part::Summary(0), "so")]);
    assert_eq!(told, ["r#0", "r: hm, ", "r: so"]);
    let told = story.tell(AT, speaks());
    assert_eq!(words(&told), ["-r", "+m"]);
    let Told::ItemCompleted { item, .. } = &told[0] else { unreachable!("it is one") };
    let raw = serde_json::value::to_raw_value(&thought).unwrap();
    assert_eq!(Some(item.clone()), history::item(&raw, Some(AT.0), Some(AT.0)), "as the rollout will have it");
    assert_eq!(tell(&mut story, [completes(1, &thought)]), [""; 0], "once");

    // Of which something is not known: the rollout says it.
    for lost in [Some(thinks(Part::Raw(0), "secret")), None] {
        let mut story = new();
        tell(&mut story, [begins(1), starts(1, &empty, true)]);
        match lost {
            Some(event) => drop(tell(&mut story, [event])),
            None => drop(story.catch_up(&[recorded(1, TurnStatus::InProgress, &[])], AT)),
        }
        assert_eq!(tell(&mut story, [speaks(), completes(1, &thought)]), ["+m", "-r"]);
    }
}

#[test]
fn nothing_is_complete_that_did_not_begin_and_nothing_twice() {
    let mut story = new();
    tell(&mut story, [begins(1)]);
    let said = completes(1, &message("m", "hello"));
    assert_eq!(tell(&mut story, [said.clone()])[1..], ["-m hello"]);
    assert_eq!(tell(&mut story, [said, starts(1, &message("m", ""), true), says(1, "m", "more")]), [""; 0]);
    assert_eq!(tell(&mut story, [completes(2, &message("n", "of another turn"))]), [""; 0]);
}

#[test]
fn of_an_answer_that_is_not_kept_nothing_more_is_told_and_what_ran_goes_on() {
    let streams = || [starts(1, &message("m", ""), true), starts(1, &command("c", "in_progress"), false)];
    let retry = Event::Retrying { message: "again".to_owned(), at: AT };
    // (what happens to the answer, what is told of it)
    let table: [(Event, &[&str]); 2] =
        [(Event::Dropped { turn: turn(1) }, &["spent 3 of 9"]), (retry, &["error(again true)"])];
    for (event, expected) in table {
        let mut story = new();
        tell(&mut story, [begins(1), costs()].into_iter().chain(streams()));
        assert_eq!(tell(&mut story, [event, says(1, "m", "more")]), expected);
        assert_eq!(tell(&mut story, [completes(1, &command("c", "completed"))]), ["-c completed"]);
    }
}

/// A turn as a rollout has it.
fn recorded(n: u32, status: TurnStatus, items: &[Value]) -> Turn {
    let item = |core: &Value| {
        let raw = serde_json::value::to_raw_value(core).unwrap();
        history::item(&raw, Some(AT.0), Some(AT.0)).unwrap()
    };
    let items = items.iter().map(item).collect();
    Turn { status, items, items_view: TurnItemsView::Full, started_at: Some(7), ..Turn::begun(turn(n)) }
}

#[test]
fn what_the_feed_lost_is_told_from_the_rollout() {
    use TurnStatus::{Completed, InProgress, Interrupted};
    let (said, runs, ran) = (message("m", "hello"), command("c", "in_progress"), command("c", "completed"));
    let open = || vec![begins(1), starts(1, &message("m", ""), true), starts(1, &runs, false)];
    // (what was told, what the rollout has, what is told then)
    let table: [(Vec<Event>, Vec<Turn>, &[&str]); 6] = [
        // The end of the turn, and of one of its items.
        (
            open(),
            vec![recorded(1, Completed, &[said.clone(), ran.clone()])],
            &["-m hello", "-c completed", "Idle", r#"-t1 Completed ["m hello"]"#],
        ),
        // It goes on.
        (open(), vec![recorded(1, InProgress, &[said.clone(), runs.clone()])], &["-m hello"]),
        // A crash ended it, and another began.
        (
            open(),
            vec![recorded(1, Interrupted, &[]), recorded(2, InProgress, std::slice::from_ref(&said))],
            &["-c failed", "Idle", "-t1 Interrupted []", "active[]", "+t2", "+m hello", "-m hello"],
        ),
        // A whole turn, between two looks.
        (
            vec![begins(1), ends(1, Outcome::Completed)],
            vec![recorded(1, Completed, &[]), recorded(2, Completed, std::slice::from_ref(&said))],
            &["active[]", "+t2", "+m hello", "-m hello", "Idle", r#"-t2 Completed ["m hello"]"#],
        ),
        // Nothing.
        (vec![begins(1), ends(1, Outcome::Completed)], vec![recorded(1, Completed, std::slice::from_ref(&said))], &[]),
        // The turn was taken back.
        (open(), vec![], &["-c failed", "Idle", "-t1 Interrupted []"]),
    ];
    for (before, turns, expected) in table {
        let mut story = new();
        tell(&mut story, before);
        assert_eq!(words(&story.catch_up(&turns, AT)), expected, "{turns:?}");
        assert_eq!(words(&story.catch_up(&turns, AT)), [""; 0], "told once: {turns:?}");
    }
}

#[test]
fn a_first_turn_that_nobody_heard_of_is_told_where_the_thread_was_new() {
    let turns = [recorded(1, TurnStatus::Completed, &[])];
    assert_eq!(words(&new().catch_up(&turns, AT)), [""; 0], "it may be an old one");
    let mut story = new();
    story.had_ended(None);
    assert_eq!(words(&story.catch_up(&turns, AT)), ["active[]", "+t1", "Idle", "-t1 Completed []"]);
}

#[test]
fn a_command_that_goes_on_ends_after_its_turn() {
    let mut story = new();
    tell(&mut story, [begins(1), starts(1, &command("c", "in_progress"), false)]);
    let detached = Event::Detached { turn: turn(1), item: ItemId::from("c") };
    assert_eq!(tell(&mut story, [detached, ends(1, Outcome::Completed)]), ["Idle", "-t1 Completed []"]);
    assert_eq!(tell(&mut story, [begins(2), completes(1, &command("c", "completed"))])[2..], ["-c completed"]);
}
