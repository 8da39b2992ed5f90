//! `daemon`: the app server of a home, running by itself on the control socket.
//!
//! Who holds the socket is asked of the kernel each time: there is no file with a process id that could be wrong. A lock
//! beside the socket makes one server of two starts.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use sapwood_server::transport::{Holder, control_socket, holder};
use serde_json::json;

use crate::cli::{DaemonAction, DaemonArgs};
use crate::ending::Ending;
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::output::{Piece, write_now};

/// For a server to answer, or to end. It ends by itself long before.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a process that is not ours to wait for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Does it.
pub fn run(args: &DaemonArgs) -> Exit {
    let done = Homes::find(args.home.as_deref()).and_then(|homes| {
        let daemon = Daemon { socket: control_socket(&homes.home), homes };
        match args.action {
            DaemonAction::Status => daemon.look(),
            DaemonAction::Start => daemon.locked(|| daemon.start(args)),
            DaemonAction::Stop => daemon.locked(|| daemon.stop()),
            DaemonAction::Restart => daemon.locked(|| daemon.stop().and_then(|_| daemon.start(args))),
        }
        .map(|holder| (holder, daemon.socket))
    });
    match done {
        Ok((holder, socket)) => say(args, holder, &socket),
        Err(failure) => Ending::failed(&failure).say_now(false),
    }
}

fn say(args: &DaemonArgs, holder: Holder, socket: &Path) -> Exit {
    let is_asked = args.action == DaemonAction::Status;
    let (pid, runs) = match holder {
        Holder::Process(pid) => (pid, true),
        Holder::Nobody => (None, false),
    };
    let text = match (args.json, runs) {
        (true, _) => json!({"running": runs, "pid": pid, "socket": socket.to_string_lossy()}).to_string(),
        (false, true) if is_asked => {
            let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            format!("running: process {pid}, unix://{}", socket.display())
        }
        (false, true) => pid.map(|pid| pid.to_string()).unwrap_or_default(),
        (false, false) => "not running".to_owned(),
    };
    write_now(&[Piece::out(text)], if is_asked && !runs { Exit::Failure } else { Exit::Done })
}

struct Daemon {
    homes: Homes,
    socket: PathBuf,
}

impl Daemon {
    fn folder(&self) -> &Path {
        self.socket.parent().unwrap_or(&self.homes.home)
    }

    fn look(&self) -> Result<Holder, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(|error| failed("looking at the socket", &error))?;
        Ok(runtime.block_on(holder(&self.socket)))
    }

    /// One start or stop at a time.
    fn locked(&self, work: impl FnOnce() -> Result<Holder, Failure>) -> Result<Holder, Failure> {
        let open = || {
            DirBuilder::new().recursive(true).mode(0o700).create(self.folder())?;
            let mut options = OpenOptions::new();
            let file =
                options.write(true).create(true).truncate(false).mode(0o600).open(self.folder().join("daemon.lock"))?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        let _lock: File = open().map_err(|error: io::Error| failed("locking the daemon's folder", &error))?;
        work()
    }

    fn start(&self, args: &DaemonArgs) -> Result<Holder, Failure> {
        let now = self.look()?;
        if now != Holder::Nobody {
            return Ok(now);
        }
        let log = self.folder().join("daemon.log");
        let mut child = self.spawn(args, &log).map_err(|error| failed("starting the server", &error))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.look()?;
            if now != Holder::Nobody {
                return Ok(now);
            }
            let ended = child.try_wait().map_err(|error| failed("starting the server", &error))?;
            if let Some(status) = ended {
                return Err(self.not_started(&format!("it ended with {status}"), &log));
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                return Err(self.not_started("it did not answer in time", &log));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn not_started(&self, why: &str, log: &Path) -> Failure {
        Failure::new(Exit::Failure, format!("the server was not started: {why}; {} says more", log.display()))
    }

    fn spawn(&self, args: &DaemonArgs, log: &Path) -> io::Result<Child> {
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["app-server", "--detached", "--listen", "unix://", "--home"]).arg(&self.homes.home);
        if let Some(profile) = &args.profile {
            command.args(["--profile", profile]);
        }
        for set in &args.overrides {
            command.args(["-c", set]);
        }
        // No folder is kept busy by it.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
    }

    fn stop(&self) -> Result<Holder, Failure> {
        let pid = match self.look()? {
            Holder::Nobody => return Ok(Holder::Nobody),
            Holder::Process(pid) => pid.and_then(Pid::from_raw),
        };
        let Some(pid) = pid else {
            let socket = self.socket.display();
            return Err(Failure::new(
                Exit::Failure,
                format!("who listens on {socket} cannot be found out; end it by hand"),
            ));
        };
        kill_process(pid, Signal::TERM).map_err(|error| failed("stopping the server", &error.into()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let holder = self.look()?;
            // Another may have begun meanwhile, without this verb.
            if !matches!(holder, Holder::Process(Some(now)) if now == pid.as_raw_nonzero().get()) {
                return Ok(Holder::Nobody);
            }
            if Instant::now() >= deadline {
                let pid = pid.as_raw_nonzero();
                return Err(Failure::new(Exit::Failure, format!("process {pid} was asked to stop, and still listens")));
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{what} failed: {error}"))
}
