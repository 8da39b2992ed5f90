//! Clients that come half, or go without a word. Time passes only when nothing else happens.

use std::sync::Arc;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::Instant;

use super::front::{HANDSHAKE, receive};
use super::websocket::{REMOTE, serve};
use crate::connection::{CloseReason, Connections};
use crate::tests::bed::{Bed, runtime};

/// What one side has written and the other has not read, at most.
const BUFFER_BYTES: usize = 64 * 1024;

#[test]
fn who_never_finishes_asking_for_a_websocket_is_let_go() {
    runtime().block_on(async {
        for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            let (mut near, far) = duplex(BUFFER_BYTES);
            near.write_all(beginning.as_bytes()).await.unwrap();
            let (connections, began) = (Arc::new(Connections::new()), Instant::now());
            assert!(receive(far, Arc::clone(&connections), None).await.is_none());
            assert_eq!((began.elapsed().as_secs(), connections.count()), (HANDSHAKE.as_secs(), 0));
        }
    });
}

#[test]
fn who_answers_no_ping_is_gone() {
    runtime().block_on(async {
        let (bed, (near, far)) = (Bed::new(), duplex(BUFFER_BYTES));
        let receiving = tokio::spawn(receive(far, Arc::clone(bed.server().connections()), None));
        // Nobody looks at this end any more, as where a cable was pulled.
        let _client = tokio_tungstenite::client_async("ws://localhost/", near).await.unwrap();
        let (socket, registered) = receiving.await.unwrap().expect("it has begun");
        let connection = registered.take().expect("it is registered");
        serve(Arc::clone(bed.server()), Arc::clone(&connection), socket, REMOTE).await;
        assert_eq!((connection.closed().await, bed.server().connections().count()), (CloseReason::Silent, 0));
        bed.close().await;
    });
}
