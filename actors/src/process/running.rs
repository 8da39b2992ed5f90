//! A command that goes on while nobody waits for it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::clock::Clock;
use super::input::{InputError, Queue, Size};
use super::output::{Capture, Output};
use super::pump::{Stream, Viewer};
use super::{Canceller, Exit, GroupId, Held, Outcome, Pause};

/// A released command, driven by a task that this owns. Dropping it ends the command, as dropping [`Held::run`] does.
pub struct Running {
    group: GroupId,
    /// What has not been taken yet.
    fresh: Arc<Mutex<Capture>>,
    input: Option<Arc<Queue>>,
    terminal: Option<Arc<OwnedFd>>,
    canceller: Canceller,
    /// Sent by the task when the command is over. Its closing without that means that the task was lost.
    ended: watch::Receiver<Option<Arc<Outcome>>>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What arrives is kept for taking, and shown.
struct Both<V> {
    arriving: Arc<Mutex<Capture>>,
    viewer: V,
}

impl<V: Viewer + Send> Viewer for Both<V> {
    fn show(&mut self, stream: Stream, bytes: &[u8]) {
        self.arriving.lock().push(bytes);
        self.viewer.show(stream, bytes);
    }

    fn room(&mut self) -> impl Future<Output = ()> + Send {
        self.viewer.room()
    }
}

/// What a wait brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielded {
    /// What the command wrote since the last time, within [`super::Command::max_output`].
    pub output: Output,
    /// Its end; `None` while it runs.
    pub ended: Option<Arc<Outcome>>,
    /// How long the wait took, pauses included.
    pub wall: Duration,
}

impl Running {
    pub(super) fn start(held: Held, pause: Pause, viewer: impl Viewer + Send + 'static) -> Self {
        let group = held.group();
        let fresh = Arc::new(Mutex::new(Capture::new(held.max_output())));
        let queue = Arc::new(Queue::default());
        let (input, terminal) = match held.stdin() {
            Some(sink) => (Some(queue.clone()), sink.terminal.clone()),
            None => (None, None),
        };
        let canceller = Canceller::new();
        let cancel = canceller.handle();
        let (end, ended) = watch::channel(None);
        let arriving = fresh.clone();
        let task = tokio::spawn(async move {
            let outcome = held.drive(queue, pause, cancel, Both { arriving, viewer }).await;
            end.send_replace(Some(Arc::new(outcome)));
        });
        Self { group, fresh, input, terminal, canceller, ended, task }
    }

    /// Its process group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Puts bytes into the queue for its stdin, which takes [`super::MAX_INPUT_BYTES`]; never waits.
    ///
    /// # Errors
    ///
    /// There is no stdin, it is closed, or the command does not read.
    pub fn write(&self, bytes: impl Into<Bytes>) -> Result<(), InputError> {
        self.input.as_ref().ok_or(InputError::None)?.write(bytes.into())
    }

    /// Closes its stdin after what was written. A terminal stays open, and tells its program of the end of input.
    ///
    /// # Errors
    ///
    /// There is no stdin.
    pub fn close_stdin(&self) -> Result<(), InputError> {
        self.input.as_ref().ok_or(InputError::None)?.close();
        Ok(())
    }

    /// Changes the size of its terminal; the kernel tells the programs in front (`SIGWINCH`).
    ///
    /// # Errors
    ///
    /// It has no terminal, or the system refuses.
    pub fn resize(&self, size: Size) -> Result<(), InputError> {
        let terminal = self.terminal.as_ref().ok_or(InputError::NoTerminal)?;
        rustix::termios::tcsetwinsize(terminal, size.into()).map_err(|error| InputError::Resize(error.into()))
    }

    /// What it wrote since the last time.
    pub fn take(&self) -> Output {
        self.fresh.lock().take(self.outcome().is_some())
    }

    /// Waits until it ends, or for as long as `time`, of which pauses do not count; then takes what it wrote. May be dropped at any
    /// await: then nothing is taken.
    pub async fn wait_for(&self, time: Duration, mut pause: Pause) -> Yielded {
        let begun = Instant::now();
        let mut clock = Clock::new(Some(time), pause.is_paused(), begun);
        loop {
            tokio::select! {
                biased;
                _ = self.ended() => break,
                paused = pause.changed() => clock.set_paused(paused, Instant::now()),
                () = clock.expired() => break,
            }
        }
        let ended = self.outcome();
        let output = self.fresh.lock().take(ended.is_some());
        Yielded { output, ended, wall: begun.elapsed() }
    }

    /// Interrupts its group, as Ctrl-C does on a terminal: for a command that has none.
    pub fn interrupt(&self) {
        let GroupId { id, start } = self.group;
        let is_ours = self.outcome().is_none() && super::proc::stat(id).is_some_and(|stat| stat.start == start);
        if let Some(group) = Pid::from_raw(id).filter(|_| is_ours) {
            // One that has just ended is interrupted enough.
            let _ = rustix::process::kill_process_group(group, Signal::INT);
        }
    }

    /// Asks it to end: SIGTERM, 100 ms, SIGKILL. Its end is [`Exit::Cancelled`], if it had not ended by itself.
    pub fn terminate(&self) {
        self.canceller.cancel();
    }

    /// What came of it; `None` while it runs. Then everything it wrote can be taken.
    pub fn outcome(&self) -> Option<Arc<Outcome>> {
        self.ended.borrow().clone().or_else(|| self.ended.has_changed().is_err().then(lost))
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Arc<Outcome> {
        let mut ended = self.ended.clone();
        let outcome = ended.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(lost)
    }
}

/// For a task that panicked, or whose runtime is shutting down: the command ended with it.
fn lost() -> Arc<Outcome> {
    let reason = "the task that drove the command was lost, and the command ended with it; run it again";
    Arc::new(Outcome {
        exit: Exit::Failed(reason.to_owned()),
        output: Output::default(),
        shortfalls: Vec::new(),
        wall: Duration::ZERO,
    })
}
