//! The server: who listens, what was seen, and how a test waits for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::Answer;
use crate::connection;
use crate::received::Received;
use crate::wire::Raw;

/// A server on a port of its own of 127.0.0.1. Dropping it ends every task and closes every connection.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

/// What happened so far, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted, refused ones included.
    pub connections: usize,
    /// Connections that are open.
    pub open_connections: usize,
    /// Requests that were read.
    pub requests: usize,
    /// Answers that have begun and not ended.
    pub open: usize,
    /// The most answers that were open at a time.
    pub peak: usize,
    /// Answers that came to their end, or to the fault they were given.
    pub ended: usize,
    /// Answers that the client left before their end.
    pub closed_early: usize,
}

impl Server {
    /// Starts to listen. `answer` is asked once for each request, on the task of its connection.
    pub async fn start(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Seen { answer: Box::new(answer), log: Mutex::default(), news: watch::Sender::new(()) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&seen)));
        Self { address, seen, accepting }
    }

    /// Where a provider is told to ask: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.seen.log().requests.clone()
    }

    /// The requests so far of an agent, by the path in its metadata.
    pub fn of(&self, agent_name: &str) -> Vec<Received> {
        self.received().into_iter().filter(|request| request.agent_name() == agent_name).collect()
    }

    /// The numbers so far.
    pub fn counts(&self) -> Counts {
        self.seen.log().counts
    }

    /// Resets the next `connections` at once, before it reads from them.
    pub fn refuse_next(&self, connections: usize) {
        self.seen.log().refuse = connections;
    }

    /// Waits until the requests are as wanted. The test's own time limit is the bound.
    pub async fn until(&self, wanted: impl Fn(&[Received]) -> bool) {
        self.seen.until(|log| wanted(&log.requests)).await;
    }

    /// Waits until the numbers are as wanted. The test's own time limit is the bound.
    pub async fn until_counts(&self, wanted: impl Fn(&Counts) -> bool) {
        self.seen.until(|log| wanted(&log.counts)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It owns the tasks of the connections.
        self.accepting.abort();
    }
}

type AnswerFn = Box<dyn Fn(&Received) -> Answer + Send + Sync>;

/// What the server and its connections share.
pub(crate) struct Seen {
    answer: AnswerFn,
    log: Mutex<Log>,
    /// Told after each change of the log.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Log {
    requests: Vec<Received>,
    counts: Counts,
    refuse: usize,
}

impl Seen {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics under it")
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.log().counts);
        self.news.send_replace(());
    }

    /// Lists a request, and asks for its answer.
    pub(crate) fn answer(&self, connection: usize, raw: Raw) -> Answer {
        let (path, query) = raw.target.split_once('?').unwrap_or((&raw.target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let Raw { method, headers, body, .. } = raw;
        let request = {
            let mut log = self.log();
            let n = log.requests.len();
            let request = Received { n, connection, method, path, query, headers, body, when: Instant::now() };
            log.requests.push(request.clone());
            log.counts.requests += 1;
            log.counts.open += 1;
            log.counts.peak = log.counts.peak.max(log.counts.open);
            request
        };
        self.news.send_replace(());
        (self.answer)(&request)
    }

    /// The number of a new connection, and whether it is refused.
    fn connected(&self) -> (usize, bool) {
        let mut log = self.log();
        log.counts.connections += 1;
        let refused = log.refuse > 0;
        log.refuse = log.refuse.saturating_sub(1);
        log.counts.open_connections += usize::from(!refused);
        (log.counts.connections - 1, refused)
    }

    async fn until(&self, wanted: impl Fn(&Log) -> bool) {
        let mut news = self.news.subscribe();
        // The sender is in `self`, so the channel is not closed.
        while !wanted(&self.log()) && news.changed().await.is_ok() {}
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (connection, refused) = seen.connected();
                seen.news.send_replace(());
                if refused {
                    connection::reset(stream);
                } else {
                    connections.spawn(connection::serve(stream, connection, Arc::clone(&seen)));
                }
            }
            Some(_) = connections.join_next() => seen.count(|counts| counts.open_connections -= 1),
        }
    }
}
