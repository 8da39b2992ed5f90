//! What a child is asked and what it answers: texts that a person can read, with a small table that the parent reads.

use std::fmt::Write;

use serde_json::Value;

use super::tally::{Large, Source, Sum, Tally};

/// What a child reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The folder; `.` for all.
    pub folder: String,
    pub tally: Tally,
}

const FOLDER: &str = "Folder: ";
const HEAD: &str = "Report on folder ";

/// The task of the child that maps `folder`.
pub(super) fn task(folder: &str) -> String {
    format!(
        "Map one folder of this repository.\n{FOLDER}{}\nCount its files, their lines (as `wc -l` does) and their bytes \
         by language, find its largest files, and answer with the rehearsal's report on it.",
        Value::from(folder)
    )
}

/// The folder that a task names.
pub(super) fn folder_of_task(task: &str) -> Option<String> {
    task.lines().find_map(|line| serde_json::from_str(line.strip_prefix(FOLDER)?).ok())
}

impl Report {
    /// The report as a child sends it.
    pub fn text(&self) -> String {
        let total = self.tally.total();
        let mut text = format!(
            "{HEAD}{}: {} files, {} lines, {} bytes.\n\nnames from: {}\n",
            Value::from(self.folder.as_str()),
            total.files,
            total.lines,
            total.bytes,
            self.tally.source.word()
        );
        let mut row = |name: &str, files: &str, lines: &str, bytes: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<20} {files:>9} {lines:>11} {bytes:>14}");
        };
        row("language", "files", "lines", "bytes");
        for (name, sum) in self.tally.languages.iter().chain([(&"total".to_owned(), &total)]) {
            row(name, &sum.files.to_string(), &sum.lines.to_string(), &sum.bytes.to_string());
        }
        if !self.tally.largest.is_empty() {
            text.push_str("\nlargest files (bytes, lines, name):\n");
        }
        for file in &self.tally.largest {
            let _ = writeln!(text, "{:>14} {:>11} {}", file.bytes, file.lines, Value::from(file.name.as_str()));
        }
        let skipped: Vec<String> = self.tally.skipped.iter().map(|(why, n)| format!("{n} {why}")).collect();
        let skipped = if skipped.is_empty() { "nothing".to_owned() } else { skipped.join(", ") };
        let _ = writeln!(text, "\nnot counted: {skipped}");
        text
    }

    /// Reads a report; `None` unless it is whole and adds up.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim_start().strip_prefix(HEAD)?;
        let mut name = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let folder = name.next()?.ok()?;
        let mut lines = rest.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
        let mut tally = Tally::new(Source::of_word(lines.next()?.strip_prefix("names from: ")?)?);
        lines.next()?.strip_prefix("language")?;
        let total = loop {
            let (name, sum) = language_row(lines.next()?)?;
            if name == "total" {
                break sum;
            }
            tally.languages.insert(name, sum);
        };
        for line in lines {
            if let Some(skipped) = line.strip_prefix("not counted: ") {
                for part in skipped.split(", ").filter(|part| *part != "nothing") {
                    let (n, why) = part.split_once(' ')?;
                    tally.skipped.insert(why.to_owned(), n.parse().ok()?);
                }
                return (tally.total() == total).then_some(Self { folder, tally });
            }
            if !line.starts_with("largest files") {
                let (bytes, rest) = line.split_once(' ')?;
                let (lines, name) = rest.trim_start().split_once(' ')?;
                let name = serde_json::from_str(name).ok()?;
                tally.largest.push(Large { bytes: bytes.parse().ok()?, lines: lines.parse().ok()?, name });
            }
        }
        None
    }
}

fn language_row(line: &str) -> Option<(String, Sum)> {
    let mut words = line.split_whitespace().rev();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (bytes, lines, files) = (number()?, number()?, number()?);
    let mut name: Vec<&str> = words.collect();
    name.reverse();
    (!name.is_empty()).then(|| (name.join(" "), Sum { files, lines, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(folder: &str, output: &str) -> Report {
        Report { folder: folder.to_owned(), tally: Tally::of_output(output).unwrap() }
    }

    #[test]
    fn a_report_survives_the_way() {
        for folder in ["src", "it's: \"odd\" ", "."] {
            let full = "how git\nbig 30 2 a  \"b\".rs\nrow 2 .rs 5 40\nrow 1 .vb 1 2\nskip 3 folder\nskip 1 link\nend 3 6 42\n";
            for output in [full, "how find\nend 0 0 0\n"] {
                let report = report(folder, output);
                assert_eq!(Report::parse(&report.text()).as_ref(), Some(&report));
            }
            assert_eq!(folder_of_task(&task(folder)).as_deref(), Some(folder));
        }
    }

    #[test]
    fn a_report_reads_well() {
        let report = report("src", "how git\nbig 30 2 src/a b.rs\nrow 2 .rs 5 40\nskip 1 folder\nend 2 5 40\n");
        assert_eq!(
            report.text(),
            "Report on folder \"src\": 2 files, 5 lines, 40 bytes.\n\
             \n\
             names from: git\n\
             language                 files       lines          bytes\n\
             Rust                         2           5             40\n\
             total                        2           5             40\n\
             \n\
             largest files (bytes, lines, name):\n\
             \x20           30           2 \"src/a b.rs\"\n\
             \n\
             not counted: 1 folder\n"
        );
    }

    #[test]
    fn what_is_no_report() {
        let whole = report("src", "how git\nrow 2 .rs 5 40\nskip 1 folder\nend 2 5 40\n").text();
        let damaged = [whole.replace(" 40\n", " 41\n").replacen(" 41\n", " 40\n", 1), whole.replace("not counted", "")];
        for text in
            ["", "Agent lost: gone", "Report on folder src", &whole[..whole.len() / 2], &damaged[0], &damaged[1]]
        {
            assert_eq!(Report::parse(text), None, "{text}");
        }
    }
}
