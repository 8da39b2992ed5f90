//! Where commands come from: one reaper a sapwood process, started by the first command and replaced if it is lost.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;

use super::input::{Sink, Size};
use super::sandbox::Shortfall;
use super::wire::{MAX_ORDERS_BYTES, Orders, REQUEST_FDS, Report, SPAWN, StdinKind};
use super::{Cancel, Command, Exit, GroupId, Held, Pause, REAP_SUBCOMMAND, SandboxMode, Stdin, Streams, proc, reap};

/// Requests a reaper has not answered yet. Their descriptors are in flight, which the kernel limits to a user's open files.
const MAX_STARTING: usize = 64;
/// How long [`Processes::close`] waits for the reaper's end.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Why a command could not even be held. Nothing of it ran, and nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An empty argument list.
    #[error("the command is empty; give at least a program")]
    Empty,
    /// A directory that depends on where sapwood was started.
    #[error("the working directory {0:?} is not absolute; give the whole path")]
    RelativeDirectory(PathBuf),
    /// A path that cannot be written as text.
    #[error("the command cannot be encoded: {0}; use paths that are valid UTF-8")]
    Encoding(#[source] serde_json::Error),
    /// More than 64 MiB of arguments and environment.
    #[error("the command has {bytes} bytes, the limit is {limit}; write the text to a file and pass the file's name")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The reaper's program does not start.
    #[error(
        "the process reaper {program:?} cannot be started: {source}; check that the file exists and may be executed"
    )]
    Reaper {
        /// What was started.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The reaper ended twice while it was asked for a process.
    #[error(
        "the process reaper ended before it started the command: {0}; try again, and see whether something kills it"
    )]
    Lost(#[source] io::Error),
    /// The system has no room for one more process.
    #[error("no process could be started: {0}; wait for others to end, or raise the limit on processes and open files")]
    NotStarted(String),
    /// No terminal to be had.
    #[error("no terminal for the command: {0}; start it without one, or see that /dev/pts is mounted and has room")]
    Terminal(#[source] io::Error),
    /// No pipe or socket to be had.
    #[error("no pipe for the command: {0}; wait for others to end, or raise the limit on open files")]
    Pipe(#[source] io::Error),
}

/// The commands of one sapwood process. Clones share the reaper; use them in one tokio runtime.
///
/// When the last clone and the last [`Held`] are gone, the reaper ends, and everything that should be left with it.
#[derive(Clone, Debug)]
pub struct Processes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    hidden: Vec<String>,
    reaper: Mutex<Option<Arc<Reaper>>>,
}

/// The worker's end of the reaper's request socket. Closing it ends every command and the reaper.
#[derive(Debug)]
pub(super) struct Reaper {
    requests: UnixStream,
    starting: Semaphore,
    /// Owned so that tokio reaps it.
    _child: tokio::process::Child,
}

/// The near ends of a command's channels.
pub(super) struct Channels {
    pub line: UnixStream,
    pub stdout: pipe::Receiver,
    pub stderr: Option<pipe::Receiver>,
    pub stdin: Option<Sink>,
    pub reports: ReportLines,
    pub control: OwnedWriteHalf,
}

impl Processes {
    /// Commands are started with `program`, a sapwood binary (best `/proc/self/exe`, resolved), or any other that answers to
    /// [`super::EXEC_SUBCOMMAND`] and [`REAP_SUBCOMMAND`]. Starts nothing yet.
    pub fn new(program: PathBuf) -> Self {
        Self::hiding(program, Vec::new())
    }

    /// The same, with an environment that lacks these variables: the keys of the model's providers, so that `env` in a model's
    /// shell does not send a key to the model. A command whose own environment names one has it.
    pub fn hiding(program: PathBuf, hidden: Vec<String>) -> Self {
        Self(Arc::new(Inner { program, hidden, reaper: Mutex::new(None) }))
    }

    /// Starts the command's process, which waits. Dropping this future, or what it returns, ends it without anything having run.
    ///
    /// # Errors
    ///
    /// What is known before anything runs: see [`ProcessError`]. A directory or a program that does not exist is known only after the
    /// release, and is [`super::Exit::Failed`].
    pub async fn hold(&self, command: Command) -> Result<Held, ProcessError> {
        if command.argv.is_empty() {
            return Err(ProcessError::Empty);
        }
        self.hold_any(command).await
    }

    /// What this machine cannot do of a sandbox, by doing it in a process that ends with it.
    ///
    /// # Errors
    ///
    /// No process can be started. A sandbox that cannot be enforced at all is the inner error: the reason.
    pub async fn shortfalls(
        &self,
        sandbox: SandboxMode,
        cwd: PathBuf,
    ) -> Result<Result<Vec<Shortfall>, String>, ProcessError> {
        let nothing = Command { sandbox, ..Command::new(Vec::new(), cwd) };
        let outcome = self.hold_any(nothing).await?.run(Pause::never(), Cancel::never()).await;
        Ok(match outcome.exit {
            Exit::Failed(reason) => Err(reason),
            _ => Ok(outcome.shortfalls),
        })
    }

    async fn hold_any(&self, command: Command) -> Result<Held, ProcessError> {
        let orders = encode(&command)?;
        let mut lost = None;
        // Twice: a reaper that somebody killed is noticed here first, and is replaced.
        for _ in 0..2 {
            let reaper = self.reaper()?;
            match request(&reaper, &orders, &command).await {
                Ok((channels, group)) => return Ok(Held::new(reaper, channels, group, &command)),
                Err(RequestError::Process(error)) => return Err(error),
                Err(RequestError::Lost(error)) => {
                    self.forget(&reaper);
                    lost = Some(error);
                }
            }
        }
        Err(ProcessError::Lost(lost.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())))
    }

    /// Ends all commands and the reaper, and waits until they are gone, or for two seconds. A later [`Processes::hold`] starts anew.
    ///
    /// For the orderly end of the program: without it the same happens, but a little after the program has ended.
    pub async fn close(&self) {
        let Some(reaper) = self.0.reaper.lock().take() else {
            return;
        };
        let _ = rustix::net::shutdown(&reaper.requests, Shutdown::Write);
        // The reaper never writes here: readable means that its end is closed.
        let _ = tokio::time::timeout(CLOSE_GRACE, reaper.requests.readable()).await;
    }

    /// Kills a group that an earlier sapwood process left behind, with all that descends from its leader; `false` if there is no such
    /// group any more. The start time keeps it from killing a stranger that has been given the same id.
    pub fn kill_leftover(group: GroupId) -> bool {
        let (Some(leader), Some(stat)) = (Pid::from_raw(group.id), proc::stat(group.id)) else {
            return false;
        };
        if stat.start != group.start {
            return false;
        }
        let members = proc::with_descendants([group.id]);
        // Before `setsid` it is in its parent's group still, and has none of its own: no harm, and the second kill is enough.
        let _ = kill_process_group(leader, Signal::KILL);
        for member in members.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(member, Signal::KILL);
        }
        true
    }

    fn reaper(&self) -> Result<Arc<Reaper>, ProcessError> {
        let mut slot = self.0.reaper.lock();
        if let Some(reaper) = &*slot {
            return Ok(reaper.clone());
        }
        let failed = |source| ProcessError::Reaper { program: self.0.program.clone(), source };
        let (near, far) = StdUnixStream::pair().map_err(failed)?;
        near.set_nonblocking(true).map_err(failed)?;
        let requests = UnixStream::from_std(near).map_err(failed)?;
        let mut command = tokio::process::Command::new(&self.0.program);
        // Nobody below the reaper inherits them.
        self.0.hidden.iter().for_each(|name| {
            command.env_remove(name);
        });
        let child = command
            .arg0(reap::NAME)
            .arg(REAP_SUBCOMMAND)
            .stdin(OwnedFd::from(far))
            // It may outlive us for a moment: whoever waits for the end of our output should not wait for it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let reaper = Arc::new(Reaper { requests, starting: Semaphore::new(MAX_STARTING), _child: child });
        *slot = Some(reaper.clone());
        Ok(reaper)
    }

    fn forget(&self, lost: &Arc<Reaper>) {
        let mut slot = self.0.reaper.lock();
        if slot.as_ref().is_some_and(|reaper| Arc::ptr_eq(reaper, lost)) {
            *slot = None;
        }
    }
}

/// Length and orders, ready for the line.
fn encode(command: &Command) -> Result<Vec<u8>, ProcessError> {
    if !command.cwd.is_absolute() {
        return Err(ProcessError::RelativeDirectory(command.cwd.clone()));
    }
    let orders = Orders {
        argv: command.argv.clone(),
        cwd: command.cwd.clone(),
        env: command.env.clone(),
        unset: command.unset.clone(),
        sandbox: command.sandbox.clone(),
        stdin: match command.stdin {
            Stdin::Null => StdinKind::Null,
            Stdin::Piped => StdinKind::Passed,
            Stdin::Terminal(_) => StdinKind::Terminal,
        },
        own_stderr: has_own_stderr(command),
    };
    let mut encoded = vec![0; 8];
    serde_json::to_writer(&mut encoded, &orders).map_err(ProcessError::Encoding)?;
    let bytes = encoded.len() - 8;
    if bytes > MAX_ORDERS_BYTES {
        return Err(ProcessError::TooLong { bytes, limit: MAX_ORDERS_BYTES });
    }
    encoded[..8].copy_from_slice(&(bytes as u64).to_le_bytes());
    Ok(encoded)
}

enum RequestError {
    Lost(io::Error),
    Process(ProcessError),
}

/// A terminal is one, whatever is asked for.
fn has_own_stderr(command: &Command) -> bool {
    command.streams == Streams::Apart && !matches!(command.stdin, Stdin::Terminal(_))
}

/// The near and far ends of what a command reads and writes.
struct Ends {
    stdout: pipe::Receiver,
    far_output: OwnedFd,
    stderr: Option<pipe::Receiver>,
    stdin: Option<Sink>,
    /// What goes with the orders: stdin, then stderr.
    with_orders: Vec<OwnedFd>,
}

impl Ends {
    fn of(command: &Command) -> Result<Self, ProcessError> {
        if let Stdin::Terminal(size) = command.stdin {
            return Self::terminal(size).map_err(ProcessError::Terminal);
        }
        Self::pipes(command).map_err(ProcessError::Pipe)
    }

    /// One terminal is all three.
    fn terminal(size: Size) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let near = openpt(flags)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let far_output = ioctl_tiocgptpeer(&near, flags)?;
        rustix::termios::tcsetwinsize(&near, size.into())?;
        // The three share it.
        rustix::io::ioctl_fionbio(&near, true)?;
        let stdout = pipe::Receiver::from_file_unchecked(near.try_clone()?.into())?;
        let pipe = pipe::Sender::from_file_unchecked(near.try_clone()?.into())?;
        let stdin = Some(Sink { pipe, terminal: Some(Arc::new(near)) });
        Ok(Self { stdout, far_output, stderr: None, stdin, with_orders: Vec::new() })
    }

    fn pipes(command: &Command) -> io::Result<Self> {
        let mut with_orders = Vec::new();
        let stdin = match command.stdin {
            Stdin::Piped => {
                let (far, near) = pipe_with(PipeFlags::CLOEXEC)?;
                with_orders.push(far);
                Some(Sink { pipe: pipe::Sender::from_owned_fd(near)?, terminal: None })
            }
            Stdin::Null | Stdin::Terminal(_) => None,
        };
        let (stdout, far_output) = output_pipe()?;
        let stderr = if has_own_stderr(command) {
            let (stderr, far) = output_pipe()?;
            with_orders.push(far);
            Some(stderr)
        } else {
            None
        };
        Ok(Self { stdout, far_output, stderr, stdin, with_orders })
    }
}

fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (near, far) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(near)?, far))
}

async fn request(reaper: &Reaper, orders: &[u8], command: &Command) -> Result<(Channels, GroupId), RequestError> {
    // Never closed, so a permit always comes; it is held until the reaper has answered.
    let starting = reaper.starting.acquire().await;
    let no_pipe = |error: io::Error| RequestError::Process(ProcessError::Pipe(error));
    let (line, far_line) = socket_pair().map_err(no_pipe)?;
    let (control, far_control) = socket_pair().map_err(no_pipe)?;
    let Ends { stdout, far_output, stderr, stdin, with_orders } = Ends::of(command).map_err(RequestError::Process)?;

    pass(&reaper.requests, &[far_line.as_fd(), far_output.as_fd(), far_control.as_fd()], &[SPAWN])
        .await
        .map_err(RequestError::Lost)?;
    // From here on the far ends are the reaper's alone: that they close is the sign that it, or the command, is gone.
    drop((far_line, far_output, far_control));

    let (reports, control) = control.into_split();
    let reports = ReportLines(BufReader::new(reports).lines());
    let mut channels = Channels { line, stdout, stderr, stdin, reports, control };
    let group = match channels.reports.next().await {
        Some(Report::Started(group)) => group,
        Some(Report::NotStarted(reason)) => {
            return Err(RequestError::Process(ProcessError::NotStarted(reason)));
        }
        _ => return Err(RequestError::Lost(io::ErrorKind::UnexpectedEof.into())),
    };
    drop(starting);
    // A process that died already takes nothing; the run will say how it died.
    let far: Vec<BorrowedFd> = with_orders.iter().map(AsFd::as_fd).collect();
    let (first, rest) = orders.split_at(1);
    if far.is_empty() || pass(&channels.line, &far, first).await.is_ok() {
        let _ = channels.line.write_all(if far.is_empty() { orders } else { rest }).await;
    }
    Ok((channels, group))
}

/// The reaper's reports about one command.
pub(super) struct ReportLines(Lines<BufReader<OwnedReadHalf>>);

impl ReportLines {
    /// `None`: the reaper closed its end. May be dropped at any await.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let line = self.0.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

fn socket_pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (near, far) = StdUnixStream::pair()?;
    near.set_nonblocking(true)?;
    Ok((UnixStream::from_std(near)?, far.into()))
}

/// Sends a few descriptors with a byte, so that a request is one read at the other end.
async fn pass(socket: &UnixStream, fds: &[BorrowedFd<'_>], byte: &[u8]) -> io::Result<()> {
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fits = ancillary.push(SendAncillaryMessage::ScmRights(fds));
        debug_assert!(fits, "no message has more descriptors than a request");
        Ok(sendmsg(socket, &[IoSlice::new(byte)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
    };
    socket.async_io(Interest::WRITABLE, send).await.map(drop)
}
