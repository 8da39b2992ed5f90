//! Progress for a person: one line for each thing that happened to an agent.

use std::time::Duration;

use sapwood_actors::agent::Event;
use sapwood_actors::agent::event::Shown;
use sapwood_actors::agent::input::{ToolEnd, ToolResult};
use sapwood_protocol::asked::What as Question;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{AgentPath, Millis, ThreadId};

use crate::terminal::style::{Role, Style};
use crate::text::{first_line, one_line, thousands};
use crate::watch::What;

/// The longest piece of somebody else's text on a line.
const CUT: usize = 100;

/// Which lines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of them.
    All,
    /// How turns end, and what goes wrong: the rest is in the tree below.
    Ends,
}

/// Tells what happens since a moment.
pub struct Progress {
    start: Millis,
    detail: Detail,
    style: Style,
}

impl Progress {
    pub fn since(start: Millis, detail: Detail, style: Style) -> Self {
        Self { start, detail, style }
    }

    /// The line for something that happened, if a person wants to know of it.
    pub fn line(&self, path: &AgentPath, what: &What) -> Option<String> {
        let (at, role, text) = match what {
            What::Found(_) => return None,
            // What is drawn is read from the agents themselves, and misses nothing.
            What::Missed if self.detail == Detail::Ends => return None,
            What::Missed => (None, Role::Warning, "(so much happened that some of it is not shown)".to_owned()),
            What::Happened { at, event } => {
                let role = role(event);
                let is_wanted = self.detail == Detail::All || is_end_or_trouble(event);
                (Some(*at), role, tell(*at, event).filter(|_| is_wanted)?)
            }
        };
        let text = match what {
            What::Happened {
                event: Event::TurnEnded { outcome: Outcome::Completed, message: Some(said), .. }, ..
            } if self.detail == Detail::Ends && !path.is_root() => {
                format!("{text}: {}", one_line(said, CUT))
            }
            _ => text,
        };
        let elapsed = at.map_or_else(|| " ".repeat(7), |at| format!("{:6.1}s", at.since(self.start).0 as f64 / 1000.0));
        let (elapsed, path) = (self.style.paint(Role::Dim, &elapsed), self.style.paint(Role::Name, path.as_str()));
        Some(format!("{elapsed} {path}  {}", self.style.paint(role, &text)))
    }
}

/// What stays readable when the tree has moved on.
fn is_end_or_trouble(event: &Event) -> bool {
    matches!(event, Event::TurnEnded { .. } | Event::Warning(_) | Event::Paused { .. })
}

fn role(event: &Event) -> Role {
    match event {
        Event::Warning(_) | Event::Paused { .. } | Event::Retrying { .. } | Event::Waiting { .. } => Role::Warning,
        Event::TurnEnded { outcome: Outcome::Completed, .. } => Role::Good,
        Event::TurnEnded { outcome: Outcome::Cancelled, .. } => Role::Warning,
        Event::TurnEnded { .. } => Role::Bad,
        _ => Role::Plain,
    }
}

fn tell(at: Millis, event: &Event) -> Option<String> {
    Some(match event {
        Event::TurnStarted { .. } => "started".to_owned(),
        Event::ItemStarted { item: Shown::Collab { tool: "wait", .. }, .. } => "waits for mail".to_owned(),
        Event::ItemStarted { .. } | Event::Usage { .. } => return None,
        Event::ItemCompleted { item, .. } => tell_item(item)?,
        Event::Retrying { message, at: next } => {
            let wait = next.since(at).0 as f64 / 1000.0;
            format!("tries again in {wait:.1}s: {}", one_line(message, CUT))
        }
        Event::Asked { asked, .. } => format!("asks: {}", tell_ask(&asked.what)),
        Event::Resolved { .. } => return None,
        Event::Waiting { why, .. } => format!("waits for the provider: {}", one_line(why, CUT)),
        Event::Sent
        | Event::Delta { .. }
        | Event::Dropped { .. }
        | Event::SettingsApplied
        | Event::Plan { .. }
        | Event::Diff { .. }
        | Event::Detached { .. }
        | Event::Typed { .. }
        | Event::QueueChanged
        | Event::Resync => return None,
        Event::SafetyBuffering { .. } => "waits: the provider looks at the answer before it shows it".to_owned(),
        Event::Rerouted { to, .. } => format!("is answered by {to}"),
        Event::Paused { message, by_itself, .. } => {
            let how = if *by_itself { "pauses" } else { "pauses until it is asked to go on" };
            format!("{how}: {}", one_line(message, 2 * CUT))
        }
        Event::TurnEnded { outcome, message, usage, .. } => {
            let tokens = thousands(usage.total_tokens);
            let why = message.as_deref().map(|message| one_line(message, CUT)).unwrap_or_default();
            match outcome {
                Outcome::Completed => format!("finished ({tokens} tokens)"),
                Outcome::Failed => format!("failed ({tokens} tokens): {why}"),
                Outcome::Cancelled => format!("interrupted ({tokens} tokens)"),
                Outcome::Lost => "lost: its process died under it".to_owned(),
                Outcome::Quarantined => format!("quarantined: {why}"),
            }
        }
        Event::Warning(text) => format!("warning: {}", one_line(text, 2 * CUT)),
    })
}

fn tell_item(item: &Shown) -> Option<String> {
    Some(match item {
        Shown::User { text, .. } => format!("was told: {}", one_line(text, CUT)),
        Shown::Agent { text, .. } => format!("says: {}", one_line(text, CUT)),
        Shown::Reasoning { text, .. } if text.trim().is_empty() => return None,
        Shown::Reasoning { text, .. } => format!("thinks: {}", one_line(text, CUT)),
        Shown::Command { command, result, .. } => {
            let how = result.as_ref().map(ended).unwrap_or_default();
            format!("ran {}{how}", first_line(command, CUT))
        }
        Shown::Patch { files, ok, .. } => {
            let how = if *ok == Some(true) { "changed" } else { "did not change" };
            let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            format!("{how} {}", one_line(&names.join(", "), CUT))
        }
        Shown::Client { tool, ok, .. } => {
            let how = if *ok == Some(true) { "" } else { " (failed)" };
            format!("used {tool}{how}")
        }
        Shown::Collab { tool, agents, prompt, ok, .. } => tell_collab(tool, agents, prompt.as_deref(), *ok),
        Shown::Mail { from, kind, text } => {
            let what = match kind {
                MailKind::NewTask => "a task",
                MailKind::Message => "a message",
                MailKind::FinalAnswer => "a report",
            };
            format!("got {what} from {from}: {}", one_line(text, CUT))
        }
    })
}

/// What a person is asked.
fn tell_ask(what: &Question) -> String {
    match what {
        Question::Command(ask) => {
            format!("may it run {}", first_line(ask.command.last().map_or("", String::as_str), CUT))
        }
        Question::FileChange { paths, .. } => format!("may it change {}", one_line(&paths.join(", "), CUT)),
        Question::Permissions { reason, .. } => {
            format!("may it do more: {}", one_line(reason.as_deref().unwrap_or("no reason given"), CUT))
        }
        Question::UserInput { questions, .. } => {
            one_line(questions.first().map_or("", |asked| asked.question.as_str()), CUT)
        }
        Question::DynamicTool { tool, .. } => format!("its client to run {tool}"),
    }
}

fn ended(result: &ToolResult) -> String {
    let wall = seconds(result.wall);
    match &result.end {
        ToolEnd::Exited(code) => format!(" (exit {code}, {wall})"),
        ToolEnd::Signalled(signal) => format!(" (signal {signal}, {wall})"),
        ToolEnd::TimedOut => format!(" (timed out after {wall})"),
        ToolEnd::Running(_) => " (goes on)".to_owned(),
        ToolEnd::Refused(why) => format!(" (not started: {})", one_line(why, CUT)),
        ToolEnd::Unknown => " (effect unknown)".to_owned(),
    }
}

fn seconds(wall: Duration) -> String {
    format!("{:.1}s", wall.as_secs_f64())
}

fn tell_collab(tool: &str, agents: &[(ThreadId, AgentPath)], prompt: Option<&str>, ok: Option<bool>) -> String {
    let whom = agents.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>().join(", ");
    let said = prompt.map(|prompt| format!(": {}", one_line(prompt, CUT))).unwrap_or_default();
    match (tool, ok) {
        (_, Some(false)) => format!("could not {tool}{said}"),
        ("spawn_agent", _) => format!("spawned {whom}{said}"),
        ("send_message", _) => format!("wrote to {whom}{said}"),
        ("followup_task", _) => format!("gave {whom} a task{said}"),
        ("interrupt_agent", _) => format!("interrupted {whom}"),
        ("list_agents", _) => "listed the agents".to_owned(),
        ("wait", _) => "waits no longer".to_owned(),
        (other, _) => format!("{other} {whom}{said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what_and_cannot_drive_a_terminal() {
        let progress = Progress::since(Millis(1_000), Detail::All, Style::PLAIN);
        let result = ToolResult { end: ToolEnd::Exited(0), wall: Duration::from_millis(120), ..ToolResult::nothing() };
        let command = "wc\x1b]0;x\x07 -l\nsrc".to_owned();
        let item = Shown::Command { call: "c".into(), command, result: Some(result) };
        let event = Event::ItemCompleted { turn: "t".into(), item, snapshot: None };
        let what = What::Happened { at: Millis(3_340), event };
        let path = AgentPath::root().join("src").unwrap();
        let line = progress.line(&path, &what).unwrap();
        assert_eq!(line, "   2.3s /root/src  ran wc\\x1b]0;x\\x07 -l … (exit 0, 0.1s)");
    }

    #[test]
    fn above_a_tree_stands_what_agents_say_at_their_end_and_what_goes_wrong() {
        let happened = |event| What::Happened { at: Millis(1_500), event };
        let ended = |outcome, message: &str| {
            let message = Some(message.to_owned());
            happened(Event::TurnEnded {
                turn: "t".into(),
                outcome,
                message,
                usage: Default::default(),
                root: "t".into(),
                error: None,
                started: Millis(0),
                ended: Millis(0),
            })
        };
        let (root, child) = (AgentPath::root(), AgentPath::root().join("a").unwrap());
        let lines = {
            let progress = Progress::since(Millis(0), Detail::Ends, Style::PLAIN);
            let started = happened(Event::TurnStarted { turn: "t".into(), root: "t".into(), started: Millis(0) });
            let warned = happened(Event::Warning("odd".into()));
            let all = [
                (&child, started),
                (&child, ended(Outcome::Completed, "eleven")),
                (&child, ended(Outcome::Failed, "no answer")),
                (&root, warned),
                (&root, ended(Outcome::Completed, "the answer goes to stdout")),
                (&root, What::Missed),
            ];
            all.iter().filter_map(|(path, what)| progress.line(path, what)).collect::<Vec<_>>()
        };
        let failed = "   1.5s /root/a  failed (0 tokens): no answer";
        let warned = "   1.5s /root  warning: odd";
        let (said, ended) = ("   1.5s /root/a  finished (0 tokens): eleven", "   1.5s /root  finished (0 tokens)");
        assert_eq!(lines, [said, failed, warned, ended]);
    }

    #[test]
    fn trouble_is_red_where_there_are_colours() {
        let progress = Progress::since(Millis(0), Detail::All, Style::COLOURED);
        let what = What::Happened { at: Millis(0), event: Event::Warning("odd".into()) };
        let line = progress.line(&AgentPath::root(), &what).unwrap();
        assert_eq!(line, "\x1b[2m   0.0s\x1b[0m \x1b[1m/root\x1b[0m  \x1b[33mwarning: odd\x1b[0m");
    }
}
