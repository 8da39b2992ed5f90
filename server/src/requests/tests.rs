//! Tables of what happens to questions.

use uuid::Uuid;

use super::*;

const ASK: &str = "item/commandExecution/requestApproval";

fn thread(n: u128) -> ThreadId {
    ThreadId(Uuid::from_u128(n))
}

fn question() -> Question {
    let params = RawValue::from_string(r#"{"command":"true"}"#.to_owned()).unwrap();
    Question { method: ASK, params: Arc::from(params) }
}

fn closed(n: u128, id: i64, asked: &[u32]) -> Closed<u32> {
    Closed { thread: thread(n), id: id.into(), method: ASK, asked: asked.iter().copied().collect() }
}

fn replayed(open: &mut OpenRequests<u32>, n: u128, connection: u32) -> Vec<RequestId> {
    open.subscribed(thread(n), connection).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn the_first_answer_wins() {
    let mut open = OpenRequests::<u32>::default();
    assert_eq!(open.open(thread(1), 7.into(), question(), [1, 2]), [1, 2]);
    assert_eq!(open.answered(2, &7.into()), Some(thread(1)));
    assert_eq!(open.answered(1, &7.into()), None, "answered, and not taken yet");
    open.not_taken(&7.into());
    assert_eq!(open.answered(1, &7.into()), Some(thread(1)));
    assert_eq!(open.close(&7.into()), Some(closed(1, 7, &[1, 2])));
    assert_eq!(open.answered(1, &7.into()), None, "too late");
    assert!(open.is_empty());
    assert_eq!(replayed(&mut open, 1, 3), []);
}

#[test]
fn a_new_subscriber_is_asked_what_is_open_in_the_order_of_ids() {
    let mut open = OpenRequests::<u32>::default();
    for id in [9, 3, 5] {
        assert!(open.open(thread(1), id.into(), question(), []).is_empty());
    }
    assert!(open.open(thread(2), 4.into(), question(), []).is_empty());
    let all: Vec<RequestId> = [3, 5, 9].map(Into::into).into();
    assert_eq!(replayed(&mut open, 1, 1), all);
    assert_eq!(replayed(&mut open, 1, 1), all, "it may have lost what it had");
    assert_eq!(open.of(thread(1)).map(|(id, _)| id.clone()).collect::<Vec<_>>(), all);
    assert_eq!(open.answered(1, &5.into()), Some(thread(1)));
    assert_eq!(open.close(&5.into()), Some(closed(1, 5, &[1])));
    assert_eq!(replayed(&mut open, 1, 2), [3.into(), 9.into()]);
}

#[test]
fn a_question_asked_again_is_one_question() {
    let mut open = OpenRequests::<u32>::default();
    assert_eq!(open.open(thread(1), 7.into(), question(), [1]), [1]);
    assert_eq!(open.open(thread(1), 7.into(), question(), [1, 2]), [2]);
    assert_eq!(open.len(), 1);
    assert_eq!(open.answered(1, &7.into()), Some(thread(1)));
    assert_eq!(open.close(&7.into()), Some(closed(1, 7, &[1, 2])));
}

#[test]
fn only_who_was_asked_can_answer() {
    let mut open = OpenRequests::<u32>::default();
    open.open(thread(1), 7.into(), question(), [1, 2]);
    assert_eq!(open.answered(3, &7.into()), None, "never asked");
    assert_eq!(open.answered(1, &"7".into()), None, "a text is not a number");
    open.unsubscribed(thread(1), 1);
    assert_eq!(open.answered(1, &7.into()), None, "no longer there");
    assert_eq!(open.answered(2, &7.into()), Some(thread(1)));
    assert_eq!(open.close(&7.into()), Some(closed(1, 7, &[2])), "who left does not hear the end");
}

#[test]
fn a_question_outlives_all_who_were_asked() {
    let mut open = OpenRequests::<u32>::default();
    open.open(thread(1), 7.into(), question(), [1, 2]);
    open.disconnected(1);
    open.disconnected(2);
    assert_eq!(open.len(), 1);
    assert_eq!(replayed(&mut open, 1, 3), [7.into()]);
    assert_eq!(open.answered(3, &7.into()), Some(thread(1)));
    assert_eq!(open.close(&7.into()), Some(closed(1, 7, &[3])));
}

#[test]
fn who_asked_can_end_it() {
    let mut open = OpenRequests::<u32>::default();
    open.open(thread(1), 7.into(), question(), [1]);
    open.open(thread(1), 8.into(), question(), [1, 2]);
    open.open(thread(2), 9.into(), question(), [2]);
    assert_eq!(open.close(&7.into()), Some(closed(1, 7, &[1])));
    assert_eq!(open.close(&7.into()), None);
    assert_eq!(open.unloaded(thread(1)), [closed(1, 8, &[1, 2])]);
    assert_eq!(open.answered(1, &8.into()), None);
    assert_eq!(open.len(), 1);
}
