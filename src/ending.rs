//! How a run ended: the exit code, and what is said of it last.

use std::io::IsTerminal;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sapwood_actors::seat::{AgentStatus, SeatView};
use sapwood_actors::tree::Tree;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{Millis, Usage};
use serde_json::{Value, json};

use crate::events;
use crate::exit::{Exit, Failure};
use crate::output::{Piece, write_now};
use crate::stdin;
use crate::text::{one_line, safe};

/// Agents that are named when they did not do well, at most.
const NAMED: usize = 10;
/// The longest piece of a reason on a line.
const CUT: usize = 300;

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub exit: Exit,
    /// What went wrong with the run itself, and not with a turn.
    pub error: Option<String>,
    thread: Option<String>,
    agents: usize,
    usage: Usage,
    answer: Option<Arc<str>>,
    /// What a person should know of agents that did not do well.
    problems: Vec<String>,
    /// How to go on.
    resume: Option<String>,
    pause: Option<Pause>,
    /// What its agents wait for that only a person can say.
    asks: Option<String>,
    quiet: bool,
}

impl Ending {
    fn new(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            thread: None,
            agents: 0,
            usage: Usage::default(),
            answer: None,
            problems: Vec::new(),
            resume: None,
            pause: None,
            asks: None,
            quiet: false,
        }
    }

    /// The run failed.
    pub fn failed(failure: &Failure) -> Self {
        Self { error: Some(failure.message.clone()), ..Self::new(failure.exit) }
    }

    /// It was stopped, and can go on.
    pub fn stopped(exit: Exit) -> Self {
        Self::new(exit)
    }

    /// Nobody reads what it says.
    pub fn unheard() -> Self {
        Self { quiet: true, ..Self::new(Exit::Failure) }
    }

    /// The tree came to rest by itself.
    pub fn judge(tree: &Tree, warnings: &[String]) -> Self {
        if let Some(why) = tree.melt_down() {
            let failure = Failure::new(Exit::Failure, format!("the tree restarted too often and closed: {why}"));
            return Self::failed(&failure);
        }
        let Some(root) = tree.root() else {
            return Self::failed(&Failure::new(Exit::Failure, "the tree has no root"));
        };
        let view = root.view();
        let pause = Pause::of(tree);
        let asks = questions(tree);
        let (exit, problem) = match (&pause, &asks) {
            (Some(_), _) => (Exit::UsageLimited, None),
            (None, Some(_)) => (Exit::Asking, None),
            (None, None) => root_outcome(&view),
        };
        let mut ending = Self::new(exit);
        ending.problems.extend(asks.clone());
        ending.problems.extend(pause.iter().map(|pause| pause.text(&TimeZone::system())));
        ending.problems.extend(problem.map(|why| format!("{}: {}", root.path, one_line(&why, CUT))));
        let mut bad: Vec<String> = Vec::new();
        for seat in tree.seats().into_iter().filter(|seat| seat.parent.is_some()) {
            bad.extend(trouble(&seat.view()).map(|why| format!("{}: {}", seat.path, one_line(&why, CUT))));
        }
        let more = bad.len().saturating_sub(NAMED);
        if exit == Exit::Done && !(bad.is_empty() && warnings.is_empty()) {
            ending.exit = Exit::Partial;
        }
        bad.truncate(NAMED);
        ending.problems.extend(bad);
        if more > 0 {
            ending.problems.push(format!("and {more} more agents; `sapwood ps` lists them"));
        }
        if exit == Exit::Done {
            ending.answer = view.last_message;
        }
        (ending.pause, ending.asks) = (pause, asks);
        ending
    }

    /// Why the open turn of the root comes to no end in this run.
    pub fn of_open_turn(&self) -> String {
        match (&self.pause, &self.asks) {
            (Some(pause), _) => pause.text(&TimeZone::system()),
            (None, Some(asks)) => asks.clone(),
            (None, None) => "the run was stopped before the turn came to its end".to_owned(),
        }
    }

    /// Counts what the tree did.
    pub fn of(mut self, tree: &Tree) -> Self {
        self.thread = Some(tree.session.to_string());
        for seat in tree.seats() {
            self.agents += 1;
            self.usage += seat.view().usage;
        }
        self
    }

    /// Names the tree that was asked for.
    pub fn about(self, thread: Option<String>) -> Self {
        Self { thread, ..self }
    }

    /// Says how to go on, where there is something to go on with.
    pub fn resumed_by(mut self, command: String) -> Self {
        if !matches!(self.exit, Exit::Done | Exit::Partial) {
            self.resume = Some(command);
        }
        self
    }

    /// The root's last message, if its turn succeeded. It may have said nothing.
    pub fn last_message(&self) -> Option<Arc<str>> {
        let succeeded = matches!(self.exit, Exit::Done | Exit::Partial);
        succeeded.then(|| self.answer.clone().unwrap_or_default())
    }

    /// All went as it is said, but the last message is not where it was wanted.
    pub fn not_kept(&mut self, why: String) {
        self.exit = Exit::Failure;
        self.error = Some(why);
    }

    /// The last words.
    pub fn pieces(&self, json: bool) -> Vec<Piece> {
        if self.quiet {
            return Vec::new();
        }
        let mut pieces = Vec::new();
        let said = self.error.iter().chain(&self.problems);
        pieces.extend(said.map(|text| Piece::err(format!("sapwood: {}", safe(text)))));
        pieces.extend(self.resume.iter().map(|command| Piece::err(format!("to go on: {command}"))));
        if json {
            let error = self.error.iter().map(|message| json!({"type": "error", "message": message}));
            pieces.extend(error.chain([self.record()]).map(|event| Piece::out(event.to_string())));
        } else if let Some(answer) = &self.answer {
            // A file gets what the model wrote, a terminal nothing that it would obey.
            let answer = if std::io::stdout().is_terminal() { safe(answer) } else { answer.to_string() };
            pieces.push(Piece::out(answer));
        }
        pieces
    }

    /// The terminal record of `--json`.
    fn record(&self) -> Value {
        let mut record = json!({
            "type": "sapwood.ended", "exit_code": self.exit.code(), "outcome": self.exit.outcome(),
            "thread_id": self.thread, "agents": self.agents, "usage": events::usage(&self.usage),
        });
        if let Some(pause) = &self.pause {
            record["paused_until"] = pause.until.map(Millis::timestamp).into();
        }
        record
    }

    /// Says it before there is a tree, and before anybody is sure that the prompt was read.
    pub fn say_early(&self, json: bool) -> Exit {
        let exit = self.say_now(json);
        if json {
            stdin::let_the_writer_finish();
        }
        exit
    }

    /// Says it at once.
    pub fn say_now(&self, json: bool) -> Exit {
        write_now(&self.pieces(json), self.exit)
    }
}

/// The questions that agents of a tree wait for, of which `exec` can answer none.
fn questions(tree: &Tree) -> Option<String> {
    let open: Vec<(String, usize)> = tree
        .seats()
        .iter()
        .map(|seat| (seat.path.to_string(), seat.look(|view| view.asks.len())))
        .filter(|(_, open)| *open > 0)
        .collect();
    let all: usize = open.iter().map(|(_, open)| open).sum();
    let (first, _) = open.first()?;
    let what = if all == 1 { "a question is open".to_owned() } else { format!("{all} questions are open") };
    let more = if open.len() == 1 { String::new() } else { format!(" and {} more agents", open.len() - 1) };
    Some(format!("{what}, of {first}{more}: open the thread in a client and answer there; nothing of it is lost"))
}

/// Agents whose turns pause because the account has used up what it may use for now.
#[derive(Clone, Debug, PartialEq)]
struct Pause {
    agents: usize,
    /// What the provider said to the first of them.
    reason: String,
    /// When the last of their limits ends, where that is known of all.
    until: Option<Millis>,
}

impl Pause {
    fn of(tree: &Tree) -> Option<Self> {
        let seats = tree.seats();
        let mut paused = seats.iter().filter_map(|seat| seat.look(|view| view.paused.clone()));
        let first = paused.next()?;
        let start = Self { agents: 1, reason: first.reason, until: first.until };
        Some(paused.fold(start, |all, next| Self {
            agents: all.agents + 1,
            until: all.until.zip(next.until).map(|(a, b)| a.max(b)),
            ..all
        }))
    }

    fn text(&self, zone: &TimeZone) -> String {
        let agents = if self.agents == 1 { "one agent".to_owned() } else { format!("{} agents", self.agents) };
        let at = self.until.and_then(|until| Timestamp::from_millisecond(i64::try_from(until.0).ok()?).ok());
        let end = match at {
            Some(at) => format!("it ends at {}", at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z")),
            None => "the provider does not say when it ends".to_owned(),
        };
        format!("paused by a usage limit ({agents}): {}; {end}", one_line(&self.reason, CUT))
    }
}

fn root_outcome(view: &SeatView) -> (Exit, Option<String>) {
    match (&view.status, view.outcome) {
        (AgentStatus::Completed(_), _) => (Exit::Done, None),
        // A turn fails when its model does; an agent that was taken out of service has another reason.
        (AgentStatus::Errored(why), Some(Outcome::Failed)) if view.last_message.as_deref() == Some(why) => {
            let exit = if view.error.as_deref() == Some("unauthorized") { Exit::Configuration } else { Exit::Provider };
            (exit, Some(why.to_string()))
        }
        (AgentStatus::Errored(why), _) => (Exit::Failure, Some(why.to_string())),
        (AgentStatus::Interrupted, Some(Outcome::Lost)) => (Exit::Failure, Some(LOST.to_owned())),
        (AgentStatus::Interrupted, _) => (Exit::Failure, Some("its turn was interrupted".to_owned())),
        (AgentStatus::PendingInit, _) => (Exit::Failure, Some("it never came to a turn".to_owned())),
        (AgentStatus::Running, _) => (Exit::Failure, Some("its turn came to rest without an end".to_owned())),
    }
}

const LOST: &str = "its process died under its turn, and it did not go on";

/// Why an agent below the root makes the result partial.
fn trouble(view: &SeatView) -> Option<String> {
    match (&view.status, view.outcome) {
        (AgentStatus::Errored(why), _) => Some(why.to_string()),
        (AgentStatus::Interrupted, Some(Outcome::Lost)) => Some(LOST.to_owned()),
        (AgentStatus::Running, _) => Some("its turn came to rest without an end".to_owned()),
        // Interrupted by somebody who meant it.
        (AgentStatus::Interrupted | AgentStatus::Completed(_) | AgentStatus::PendingInit, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_of_how_many_why_and_until_when() {
        let pause = |agents, until| Pause { agents, reason: "used\nup".into(), until };
        let text = |pause: Pause| pause.text(&TimeZone::UTC);
        assert_eq!(
            text(pause(1, Some(Millis(1_700_000_000_000)))),
            "paused by a usage limit (one agent): used up; it ends at 2023-11-14 22:13:20 UTC"
        );
        let unknown = "paused by a usage limit (20 agents): used up; the provider does not say when it ends";
        assert_eq!(text(pause(20, None)), unknown);
        // No time that a calendar has.
        assert!(text(pause(1, Some(Millis(u64::MAX)))).ends_with("does not say when it ends"));
    }
}
