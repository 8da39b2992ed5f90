//! Shutdown: a child is refused or told, exactly one of them, exactly once.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use sapwood_mailbox::Children;

/// P11, with two who shut down at once.
#[test]
fn p11_refused_or_told() {
    loom::model(|| {
        let children = Arc::new(Children::new(8));
        let starter = thread::spawn({
            let children = children.clone();
            move || usize::from(children.add(1).is_ok())
        });
        let closer = thread::spawn({
            let children = children.clone();
            move || children.close().len()
        });
        let told = children.close().len() + closer.join().unwrap();
        assert_eq!(starter.join().unwrap(), told + children.close().len());
        assert!(children.add(2).is_err());
    });
}

/// P11 for a child that ends meanwhile: it leaves, or is told; not both.
#[test]
fn p11_ended_or_told() {
    loom::model(|| {
        let children = Arc::new(Children::new(8));
        let keys = [1, 2].map(|child| children.add(child).unwrap());
        let ending = thread::spawn({
            let children = children.clone();
            move || children.remove(keys[0]).into_iter().collect::<Vec<_>>()
        });
        let told = children.close();
        let ended = ending.join().unwrap();
        assert_eq!([told, ended].concat(), [2, 1]);
    });
}

/// The limit holds when two start at once.
#[test]
fn the_limit_holds() {
    loom::model(|| {
        let children = Arc::new(Children::new(1));
        let other = thread::spawn({
            let children = children.clone();
            move || usize::from(children.add(1).is_ok())
        });
        let mine = usize::from(children.add(2).is_ok());
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_eq!(children.close().len(), 1);
    });
}
