//! What real clients and the real server said to each other goes through our types and comes out equal, value for value.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use sapwood_protocol::app::notices::{self, Notice};
use sapwood_protocol::app::{
    change, drive, experimental, initialize, list, methods, queue, settings, start, terminals, wire,
};
use sapwood_protocol::approval::Permissions;
use sapwood_protocol::asked::{Action, Asked, CommandAsk, Given, Resolution, What};
use sapwood_protocol::ids::{AskId, CallId, TurnId};
use sapwood_protocol::time::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The stand-in server of these sends only what is required, so its `null`s are not those of the real one.
const STAND_IN: &str = "minimal-server";

/// Reads JSON with one of our types, and writes it again.
type RoundTrip = fn(&RawValue) -> Result<Value, String>;

fn same<T: DeserializeOwned + Serialize>(json: &RawValue) -> Result<Value, String> {
    let value: T = wire::read(json)?;
    // By way of text, as on a wire: raw parts are written as they are.
    let text = serde_json::to_string(&value).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn notice<T: DeserializeOwned + Notice>(table: &mut HashMap<&'static str, RoundTrip>) {
    table.insert(T::METHOD, same::<T>);
}

fn notices() -> HashMap<&'static str, RoundTrip> {
    let mut table = HashMap::new();
    notice::<notices::ThreadStarted>(&mut table);
    notice::<notices::ThreadStatusChanged>(&mut table);
    notice::<notices::ThreadArchived>(&mut table);
    notice::<notices::ThreadUnarchived>(&mut table);
    notice::<notices::ThreadDeleted>(&mut table);
    notice::<notices::ThreadClosed>(&mut table);
    notice::<notices::ThreadNameUpdated>(&mut table);
    notice::<notices::ThreadQueueChanged>(&mut table);
    notice::<notices::ThreadGoalCleared>(&mut table);
    notice::<notices::ThreadTokenUsageUpdated>(&mut table);
    notice::<notices::ThreadCompacted>(&mut table);
    notice::<notices::TurnStarted>(&mut table);
    notice::<notices::TurnCompleted>(&mut table);
    notice::<notices::TurnDiffUpdated>(&mut table);
    notice::<notices::TurnPlanUpdated>(&mut table);
    notice::<notices::ItemStarted>(&mut table);
    notice::<notices::ItemCompleted>(&mut table);
    notice::<notices::AgentMessageDelta<'_>>(&mut table);
    notice::<notices::PlanDelta<'_>>(&mut table);
    notice::<notices::ReasoningSummaryDelta<'_>>(&mut table);
    notice::<notices::ReasoningSummaryPartAdded<'_>>(&mut table);
    notice::<notices::ReasoningTextDelta<'_>>(&mut table);
    notice::<notices::CommandOutputDelta<'_>>(&mut table);
    notice::<notices::TerminalInteraction<'_>>(&mut table);
    notice::<notices::FileChangePatchUpdated<'_>>(&mut table);
    notice::<notices::ServerRequestResolved>(&mut table);
    notice::<notices::ErrorNotice>(&mut table);
    notice::<notices::Warning>(&mut table);
    notice::<notices::DeprecationNotice>(&mut table);
    notice::<notices::ConfigWarning>(&mut table);
    notice::<notices::ModelRerouted>(&mut table);
    notice::<notices::SafetyBufferingUpdated>(&mut table);
    notice::<settings::ThreadSettingsUpdated>(&mut table);
    table
}

fn response(method: &str) -> Option<RoundTrip> {
    Some(match method {
        "initialize" => same::<initialize::InitializeResponse>,
        "thread/start" | "thread/fork" => same::<start::ThreadStartResponse>,
        "thread/resume" => same::<start::ThreadResumeResponse>,
        "thread/list" => same::<list::ThreadListResponse>,
        "thread/loaded/list" => same::<list::ThreadLoadedListResponse>,
        "thread/read" => same::<list::ThreadReadResponse>,
        "thread/turns/list" => same::<list::TurnsPage>,
        "thread/items/list" => same::<list::ThreadItemsListResponse>,
        "thread/unsubscribe" => same::<change::ThreadUnsubscribeResponse>,
        "thread/unarchive" | "thread/metadata/update" => same::<change::ThreadResponse>,
        "thread/backgroundTerminals/list" => same::<terminals::BackgroundTerminalsResponse>,
        "turn/start" => same::<drive::TurnStartResponse>,
        "turn/steer" => same::<drive::TurnSteerResponse>,
        "thread/archive"
        | "thread/delete"
        | "thread/name/set"
        | "thread/settings/update"
        | "turn/interrupt"
        | "thread/compact/start" => same::<change::Done>,
        _ => return None,
    })
}

fn reads<T: DeserializeOwned>(json: &RawValue) -> Result<(), String> {
    wire::read::<T>(json).map(drop)
}

/// Reads JSON with one of our types.
type Reading = fn(&RawValue) -> Result<(), String>;

fn params(method: &str) -> Option<Reading> {
    Some(match method {
        "initialize" => reads::<initialize::InitializeParams>,
        "thread/start" => reads::<start::ThreadStartParams>,
        "thread/resume" => reads::<start::ThreadResumeParams>,
        "thread/fork" => reads::<start::ThreadForkParams>,
        "thread/list" => reads::<list::ThreadListParams>,
        "thread/loaded/list" => reads::<list::ThreadLoadedListParams>,
        "thread/read" => reads::<list::ThreadReadParams>,
        "thread/turns/list" => reads::<list::ThreadTurnsListParams>,
        "thread/items/list" => reads::<list::ThreadItemsListParams>,
        "thread/name/set" => reads::<change::ThreadSetNameParams>,
        "thread/settings/update" => reads::<change::ThreadSettingsUpdateParams>,
        "thread/archive" | "thread/unarchive" | "thread/unsubscribe" | "thread/compact/start" => {
            reads::<change::ThreadParams>
        }
        "thread/backgroundTerminals/list" => reads::<queue::ThreadPageParams>,
        "turn/start" => reads::<drive::TurnStartParams>,
        "turn/steer" => reads::<drive::TurnSteerParams>,
        "turn/interrupt" => reads::<drive::TurnInterruptParams>,
        _ => return None,
    })
}

/// The question that the params of a server request ask.
fn question(method: &str, json: &RawValue) -> Asked {
    let mut params: Value = serde_json::from_str(json.get()).unwrap();
    let mut take = |name: &str| params[name].take();
    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }
    let what = match method {
        "item/commandExecution/requestApproval" => {
            let command: String = read(take("command"));
            let script = command.strip_prefix("/bin/bash -lc '").and_then(|rest| rest.strip_suffix('\'')).unwrap();
            What::Command(Box::new(CommandAsk {
                command: vec!["/bin/bash".to_owned(), "-lc".to_owned(), script.to_owned()],
                cwd: read(take("cwd")),
                tty: false,
                reason: read(take("reason")),
                actions: vec![Action::Unknown { cmd: script.to_owned() }],
                unconfined: true,
                permissions: None,
                amendment: read(take("proposedExecpolicyAmendment")),
                decisions: read(take("availableDecisions")),
            }))
        }
        "item/fileChange/requestApproval" => {
            What::FileChange { reason: read(take("reason")), grant_root: read(take("grantRoot")), paths: Vec::new() }
        }
        "item/tool/requestUserInput" => What::UserInput {
            questions: read(take("questions")),
            blocking: read(take("isBlocking")),
            auto_resolution_ms: read(take("autoResolutionMs")),
        },
        "item/tool/call" => What::DynamicTool {
            namespace: read(take("namespace")),
            tool: read(take("tool")),
            arguments: take("arguments"),
        },
        _ => panic!("{method} is not known"),
    };
    assert_eq!(what.method(), method);
    let call = if method == "item/tool/call" { "callId" } else { "itemId" };
    // A call of a client's tool does not say when it began.
    let at = Millis(take("startedAtMs").as_u64().unwrap_or_default());
    Asked { id: AskId::from("q"), call: CallId::from(read::<String>(take(call))), at, what }
}

/// Reads the params of a server request, and writes those of the question that they ask.
fn question_again(method: &str, json: &RawValue) -> String {
    let place: Value = serde_json::from_str(json.get()).unwrap();
    let (thread, turn) = (place["threadId"].as_str().unwrap(), place["turnId"].as_str().unwrap());
    question(method, json).params(thread.parse().unwrap(), &TurnId::from(turn)).to_string()
}

/// What a client's answer came to, as the client wrote it.
fn answer_again(question: &Asked, json: &RawValue) -> Value {
    let json: Value = serde_json::from_str(json.get()).unwrap();
    match question.what.resolved(Some(&json)) {
        Resolution::Decided { decision } => json!({ "decision": decision }),
        Resolution::Given { answers } => json!({ "answers": answers }),
        Resolution::Returned { content_items, success } => json!({"contentItems": content_items, "success": success}),
        other => panic!("{json} came to {other:?}"),
    }
}

/// One message of a recording.
struct Message {
    file: String,
    connection: String,
    by_client: bool,
    json: Box<RawValue>,
}

fn recorded() -> Vec<Message> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/app-server-transcripts");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut messages = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(path).unwrap().lines() {
            let line: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).unwrap();
            let (Some(direction), Some(message)) = (line.get("dir"), line.get("msg")) else { continue };
            messages.push(Message {
                file: file.clone(),
                connection: line.get("conn").map_or_else(String::new, |connection| connection.get().to_owned()),
                by_client: direction.get() == "\"client\"",
                json: message.clone(),
            });
        }
    }
    messages
}

#[derive(serde::Deserialize)]
struct Frame {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<Value>,
}

fn frame(message: &Message) -> Option<Frame> {
    serde_json::from_str(message.json.get()).ok()
}

fn key(message: &Message, frame: &Frame) -> (String, String, String) {
    (message.file.clone(), message.connection.clone(), frame.id.clone().unwrap_or_default().to_string())
}

fn check(what: &str, file: &str, json: &RawValue, trip: impl Fn(&RawValue) -> Result<Value, String>) {
    let expected: Value = serde_json::from_str(json.get()).unwrap();
    match trip(json) {
        Ok(value) => assert_eq!(value, expected, "{file}: {what}"),
        Err(why) => panic!("{file}: {what}: {why}\n{}", json.get()),
    }
}

#[test]
fn requests_of_clients_are_read() {
    let mut seen = BTreeMap::<String, usize>::new();
    for message in recorded().iter().filter(|message| message.by_client && !message.file.starts_with("raw-")) {
        let Some(Frame { method: Some(method), params: Some(json), .. }) = frame(message) else { continue };
        assert!(methods::is_known(&method) || method == "initialized", "{method}");
        if let Some(read) = params(&method) {
            read(&json).unwrap_or_else(|why| panic!("{}: {method}: {why}\n{}", message.file, json.get()));
            *seen.entry(method).or_default() += 1;
        }
    }
    assert_eq!((seen.len(), seen["turn/start"] > 50, seen["thread/start"] > 20), (19, true, true), "{seen:?}");
}

#[test]
fn answers_of_the_server_come_out_equal() {
    let (mut asked, mut seen) = (HashMap::new(), BTreeMap::<String, usize>::new());
    for message in recorded().iter().filter(|message| !message.file.starts_with(STAND_IN)) {
        let Some(frame) = frame(message) else { continue };
        let key = key(message, &frame);
        if message.by_client {
            if let Some(method) = frame.method {
                asked.insert(key, method);
            }
        } else if let (None, Some(json)) = (&frame.method, &frame.result)
            && let Some(method) = asked.get(&key)
            && let Some(trip) = response(method)
        {
            check(method, &message.file, json, trip);
            *seen.entry(method.clone()).or_default() += 1;
        }
    }
    assert_eq!((seen.len(), seen["thread/read"] > 20, seen["thread/resume"] > 5), (19, true, true), "{seen:?}");
}

#[test]
fn notifications_come_out_equal() {
    let (table, mut seen) = (notices(), BTreeMap::<String, usize>::new());
    let mut names: Vec<_> = table.keys().copied().collect();
    let mut all = notices::NOTICES.to_vec();
    names.sort();
    all.sort();
    assert_eq!(names, all);
    for message in recorded().iter().filter(|message| !message.by_client && !message.file.starts_with(STAND_IN)) {
        let Some(Frame { id: None, method: Some(method), params: Some(json), .. }) = frame(message) else { continue };
        if let Some(trip) = table.get(method.as_str()) {
            check(&method, &message.file, &json, *trip);
            *seen.entry(method).or_default() += 1;
        }
    }
    assert_eq!((seen.len(), seen["item/completed"] > 100), (22, true), "{seen:?}");
}

#[test]
fn questions_and_their_answers_come_out_equal() {
    let mut asked = HashMap::<_, (String, Asked)>::new();
    let mut seen = BTreeMap::<String, (usize, usize)>::new();
    for message in recorded().iter().filter(|message| !message.file.starts_with(STAND_IN)) {
        let Some(frame) = frame(message) else { continue };
        let key = key(message, &frame);
        if message.by_client {
            if let (None, Some((method, question)), Some(json)) = (&frame.method, asked.get(&key), &frame.result) {
                check(method, &message.file, json, |json| Ok(answer_again(question, json)));
                seen.entry(method.clone()).or_default().1 += 1;
            }
            assert!(frame.error.is_none() || frame.result.is_none());
        } else if let (Some(_), Some(method), Some(json)) = (&frame.id, &frame.method, &frame.params) {
            // To the byte: the order of the fields too.
            assert_eq!(question_again(method, json), json.get(), "{}: {method}", message.file);
            seen.entry(method.clone()).or_default().0 += 1;
            asked.insert(key, (method.clone(), question(method, json)));
        }
    }
    assert_eq!((seen.len(), seen.values().all(|(asked, answered)| *asked > 0 && *answered > 0)), (4, true), "{seen:?}");
}

#[test]
fn an_answer_that_makes_no_sense_allows_nothing() {
    let decided = What::FileChange { reason: None, grant_root: None, paths: Vec::new() };
    for wrong in [json!({}), json!(null), json!({"decision": "yes"}), json!({"decision": {"accept": 1}}), json!([])] {
        assert_eq!(decided.resolved(Some(&wrong)), Resolution::Invalid, "{wrong}");
    }
    let rights = What::Permissions { reason: None, cwd: "/".to_owned(), permissions: Permissions::default() };
    assert_eq!(rights.resolved(Some(&json!({}))), Resolution::Invalid);
    let words = What::UserInput { questions: Vec::new(), blocking: true, auto_resolution_ms: None };
    let given = Given { answers: vec!["A".to_owned()] };
    let answers = BTreeMap::from([("q".to_owned(), given)]);
    let more = json!({"answers": {"q": {"answers": ["A"]}}, "more": 1});
    assert_eq!(words.resolved(Some(&more)), Resolution::Given { answers });
}

#[test]
fn what_the_real_server_refuses_is_refused_with_its_words() {
    let table = [
        ("thread/start", r#"{"cwd":5}"#, "invalid type: integer `5`, expected a string"),
        ("thread/start", r#"{"ephemeral":"yes"}"#, "invalid type: string \"yes\", expected a boolean"),
        (
            "thread/start",
            r#"{"approvalPolicy":"on-failure"}"#,
            "unknown variant `on-failure`, expected one of `untrusted`, `on-request`, `granular`, `never`",
        ),
        (
            "thread/start",
            r#"{"sandbox":"danger"}"#,
            "unknown variant `danger`, expected one of `read-only`, `workspace-write`, `danger-full-access`",
        ),
        (
            "thread/start",
            r#"{"personality":"x"}"#,
            "unknown variant `x`, expected one of `none`, `friendly`, `pragmatic`",
        ),
        (
            "thread/start",
            r#"{"multiAgentMode":"x"}"#,
            "unknown variant `x`, expected one of `none`, `custom`, `explicitRequestOnly`, `proactive`",
        ),
        ("thread/start", r#"{"config":[]}"#, "invalid type: sequence, expected a map"),
        ("thread/start", r#"{"historyMode":"x"}"#, "unknown variant `x`, expected `legacy` or `paginated`"),
        ("thread/start", r#"{"sessionStartSource":"x"}"#, "unknown variant `x`, expected `startup` or `clear`"),
        ("turn/start", "{}", "missing field `threadId`"),
        ("turn/start", r#"{"threadId":"t"}"#, "missing field `input`"),
        ("turn/start", r#"{"threadId":5,"input":[]}"#, "invalid type: integer `5`, expected a string"),
        ("turn/start", r#"{"threadId":"t","input":{}}"#, "invalid type: map, expected a sequence"),
        ("turn/start", r#"{"threadId":"t","input":[{}]}"#, "missing field `type`"),
        (
            "turn/start",
            r#"{"threadId":"t","input":[{"type":"image"}]}"#,
            "data did not match any variant of untagged enum ImageReference",
        ),
        (
            "turn/start",
            r#"{"threadId":"t","input":[{"type":"video"}]}"#,
            "unknown variant `video`, expected one of `text`, `image`, `localImage`, `audio`, `localAudio`, `skill`, `mention`",
        ),
        (
            "turn/start",
            r#"{"threadId":"t","input":[],"summary":"z"}"#,
            "unknown variant `z`, expected one of `auto`, `concise`, `detailed`, `none`",
        ),
        ("thread/list", r#"{"limit":-1}"#, "invalid value: integer `-1`, expected u32"),
        ("thread/list", r#"{"useStateDbOnly":null}"#, "invalid type: null, expected a boolean"),
        ("thread/list", r#"{"cwd":5}"#, "data did not match any variant of untagged enum ThreadListCwdFilter"),
        (
            "thread/list",
            r#"{"sortKey":"x"}"#,
            "unknown variant `x`, expected one of `created_at`, `updated_at`, `recency_at`, `section_position`",
        ),
        ("turn/steer", r#"{"threadId":"t","input":[]}"#, "missing field `expectedTurnId`"),
        ("turn/interrupt", r#"{"threadId":"t"}"#, "missing field `turnId`"),
        ("thread/name/set", r#"{"threadId":"t","name":null}"#, "invalid type: null, expected a string"),
    ];
    for (method, json, why) in table {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(params(method).unwrap()(&json), Err(why.to_owned()), "{method} {}", json.get());
    }
}

#[test]
fn an_unknown_method_is_told_as_recorded() {
    let said = recorded()
        .iter()
        .filter(|message| message.file.starts_with("raw-") && !message.by_client)
        .filter_map(|message| frame(message)?.error?["message"].as_str().map(str::to_owned))
        .find(|said| said.contains("unknown variant `nope/nope`"))
        .expect("the recording has one");
    let said = said.trim_end_matches("…[truncated]");
    let expected: Vec<String> = methods::METHODS.iter().map(|method| format!("`{method}`")).collect();
    let ours = format!("Invalid request: unknown variant `nope/nope`, expected one of {}", expected.join(", "));
    assert!(said.len() > 300 && ours.starts_with(said), "{ours}\n{said}");
    let list = RawValue::from_string("{}".to_owned()).unwrap();
    assert_eq!(experimental::gate("thread/list", &list), None);
}
