//! Shell commands as models ask for them: the arguments of `exec_command` and `write_stdin`, and the words of their outputs.
//!
//! A command that runs longer than its call waits goes on in the background, as a *session* that `write_stdin` reads and types
//! into. Names, defaults and ranges are those that models know from Codex's unified exec.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::approval::verdict::Wish;
use super::effect::{ExecCall, Typing};
use super::input::{ToolEnd, ToolResult};
use super::settings::ExecLimits;

/// Bytes of a token, as Codex counts a budget.
const TOKEN_BYTES: u64 = 4;

/// Tokens of output that a model gets, at most and without a wish.
pub const OUTPUT_TOKENS: u64 = 10_000;

/// The same in bytes.
pub(super) const MAX_OUTPUT_BYTES: usize = (OUTPUT_TOKENS * TOKEN_BYTES) as usize;

/// How long a call waits, in milliseconds: without a wish, at least and at most.
struct Wait {
    default: u64,
    min: u64,
    max: u64,
}

impl Wait {
    /// A command that was just started.
    const STARTED: Self = Self { default: 10_000, min: 250, max: 30_000 };
    /// A command that was just typed to: it answers soon or not at all.
    const TYPED: Self = Self { default: 250, min: 250, max: 30_000 };
    /// A command that is only looked at: a model that asks again at once learns nothing.
    const LOOKED_AT: Self = Self { default: 5_000, min: 5_000, max: 300_000 };

    fn of(self, wish: Option<f64>) -> Duration {
        Duration::from_millis(wish.map_or(self.default, |wish| wish.max(0.0) as u64).clamp(self.min, self.max))
    }
}

#[derive(Deserialize)]
struct ExecArgs {
    cmd: String,
    #[serde(default)]
    workdir: Option<String>,
    #[serde(default)]
    shell: Option<String>,
    #[serde(default)]
    login: bool,
    #[serde(default)]
    tty: bool,
    #[serde(default)]
    yield_time_ms: Option<f64>,
    #[serde(default)]
    max_output_tokens: Option<f64>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(flatten)]
    wish: Wish,
}

#[derive(Deserialize)]
struct TypingArgs {
    session_id: i32,
    #[serde(default)]
    chars: String,
    #[serde(default)]
    yield_time_ms: Option<f64>,
    #[serde(default)]
    max_output_tokens: Option<f64>,
}

fn args<'a, T: Deserialize<'a>>(input: &'a str) -> Result<T, String> {
    serde_json::from_str(input).map_err(|error| format!("failed to parse function arguments: {error}"))
}

fn budget(tokens: Option<f64>) -> usize {
    let tokens = tokens.map_or(OUTPUT_TOKENS, |tokens| (tokens.max(0.0) as u64).min(OUTPUT_TOKENS));
    usize::try_from(tokens * TOKEN_BYTES).unwrap_or(usize::MAX)
}

/// Understands the arguments of `exec_command`.
pub fn exec(input: &str, limits: &ExecLimits) -> Result<ExecCall, String> {
    let args: ExecArgs = args(input)?;
    if args.cmd.trim().is_empty() {
        return Err("exec_command needs a command: `cmd` is empty".into());
    }
    let timeout = args.timeout_ms.map(|wish| Duration::from_millis(wish.clamp(1, limits.max)));
    // Who says when it is to be ended, and not when to answer, wants to know what came of it.
    let waits_for_end = timeout.is_some() && args.yield_time_ms.is_none();
    Ok(ExecCall {
        cmd: args.cmd,
        workdir: args.workdir,
        shell: args.shell.filter(|shell| !shell.is_empty()),
        login: args.login,
        tty: args.tty,
        timeout,
        patience: (!waits_for_end).then(|| Wait::STARTED.of(args.yield_time_ms)),
        max_output: budget(args.max_output_tokens),
        wish: args.wish,
    })
}

/// Understands the arguments of `write_stdin`.
pub fn typing(input: &str) -> Result<Typing, String> {
    let args: TypingArgs = args(input)?;
    let wait = if args.chars.is_empty() { Wait::LOOKED_AT } else { Wait::TYPED };
    Ok(Typing {
        session: args.session_id,
        chars: args.chars,
        patience: wait.of(args.yield_time_ms),
        max_output: budget(args.max_output_tokens),
    })
}

/// The output of a call of `tool`, in the form that models know, of at most `max_output` bytes of what the command wrote.
pub fn output(tool: &str, result: &ToolResult, max_output: usize, chunk: u64) -> String {
    let how = match &result.end {
        ToolEnd::Exited(code) => format!("Process exited with code {code}"),
        ToolEnd::Signalled(signal) => format!("Process ended by signal {signal}"),
        ToolEnd::TimedOut => "Process timed out and was killed".to_owned(),
        ToolEnd::Running(session) => format!("Process running with session ID {session}"),
        ToolEnd::Refused(why) => return format!("{tool} failed: {why}"),
        ToolEnd::Unknown => return super::prompt::EFFECT_UNKNOWN.to_owned(),
    };
    let (wall, tokens) = (result.wall.as_secs_f64(), result.total_bytes.div_ceil(TOKEN_BYTES));
    let (chunk, output) = (chunk & 0xff_ffff, fitted(result, max_output));
    format!(
        "Chunk ID: {chunk:06x}\nWall time: {wall:.4} seconds\n{how}\nOriginal token count: {tokens}\nOutput:\n{output}"
    )
}

/// What a command wrote, without its middle if it is too long. What was cut before lies in that middle.
pub(super) fn fitted(result: &ToolResult, max: usize) -> String {
    let text = &result.output;
    if text.len() <= max || result.total_bytes <= max as u64 {
        return text.clone();
    }
    let (head, tail) = (text.floor_char_boundary(max / 2), text.ceil_char_boundary(text.len() - max / 2));
    let kept = (head + text.len() - tail) as u64;
    cut(&text[..head], result.total_bytes.saturating_sub(kept), &text[tail..])
}

/// A text whose middle was left out.
pub(crate) fn cut(head: &str, omitted: u64, tail: &str) -> String {
    format!("{head}\n[... {omitted} bytes omitted ...]\n{tail}")
}

/// The two tools' names, descriptions and parameters, for a request.
pub fn offered(limits: &ExecLimits) -> [(&'static str, &'static str, Value, &'static [&'static str]); 2] {
    let text = |description: &str| json!({"type": "string", "description": description});
    let flag = |description: &str| json!({"type": "boolean", "description": description});
    let number = |description: String| json!({"type": "number", "description": description});
    let tokens = || number(format!("Tokens of output to get; {OUTPUT_TOKENS} if left out, and at most."));
    let (started, typed, looked_at) = (Wait::STARTED, Wait::TYPED, Wait::LOOKED_AT);
    let exec = json!({
        "cmd": text("The command line, as the shell reads it."),
        "workdir": text("The directory to run in; the working directory if left out."),
        "shell": text("The shell to run it with; the user's if left out."),
        "login": flag("Whether the shell is a login shell; no if left out."),
        "tty": flag("Whether it gets a terminal, and can be typed to with `write_stdin`; no if left out."),
        "yield_time_ms": number(format!(
            "Milliseconds to wait for its end before you get what it wrote so far and a session id; {} if left out, from {} to {}.",
            started.default, started.min, started.max
        )),
        "max_output_tokens": tokens(),
        "timeout_ms": number(format!(
            "Milliseconds after which the command is killed; none if left out, {} at most. Without `yield_time_ms`, its end is waited for.",
            limits.max
        )),
    });
    let typing = json!({
        "session_id": number("The session id that `exec_command` gave.".to_owned()),
        "chars": text("What to type. Nothing, or left out: only look."),
        "yield_time_ms": number(format!(
            "Milliseconds to wait for output. After typing {} if left out, {} at most; else from {} to {}.",
            typed.default, typed.max, looked_at.min, looked_at.max
        )),
        "max_output_tokens": tokens(),
    });
    [
        (
            "exec_command",
            "Runs a command in a fresh shell and returns its output and exit code, or a session id if it goes on.",
            exec,
            &["cmd"],
        ),
        (
            "write_stdin",
            "Types into a running session and returns what it wrote since the last time.",
            typing,
            &["session_id"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_command_is_waited_for_as_long_as_its_model_says() {
        let limits = ExecLimits::default();
        // (arguments, how long it is waited for, its time limit)
        let table = [
            (r#"{"cmd":"ls"}"#, Some(ms(10_000)), None),
            (r#"{"cmd":"ls","yield_time_ms":9}"#, Some(ms(250)), None),
            (r#"{"cmd":"ls","yield_time_ms":1e9}"#, Some(ms(30_000)), None),
            (r#"{"cmd":"ls","yield_time_ms":1000,"timeout_ms":300}"#, Some(ms(1000)), Some(ms(300))),
            (r#"{"cmd":"ls","timeout_ms":9999999999}"#, None, Some(ms(3_600_000))),
            (r#"{"cmd":"ls","timeout_ms":0}"#, None, Some(ms(1))),
        ];
        for (input, patience, timeout) in table {
            let exec = exec(input, &limits).unwrap();
            assert_eq!((exec.patience, exec.timeout), (patience, timeout), "{input}");
        }
        let all = r#"{"cmd":"a","workdir":"w","shell":"/bin/sh","login":true,"tty":true,"max_output_tokens":5}"#;
        let told = ExecCall {
            cmd: "a".into(),
            workdir: Some("w".into()),
            shell: Some("/bin/sh".into()),
            login: true,
            tty: true,
            timeout: None,
            patience: Some(ms(10_000)),
            max_output: 20,
            wish: Wish::default(),
        };
        assert_eq!(exec(all, &limits), Ok(told));
    }

    #[test]
    fn typing_is_answered_soon_and_looking_is_not() {
        let table = [
            (r#"{"session_id":7,"chars":"x"}"#, 250),
            (r#"{"session_id":7,"chars":"x","yield_time_ms":99999}"#, 30_000),
            (r#"{"session_id":7}"#, 5_000),
            (r#"{"session_id":7,"chars":"","yield_time_ms":1}"#, 5_000),
            (r#"{"session_id":7,"yield_time_ms":999999}"#, 300_000),
        ];
        for (input, wait) in table {
            let typing = typing(input).unwrap();
            assert_eq!((typing.session, typing.patience), (7, ms(wait)), "{input}");
        }
        assert_eq!(
            typing("{}").unwrap_err(),
            "failed to parse function arguments: missing field `session_id` at line 1 column 2"
        );
    }

    fn result(end: ToolEnd, output: &str, total_bytes: u64) -> ToolResult {
        ToolResult { end, output: output.into(), total_bytes, ..ToolResult::nothing() }
    }

    #[test]
    fn outputs() {
        let head = "Chunk ID: 0f7075\nWall time: 0.0000 seconds\n";
        let table = [
            (ToolEnd::Exited(3), "Process exited with code 3"),
            (ToolEnd::Signalled(9), "Process ended by signal 9"),
            (ToolEnd::TimedOut, "Process timed out and was killed"),
            (ToolEnd::Running(42), "Process running with session ID 42"),
        ];
        for (end, how) in table {
            let said = output("exec_command", &result(end, "bad\n", 4), 100, 0x0f_7075);
            assert_eq!(said, format!("{head}{how}\nOriginal token count: 1\nOutput:\nbad\n"));
        }
        let refused = result(ToolEnd::Refused("Unknown process id 4".into()), "", 0);
        assert_eq!(output("write_stdin", &refused, 100, 0), "write_stdin failed: Unknown process id 4");
    }

    #[test]
    fn an_output_fits_its_budget() {
        let table = [
            ("abcdefgh", 8, 8, "abcdefgh"),
            ("abcdefgh", 8, 4, "ab\n[... 4 bytes omitted ...]\ngh"),
            ("aä-äa", 7, 4, "a\n[... 5 bytes omitted ...]\na"),
            ("ab\n[... 90 bytes omitted ...]\ngh", 94, 4, "ab\n[... 90 bytes omitted ...]\ngh"),
            ("abc", 3, 0, "\n[... 3 bytes omitted ...]\n"),
        ];
        for (text, total, max, fits) in table {
            assert_eq!(fitted(&result(ToolEnd::Exited(0), text, total), max), fits, "{text}");
        }
    }
}
