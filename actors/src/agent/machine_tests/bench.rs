//! A machine on the bench: inputs go in by hand, and what it writes and asks for is told in words.

use std::sync::Arc;

use bytes::Bytes;
use sapwood_model::{ModelError, Response};
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, ProcessGroup, Sender, TurnOrigin};
use sapwood_protocol::{AgentPath, Ids, Line, Millis, ThreadId, Usage};
use serde_json::{Value, json};

use super::super::effect::{Decision, Effect, Timer};
use super::super::event::Event;
use super::super::input::{Ctx, Input, ToolEnd, ToolResult};
use super::super::lines::{NewAgent, accepted_mail, birth};
use super::super::{Agent, Machine, Settings};

/// When everything begins.
pub const START: Millis = Millis(1_795_219_433_000);

/// A machine, its rollout, and what it did.
pub struct Bench {
    pub machine: Machine,
    pub now: Millis,
    /// The whole rollout.
    pub lines: Vec<Line>,
    /// What the newest input led to.
    pub effects: Vec<Effect>,
    pub settings: Arc<Settings>,
    ids: Ids,
}

/// What one input led to: a text for each batch of lines, and one for each effect.
#[derive(Debug, PartialEq)]
pub struct Did {
    pub batches: Vec<String>,
    pub effects: Vec<String>,
}

/// What is expected of an input.
pub fn did(batches: &[&str], effects: &[&str]) -> Did {
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    Did { batches: owned(batches), effects: owned(effects) }
}

/// A thread of these tests.
pub fn thread(n: u64) -> ThreadId {
    Ids::seeded(n).thread(START)
}

impl Bench {
    /// A root that nobody has said anything to.
    pub fn root() -> Self {
        Self::born(&AgentPath::root(), None, Settings::default())
    }

    /// The child `/root/a` of thread 1.
    pub fn child() -> Self {
        Self::born(&AgentPath::root().join("a").unwrap(), Some(thread(1)), Settings::default())
    }

    /// A root with these settings.
    pub fn root_with(settings: Settings) -> Self {
        Self::born(&AgentPath::root(), None, settings)
    }

    fn born(path: &AgentPath, parent: Option<ThreadId>, settings: Settings) -> Self {
        let mut ids = Ids::seeded(7);
        let me = if parent.is_none() { thread(1) } else { thread(2) };
        let session = thread(1).into();
        let new = NewAgent {
            thread: me,
            session,
            path,
            parent,
            nickname: None,
            cwd: "/workspace",
            fork: None,
            settings: None,
            first: None,
        };
        let lines = birth(&new, &settings, &mut ids, START);
        Self::of(lines, Arc::new(settings))
    }

    /// A new incarnation over these lines, which has read what the one before left.
    pub fn of(lines: Vec<Line>, settings: Arc<Settings>) -> Self {
        let machine = Machine::new(Agent::fold(lines.iter().cloned()), Arc::clone(&settings));
        let ids = Ids::seeded(lines.len() as u64);
        let mut bench = Self { machine, now: START, lines, effects: Vec::new(), settings, ids };
        bench.now = START.plus(bench.lines.len() as u64);
        bench
    }

    /// A new incarnation of an agent that these lines alone do not give: a fork.
    pub fn with(agent: Agent, lines: Vec<Line>, settings: &Arc<Settings>) -> Self {
        let machine = Machine::new(agent, Arc::clone(settings));
        Self { machine, ..Self::of(lines, Arc::clone(settings)) }
    }

    /// Decides until nothing follows, as the shell does; nobody performs the effects.
    pub fn does(&mut self, input: Input) -> Did {
        let mut batches = Vec::new();
        self.effects.clear();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut ctx = Ctx { now: self.now, ids: &mut self.ids };
            let before = self.machine.agent().clone();
            let Decision { lines, effects, volatile, again } = self.machine.decide(&mut ctx, input);
            assert_eq!(before, *self.machine.agent(), "deciding changes nothing");
            if !lines.is_empty() {
                batches.push(lines.iter().map(line_in_words).collect::<Vec<_>>().join(" "));
            }
            lines.iter().for_each(|line| self.machine.apply(line));
            self.lines.extend(lines);
            self.machine.settle(volatile);
            self.effects.extend(effects);
            next = again.then_some(Input::Go);
            assert!(batches.len() < 100, "it comes to no end: {batches:?}");
        }
        let effects = self.effects.iter().filter_map(|effect| self.effect_in_words(effect)).collect();
        Did { batches, effects }
    }

    /// An input is accepted: its line is in the rollout, and the machine hears of it.
    pub fn accept(&mut self, mut accepted: Accepted) -> Did {
        accepted.place = self.machine.agent().inbox.next_place();
        let line = Own::Accepted(accepted).line(self.now);
        self.machine.apply(&line);
        self.lines.push(line);
        self.does(Input::Go)
    }

    /// The user says something.
    pub fn say(&mut self, id: &str, text: &str) -> Did {
        let body = Some(Body::user(text));
        self.accept(Accepted {
            id: id.into(),
            place: 0,
            lane: InputLane::User,
            wake: true,
            from: None,
            body,
            turn: None,
        })
    }

    /// Mail comes in from thread `from`, its `n`-th.
    pub fn mail(&mut self, from: u64, n: u64, kind: MailKind) -> Did {
        self.mail_that_wakes(from, n, kind, kind.wakes())
    }

    /// Mail that wakes or does not, whatever its kind.
    pub fn mail_that_wakes(&mut self, from: u64, n: u64, kind: MailKind, wakes: bool) -> Did {
        let name = format!("s{from}");
        let path = if from == 1 { AgentPath::root() } else { AgentPath::root().join(&name).unwrap() };
        let turn = TurnOrigin { turn: "their-turn".into(), root_turn: "their-root-turn".into() };
        let body = Body::Mail { kind, text: format!("mail {n}"), turn, outcome: None };
        self.accept(accepted_mail(Sender { thread: thread(from), path, n }, wakes, body))
    }

    /// Begins a turn with a user's words, up to its first request.
    pub fn turn(&mut self) -> Did {
        let Did { mut batches, mut effects } = self.say("u1", "do it");
        let more = self.does(Input::Granted);
        batches.extend(more.batches);
        effects.extend(more.effects);
        Did { batches, effects }
    }

    /// The model answers the request that is under way.
    pub fn answer(&mut self, items: &[Value]) -> Did {
        let items = items.iter().map(|item| Bytes::from(item.to_string())).collect();
        let usage = Usage { input_tokens: 10, output_tokens: 5, total_tokens: 15, ..Usage::default() };
        self.sampled(Ok(Response::new("resp", items, usage)))
    }

    /// The request that is under way ends.
    pub fn sampled(&mut self, result: Result<Response, ModelError>) -> Did {
        let effect = self.machine.volatile().sampling.expect("a request is under way");
        self.does(Input::Sampled { effect, result })
    }

    /// A command is held.
    pub fn held(&mut self, call: &str) -> Did {
        let effect = self.machine.volatile().busy[&call.into()];
        self.does(Input::Held { effect, call: call.into(), group: ProcessGroup { id: 77, start: 1 } })
    }

    /// A command ended well.
    pub fn ended(&mut self, call: &str) -> Did {
        let output = format!("{call} ran\n");
        let total_bytes = output.len() as u64;
        let result = ToolResult { end: ToolEnd::Exited(0), output, total_bytes, ..ToolResult::nothing() };
        self.does(Input::ToolEnded { call: call.into(), result })
    }

    /// The id of the open turn.
    pub fn turn_id(&self) -> sapwood_protocol::TurnId {
        self.machine.agent().turn.as_ref().expect("a turn is open").id.clone()
    }

    /// The outputs that the model would read next, by call.
    pub fn outputs(&self) -> Vec<(String, String)> {
        let items = self.machine.agent().history.prompt();
        let items = items.iter().map(|json| serde_json::from_slice::<Value>(json).unwrap());
        let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
        items.filter(|item| !item["output"].is_null()).map(|i| (text(&i, "call_id"), text(&i, "output"))).collect()
    }

    fn effect_in_words(&self, effect: &Effect) -> Option<String> {
        Some(match effect {
            Effect::Sample { request, .. } => format!("sample#{}", request.origin.attempt),
            Effect::CancelSample => "cancel".into(),
            Effect::Hold { call, .. } => format!("hold({call})"),
            Effect::Plan { call, .. } => format!("plan({call})"),
            Effect::Apply { call, .. } => format!("apply({call})"),
            Effect::Release { call } => format!("release({call})"),
            Effect::Type { call, .. } => format!("type({call})"),
            Effect::Kill { call } => format!("kill({call})"),
            Effect::KillLeftover(group) => format!("killLeftover({})", group.id),
            Effect::Ask { call, .. } => format!("ask({call})"),
            Effect::Report(report) => format!("report({} {:?})", report.n, report.outcome),
            Effect::Want(want) => format!("want({want:?})"),
            Effect::GiveBack => "giveBack".into(),
            Effect::Timer { timer: Timer::Wait(call), at } => format!("timer({call} {})", at.since(self.now).0),
            Effect::Timer { timer, at } => format!("timer({timer:?} {})", at.since(self.now).0),
            Effect::Notify(Event::TurnEnded { outcome, .. }) => format!("ended({outcome:?})"),
            Effect::Notify(Event::Dropped { .. }) => "dropped".into(),
            Effect::Notify(Event::Paused { by_itself, .. }) => format!("paused(byItself: {by_itself})"),
            Effect::Notify(Event::Warning(text)) => format!("warning({text})"),
            Effect::Notify(_) => return None,
        })
    }
}

/// A line in a word: what it is, and what it concerns.
pub fn line_in_words(line: &Line) -> String {
    let view = line.view().unwrap();
    let payload: Value = serde_json::from_str(view.payload.get()).unwrap();
    let text = |key: &str| payload[key].as_str().unwrap_or_default();
    let mut words = match (&*view.kind, text("type")) {
        ("event_msg", "item_completed") => format!("shown:{}", payload["item"]["type"].as_str().unwrap()),
        ("response_item", "message") => text("role").to_owned(),
        ("response_item", "agent_message") => "mail".to_owned(),
        ("response_item", "function_call" | "custom_tool_call") => format!("call({})", text("call_id")),
        ("response_item", "function_call_output" | "custom_tool_call_output") => format!("output({})", text("call_id")),
        ("inter_agent_communication_metadata", _) => "mailMetadata".to_owned(),
        ("token_usage_record", _) => "usage".to_owned(),
        (_, tag) if !tag.is_empty() => tag.to_owned(),
        (kind, _) => match (text("call"), text("id")) {
            ("", "") => kind.to_owned(),
            (call, id) => format!("{}({call}{id})", kind.trim_start_matches("sapwood.")),
        },
    };
    let mark = view.mark();
    mark.consumes.iter().for_each(|id| words += &format!("!{id}"));
    mark.output.iter().for_each(|early| words += &format!("!early({})", early.call));
    mark.cause.iter().for_each(|cause| words += &format!("!{cause:?}"));
    if !payload["error"].is_null() {
        words += "!error";
    }
    words
}

/// A message of the model.
pub fn text(text: &str) -> Value {
    json!({"type": "message", "id": "msg_m", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

/// A shell command of the model.
pub fn exec(call: &str) -> Value {
    function(call, "", "exec_command", &json!({"cmd": format!("run {call}")}).to_string())
}

/// A call of a tool that acts on agents.
pub fn collab(call: &str, name: &str, arguments: &Value) -> Value {
    function(call, "collaboration", name, &arguments.to_string())
}

/// Any call.
pub fn function(call: &str, namespace: &str, name: &str, arguments: &str) -> Value {
    let mut item = json!({"type": "function_call", "id": format!("fc_{call}"), "name": name});
    if !namespace.is_empty() {
        item["namespace"] = json!(namespace);
    }
    item["arguments"] = json!(arguments);
    item["call_id"] = json!(call);
    item
}
