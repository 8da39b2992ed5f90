//! The commands of one connection.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use sapwood_actors::process::{
    Command, Exit, Outcome, Pause, Processes, Running, SandboxMode, Size, Stdin, Stream, Streams,
};
use tokio::sync::{Notify, mpsc, watch};

use super::error::CommandError;
use super::outlet::{Buffered, DEFAULT_OUTPUT_CAP, Filling, Outlet, Piece};
use super::params::{
    CommandExecOutputDelta, CommandExecParams, CommandExecResizeParams, CommandExecResponse,
    CommandExecTerminateParams, CommandExecWriteParams, Done, OutputStream, TerminalSize,
};

/// How long a command may take if the client does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands of one connection at the same time: an editor's many tasks, and few descriptors.
pub const MAX_COMMANDS: usize = 64;
/// The exit code of a command whose time was up, as `timeout` has it.
pub const TIMED_OUT: i32 = 124;
/// What shells add to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;
/// The signal by which a command is asked to end.
const SIGTERM: i32 = 15;

/// Where commands run and what they may touch, once profile, policy and configuration are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// For a command that names no directory, or a relative one; absolute.
    pub cwd: PathBuf,
    /// What it may touch.
    pub sandbox: SandboxMode,
}

/// The commands of one connection. Every method can be called at any time from anywhere.
#[derive(Debug)]
pub struct Commands {
    processes: Processes,
    named: Mutex<BTreeMap<Name, Option<Arc<Running>>>>,
    closed: watch::Sender<bool>,
    /// Something has begun, or could not.
    begun: Notify,
}

/// The client's, or one of ours for a command that it cannot reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Given(String),
    Ours(u64),
}

/// Takes a name back.
struct Taken<'a> {
    commands: &'a Commands,
    name: Name,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.commands.named.lock().remove(&self.name);
        self.commands.begun.notify_waiters();
    }
}

impl Commands {
    /// None yet.
    pub fn new(processes: Processes) -> Self {
        Self { processes, named: Mutex::default(), closed: watch::Sender::new(false), begun: Notify::new() }
    }

    /// Runs a command to its end; the answer is due then. Output that is streamed goes into `events`, whose being full holds the
    /// command up, and all of it is there on return. Dropping the future ends the command.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: it did not run, or cannot be told of.
    pub async fn exec(
        &self,
        params: CommandExecParams,
        place: Place,
        events: mpsc::Sender<CommandExecOutputDelta>,
    ) -> Result<CommandExecResponse, CommandError> {
        let mut closed = self.closed.subscribe();
        let Plan { command, streams, cap } = plan(&params, place)?;
        let taken = self.take_name(params.process_id.clone())?;
        let outlet = if streams { Outlet::streaming(cap) } else { Outlet::buffering(cap) };
        let held = self.processes.hold(command).await?;
        let running = Arc::new(held.start_for(Pause::never(), Filling(outlet.clone())));
        self.named.lock().insert(taken.name.clone(), Some(running.clone()));
        self.begun.notify_waiters();

        let mut delivery =
            Delivery { name: params.process_id.filter(|_| streams), events, buffered: Buffered::default() };
        let life = async {
            let outcome = loop {
                tokio::select! {
                    biased;
                    outcome = running.ended() => break outcome,
                    piece = outlet.next() => delivery.pass(piece).await?,
                }
            };
            while let Some(piece) = outlet.take() {
                delivery.pass(piece).await?;
            }
            Ok(outcome)
        };
        let closing = async {
            // Never an error: this object is borrowed, so its sender lives.
            let _ = closed.wait_for(|closed| *closed).await;
        };
        let outcome = tokio::select! {
            biased;
            () = closing => Err(CommandError::Closing),
            outcome = life => outcome,
        }?;
        let exit_code = exit_code(&outcome)?;
        let (stdout, stderr) = delivery.buffered.texts();
        Ok(CommandExecResponse { exit_code, stdout, stderr })
    }

    /// Waits until a command that is about to start has done so, or could not.
    pub async fn begun(&self, process_id: &str) {
        let name = Name::Given(process_id.to_owned());
        loop {
            let begun = self.begun.notified();
            tokio::pin!(begun);
            // From here on no waking is missed.
            begun.as_mut().enable();
            if !matches!(self.named.lock().get(&name), Some(None)) {
                return;
            }
            begun.await;
        }
    }

    /// Writes to a command, closes its stdin, or both.
    ///
    /// # Errors
    ///
    /// There is no such command, it cannot be written to, or what is to be written is not base64.
    pub fn write(&self, params: &CommandExecWriteParams) -> Result<Done, CommandError> {
        let running = self.running(&params.process_id)?;
        if params.delta_base64.is_none() && !params.close_stdin {
            return Err(CommandError::NothingToWrite);
        }
        if let Some(delta) = &params.delta_base64 {
            running.write(BASE64_STANDARD.decode(delta)?)?;
        }
        if params.close_stdin {
            running.close_stdin()?;
        }
        Ok(Done {})
    }

    /// Changes the size of a command's terminal.
    ///
    /// # Errors
    ///
    /// There is no such command, it has no terminal, or the size has no room.
    pub fn resize(&self, params: &CommandExecResizeParams) -> Result<Done, CommandError> {
        let running = self.running(&params.process_id)?;
        running.resize(size(params.size)?)?;
        Ok(Done {})
    }

    /// Asks a command to end. Its request is answered when it has.
    ///
    /// # Errors
    ///
    /// There is no such command.
    pub fn terminate(&self, params: &CommandExecTerminateParams) -> Result<Done, CommandError> {
        self.running(&params.process_id)?.terminate();
        Ok(Done {})
    }

    /// Ends all commands, those too that are about to start: the connection is gone.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    fn take_name(&self, given: Option<String>) -> Result<Taken<'_>, CommandError> {
        let mut named = self.named.lock();
        if named.len() >= MAX_COMMANDS {
            return Err(CommandError::TooMany { limit: MAX_COMMANDS });
        }
        let name = match given {
            Some(given) if named.contains_key(&Name::Given(given.clone())) => return Err(CommandError::Taken(given)),
            Some(given) => Name::Given(given),
            // Ours come last in order: one more than the last is free.
            None => match named.last_key_value() {
                Some((Name::Ours(last), _)) => Name::Ours(last + 1),
                _ => Name::Ours(0),
            },
        };
        named.insert(name.clone(), None);
        Ok(Taken { commands: self, name })
    }

    fn running(&self, process_id: &str) -> Result<Arc<Running>, CommandError> {
        match self.named.lock().get(&Name::Given(process_id.to_owned())) {
            Some(Some(running)) if running.outcome().is_none() => Ok(running.clone()),
            Some(None) => Err(CommandError::NotStarted(process_id.to_owned())),
            _ => Err(CommandError::Unknown(process_id.to_owned())),
        }
    }
}

/// To the client, or into the answer.
struct Delivery {
    name: Option<String>,
    events: mpsc::Sender<CommandExecOutputDelta>,
    buffered: Buffered,
}

impl Delivery {
    async fn pass(&mut self, piece: Piece) -> Result<(), CommandError> {
        let Some(name) = &self.name else {
            return if self.buffered.add(&piece) { Ok(()) } else { Err(CommandError::TooMuchOutput) };
        };
        let delta = CommandExecOutputDelta {
            process_id: name.clone(),
            stream: match piece.stream {
                Stream::Stdout => OutputStream::Stdout,
                Stream::Stderr => OutputStream::Stderr,
            },
            delta_base64: BASE64_STANDARD.encode(&piece.bytes),
            cap_reached: piece.cap_reached,
        };
        self.events.send(delta).await.map_err(|_| CommandError::Closing)
    }
}

/// A request that can be carried out.
struct Plan {
    command: Command,
    streams: bool,
    cap: Option<u64>,
}

fn plan(params: &CommandExecParams, place: Place) -> Result<Plan, CommandError> {
    if params.command.is_empty() {
        return Err(CommandError::Empty);
    }
    if params.command.iter().any(|argument| argument.contains('\0')) {
        return Err(CommandError::Nul("command"));
    }
    let exclusive = [
        (params.output_bytes_cap.is_some() && params.disable_output_cap, "outputBytesCap", "disableOutputCap"),
        (params.timeout_ms.is_some() && params.disable_timeout, "timeoutMs", "disableTimeout"),
        (params.sandbox_policy.is_some() && params.permission_profile.is_some(), "sandboxPolicy", "permissionProfile"),
    ];
    if let Some((_, one, other)) = exclusive.into_iter().find(|(both, ..)| *both) {
        return Err(CommandError::Both(one, other));
    }
    let named = [
        (params.tty, "tty"),
        (params.stream_stdin, "streamStdin"),
        (params.stream_stdout_stderr, "streamStdoutStderr"),
    ];
    if let (None, Some((_, which))) = (&params.process_id, named.into_iter().find(|(wanted, _)| *wanted)) {
        return Err(CommandError::Nameless(which));
    }
    let terminal = match (params.tty, params.size) {
        (false, Some(_)) => return Err(CommandError::SizeWithoutTerminal),
        (false, None) => None,
        (true, wish) => Some(wish.map(size).transpose()?.unwrap_or_default()),
    };
    let (unset, env) = environment(params)?;
    let command = Command {
        unset,
        env,
        stdin: match terminal {
            Some(size) => Stdin::Terminal(size),
            None if params.stream_stdin => Stdin::Piped,
            None => Stdin::Null,
        },
        streams: Streams::Apart,
        sandbox: place.sandbox,
        timeout: timeout(params)?,
        ..Command::new(params.command.clone(), params.cwd.as_ref().map_or(place.cwd.clone(), |cwd| place.cwd.join(cwd)))
    };
    let cap = (!params.disable_output_cap).then_some(params.output_bytes_cap.unwrap_or(DEFAULT_OUTPUT_CAP));
    Ok(Plan { command, streams: params.tty || params.stream_stdout_stderr, cap })
}

fn size(TerminalSize { rows, cols }: TerminalSize) -> Result<Size, CommandError> {
    if rows == 0 || cols == 0 { Err(CommandError::Size { rows, cols }) } else { Ok(Size { rows, cols }) }
}

fn timeout(params: &CommandExecParams) -> Result<Option<Duration>, CommandError> {
    match params.timeout_ms {
        None if params.disable_timeout => Ok(None),
        None => Ok(Some(DEFAULT_TIMEOUT)),
        Some(wish) => {
            let millis = u64::try_from(wish).map_err(|_| CommandError::NegativeTimeout(wish))?;
            Ok(Some(Duration::from_millis(millis)))
        }
    }
}

type Environment = (Vec<String>, Vec<(String, String)>);

fn environment(params: &CommandExecParams) -> Result<Environment, CommandError> {
    let (mut unset, mut set) = Environment::default();
    for (name, value) in params.env.iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(CommandError::Variable(name.clone()));
        }
        match value {
            None => unset.push(name.clone()),
            Some(value) if value.contains('\0') => return Err(CommandError::Nul("env")),
            Some(value) => set.push((name.clone(), value.clone())),
        }
    }
    Ok((unset, set))
}

fn exit_code(outcome: &Outcome) -> Result<i32, CommandError> {
    match &outcome.exit {
        Exit::Code(code) => Ok(*code),
        Exit::Signal(signal) => Ok(SIGNALLED + signal),
        Exit::TimedOut => Ok(TIMED_OUT),
        Exit::Cancelled => Ok(SIGNALLED + SIGTERM),
        Exit::Failed(reason) => Err(CommandError::Failed(reason.clone())),
    }
}
