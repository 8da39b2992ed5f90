//! What a check found, and how it is told.

use serde_json::{Value, json};

use crate::home::Homes;
use crate::text::{one_line, pad};

/// Details that are told to a person, at most; `--json` has all.
const SHOWN: usize = 10;
/// The longest line of a person's, in characters.
const CUT: usize = 400;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    Warning,
    Failure,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "failure",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    name: &'static str,
    level: Level,
    /// What was found, in one line.
    says: String,
    /// What to do about it.
    todo: Option<String>,
    /// One line for each thing that was found.
    details: Vec<String>,
}

impl Check {
    pub fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, says: says.into(), todo: None, details: Vec::new() }
    }

    pub fn warning(name: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { level: Level::Warning, todo: Some(todo.into()), ..Self::ok(name, says) }
    }

    pub fn failure(name: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { level: Level::Failure, todo: Some(todo.into()), ..Self::ok(name, says) }
    }

    pub fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    pub fn is_failure(&self) -> bool {
        self.level == Level::Failure
    }
}

/// One object.
pub fn as_json(homes: &Homes, checks: &[Check]) -> String {
    let each = |check: &Check| {
        json!({
            "name": check.name, "status": check.level.name(), "message": check.says, "todo": check.todo,
            "details": check.details,
        })
    };
    let all: Vec<Value> = checks.iter().map(each).collect();
    let ok = !checks.iter().any(Check::is_failure);
    let home = homes.home.to_string_lossy();
    format!("{}\n", json!({"version": env!("CARGO_PKG_VERSION"), "home": home, "ok": ok, "checks": all}))
}

/// A line a check, what to do below it, and what was found.
pub fn as_lines(checks: &[Check]) -> String {
    let mut text = String::new();
    let mut line = |head: String, rest: &str| {
        text.push_str(format!("{head}{}", one_line(rest, CUT)).trim_end());
        text.push('\n');
    };
    let indent = || " ".repeat(24);
    for check in checks {
        line(format!("{}{}", pad(check.level.name(), 9), pad(check.name, 15)), &check.says);
        if let Some(todo) = &check.todo {
            line(format!("{}-> ", indent()), todo);
        }
        for detail in check.details.iter().take(SHOWN) {
            line(format!("{}   ", indent()), detail);
        }
        if check.details.len() > SHOWN {
            line(format!("{}   ", indent()), &format!("and {} more; --json has all", check.details.len() - SHOWN));
        }
    }
    text
}
