//! The text of a patch.

use super::super::{Action, Hunk, Line, MAX_PATCH_BYTES, Patch, Section, parse};
use super::enveloped;

fn context(text: &str) -> Line {
    Line::Context(text.into())
}

fn remove(text: &str) -> Line {
    Line::Remove(text.into())
}

fn add(text: &str) -> Line {
    Line::Add(text.into())
}

fn update(line: usize, path: &str, move_to: Option<&str>, hunks: Vec<Hunk>) -> Section {
    let move_to = move_to.map(str::to_owned);
    Section { line, path: path.into(), action: Action::Update { move_to, hunks } }
}

fn hunk(line: usize, contexts: &[&str], lines: Vec<Line>) -> Hunk {
    Hunk { line, contexts: contexts.iter().map(|text| (*text).to_owned()).collect(), lines, at_end: false }
}

fn patch(sections: Vec<Section>) -> Patch {
    Patch { environment: None, sections }
}

#[test]
fn a_patch_with_everything_in_it() {
    let text = "*** Begin Patch\n*** Environment ID: local\n*** Add File: new file.txt\n+one\n+\n+ two\n*** Delete File: old\n\
                *** Update File: a\n*** Move to: d/b\n@@ class A\n@@   def f():\n kept\n-gone\n+here\n\n@@\n-x\n*** End of File\n*** End Patch";
    let lines = vec![context("kept"), remove("gone"), add("here"), context("")];
    let at_end = Hunk { at_end: true, ..hunk(16, &[], vec![remove("x")]) };
    let sections = vec![
        Section { line: 3, path: "new file.txt".into(), action: Action::Add { content: "one\n\n two\n".into() } },
        Section { line: 7, path: "old".into(), action: Action::Delete },
        update(8, "a", Some("d/b"), vec![hunk(10, &["class A", "  def f():"], lines), at_end]),
    ];
    assert_eq!(parse(text).unwrap(), Patch { environment: Some("local".into()), sections });
}

#[test]
fn what_is_forgiven() {
    let inner = "*** Begin Patch\n*** Update File: a\n@@\n-1\n+2\n*** End Patch";
    let sections = |line| vec![update(line, "a", None, vec![hunk(line + 1, &[], vec![remove("1"), add("2")])])];
    let wrapped = [
        (2, inner.to_owned()),
        (4, format!("\n \n{inner}\n\n\t\n")),
        (3, format!("<<'EOF'\n{inner}\nEOF\n")),
        (3, format!("<<EOF\n{inner}\nEOF")),
        (3, format!("<<\"PATCH\"\n{inner}\nPATCH")),
        (3, format!("apply_patch <<-'EOF'\n{inner}\n  EOF\n")),
        (4, format!("<<'EOF'\n\n{inner}\n\nEOF")),
        (2, inner.replace('\n', "\r\n")),
        (2, inner.replace("***", "  ***").replacen("  *** End", " *** End", 1)),
        (2, inner.replace("File: a", "File:   a  ")),
    ];
    for (line, text) in wrapped {
        assert_eq!(parse(&text).unwrap(), patch(sections(line)), "{text:?}");
    }
}

#[test]
fn hunks_as_models_write_them() {
    let two = || vec![remove("1"), add("2")];
    let cases = [
        ("-1\n+2\n", vec![hunk(3, &[], two())]),
        ("\n@@\n-1\n+2\n", vec![hunk(4, &[], two())]),
        ("@@ @@\n-1\n+2\n", vec![hunk(3, &[], two())]),
        ("@@ -1,2 +1,2 @@\n-1\n+2\n", vec![hunk(3, &[], two())]),
        ("@@ -1 +1 @@ fn f() {\n-1\n+2\n", vec![hunk(3, &["fn f() {"], two())]),
        ("@@ a @@ b\n-1\n+2\n", vec![hunk(3, &["a @@ b"], two())]),
        ("@@ c\n@@\n-1\n+2\n", vec![hunk(3, &["c"], two())]),
        ("@@\n-1\n+2\n\\ No newline at end of file\n", vec![hunk(3, &[], two())]),
        // A marker behind the space of a context line is text.
        ("@@\n *** End Patch\n+2\n", vec![hunk(3, &[], vec![context("*** End Patch"), add("2")])]),
        ("@@\n @@ x\n+2\n", vec![hunk(3, &[], vec![context("@@ x"), add("2")])]),
        ("@@\n-1\n@@\n+2\n", vec![hunk(3, &[], vec![remove("1")]), hunk(5, &[], vec![add("2")])]),
    ];
    for (hunks, expected) in cases {
        let text = enveloped(&format!("*** Update File: a\n{hunks}"));
        assert_eq!(parse(&text).unwrap(), patch(vec![update(2, "a", None, expected)]), "{hunks:?}");
    }
    let moved = parse(&enveloped("*** Update File: a\n*** Move to: b\n")).unwrap();
    assert_eq!(moved, patch(vec![update(2, "a", Some("b"), vec![])]));
    let empty = parse(&enveloped("*** Add File: a\n")).unwrap();
    assert_eq!(
        empty,
        patch(vec![Section { line: 2, path: "a".into(), action: Action::Add { content: String::new() } }])
    );
}

#[test]
fn what_is_refused_and_why() {
    let headers = "expected '*** Add File: <path>', '*** Delete File: <path>' or '*** Update File: <path>', found ";
    let first = "invalid patch: The first line of the patch must be '*** Begin Patch'";
    let last = "invalid patch: The last line of the patch must be '*** End Patch'";
    let whole = [
        ("", first.to_owned()),
        ("  \n", first.into()),
        ("hello", first.into()),
        ("*** End Patch", first.into()),
        ("*** Begin Patch", last.into()),
        ("*** Begin Patch\n*** Add File: a\n+x\n", last.into()),
        ("*** Begin Patch\n*** End Patch\nEOF", last.into()),
        ("<<EOF\n*** Begin Patch\n*** End Patch", first.into()),
        ("*** Begin Patch\n*** End Patch", "empty patch".into()),
        ("*** Begin Patch\n*** Environment ID: e\n*** End Patch", "empty patch".into()),
    ];
    let marks = "every line of a hunk begins with ' ' (stays), '-' (goes) or '+' (is new), found ";
    let sections = [
        ("foo\n", format!("line 2: {headers}'foo'")),
        ("*** Add File:\n+x\n", "line 2: the path is missing".into()),
        ("*** Delete File: a\0b\n", "line 2: the path has a zero byte in it, which no file name can have".into()),
        ("*** Add File: a\nx\n", format!("line 3: {headers}'x'")),
        (
            "*** Add File: a\n+x\n\n+y\n",
            format!("line 5: {headers}'+y'; an empty line of a new file is written as a '+' alone"),
        ),
        (
            "*** Delete File: a\n*** Move to: b\n",
            format!("line 3: {headers}'*** Move to: b'; a move stands right below the header of its update"),
        ),
        (
            "*** Update File: a\n",
            "line 2: the update of 'a' is empty; write at least one hunk of '-' and '+' lines below it".into(),
        ),
        ("*** Update File: a\n@@\n", "line 3: this hunk is empty; write its ' ', '-' and '+' lines below it".into()),
        (
            "*** Update File: a\n@@ c\n*** End of File\n",
            "line 3: this hunk is empty; write its ' ', '-' and '+' lines below it".into(),
        ),
        ("*** Update File: a\n@@\n-1\nfoo\n", format!("line 5: {marks}'foo'")),
        ("*** Update File: a\n@@\n-1\n\tfoo\n", format!("line 5: {marks}'\tfoo'")),
        ("*** Update File: a\n@@c\n-1\n", format!("line 3: {marks}'@@c'")),
        (
            "*** Update File: a\n@@\n-1\n*** End of File\n-2\n",
            "line 6: expected '@@', which begins a hunk, found '-2'".into(),
        ),
        ("*** Update File: a\n@@\n-1\n*** Rename File: b\n", format!("line 5: {headers}'*** Rename File: b'")),
        ("*** Delete File: a\n*** Environment ID: e\n", format!("line 3: {headers}'*** Environment ID: e'")),
    ];
    let long = format!("{}é", "x".repeat(119));
    for (text, expected) in whole {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
    for (text, expected) in sections {
        assert_eq!(parse(&enveloped(text)).unwrap_err().to_string(), format!("invalid patch: {expected}"), "{text:?}");
    }
    let error = parse(&enveloped(&format!("{long}tail\n"))).unwrap_err().to_string();
    assert_eq!(error, format!("invalid patch: line 2: {headers}'{long}…'"));
    let huge = "x".repeat(MAX_PATCH_BYTES + 1);
    let error = "invalid patch: it has 4194305 bytes, and at most 4194304 are read; send it in several parts";
    assert_eq!(parse(&huge).unwrap_err().to_string(), error);
}
