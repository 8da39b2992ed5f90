//! The end of stdin, where nobody wants to know what it says any more.

use std::io::{self, IsTerminal};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long whoever writes to us may take for the rest.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads stdin to its end and forgets it: a client that writes its prompt to a process that is gone has an error there
/// that hides ours. The TypeScript SDK does not even catch it.
pub fn let_the_writer_finish() {
    if io::stdin().is_terminal() {
        return;
    }
    let (done, finished) = mpsc::channel();
    // It may wait for an end that never comes: it is left behind, and ends with the process.
    let reader = thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = done.send(());
    });
    if reader.is_ok() {
        let _ = finished.recv_timeout(PATIENCE);
    }
}
