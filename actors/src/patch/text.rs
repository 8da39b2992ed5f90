//! A file's text as lines that keep their own endings.

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileLine<'a> {
    /// Without its ending.
    pub text: &'a str,
    /// `"\n"`, `"\r\n"`, or nothing: only the last line may have none.
    pub ending: &'a str,
}

/// The lines of a text. One that ends with a newline has no empty line behind it.
pub(super) fn lines(text: &str) -> Vec<FileLine<'_>> {
    let split = |line| {
        let text: &str = strip(line);
        FileLine { text, ending: &line[text.len()..] }
    };
    text.split_inclusive('\n').map(split).collect()
}

fn strip(line: &str) -> &str {
    let Some(line) = line.strip_suffix('\n') else { return line };
    line.strip_suffix('\r').unwrap_or(line)
}

/// The ending for a line that is added before the line of this index: that of its neighbour above, else below, else the first
/// that the file has.
pub(super) fn ending_at<'a>(lines: &[FileLine<'a>], index: usize) -> &'a str {
    let above = index.checked_sub(1).and_then(|above| lines.get(above));
    let near = [above, lines.get(index), lines.first()];
    near.into_iter().flatten().map(|line| line.ending).find(|ending| !ending.is_empty()).unwrap_or("\n")
}
