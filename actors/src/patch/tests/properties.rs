//! What holds for any file and any patch.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::super::{Disk, Writable, apply, parse, plan};
use super::apply::snapshot;
use super::{enveloped, updated};

/// A line of the new text: one of the old, by its index, or a new one.
#[derive(Clone, Debug)]
enum NewLine {
    Kept(usize),
    New(String),
}

/// An old text of distinct lines, and what becomes of each: kept or not, and what is put before it.
fn edits() -> impl Strategy<Value = (Vec<String>, Vec<NewLine>)> {
    let line =
        prop_oneof![4 => "[a-c ]{0,3}", 1 => "[-+@* ]{1,4}", 1 => Just("*** End Patch".to_owned()), 1 => "\\PC{0,5}"];
    let added = prop::collection::vec(line.clone(), 0..3);
    let lines = prop::collection::vec(
        (line, prop_oneof![3 => Just(true), 1 => Just(false)], prop_oneof![3 => Just(vec![]), 1 => added]),
        1..30,
    );
    lines.prop_map(|lines| {
        let mut new = Vec::new();
        for (index, (_, is_kept, before)) in lines.iter().enumerate() {
            new.extend(before.iter().cloned().map(NewLine::New));
            new.extend(is_kept.then_some(NewLine::Kept(index)));
        }
        // Distinct also when blanks are ignored, so that there is one place for each hunk.
        let old = lines.into_iter().enumerate().map(|(index, (line, ..))| format!("{line}#{index}")).collect();
        (old, new)
    })
}

fn new_text(old: &[String], new: &[NewLine], ending: &str, has_final: bool) -> String {
    let mut out = String::new();
    for (index, line) in new.iter().enumerate() {
        match line {
            NewLine::Kept(kept) => out.push_str(&old[*kept]),
            NewLine::New(line) => out.push_str(line),
        }
        // Only the old last line can be without a newline, and only where it is still the last.
        let is_bare =
            matches!(line, NewLine::Kept(kept) if *kept + 1 == old.len()) && index + 1 == new.len() && !has_final;
        out.push_str(if is_bare { "" } else { ending });
    }
    out
}

/// The patch, with this many lines of context around each change.
fn hunks(old: &[String], new: &[NewLine], context: usize) -> String {
    // Each line of both texts once, in order, with its mark.
    let mut all: Vec<(char, &str)> = Vec::new();
    let mut at = 0;
    for line in new {
        match line {
            NewLine::New(line) => all.push(('+', line)),
            NewLine::Kept(kept) => {
                all.extend(old[at..*kept].iter().map(|line| ('-', line.as_str())));
                all.push((' ', &old[*kept]));
                at = kept + 1;
            }
        }
    }
    all.extend(old[at..].iter().map(|line| ('-', line.as_str())));
    let is_near = |index: usize| {
        let near = index.saturating_sub(context)..(index + context + 1).min(all.len());
        all[near].iter().any(|(mark, _)| *mark != ' ')
    };
    let mut out = String::new();
    let mut is_open = false;
    for (index, (mark, line)) in all.iter().enumerate() {
        if is_near(index) {
            if !is_open {
                out.push_str("@@\n");
            }
            writeln!(out, "{mark}{line}").unwrap();
        }
        is_open = is_near(index);
    }
    out
}

/// Pieces of patches, well formed and not, about files within, beside and beyond a folder.
fn text_of_patch() -> impl Strategy<Value = String> {
    let path = prop::sample::select(vec![
        "a",
        "b",
        "sub/f",
        "link",
        "dirlink/f",
        "dirlink/new",
        "dirlink/../x",
        "../out/f",
        "../in/a",
        "new",
        "new/deep",
        "sub",
        "",
        ".",
        "..",
        "/",
        "dangling",
    ]);
    let line = prop_oneof![
        3 => "[-+ ]?[1-3]",
        2 => Just("@@".to_owned()),
        1 => "@@ [1-3]",
        1 => Just("*** End of File".to_owned()),
        1 => Just(String::new()),
        1 => "\\PC{0,6}",
    ];
    let header =
        (prop::sample::select(vec!["Add File", "Update File", "Delete File", "Move to", "Environment ID"]), path)
            .prop_map(|(kind, path)| format!("*** {kind}: {path}"));
    let lines = prop::collection::vec(prop_oneof![2 => header, 3 => line], 0..12);
    lines.prop_map(|lines| enveloped(&lines.iter().map(|line| format!("{line}\n")).collect::<String>()))
}

proptest! {
    #[test]
    fn a_patch_made_from_an_edit_makes_the_edit(
        (old, new) in edits(),
        context in 1_usize..4,
        is_crlf in any::<bool>(),
        has_final in any::<bool>(),
    ) {
        let ending = if is_crlf { "\r\n" } else { "\n" };
        let text = old.join(ending) + if has_final { ending } else { "" };
        let patch = hunks(&old, &new, context);
        prop_assume!(!patch.is_empty());
        // What stands in a file of one line has no line ending to be told from.
        let ending = if old.len() == 1 && !has_final { "\n" } else { ending };
        prop_assert_eq!(updated(&text, &patch), Ok(new_text(&old, &new, ending, has_final)), "{}", patch);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}(\n\\PC{0,20}){0,8}") {
        let _ = parse(&text);
        let _ = parse(&enveloped(&text));
    }

    #[test]
    fn any_patch_stays_where_it_may_write(text in text_of_patch()) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        for directory in ["in/sub", "out"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        for path in ["in/a", "in/b", "in/sub/f", "out/f"] {
            std::fs::write(root.join(path), "1\n2\n3\n").unwrap();
        }
        for (to, link) in [("../out/f", "link"), ("../out", "dirlink"), ("../out/none", "dangling")] {
            symlink(to, root.join("in").join(link)).unwrap();
        }
        let (all, out) = (snapshot(&root), snapshot(&root.join("out")));
        let writable = Writable::Beneath(vec![root.join("in")]);
        let Ok(patch) = parse(&text) else { return Ok(()) };
        let planned = plan(&patch, &root.join("in"), &Disk);
        prop_assert_eq!(snapshot(&root), all.clone(), "a plan writes nothing");
        let Ok(plan) = planned else { return Ok(()) };
        let applied = apply(&plan, &writable);
        prop_assert_eq!(snapshot(&root.join("out")), out);
        match applied {
            Ok(_) => prop_assert!(plan.outside(&writable).is_empty()),
            Err(_) => prop_assert_eq!(snapshot(&root), all),
        }
    }
}
