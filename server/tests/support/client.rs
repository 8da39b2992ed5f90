//! A server of the echo service, and a client on its websocket.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use sapwood_server::transport::{Listen, Listener, Token};
use sapwood_server::{ExitReason, Identity, Server, Stopped};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::echo::{Echo, router};

/// A server that runs.
pub struct Bed {
    pub echo: Arc<Echo>,
    /// `IP:PORT`
    pub address: String,
    pub stop: mpsc::Sender<ExitReason>,
    pub running: JoinHandle<Stopped>,
}

/// Something bytes go through.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

impl Bed {
    pub async fn start() -> Self {
        Self::with(None).await
    }

    pub async fn with(token: Option<&Token>) -> Self {
        let listen: Listen = "ws://127.0.0.1:0".parse().unwrap();
        Self::on(listen.bind(Path::new("/nowhere"), token).await.unwrap())
    }

    pub fn on(listener: Listener) -> Self {
        let address = listener.address().unwrap();
        let address = address.split_once("://").unwrap().1.to_owned();
        let echo = Arc::new(Echo::default());
        let connections = Arc::clone(&echo.connections);
        let server = Server::new(Arc::clone(&echo), router(), connections, Identity::new("1.2.3", "/nowhere"));
        let (stop, stops) = mpsc::channel(2);
        let running = tokio::spawn(async move { server.run(vec![listener], stops).await });
        Self { echo, address, stop, running }
    }

    pub async fn connect(&self) -> Client {
        Client::on(TcpStream::connect(&self.address).await.unwrap()).await
    }
}

/// A client.
pub struct Client {
    socket: WebSocketStream<Box<dyn Bytes>>,
}

impl Client {
    pub async fn on(stream: impl Bytes + 'static) -> Self {
        let stream: Box<dyn Bytes> = Box::new(stream);
        let (socket, _) = tokio_tungstenite::client_async("ws://localhost/any/path", stream).await.unwrap();
        Self { socket }
    }

    pub async fn initialize(&mut self, capabilities: Value) {
        let client = json!({"name": "raw", "title": null, "version": "1"});
        let params = json!({"clientInfo": client, "capabilities": capabilities});
        self.send(json!({"id": "init", "method": "initialize", "params": params})).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "init", "{answer}");
        assert_eq!(answer["result"]["codexHome"], "/nowhere");
        assert_eq!(answer["result"]["platformFamily"], "unix");
        assert_eq!(self.next().await["method"], "configWarning");
    }

    pub async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn feed(&mut self, message: Value) {
        self.socket.feed(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn flush(&mut self) {
        self.socket.flush().await.unwrap();
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        match self.frame().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next frame that is no ping.
    pub async fn frame(&mut self) -> Option<Message> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return Some(frame),
            }
        }
    }

    /// Waits until all that was sent before has been looked at.
    pub async fn sync(&mut self) {
        self.send(json!({"id": "sync", "method": "echo", "params": {}})).await;
        assert_eq!(self.next().await, json!({"id": "sync", "result": {}}));
    }
}
