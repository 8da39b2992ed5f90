//! The root's answer: tables of what was counted, who counted it, and what is not in the numbers.

use std::fmt::Write;

use super::ledger::Stand;
use super::plan::{Need, Plan, State};
use super::tally::{Source, Sum, Tally};
use crate::request::RequestView;

/// How an answer begins; the next request knows it by that.
pub(super) const HEADING: &str = "# Map of this repository";

/// What every answer says at its end.
pub(super) const NOTICE: &str = "This was the rehearsal model: no language model, only a fixed plan of shell commands and \
     agents, so that Sapwood can be watched at work without a provider. To talk to a model, configure a provider: \
     `-c model_provider=...`, or `model_provider` in config.toml.";

/// A part of the map: which files, what was counted, by whom.
struct Part {
    files: String,
    tally: Tally,
    by: String,
}

/// The answer that a plan comes to.
pub(super) fn table(plan: &Plan, view: &RequestView<'_>) -> String {
    let mut text = format!("{HEADING}\n\n");
    let mut notes = Vec::new();
    match &plan.listing {
        Stand::Failed(why) => notes.push(format!("The repository could not be listed: {why}.")),
        Stand::Ready(_) | Stand::Todo { .. } => {
            let parts = parts(plan, view, &mut notes);
            write_parts(&mut text, &parts, &mut notes);
            write_agents(&mut text, plan);
        }
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text.trim_end().to_owned() + "\n\n" + NOTICE
}

fn parts(plan: &Plan, view: &RequestView<'_>, notes: &mut Vec<String>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut changed = false;
    for child in &plan.children {
        let files = format!("{}/", child.folder);
        let name = child.path.as_deref().unwrap_or(&child.task_name);
        let (tally, by) = match &child.state {
            State::Reported(tally) => (tally, name),
            State::Refused { own: Stand::Ready(tally), why } => {
                notes.push(format!("No agent could be spawned for {}, so the root counted it: {why}.", code(&files)));
                (tally, "the root")
            }
            State::Refused { own: Stand::Failed(why), .. } => {
                notes.push(format!("**Missing: {}**, which could not be counted: {why}.", code(&files)));
                continue;
            }
            _ => {
                let why = if let Need::Missing(why) = plan.need(child, view) { why } else { "no report".to_owned() };
                notes.push(format!("**Missing: {}**, with {} files. {name}: {why}.", code(&files), child.files));
                continue;
            }
        };
        changed |= tally.total().files + tally.skipped_total() != child.files;
        parts.push(Part { files: code(&files), tally: tally.clone(), by: by.to_owned() });
    }
    match &plan.own {
        Some((_, Stand::Ready(tally))) => {
            let files = if plan.children.is_empty() { "all files" } else { "all other files" };
            parts.push(Part { files: files.to_owned(), tally: tally.clone(), by: "the root".to_owned() });
        }
        Some((_, Stand::Failed(why))) => {
            notes.push(format!("**Missing: the files outside these folders**, which could not be counted: {why}."));
        }
        Some((_, Stand::Todo { .. })) | None => {}
    }
    if changed {
        notes.push("Some folders have other numbers of files than the first list: they changed meanwhile.".to_owned());
    }
    parts
}

fn write_parts(text: &mut String, parts: &[Part], notes: &mut Vec<String>) {
    let Some(first) = parts.first() else { return };
    let mut all = Tally::new(first.tally.source);
    parts.iter().for_each(|part| all.add(&part.tally));
    let total = all.total();
    let _ = writeln!(text, "{} files, {} lines, {} bytes.\n", total.files, total.lines, total.bytes);

    let row = |name: &str, sum: Sum| {
        vec![name.to_owned(), sum.files.to_string(), sum.lines.to_string(), sum.bytes.to_string()]
    };
    let mut folders = vec![words(["Folder", "Files", "Lines", "Bytes", "Mostly", "Counted by"])];
    for part in parts {
        let mut cells = row(&part.files, part.tally.total());
        cells.push(part.tally.main_language().unwrap_or("-").to_owned());
        cells.push(part.by.clone());
        folders.push(cells);
    }
    let mut cells = row("Total", total);
    cells.extend(words(["", ""]));
    folders.push(cells);
    write_table(text, &folders);

    let mut languages: Vec<(&String, &Sum)> = all.languages.iter().collect();
    languages.sort_by(|a, b| b.1.lines.cmp(&a.1.lines).then_with(|| a.0.cmp(b.0)));
    let rows = languages.into_iter().map(|(name, sum)| row(name, *sum));
    let head = words(["Language", "Files", "Lines", "Bytes"]);
    write_table(text, &std::iter::once(head).chain(rows).collect::<Vec<_>>());

    let rows = all.largest.iter().map(|file| vec![code(&file.name), file.lines.to_string(), file.bytes.to_string()]);
    write_table(text, &std::iter::once(words(["Largest files", "Lines", "Bytes"])).chain(rows).collect::<Vec<_>>());

    if total.files == 0 && all.source == Source::Git {
        notes.push("git lists no file here: nothing was added yet, or everything is ignored.".to_owned());
    }
    notes.push(match all.source {
        Source::Git => {
            "Counted is what `git ls-files` lists; lines are line breaks, as `wc -l` counts them.".to_owned()
        }
        Source::Find => {
            "There is no git repository here, so what `find` finds was counted, without `.git` and without following \
             links; lines are line breaks, as `wc -l` counts them."
                .to_owned()
        }
    });
    if all.skipped_total() > 0 {
        let skipped: Vec<String> = all.skipped.iter().map(|(why, n)| format!("{n} {}", explain(why))).collect();
        notes.push(format!("Listed, but no files that can be read: {}.", skipped.join(", ")));
    }
}

/// What the word means that a count command prints for a name it skips.
fn explain(why: &str) -> &str {
    match why {
        "folder" => "submodules or links to folders",
        "link" => "links to nothing",
        "missing" => "deleted but still listed",
        "unreadable" => "without permission",
        _ => "of another kind",
    }
}

fn write_agents(text: &mut String, plan: &Plan) {
    let reported = plan.children.iter().filter(|child| matches!(child.state, State::Reported(_)));
    let names: Vec<&str> = reported.filter_map(|child| child.path.as_deref()).collect();
    let _ = match names.len() {
        0 => writeln!(text, "Agents that worked: the root alone.\n"),
        n => writeln!(text, "Agents that worked: {}, the root and {}.\n", n + 1, names.join(", ")),
    };
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// A name as code, unless that would break the table; then as a quoted text.
fn code(name: &str) -> String {
    if name.chars().any(|c| c.is_control() || c == '`' || c == '|') {
        name.escape_debug().to_string().replace('`', "'").replace('|', "\\|")
    } else {
        format!("`{name}`")
    }
}

/// A Markdown table whose columns line up; columns of numbers are set to the right. Nothing for a head without rows.
fn write_table(text: &mut String, rows: &[Vec<String>]) {
    if rows.len() < 2 {
        return;
    }
    let columns = rows.first().map_or(0, Vec::len);
    let column = |c: usize| rows.iter().filter_map(move |row| row.get(c));
    let width = |c: usize| column(c).map(|cell| cell.chars().count()).max().unwrap_or(0).max(3);
    let is_number = |c: usize| column(c).skip(1).all(|cell| cell.parse::<u64>().is_ok());
    for (r, row) in rows.iter().enumerate() {
        for (c, cell) in row.iter().enumerate() {
            let fill = " ".repeat(width(c).saturating_sub(cell.chars().count()));
            let _ = if is_number(c) { write!(text, "| {fill}{cell} ") } else { write!(text, "| {cell}{fill} ") };
        }
        text.push_str("|\n");
        if r == 0 {
            for c in 0..columns {
                let line = "-".repeat(width(c));
                let _ = if is_number(c) { write!(text, "|{line}-:") } else { write!(text, "|{line}--") };
            }
            text.push_str("|\n");
        }
    }
    text.push('\n');
}
