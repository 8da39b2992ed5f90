//! `sapwood __reap`: the parent of every command, and the one that sees to it that none outlives sapwood.
//!
//! One thread, one `poll` loop. It is told nothing it could miss: a command's end is ordered by its control socket closing, the end
//! of everything by its own stdin closing, and both happen in the kernel, however their owner died. What it does not wait for with
//! `poll` is the death of orphans, for which there is no descriptor: it looks again after a moment while it is killing.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, pidfd_open, waitid,
};

use super::wire::{GroupId, MARK, REQUEST_FDS, Report, TERMINATE};
use super::{EXEC_SUBCOMMAND, exec, proc};

/// What `ps` and `killall` call the reaper: `killall -9 sapwood` leaves it to do its work.
pub(super) const NAME: &str = "sw-reap";

/// How soon to look whether those it kills are gone.
const KILLING_LOOK: Duration = Duration::from_millis(2);
/// How often to collect dead orphans while commands run.
const TIDY_LOOK: Duration = Duration::from_secs(1);
/// After this long without success the rest cannot be killed by us (a setuid program): it ends rather than stay for ever.
const GIVE_UP: Duration = Duration::from_secs(10);

/// The body of `sapwood __reap`: serves requests from stdin, a Unix socket, until it closes; then ends every process it started and
/// every descendant of those, and returns when none is left.
///
/// It leaves its terminal's session, so Ctrl-C, Ctrl-\ and a hang-up do not reach it.
pub fn reap_main() -> ExitCode {
    let _ = rustix::process::setsid();
    let _ = std::fs::write("/proc/self/comm", NAME);
    let _ = std::env::set_current_dir("/");
    let me = rustix::process::getpid();
    if let Err(error) = rustix::process::set_child_subreaper(Some(me)) {
        eprintln!("sapwood: this kernel cannot adopt orphaned processes: {error}");
        return ExitCode::FAILURE;
    }
    let mut reaper = Reaper { me, commands: Vec::new(), started: 0, look_at: None };
    let outcome = reaper.serve();
    if let Err(error) = &outcome {
        eprintln!("sapwood: the process reaper failed and ends its commands: {error}");
    }
    let all_gone = reaper.end_everything();
    if outcome.is_ok() && all_gone { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Reaper {
    me: Pid,
    commands: Vec<Held>,
    /// Commands started so far: makes their marks unique.
    started: u64,
    /// When to look at the orphans again.
    look_at: Option<Instant>,
}

/// One command. Its leader is not reaped before it is over, so its id cannot be given to another process meanwhile.
struct Held {
    control: File,
    leader: Pid,
    leader_exit: OwnedFd,
    mark: String,
    leader_running: bool,
    ending: bool,
}

/// What `poll` found, by index into `commands`.
enum Event {
    Request,
    Control(usize),
    LeaderExit(usize),
}

impl Reaper {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let events = self.wait()?;
            let mut open = true;
            // Requests come first in the list and only append: the indices of the others stay true.
            for event in events {
                match event {
                    Event::Request => open = self.take_request()?,
                    Event::Control(index) => self.commands[index].take_order(),
                    Event::LeaderExit(index) => self.commands[index].report_exit(),
                }
            }
            if !open {
                return Ok(());
            }
            self.tidy();
        }
    }

    fn wait(&mut self) -> io::Result<Vec<Event>> {
        let stdin = io::stdin();
        let mut sources = vec![(Event::Request, PollFd::new(&stdin, PollFlags::IN))];
        for (index, command) in self.commands.iter().enumerate() {
            if !command.ending {
                sources.push((Event::Control(index), PollFd::new(&command.control, PollFlags::IN)));
            }
            if command.leader_running {
                sources.push((Event::LeaderExit(index), PollFd::new(&command.leader_exit, PollFlags::IN)));
            }
        }
        let (events, mut fds): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        let timeout = self.look_at.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = events.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(event, _)| event).collect())
    }

    /// Reads one request and starts its command. `false`: sapwood is gone.
    fn take_request(&mut self) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received =
            recvmsg(io::stdin(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(false);
        }
        let fds = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        // Anything but three descriptors means that some could not be received for want of room in our table: the worker sees its
        // ends close and answers for it.
        if let Ok([line, output, control]) = <[OwnedFd; REQUEST_FDS]>::try_from(fds.collect::<Vec<_>>()) {
            let mut control = File::from(control);
            match self.start(line, output) {
                Ok((leader, leader_exit, mark, group)) => {
                    send(&mut control, &Report::Started(group));
                    self.commands.push(Held {
                        control,
                        leader,
                        leader_exit,
                        mark,
                        leader_running: true,
                        ending: false,
                    });
                }
                Err(error) => send(&mut control, &Report::NotStarted(error.to_string())),
            }
        }
        Ok(true)
    }

    fn start(&mut self, line: OwnedFd, output: OwnedFd) -> io::Result<(Pid, OwnedFd, String, GroupId)> {
        self.started += 1;
        let mark = format!("{}-{}", self.me, self.started);
        // The running program itself, even if its file has been replaced by a newer one since.
        let child = Command::new("/proc/self/exe")
            .arg0(exec::NAME)
            .arg(EXEC_SUBCOMMAND)
            .env(MARK, &mark)
            .stdin(line)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let leader = Pid::from_child(&child);
        let id = leader.as_raw_nonzero().get();
        // Not reaped yet, so both succeed unless descriptors run out; then it is an orphan without a command, and ended as one.
        let leader_exit = pidfd_open(leader, PidfdFlags::empty())?;
        let stat =
            proc::stat(id).ok_or_else(|| io::Error::other("/proc does not show the new process; is it mounted?"))?;
        Ok((leader, leader_exit, format!("{MARK}={mark}"), GroupId { id, start: stat.start }))
    }

    /// Goes on with the killing, and collects what is dead.
    fn tidy(&mut self) {
        let idle = self.commands.is_empty();
        let killing = idle || self.commands.iter().any(|command| command.ending);
        let due = self.look_at.is_some_and(|at| at <= Instant::now());
        if !killing && !due {
            self.look_at.get_or_insert_with(|| Instant::now() + TIDY_LOOK);
            return;
        }
        let orphans = self.living_orphans();
        self.commands.retain(|command| !command.ending || !command.is_over(&orphans));
        if self.commands.is_empty() {
            // No command left that could own them.
            kill_all(orphans.iter().copied());
        }
        let again =
            if self.commands.iter().any(|command| command.ending) || self.commands.is_empty() && !orphans.is_empty() {
                Some(KILLING_LOOK)
            } else if self.commands.is_empty() {
                None
            } else {
                Some(TIDY_LOOK)
            };
        self.look_at = again.map(|wait| Instant::now() + wait);
    }

    /// Our children that lead no command, after reaping the dead ones. What died while we looked may have left us its own children,
    /// so the list is only good if nothing had to be reaped.
    fn living_orphans(&self) -> Vec<i32> {
        loop {
            let mut orphans = proc::children(self.me.as_raw_nonzero().get());
            orphans.retain(|pid| !self.commands.iter().any(|command| command.is_led_by(*pid)));
            let listed = orphans.len();
            orphans.retain(|pid| !is_reaped(*pid));
            if orphans.len() == listed {
                return orphans;
            }
        }
    }

    /// Kills every descendant there is until there is none.
    fn end_everything(&mut self) -> bool {
        for command in &self.commands {
            // Its leader is still unreaped here, and only here: the id is its own.
            let _ = kill_process_group(command.leader, Signal::KILL);
        }
        let give_up = Instant::now() + GIVE_UP;
        loop {
            kill_all(proc::children(self.me.as_raw_nonzero().get()));
            loop {
                match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                    Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                    Ok(None) => break,
                    Err(_) => return true,
                }
            }
            if Instant::now() > give_up {
                return false;
            }
            // Its children may turn into ours at any time until they are dead, which nothing announces.
            std::thread::sleep(KILLING_LOOK);
        }
    }
}

impl Held {
    fn is_led_by(&self, pid: i32) -> bool {
        self.leader.as_raw_nonzero().get() == pid
    }

    fn take_order(&mut self) {
        let mut byte = [0];
        match self.control.read(&mut byte) {
            Ok(1) if byte == [TERMINATE] => {
                let _ = kill_process_group(self.leader, Signal::TERM);
            }
            Ok(1..) => {}
            Ok(0) | Err(_) => self.ending = true,
        }
    }

    fn report_exit(&mut self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Ok(Some(status)) = waitid(WaitId::PidFd(self.leader_exit.as_fd()), options) else {
            return;
        };
        self.leader_running = false;
        send(&mut self.control, &exit_report(&status));
    }

    /// Kills what is left of a command. `true`: nothing was, and its leader is reaped.
    fn is_over(&self, orphans: &[i32]) -> bool {
        let leader = self.leader.as_raw_nonzero().get();
        let own = orphans.iter().copied().filter(|pid| self.owns(*pid));
        let left: Vec<i32> = own.chain(self.leader_running.then_some(leader)).collect();
        let _ = kill_process_group(self.leader, Signal::KILL);
        if !left.is_empty() {
            kill_all(left);
            return false;
        }
        is_reaped(leader)
    }

    /// An orphan is the command's by group, by session, or by the mark in its environment.
    fn owns(&self, pid: i32) -> bool {
        let id = self.leader.as_raw_nonzero().get();
        proc::stat(pid).is_some_and(|stat| stat.group == id || stat.session == id)
            || proc::started_with(pid, &self.mark)
    }
}

fn kill_all(roots: impl IntoIterator<Item = i32>) {
    for pid in proc::with_descendants(roots).into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Reaps a child of ours if it is dead.
fn is_reaped(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else {
        return false;
    };
    matches!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG), Ok(Some(_)))
}

fn exit_report(status: &WaitIdStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, signal) => Report::Signalled(signal.unwrap_or_default()),
    }
}

/// A worker that is gone hears nothing; its socket's closing is handled as such. A few short lines never fill a socket.
fn send(control: &mut File, report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = control.write_all(&line);
    }
}
