//! What waits, what is joined, and what is given up.

use bytes::Bytes;
use serde_json::{Value, json};

use super::outbound::{
    BATCH_BYTES, JOINED_BYTES, KEPT_BYTES, KEPT_COUNT, LAGGING_THREADS, LOOSE_BYTES, LOOSE_COUNT, Lagging, Outbound,
};
use super::{CloseReason, Notification, ingress};

fn delta(item: &str, text: &str) -> Notification {
    let params = json!({"threadId": "t", "turnId": "u", "itemId": item, "delta": text});
    Notification::new("item/agentMessage/delta", &params).of_thread("t").joining()
}

fn of_thread(thread: &str, bytes: usize) -> Notification {
    let params = json!({"threadId": thread, "text": "x".repeat(bytes)});
    Notification::new("item/completed", &params).of_thread(thread)
}

fn drain(outbound: &mut Outbound) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut batch = Vec::new();
        outbound.take(&mut batch);
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|frame| {
            let mut message: Value = serde_json::from_slice(frame).unwrap();
            message.as_object_mut().map(|message| message.remove("emittedAtMs"));
            message
        }));
    }
}

fn told(item: &str, text: &str) -> Value {
    let params = json!({"threadId": "t", "turnId": "u", "itemId": item, "delta": text});
    json!({"method": "item/agentMessage/delta", "params": params})
}

#[test]
fn neighbouring_deltas_of_one_item_are_joined() {
    let mut outbound = Outbound::default();
    for notification in
        [delta("a", "one \"q\" "), delta("a", "ä\n"), delta("a", ""), delta("b", "other"), delta("a", "back")]
    {
        outbound.tell(&notification);
    }
    outbound.keep(Bytes::from_static(b"{}"));
    outbound.tell(&delta("a", "after"));
    let all = drain(&mut outbound);
    let expected = [told("a", "one \"q\" ä\n"), told("b", "other"), told("a", "back"), json!({}), told("a", "after")];
    assert_eq!(all, expected);
}

#[test]
fn what_differs_behind_the_text_is_not_joined() {
    let part = |index: usize| {
        let params = json!({"itemId": "a", "delta": "x", "summaryIndex": index});
        Notification::new("item/reasoning/summaryTextDelta", &params).joining()
    };
    let mut outbound = Outbound::default();
    [part(0), part(0), part(1)].iter().for_each(|part| outbound.tell(part));
    let texts: Vec<Value> = drain(&mut outbound).into_iter().map(|message| message["params"].clone()).collect();
    let expected = [("xx", 0), ("x", 1)];
    assert_eq!(texts, expected.map(|(text, index)| json!({"itemId": "a", "delta": text, "summaryIndex": index})));
}

#[test]
fn one_joined_text_is_bounded() {
    let mut outbound = Outbound::default();
    let text = "x".repeat(1000);
    (0..100).for_each(|_| outbound.tell(&delta("a", &text)));
    let all = drain(&mut outbound);
    let lengths: Vec<usize> = all.iter().map(|message| message["params"]["delta"].as_str().unwrap().len()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 100_000);
    assert!(lengths.iter().all(|length| *length <= JOINED_BYTES), "{lengths:?}");
    assert!(lengths.len() <= 100_000 / (JOINED_BYTES - 2000) + 1, "{lengths:?}");
}

#[test]
fn the_thread_with_the_most_is_given_up_and_comes_back() {
    let mut outbound = Outbound::default();
    outbound.keep(Bytes::from_static(b"{\"id\":1}"));
    outbound.tell(&of_thread("small", 10));
    let mut sent = 0;
    // What was queued first is of an older turn, and what came before it of none.
    for turn in [None, Some("first"), Some("second")].into_iter().chain(std::iter::repeat(Some("second"))) {
        let notification = of_thread("large", 10_000);
        outbound.tell(&turn.into_iter().fold(notification, Notification::of_turn));
        sent += 1;
        if !outbound.lagging_names().is_empty() {
            break;
        }
    }
    assert!(sent > LOOSE_BYTES / 11_000 && sent <= LOOSE_BYTES / 10_000 + 2, "{sent}");
    outbound.tell(&of_thread("large", 10));
    // Nothing is brought up to date before all else is written.
    assert_eq!((outbound.can_catch_up(), outbound.lagging()), (false, None));
    let mut threads = || -> Vec<Value> {
        drain(&mut outbound).into_iter().map(|message| message["params"]["threadId"].clone()).collect()
    };
    assert_eq!(threads(), [Value::Null, json!("small")]);
    assert!(outbound.can_catch_up());
    let lagging = Lagging { dropped: sent as u64 + 1, since: Some("first".into()) };
    assert_eq!(outbound.lagging(), Some(("large".into(), lagging)));
    outbound.catches_up("large");
    outbound.tell(&of_thread("large", 1));
    assert_eq!(drain(&mut outbound).len(), 1);
}

#[test]
fn who_does_not_read_what_is_said_to_all_is_closed() {
    let mut outbound = Outbound::default();
    (0..=LOOSE_COUNT).for_each(|_| outbound.tell(&Notification::new("said", &json!({}))));
    assert_eq!(outbound.closed(), Some(CloseReason::NotReading));
    assert_eq!(drain(&mut outbound), [] as [Value; 0]);
    outbound.keep(Bytes::from_static(b"{}"));
    assert_eq!(drain(&mut outbound), [] as [Value; 0]);
}

#[test]
fn answers_are_kept_and_stop_the_reading() {
    let mut outbound = Outbound::default();
    assert!(outbound.has_room_for_answers());
    outbound.keep(format!("\"{}\"", "x".repeat(KEPT_BYTES)).into());
    assert!(!outbound.has_room_for_answers());
    (1..KEPT_COUNT).for_each(|_| outbound.keep(Bytes::from_static(b"2")));
    assert_eq!(outbound.closed(), None);
    assert_eq!(drain(&mut outbound).len(), KEPT_COUNT);
    assert!(outbound.has_room_for_answers());
    (0..=KEPT_COUNT).for_each(|_| outbound.keep(Bytes::from_static(b"2")));
    assert_eq!(outbound.closed(), Some(CloseReason::TooManyKept));
}

#[test]
fn a_single_large_notification_always_fits() {
    let mut outbound = Outbound::default();
    outbound.tell(&of_thread("t", 10 * LOOSE_BYTES));
    outbound.tell(&of_thread("other", 1));
    let lagging: Vec<_> = outbound.lagging_names();
    assert_eq!(lagging, ["t".into()]);
    assert_eq!(drain(&mut outbound).len(), 1);
}

#[test]
fn a_shutdown_lets_finish_and_the_first_reason_stays() {
    let mut outbound = Outbound::default();
    outbound.keep(Bytes::from_static(b"1"));
    outbound.close(CloseReason::Shutdown);
    outbound.close(CloseReason::Gone);
    outbound.keep(Bytes::from_static(b"2"));
    assert_eq!(outbound.closed(), Some(CloseReason::Shutdown));
    assert_eq!(drain(&mut outbound), [json!(1)]);
}

#[test]
fn a_client_that_stopped_reading_costs_less_than_a_megabyte() {
    // Each message costs its bytes and at most this beside them, in the queue and its allocation.
    const EACH: usize = 100;
    let most = LOOSE_BYTES
        + (LOOSE_COUNT * EACH)
        + KEPT_BYTES
        + (KEPT_COUNT * EACH)
        + LAGGING_THREADS * EACH
        + ingress::WAITING_BYTES
        + ingress::WAITING_COUNT * EACH
        + BATCH_BYTES;
    assert!(most < 1_000_000, "{most}");
}
