//! Goals: `goals_1.sqlite`, one row a thread.

use std::path::Path;

use rusqlite::{OptionalExtension, Row};
use sapwood_protocol::own::{Goal, GoalStatus};
use sapwood_protocol::{Millis, ThreadId};

use crate::database::{self, Name};
use crate::error::Warning;

pub(crate) const NAME: Name = Name { stem: "goals", version: 1 };

const QUERY: &str = "SELECT objective, status, token_budget, tokens_used, time_used_seconds, created_at_ms, updated_at_ms \
                     FROM thread_goals WHERE thread_id = ?1";

/// Reads the goals of these threads.
pub(crate) fn read(
    home: &Path,
    threads: &[ThreadId],
    goals: &mut Vec<(ThreadId, Goal)>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Warning> {
    let rows = database::with(home, &NAME, |connection| {
        let mut query = connection.prepare(QUERY)?;
        let mut rows = Vec::new();
        for thread in threads {
            let row = query.query_row([thread.to_string()], goal).optional()?;
            rows.extend(row.map(|row| (*thread, row)));
        }
        Ok(rows)
    })?;
    for (thread, row) in rows.unwrap_or_default() {
        match row {
            Ok(goal) => goals.push((thread, goal)),
            Err(status) => {
                let why = format!("its goal has the unknown status `{status}`, and is not taken over");
                warnings.push(Warning::Row { place: NAME.place(home), thread, why });
            }
        }
    }
    Ok(())
}

/// The error is a status that is not known.
fn goal(row: &Row<'_>) -> Result<Result<Goal, String>, rusqlite::Error> {
    // SQLite knows no unsigned numbers. One below zero is nonsense, and means nothing.
    let number = |at: usize| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
    let name: String = row.get(1)?;
    let Some(status) = status(&name) else { return Ok(Err(name)) };
    Ok(Ok(Goal {
        objective: row.get(0)?,
        status,
        token_budget: row.get::<_, Option<i64>>(2)?.and_then(|n| u64::try_from(n).ok()),
        tokens_used: number(3)?,
        time_used_seconds: number(4)?,
        created_at: Millis(number(5)?),
        updated_at: Millis(number(6)?),
    }))
}

fn status(name: &str) -> Option<GoalStatus> {
    Some(match name {
        "active" => GoalStatus::Active,
        "paused" => GoalStatus::Paused,
        "blocked" => GoalStatus::Blocked,
        "usage_limited" => GoalStatus::UsageLimited,
        "budget_limited" => GoalStatus::BudgetLimited,
        "complete" => GoalStatus::Complete,
        _ => return None,
    })
}
