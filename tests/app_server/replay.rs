//! Says what a recorded client said, when it said it, and compares what it hears.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::allowed;
use crate::client::Connection;
use crate::compare::Comparison;
use crate::ids::{each_text, is_id};
use crate::model;
use crate::program::{Running, World};
use crate::schema::Schema;
use crate::transcript::{Record, What, read, spawned};
use crate::turns::{self, Made};

/// What the recording has and we do not say within this time is missing. Each kind is waited for once.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that lacks so many kinds lacks more: then this long.
const MANY: usize = 3;
const LITTLE_PATIENCE: Duration = Duration::from_millis(500);
/// The folder that recordings stand in.
const RECORDED_ROOT: &str = "/workspace";
/// Where the recorded model was.
const RECORDED_MODEL: &str = "http://127.0.0.1:18700/v1";
/// What clients name to see what is said of a thread that never was.
const NOBODY: &str = "0190aaaa-0000-7000-8000-000000000000";

/// How the recorded client came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Stdio,
    Websocket,
}

/// One connection: what we heard and what they did.
struct Conn {
    /// `None` after the recording's last line of it.
    open: Option<Connection>,
    heard: Vec<Value>,
    theirs: Vec<Value>,
    /// What it asked and answered, by the names of the allow-list.
    asked: Vec<(String, Value)>,
    /// How many of a kind will not come.
    missing: HashMap<String, usize>,
}

/// A run of recordings against one server.
pub struct Replay {
    world: World,
    running: Option<Running>,
    conns: BTreeMap<String, Conn>,
}

impl Replay {
    /// Plays these recordings, one after the other, on one server.
    pub async fn of(names: &[&str], transport: Transport) -> Report {
        let mut this = Self { world: World::new(model::answer).await, running: None, conns: BTreeMap::new() };
        std::fs::write(this.world.project().join(model::PATCHED[0]), model::PATCHED[1]).unwrap();
        let records = read(names);
        // The recorded process had served another client first, and went by its name.
        let first = match originator(&records).filter(|_| transport == Transport::Websocket) {
            Some(name) => {
                let first = this.connect(transport).await;
                first.initialize(&name).await;
                Some(first)
            }
            None => None,
        };
        let last: HashMap<String, usize> = records.iter().enumerate().map(|(n, r)| (r.conn.clone(), n)).collect();
        for (n, record) in records.iter().enumerate() {
            this.play(record, transport).await;
            if last[&record.conn] == n {
                this.catch_up().await;
                let conn = this.conns.get_mut(&record.conn).unwrap();
                conn.heard = conn.open.take().map(|open| open.heard()).unwrap_or_default();
            }
        }
        drop(first);
        this.report()
    }

    async fn play(&mut self, record: &Record, transport: Transport) {
        if !self.conns.contains_key(&record.conn) {
            let open = Some(self.connect(transport).await);
            let conn = Conn { open, heard: vec![], theirs: vec![], asked: vec![], missing: HashMap::new() };
            self.conns.insert(record.conn.clone(), conn);
        }
        match &record.what {
            What::Server(message) => self.conns.get_mut(&record.conn).unwrap().theirs.push(message.clone()),
            What::ClientRaw(text) => {
                self.catch_up().await;
                self.conns[&record.conn].open.as_ref().unwrap().say_raw(text).await;
            }
            What::Client(message) => {
                self.catch_up().await;
                let mut ours = message.clone();
                self.translate(&record.conn, &mut ours);
                let conn = self.conns.get_mut(&record.conn).unwrap();
                conn.asked.push((record.request.clone(), message.clone()));
                conn.open.as_ref().unwrap().say(&ours).await;
            }
        }
    }

    async fn connect(&mut self, transport: Transport) -> Connection {
        if transport == Transport::Stdio {
            assert!(self.running.is_none(), "stdio has one connection");
            let (running, connection) = self.world.over_stdio();
            self.running = Some(running);
            return connection;
        }
        if self.running.is_none() {
            self.running = Some(self.world.over_websocket(0).await);
        }
        self.running.as_ref().unwrap().connect().await
    }

    /// Waits until every connection heard what it had heard here in the recording.
    async fn catch_up(&mut self) {
        let made = self.made();
        for conn in self.conns.values_mut() {
            let Some(open) = &conn.open else { continue };
            let wanted = kinds(conn.theirs.iter().filter(|message| turns::is_awaited(message, &made)));
            let lacks = |heard: &[Value], missing: &HashMap<String, usize>| {
                let have = kinds(heard);
                let of = |kind| have.get(kind).copied().unwrap_or(0) + missing.get(kind).copied().unwrap_or(0);
                let lacks = wanted.iter().map(|(kind, count)| (kind.clone(), count.saturating_sub(of(kind))));
                lacks.filter(|(_, count)| *count > 0).collect::<Vec<_>>()
            };
            let missing = &conn.missing;
            let patience = if missing.len() < MANY { PATIENCE } else { LITTLE_PATIENCE };
            let came = open.try_until(patience, |heard| lacks(heard, missing).is_empty().then_some(())).await;
            if came.is_none() {
                for (kind, count) in lacks(&open.heard(), &conn.missing) {
                    *conn.missing.entry(kind).or_default() += count;
                }
            }
        }
    }

    /// A recorded message as this server must be told it.
    fn translate(&self, conn: &str, message: &mut Value) {
        let root = self.world.root();
        each_text(message, &mut |text| *text = text.replace(RECORDED_ROOT, &root));
        let comparison = self.compared(&mut Vec::new());
        comparison.ids.to_ours(message);
        if message.get("method").is_none() {
            // The answer to the same request: the same one of all that this connection was asked.
            let asked = |messages: &[Value]| -> Vec<Value> {
                let is = |m: &&Value| m.get("method").is_some() && m.get("id").is_some();
                messages.iter().filter(is).map(|m| m["id"].clone()).collect()
            };
            let conn = &self.conns[conn];
            let at = asked(&conn.theirs).iter().rposition(|id| *id == message["id"]);
            let ours = at.and_then(|at| asked(&self.heard(conn)).get(at).cloned());
            message["id"] = ours.unwrap_or_else(|| message["id"].clone());
        }
    }

    /// What a connection heard, with the recording's folder in place of ours.
    fn heard(&self, conn: &Conn) -> Vec<Value> {
        let heard = conn.open.as_ref().map_or_else(|| conn.heard.clone(), Connection::heard);
        let (root, model) = (self.world.root(), self.world.model.base_url());
        // Also where it is a key.
        let text = Value::Array(heard).to_string().replace(&root, RECORDED_ROOT).replace(&model, RECORDED_MODEL);
        serde_json::from_str(&text).expect("folders are plain text")
    }

    /// Everything so far, compared. `methods` gets the answers with the methods they answer.
    fn compared(&self, answers: &mut Vec<(String, Value)>) -> Comparison {
        let mut comparison = Comparison::default();
        let all: Vec<_> = self.conns.values().map(|conn| (conn, self.heard(conn))).collect();
        for (conn, heard) in &all {
            let (mut ours, mut theirs) = (by_id(heard), by_id(&conn.theirs));
            for (method, asked) in conn.asked.iter().filter(|(_, asked)| asked.get("method").is_some()) {
                let id = asked["id"].to_string();
                let next = |of: &mut HashMap<String, VecDeque<Value>>| of.get_mut(&id)?.pop_front();
                let (ours, theirs) = (next(&mut ours), next(&mut theirs));
                let name = asked["method"].as_str().unwrap_or_default();
                answers.extend(ours.clone().map(|ours| (name.to_owned(), ours)));
                match (ours, theirs) {
                    (Some(mut ours), Some(mut theirs)) => {
                        if self.is_of_another_time(&asked["params"]) {
                            continue;
                        }
                        self.keep_common(&comparison, &mut ours, &mut theirs);
                        for part in ["result", "error"] {
                            let at = format!("{method} {part}");
                            match (ours.get(part), theirs.get(part)) {
                                (None, None) => {}
                                (Some(ours), Some(theirs)) => comparison.values(&at, ours, theirs),
                                (ours, theirs) => comparison.differ(&at, ours, theirs),
                            }
                        }
                    }
                    (None, None) => {}
                    (ours, theirs) => comparison.differ(method, ours.as_ref(), theirs.as_ref()),
                }
            }
        }
        let made = self.made();
        for (conn, heard) in &all {
            turns::compare(&mut comparison, heard, &conn.theirs, &made);
        }
        comparison
    }

    /// True for what names a thread that no recording made here: the recorded home was older than the recordings.
    fn is_of_another_time(&self, params: &Value) -> bool {
        let thread = params["threadId"].as_str().filter(|thread| is_id(thread) && *thread != NOBODY);
        thread.is_some_and(|thread| !self.made().threads.contains(thread))
    }

    /// The threads that the recordings begin.
    fn made(&self) -> Made {
        let (mut threads, mut children) = (HashSet::new(), HashSet::new());
        for conn in self.conns.values() {
            let begin = |(method, _): &&(String, Value)| ["thread/start", "thread/fork"].contains(&method.as_str());
            let begun: HashSet<String> =
                conn.asked.iter().filter(begin).map(|(_, asked)| asked["id"].to_string()).collect();
            for message in &conn.theirs {
                if message.get("method").is_none() && begun.contains(&message["id"].to_string()) {
                    threads.extend(message["result"]["thread"]["id"].as_str().map(str::to_owned));
                }
                threads.extend(message["params"]["thread"]["id"].as_str().map(str::to_owned));
                children.extend(spawned(message));
            }
        }
        threads.extend(children.iter().cloned());
        Made { threads, children }
    }

    /// Leaves in lists of threads what both have: the recorded home had older ones.
    fn keep_common(&self, comparison: &Comparison, ours: &mut Value, theirs: &mut Value) {
        let made = self.made().threads;
        let id = |entry: &Value| entry["id"].as_str().or(entry.as_str()).unwrap_or_default().to_owned();
        let Some(data) = theirs.pointer_mut("/result/data").and_then(Value::as_array_mut) else { return };
        if !data.iter().all(|entry| is_id(&id(entry))) || data.is_empty() {
            return;
        }
        data.retain(|entry| made.contains(&id(entry)));
        let wanted: HashSet<String> =
            data.iter().filter_map(|entry| comparison.ids.ours(&id(entry)).map(str::to_owned)).collect();
        // A list that lacks one of them is compared whole.
        if let Some(data) =
            ours.pointer_mut("/result/data").and_then(Value::as_array_mut).filter(|_| wanted.len() == data.len())
        {
            data.retain(|entry| wanted.contains(&id(entry)));
        }
    }

    fn report(&self) -> Report {
        let schema = Schema::read();
        let mut answers = Vec::new();
        let comparison = self.compared(&mut answers);
        let mut invalid = Vec::new();
        for (method, answer) in &answers {
            if let Some(result) = answer.get("result") {
                invalid
                    .extend(schema.result(method, result).into_iter().map(|error| format!("{method} result {error}")));
            }
        }
        for message in self.conns.values().flat_map(|conn| &conn.heard).filter(|m| m.get("method").is_some()) {
            let method = message["method"].as_str().unwrap_or_default();
            invalid.extend(schema.said(message).into_iter().map(|error| format!("{method} params {error}")));
        }
        let is_request = |(_, m): &&(String, Value)| m.get("method").is_some() && m.get("id").is_some();
        let asked = self.conns.values().flat_map(|conn| &conn.asked).filter(is_request).count();
        Report { asked, answered: answers.len(), invalid, comparison }
    }
}

/// How much of each kind was heard. What is left out of the waiting comes at any time, or never.
fn kinds<'a>(messages: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, usize> {
    let mut items = HashSet::new();
    let mut kinds = BTreeMap::new();
    for message in messages {
        let kind = match (message["method"].as_str(), message.get("id")) {
            (None, Some(id)) => format!("answer {id}"),
            (Some(method), None) if allowed::is_left_out(&turns::name(method, &message["params"])) => continue,
            (Some(method), None) if message["params"]["delta"].is_string() => {
                if !items.insert(message["params"]["itemId"].to_string()) {
                    continue;
                }
                method.to_owned()
            }
            (Some(method), _) => turns::name(method, &message["params"]),
            (None, None) => continue,
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// By which client's name the recorded process went.
fn originator(records: &[Record]) -> Option<String> {
    records.iter().find_map(|record| match &record.what {
        What::Server(message) => {
            message["result"]["userAgent"].as_str()?.split_once('/').map(|(name, _)| name.to_owned())
        }
        _ => None,
    })
}

fn by_id(messages: &[Value]) -> HashMap<String, VecDeque<Value>> {
    let mut by_id: HashMap<String, VecDeque<Value>> = HashMap::new();
    for message in messages.iter().filter(|message| message.get("method").is_none()) {
        by_id.entry(message["id"].to_string()).or_default().push_back(message.clone());
    }
    by_id
}

/// What came of a run.
pub struct Report {
    pub asked: usize,
    pub answered: usize,
    /// What the schema refuses.
    pub invalid: Vec<String>,
    pub comparison: Comparison,
}

impl Report {
    /// Fails unless all is as recorded.
    pub fn assert_as_recorded(&self) {
        let text = self.text();
        assert!(self.asked > 0 && self.invalid.is_empty() && self.comparison.found.is_empty(), "{text}");
    }

    /// Fails unless everything was answered, and validly: for what a stand-in server recorded.
    pub fn assert_valid(&self) {
        assert!(self.asked > 0 && self.answered > 0 && self.invalid.is_empty(), "{}", self.text());
    }

    /// The differences, each place once.
    pub fn text(&self) -> String {
        let mut places: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for difference in &self.comparison.found {
            places.entry(&difference.at).or_insert_with(|| (0, difference.to_string())).0 += 1;
        }
        let mut text = format!("{} asked, {} answered, {} places differ\n", self.asked, self.answered, places.len());
        for (count, first) in places.values() {
            let _ = writeln!(text, "{count} x {first}");
        }
        let mut invalid: BTreeMap<&str, usize> = BTreeMap::new();
        self.invalid.iter().for_each(|error| *invalid.entry(error).or_default() += 1);
        for (error, count) in invalid {
            let _ = writeln!(text, "{count} x INVALID {}", error.chars().take(300).collect::<String>());
        }
        text
    }
}

/// What a notification would be that nobody sends.
#[test]
fn what_is_waited_for() {
    let messages = [
        json!({"id": 1, "result": {}}),
        json!({"method": "item/started", "params": {"item": {"type": "agentMessage"}}}),
        json!({"method": "item/agentMessage/delta", "params": {"itemId": "a", "delta": "x"}}),
        json!({"method": "item/agentMessage/delta", "params": {"itemId": "a", "delta": "y"}}),
        json!({"method": "configWarning", "params": {}}),
        json!({"method": "item/tool/call", "id": 7, "params": {}}),
    ];
    let wanted =
        [("answer 1", 1), ("item/agentMessage/delta", 1), ("item/started(agentMessage)", 1), ("item/tool/call", 1)];
    assert_eq!(kinds(&messages), wanted.map(|(kind, count)| (kind.to_owned(), count)).into());
}
