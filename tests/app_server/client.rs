//! A client that says exactly what a test wants, and keeps all that it hears.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// What does not come within this time does not come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that wait to be sent, at most: tests send a handful.
const OUTBOUND: usize = 256;

/// One connection. Dropping it closes it.
pub struct Connection {
    out: mpsc::Sender<String>,
    heard: Arc<Mutex<Vec<Value>>>,
    /// Told after each message, and when the server is gone.
    news: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    pub fn over_pipes(mut stdin: ChildStdin, stdout: ChildStdout) -> Self {
        let (out, mut outbound) = mpsc::channel::<String>(OUTBOUND);
        let write = tokio::spawn(async move {
            while let Some(line) = outbound.recv().await {
                if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let lines = BufReader::new(stdout).lines();
        let texts = futures_util::stream::unfold(lines, |mut lines| async {
            lines.next_line().await.ok().flatten().map(|line| (line, lines))
        });
        Self::hearing(out, write, texts)
    }

    pub async fn over_websocket(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let (mut sink, stream) = socket.split();
        let (out, mut outbound) = mpsc::channel::<String>(OUTBOUND);
        let write = tokio::spawn(async move {
            while let Some(text) = outbound.recv().await {
                if sink.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            let _ = sink.close().await;
        });
        let texts = stream.filter_map(async |message| match message {
            Ok(Message::Text(text)) => Some(text.to_string()),
            _ => None,
        });
        Self::hearing(out, write, texts)
    }

    fn hearing(
        out: mpsc::Sender<String>,
        write: JoinHandle<()>,
        texts: impl futures_util::Stream<Item = String> + Send + 'static,
    ) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (tell, news) = watch::channel(false);
        let list = Arc::clone(&heard);
        let read = tokio::spawn(async move {
            let mut texts = std::pin::pin!(texts);
            while let Some(text) = texts.next().await {
                // What is no message is one that no test expects.
                list.lock().unwrap().push(serde_json::from_str(&text).unwrap_or(json!({ "broken": text })));
                tell.send_replace(false);
            }
            tell.send_replace(true);
        });
        Self { out, heard, news, tasks: [write, read] }
    }

    /// Sends any text.
    pub async fn say_raw(&self, text: &str) {
        self.out.send(text.to_owned()).await.expect("the server reads");
    }

    /// Sends a message.
    pub async fn say(&self, message: &Value) {
        self.say_raw(&message.to_string()).await;
    }

    /// All that came so far.
    pub fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until what came is as wanted; `None` if it does not become so, or the server is gone before.
    pub async fn try_until<T>(&self, patience: Duration, wanted: impl Fn(&[Value]) -> Option<T>) -> Option<T> {
        let mut news = self.news.clone();
        let until = async {
            loop {
                let gone = *news.borrow_and_update();
                if let Some(found) = wanted(&self.heard.lock().unwrap()) {
                    return Some(found);
                }
                if gone || news.changed().await.is_err() {
                    return wanted(&self.heard.lock().unwrap());
                }
            }
        };
        tokio::time::timeout(patience, until).await.ok().flatten()
    }

    /// The same, where anything else fails the test.
    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&[Value]) -> Option<T>) -> T {
        let found = self.try_until(PATIENCE, wanted).await;
        found.unwrap_or_else(|| panic!("{what} did not come; what came: {:#?}", tail(&self.heard())))
    }

    /// The answer to a request: `result`, or `error`. An id is used once.
    pub async fn ask(&self, id: u64, method: &str, params: Value) -> Result<Value, Value> {
        self.say(&json!({"id": id, "method": method, "params": params})).await;
        let is = |m: &&Value| m["id"] == id && m.get("method").is_none();
        let answer = self.until(method, |heard| heard.iter().find(is).cloned()).await;
        if answer.get("error").is_some() { Err(answer["error"].clone()) } else { Ok(answer["result"].clone()) }
    }

    /// Introduces itself.
    pub async fn initialize(&self, name: &str) {
        let client = json!({"name": name, "title": null, "version": "1"});
        let params = json!({"clientInfo": client, "capabilities": {"experimentalApi": true}});
        self.ask(0, "initialize", params).await.expect("it is welcome");
        self.say(&json!({"method": "initialized"})).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let [_, read] = &self.tasks;
        // The writer ends by itself when nothing is left to send.
        read.abort();
    }
}

fn tail(heard: &[Value]) -> &[Value] {
    &heard[heard.len().saturating_sub(8)..]
}
