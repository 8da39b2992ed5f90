//! A provider on loopback, a request, and somebody who listens.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sapwood_model::{
    Body, Delta, DeltaSink, Governors, HistoryInitialization, Http, Model, ModelError, NoDeltas, Origin, Provider,
    Request, Response,
};
use sapwood_protocol::{AgentPath, Millis, ThreadId, TurnId};
use sapwood_testkit::Server;
use tokio::sync::watch;

/// The time that these tests have.
pub const NOW: Millis = Millis(1_795_219_433_000);
pub const ROOT: &str = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
pub const CHILD: &str = "01a1fb6a-a7ad-7482-bf40-903ee7aad334";

pub fn provider(base_url: &str) -> Provider {
    let mut provider = Provider::new("acme", base_url);
    provider.name = "Acme".to_owned();
    provider.key = Some("sk-test-0123456789abcdefghijkl".into());
    provider.key_from = Some("ACME_KEY".to_owned());
    provider.version = "1.2.3".to_owned();
    provider
}

pub fn client(provider: Provider) -> Http {
    let now: sapwood_model::http::Now = Arc::new(|| NOW);
    Http::new(provider, Governors::new(now.clone()), now).expect("the provider is well configured")
}

pub fn http(server: &Server) -> Http {
    client(provider(&server.base_url()))
}

pub fn root() -> Origin {
    let thread: ThreadId = ROOT.parse().unwrap();
    Origin {
        session: thread.into(),
        thread,
        path: AgentPath::root(),
        parent: None,
        thread_source: Some("user".into()),
        turn: TurnId::from("turn-1"),
        root_turn: TurnId::from("turn-1"),
        parent_turn: None,
        turn_started: Millis(1_795_219_433_338),
        history: HistoryInitialization::New,
        window: 0,
        provider: "acme".into(),
        model: "gpt-5.5".into(),
        effort: Some("medium".into()),
        sandbox: "danger-full-access",
        attempt: 1,
    }
}

pub fn request() -> Request {
    let slices = ["{\"model\":\"gpt-5.5\",\"input\":[", "{\"type\":\"message\"}", "]}"];
    Request { origin: root(), body: Body::new(slices.map(|slice| Bytes::from_static(slice.as_bytes())).to_vec()) }
}

pub async fn ask(http: &Http) -> Result<Response, ModelError> {
    http.sample(request(), Arc::new(NoDeltas)).await
}

/// Keeps what it hears, and lets a test wait for it.
#[derive(Default)]
pub struct Heard {
    deltas: Mutex<Vec<Delta>>,
    count: watch::Sender<usize>,
}

impl Heard {
    pub fn deltas(&self) -> Vec<Delta> {
        self.deltas.lock().unwrap().clone()
    }

    pub async fn until(&self, wanted: impl Fn(&Delta) -> bool) {
        let mut count = self.count.subscribe();
        while !self.deltas().iter().any(&wanted) {
            count.changed().await.unwrap();
        }
    }
}

impl DeltaSink for Heard {
    fn delta(&self, delta: Delta) {
        self.deltas.lock().unwrap().push(delta);
        self.count.send_modify(|count| *count += 1);
    }
}
