//! From rows to the lines of a frame: a function of rows, size and style.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_protocol::{AgentPath, Millis};

use super::model::{Row, State};
use super::style::{Role, Style};
use crate::text::{clock, fit, pad, thousands, width};

/// Rows of the terminal that are left for what stands above the tree.
const ABOVE: u16 = 2;
/// Between two columns.
const GAP: usize = 2;
/// What an agent does has at least this much room; other columns go before it gets less.
const DOING: usize = 12;

/// The size of a terminal, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// What is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// By path.
    pub rows: Vec<Row>,
    /// Since the run began.
    pub elapsed: Millis,
}

/// One line of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What the terminal gets.
    pub text: String,
    /// Cells that it takes.
    pub width: usize,
}

/// The tree as it is now: at most two rows less than the terminal has, each line shorter than the terminal is wide.
pub fn frame(picture: &Picture, size: Size, style: Style) -> Vec<Line> {
    let Some(room) = usize::from(size.rows.saturating_sub(ABOVE)).checked_sub(1) else {
        return Vec::new();
    };
    // A line that fills the last column leaves the cursor in a place on which terminals do not agree.
    let columns = usize::from(size.columns.saturating_sub(1));
    let mut lines = Vec::new();
    let shown = choose(&picture.rows, room);
    if !shown.is_empty() {
        lines.extend(table(&shown, columns, style));
    }
    if shown.len() < picture.rows.len() && !shown.is_empty() {
        let seen: BTreeSet<&AgentPath> = shown.iter().map(|row| &row.path).collect();
        let hidden = picture.rows.iter().filter(|row| !seen.contains(&row.path));
        let count = picture.rows.len() - shown.len();
        let text = format!("and {count} more: {}", states(hidden.map(|row| row.state.word())));
        lines.push(paint(style, columns, vec![(Role::Dim, text)]));
    }
    lines.push(summary(picture, columns, style, |state| state.word()));
    lines
}

/// What is left standing of the tree when the run is over: one line, in which nothing works any more.
pub fn last(picture: &Picture, columns: u16, style: Style) -> Vec<Line> {
    let columns = usize::from(columns.saturating_sub(1));
    vec![summary(picture, columns, style, |state| if state.is_open() { "left open" } else { state.word() })]
}

/// The rows that are shown, by path: all, or the most interesting and room for a line about the others.
fn choose(rows: &[Row], room: usize) -> Vec<&Row> {
    if rows.len() <= room {
        return rows.iter().collect();
    }
    let mut chosen: Vec<&Row> = rows.iter().collect();
    chosen.sort_by(|a, b| a.state.cmp(&b.state).then_with(|| a.path.cmp(&b.path)));
    chosen.truncate(room.saturating_sub(1));
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    chosen
}

/// The cells of a row, before they are cut to size.
struct Cells {
    name: String,
    state: State,
    doing: String,
    tokens: String,
    elapsed: String,
}

fn table(rows: &[&Row], columns: usize, style: Style) -> Vec<Line> {
    let names = names(rows);
    let cells = rows.iter().zip(names).map(|(row, name)| Cells {
        name,
        state: row.state,
        doing: row.doing.clone(),
        tokens: if row.tokens == 0 { String::new() } else { thousands(row.tokens) },
        elapsed: row.elapsed.map(clock).unwrap_or_default(),
    });
    let cells: Vec<Cells> = cells.collect();
    let widest = |of: fn(&Cells) -> usize| cells.iter().map(of).max().unwrap_or(0);
    let name = widest(|cells| width(&cells.name)).min((columns / 3).max(DOING));
    let state = widest(|cells| cells.state.word().len());
    let (mut tokens, mut elapsed) = (widest(|cells| cells.tokens.len()), widest(|cells| cells.elapsed.len()));
    let room = |tokens: usize, elapsed: usize| {
        let used = name + GAP + state + GAP + column(tokens) + column(elapsed);
        columns.saturating_sub(used)
    };
    if room(tokens, elapsed) < DOING {
        tokens = 0;
    }
    if room(tokens, elapsed) < DOING {
        elapsed = 0;
    }
    let doing = room(tokens, elapsed);
    let line = |cells: &Cells| {
        let mut parts = vec![
            (Role::Name, pad(&fit(&cells.name, name), name + GAP)),
            (role(cells.state), pad(cells.state.word(), state + GAP)),
            (Role::Plain, pad(&fit(&cells.doing, doing), doing)),
        ];
        if tokens > 0 {
            parts.push((Role::Dim, format!("{:>1$}", cells.tokens, GAP + tokens)));
        }
        if elapsed > 0 {
            parts.push((Role::Dim, format!("{:>1$}", cells.elapsed, GAP + elapsed)));
        }
        paint(style, columns, parts)
    };
    cells.iter().map(line).collect()
}

/// A column that is not empty has a gap before it.
fn column(width: usize) -> usize {
    if width == 0 { 0 } else { GAP + width }
}

/// Names, indented below the nearest agent above them that is shown, and with the path from there.
fn names(rows: &[&Row]) -> Vec<String> {
    // The shown agents above the current one. Rows come by path, so it is a stack.
    let mut above: Vec<&AgentPath> = Vec::new();
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        while above.last().is_some_and(|over| !over.covers(&row.path)) {
            above.pop();
        }
        let over = above.last().map_or(0, |over| over.as_str().len());
        let name = row.path.as_str()[over..].trim_start_matches('/');
        names.push(format!("{}{name}", "  ".repeat(above.len())));
        above.push(&row.path);
    }
    names
}

fn role(state: State) -> Role {
    match state {
        State::Failed | State::Quarantined | State::Blocked | State::Lost => Role::Bad,
        State::Paused | State::Retrying | State::Restarting | State::Limited | State::Interrupted => Role::Warning,
        State::Working => Role::Busy,
        State::Waiting | State::Queued | State::Idle => Role::Dim,
        State::Finished => Role::Good,
    }
}

fn summary(picture: &Picture, columns: usize, style: Style, word: fn(State) -> &'static str) -> Line {
    let count = picture.rows.len();
    let head = match count {
        0 => "no agents yet".to_owned(),
        1 => format!("1 agent: {}", word(picture.rows[0].state)),
        _ => format!("{count} agents: {}", states(picture.rows.iter().map(|row| word(row.state)))),
    };
    let tokens: u64 = picture.rows.iter().map(|row| row.tokens).fold(0, u64::saturating_add);
    let tail = format!("  {} tokens  {}", thousands(tokens), clock(picture.elapsed));
    let head = fit(&head, columns.saturating_sub(width(&tail)));
    paint(style, columns, vec![(Role::Name, head), (Role::Dim, tail)])
}

/// How many of each, the most first.
fn states<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// Cuts the parts to the width, and paints what is left of each.
fn paint(style: Style, columns: usize, parts: Vec<(Role, String)>) -> Line {
    let (mut text, mut used) = (String::new(), 0);
    let last = parts.iter().rposition(|(_, part)| !part.trim_end().is_empty());
    for (at, (role, part)) in parts.into_iter().enumerate() {
        let part = match last {
            Some(last) if at < last => part,
            Some(last) if at == last => part.trim_end().to_owned(),
            _ => break,
        };
        let part = fit(&part, columns - used);
        used += width(&part);
        text.push_str(&style.paint(role, &part));
    }
    Line { text, width: used }
}

#[cfg(test)]
mod tests;
