//! A held command, and its run.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::clock::Clock;
use super::input::{Feeder, Queue, Sink};
use super::output::Output;
use super::processes::{Channels, Reaper};
use super::pump::{Pump, Stream, Viewer};
use super::sandbox::Shortfall;
use super::wire::{Answer, RELEASE, Report, TERMINATE};
use super::{Cancel, Command, GroupId, Pause, Processes, Running};

/// Between SIGTERM and SIGKILL.
const TERMINATE_GRACE: Duration = Duration::from_millis(100);
/// For the rest of the output once the leader has exited: a child in the background may hold the pipe open for ever.
const DRAIN_GRACE: Duration = Duration::from_millis(50);
/// For the dead to be gone. The reaper goes on without us.
const GONE_GRACE: Duration = Duration::from_secs(1);
/// What is taken from a process before it becomes its command: a reason, or what its sandbox lacks.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

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
    /// What its sandbox could not do on this machine.
    pub shortfalls: Vec<Shortfall>,
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

    /// Lets the command go and waits for its end. Dropping the future kills it, with its group and descendants. A stdin that it was
    /// started with is at its end.
    pub async fn run(self, pause: Pause, cancel: Cancel) -> Outcome {
        self.run_with(pause, cancel, |_, _| {}).await
    }

    /// As [`Held::run`], and shows every piece of output as it arrives, unbounded, cut anywhere.
    pub async fn run_with(self, pause: Pause, cancel: Cancel, show: impl FnMut(Stream, &[u8])) -> Outcome {
        let queue = Arc::new(Queue::default());
        queue.close();
        self.drive(queue, pause, cancel, show).await
    }

    /// Lets the command go and leaves it to a task of its own, which shows every piece of output as it arrives.
    ///
    /// Its time limit does not count what is paused.
    pub fn start(self, pause: Pause, show: impl FnMut(Stream, &[u8]) + Send + 'static) -> Running {
        Running::start(self, pause, show)
    }

    /// As [`Held::start`], at the pace of whoever sees the output.
    pub fn start_for(self, pause: Pause, viewer: impl Viewer + Send + 'static) -> Running {
        Running::start(self, pause, viewer)
    }

    pub(super) fn max_output(&self) -> usize {
        self.max_output
    }

    pub(super) fn stdin(&self) -> Option<&Sink> {
        self.channels.stdin.as_ref()
    }

    pub(super) async fn drive(
        self,
        queue: Arc<Queue>,
        mut pause: Pause,
        mut cancel: Cancel,
        viewer: impl Viewer,
    ) -> Outcome {
        let Self { channels, group, limit, max_output, _reaper } = self;
        let Channels { mut line, stdout, stderr, stdin, reports, mut control } = channels;
        let mut reports = Reports(reports);
        let mut pump = Pump::new(stdout, stderr, max_output, viewer);
        let mut feeder = Feeder { queue, sink: stdin };

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
                () = feeder.step() => {}
                () = pump.step() => {}
            }
        };
        let mut shortfalls = Vec::new();
        match exit {
            Exit::Code(_) | Exit::Signal(_) => {
                let (refused, told) = answers(&mut line).await;
                shortfalls = told;
                if let Some(reason) = refused {
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
        Outcome { exit, output: pump.finish(), shortfalls, wall }
    }
}

/// What `__exec` wrote to the line before it ended or became the command, either of which closed it.
async fn answers(line: &mut tokio::net::UnixStream) -> (Option<String>, Vec<Shortfall>) {
    let mut text = Vec::new();
    let _ = line.take(MAX_ANSWER_BYTES).read_to_end(&mut text).await;
    let (mut refused, mut shortfalls) = (None, Vec::new());
    for answer in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(answer) {
            Ok(Answer::Refused(reason)) => refused = Some(reason),
            Ok(Answer::Shortfalls(told)) => shortfalls.extend(told),
            // Cut by the limit: an answer of its own.
            Err(_) => refused = Some(String::from_utf8_lossy(answer).into_owned()),
        }
    }
    (refused, shortfalls)
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
