//! A tree under its supervisor, composed as the service facade does it, with limits that a bench may choose.

use std::path::PathBuf;
use std::sync::Arc;

use sapwood_actors::agent::Settings;
use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_actors::host::{AgentHost, RactorSupervision};
use sapwood_actors::process::Processes;
use sapwood_actors::seat::Seat;
use sapwood_actors::tree::Tree;
use sapwood_actors::workers::Means;
use sapwood_model::Model;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Body, InputLane};
use sapwood_protocol::{Ids, SessionId};
use sapwood_rollout::Journal;
use sapwood_supervisor::core::{Config, Millis};
use sapwood_supervisor::driver::Supervisor;
use tokio::runtime::Runtime;

/// Seats of one tree, at most: what the largest section needs.
const SEATS: usize = 200_000;
/// As long as a section may take.
const FOR_EVER: Millis = Millis(3_600_000);

/// Two workers: as many cores as the numbers we are after were taken on.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The limits of a bench's supervisor.
pub fn config(slots: usize, awake: bool) -> Config {
    let idle = if awake { FOR_EVER } else { Millis(0) };
    Config { slots: slots as u32, max_seats: SEATS, idle, ..Config::default() }
}

/// A tree that runs.
pub struct Team {
    /// The tree.
    pub tree: Arc<Tree>,
    supervisor: Supervisor<AgentHost>,
    said: u64,
}

impl Team {
    /// An empty tree under a supervisor; `seed` makes its ids.
    pub async fn new(journal: Arc<dyn Journal>, model: Arc<dyn Model>, config: Config, seed: u64) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut ids = Ids::seeded(seed);
        let session = SessionId::from(ids.thread(clock.now()));
        let settings = Settings { slots: config.slots, max_agents: SEATS, ..Settings::default() };
        let tree = Tree::new(session, Arc::new(settings), journal, Arc::clone(&clock), ids);
        let processes = Processes::new(PathBuf::from("sapwood"));
        let means = Means { model, processes, shell: PathBuf::from("/bin/sh"), clock };
        let host = Arc::new(AgentHost::new(&tree, means));
        let (supervisor, _ended) = Supervisor::start(host, config).await;
        tree.supervise(Box::new(RactorSupervision(supervisor.clone()))).expect("an empty tree");
        Self { tree, supervisor, said: 0 }
    }

    /// Makes the root with its first input.
    pub fn start(&mut self, text: &str) -> Arc<Seat> {
        let (id, body) = (self.next_input(), Some(Body::user(text)));
        let first = Accepted { id, place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
        self.tree.make_root("/home/somebody/project", Some(&first)).expect("a root")
    }

    /// Says something to the root.
    pub fn say(&mut self, text: &str) {
        let (id, root) = (self.next_input(), self.tree.root().expect("a root"));
        self.tree.say(&root, id, Some(text.to_owned())).expect("room for an input");
    }

    fn next_input(&mut self) -> InputId {
        self.said += 1;
        InputId::from(format!("input-{}", self.said))
    }

    /// Returns when every agent is at rest.
    pub async fn at_rest(&self) {
        self.tree.activity().wait_for(|activity| activity.rests()).await.expect("the tree is here");
    }

    /// Ends the tree.
    pub async fn shutdown(self) {
        self.supervisor.shutdown_now().await;
    }
}
