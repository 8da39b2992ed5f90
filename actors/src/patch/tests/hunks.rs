//! Where hunks are found, and what they make of a text.

use super::updated;

#[test]
fn hunks_change_what_they_name_and_nothing_else() {
    let cases = [
        // Exact, and the first place counts.
        ("1\n2\n1\n", "@@\n-1\n+one\n", "one\n2\n1\n"),
        ("1\n2\n3\n", "@@\n 1\n-2\n+two\n+2b\n 3\n", "1\ntwo\n2b\n3\n"),
        ("1\n", "@@\n-1\n", ""),
        ("1\n", "@@\n-1\n+1\n", "1\n"),
        // An exact place further down wins over a lenient one above it.
        ("  1\n1\n", "@@\n-1\n+one\n", "  1\none\n"),
        ("1  \n 1\n", "@@\n-1\n+one\n", "one\n 1\n"),
        // Blanks at the end, blanks around, look-alikes; lines that stay are the file's.
        ("k \t\n1\n", "@@\n k\n-1\n+one\n", "k \t\none\n"),
        ("\tk\n\t1\n", "@@\n k\n-1\n+\tone\n", "\tk\n\tone\n"),
        (
            "a \u{2013} \u{201c}b\u{201d}\u{a0}\u{2018}c\u{2019}\nx\n",
            "@@\n a - \"b\" 'c'\n-x\n+y\n",
            "a \u{2013} \u{201c}b\u{201d}\u{a0}\u{2018}c\u{2019}\ny\n",
        ),
        ("a - b\nx\n", "@@\n a \u{2212} b\n-x\n+y\n", "a - b\ny\n"),
        // Blanks are given up before look-alikes are taken.
        ("\u{2013}x\n  -x\n", "@@\n--x\n+y\n", "\u{2013}x\ny\n"),
        // Contexts.
        ("f\n1\ng\n1\n", "@@ g\n-1\n+one\n", "f\n1\ng\none\n"),
        ("f\n1\n  g\n1\n", "@@ g\n-1\n+one\n", "f\n1\n  g\none\n"),
        ("g\n1\nB\nh\ng\n1\n", "@@ B\n@@ g\n-1\n+one\n", "g\n1\nB\nh\ng\none\n"),
        // Several, in order; the second is looked for below the first.
        ("1\n1\n1\n", "@@\n-1\n+a\n@@\n-1\n+b\n", "a\nb\n1\n"),
        ("1\n2\n3\n", "@@\n-1\n+a\n@@\n+end\n@@\n-3\n+c\n", "a\n2\nc\nend\n"),
        // Nothing old: at the end, or below the context.
        ("1\n2\n", "@@\n+end\n", "1\n2\nend\n"),
        ("", "@@\n+end\n", "end\n"),
        ("1\n2\n", "@@ 1\n+below\n", "1\nbelow\n2\n"),
        ("1\n2\n", "@@ 1\n+end\n*** End of File\n", "1\n2\nend\n"),
        ("1\n2\n", "@@\n+a\n@@\n+b\n", "1\n2\na\nb\n"),
        // The end of the file first; elsewhere only if it is one place.
        ("1\nx\n1\n", "@@\n-1\n+one\n*** End of File\n", "1\nx\none\n"),
        ("1\nx\n1 \n", "@@\n-1\n+one\n*** End of File\n", "1\nx\none\n"),
        ("1\nx\n", "@@\n-1\n+one\n*** End of File\n", "one\nx\n"),
        // One more empty line than there is, as the end of the file or before the next header.
        ("1\n2\n", "@@\n-1\n-2\n-\n+one\n", "one\n"),
        ("1\n2\n", "@@\n-1\n+one\n\n", "one\n2\n"),
        ("1\n\n2\n", "@@\n-1\n+one\n\n", "one\n\n2\n"),
        ("1\n\n2\n", "@@\n 1\n\n-2\n+two\n", "1\n\ntwo\n"),
        // Line endings.
        ("1\r\n2\r\n", "@@\n-1\n+one\n+more\n", "one\r\nmore\r\n2\r\n"),
        ("1\n2\r\n3\n", "@@\n 2\n+a\n", "1\n2\r\na\r\n3\n"),
        ("1\r\n2", "@@\n 2\n+a\n", "1\r\n2\r\na\r\n"),
        ("a\rb\n1\n", "@@\n a\rb\n-1\n+2\n", "a\rb\n2\n"),
        // The final newline: what is not touched stays without, what is written has one.
        ("1\n2", "@@\n-1\n+one\n", "one\n2"),
        ("1\n2", "@@\n-2\n+two\n", "1\ntwo\n"),
        ("1\n2", "@@\n+end\n", "1\n2\nend\n"),
        ("1", "@@\n+0\n 1\n", "0\n1"),
        ("1\n2", "@@\n-2\n", "1\n"),
    ];
    for (text, hunks, expected) in cases {
        assert_eq!(updated(text, hunks).as_deref(), Ok(expected), "{text:?} and {hunks:?}");
    }
}

#[test]
fn what_is_not_found_is_named() {
    let lines = |text: &str, hint: &str| format!("Failed to find expected lines in /w/f:\n{text}\n\n{hint}");
    let context = |text: &str, hint: &str| format!("Failed to find context '{text}' in /w/f\n{hint}");
    let again = "Read the file again and write the lines as they are there.";
    let before = "They are in the file above what the hunk before changes: write the hunks in the order of the file.";
    let whole = "What stands behind '@@' has to be a whole line of the file.";
    let cases = [
        ("1\n2\n", "@@\n-x\n y\n+z\n", lines("x\ny", again)),
        ("1\n", "@@\n-1\n-2\n+z\n", lines("1\n2", again)),
        ("", "@@\n-1\n", lines("1", again)),
        ("1\n2\n3\n", "@@\n-3\n+c\n@@\n-1\n+a\n", lines("1", before)),
        ("fn g() {\n1\n", "@@ g\n-1\n+a\n", context("g", whole)),
        (
            "g\n1\n2\n",
            "@@\n-1\n+a\n@@ g\n-2\n+b\n",
            context(
                "g",
                "It is in the file above what the hunk before changes: write the hunks in the order of the file.",
            ),
        ),
        (
            "1\n1\nx\n",
            "@@\n-1\n+a\n*** End of File\n",
            lines(
                "1",
                "They are in the file more than once, and none is at its end: leave '*** End of File' out, and add context lines.",
            ),
        ),
    ];
    for (text, hunks, expected) in cases {
        assert_eq!(updated(text, hunks), Err(expected), "{text:?} and {hunks:?}");
    }
}

#[test]
fn hunks_that_repeat_themselves_without_end_are_refused() {
    // Each hunk compares almost the whole file with its lines, again and again.
    let text = "a\n".repeat(40_000);
    let hunk = format!("@@\n{}-b\n", " a\n".repeat(10_000));
    let error = "the hunks for /w/f take too long to be found; send fewer at once, with more context";
    assert_eq!(updated(&text, &hunk), Err(error.into()));
}
