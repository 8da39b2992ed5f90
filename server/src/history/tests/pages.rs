//! Pages of made-up histories.

use sapwood_protocol::app::list::{ThreadItemsListResponse, TurnsPage};
use sapwood_protocol::app::turn::TurnItemsView;
use sapwood_protocol::line::{Cause, Mark};
use sapwood_protocol::{Line, Millis, ThreadId, TurnId};
use serde_json::{Value, json};

use super::super::{BadCursor, Turns};

const THREAD: &str = "01a1fb6a-8c33-7f12-bb55-e095ad7ecd90";

fn thread() -> ThreadId {
    THREAD.parse().unwrap()
}

/// A rollout that is being written.
struct Story {
    turns: Turns,
    ordinal: u64,
    paginated: bool,
}

impl Story {
    fn new(mode: &str) -> Self {
        let mut story = Self { turns: Turns::default(), ordinal: 0, paginated: mode == "paginated" };
        story.line("session_meta", json!({"id": THREAD, "history_mode": mode}));
        story
    }

    fn line(&mut self, kind: &str, payload: Value) {
        self.marked(kind, payload, None);
    }

    fn marked(&mut self, kind: &str, payload: Value, mark: Option<&Mark>) {
        let ordinal = self.paginated.then_some(self.ordinal);
        self.turns.apply(&Line::encode(Millis(1_000), ordinal, kind, &payload, mark));
        self.ordinal += 1;
    }

    fn event(&mut self, payload: Value) {
        self.line("event_msg", payload);
    }

    fn started(&mut self, turn: &str) {
        self.event(json!({"type": "task_started", "turn_id": turn, "started_at": 1}));
    }

    fn item(&mut self, turn: &str, id: &str, text: &str) {
        let item = json!({"type": "AgentMessage", "id": id, "content": [{"type": "Text", "text": text}]});
        let event = json!({"type": "item_completed", "thread_id": THREAD, "turn_id": turn, "item": item,
            "started_at_ms": 5, "completed_at_ms": 6});
        self.event(event);
    }

    fn ended(&mut self, turn: &str) {
        self.event(json!({"type": "task_complete", "turn_id": turn, "completed_at": 2, "duration_ms": 3}));
    }

    fn turn(&mut self, turn: &str) {
        self.started(turn);
        self.item(turn, &format!("{turn}-a"), "one");
        self.item(turn, &format!("{turn}-b"), "two");
        self.ended(turn);
    }

    fn shown(&self) -> Value {
        serde_json::to_value(self.turns.all(TurnItemsView::Full, None)).unwrap()
    }

    /// Turns with their items' ids, and how they are.
    fn outline(&self) -> Vec<(String, Vec<String>, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let turn = |turn: &Value| {
            let ids = turn["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
            (text(&turn["id"]), ids, text(&turn["status"]))
        };
        self.shown().as_array().unwrap().iter().map(turn).collect()
    }
}

fn outline(rows: &[(&str, &[&str], &str)]) -> Vec<(String, Vec<String>, String)> {
    let owned = |text: &&str| (*text).to_owned();
    rows.iter().map(|(id, items, how)| (owned(id), items.iter().map(owned).collect(), owned(how))).collect()
}

impl Story {
    /// A page of turns; `more` are params beside the thread.
    fn page(&self, more: &Value) -> Result<TurnsPage, BadCursor> {
        let mut params = json!({"threadId": THREAD, "itemsView": "notLoaded", "limit": 2});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.turns.page(thread(), &serde_json::from_value(params).unwrap(), None)
    }

    /// A page of items; `more` are params beside the thread.
    fn items(&self, more: &Value) -> Result<ThreadItemsListResponse, BadCursor> {
        let mut params = json!({"threadId": THREAD});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.turns.items(thread(), &serde_json::from_value(params).unwrap())
    }
}

fn turns_of(page: &TurnsPage) -> Vec<&str> {
    page.data.iter().map(|turn| turn.id.as_str()).collect()
}

fn items_of(page: &ThreadItemsListResponse) -> Vec<&str> {
    page.data.iter().map(|entry| entry.item.id()).collect()
}

#[test]
fn pages_meet_without_a_gap_in_both_directions_while_the_thread_grows() {
    let mut story = Story::new("paginated");
    (0..5).for_each(|n| story.turn(&format!("t{n}")));
    let page = |story: &Story, cursor: &Option<String>, way: &str| {
        story.page(&json!({"cursor": cursor, "sortDirection": way})).unwrap()
    };
    let first = page(&story, &None, "desc");
    assert_eq!(turns_of(&first), ["t4", "t3"]);
    // What comes later changes nothing of the pages behind.
    story.turn("t5");
    let second = page(&story, &first.next_cursor, "desc");
    assert_eq!(turns_of(&second), ["t2", "t1"]);
    let third = page(&story, &second.next_cursor, "desc");
    assert_eq!((turns_of(&third), &third.next_cursor), (vec!["t0"], &None));
    // Back from the first page: its first turn again, and what is new.
    let newer = page(&story, &first.backwards_cursor, "asc");
    assert_eq!((turns_of(&newer), &newer.next_cursor), (vec!["t4", "t5"], &None));
    let up = page(&story, &None, "asc");
    assert_eq!(turns_of(&up), ["t0", "t1"]);
    assert_eq!(turns_of(&page(&story, &up.next_cursor, "asc")), ["t2", "t3"]);
    let empty = page(&Story::new("paginated"), &None, "desc");
    assert_eq!(empty, TurnsPage { data: vec![], next_cursor: None, backwards_cursor: None });
}

#[test]
fn items_of_the_thread_and_of_a_turn() {
    let mut story = Story::new("paginated");
    (0..3).for_each(|n| story.turn(&format!("t{n}")));
    let all = story.items(&json!({})).unwrap();
    assert_eq!(items_of(&all), ["t0-a", "t0-b", "t1-a", "t1-b", "t2-a", "t2-b"]);
    let row = serde_json::to_value(&all.data[0]).unwrap();
    assert_eq!((&row["turnId"], &row["startedAtMs"], &row["completedAtMs"]), (&json!("t0"), &json!(5), &json!(6)));
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let next = story.items(&json!({"cursor": cursor, "limit": 4, "sortDirection": "desc"})).unwrap();
        seen.extend(items_of(&next).into_iter().map(str::to_owned));
        cursor = next.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["t2-b", "t2-a", "t1-b", "t1-a", "t0-b", "t0-a"]);
    let of = |item: &str, way: &str| {
        let cursor = json!({"type": "item", "itemId": item});
        let page = story.items(&json!({"turnId": "t1", "cursor": cursor, "sortDirection": way}));
        page.map(|page| items_of(&page).join(" "))
    };
    assert_eq!(of("t1-a", "asc"), Ok("t1-b".to_owned()));
    assert_eq!(of("t1-b", "desc"), Ok("t1-a".to_owned()));
    assert_eq!(of("t0-a", "asc"), Err(BadCursor));
    assert_eq!(story.items(&json!({"turnId": "t9"})).unwrap().data, []);
    assert_eq!(story.items(&json!({"cursor": "2026"})), Err(BadCursor));
}

#[test]
fn an_output_can_be_left_for_later() {
    let mut story = Story::new("paginated");
    story.started("t");
    let item = json!({"type": "CommandExecution", "id": "c", "command": ["ls"], "cwd": "/w", "status": "completed",
        "aggregated_output": "much", "exit_code": 0});
    story.event(json!({"type": "item_completed", "thread_id": THREAD, "turn_id": "t", "item": item}));
    let page = story.items(&json!({"turnId": "t", "deferOutput": {"commandExecution": true}})).unwrap();
    let row = serde_json::to_value(&page.data[0]).unwrap();
    assert_eq!((&row["outputDeferred"], &row["item"]["aggregatedOutput"]), (&json!(true), &Value::Null));
    let whole = story.turns.items_by_id(&TurnId::from("t"), &["c".to_owned(), "none".to_owned()]);
    let whole = serde_json::to_value(whole).unwrap();
    assert_eq!((&whole[0]["item"]["aggregatedOutput"], whole.as_array().unwrap().len()), (&json!("much"), 1));
}

#[test]
fn an_item_that_comes_again_is_replaced_where_it_stands_also_after_its_turn() {
    let mut story = Story::new("paginated");
    story.turn("t0");
    story.started("t1");
    story.item("t0", "t0-a", "late");
    story.item("nobody", "x", "lost");
    assert_eq!(story.outline(), outline(&[("t0", &["t0-a", "t0-b"], "completed"), ("t1", &[], "interrupted")]));
    assert_eq!(story.shown()[0]["items"][0]["text"], "late");
    let live = TurnId::from("t1");
    let last = story.turns.last(TurnItemsView::Summary, Some(&live)).unwrap();
    assert_eq!(serde_json::to_value(last).unwrap()["status"], "inProgress");
}

#[test]
fn a_failed_turn_says_why() {
    let mut story = Story::new("paginated");
    story.started("t");
    story.event(json!({"type": "task_complete", "turn_id": "t", "last_agent_message": null,
        "error": {"message": "budget reached", "codex_error_info": "session_budget_exceeded"}, "completed_at": 2}));
    let turn = &story.shown()[0];
    let error = json!({"message": "budget reached", "codexErrorInfo": "sessionBudgetExceeded",
        "additionalDetails": null, "misalignment": null});
    assert_eq!((&turn["status"], &turn["error"]), (&json!("failed"), &error));
}

#[test]
fn what_is_accepted_and_not_consumed_is_no_item_and_a_command_that_never_ran_is_aborted() {
    let mut story = Story::new("paginated");
    let own = |kind: &str, payload: Value| Line::encode(Millis(1), None, kind, &payload, None);
    story.turns.apply(&own("sapwood.accepted", json!({"v": 1, "id": "u", "place": 0, "lane": "user", "wake": true})));
    assert_eq!(story.outline(), []);
    story.started("t");
    let call = |id: &str| {
        let arguments = json!({"cmd": format!("run {id}")}).to_string();
        json!({"type": "function_call", "id": "fc", "call_id": id, "name": "exec_command", "arguments": arguments})
    };
    ["c1", "c2", "c3"].iter().for_each(|id| story.line("response_item", call(id)));
    let output = json!({"type": "function_call_output", "call_id": "c1", "output": "done"});
    story.line("response_item", output);
    let started = json!({"v": 1, "call": "c2", "group": null, "started": null});
    story.turns.apply(&own("sapwood.tool_started", started));
    let aborted = json!({"type": "turn_aborted", "turn_id": "t", "reason": "interrupted"});
    story.marked("event_msg", aborted, Some(&Mark::cause(Cause::ProcessDeath)));
    let items = &story.shown()[0]["items"];
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
    let shown = (&items[0]["id"], &items[0]["command"], &items[0]["status"], &items[0]["aggregatedOutput"]);
    assert_eq!(shown, (&json!("c3"), &json!("run c3"), &json!("failed"), &json!("aborted")));
}

#[test]
fn legacy_turns_without_a_line_of_their_own_and_those_taken_back() {
    let mut story = Story::new("legacy");
    let said = |text: &str| json!({"type": "user_message", "message": text});
    story.event(said("one"));
    story.event(json!({"type": "agent_reasoning", "text": "a"}));
    story.event(json!({"type": "agent_reasoning_raw_content", "text": "b"}));
    story.event(json!({"type": "agent_message", "message": ""}));
    story.event(json!({"type": "agent_message", "message": "first"}));
    story.event(said("two"));
    assert_eq!(
        story.outline(),
        outline(&[
            ("rollout-1", &["item-1", "item-2", "item-3"], "completed"),
            ("rollout-6", &["item-4"], "completed"),
        ])
    );
    let thought = &story.shown()[0]["items"][1];
    assert_eq!((&thought["summary"], &thought["content"]), (&json!(["a"]), &json!(["b"])));
    story.event(json!({"type": "thread_rolled_back", "num_turns": 1}));
    story.started("t");
    story.event(said("three"));
    story.event(json!({"type": "turn_aborted", "turn_id": null, "reason": "interrupted"}));
    story.started("u");
    assert_eq!(
        story.outline(),
        outline(&[
            ("rollout-1", &["item-1", "item-2", "item-3"], "completed"),
            ("t", &["item-4"], "interrupted"),
            ("u", &[], "interrupted"),
        ])
    );
}

#[test]
fn legacy_calls_have_the_ids_of_their_calls() {
    let mut story = Story::new("legacy");
    story.started("t");
    story.event(json!({"type": "mcp_tool_call_end", "call_id": "m", "invocation": {"server": "s", "tool": "x",
        "arguments": {"a": 1}}, "duration": {"secs": 0, "nanos": 2_000_000}, "result": {"Ok": {"content": []}}}));
    story.event(json!({"type": "web_search_end", "call_id": "w", "query": "q",
        "action": {"type": "search", "query": "q"}}));
    story.event(json!({"type": "patch_apply_end", "call_id": "p", "turn_id": "t", "stdout": "", "stderr": "",
        "success": true, "changes": {"/a": {"type": "add", "content": "x"}}}));
    story.event(json!({"type": "patch_apply_end", "call_id": "lost", "turn_id": "nobody", "success": true}));
    story.event(json!({"type": "sub_agent_activity", "event_id": "e", "agent_thread_id": THREAD,
        "agent_path": "/root/a", "kind": "interacted"}));
    story.line(
        "response_item",
        json!({"type": "message", "id": "h", "role": "user",
        "content": [{"type": "input_text", "text": "<hook_prompt hook_run_id=\"r\">stop</hook_prompt>"}]}),
    );
    story.event(json!({"type": "context_compacted"}));
    let kinds: Vec<Value> =
        story.shown()[0]["items"].as_array().unwrap().iter().map(|item| json!([item["type"], item["id"]])).collect();
    let expected = json!([
        ["mcpToolCall", "m"],
        ["webSearch", "w"],
        ["fileChange", "p"],
        ["subAgentActivity", "e"],
        ["hookPrompt", "h"],
        ["contextCompaction", "item-1"]
    ]);
    assert_eq!(Value::from(kinds), expected);
}
