//! Trees that Codex made: found from what its lines say, and told nothing twice.

use std::sync::Arc;

use sapwood_actors::clock::SystemClock;
use sapwood_actors::service::load;
use sapwood_actors::tree::{Activity, Tree};
use sapwood_protocol::{Ids, Line, Millis, ThreadId};
use sapwood_rollout::Journal;
use serde_json::json;

use crate::fixture::Fixture;

#[test]
fn the_agents_of_a_recorded_tree_are_found_and_nothing_is_written() {
    // (recording, root, paths)
    let table = [
        ("04-multi-agent-v2", "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef", ["/root", "/root/alpha", "/root/beta"]),
        ("04-multi-agent-v1", "01a1fb6a-b39b-7283-a318-3f0902a87cab", ["/root", "/root/galileo", "/root/volta"]),
    ];
    for (name, root, paths) in table {
        let fixture = Fixture::read(name);
        let journal = Arc::new(fixture.journal());
        let root: ThreadId = root.parse().unwrap();
        let port = Arc::clone(&journal) as Arc<dyn Journal>;
        let tree = Tree::new(root.into(), Arc::default(), port, Arc::new(SystemClock), Ids::seeded(1));
        assert_eq!(load(&tree).unwrap(), [""; 0], "{name}");
        let found: Vec<String> = tree.seats().iter().map(|seat| seat.path.to_string()).collect();
        assert_eq!(found, paths, "{name}");
        assert_eq!(*tree.activity().borrow(), Activity::default(), "{name}: nothing is to be done");
        for (thread, rollout) in &fixture.rollouts {
            let now = journal.read(*thread).unwrap();
            assert_eq!(now.bytes(), rollout.bytes(), "{name}: Codex has told the reports of its turns itself");
        }
    }
}

/// Codex copies what a legacy thread says into its forks, and with it the names of the source's children.
#[test]
fn the_children_that_a_fork_copied_the_names_of_are_its_sources() {
    let fixture = Fixture::read("04-multi-agent-v1");
    let root: ThreadId = "01a1fb6a-b39b-7283-a318-3f0902a87cab".parse().unwrap();
    let (now, fork) = (Millis(1_795_219_433_000), Ids::seeded(3).thread(Millis(1_795_219_433_000)));
    let meta = json!({"id": fork, "forked_from_id": root, "session_id": fork, "cwd": "/w"});
    let mut lines = Line::encode(now, None, "session_meta", &meta, None).bytes().to_vec();
    let (_, source) = fixture.rollouts.iter().find(|(thread, _)| **thread == root).unwrap();
    lines.extend_from_slice(source.bytes());
    let journal = fixture.journal();
    journal.put(fork, now, lines);
    let port = Arc::new(journal) as Arc<dyn Journal>;
    for (session, count) in [(root, 3), (fork, 1)] {
        let tree = Tree::new(session.into(), Arc::default(), Arc::clone(&port), Arc::new(SystemClock), Ids::seeded(1));
        assert_eq!(load(&tree).unwrap(), [""; 0]);
        assert_eq!(tree.seats().len(), count);
    }
}
