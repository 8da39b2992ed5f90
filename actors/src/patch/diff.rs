//! Unified diffs of two texts.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

/// How long the shortest diff of two texts is looked for. Afterwards a longer one, which is as right, will do.
const PATIENCE: Duration = Duration::from_millis(500);

/// The hunks of the unified diff from one text to another, with this many lines of context; empty if they are equal.
/// A line ends at a newline and nowhere else, so that the diff can be applied again.
pub(super) fn hunks(old: &str, new: &str, context: usize) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(Instant::now() + PATIENCE));
    let mut out = String::new();
    for group in group_diff_ops(ops, context) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        if group.iter().all(|op| op.tag() == DiffTag::Equal) {
            continue;
        }
        let from = range(first.old_range().start, last.old_range().end);
        let to = range(first.new_range().start, last.new_range().end);
        // Writing into a string cannot fail.
        let _ = writeln!(out, "@@ -{from} +{to} @@");
        for op in &group {
            put_op(&mut out, op, &old, &new);
        }
    }
    out
}

fn put_op(out: &mut String, op: &DiffOp, old: &[&str], new: &[&str]) {
    if op.tag() == DiffTag::Equal {
        return put_lines(out, ' ', &old[op.old_range()]);
    }
    put_lines(out, '-', &old[op.old_range()]);
    put_lines(out, '+', &new[op.new_range()]);
}

fn put_lines(out: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Line numbers count from 1; an empty range names the line before it.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        lines => format!("{},{lines}", start + 1),
    }
}
