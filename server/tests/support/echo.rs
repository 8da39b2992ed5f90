//! A service that gives back what it gets, and does on demand what a handler must not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sapwood_server::rpc::Answered;
use sapwood_server::{Call, Connection, Connections, Method, Notification, Reply, RequestId, Router, Service};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What happened to it.
#[derive(Debug, Default)]
pub struct Echo {
    pub connections: Arc<Connections>,
    pub gate: Notify,
    pub lagged: Mutex<Vec<String>>,
    pub answers: Mutex<Vec<(RequestId, Value)>>,
    pub closed: AtomicUsize,
}

impl Service for Echo {
    fn opened(&self, connection: &Arc<Connection>) {
        connection.notify("configWarning", &json!({"summary": "hello"}));
    }

    fn answered(&self, _: &Arc<Connection>, id: RequestId, answer: Answered) {
        let value = match answer {
            Ok(result) => serde_json::from_str(result.get()).unwrap_or(Value::Null),
            Err(error) => json!({"error": error.code}),
        };
        self.answers.lock().push((id, value));
    }

    fn lagged(&self, connection: &Arc<Connection>, thread: &str, _: Option<&str>) {
        self.lagged.lock().push(thread.to_owned());
        connection.notify("resync", &json!({"threadId": thread}));
    }

    fn closed(&self, _: &Arc<Connection>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }

    fn experimental(&self, method: &str, params: &RawValue) -> Option<&'static str> {
        (method == "echo" && params.get().contains("\"secret\"")).then_some("echo.secret")
    }
}

/// Its table.
pub fn router() -> Router<Echo> {
    Router::new().with([
        Method::new("echo", echo),
        Method::new("typed", typed),
        Method::new("trace", trace),
        Method::new("panic", panic),
        Method::new("forget", forget),
        Method::new("wait", wait).concurrent(),
        Method::new("release", release).bare(),
        Method::new("ask", ask),
        Method::new("flood", flood),
        Method::new("shout", shout),
        Method::new("risky", echo).experimental(),
    ])
}

async fn echo(_: Arc<Echo>, call: Call, reply: Reply) {
    reply.ok(&call.params);
}

async fn typed(_: Arc<Echo>, call: Call, reply: Reply) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        thread_id: String,
    }
    reply.send(call.params::<Params>().map(|params| params.thread_id));
}

async fn trace(_: Arc<Echo>, call: Call, reply: Reply) {
    reply.ok(&call.trace);
}

async fn panic(_: Arc<Echo>, _: Call, reply: Reply) {
    let _reply = reply;
    panic!("on purpose");
}

async fn forget(_: Arc<Echo>, _: Call, reply: Reply) {
    drop(reply);
}

async fn wait(echo: Arc<Echo>, _: Call, reply: Reply) {
    echo.gate.notified().await;
    reply.ok(&"waited");
}

async fn release(echo: Arc<Echo>, _: Call, reply: Reply) {
    echo.gate.notify_one();
    reply.ok(&Value::Null);
}

async fn ask(_: Arc<Echo>, call: Call, reply: Reply) {
    reply.ok(&json!({}));
    call.connection.request(&RequestId::Number(0), "item/tool/call", &json!({"tool": "t"}));
}

/// Sends as many large notifications of one thread as it is told to.
async fn flood(_: Arc<Echo>, call: Call, reply: Reply) {
    #[derive(Deserialize)]
    struct Params {
        count: usize,
        bytes: usize,
    }
    let params = match call.params::<Params>() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    for number in 0..params.count {
        let params = json!({"threadId": "t1", "number": number, "text": "x".repeat(params.bytes)});
        call.connection.send(&Notification::new("item/completed", &params).of_thread("t1"));
    }
    reply.ok(&json!({}));
}

/// Says it to all.
async fn shout(echo: Arc<Echo>, call: Call, reply: Reply) {
    reply.ok(&json!({}));
    echo.connections.tell_all("shouted", &call.params);
}
