//! A client that reads as fast, or as slowly, as a test wants.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::bed::rest;
use crate::connection::CloseReason;
use crate::transport::Sink;

/// Pieces that a client has sent and the server has not taken: more than a test sends at once.
const PIECES: usize = 4096;

/// Frames that were written to a client.
type Heard = Arc<Mutex<VecDeque<Bytes>>>;

/// The server's ends of a connection.
pub struct Wire {
    pub pieces: mpsc::Receiver<Vec<u8>>,
    pub sink: Room,
}

/// Takes a frame for each that the client is ready to read.
pub struct Room {
    heard: Heard,
    room: Arc<Semaphore>,
}

impl Sink for Room {
    async fn write(&mut self, batch: &mut Vec<Bytes>) -> io::Result<()> {
        for frame in batch.drain(..) {
            self.room.acquire().await.map_err(io::Error::other)?.forget();
            self.heard.lock().push_back(frame);
        }
        Ok(())
    }

    async fn close(&mut self, _: CloseReason) {}
}

/// One client. Dropping it is hanging up.
pub struct Client {
    pieces: mpsc::Sender<Vec<u8>>,
    heard: Heard,
    room: Arc<Semaphore>,
    driving: Option<JoinHandle<()>>,
    asked: u64,
}

impl Client {
    pub fn new() -> (Self, Wire) {
        let (send, pieces) = mpsc::channel(PIECES);
        let (heard, room) = (Heard::default(), Arc::new(Semaphore::new(0)));
        let sink = Room { heard: Arc::clone(&heard), room: Arc::clone(&room) };
        (Self { pieces: send, heard, room, driving: None, asked: 0 }, Wire { pieces, sink })
    }

    pub fn driven_by(self, driving: JoinHandle<()>) -> Self {
        Self { driving: Some(driving), ..self }
    }

    /// Reads so many frames more.
    pub fn read(&self, frames: usize) {
        self.room.add_permits(frames);
    }

    /// From here on it reads whatever comes.
    pub fn read_all(&self) {
        self.room.add_permits(Semaphore::MAX_PERMITS / 2 - self.room.available_permits());
    }

    /// From here on it reads nothing.
    pub fn stop_reading(&self) {
        self.room.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&self, bytes: Vec<u8>) {
        // The server may have ended the connection.
        let _ = self.pieces.try_send(bytes);
    }

    /// Asks, and says under which id.
    pub fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.asked += 1;
        let line = json!({"id": self.asked, "method": method, "params": params}).to_string() + "\n";
        self.send_bytes(line.into_bytes());
        self.asked
    }

    /// Says who it is, and waits until it is welcome.
    pub async fn answer_to_initialize(&mut self) {
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"clientInfo": client, "capabilities": {"experimentalApi": true}});
        let (answer, _) = self.answer("initialize", &params).await;
        assert_eq!(answer["result"]["codexHome"], "/home", "{answer}");
    }

    /// Asks, reads all, and waits for the answer. What comes beside it is returned too.
    pub async fn answer(&mut self, method: &str, params: &Value) -> (Value, Vec<Value>) {
        let id = self.ask(method, params);
        self.read_all();
        rest().await;
        let mut heard = self.hear();
        let at = heard.iter().position(|message| message["id"] == id && message.get("method").is_none());
        let at = at.unwrap_or_else(|| panic!("{method} is not answered: {heard:?}"));
        let answer = heard.remove(at);
        (answer, heard)
    }

    /// What has come since it was last asked.
    pub fn hear(&self) -> Vec<Value> {
        let frames = std::mem::take(&mut *self.heard.lock());
        frames.iter().map(|frame| serde_json::from_slice(frame).expect("all that is sent is JSON")).collect()
    }

    /// Whether the server serves it still.
    pub fn is_served(&self) -> bool {
        self.driving.as_ref().is_some_and(|driving| !driving.is_finished())
    }
}
