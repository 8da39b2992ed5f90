//! A usage limit in the middle of a run that waits for its end: the clock is moved there, and everybody finishes.
//!
//! The runtime's clock is paused: it moves only when nobody has anything to do, and then to the next timer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sapwood_actors::agent::Settings;
use sapwood_actors::agent::settings::OnUsageLimit;
use sapwood_actors::clock::Clock;
use sapwood_actors::process::Processes;
use sapwood_actors::seat::AgentStatus;
use sapwood_actors::service::Service;
use sapwood_model::request::{Entry, RequestView};
use sapwood_model::{BoxFuture, DeltaSink, Model, ModelError, Request, Response};
use sapwood_protocol::{Ids, Millis, Usage};
use sapwood_rollout::MemoryJournal;
use serde_json::{Value, json};
use tokio::time::Instant;

const CHILDREN: usize = 19;
/// The request from which on the account is used up: in the middle of the children's.
const FROM: usize = 12;
const START: Millis = Millis(1_795_219_433_000);
const HOUR: u64 = 3_600_000;

/// The clock of the runtime.
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Millis {
        START.plus(self.0.elapsed().as_millis() as u64)
    }
}

/// A model that leads twenty agents, of an account that is used up until an hour after the start.
struct Account {
    clock: RuntimeClock,
    asked: Mutex<BTreeMap<String, Vec<bool>>>,
}

impl Account {
    fn answer(&self, request: &Request) -> Result<Response, ModelError> {
        let body = request.body.concat();
        let view = RequestView::parse(&body).expect("a request");
        let mut asked = self.asked.lock();
        let before: usize = asked.values().map(Vec::len).sum();
        let limited = before >= FROM && self.clock.now() < START.plus(HOUR);
        asked.entry(request.origin.path.to_string()).or_default().push(!limited);
        if limited {
            let message = "the usage limit is reached".to_owned();
            return Err(ModelError::UsageLimited { message, until: Some(START.plus(HOUR)) });
        }
        let item = |item: Value| Bytes::from(item.to_string());
        let items = match (request.origin.path.is_root(), reports(&view)) {
            (false, _) => vec![item(message("eleven"))],
            (true, 0) if view.call("spawn_0").is_none() => (0..CHILDREN).map(|n| item(spawn(n))).collect(),
            (true, CHILDREN) => vec![item(message("all of them"))],
            (true, _) => vec![item(wait(view.entries().len()))],
        };
        Ok(Response::new("resp", items, Usage::default()))
    }
}

struct Shared(Arc<Account>);

impl Model for Shared {
    fn sample(&self, request: Request, _: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        let account = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            account.answer(&request)
        })
    }
}

fn reports(view: &RequestView<'_>) -> usize {
    let authors = view.entries().iter().filter_map(|entry| match entry {
        Entry::Mail(mail) => Some(mail.author.to_string()),
        _ => None,
    });
    authors.collect::<BTreeSet<_>>().len()
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn call(id: String, name: &str, arguments: Value) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "name": name, "namespace": "collaboration",
        "arguments": arguments.to_string(), "call_id": id})
}

fn spawn(n: usize) -> Value {
    let arguments = json!({"task_name": format!("c{n}"), "message": "compute", "fork_turns": "none"});
    call(format!("spawn_{n}"), "spawn_agent", arguments)
}

fn wait(n: usize) -> Value {
    call(format!("wait_{n}"), "wait_agent", json!({}))
}

#[tokio::test(start_paused = true)]
async fn twenty_agents_go_on_by_themselves_when_the_limit_ends_and_nothing_is_asked_twice() {
    let clock = || RuntimeClock(Instant::now());
    let account = Arc::new(Account { clock: clock(), asked: Mutex::default() });
    let settings = Settings { slots: 6, on_usage_limit: OnUsageLimit::Wait, ..Settings::default() };
    let processes = Processes::new("no commands are run".into());
    let journal = Arc::new(MemoryJournal::new());
    let model = Arc::new(Shared(Arc::clone(&account)));
    let service = Service::new(journal, model, processes, "/bin/sh".into(), Arc::new(clock()));
    let running = service.start(settings, "/", "begin".into(), Ids::seeded(1)).await.unwrap();
    running.at_rest().await;
    assert!(account.clock.now() >= START.plus(HOUR), "nobody went on before the limit ended");

    let tree = Arc::clone(&running.tree);
    for seat in tree.seats() {
        let view = seat.view();
        assert!(matches!(view.status, AgentStatus::Completed(_)), "{}: {:?}", seat.path, view.status);
        assert_eq!(view.paused, None, "{}", seat.path);
    }
    let asked = account.asked.lock().clone();
    assert_eq!(asked.len(), CHILDREN + 1);
    let children: Vec<&Vec<bool>> = asked.iter().filter(|(path, _)| *path != "/root").map(|(_, asked)| asked).collect();
    assert!(children.iter().any(|asked| **asked == [true]) && children.iter().any(|asked| asked.len() > 1));
    for asked in children {
        assert_eq!(asked.iter().filter(|answered| **answered).count(), 1, "each child is answered once");
        assert_eq!(asked.last(), Some(&true), "who has an answer is not asked again");
    }
    running.shutdown().await;
}
