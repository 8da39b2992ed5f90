//! Nine clients that talk to their threads, and a tenth that looks at all of them and reads a byte a second: what it costs
//! the nine.
//!
//! `cargo bench --bench slow_client [-- --quick]`; `APP_SERVER_PROGRAM` names another binary. Rounds with the tenth and without it take
//! turns on one server, so that what else the machine does meets both alike; each round has threads of its own.

#[path = "../tests/app_server/client.rs"]
#[allow(dead_code, reason = "a bench reads less than the tests")]
mod client;
#[path = "../tests/app_server/program.rs"]
#[allow(dead_code, reason = "a bench does less than the tests")]
mod program;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use sapwood_testkit::Answer;
use sapwood_testkit::sse::Reply;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use program::World;

/// Those whose turns are measured.
const CLIENTS: usize = 9;
/// Turns of one client in one round that are measured, behind one that is not.
const TURNS: usize = 8;
/// Rounds of either kind.
const ROUNDS: usize = 12;
/// What the model says in each turn, and in how many pieces: in a round more than the kernel takes for one that does not read.
const TEXT_BYTES: usize = 32 * 1024;
const PIECES: usize = 64;
/// How often the tenth reads one byte.
const DRIP: Duration = Duration::from_secs(1);
/// What the tenth's kernel takes for it: as little as may be had, so that the server has the rest.
const DRIP_BUFFER_BYTES: u32 = 4096;
/// What the nine may lose at most, as a factor.
const MOST: f64 = 1.10;

/// A stream that is read as fast as it can be until it is told to drip.
struct Drip {
    stream: TcpStream,
    drops: Option<Interval>,
}

impl AsyncRead for Drip {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(drops) = &mut self.drops else { return Pin::new(&mut self.stream).poll_read(context, into) };
        ready!(drops.poll_tick(context));
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut one));
        into.put_slice(one.filled());
        Poll::Ready(read)
    }
}

impl AsyncWrite for Drip {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A client.
struct Client {
    socket: WebSocketStream<Drip>,
    asked: u64,
}

/// One turn, as its client saw it.
struct Turn {
    /// Until the first word of the answer.
    first: Duration,
    /// Until it was over.
    whole: Duration,
}

impl Client {
    async fn connect(port: u16) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(DRIP_BUFFER_BYTES).expect("a small buffer");
        Self::over(socket, port).await
    }

    async fn over(socket: TcpSocket, port: u16) -> Self {
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.expect("the server listens");
        stream.set_nodelay(true).expect("small frames go at once");
        let drip = Drip { stream, drops: None };
        let (socket, _) = tokio_tungstenite::client_async("ws://localhost/", drip).await.expect("a websocket");
        let mut this = Self { socket, asked: 0 };
        let client = json!({"name": "bench", "version": "1"});
        this.ask("initialize", json!({"clientInfo": client, "capabilities": {"experimentalApi": true}})).await;
        this
    }

    async fn say(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let message = json!({"id": self.asked, "method": method, "params": params});
        self.socket.send(Message::text(message.to_string())).await.expect("the server reads");
        self.asked
    }

    async fn hear(&mut self) -> Value {
        loop {
            match self.socket.next().await.expect("the server is there").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                _ => continue,
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.say(method, params).await;
        loop {
            let mut message = self.hear().await;
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("result").is_some(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    async fn thread(&mut self, cwd: &str) -> String {
        let started = self.ask("thread/start", json!({"cwd": cwd})).await;
        started["thread"]["id"].as_str().expect("a thread has an id").to_owned()
    }

    async fn turn(&mut self, thread: &str) -> Turn {
        let (began, mut first) = (Instant::now(), None);
        let input = json!([{"type": "text", "text": "go on"}]);
        self.say("turn/start", json!({"threadId": thread, "input": input})).await;
        loop {
            let message = self.hear().await;
            if message["params"]["threadId"] != thread {
                continue;
            }
            match message["method"].as_str() {
                Some("item/agentMessage/delta") => drop(first.get_or_insert_with(|| began.elapsed())),
                Some("turn/completed") => {
                    assert_eq!(message["params"]["turn"]["status"], "completed", "{message}");
                    // Whoever does not keep up itself gets the answer in one piece.
                    let whole = began.elapsed();
                    return Turn { first: first.unwrap_or(whole), whole };
                }
                _ => {}
            }
        }
    }

    /// Looks at these threads, and reads a byte a second from then on, until it is dropped.
    async fn drip(mut self, threads: &[String]) -> JoinSet<()> {
        for thread in threads {
            self.ask("thread/resume", json!({"threadId": thread, "excludeTurns": true})).await;
        }
        let mut drops = interval(DRIP);
        drops.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.socket.get_mut().drops = Some(drops);
        let mut reading = JoinSet::new();
        reading.spawn(async move { while let Some(Ok(_)) = self.socket.next().await {} });
        reading
    }
}

/// One round: every client has its turns, beside the others.
async fn round(clients: &mut Vec<Client>, port: u16, cwd: &str, with_tenth: bool, all: &mut Vec<Turn>) {
    let mut threads = Vec::new();
    for client in clients.iter_mut() {
        threads.push(client.thread(cwd).await);
    }
    let _tenth = if with_tenth { Client::connect(port).await.drip(&threads).await } else { JoinSet::new() };
    let mut working = JoinSet::new();
    for (mut client, thread) in clients.drain(..).zip(threads) {
        working.spawn(async move {
            client.turn(&thread).await;
            let mut turns = Vec::with_capacity(TURNS);
            for _ in 0..TURNS {
                turns.push(client.turn(&thread).await);
            }
            (client, turns)
        });
    }
    while let Some(done) = working.join_next().await {
        let (client, turns) = done.expect("a client does not fail");
        clients.push(client);
        all.extend(turns);
    }
}

/// Milliseconds at this part of all, sorted.
fn at(part: f64, times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let index = (times.len() as f64 * part) as usize;
    times[index.min(times.len() - 1)].as_secs_f64() * 1000.0
}

/// One line of the table: without, with, and the factor.
fn row(name: &str, part: f64, [without, with]: [&[Turn]; 2], time: fn(&Turn) -> Duration) -> f64 {
    let of = |turns: &[Turn]| at(part, turns.iter().map(time));
    let (without, with) = (of(without), of(with));
    println!("{name:<24} {without:>9.2} ms {with:>9.2} ms {:>7.3}", with / without);
    with / without
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let rounds = if std::env::args().any(|arg| arg == "--quick") { 1 } else { ROUNDS };
    let text = "a word or two ".repeat(TEXT_BYTES / 14);
    let world = World::new(move |request| {
        if request.method != "POST" {
            return Answer::error(404, "not_found", "there is no catalogue here");
        }
        Answer::events(Reply::new(&format!("resp_{}", request.n)).message(&text, PIECES).completed())
    })
    .await;
    let (running, cwd) = (world.over_websocket(0).await, world.project().to_string_lossy().into_owned());
    let port = running.port();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::over(TcpSocket::new_v4().expect("a socket"), port).await);
    }
    let [mut without, mut with] = [Vec::new(), Vec::new()];
    round(&mut clients, port, &cwd, false, &mut Vec::new()).await;
    for n in 0..rounds {
        // What goes first has no advantage: they change places.
        for with_tenth in [n % 2 == 0, n % 2 == 1] {
            let all = if with_tenth { &mut with } else { &mut without };
            round(&mut clients, port, &cwd, with_tenth, all).await;
        }
    }
    println!("{} turns of {CLIENTS} clients each; load {}", with.len(), load());
    println!("{:<24} {:>12} {:>12} {:>7}", "", "without", "with", "factor");
    let both = [&without[..], &with[..]];
    row("first word, median", 0.5, both, |turn| turn.first);
    let first = row("first word, p99", 0.99, both, |turn| turn.first);
    row("whole turn, median", 0.5, both, |turn| turn.whole);
    let whole = row("whole turn, p99", 0.99, both, |turn| turn.whole);
    let holds = first.max(whole) <= MOST;
    println!("wanted: p99 within {MOST}: {}", if holds { "yes" } else { "no" });
    running.kill().await;
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The load of the machine over the last minute, five, fifteen.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
