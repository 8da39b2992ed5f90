//! What is told of a patch.

use std::time::Duration;

use serde_json::json;

use super::super::words::{Outcome, Status, changes, item, legacy_event};
use super::super::{Applied, ApplyError, Plan};
use super::{files, planned};

fn plan() -> Plan {
    let files = files(&[("a", "1\n"), ("b", "2\n"), ("c", "3\n")]);
    let sections = "*** Delete File: c\n*** Update File: a\n@@\n-1\n+one\n*** Update File: b\n*** Move to: d/b\n@@\n-2\n+two\n\
                    *** Add File: n\n+new\n";
    planned(&files, sections).unwrap()
}

#[test]
fn an_applied_patch_is_told_as_codex_does() {
    let outcome = Outcome::of(&plan(), &Ok(Applied { left: vec![] }));
    let stdout = "Success. Updated the following files:\nA n\nM a\nM d/b\nD c\n";
    assert_eq!(outcome, Outcome { status: Status::Completed, stdout: stdout.into(), stderr: String::new() });
    let answers = [(0, "0"), (40, "0"), (130, "0.1"), (2_000, "2"), (61_260, "61.3")];
    for (ms, seconds) in answers {
        let expected = format!("Exit code: 0\nWall time: {seconds} seconds\nOutput:\n{stdout}");
        assert_eq!(outcome.answer(Duration::from_millis(ms)), expected);
    }
    let expected = json!({
        "/w/c": {"type": "delete", "content": "3\n"},
        "/w/a": {"type": "update", "unified_diff": "@@ -1 +1 @@\n-1\n+one\n", "move_path": null},
        "/w/b": {"type": "update", "unified_diff": "@@ -1 +1 @@\n-2\n+two\n", "move_path": "/w/d/b"},
        "/w/n": {"type": "add", "content": "new\n"},
    });
    assert_eq!(changes(&plan()), expected);
}

#[test]
fn what_leaves_a_file_as_it_is_is_told_with_what_it_writes() {
    let same = planned(&files(&[("a", "1\n")]), "*** Add File: a\n+1\n").unwrap();
    assert_eq!(changes(&same), json!({"/w/a": {"type": "add", "content": "1\n"}}));
    let lost = planned(&files(&[("a", "1\n")]), "*** Add File: a\n+2\n").unwrap();
    let diff = json!({"/w/a": {"type": "update", "unified_diff": "@@ -1 +1 @@\n-1\n+2\n", "move_path": null}});
    assert_eq!(changes(&lost), diff);
}

#[test]
fn items_are_those_of_the_recordings() {
    let plan = planned(&files(&[]), "*** Add File: hello.txt\n+hello\n").unwrap();
    let outcome = Outcome::of(&plan, &Ok(Applied { left: vec![] }));
    let recorded = r#"{"type":"FileChange","id":"call_patch","changes":{"/w/hello.txt":{"type":"add","content":"hello\n"}},"status":"completed","stdout":"Success. Updated the following files:\nA hello.txt\n","stderr":""}"#;
    assert_eq!(item("call_patch", &plan, &outcome).to_string(), recorded);
    let recorded = r#"{"type":"patch_apply_end","call_id":"call_patch","turn_id":"t","stdout":"Success. Updated the following files:\nA hello.txt\n","stderr":"","success":true,"changes":{"/w/hello.txt":{"type":"add","content":"hello\n"}},"status":"completed"}"#;
    assert_eq!(legacy_event("call_patch", "t", &plan, &outcome).unwrap().to_string(), recorded);
    let begun = Outcome::without(Status::InProgress);
    let expected = r#"{"type":"FileChange","id":"c","changes":{"/w/hello.txt":{"type":"add","content":"hello\n"}}}"#;
    assert_eq!(item("c", &plan, &begun).to_string(), expected);
    assert_eq!(legacy_event("c", "t", &plan, &begun), None);
    let declined = item("c", &plan, &Outcome::without(Status::Declined));
    assert_eq!(
        (&declined["status"], &declined["stdout"], &declined["stderr"]),
        (&json!("declined"), &json!(""), &json!(""))
    );
}

#[test]
fn a_patch_that_failed_says_what_failed() {
    let error = ApplyError::Changed { path: "/w/a".into() };
    let outcome = Outcome::of(&plan(), &Err(error));
    let stderr = "/w/a has changed since the patch was checked; read it again and send the patch again\n";
    assert_eq!(outcome, Outcome { status: Status::Failed, stdout: String::new(), stderr: stderr.into() });
    assert_eq!(outcome.answer(Duration::ZERO), format!("Exit code: 1\nWall time: 0 seconds\nOutput:\n{stderr}"));
}
