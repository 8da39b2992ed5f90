//! The end of a tree in order: its rollouts are free when it is over, for whoever archives, deletes or loads them next.

use std::sync::Arc;

use bytes::Bytes;
use sapwood_actors::agent::Settings;
use sapwood_actors::clock::SystemClock;
use sapwood_actors::process::Processes;
use sapwood_actors::service::Service;
use sapwood_model::{BoxFuture, DeltaSink, Model, ModelError, Request, Response};
use sapwood_protocol::{Ids, Usage};
use sapwood_rollout::{Journal, MemoryJournal, OpenError};

/// A model that is done at once.
struct Done;

impl Model for Done {
    fn sample(&self, _: Request, _: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        let text = r#"{"type": "output_text", "text": "done"}"#;
        let item = format!(r#"{{"type": "message", "id": "msg_1", "role": "assistant", "content": [{text}]}}"#);
        Box::pin(async move { Ok(Response::new("resp", vec![Bytes::from(item)], Usage::default())) })
    }
}

#[tokio::test]
async fn a_rollout_is_free_when_its_tree_is_down_whoever_still_has_it() {
    let journal = Arc::new(MemoryJournal::new());
    let processes = Processes::new("no commands are run".into());
    let (kept, clock) = (Arc::clone(&journal) as Arc<dyn Journal>, Arc::new(SystemClock));
    let service = Service::new(kept, Arc::new(Done), processes, "/bin/sh".into(), clock);
    let running = service.start(Settings::default(), "/", "begin".into(), Ids::seeded(1)).await.unwrap();
    running.at_rest().await;
    let tree = Arc::clone(&running.tree);
    let root = tree.seats().remove(0);
    assert!(matches!(journal.open(root.thread), Err(OpenError::Held { .. })), "it is written here");
    running.shutdown().await;
    journal.open(root.thread).expect("nobody writes it");
}
