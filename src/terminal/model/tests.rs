use sapwood_actors::agent::input::ToolResult;
use sapwood_protocol::Usage;

use super::*;

const NOW: Millis = Millis(100_000);

fn path() -> AgentPath {
    AgentPath::root().join("alpha").unwrap()
}

fn happened(at: u64, event: Event) -> What {
    What::Happened { at: Millis(at), event }
}

fn command(call: &str, cmd: &str, result: Option<ToolResult>) -> Event {
    let item = Shown::Command { call: call.into(), command: cmd.to_owned(), result };
    let turn = "t".into();
    if matches!(&item, Shown::Command { result: Some(_), .. }) {
        Event::ItemCompleted { turn, item, snapshot: None }
    } else {
        Event::ItemStarted { turn, item, snapshot: None }
    }
}

fn ended(outcome: Outcome) -> Event {
    Event::TurnEnded {
        turn: "t".into(),
        outcome,
        message: None,
        usage: Usage::default(),
        root: "t".into(),
        error: None,
        started: Millis(0),
        ended: Millis(0),
    }
}

fn working() -> Facts {
    Facts { is_open: true, tokens: 7, ..Facts::default() }
}

/// What is shown after these events of an agent of which this is known.
fn shown(events: &[What], facts: &Facts) -> (State, String, Option<u64>) {
    let mut model = Model::default();
    events.iter().for_each(|what| model.see(&path(), what));
    let row = model.row(&path(), facts, NOW);
    assert_eq!((row.path, row.tokens), (path(), facts.tokens));
    (row.state, row.doing, row.elapsed.map(|elapsed| elapsed.0))
}

#[test]
fn each_state_is_told_from_the_facts() {
    let limit = |until: Option<u64>| Some((until.map(Millis), "used up".to_owned()));
    let table: &[(Facts, State, &str)] = &[
        (Facts::default(), State::Idle, ""),
        (Facts { wakes: true, ..Facts::default() }, State::Queued, ""),
        (Facts { wakes: true, held_up: Some(HeldUp::Slot), ..Facts::default() }, State::Queued, "for a slot"),
        (working(), State::Working, ""),
        (Facts { held_up: Some(HeldUp::Slot), ..working() }, State::Queued, "for a slot"),
        (Facts { held_up: Some(HeldUp::Restart), ..working() }, State::Restarting, "after a crash"),
        (
            Facts { held_up: Some(HeldUp::Storage), ..working() },
            State::Blocked,
            "its storage fails, and is tried again",
        ),
        (Facts { waits_until: Some(NOW.plus(61_000)), ..working() }, State::Waiting, "for mail, 1:01 left"),
        (
            Facts { limited: limit(Some(112_000)), ..working() },
            State::Limited,
            "waits for the provider, 0:12 left: used up",
        ),
        (Facts { limited: limit(None), ..working() }, State::Limited, "waits for the provider: used up"),
        (Facts { paused: limit(Some(3_700_000)), ..working() }, State::Paused, "usage limit, 1:00:00 left: used up"),
        (Facts { paused: limit(None), ..working() }, State::Paused, "usage limit: used up"),
        (Facts { last: Last::Finished, ..Facts::default() }, State::Finished, ""),
        (Facts { last: Last::Failed("no".into()), ..Facts::default() }, State::Failed, "no"),
        (Facts { last: Last::Interrupted, ..Facts::default() }, State::Interrupted, ""),
        (Facts { last: Last::Lost, ..Facts::default() }, State::Lost, "its process died"),
        // What it did not take any more does not make it work.
        (
            Facts { last: Last::Quarantined("panic".into()), wakes: true, ..Facts::default() },
            State::Quarantined,
            "panic",
        ),
    ];
    for (facts, state, doing) in table {
        assert_eq!(shown(&[], facts), (*state, (*doing).to_owned(), None), "{facts:?}");
    }
}

#[test]
fn open_calls_are_shown_until_they_end() {
    let start = happened(90_000, Event::TurnStarted { turn: "t".into(), root: "t".into(), started: Millis(90_000) });
    let build = happened(91_000, command("a", "cargo build\nls", None));
    let list = happened(92_000, command("b", "ls", None));
    let built = happened(93_000, command("a", "cargo build", Some(ToolResult::nothing())));
    let working = |doing: &str| (State::Working, doing.to_owned(), Some(10_000));
    let facts = super::tests::working();
    assert_eq!(shown(std::slice::from_ref(&start), &facts), working(""));
    let [one, both] = [vec![start, build], vec![list]];
    assert_eq!(shown(&one, &facts), working("$ cargo build …"));
    let two: Vec<What> = one.into_iter().chain(both).collect();
    assert_eq!(shown(&two, &facts), working("(+1) $ cargo build …"));
    let left: Vec<What> = two.into_iter().chain([built]).collect();
    assert_eq!(shown(&left, &facts), working("$ ls"));
    let over: Vec<What> = left.into_iter().chain([happened(97_000, ended(Outcome::Completed))]).collect();
    let finished = Facts { last: Last::Finished, ..Facts::default() };
    assert_eq!(shown(&over, &finished), (State::Finished, String::new(), Some(7_000)));
    // A turn that opened since has no calls of the one before.
    assert_eq!(shown(&over, &facts).1, "");
}

#[test]
fn an_agent_whose_events_were_missed_is_not_said_to_run_what_may_have_ended() {
    let events = [happened(1, command("a", "sleep 9", None)), What::Missed];
    assert_eq!(shown(&events, &working()), (State::Working, String::new(), None));
}

#[test]
fn a_try_is_counted_down_and_over_when_something_happens() {
    let retry = || happened(99_000, Event::Retrying { message: "503\x1b[2J".into(), at: Millis(102_500) });
    assert_eq!(shown(&[retry()], &working()), (State::Retrying, "in 3s: 503\\x1b[2J".to_owned(), None));
    let sent = happened(99_500, Event::Sent);
    assert_eq!(shown(&[retry(), sent], &working()).0, State::Working);
    let due = happened(90_000, Event::Retrying { message: "503".into(), at: NOW });
    assert_eq!(shown(&[due], &working()).0, State::Working);
}

#[test]
fn a_wait_is_a_state_and_other_tools_have_words() {
    let collab = |tool, prompt: Option<&str>| {
        let prompt = prompt.map(str::to_owned);
        let item = Shown::Collab { call: "c".into(), tool, agents: Vec::new(), prompt, ok: None };
        happened(1, Event::ItemStarted { turn: "t".into(), item, snapshot: None })
    };
    assert_eq!(shown(&[collab("wait", None)], &working()).1, "");
    assert_eq!(shown(&[collab("spawn_agent", Some("count\nlines"))], &working()).1, "spawns an agent: count lines");
    assert_eq!(shown(&[collab("list_agents", None)], &working()).1, "lists the agents");
}

#[test]
fn calls_without_end_are_bounded() {
    let events: Vec<What> = (0..1000).map(|n| happened(1, command(&n.to_string(), "ls", None))).collect();
    assert_eq!(shown(&events, &working()).1, format!("(+{}) $ ls", CALLS - 1));
}
