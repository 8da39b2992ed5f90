//! Trees that Codex made: found from what its lines say, and told nothing twice.

use std::sync::Arc;

use sapwood_actors::clock::SystemClock;
use sapwood_actors::service::load;
use sapwood_actors::tree::{Activity, Tree};
use sapwood_protocol::{Ids, ThreadId};
use sapwood_rollout::Journal;

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
