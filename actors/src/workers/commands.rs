//! Shell commands: held, released, waited for, and left to their seat when they run longer than their call waits.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sapwood_protocol::own::ProcessGroup;
use sapwood_protocol::{CallId, ItemId, TurnId};
use tokio::sync::oneshot;

use super::{Answer, Confined, Means, OUTPUT_BYTES};
use crate::agent::commands::cut;
use crate::agent::effect::{ExecCall, Typing};
use crate::agent::event::{Event, Part};
use crate::agent::input::{Input, ToolEnd, ToolResult};
use crate::background::Origin;
use crate::clock::Clock;
use crate::process::sandbox::looks_denied;
use crate::process::{
    Cancel, Command, Exit, Held, InputError, Outcome, Output, Pause, Running, SandboxMode, SessionId, Size, Stdin,
    Stream, Viewer, Yielded,
};
use crate::seat::Seat;
use crate::tree::Tree;

/// Output of one command that is shown while it runs, at most, in bytes: what a client can still show. All that is kept of it
/// comes when it ends.
const SHOWN_BYTES: usize = 1024 * 1024;

/// Ctrl-C, as it is typed.
const INTERRUPT: &str = "\u{3}";

/// What commands are told of where they run: their output is read by a program, and nobody turns pages.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("COLORTERM", ""),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GH_PAGER", "cat"),
];

/// What a command is started with.
pub(super) struct Start {
    pub effect: u64,
    pub call: CallId,
    pub turn: TurnId,
    pub exec: ExecCall,
    pub place: Confined,
    pub released: oneshot::Receiver<()>,
    pub cancelled: Cancel,
}

/// Where a command's worker lives.
#[derive(Clone)]
pub(super) struct Home {
    pub means: Means,
    pub seat: Arc<Seat>,
    pub tree: Weak<Tree>,
}

/// The life of one command while its call waits: held, released, ended or left to its seat.
pub(super) async fn run(home: Home, start: Start, answer: Answer) {
    let Start { effect, call, turn, exec, place, released, mut cancelled } = start;
    let refused = |why: String| Input::ToolEnded { call: call.clone(), result: refusal(why) };
    let room = match exec.patience.map(|_| home.seat.background.room()).transpose() {
        Ok(room) => room,
        Err(full) => return answer.send(refused(full.to_string())),
    };
    let argv = exec.argv(&home.means.shell.to_string_lossy());
    let held: Held = match home.means.processes.hold(command(&exec, &argv, &place)).await {
        Ok(held) => held,
        Err(error) => return answer.send(refused(error.to_string())),
    };
    let group = held.group();
    let group = ProcessGroup { id: group.id, start: group.start };
    // From here on the end of this task means that nobody knows what the command did.
    let unknown = Input::ToolEnded { call: call.clone(), result: ToolResult::nothing() };
    let Some(ended) = Answer::new(&home.seat, None) else {
        return answer.send(refused("too many calls at once; try again with fewer".to_owned()));
    };
    answer.send(Input::Held { effect, call: call.clone(), group });
    if released.await.is_err() {
        return;
    }
    let ended = ended.or(unknown);
    let started = home.means.clock.now();
    let show = Show::new(&home, &turn, &call);
    let running = held.start_for(home.seat.background.pause(), show);
    let waited = tokio::select! {
        biased;
        yielded = wait(&running, exec.patience, home.seat.background.pause()) => yielded,
        () = cancelled.cancelled() => {
            running.terminate();
            wait(&running, None, Pause::never()).await
        }
    };
    let result = match (waited.ended, room) {
        (None, Some(room)) => {
            let cwd = place.cwd.to_string_lossy().into_owned();
            let origin = Origin { call: call.clone(), turn, argv, command: exec.cmd, cwd, started };
            let session = home.seat.background.keep(room, running, origin, &home.seat, home.tree.clone());
            result(ToolEnd::Running(session.0), waited.output, waited.wall)
        }
        (Some(outcome), _) => {
            if let Some(tree) = home.tree.upgrade() {
                tree.tell_shortfalls(&home.seat, &outcome.shortfalls);
            }
            ended_in(&place.sandbox, &outcome)
        }
        (None, None) => unreachable!("a command without room to go on is waited for until it ends"),
    };
    ended.send(Input::ToolEnded { call, result });
}

async fn wait(running: &Running, patience: Option<Duration>, pause: Pause) -> Yielded {
    match patience {
        Some(patience) => running.wait_for(patience, pause).await,
        None => {
            let outcome = running.ended().await;
            Yielded { output: running.take(), wall: outcome.wall, ended: Some(outcome) }
        }
    }
}

fn command(exec: &ExecCall, argv: &[String; 3], place: &Confined) -> Command {
    Command {
        env: ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        stdin: if exec.tty { Stdin::Terminal(Size::default()) } else { Stdin::Null },
        sandbox: place.sandbox.clone(),
        timeout: exec.timeout,
        max_output: OUTPUT_BYTES,
        ..Command::new(argv.to_vec(), place.cwd.clone())
    }
}

/// Types into a command in the background, waits for what it writes, and reads its end if it has ended.
pub(super) async fn type_into(
    home: Home,
    call: CallId,
    turn: TurnId,
    typing: Typing,
    mut cancelled: Cancel,
    answer: Answer,
) {
    let answers = |result| Input::ToolEnded { call: call.clone(), result };
    let background = &home.seat.background;
    let session = SessionId(typing.session);
    let Some(terminal) = background.get(session) else {
        return answer.send(answers(refusal(format!("Unknown process id {session}"))));
    };
    if let Err(why) = write(&terminal.running, &typing.chars) {
        return answer.send(answers(refusal(why)));
    }
    let yielded = tokio::select! {
        biased;
        yielded = terminal.running.wait_for(typing.patience, background.pause()) => yielded,
        // It goes on; what it wrote is there for the next who looks.
        () = cancelled.cancelled() => return answer.send(answers(ToolResult::nothing())),
    };
    let item = ItemId::from(terminal.about.call.as_str());
    let typed = Event::Typed { turn, item, session: session.0, chars: typing.chars };
    home.seat.feed.publish(home.means.clock.now(), typed);
    let end = match &yielded.ended {
        None => ToolEnd::Running(session.0),
        Some(outcome) => {
            background.forget(session).await;
            end_of(&outcome.exit)
        }
    };
    answer.send(answers(result(end, yielded.output, yielded.wall)));
}

fn write(running: &Running, chars: &str) -> Result<(), String> {
    if chars.is_empty() || running.outcome().is_some() {
        return Ok(());
    }
    match running.write(chars.as_bytes().to_vec()) {
        Err(InputError::None) if chars == INTERRUPT => {
            running.interrupt();
            Ok(())
        }
        Err(InputError::None) => {
            Err("stdin is closed for this session; run the command with tty=true to type into it".to_owned())
        }
        // It ended in between: what it said last is read.
        Err(InputError::Closed) => Ok(()),
        written => written.map_err(|error| error.to_string()),
    }
}

/// Shows a command's output as it arrives, in whole characters.
struct Show {
    seat: Weak<Seat>,
    clock: Arc<dyn Clock>,
    turn: TurnId,
    item: ItemId,
    text: Whole,
    room: usize,
}

impl Show {
    fn new(home: &Home, turn: &TurnId, call: &CallId) -> Self {
        let (seat, clock) = (Arc::downgrade(&home.seat), Arc::clone(&home.means.clock));
        let item = ItemId::from(call.as_str());
        Self { seat, clock, turn: turn.clone(), item, text: Whole::default(), room: SHOWN_BYTES }
    }

    fn publish(&mut self, mut text: String) {
        text.truncate(text.floor_char_boundary(self.room));
        self.room -= text.len();
        if let Some(seat) = self.seat.upgrade().filter(|_| !text.is_empty()) {
            let (turn, item) = (self.turn.clone(), self.item.clone());
            seat.feed.publish(self.clock.now(), Event::Delta { turn, item, part: Part::Output, text });
        }
    }
}

impl Viewer for Show {
    fn show(&mut self, _: Stream, bytes: &[u8]) {
        let text = self.text.push(bytes);
        self.publish(text);
    }
}

/// Makes text of bytes that are cut anywhere: the start of a character waits for its rest.
#[derive(Debug, Default)]
struct Whole {
    begun: Vec<u8>,
}

impl Whole {
    fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut rest = all.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    // Checked just now.
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = error.error_len() else {
                        self.begun = after.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[invalid..];
                }
            }
        }
    }
}

pub(super) fn refusal(why: String) -> ToolResult {
    ToolResult { end: ToolEnd::Refused(why), ..ToolResult::nothing() }
}

/// What came of a command, whoever waited for it.
pub(crate) fn result_of(outcome: &Outcome) -> ToolResult {
    result(end_of(&outcome.exit), outcome.output.clone(), outcome.wall)
}

fn ended_in(sandbox: &SandboxMode, outcome: &Outcome) -> ToolResult {
    let result = result_of(outcome);
    let is_denied = looks_denied(sandbox, &outcome.exit, &result.output);
    ToolResult { is_denied, ..result }
}

fn end_of(exit: &Exit) -> ToolEnd {
    match exit {
        Exit::Code(code) => ToolEnd::Exited(*code),
        Exit::Signal(signal) => ToolEnd::Signalled(*signal),
        Exit::TimedOut => ToolEnd::TimedOut,
        Exit::Cancelled => ToolEnd::Signalled(15),
        Exit::Failed(why) => ToolEnd::Refused(why.clone()),
    }
}

fn result(end: ToolEnd, output: Output, wall: Duration) -> ToolResult {
    let text = match output.omitted {
        0 => output.head,
        omitted => cut(&output.head, omitted, &output.tail),
    };
    ToolResult { end, output: text, total_bytes: output.total, wall, is_denied: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_shown_when_it_is_whole() {
        // (what arrives, what is shown)
        let table: [(&[u8], &str); 8] = [
            (b"a\xC3", "a"),
            (b"\xA4b", "äb"),
            (b"\xE2", ""),
            (b"\x82", ""),
            (b"\xAC", "€"),
            (b"\xFF!\xF0\x9F", "\u{FFFD}!"),
            (b"x", "\u{FFFD}x"),
            (b"", ""),
        ];
        let mut whole = Whole::default();
        for (bytes, text) in table {
            assert_eq!(whole.push(bytes), text, "{bytes:?}");
        }
    }
}
