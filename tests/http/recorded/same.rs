//! Whether two requests are the same: one that was recorded, and ours in its place.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sapwood_protocol::ThreadId;
use sapwood_testkit::Received;
use serde_json::{Map, Value, json};

use super::differences::{IN_A_LATER_PROCESS, ITEMS, NO_HEADER, NO_MEMBER, NO_TOOL, OUR_MEMBER, OUR_TOOLS};
use super::exempt::{EXEMPTIONS, Side, assert_needed, is_text, without};
use super::fixture::{Fixture, lines, without_passthrough};
use crate::support::World;

/// What is the recording's and what is ours of the same thing. One of theirs is always the same one of ours, and the
/// other way round, in all requests of all agents.
#[derive(Default)]
struct Pairs {
    ours: BTreeMap<String, String>,
    theirs: BTreeMap<String, String>,
}

impl Pairs {
    fn assert_pair(&mut self, what: &str, theirs: &str, ours: &str) {
        let known = self.ours.entry(theirs.to_owned()).or_insert_with(|| ours.to_owned());
        assert_eq!(ours, known, "{what}: {theirs} was this one before");
        let known = self.theirs.entry(ours.to_owned()).or_insert_with(|| theirs.to_owned());
        assert_eq!(theirs, known, "{what}: {ours} was this one before");
    }

    /// Equal, or two ids that are a pair, with the same around them: `prefix_ID`, `ID:window`.
    fn assert_same(&mut self, what: &str, theirs: &str, ours: &str) {
        match (new_id(theirs), new_id(ours)) {
            (Some((before, theirs, after)), Some((prefix, ours, suffix))) => {
                assert_eq!((prefix, suffix), (before, after), "{what}: what is around the id");
                self.assert_pair(what, theirs, ours);
            }
            _ => assert_eq!(ours, theirs, "{what}"),
        }
    }
}

/// The id in a text that is one, and what is before and after it.
fn new_id(text: &str) -> Option<(&str, &str, &str)> {
    let from = text.find('_').map_or(0, |at| at + 1);
    let to = text[from..].find(':').map_or(text.len(), |at| from + at);
    let id = &text[from..to];
    id.parse::<ThreadId>().is_ok().then_some((&text[..from], id, &text[to..]))
}

/// The comparison of all requests of a recording.
pub struct Compared {
    name: String,
    /// Where they worked, and where we did.
    places: [String; 2],
    pairs: Pairs,
    /// The day on which each thread was told where it works.
    days: BTreeMap<ThreadId, [String; 2]>,
    /// The first request of a later process.
    resumed: usize,
    used: [Vec<usize>; 2],
    used_here: [Vec<usize>; 2],
}

impl Compared {
    /// `resumed` is the number of the first request that a later process made.
    pub fn new(fixture: &Fixture, world: &World, resumed: usize) -> Self {
        let meta = lines(fixture.rollouts.values().next().unwrap()).next().unwrap();
        let theirs = meta["payload"]["cwd"].as_str().unwrap().to_owned();
        let ours = world.path("work").canonicalize().unwrap().into_os_string().into_string().unwrap();
        let none = |len| [vec![0; len], vec![0; len]];
        Self {
            name: fixture.name.clone(),
            places: [theirs, ours],
            pairs: Pairs::default(),
            days: BTreeMap::new(),
            resumed,
            used: none(EXEMPTIONS.len()),
            used_here: none(ITEMS.len()),
        }
    }

    /// Compares a request. `thread` is the recorded one.
    pub fn request(&mut self, what: &str, thread: ThreadId, theirs: &Value, ours: &Received) {
        assert_eq!((&*ours.method, &*ours.path), ("POST", theirs["path"].as_str().unwrap()), "{what}");
        self.headers(what, thread, &headers_of(theirs), ours);
        let body = ours.json();
        assert_eq!(body["model"], theirs["model"], "{what}: the model");
        let said = body["client_metadata"]["x-codex-turn-metadata"].as_str();
        assert_eq!(said, ours.header("x-codex-turn-metadata"), "{what}: the body says the same as the headers");
        let key = |body: &Value| body["prompt_cache_key"].as_str().unwrap().to_owned();
        self.pairs.assert_same(&format!("{what}: the cache key"), &key(theirs), &key(&body));
        self.tools(what, theirs, ours);

        let theirs: Vec<Value> = theirs["input"].as_array().unwrap().iter().map(without_passthrough).collect();
        let theirs = self.left(Side::Theirs, thread, &theirs);
        let ours = self.left(Side::Ours, thread, body["input"].as_array().unwrap());
        for (n, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
            self.item(&format!("{what}, item {n}"), theirs.clone(), ours.clone());
        }
        assert_eq!(ours.len(), theirs.len(), "{what}: {:#?}", json!({"theirs": theirs, "ours": ours}));
    }

    /// Each exemption was needed.
    pub fn end(&self) {
        assert_needed(&EXEMPTIONS, &self.name, &self.used);
        assert_needed(&ITEMS, &self.name, &self.used_here);
    }

    fn headers(&mut self, what: &str, thread: ThreadId, theirs: &BTreeMap<String, String>, request: &Received) {
        let ours = identity(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let is_sent = |name: &&String| NO_HEADER.iter().all(|(not, _)| not != name);
        let names: Vec<&String> = theirs.keys().filter(is_sent).collect();
        assert_eq!(ours.keys().collect::<Vec<_>>(), names, "{what}: the headers that are there");
        for (name, ours) in &ours {
            let (what, theirs) = (format!("{what}, {name}"), &theirs[name]);
            if name != "x-codex-turn-metadata" {
                self.pairs.assert_same(&what, theirs, ours);
                continue;
            }
            self.metadata(&what, thread, object(theirs), object(ours), request.n >= self.resumed);
        }
    }

    /// The members of the turn metadata: in the same order, with the same values.
    fn metadata(
        &mut self,
        what: &str,
        thread: ThreadId,
        theirs: Map<String, Value>,
        ours: Map<String, Value>,
        later: bool,
    ) {
        let turns = [&theirs, &ours].map(|metadata| metadata["turn_id"].as_str().unwrap().to_owned());
        let started = [&theirs, &ours].map(|metadata| metadata["turn_started_at_unix_ms"].as_u64().unwrap());
        self.days.entry(thread).or_insert_with(|| started.map(day));
        let is_root = ours["agent_name"] == "/root";
        let is_ours =
            |(name, value): &(String, Value)| is_root && (&**name, value) == (OUR_MEMBER.0, &json!(OUR_MEMBER.1));
        let is_sent = |(name, _): &(String, Value)| NO_MEMBER.iter().all(|(not, _)| not != name);
        let theirs: Vec<_> = theirs.into_iter().filter(is_sent).collect();
        let ours: Vec<_> = ours.into_iter().filter(|member| !is_ours(member)).collect();
        let names = |members: &[(String, Value)]| members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{what}: the members");
        for ((name, theirs), (_, ours)) in theirs.iter().zip(&ours) {
            let what = format!("{what}, {name}");
            match (theirs, ours) {
                (Value::String(theirs), Value::String(ours)) => {
                    let (later_name, new, resumed) = IN_A_LATER_PROCESS;
                    let theirs = if later && (name, theirs) == (&later_name.to_owned(), &new.to_owned()) {
                        resumed
                    } else {
                        theirs
                    };
                    self.pairs.assert_same(&what, theirs, ours);
                }
                // When a turn began is one number, in all its requests.
                _ if name == "turn_started_at_unix_ms" => {
                    let of_turn = |turn: &str, at: u64| format!("{turn} at {at}");
                    let (theirs, ours) = (of_turn(&turns[0], started[0]), of_turn(&turns[1], started[1]));
                    self.pairs.assert_pair(&what, &format!("{} began", turns[0]), &format!("{} began", turns[1]));
                    self.pairs.assert_pair(&what, &theirs, &ours);
                }
                _ => assert_eq!(ours, theirs, "{what}"),
            }
        }
    }

    fn tools(&self, what: &str, theirs: &Value, ours: &Received) {
        let is_offered = |name: &&str| NO_TOOL.iter().all(|(not, _)| not != name);
        let theirs: Vec<&str> =
            theirs["tools"].as_array().unwrap().iter().filter_map(Value::as_str).filter(is_offered).collect();
        let all = ours.tools();
        let mut ours: Vec<&str> =
            all.iter().map(|name| name.split_once('.').map_or(&**name, |(space, _)| space)).collect();
        ours.dedup();
        for (tool, recordings) in OUR_TOOLS {
            if recordings.iter().any(|start| self.name.starts_with(start)) {
                let all = ours.len();
                ours.retain(|name| *name != tool);
                assert_eq!(ours.len(), all - 1, "{what}: {tool} is offered");
            }
        }
        assert_eq!(ours, theirs, "{what}: the tools");
    }

    /// The items without what is exempt, and without what is of the place and the day.
    fn left(&mut self, side: Side, thread: ThreadId, input: &[Value]) -> Vec<Value> {
        let k = usize::from(side == Side::Ours);
        let left = without(&ITEMS, &self.name, side, input, &mut self.used_here[k]);
        let mut left = without(&EXEMPTIONS, &self.name, side, &left, &mut self.used[k]);
        let (place, day) = (&self.places[k], &self.days[&thread][k]);
        let is_environment = |item: &Value| is_text(item, "user", |text| text.starts_with("<environment_context>\n"));
        for item in left.iter_mut().filter(|item| is_environment(item)) {
            let text = item["content"][0]["text"].as_str().unwrap();
            let lines = [format!("  <cwd>{place}</cwd>\n"), format!("  <current_date>{day}</current_date>\n")];
            let text = lines.iter().fold(text.to_owned(), |text, line| {
                assert_eq!(text.matches(line).count(), 1, "{line:?} in {text}");
                text.replace(line, "")
            });
            item["content"][0]["text"] = json!(text);
        }
        left
    }

    fn item(&mut self, what: &str, mut theirs: Value, ours: Value) {
        if let (Some(theirs), Some(ours)) = (theirs["id"].as_str(), ours["id"].as_str()) {
            self.pairs.assert_same(&format!("{what}: its id"), theirs, ours);
        }
        theirs["id"] = ours["id"].clone();
        let run = |item: &Value| Some(Run::of(item["output"].as_str()?)?.map(str::to_owned));
        if let (Some([chunk, wall, rest]), Some([our_chunk, our_wall, _])) = (run(&theirs), run(&ours)) {
            let call = theirs["call_id"].as_str().unwrap();
            self.pairs.assert_pair(
                &format!("{what}: its chunk"),
                &format!("chunk {chunk}"),
                &format!("chunk {our_chunk}"),
            );
            let took = |wall: &str| format!("{call} took {wall}");
            self.pairs.assert_pair(&format!("{what}: its time"), &took(&wall), &took(&our_wall));
            theirs["output"] = json!(Run::text([&our_chunk, &our_wall, &rest]));
        }
        // What could not be found is named by where it was looked for.
        if let Some(output) = theirs["output"].as_str() {
            theirs["output"] = json!(output.replace(&self.places[0], &self.places[1]));
        }
        assert_eq!(ours.to_string(), theirs.to_string(), "{what}");
    }
}

/// What a command came to: the id of its output, how long it took, and the rest, which is the same each time.
struct Run;

impl Run {
    fn of(output: &str) -> Option<[&str; 3]> {
        let (chunk, rest) = output.strip_prefix("Chunk ID: ")?.split_once("\nWall time: ")?;
        let (wall, rest) = rest.split_once(" seconds\n")?;
        let (whole, part) = wall.split_once('.')?;
        let is_chunk = chunk.len() == 6 && chunk.bytes().all(|b| b.is_ascii_hexdigit());
        let is_wall = part.len() == 4 && [whole, part].iter().all(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        (is_chunk && is_wall).then_some([chunk, wall, rest])
    }

    fn text([chunk, wall, rest]: [&str; 3]) -> String {
        format!("Chunk ID: {chunk}\nWall time: {wall} seconds\n{rest}")
    }
}

/// The headers that say where a request comes from, by name. Of others the recordings have none.
fn identity<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> BTreeMap<String, String> {
    let all = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    all.filter(|(name, _)| name.starts_with("x-") || name.ends_with("-id")).collect()
}

fn headers_of(request: &Value) -> BTreeMap<String, String> {
    let headers = request["headers"].as_object().unwrap();
    let all = identity(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
    assert_eq!(all.len(), headers.len(), "all that was recorded is compared");
    all
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

fn day(millis: u64) -> String {
    let at = Timestamp::from_millisecond(millis.try_into().unwrap()).unwrap();
    at.to_zoned(TimeZone::UTC).date().to_string()
}
