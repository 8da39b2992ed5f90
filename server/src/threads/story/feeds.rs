//! Whatever the feed loses, who applies all that is told has what the rollout says.

use proptest::prelude::*;
use sapwood_protocol::app::item::ItemKind;
use sapwood_protocol::{Line, ThreadId};
use serde_json::{Value, json};

use super::tests::{begins, command, completes, ends, message, starts, turn};
use super::*;
use crate::history;

/// Something that happens in a thread, or to whoever is told of it.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Begins,
    Says,
    Runs,
    Completes(u8),
    Drops,
    Ends(bool),
    /// The process dies and comes back: nothing is said of how the turn ended.
    Dies,
    /// The client is told of what has happened.
    Told,
    /// What has happened since the client was told is lost to it.
    Lags,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::Begins),
        Just(Happens::Says),
        Just(Happens::Runs),
        any::<u8>().prop_map(Happens::Completes),
        Just(Happens::Drops),
        any::<bool>().prop_map(Happens::Ends),
        Just(Happens::Dies),
        Just(Happens::Told),
        Just(Happens::Lags),
    ]
}

/// A thread: its rollout, and the news that nobody was told yet.
struct Thread {
    turns: history::Turns,
    ordinal: u64,
    news: Vec<Event>,
    open: Option<u32>,
    begun: u32,
    items: u32,
    /// Items that have begun: their ids, and whether they are messages.
    running: Vec<(String, bool)>,
}

impl Thread {
    fn new() -> Self {
        let mut this = Self {
            turns: history::Turns::default(),
            ordinal: 0,
            news: Vec::new(),
            open: None,
            begun: 0,
            items: 0,
            running: Vec::new(),
        };
        let id: ThreadId = "01a1fb6a-8c33-7f12-bb55-e095ad7ecd90".parse().unwrap();
        this.write("session_meta", &json!({"id": id, "cwd": "/", "history_mode": "paginated"}));
        this
    }

    fn write(&mut self, kind: &str, payload: &Value) {
        let line = Line::encode(Millis(7_000), Some(self.ordinal), kind, payload, None);
        self.ordinal += 1;
        self.turns.apply(&line);
    }

    fn event(&mut self, payload: &Value) {
        self.write("event_msg", payload);
    }

    fn keep(&mut self, n: u32, item: &Value) {
        let times = json!({"started_at_ms": 7_000, "completed_at_ms": 7_000});
        let mut payload = json!({"type": "item_completed", "turn_id": turn(n), "item": item});
        payload.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        self.event(&payload);
    }

    fn happens(&mut self, what: Happens) {
        match (what, self.open) {
            (Happens::Begins, None) => {
                self.begun += 1;
                self.open = Some(self.begun);
                let id = turn(self.begun);
                self.event(&json!({"type": "task_started", "turn_id": id, "root_turn_id": id, "started_at": 7}));
                self.news.push(begins(self.begun));
            }
            (Happens::Says | Happens::Runs, Some(n)) => {
                self.items += 1;
                let is_message = matches!(what, Happens::Says);
                let id = format!("i{}", self.items);
                let item = if is_message { message(&id, "") } else { command(&id, "in_progress") };
                self.news.push(starts(n, &item, is_message));
                self.running.push((id, is_message));
            }
            (Happens::Completes(which), Some(n)) if !self.running.is_empty() => {
                let (id, is_message) = self.running.remove(usize::from(which) % self.running.len());
                let item = if is_message { message(&id, "said") } else { command(&id, "completed") };
                self.keep(n, &item);
                self.news.push(completes(n, &item));
            }
            (Happens::Drops, Some(n)) => {
                self.running.retain(|(_, is_message)| !is_message);
                self.news.push(Event::Dropped { turn: turn(n) });
            }
            (Happens::Ends(_) | Happens::Dies, Some(n)) => {
                // What ran is ended before its turn is; what was being said is not kept.
                let is_dead = matches!(what, Happens::Dies);
                for (id, _) in std::mem::take(&mut self.running).into_iter().filter(|(_, is_message)| !is_message) {
                    let item = command(&id, "failed");
                    self.keep(n, &item);
                    self.news.extend((!is_dead).then(|| completes(n, &item)));
                }
                let completes = matches!(what, Happens::Ends(true));
                let kind = if completes { "task_complete" } else { "turn_aborted" };
                self.event(&json!({"type": kind, "turn_id": turn(n), "reason": "interrupted", "completed_at": 7}));
                let outcome = if completes { Outcome::Completed } else { Outcome::Cancelled };
                self.news.push(if is_dead { Event::Resync } else { ends(n, outcome) });
                self.open = None;
            }
            _ => {}
        }
    }

    /// All turns as `thread/read` has them now.
    fn read(&self) -> Vec<Turn> {
        self.turns.all(TurnItemsView::Full, self.open.map(turn).as_ref())
    }
}

/// A client: what it made of all that it was told.
#[derive(Default)]
struct Client {
    turns: Vec<(TurnId, TurnStatus, Vec<ClientItem>)>,
    status: Option<ThreadStatus>,
}

struct ClientItem {
    id: String,
    text: String,
    is_message: bool,
    is_complete: bool,
}

impl Client {
    fn apply(&mut self, told: Told) {
        let text = |item: &ThreadItem| item.json().get().to_owned();
        match told {
            Told::Status(status) => self.status = Some(status),
            Told::TurnStarted(turn) => {
                assert!(self.turns.iter().all(|(id, ..)| *id != turn.id), "{} begins twice", turn.id);
                self.turns.push((turn.id, TurnStatus::InProgress, Vec::new()));
            }
            Told::ItemStarted { turn, item, .. } => {
                let items = self.open(&turn);
                assert!(items.iter().all(|known| known.id != item.id()), "{} begins twice", item.id());
                let is_message = item.kind() == ItemKind::AgentMessage;
                let text = text(&item);
                items.push(ClientItem { id: item.id().to_owned(), text, is_message, is_complete: false });
            }
            Told::ItemCompleted { turn, item, .. } => {
                let known = self.open(&turn).iter_mut().find(|known| known.id == item.id());
                let known = known.expect("nothing is complete that did not begin");
                assert!(!known.is_complete, "{} is complete twice", known.id);
                (known.text, known.is_complete) = (text(&item), true);
            }
            Told::TurnCompleted(turn) => {
                let items = self.open(&turn.id);
                let ends = |item: &ClientItem| item.is_complete || item.is_message;
                assert!(items.iter().all(ends), "a turn ends after its items, but for what was not said to its end");
                let ended = self.turns.iter_mut().find(|(id, ..)| *id == turn.id).expect("it is open");
                ended.1 = turn.status;
            }
            _ => {}
        }
    }

    fn open(&mut self, turn: &TurnId) -> &mut Vec<ClientItem> {
        let (_, status, items) = self.turns.iter_mut().find(|(id, ..)| id == turn).expect("a turn begins first");
        assert_eq!(*status, TurnStatus::InProgress, "nothing comes after the end of a turn");
        items
    }

    /// Turns with what is complete in them.
    fn shows(&self) -> Vec<(TurnId, TurnStatus, Vec<Value>)> {
        let item = |item: &ClientItem| item.is_complete.then(|| serde_json::from_str::<Value>(&item.text).unwrap());
        let turn = |(id, status, items): &(TurnId, TurnStatus, Vec<ClientItem>)| {
            (id.clone(), *status, sorted(items.iter().filter_map(item).collect()))
        };
        self.turns.iter().map(turn).collect()
    }
}

/// Items in the order of their ids: a client sees them begin in another order than a rollout sees them end.
fn sorted(mut items: Vec<Value>) -> Vec<Value> {
    items.sort_by_key(|item| item["id"].to_string());
    items
}

fn shown(turns: &[Turn]) -> Vec<(TurnId, TurnStatus, Vec<Value>)> {
    let items = |turn: &Turn| turn.items.iter().map(|item| serde_json::from_str(item.json().get()).unwrap()).collect();
    turns.iter().map(|turn| (turn.id.clone(), turn.status, sorted(items(turn)))).collect()
}

proptest! {
    #[test]
    fn who_applies_all_that_is_told_has_what_the_rollout_says(all in prop::collection::vec(happens(), 1..80)) {
        let (mut thread, mut client) = (Thread::new(), Client::default());
        let mut story = Story::since(ThreadStatus::Idle, None);
        story.had_ended(None);
        for what in all.into_iter().chain([Happens::Told]) {
            thread.happens(what);
            match what {
                Happens::Told => {
                    for event in std::mem::take(&mut thread.news) {
                        let told = match event {
                            Event::Resync => story.catch_up(&thread.read(), Millis(7_000)),
                            event => story.tell(Millis(7_000), event),
                        };
                        told.into_iter().for_each(|told| client.apply(told));
                    }
                }
                Happens::Lags => {
                    thread.news.clear();
                    story.catch_up(&thread.read(), Millis(7_000)).into_iter().for_each(|told| client.apply(told));
                }
                _ => continue,
            }
            prop_assert_eq!(client.shows(), shown(&thread.read()));
            let is_active = matches!(client.status, Some(ThreadStatus::Active { .. }));
            prop_assert_eq!(is_active, thread.open.is_some());
        }
    }
}
