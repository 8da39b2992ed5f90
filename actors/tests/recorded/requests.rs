//! A scripted run asks the model what the recorded run asked it: as often, and each time with the same items in the same
//! order. What differs on purpose is listed in `exempt.rs`.

use crate::driver::run;
use crate::exempt::{EXEMPTIONS, Side, assert_needed, compared};
use crate::fixture::Fixture;

fn compare(name: &str, expected: &[(&str, usize)]) {
    let fixture = Fixture::read(name);
    let ours = run(&fixture);
    let asked: Vec<_> = ours.iter().map(|(path, requests)| (path.as_str(), requests.len())).collect();
    assert_eq!(asked, expected, "{name}: how often each agent asked");
    let mut used = [vec![0; EXEMPTIONS.len()], vec![0; EXEMPTIONS.len()]];
    for (path, ours) in &ours {
        let theirs = &fixture.requests[&fixture.thread(path).unwrap()];
        assert_eq!(ours.len(), theirs.len(), "{name} {path}: requests");
        for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let theirs = compared(name, Side::Theirs, theirs, &mut used[0]);
            let ours = compared(name, Side::Ours, ours, &mut used[1]);
            assert_eq!(ours, theirs, "{name} {path}: request {n}");
        }
    }
    assert_needed(&EXEMPTIONS, name, &used);
}

#[test]
fn a_turn_and_one_without_a_word() {
    compare("01-simple-turn-legacy", &[("/root", 2)]);
    compare("01-simple-turn-paginated", &[("/root", 2)]);
}

#[test]
fn commands_side_by_side_and_tools_that_are_not_there() {
    compare("02-shell-tools-legacy", &[("/root", 4)]);
    compare("02-shell-tools-paginated", &[("/root", 4)]);
}

#[test]
fn agents_that_spawn_wait_and_report() {
    compare("04-multi-agent-v2", &[("/root", 5), ("/root/alpha", 1), ("/root/beta", 1)]);
}
