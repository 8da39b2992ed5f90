//! From what is known of the agents to rows: pure.

use std::collections::BTreeMap;

use sapwood_actors::agent::Event;
use sapwood_actors::agent::event::Shown;
use sapwood_actors::seat::{AgentStatus, SeatView};
use sapwood_actors::service::HeldUp;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{AgentPath, CallId, Millis};

use crate::text::{clock, first_line, one_line};
use crate::watch::What;

/// Open calls that are remembered of an agent, at most; the oldest are forgotten first.
const CALLS: usize = 64;
/// The longest piece of somebody else's text that is kept for a row: no terminal shows more.
const CUT: usize = 400;

/// What happened to the agents, as far as their views do not say it.
#[derive(Debug, Default)]
pub struct Model {
    notes: BTreeMap<AgentPath, Note>,
}

#[derive(Debug, Default)]
struct Note {
    /// When its turn began.
    since: Option<Millis>,
    /// When its last turn ended.
    ended: Option<Millis>,
    /// What its tools do, oldest first.
    calls: Vec<(CallId, String)>,
    /// When its request is tried again, and why.
    retry: Option<(Millis, String)>,
}

/// What an agent's view and the supervisor's table say of it at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// A turn is open.
    pub is_open: bool,
    /// An input wants a turn.
    pub wakes: bool,
    /// It waits for mail until then.
    pub waits_until: Option<Millis>,
    /// Its turn pauses: until when, and why.
    pub paused: Option<(Option<Millis>, String)>,
    /// Its request waits for the provider: until when, and why.
    pub limited: Option<(Option<Millis>, String)>,
    /// What keeps it from working.
    pub held_up: Option<HeldUp>,
    /// How its last turn ended.
    pub last: Last,
    /// Tokens so far.
    pub tokens: u64,
}

/// How the last turn of an agent ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Last {
    /// There was none.
    #[default]
    None,
    Finished,
    Failed(String),
    Interrupted,
    Lost,
    Quarantined(String),
}

impl Facts {
    /// What a view says.
    pub fn of(view: &SeatView, held_up: Option<HeldUp>) -> Self {
        Self {
            is_open: view.turn.is_some(),
            wakes: view.wakes,
            waits_until: view.waits_until,
            paused: view.paused.as_ref().map(|paused| (paused.until, one_line(&paused.reason, CUT))),
            limited: view.queued.as_ref().map(|queued| (queued.until, one_line(&queued.why, CUT))),
            held_up,
            last: match (&view.status, view.outcome) {
                (AgentStatus::PendingInit | AgentStatus::Running, _) => Last::None,
                (AgentStatus::Completed(_), _) => Last::Finished,
                // Who was taken out of service has another reason than its last turn.
                (AgentStatus::Errored(why), Some(Outcome::Failed)) if view.last_message.as_deref() == Some(why) => {
                    Last::Failed(one_line(why, CUT))
                }
                (AgentStatus::Errored(why), _) => Last::Quarantined(one_line(why, CUT)),
                (AgentStatus::Interrupted, Some(Outcome::Lost)) => Last::Lost,
                (AgentStatus::Interrupted, _) => Last::Interrupted,
            },
            tokens: view.usage.total_tokens,
        }
    }
}

/// The state of an agent in one word. In the order in which a person wants to see agents where lines are scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Failed,
    Quarantined,
    Blocked,
    Paused,
    Retrying,
    Restarting,
    Limited,
    Working,
    Lost,
    Waiting,
    Queued,
    Interrupted,
    Idle,
    Finished,
}

impl State {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            State::Failed => "failed",
            State::Quarantined => "quarantined",
            State::Blocked => "blocked",
            State::Paused => "paused",
            State::Retrying => "retrying",
            State::Restarting => "restarting",
            State::Limited => "limited",
            State::Working => "working",
            State::Lost => "lost",
            State::Waiting => "waiting",
            State::Queued => "queued",
            State::Interrupted => "interrupted",
            State::Idle => "idle",
            State::Finished => "finished",
        }
    }

    /// True while a turn is open or wanted.
    pub fn is_open(self) -> bool {
        !matches!(
            self,
            State::Failed | State::Quarantined | State::Lost | State::Interrupted | State::Idle | State::Finished
        )
    }
}

/// One agent, as it is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub path: AgentPath,
    pub state: State,
    /// What it does, or waits for; one line, safe for a terminal.
    pub doing: String,
    pub tokens: u64,
    /// How long its turn takes, or took.
    pub elapsed: Option<Millis>,
}

impl Model {
    /// Takes note of something that was seen.
    pub fn see(&mut self, path: &AgentPath, what: &What) {
        let note = match self.notes.get_mut(path) {
            Some(note) => note,
            None => self.notes.entry(path.clone()).or_default(),
        };
        match what {
            What::Found(_) => {}
            // What was missed may be the end of any of them.
            What::Missed => (note.calls, note.retry) = (Vec::new(), None),
            What::Happened { at, event } => note.happened(*at, event),
        }
    }

    /// The row of an agent of which this is known now.
    pub fn row(&self, path: &AgentPath, facts: &Facts, now: Millis) -> Row {
        const NOTHING: &Note = &Note { since: None, ended: None, calls: Vec::new(), retry: None };
        let note = self.notes.get(path).unwrap_or(NOTHING);
        let (state, doing) = note.state(facts, now);
        let until = if state.is_open() { Some(now) } else { note.ended };
        let elapsed = note.since.and_then(|since| Some(until?.since(since)));
        Row { path: path.clone(), state, doing, tokens: facts.tokens, elapsed }
    }
}

impl Note {
    fn happened(&mut self, at: Millis, event: &Event) {
        match event {
            Event::TurnStarted { .. } => *self = Note { since: Some(at), ..Note::default() },
            Event::TurnEnded { .. } => {
                *self = Note { since: self.since, ended: Some(at), ..Note::default() };
            }
            Event::Retrying { message, at } => self.retry = Some((*at, one_line(message, CUT))),
            Event::ItemStarted { item, .. } => {
                self.retry = None;
                if let Some((call, doing)) = call(item) {
                    if self.calls.len() >= CALLS {
                        self.calls.remove(0);
                    }
                    self.calls.push((call.clone(), doing));
                }
            }
            Event::ItemCompleted { item, .. } => {
                self.retry = None;
                if let Shown::Command { call, .. }
                | Shown::Collab { call, .. }
                | Shown::Patch { call, .. }
                | Shown::Client { call, .. } = item
                {
                    self.calls.retain(|(open, _)| open != call);
                }
            }
            Event::Usage { .. } | Event::Waiting { .. } | Event::Sent | Event::Paused { .. } => self.retry = None,
            _ => {}
        }
    }

    fn state(&self, facts: &Facts, now: Millis) -> (State, String) {
        // Nothing wakes who was taken out of service.
        if !facts.is_open && (!facts.wakes || matches!(facts.last, Last::Quarantined(_))) {
            return ended(&facts.last);
        }
        if let Some((until, why)) = &facts.paused {
            let when =
                until.map_or_else(|| "usage limit".to_owned(), |until| format!("usage limit{}", more(until, now)));
            return (State::Paused, format!("{when}: {why}"));
        }
        match facts.held_up {
            Some(HeldUp::Slot) => return (State::Queued, "for a slot".to_owned()),
            Some(HeldUp::Restart) => return (State::Restarting, "after a crash".to_owned()),
            Some(HeldUp::Storage) => return (State::Blocked, "its storage fails, and is tried again".to_owned()),
            None if !facts.is_open => return (State::Queued, String::new()),
            None => {}
        }
        if let Some(until) = facts.waits_until {
            return (State::Waiting, format!("for mail{}", more(until, now)));
        }
        if let Some((until, why)) = &facts.limited {
            let when = until.map(|until| more(until, now)).unwrap_or_default();
            return (State::Limited, format!("waits for the provider{when}: {why}"));
        }
        match &self.retry {
            Some((at, why)) if *at > now => (State::Retrying, format!("in {}: {why}", seconds(*at, now))),
            _ => (State::Working, self.doing()),
        }
    }

    fn doing(&self) -> String {
        match &self.calls[..] {
            [] => String::new(),
            [(_, only)] => only.clone(),
            [(_, first), others @ ..] => format!("(+{}) {first}", others.len()),
        }
    }
}

fn ended(last: &Last) -> (State, String) {
    match last {
        Last::None => (State::Idle, String::new()),
        Last::Finished => (State::Finished, String::new()),
        Last::Failed(why) => (State::Failed, why.clone()),
        Last::Interrupted => (State::Interrupted, String::new()),
        Last::Lost => (State::Lost, "its process died".to_owned()),
        Last::Quarantined(why) => (State::Quarantined, why.clone()),
    }
}

/// What a call does, if it is worth a word: a wait is a state.
fn call(item: &Shown) -> Option<(&CallId, String)> {
    match item {
        Shown::Command { call, command, .. } => Some((call, format!("$ {}", first_line(command, CUT)))),
        Shown::Patch { call, files, .. } => {
            Some((call, format!("changes {}", files.first().map_or("", |(path, _)| path.as_str()))))
        }
        Shown::Client { call, tool, .. } => Some((call, format!("uses {tool}"))),
        Shown::Collab { tool: "wait", .. } => None,
        Shown::Collab { call, tool, prompt, .. } => {
            let what = match *tool {
                "spawn_agent" => "spawns an agent",
                "send_message" => "writes to an agent",
                "followup_task" => "gives a task",
                "interrupt_agent" => "interrupts an agent",
                "list_agents" => "lists the agents",
                other => other,
            };
            let said = prompt.as_ref().map(|prompt| format!(": {}", one_line(prompt, CUT))).unwrap_or_default();
            Some((call, format!("{what}{said}")))
        }
        Shown::User { .. } | Shown::Agent { .. } | Shown::Reasoning { .. } | Shown::Mail { .. } => None,
    }
}

/// How long at most, in words.
fn more(until: Millis, now: Millis) -> String {
    format!(", {} left", clock(until.since(now)))
}

/// Rounded up, so that it never says zero.
fn seconds(at: Millis, now: Millis) -> String {
    format!("{}s", at.since(now).0.div_ceil(1000))
}

#[cfg(test)]
mod tests;
