//! Death on purpose, for tests of the whole program. Without the feature `faults` nothing of it is compiled in.
//!
//! `SAPWOOD_KILL=after:<k>` kills this process when it has written k lines of rollouts, all of them counted together;
//! `inside:<k>` when it has written k lines and half of the next one. A rollout that is given its name counts as a
//! line. The lines of a batch are counted one by one, though they are one write.

/// Writes lines, or as many of them as the process is to live for.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) fn write<R>(bytes: &[u8], mut write: impl FnMut(&[u8]) -> R) -> R {
    write(bytes)
}

/// Gives a rollout that was written its name, if the process is to live for that.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(crate) fn name<R>(mut name: impl FnMut() -> R) -> R {
    name()
}

#[cfg(feature = "faults")]
pub(crate) use injected::{name, write};

#[cfg(feature = "faults")]
mod injected {
    use std::sync::OnceLock;

    use parking_lot::Mutex;
    use rustix::process::{Signal, getpid, kill_process};

    #[derive(Clone, Copy)]
    enum Kill {
        Never,
        After(u64),
        Inside(u64),
    }

    fn kill() -> Kill {
        static KILL: OnceLock<Kill> = OnceLock::new();
        *KILL.get_or_init(|| {
            let Ok(text) = std::env::var("SAPWOOD_KILL") else {
                return Kill::Never;
            };
            let read = || match text.split_once(':')? {
                ("after", k) => k.parse().ok().filter(|k| *k > 0).map(Kill::After),
                ("inside", k) => k.parse().ok().map(Kill::Inside),
                _ => None,
            };
            read().unwrap_or_else(|| panic!("SAPWOOD_KILL: `{text}` is neither after:<k> nor inside:<k>"))
        })
    }

    /// Lines written so far. Held while something is written, so that nothing follows the last one.
    static WRITTEN: Mutex<u64> = Mutex::new(0);

    pub(crate) fn write<R>(bytes: &[u8], mut write: impl FnMut(&[u8]) -> R) -> R {
        let mut written = WRITTEN.lock();
        let lines = || bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len);
        let before = *written;
        *written += lines().count() as u64;
        let whole = |count: u64| lines().take(count as usize).sum::<usize>();
        let cut = match kill() {
            Kill::After(k) if before < k && k <= *written => whole(k - before),
            Kill::Inside(k) if before <= k && k < *written => {
                let next = lines().nth((k - before) as usize).unwrap_or_default();
                whole(k - before) + next / 2
            }
            _ => return write(bytes),
        };
        write(&bytes[..cut]);
        let _ = kill_process(getpid(), Signal::KILL);
        unreachable!("the process was killed")
    }

    pub(crate) fn name<R>(mut name: impl FnMut() -> R) -> R {
        write(b"\n", |line| (!line.is_empty()).then(&mut name)).expect("named, unless the process is to die first")
    }
}
