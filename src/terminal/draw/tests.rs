use super::*;

fn row(path: &str, state: State, doing: &str, tokens: u64, elapsed: Option<u64>) -> Row {
    let path = path.parse().unwrap();
    Row { path, state, doing: doing.to_owned(), tokens, elapsed: elapsed.map(Millis) }
}

fn tree() -> Picture {
    let rows = vec![
        row("/root", State::Waiting, "for mail, 4:32 left", 12_345, Some(63_000)),
        row("/root/docs", State::Finished, "", 980, Some(12_000)),
        row("/root/src", State::Working, "$ cargo test -p sapwood", 2_100, Some(51_000)),
        row("/root/src/parser", State::Retrying, "in 3s: the provider answered 503", 15, Some(9_000)),
        row("/root/tests", State::Failed, "no such model", 0, Some(1_000)),
    ];
    Picture { rows, elapsed: Millis(64_900) }
}

fn drawn(picture: &Picture, columns: u16, rows: u16) -> Vec<String> {
    let lines = frame(picture, Size { columns, rows }, Style::PLAIN);
    for line in &lines {
        assert_eq!(line.width, width(&line.text), "{line:?}");
        assert!(line.width < usize::from(columns.max(1)), "{line:?} in {columns} columns");
    }
    lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn a_tree_with_room_for_all_of_it() {
    let expected = [
        "root        waiting   for mail, 4:32 left                 12,345  1:03",
        "  docs      finished                                         980  0:12",
        "  src       working   $ cargo test -p sapwood              2,100  0:51",
        "    parser  retrying  in 3s: the provider answered 503        15  0:09",
        "  tests     failed    no such model                               0:01",
        "5 agents: 1 failed, 1 finished, 1 retrying, 1 wa…  15,440 tokens  1:04",
    ];
    assert_eq!(drawn(&tree(), 71, 24), expected);
}

#[test]
fn few_lines_go_to_whoever_needs_attention_and_the_rest_is_counted() {
    let expected = [
        "root/src/parser  retrying  in 3s: the provider answered 503          15  0:09",
        "root/tests       failed    no such model                                 0:01",
        "and 3 more: 1 finished, 1 waiting, 1 working",
        "5 agents: 1 failed, 1 finished, 1 retrying, 1 waiting, …  15,440 tokens  1:04",
    ];
    assert_eq!(drawn(&tree(), 78, 6), expected);
}

#[test]
fn a_terminal_that_is_too_low_gets_the_summary_or_nothing() {
    let summary = "5 agents: 1 failed, 1 finished, 1 retrying, 1 waiting, 1 working  15,440 tokens  1:04";
    assert_eq!(drawn(&tree(), 100, 3), [summary]);
    assert_eq!(drawn(&tree(), 100, 2), [""; 0]);
    assert_eq!(drawn(&tree(), 100, 0), [""; 0]);
}

#[test]
fn a_narrow_terminal_loses_columns_before_it_loses_sense() {
    let expected = [
        "root        waiting   for mail, 4:32 …  1:03",
        "  docs      finished                    0:12",
        "  src       working   $ cargo test -p…  0:51",
        "    parser  retrying  in 3s: the prov…  0:09",
        "  tests     failed    no such model     0:01",
        "5 agents: 1 failed, 1 …  15,440 tokens  1:04",
    ];
    assert_eq!(drawn(&tree(), 45, 24), expected);
    // Any size will do, and no line is as wide as the terminal.
    for columns in 0..120 {
        for rows in 0..12 {
            let lines = drawn(&tree(), columns, rows);
            assert!(lines.len() <= usize::from(rows.saturating_sub(2)), "{columns} x {rows}: {lines:?}");
        }
    }
}

#[test]
fn wide_characters_are_cut_where_they_fit() {
    let rows = vec![row("/root", State::Working, "$ echo 日本語日本語日本語", 5, Some(1_000))];
    let picture = Picture { rows, elapsed: Millis(1_000) };
    assert_eq!(drawn(&picture, 41, 24)[0], "root  working  $ echo 日本語日…  5  0:01");
}

#[test]
fn a_tree_without_agents_yet() {
    let picture = Picture { rows: Vec::new(), elapsed: Millis(200) };
    assert_eq!(drawn(&picture, 80, 24), ["no agents yet  0 tokens  0:00"]);
}

#[test]
fn agents_whose_parents_are_not_shown_keep_their_path() {
    let rows = ["/root/a", "/root/a/b/c", "/root/ab"].map(|path| row(path, State::Working, "", 0, None));
    let rows: Vec<&Row> = rows.iter().collect();
    assert_eq!(names(&rows), ["root/a", "  b/c", "root/ab"]);
}

#[test]
fn colours_say_the_state_and_take_no_room() {
    let rows = vec![row("/root", State::Failed, "no", 0, None)];
    let picture = Picture { rows, elapsed: Millis(0) };
    let lines = frame(&picture, Size { columns: 80, rows: 24 }, Style::COLOURED);
    let text = "\x1b[1mroot  \x1b[0m\x1b[31mfailed  \x1b[0mno";
    assert_eq!(lines[0], Line { text: text.to_owned(), width: 16 });
}

#[test]
fn nothing_works_in_the_last_form() {
    let lines = last(&tree(), 100, Style::PLAIN);
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["5 agents: 3 left open, 1 failed, 1 finished  15,440 tokens  1:04"]);
}
