//! The plan that a model shows with `update_plan`: nobody acts on it, clients draw it.

use serde::{Deserialize, Serialize};

/// What the model reads when its plan was taken.
pub const PLAN_UPDATED: &str = "Plan updated";

/// The most steps of a plan: 200. It is drawn as a list, and sent to every client at every change.
const MAX_STEPS: usize = 200;

/// The longest step, in bytes: 4 KiB, some fifty times a good one.
const MAX_STEP_BYTES: usize = 4 << 10;

/// The longest explanation, in bytes: 16 KiB.
const MAX_EXPLANATION_BYTES: usize = 16 << 10;

/// What the model is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanUpdate {
    /// Why it changed.
    #[serde(default)]
    pub explanation: Option<String>,
    /// Its steps, in order. None takes the plan away.
    pub plan: Vec<Step>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// In words.
    pub step: String,
    /// How far it is.
    pub status: StepStatus,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Begun.
    InProgress,
    /// Done.
    Completed,
}

/// Why a plan is refused, as the model reads it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The arguments are not what the tool takes.
    #[error(
        "failed to parse function arguments: {0}; expected {{\"explanation\"?: string, \"plan\": [{{\"step\": string, \
         \"status\": \"pending\" | \"in_progress\" | \"completed\"}}]}}"
    )]
    Arguments(#[from] serde_json::Error),
    /// A step without words.
    #[error("step {0} of the plan is empty; say what it is")]
    Empty(usize),
    /// More than one step is worked on.
    #[error("steps {0} and {1} of the plan are both in_progress; at most one may be")]
    TwoInProgress(usize, usize),
    /// Too much to be shown.
    #[error("{what} of the plan has {found}, and at most {most} are allowed; make it shorter")]
    TooLong {
        /// What is too long.
        what: String,
        /// How long it is, with the unit.
        found: String,
        /// The limit.
        most: usize,
    },
}

/// Reads the arguments of a call of `update_plan`.
///
/// # Errors
///
/// [`PlanError`] says what is wrong and what is expected; steps count from 1.
pub fn parse(arguments: &str) -> Result<PlanUpdate, PlanError> {
    let update: PlanUpdate = serde_json::from_str(arguments)?;
    if update.plan.len() > MAX_STEPS {
        return Err(too_long("the list", format!("{} steps", update.plan.len()), MAX_STEPS));
    }
    check_text("the explanation", update.explanation.as_deref().unwrap_or_default(), MAX_EXPLANATION_BYTES)?;
    let mut in_progress = None;
    for (number, step) in (1..).zip(&update.plan) {
        if step.step.trim().is_empty() {
            return Err(PlanError::Empty(number));
        }
        check_text(&format!("step {number}"), &step.step, MAX_STEP_BYTES)?;
        if step.status == StepStatus::InProgress
            && let Some(first) = in_progress.replace(number)
        {
            return Err(PlanError::TwoInProgress(first, number));
        }
    }
    Ok(update)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), PlanError> {
    match text.len() {
        bytes if bytes > most => Err(too_long(what, format!("{bytes} bytes"), most)),
        _ => Ok(()),
    }
}

fn too_long(what: &str, found: String, most: usize) -> PlanError {
    PlanError::TooLong { what: what.to_owned(), found, most }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_that_are_taken_come_back_as_they_were() {
        let step = |step: &str, status| Step { step: step.into(), status };
        let steps = vec![
            step("read", StepStatus::Completed),
            step("write", StepStatus::InProgress),
            step("test", StepStatus::Pending),
        ];
        let text = r#"{"explanation":"more","plan":[{"step":"read","status":"completed"},{"step":"write","status":"in_progress"},{"step":"test","status":"pending"}]}"#;
        let update = parse(text).unwrap();
        assert_eq!(update, PlanUpdate { explanation: Some("more".into()), plan: steps });
        assert_eq!(serde_json::to_string(&update).unwrap(), text);
        assert_eq!(parse(r#"{"plan":[]}"#).unwrap(), PlanUpdate { explanation: None, plan: vec![] });
        assert_eq!(parse(r#"{"explanation":null,"plan":[]}"#).unwrap(), PlanUpdate { explanation: None, plan: vec![] });
    }

    #[test]
    fn plans_that_are_refused_say_why() {
        let steps = |words: &[(&str, &str)]| {
            let steps: Vec<_> = words.iter().map(|(step, status)| json!({"step": step, "status": status})).collect();
            json!({ "plan": steps }).to_string()
        };
        let long = "x".repeat(MAX_STEP_BYTES + 1);
        let cases = [
            (
                steps(&[("a", "in_progress"), ("b", "pending"), ("c", "in_progress")]),
                "steps 1 and 3 of the plan are both",
            ),
            (steps(&[("a", "pending"), ("  ", "pending")]), "step 2 of the plan is empty"),
            (steps(&[("a", "done")]), "failed to parse function arguments: unknown variant `done`"),
            (json!({"plan": null}).to_string(), "failed to parse function arguments: invalid type: null"),
            ("{}".into(), "failed to parse function arguments: missing field `plan`"),
            (String::new(), "failed to parse function arguments: EOF"),
            (steps(&[(&long, "pending")]), "step 1 of the plan has 4097 bytes, and at most 4096 are allowed"),
            (steps(&vec![("a", "pending"); MAX_STEPS + 1]), "the list of the plan has 201 steps"),
            (
                json!({"explanation": "x".repeat(MAX_EXPLANATION_BYTES + 1), "plan": []}).to_string(),
                "the explanation of the plan has 16385 bytes",
            ),
        ];
        for (arguments, begins) in cases {
            let error = parse(&arguments).unwrap_err().to_string();
            assert!(error.starts_with(begins), "{error:?} does not begin with {begins:?}");
        }
    }
}
