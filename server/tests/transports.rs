//! The ways in: the unix socket, the websocket, and what HTTP is answered.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sapwood_server::connection::CONNECTIONS;
use sapwood_server::transport::{Holder, Listen, ListenError, Token, control_socket, holder};
use sapwood_server::{ExitReason, Stopped};
use serde_json::json;
use support::client::{Bed, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The status line and the body of what a request is answered.
async fn http(bed: &Bed, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(&bed.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    // One that became a websocket has none, and stays open.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    let body = String::from_utf8(body).unwrap();
    (head.lines().next().unwrap().to_owned(), body.trim_end().to_owned())
}

/// A websocket whose frames are written by hand.
async fn upgraded(bed: &Bed) -> TcpStream {
    let mut raw = TcpStream::connect(&bed.address).await.unwrap();
    raw.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(raw.read_u8().await.unwrap());
    }
    raw
}

#[tokio::test]
async fn http_is_answered_before_a_websocket_begins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let bed = Bed::with(Some(&Token::read(&file).unwrap())).await;
    assert_eq!(http(&bed, "/readyz", "").await.0, "HTTP/1.1 200 OK");
    assert_eq!(http(&bed, "/healthz", "").await.0, "HTTP/1.1 200 OK");
    assert_eq!(http(&bed, "/readyz", "Origin: http://a\r\n").await.0, "HTTP/1.1 403 Forbidden");
    let origin = format!("Origin: null\r\nAuthorization: Bearer s3cret\r\n{UPGRADE}");
    assert_eq!(http(&bed, "/", &origin).await.0, "HTTP/1.1 403 Forbidden");
    let missing = ("HTTP/1.1 401 Unauthorized".to_owned(), "missing websocket bearer token".to_owned());
    assert_eq!(http(&bed, "/", UPGRADE).await, missing);
    for wrong in ["Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "Bearer", "Bearer "] {
        let (status, body) = http(&bed, "/", &format!("Authorization: {wrong}\r\n{UPGRADE}")).await;
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{wrong}");
        assert_eq!(body, "invalid websocket bearer token", "{wrong}");
    }
    let right = "Authorization: bearer s3cret\r\n";
    assert_eq!(http(&bed, "/", right).await.0, "HTTP/1.1 400 Bad Request");
    let compressed = format!("{right}x-codex-app-server-compression: zstd-stream-v1\r\n{UPGRADE}");
    assert_eq!(http(&bed, "/some/path", &compressed).await.0, "HTTP/1.1 101 Switching Protocols");
}

#[tokio::test]
async fn a_place_that_others_reach_needs_a_token() {
    let listen: Listen = "ws://0.0.0.0:0".parse().unwrap();
    let refused = listen.bind(Path::new("/nowhere"), None).await;
    assert!(matches!(refused, Err(ListenError::TokenNeeded(address)) if address.port() == 0));
    for (text, listen) in [
        ("stdio://", Listen::Stdio),
        ("unix://", Listen::Control),
        ("unix:///a b", Listen::Unix("/a b".into())),
        ("ws://[::1]:80/", Listen::Ws("[::1]:80".parse().unwrap())),
    ] {
        assert_eq!(text.parse(), Ok(listen));
    }
    for text in ["", "ws://localhost:1", "http://127.0.0.1:1", "ws://127.0.0.1"] {
        let why = format!("{text}: not a place to listen; use stdio://, unix://, unix://PATH or ws://IP:PORT");
        assert_eq!(text.parse::<Listen>().unwrap_err().to_string(), why);
    }
}

#[tokio::test]
async fn the_unix_socket_is_private_and_has_one_holder() {
    let home = tempfile::tempdir().unwrap();
    let path = control_socket(home.path());
    let me = i32::try_from(std::process::id()).unwrap();
    assert_eq!(holder(&path).await, Holder::Nobody);
    let bed = Bed::on(Listen::Control.bind(home.path(), None).await.unwrap());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    let mut client = Client::on(UnixStream::connect(&path).await.unwrap()).await;
    client.initialize(json!({})).await;
    client.sync().await;
    assert_eq!(holder(&path).await, Holder::Process(Some(me)));
    let refused = Listen::Control.bind(home.path(), None).await.unwrap_err().to_string();
    let why = format!("process {me} listens on {} already; stop it, or", path.display());
    assert!(refused.starts_with(&why), "{refused}");
    bed.stop.send(ExitReason::Terminated).await.unwrap();
    let stopped = Stopped { reason: ExitReason::Terminated, connections_left: 0, is_forced: false };
    assert_eq!(bed.running.await.unwrap(), stopped);
    assert!(!path.exists());
    // What a killed server leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Listen::Control.bind(home.path(), None).await.unwrap());
    // One of another program, which knows no lock of ours.
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let refused = Listen::Control.bind(home.path(), None).await;
    assert!(matches!(refused, Err(ListenError::Held { by, .. }) if by == format!("process {me}")));
    let file = home.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let refused = Listen::Unix(file.clone()).bind(home.path(), None).await;
    assert!(matches!(refused, Err(ListenError::NoSocket(_))));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "kept");
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_says_goodbye() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    client.send(json!({"id": 1, "method": "wait", "params": {}})).await;
    client.sync().await;
    bed.stop.send(ExitReason::Interrupted).await.unwrap();
    bed.echo.gate.notify_one();
    assert_eq!(client.next().await, json!({"id": 1, "result": "waited"}));
    match client.frame().await {
        Some(Message::Close(Some(close))) => assert_eq!(close.code, CloseCode::Away),
        other => panic!("no goodbye: {other:?}"),
    }
    let stopped = Stopped { reason: ExitReason::Interrupted, connections_left: 0, is_forced: false };
    assert_eq!(bed.running.await.unwrap(), stopped);
    assert_eq!(bed.echo.closed.load(std::sync::atomic::Ordering::SeqCst), 1);
    TcpStream::connect(&bed.address).await.unwrap_err();
}

#[tokio::test]
async fn a_second_stop_waits_for_nobody() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    client.send(json!({"id": 1, "method": "wait", "params": {}})).await;
    client.sync().await;
    bed.stop.send(ExitReason::Interrupted).await.unwrap();
    bed.stop.send(ExitReason::Interrupted).await.unwrap();
    let stopped = Stopped { reason: ExitReason::Interrupted, connections_left: 1, is_forced: true };
    assert_eq!(bed.running.await.unwrap(), stopped);
    assert_eq!(bed.echo.connections.count(), 0);
    assert_eq!(bed.echo.closed.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_a_websocket_with_the_reason() {
    let bed = Bed::start().await;
    let mut client = bed.connect().await;
    client.initialize(json!({})).await;
    client.send_text(&"x".repeat(sapwood_server::rpc::FRAME_BYTES)).await;
    client.sync().await;
    let mut other = bed.connect().await;
    other.initialize(json!({})).await;
    // The header alone says how long it is.
    let mut raw = upgraded(&bed).await;
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&(sapwood_server::rpc::FRAME_BYTES as u64 + 1).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    raw.write_all(&frame).await.unwrap();
    let mut close = Vec::new();
    raw.read_to_end(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..4]), (0x88, &1009_u16.to_be_bytes()[..]));
    assert_eq!(&close[4..], b"a message is longer than 16777216 bytes");
    other.sync().await;
}

#[tokio::test]
async fn a_text_message_that_is_no_text_ends_a_websocket_with_the_reason() {
    let bed = Bed::start().await;
    let (mut raw, mut other) = (upgraded(&bed).await, bed.connect().await);
    other.initialize(json!({})).await;
    // A whole text message of one byte, under a mask of zeros.
    raw.write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await.unwrap();
    let mut close = Vec::new();
    raw.read_to_end(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..4]), (0x88, &1007_u16.to_be_bytes()[..]));
    assert_eq!(&close[4..], b"a text message is not UTF-8");
    other.sync().await;
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let bed = Bed::start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(bed.connect().await);
    }
    let (status, body) = http(&bed, "/", UPGRADE).await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "there are 256 connections already: close one, and connect again");
    let mut last = clients.pop().unwrap();
    last.initialize(json!({})).await;
    drop(clients);
    while bed.echo.connections.count() > 1 {
        tokio::task::yield_now().await;
    }
    bed.connect().await.initialize(json!({})).await;
}
