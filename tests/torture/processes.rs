//! Processes as the kernel shows them: those of one world are known by the home in their environment.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The processes that live in a home. A dead one that nobody has collected is none.
pub fn of_home(home: &Path) -> Vec<Pid> {
    let marker = [b"HOME=", home.as_os_str().as_encoded_bytes()].concat();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == marker)
    })
    .collect()
}

/// Waits until no process lives in a home, and says which ones still do when the time is over.
pub fn gone(home: &Path, within: Duration) -> Result<(), Vec<Pid>> {
    let end = Instant::now() + within;
    loop {
        let left = of_home(home);
        let Some(first) = left.first() else { return Ok(()) };
        let Some(rest) = end.checked_duration_since(Instant::now()) else { return Err(left) };
        if let Ok(process) = pidfd_open(*first, PidfdFlags::empty()) {
            ended(&process, rest);
        }
    }
}

fn ended(process: &OwnedFd, within: Duration) -> bool {
    let limit = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

/// Waits for the end of a child. One that does not end in time is killed, and that is a failure.
pub fn end_of(child: &mut Child, within: Duration) -> ExitStatus {
    if let Some(status) = child.try_wait().unwrap() {
        return status;
    }
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    if !ended(&process, within) {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("{child:?} did not end within {within:?}");
    }
    child.wait().unwrap()
}
