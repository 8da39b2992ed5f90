//! `sapwood __exec`: waits for its byte, then becomes the command.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit};

use super::sandbox::{Shortfall, Surroundings};
use super::wire::{Answer, MARK, MAX_ORDERS_BYTES, ORDER_FDS, Orders, RELEASE, StdinKind};
use super::{EXEC_SUBCOMMAND, sandbox};

/// Ended without having been let go: nothing ran.
const ABANDONED: u8 = 125;
/// The shell's code for "found, but cannot be run".
const CANNOT_RUN: u8 = 126;
/// The shell's code for "no such program".
const NOT_FOUND: u8 = 127;

/// The kernel's limit for one argument with its closing zero: 32 pages of 4 KiB.
const MAX_ARGUMENT_BYTES: usize = 128 << 10;

/// What `ps` and `killall` call a held command, so that `killall -9 sapwood` leaves it to end in order.
pub(super) const NAME: &str = "sw-held";

/// The body of `sapwood __exec`. Takes no arguments: its orders come over stdin.
///
/// Returns only if the command was not let go (125), or could not be started (126, 127). Then the reason goes back over stdin, which
/// is a socket; to stderr if it is not.
pub fn exec_main() -> ExitCode {
    let (code, reason) = match become_the_command() {
        Stop::Abandoned => return ExitCode::from(ABANDONED),
        Stop::Done => return ExitCode::SUCCESS,
        Stop::Refused { code, reason, mut line } => {
            if say(&mut line, &Answer::Refused(reason.clone())).is_ok() {
                return ExitCode::from(code);
            }
            (code, reason)
        }
        Stop::Misused(reason) => (CANNOT_RUN, reason),
    };
    eprintln!("sapwood {EXEC_SUBCOMMAND}: {reason}");
    ExitCode::from(code)
}

/// Why there is still somebody to say why.
enum Stop {
    Abandoned,
    /// There was nothing to run.
    Done,
    Refused {
        code: u8,
        reason: String,
        line: File,
    },
    Misused(String),
}

fn become_the_command() -> Stop {
    // Fails only for a group leader, which is then out of reach of the terminal's signals already.
    let _ = rustix::process::setsid();
    let _ = std::fs::write("/proc/self/comm", NAME);
    // Close-on-exec: its closing is how the worker learns that the command has started.
    let mut line = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(line) => File::from(line),
        Err(error) => return Stop::Misused(format!("stdin cannot be used: {error}")),
    };
    let (orders, passed) = match read_orders(&mut line) {
        Ok(orders) => orders,
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Stop::Misused(error.to_string());
        }
        Err(_) => return Stop::Abandoned,
    };
    let mut byte = [0];
    match line.read_exact(&mut byte) {
        Ok(()) if byte == [RELEASE] => {}
        _ => return Stop::Abandoned,
    }
    match start(orders, passed, &mut line) {
        Ok(()) => Stop::Done,
        Err((code, reason)) => Stop::Refused { code, reason, line },
    }
}

fn say(line: &mut File, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    line.write_all(&text)
}

fn read_orders(line: &mut File) -> io::Result<(Orders, Vec<OwnedFd>)> {
    let (length, passed) = read_length(line)?;
    if length > MAX_ORDERS_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, "this is started by sapwood, not by hand"));
    }
    let mut text = vec![0; length];
    line.read_exact(&mut text)?;
    let orders = serde_json::from_slice(&text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok((orders, passed))
}

/// The length of the orders, and the descriptors that come with its first byte.
fn read_length(line: &mut File) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut length = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ORDER_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(&*line, &mut [IoSliceMut::new(&mut length)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let passed = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let passed = passed.collect();
    if received == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.read_exact(&mut length[received..])?;
    Ok((usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX), passed))
}

/// Returns only if there is nothing to run, or with the code and the reason of a failure.
fn start(orders: Orders, passed: Vec<OwnedFd>, line: &mut File) -> Result<(), (u8, String)> {
    let shortfalls = prepare(&orders, passed).map_err(|reason| (CANNOT_RUN, reason))?;
    if !shortfalls.is_empty() {
        say(line, &Answer::Shortfalls(shortfalls)).map_err(|error| (CANNOT_RUN, error.to_string()))?;
    }
    let Orders { mut argv, env, unset, .. } = orders;
    // Lives until exec, and inherited by it: not close-on-exec.
    let _script = long_script_to_memory(&mut argv)
        .map_err(|error| (CANNOT_RUN, format!("no memory for the command's text: {error}")))?;
    let Some((program, arguments)) = argv.split_first() else {
        return Ok(());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    unset.iter().filter(|name| *name != MARK).for_each(|name| {
        command.env_remove(name);
    });
    command.envs(env.into_iter().filter(|(name, _)| name != MARK));
    let error = command.exec();
    Err(explain(program, &command, &error))
}

fn prepare(orders: &Orders, passed: Vec<OwnedFd>) -> Result<Vec<Shortfall>, String> {
    connect(orders, passed)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| format!("core dumps cannot be turned off: {error}"))?;
    let cwd = &orders.cwd;
    let no_directory = |error| format!("cannot run in {cwd:?}: {error}; create it, or choose another directory");
    std::env::set_current_dir(cwd).map_err(no_directory)?;
    let tmpdir = std::env::var_os("TMPDIR").map(PathBuf::from);
    let around = Surroundings {
        tmpdir: tmpdir.as_deref(),
        cwd: &std::env::current_dir().map_err(no_directory)?,
        terminal: orders.stdin == StdinKind::Terminal,
    };
    sandbox::enforce(&orders.sandbox, &around).map_err(|why| why.to_string())
}

/// Gives the command its stdin, and its stderr if that is not stdout.
fn connect(orders: &Orders, passed: Vec<OwnedFd>) -> Result<(), String> {
    let lost = || "a pipe of the command was lost on its way; raise the limit on open files".to_owned();
    let stdin_failed = |error| format!("stdin cannot be replaced: {error}");
    let mut passed = passed.into_iter();
    match orders.stdin {
        StdinKind::Null => {
            let null = File::open("/dev/null").map_err(|error| format!("/dev/null cannot be opened: {error}"))?;
            rustix::stdio::dup2_stdin(&null).map_err(stdin_failed)?;
        }
        StdinKind::Passed => rustix::stdio::dup2_stdin(passed.next().ok_or_else(lost)?).map_err(stdin_failed)?,
        StdinKind::Terminal => {
            rustix::process::ioctl_tiocsctty(io::stdout())
                .map_err(|error| format!("the terminal cannot be made the command's own: {error}"))?;
            rustix::stdio::dup2_stdin(io::stdout()).map_err(stdin_failed)?;
        }
    }
    if orders.own_stderr {
        rustix::stdio::dup2_stderr(passed.next().ok_or_else(lost)?)
            .map_err(|error| format!("stderr cannot be replaced: {error}"))?;
    }
    Ok(())
}

/// A shell's script that is too long for an argument is put into anonymous memory and sourced from there, which a shell cannot tell
/// from `-c` except in the name that its own messages give the script.
fn long_script_to_memory(argv: &mut [String]) -> io::Result<Option<File>> {
    let [program, options @ .., script] = argv else {
        return Ok(None);
    };
    let is_shell = Path::new(program)
        .file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| ["sh", "ash", "bash", "dash", "ksh", "zsh"].contains(&name));
    let is_script = options.last().is_some_and(|option| option.starts_with('-') && option.ends_with('c'));
    if script.len() < MAX_ARGUMENT_BYTES || !is_shell || !is_script {
        return Ok(None);
    }
    let mut memory = File::from(rustix::fs::memfd_create("command", rustix::fs::MemfdFlags::empty())?);
    memory.write_all(script.as_bytes())?;
    *script = format!(". /proc/self/fd/{}", memory.as_raw_fd());
    Ok(Some(memory))
}

fn explain(program: &str, command: &Command, error: &io::Error) -> (u8, String) {
    match error.kind() {
        ErrorKind::NotFound if program.contains('/') && Path::new(program).exists() => {
            (CANNOT_RUN, format!("{program:?} cannot be run: its interpreter, named in its first line, does not exist"))
        }
        ErrorKind::NotFound if program.contains('/') => (NOT_FOUND, format!("there is no program {program:?}")),
        ErrorKind::NotFound => {
            let own =
                command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value.map(OsStr::to_owned));
            let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
            (NOT_FOUND, format!("there is no program {program:?} in PATH={path:?}"))
        }
        ErrorKind::ArgumentListTooLong => {
            let reason = "the command is too long for the system; write the text to a file and pass the file's name";
            (CANNOT_RUN, format!("{program:?} cannot be run: {reason}"))
        }
        _ => (CANNOT_RUN, format!("{program:?} cannot be run: {error}")),
    }
}
