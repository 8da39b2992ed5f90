//! The governor's futures, on a paused clock: who is told what, and what happens to those that are dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sapwood_model::governor::numbers::{CAP_START, GOVERNORS_MAX, USAGE_PROBE_MS, USAGE_UNKNOWN_MS, WAITING_MAX};
use sapwood_model::{Delta, DeltaSink, Governor, Governors, Headroom, HistoryInitialization, ModelError, Origin, Pass};
use sapwood_protocol::{AgentPath, Millis, TurnId};

use crate::tree;

const CAP: usize = CAP_START as usize;
/// More than any limit of the governor that is waited for here.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Heard(Mutex<Vec<Delta>>);

impl DeltaSink for Heard {
    fn delta(&self, delta: Delta) {
        self.0.lock().expect("no test panics with it").push(delta);
    }
}

impl Heard {
    fn until(&self) -> Vec<Option<u64>> {
        let heard = self.0.lock().expect("no test panics with it");
        let one = |delta: &Delta| match delta {
            Delta::Queued { until, .. } => until.map(|until| until.0),
            other => panic!("{other:?} is not of a governor"),
        };
        heard.iter().map(one).collect()
    }
}

/// A wall clock that a test moves.
#[derive(Clone, Default)]
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn governors(&self) -> Arc<Governors> {
        let wall = self.0.clone();
        Governors::new(Arc::new(move || Millis(wall.load(Ordering::SeqCst))))
    }

    fn pass(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

fn origin(path: &str) -> Origin {
    let session = tree(1);
    Origin {
        session,
        thread: session.into(),
        path: path.parse::<AgentPath>().expect("a path"),
        parent: None,
        thread_source: None,
        turn: TurnId::from("turn"),
        root_turn: TurnId::from("turn"),
        parent_turn: None,
        turn_started: Millis(0),
        history: HistoryInitialization::New,
        window: 0,
        provider: "loop".into(),
        model: "m".into(),
        effort: None,
        sandbox: "read-only",
        attempt: 1,
    }
}

type Admission = Pin<Box<dyn Future<Output = Result<Pass, ModelError>> + Send>>;

fn admit(governor: &Arc<Governor>, path: &str) -> (Admission, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let sink: Arc<dyn DeltaSink> = heard.clone();
    (Box::pin(governor.admit(&origin(path), &sink)), heard)
}

fn look(admission: &mut Admission) -> Poll<Result<Pass, ModelError>> {
    admission.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

async fn pass(governor: &Arc<Governor>) -> Pass {
    admit(governor, "/root/a").0.await.expect("it is admitted")
}

async fn fill(governor: &Arc<Governor>) -> Vec<Pass> {
    let mut passes = Vec::new();
    for _ in 0..CAP {
        passes.push(pass(governor).await);
    }
    passes
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_once_and_again_for_another_reason() {
    let governor = Wall::default().governors().of("loop", "a", "m");
    let mut passes = fill(&governor).await;
    let (mut waiting, heard) = admit(&governor, "/root/a");
    for _ in 0..3 {
        assert!(look(&mut waiting).is_pending());
    }
    assert_eq!(heard.until(), [None]);

    passes.pop().expect("some").refused(Some(Duration::from_secs(5)));
    for _ in 0..3 {
        assert!(look(&mut waiting).is_pending());
    }
    let until = heard.until();
    assert!(matches!(until[..], [None, Some(5000..=5500)]), "{until:?}");

    drop(passes);
    let admitted = tokio::time::timeout(LONG, waiting).await.expect("the pause ends");
    assert_eq!(governor.in_flight(), 1);
    drop(admitted);
    assert_eq!((governor.in_flight(), governor.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_leaves_the_line_and_hands_on_what_it_was_granted() {
    let governor = Wall::default().governors().of("loop", "a", "m");
    let mut passes = fill(&governor).await;
    let mut line: Vec<_> = (0..3).map(|_| admit(&governor, "/root/a").0).collect();
    assert!(line.iter_mut().all(|one| look(one).is_pending()));
    assert_eq!(governor.waiting(), 3);

    // The first is granted, and is gone before it looks.
    drop(passes.pop());
    assert_eq!((governor.in_flight() as usize, governor.waiting()), (CAP, 2));
    drop(line.remove(0));
    assert_eq!((governor.in_flight() as usize, governor.waiting()), (CAP, 1));
    // The second has it now; the third leaves.
    drop(line.remove(1));
    assert_eq!((governor.in_flight() as usize, governor.waiting()), (CAP, 0));
    assert!(matches!(look(&mut line[0]), Poll::Ready(Ok(_))));
    assert_eq!(governor.in_flight() as usize, CAP - 1);
}

#[tokio::test(start_paused = true)]
async fn the_timer_outlives_the_future_that_had_it() {
    let governor = Wall::default().governors().of("loop", "a", "m");
    pass(&governor).await.refused(Some(Duration::from_secs(5)));
    let (mut first, _) = admit(&governor, "/root/a");
    let (second, _) = admit(&governor, "/root/a");
    let second = tokio::spawn(second);
    assert!(look(&mut first).is_pending());
    tokio::task::yield_now().await;
    assert_eq!(governor.waiting(), 2);
    drop(first);
    let passed = tokio::time::timeout(LONG, second).await.expect("it is woken").expect("no panic");
    passed.expect("it is admitted").done();
}

#[tokio::test(start_paused = true)]
async fn what_the_headers_say_is_used_up_is_waited_for() {
    let governor = Wall::default().governors().of("loop", "a", "m");
    let mut first = pass(&governor).await;
    first.headroom(Headroom { limit: Some(1), remaining: Some(0), resets_in: Some(Duration::from_secs(7)) });
    first.begun();
    let (mut waiting, heard) = admit(&governor, "/root/a");
    assert!(look(&mut waiting).is_pending());
    assert_eq!(heard.until(), [Some(7000)]);
    let began = tokio::time::Instant::now();
    waiting.await.expect("it is admitted").done();
    assert!(began.elapsed() >= Duration::from_secs(7));
    first.done();
}

fn until(result: Poll<Result<Pass, ModelError>>) -> Option<u64> {
    match result {
        Poll::Ready(Err(ModelError::UsageLimited { message, until })) => {
            assert!(message.contains("loop"), "{message}");
            until.map(|until| until.0)
        }
        other => panic!("{other:?} is no usage limit"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_usage_limit_fails_all_that_wait_for_any_model_of_the_account() {
    let wall = Wall::default();
    let governors = wall.governors();
    let (one, other) = (governors.of("loop", "a", "m"), governors.of("loop", "a", "n"));
    let stranger = governors.of("loop", "b", "m");
    let (mut passes, others) = (fill(&one).await, fill(&other).await);
    let mut waiting: Vec<_> = [&one, &other, &other].into_iter().map(|governor| admit(governor, "/root/a").0).collect();
    assert!(waiting.iter_mut().all(|one| look(one).is_pending()));

    passes.pop().expect("some").usage_limited(Some(Millis(90_000)));
    for one in &mut waiting {
        assert_eq!(until(look(one)), Some(90_000));
    }
    assert_eq!((one.waiting(), one.in_flight() as usize, other.waiting()), (0, CAP - 1, 0));
    // New ones fail at once, and those of another account do not.
    assert_eq!(until(look(&mut admit(&other, "/root/a").0)), Some(90_000));
    pass(&stranger).await.done();
    drop((passes, others));

    wall.pass(90_000);
    let first = pass(&one).await;
    assert!(look(&mut admit(&one, "/root/a").0).is_pending(), "it opens slowly");
    first.done();
    pass(&other).await.done();
}

#[tokio::test(start_paused = true)]
async fn while_an_account_is_closed_a_root_may_look_now_and_then() {
    let wall = Wall::default();
    let governor = wall.governors().of("loop", "a", "m");
    pass(&governor).await.usage_limited(Some(Millis(1_000_000)));
    assert_eq!(until(look(&mut admit(&governor, "/root").0)), Some(1_000_000));
    wall.pass(USAGE_PROBE_MS);
    assert_eq!(until(look(&mut admit(&governor, "/root/a").0)), Some(1_000_000), "a worker does not look");
    let mut probe = admit(&governor, "/root").0.await.expect("a root does");
    assert_eq!(until(look(&mut admit(&governor, "/root").0)), Some(1_000_000), "one does");
    probe.begun();
    probe.done();
    pass(&governor).await.done();
}

#[tokio::test(start_paused = true)]
async fn a_usage_limit_without_an_end_lasts_a_short_while() {
    let wall = Wall::default();
    let governor = wall.governors().of("loop", "a", "m");
    pass(&governor).await.usage_limited(None);
    assert_eq!(until(look(&mut admit(&governor, "/root/a").0)), Some(USAGE_UNKNOWN_MS));
    wall.pass(USAGE_UNKNOWN_MS);
    pass(&governor).await.done();
}

#[tokio::test(start_paused = true)]
async fn a_full_line_answers() {
    let governor = Wall::default().governors().of("loop", "a", "m");
    let _passes = fill(&governor).await;
    let mut line: Vec<_> = (0..WAITING_MAX).map(|_| admit(&governor, "/root/a").0).collect();
    assert!(line.iter_mut().all(|one| look(one).is_pending()));
    let Poll::Ready(Err(ModelError::Unavailable { message, .. })) = look(&mut admit(&governor, "/root/a").0) else {
        panic!("the line is full")
    };
    assert!(message.contains("loop") && message.contains("100000"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn there_is_one_governor_for_a_model_and_idle_ones_are_forgotten_first() {
    let governors = Wall::default().governors();
    let first = governors.of("loop", "a", "m");
    let held = pass(&first).await;
    assert!(Arc::ptr_eq(&first, &governors.of("loop", "a", "m")));
    let second = governors.of("loop", "a", "n");
    for model in 0..GOVERNORS_MAX - 1 {
        governors.of("loop", "z", &model.to_string());
    }
    assert!(Arc::ptr_eq(&first, &governors.of("loop", "a", "m")), "it is in use");
    assert!(!Arc::ptr_eq(&second, &governors.of("loop", "a", "n")), "it was idle, and the oldest");
    held.done();
}
