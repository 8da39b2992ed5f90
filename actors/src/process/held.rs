//! A held command, and its run.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout};

use super::clock::Clock;
use super::output::{Capture, Output};
use super::processes::{Channels, Reaper};
use super::wire::{RELEASE, Report, TERMINATE};
use super::{Cancel, Command, GroupId, Pause, Processes};

/// Between SIGTERM and SIGKILL.
const TERMINATE_GRACE: Duration = Duration::from_millis(100);
/// For the rest of the output once the leader has exited: a child in the background may hold the pipe open for ever.
const DRAIN_GRACE: Duration = Duration::from_millis(50);
/// For the dead to be gone. The reaper goes on without us.
const GONE_GRACE: Duration = Duration::from_secs(1);
/// One read of output.
const CHUNK_BYTES: usize = 16 << 10;
/// The longest reason that is taken from a process which could not start.
const MAX_REASON_BYTES: u64 = 64 << 10;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its own exit code.
    Code(i32),
    /// A signal that we did not send.
    Signal(i32),
    /// Its time was up; killed.
    TimedOut,
    /// Cancelled: SIGTERM, 100 ms, SIGKILL.
    Cancelled,
    /// It never started, or its reaper was lost: the reason, for a model or a person to act on.
    Failed(String),
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote.
    pub output: Output,
    /// From its release to its end, pauses included.
    pub wall: Duration,
}

/// A command that is started and waits for its release. Dropping it ends it, and nothing has run.
pub struct Held {
    // Before the reaper, whose request socket has to be the last to close.
    channels: Channels,
    group: GroupId,
    limit: Option<Duration>,
    max_output: usize,
    _reaper: Arc<Reaper>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Held {
    pub(super) fn new(reaper: Arc<Reaper>, channels: Channels, group: GroupId, command: &Command) -> Self {
        Self { channels, group, limit: command.timeout, max_output: command.max_output, _reaper: reaper }
    }

    /// Its process group, for the line that has to be durable before [`Held::run`].
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Lets the command go and waits for its end. Dropping the future kills it, with its group and descendants.
    pub async fn run(self, pause: Pause, cancel: Cancel) -> Outcome {
        self.run_with(pause, cancel, |_| {}).await
    }

    /// As [`Held::run`], and shows every piece of output as it arrives, unbounded, cut anywhere.
    pub async fn run_with(self, mut pause: Pause, mut cancel: Cancel, show: impl FnMut(&[u8])) -> Outcome {
        let Self { channels, group, limit, max_output, _reaper } = self;
        let Channels { mut line, output, reports, mut control } = channels;
        let mut reports = Reports(reports);
        let mut pump = Pump::new(output, max_output, show);

        // A process that died while it was held does not take the byte; the reaper reports how it died.
        let _ = line.write_all(&[RELEASE]).await;
        let released = Instant::now();
        let mut clock = Clock::new(limit, pause.is_paused(), released);

        // In this order: output may be ready at every turn, and must not keep the others from being seen.
        let mut exit = loop {
            tokio::select! {
                biased;
                exit = reports.exit() => break exit,
                () = cancel.cancelled() => break Exit::Cancelled,
                paused = pause.changed() => clock.set_paused(paused, Instant::now()),
                () = clock.expired() => break Exit::TimedOut,
                () = pump.step() => {}
            }
        };
        match exit {
            Exit::Code(_) | Exit::Signal(_) => {
                if let Some(reason) = refusal(&mut line).await {
                    exit = Exit::Failed(reason);
                }
            }
            Exit::Cancelled => {
                let _ = control.write_all(&[TERMINATE]).await;
                let _ = timeout(TERMINATE_GRACE, pump.alongside(reports.exit())).await;
            }
            Exit::Failed(_) => {
                Processes::kill_leftover(group);
            }
            Exit::TimedOut => {}
        }
        let wall = released.elapsed();
        if matches!(exit, Exit::Code(_) | Exit::Signal(_)) {
            let _ = timeout(DRAIN_GRACE, pump.rest()).await;
        }
        // Ends what is left. The reaper closes its side when all are gone.
        drop(control);
        let _ = timeout(GONE_GRACE, pump.alongside(reports.closed())).await;
        Outcome { exit, output: pump.finish(), wall }
    }
}

/// Why the command was not started: `__exec` wrote it to the line, whose other copies closed when it ended.
async fn refusal(line: &mut tokio::net::UnixStream) -> Option<String> {
    let mut reason = Vec::new();
    let _ = line.take(MAX_REASON_BYTES).read_to_end(&mut reason).await;
    (!reason.is_empty()).then(|| String::from_utf8_lossy(&reason).into_owned())
}

/// What the reaper says, from the exit on.
struct Reports(super::processes::ReportLines);

impl Reports {
    async fn exit(&mut self) -> Exit {
        loop {
            match self.0.next().await {
                Some(Report::Exited(code)) => return Exit::Code(code),
                Some(Report::Signalled(signal)) => return Exit::Signal(signal),
                Some(Report::Started(_) | Report::NotStarted(_)) => {}
                None => {
                    return Exit::Failed(
                        "the command was ended because its process reaper was; run it again".to_owned(),
                    );
                }
            }
        }
    }

    async fn closed(&mut self) {
        while self.0.next().await.is_some() {}
    }
}

/// Moves output from the pipe into the capture. Every method may be dropped at any await without losing a byte.
struct Pump<F> {
    pipe: pipe::Receiver,
    open: bool,
    chunk: Vec<u8>,
    capture: Capture,
    show: F,
}

impl<F: FnMut(&[u8])> Pump<F> {
    fn new(pipe: pipe::Receiver, max_output: usize, show: F) -> Self {
        Self { pipe, open: true, chunk: Vec::with_capacity(CHUNK_BYTES), capture: Capture::new(max_output), show }
    }

    /// One read; for ever after the end.
    async fn step(&mut self) {
        if !self.open {
            pending::<()>().await;
        }
        let read = self.pipe.read_buf(&mut self.chunk).await;
        self.open = matches!(read, Ok(1..));
        self.take_chunk();
    }

    fn take_chunk(&mut self) {
        if !self.chunk.is_empty() {
            (self.show)(&self.chunk);
            self.capture.push(&self.chunk);
            self.chunk.clear();
        }
    }

    async fn rest(&mut self) {
        while self.open {
            self.step().await;
        }
    }

    /// Keeps reading, so that nobody is held up by a full pipe, until `other` is done.
    async fn alongside(&mut self, other: impl Future) {
        tokio::pin!(other);
        loop {
            tokio::select! {
                biased;
                _ = &mut other => return,
                () = self.step() => {}
            }
        }
    }

    /// What is in the pipe still, but no more than a pipe holds: its writers are dead, or we have stopped waiting for them.
    fn finish(mut self) -> Output {
        const MAX_PIPE_BYTES: usize = 1 << 20;
        let mut left = MAX_PIPE_BYTES;
        while self.open && left > 0 {
            match self.pipe.try_read_buf(&mut self.chunk) {
                Ok(read @ 1..) => left = left.saturating_sub(read),
                _ => break,
            }
            self.take_chunk();
        }
        self.capture.finish()
    }
}
