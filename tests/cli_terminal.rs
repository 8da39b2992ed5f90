//! `exec` on a terminal: a pseudo terminal, and a small interpreter of what is written to it.

mod support;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};
use support::World;

/// After this time something is broken for good.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a terminal of one width shows, with all that scrolled away.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    height: usize,
    is_cursor_hidden: bool,
    colours: usize,
    /// Bytes that are not a whole character or sequence yet.
    rest: Vec<u8>,
}

impl Screen {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        let rest = std::mem::take(&mut self.rest);
        let whole = match std::str::from_utf8(&rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = std::str::from_utf8(&rest[..whole]).unwrap();
        let mut chars = text.char_indices();
        let mut done = whole;
        while let Some((at, c)) = chars.next() {
            if c != '\x1b' {
                self.character(c);
                continue;
            }
            let Some(end) = text[at + 1..].find(|c: char| c.is_ascii_alphabetic()) else {
                done = at;
                break;
            };
            let sequence = &text[at + 1..at + 2 + end];
            self.sequence(sequence);
            chars.nth(sequence.chars().count() - 1);
        }
        self.rest = rest[done..].to_vec();
    }

    fn character(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            c => {
                assert!(!c.is_control(), "{c:?} is for nobody to see");
                let column = self.column;
                let line = self.line();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                self.column += 1;
            }
        }
        self.line();
    }

    fn line(&mut self) -> &mut Vec<char> {
        let rows = self.rows.len().max(self.row + 1);
        self.rows.resize(rows, Vec::new());
        &mut self.rows[self.row]
    }

    /// What the program may use. Anything else comes from somebody else.
    fn sequence(&mut self, sequence: &str) {
        let column = self.column;
        match sequence {
            "[?25l" => self.is_cursor_hidden = true,
            "[?25h" => self.is_cursor_hidden = false,
            "[K" => self.line().truncate(column),
            "[J" => {
                self.line().truncate(column);
                self.rows.truncate(self.row + 1);
            }
            _ if sequence.ends_with('m') => self.colours += 1,
            _ => {
                let up = sequence.strip_prefix('[').and_then(|rest| rest.strip_suffix('A'));
                let up: usize = up.and_then(|up| up.parse().ok()).unwrap_or_else(|| panic!("who wrote {sequence:?}?"));
                let top = self.rows.len().saturating_sub(self.height);
                assert!(self.row - up >= top, "what scrolled away is out of reach");
                self.row -= up;
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect()
    }
}

/// A run whose stderr is a terminal.
struct Terminal {
    master: File,
    child: Child,
    screen: Screen,
}

impl Terminal {
    /// With stdout elsewhere.
    fn start(world: &World, script: &[String], args: &[&str], term: &str, columns: u16) -> Self {
        Self::with(world, script, args, term, columns, |_| Stdio::piped())
    }

    fn with(
        world: &World,
        script: &[String],
        args: &[&str],
        term: &str,
        columns: u16,
        stdout: impl FnOnce(&File) -> Stdio,
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            OpenOptions::new().read(true).write(true).open(std::ffi::OsStr::from_bytes(name.to_bytes())).unwrap();
        let master = File::from(master);
        let all = ["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(args.iter().copied());
        let mut command = world.sapwood(all);
        command.env("TERM", term).stdout(stdout(&slave)).stderr(Stdio::from(slave));
        let screen = Screen { height: 24, ..Screen::default() };
        let mut terminal = Self { child: resized(&master, columns, || command.spawn().unwrap()), master, screen };
        // The command keeps the other end open.
        drop(command);
        terminal.screen.line();
        terminal
    }

    /// False at the end.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // Without anybody at the other end it is an error.
        let read = self.master.read(&mut bytes).unwrap_or(0);
        self.screen.take(&bytes[..read]);
        read > 0
    }

    /// Reads until the screen shows something.
    fn until(&mut self, what: impl Fn(&[String]) -> bool) -> Vec<String> {
        let start = Instant::now();
        loop {
            let lines = self.screen.lines();
            if what(&lines) {
                return lines;
            }
            assert!(start.elapsed() < PATIENCE && self.read(), "it never came: {lines:#?}");
        }
    }

    /// Reads until the cursor is hidden, or there again.
    fn until_cursor(&mut self, is_hidden: bool) {
        while self.screen.is_cursor_hidden != is_hidden {
            assert!(self.read(), "it never came: {:#?}", self.screen.lines());
        }
    }

    /// The exit code, what is on the screen, and stdout.
    fn end(mut self) -> (i32, Screen, String) {
        while self.read() {}
        let mut out = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), self.screen, out)
    }
}

/// Does something after the terminal has another width.
fn resized<T>(master: &File, columns: u16, then: impl FnOnce() -> T) -> T {
    tcsetwinsize(master, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    then()
}

/// A root that spawns a child and waits for it.
fn one_child(child: Value) -> Value {
    let spawn = json!({"task_name": "alpha", "message": "compute", "fork_turns": "none"});
    json!([
        {"agent": "/root", "on": {"user": true}, "reply": [
            {"call": {"name": "spawn_agent", "namespace": "collaboration", "arguments": spawn}}]},
        {"agent": "/root", "on": {"call": "spawn_agent"}, "reply": [
            {"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {}}}]},
        {"agent": "/root", "on": {"mail_from": "/root/alpha"}, "reply": [{"text": "the child is done"}]},
        {"agent": "/root/alpha", "reply": child},
    ])
}

#[test]
fn a_run_ends_with_a_summary_and_nobody_drives_the_terminal() {
    let world = World::new();
    let script = world.script("s", one_child(json!([{"text": "eleven\x1b[2J\x1b[?25l\u{202e}"}])));
    let (code, screen, out) = Terminal::start(&world, &script, &["go"], "xterm", 100).end();
    assert_eq!((code, out.as_str()), (0, "the child is done\n"));
    assert!(!screen.is_cursor_hidden, "the cursor is gone");
    let lines = screen.lines();
    assert!(lines[0].starts_with("session ") || lines[0].starts_with("note:"), "{lines:#?}");
    // Two turns that end in the same millisecond are told in any order.
    let told = |what: &str| lines.iter().filter(|line| line.contains(what)).collect::<Vec<_>>();
    let [said] = told("/root/alpha  finished (")[..] else { panic!("{lines:#?}") };
    assert!(said.ends_with(": eleven\\x1b[2J\\x1b[?25l\\u{202e}"), "{lines:#?}");
    assert_eq!(told("/root  finished (").len(), 1, "{lines:#?}");
    // Nothing of the frames before is left below the last one.
    let [.., summary, end] = &lines[..] else { panic!("{lines:#?}") };
    assert!(summary.starts_with("2 agents: 2 finished  ") && end.is_empty(), "{lines:#?}");
    assert_eq!(told("agents: ").len(), 1, "{lines:#?}");
    assert!(screen.colours > 0);
}

#[test]
fn the_tree_shows_who_works_fits_the_terminal_and_leaves_the_cursor_after_an_interrupt() {
    let world = World::new();
    let command = "sleep 600 # what is said here is longer than a narrow terminal is wide";
    let child = json!([{"call": {"name": "exec_command", "arguments": {"cmd": command, "timeout_ms": 600000}}}]);
    let script = world.script("s", one_child(child));
    let mut terminal = Terminal::start(&world, &script, &["go"], "xterm", 60);
    let row = |lines: &[String], name: &str| {
        lines.iter().rfind(|line| line.trim_start().starts_with(name)).cloned().unwrap_or_default()
    };
    let lines = terminal.until(|lines| row(lines, "alpha").contains("$ sleep") && row(lines, "root ").contains("mail"));
    assert!(terminal.screen.is_cursor_hidden);
    let (root, alpha) = (row(&lines, "root "), row(&lines, "alpha"));
    assert!(root.starts_with("root     waiting  for mail, ") && root.contains(" left"), "{lines:#?}");
    assert!(alpha.starts_with("  alpha  working  $ sleep 600 # what is said") && alpha.contains('…'), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("2 agents: 1 waiting, 1 working  "), "{lines:#?}");
    assert!(lines.iter().skip(1).all(|line| line.chars().count() < 60 || line.starts_with("session")), "{lines:#?}");
    // A program that is stopped leaves the cursor to the shell, and takes it back when it goes on.
    let pid = Pid::from_child(&terminal.child);
    kill_process(pid, Signal::TSTP).unwrap();
    assert!(waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().is_some_and(|(_, status)| status.stopped()));
    terminal.until_cursor(false);
    kill_process(pid, Signal::CONT).unwrap();
    terminal.until_cursor(true);
    // The next frame has the new width.
    let master = terminal.master.try_clone().unwrap();
    resized(&master, 120, || ());
    terminal.until(|lines| row(lines, "alpha").contains("terminal is wide"));
    kill_process(pid, Signal::INT).unwrap();
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 130);
    assert!(!screen.is_cursor_hidden, "the cursor is gone");
    let lines = screen.lines();
    let [.., summary, resume, end] = &lines[..] else { panic!("{lines:#?}") };
    assert!(summary.starts_with("2 agents: 2 left open"), "{lines:#?}");
    assert!(resume.starts_with("to go on: sapwood exec resume ") && end.is_empty(), "{lines:#?}");
}

#[test]
fn a_terminal_that_can_do_nothing_and_a_quiet_run_get_lines_only() {
    let world = World::new();
    let script = world.script("s", one_child(json!([{"text": "eleven"}])));
    let plain = |args: &[&str], term| {
        let (code, screen, _) = Terminal::start(&world, &script, args, term, 100).end();
        assert_eq!((code, screen.colours), (0, 0));
        assert!(!screen.lines().iter().any(|line| line.contains("agents:")), "{:#?}", screen.lines());
        screen.lines()
    };
    let lines = plain(&["go"], "dumb");
    assert!(lines.iter().any(|line| line.contains("/root/alpha  says: eleven")), "{lines:#?}");
    assert_eq!(plain(&["--quiet", "go"], "xterm"), [""]);
}

#[test]
fn colours_can_be_refused_and_the_tree_is_drawn_beside_events() {
    let world = World::new();
    let script = world.script("s", one_child(json!([{"text": "eleven"}])));
    let (code, screen, out) =
        Terminal::start(&world, &script, &["--color", "never", "--json", "go"], "xterm", 100).end();
    assert_eq!((code, screen.colours), (0, 0));
    let lines = screen.lines();
    assert!(lines.iter().any(|line| line.starts_with("2 agents: 2 finished")), "{lines:#?}");
    assert!(out.lines().all(|line| line.starts_with('{')), "{out}");
    // Where nobody looks, colours are for who asks for them.
    let ran = world.exec(&script, &["--color", "always", "go"]);
    assert!(ran.err.contains("\x1b[1m/root\x1b[0m"), "{}", ran.err);
    assert!(!world.exec(&script, &["go"]).err.contains('\x1b'));
}

#[test]
fn an_answer_on_the_same_terminal_stands_below_the_tree_and_events_have_it_alone() {
    let world = World::new();
    let script = world.script("s", one_child(json!([{"text": "eleven"}])));
    let both = |args: &[&str]| {
        let same = |slave: &File| Stdio::from(slave.try_clone().unwrap());
        let (code, screen, _) = Terminal::with(&world, &script, args, "xterm", 200, same).end();
        assert_eq!((code, screen.is_cursor_hidden), (0, false));
        screen.lines()
    };
    let lines = both(&["go"]);
    let [.., summary, answer, end] = &lines[..] else { panic!("{lines:#?}") };
    assert!(summary.starts_with("2 agents: 2 finished"), "{lines:#?}");
    assert_eq!((answer.as_str(), end.as_str()), ("the child is done", ""));
    let lines = both(&["--json", "go"]);
    assert!(lines.iter().any(|line| line.starts_with("{\"type\":\"turn.completed\"")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("2 agents")), "{lines:#?}");
}
