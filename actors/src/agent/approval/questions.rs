//! `request_user_input`: a model asks a person.

use sapwood_protocol::asked::{Choice, Question, Resolution, What};
use serde::Deserialize;
use serde_json::json;

/// Its name.
pub const NAME: &str = "request_user_input";

/// Questions of one call, at most. The model is told of three; nobody answers more than these at once.
const MAX_QUESTIONS: usize = 16;

/// What a model reads that asks where it is to work by itself.
const ONLY_IN_PLAN_MODE: &str = "request_user_input is there in plan mode only: take what is most likely meant, say that \
you did, and go on";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    questions: Vec<Asked>,
    #[serde(default)]
    auto_resolution_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    id: String,
    header: String,
    question: String,
    #[serde(default, alias = "is_secret")]
    is_secret: bool,
    #[serde(default)]
    options: Option<Vec<Choice>>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The root of the tree: only it speaks with a person.
    pub is_root: bool,
    /// It makes a plan: its turn does not go on without an answer.
    pub plans: bool,
    /// It may ask also where it makes no plan.
    pub asks_in_default_mode: bool,
}

/// The question of a call with these arguments. The error is its output.
pub fn question(input: &str, asker: Asker) -> Result<What, String> {
    if !asker.is_root {
        return Err("request_user_input can only be used by the root thread".into());
    }
    if !asker.plans && !asker.asks_in_default_mode {
        return Err(ONLY_IN_PLAN_MODE.into());
    }
    let args: Args =
        serde_json::from_str(input).map_err(|error| format!("failed to parse function arguments: {error}"))?;
    if args.questions.len() > MAX_QUESTIONS {
        return Err(format!("request_user_input takes at most {MAX_QUESTIONS} questions; ask fewer at once"));
    }
    if args.questions.iter().any(|asked| asked.options.as_ref().is_none_or(Vec::is_empty)) {
        return Err("request_user_input requires non-empty options for every question".into());
    }
    let questions = args.questions.into_iter().map(|asked| Question {
        id: asked.id,
        header: asked.header,
        question: asked.question,
        is_other: true,
        is_secret: asked.is_secret,
        options: asked.options,
    });
    Ok(What::UserInput {
        questions: questions.collect(),
        blocking: asker.plans,
        auto_resolution_ms: args.auto_resolution_ms,
    })
}

/// What the model reads of an answer: what went wrong is no answer, and no answer is one, too.
pub fn answered(how: &Resolution) -> String {
    match how {
        Resolution::Given { answers } => json!({"answers": answers}).to_string(),
        _ => r#"{"answers":{}}"#.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::asked::Given;

    const ROOT: Asker = Asker { is_root: true, plans: false, asks_in_default_mode: true };
    const PICK: &str = r#"{"questions":[{"id":"q1","header":"Pick","question":"Which one?",
        "options":[{"label":"A","description":"first"}]}]}"#;

    #[test]
    fn a_question_may_always_be_answered_otherwise() {
        let choice = Choice { label: "A".into(), description: "first".into() };
        let question_of = |blocking| What::UserInput {
            questions: vec![Question {
                id: "q1".into(),
                header: "Pick".into(),
                question: "Which one?".into(),
                is_other: true,
                is_secret: false,
                options: Some(vec![choice.clone()]),
            }],
            blocking,
            auto_resolution_ms: None,
        };
        assert_eq!(question(PICK, ROOT), Ok(question_of(false)));
        assert_eq!(question(PICK, Asker { plans: true, ..ROOT }), Ok(question_of(true)));
    }

    #[test]
    fn refusals() {
        let child = Asker { is_root: false, plans: true, asks_in_default_mode: true };
        let works = Asker { asks_in_default_mode: false, ..ROOT };
        assert!(question(PICK, Asker { plans: true, ..works }).is_ok(), "a plan is made with the person");
        let table = [
            (PICK.to_owned(), child, "request_user_input can only be used by the root thread".to_owned()),
            (PICK.to_owned(), works, ONLY_IN_PLAN_MODE.to_owned()),
            (
                PICK.replace(r#"{"label":"A","description":"first"}"#, ""),
                ROOT,
                "request_user_input requires non-empty options for every question".to_owned(),
            ),
            (
                r#"{"questions":[{"id":"a","header":"h","question":"q"}]}"#.to_owned(),
                ROOT,
                "request_user_input requires non-empty options for every question".to_owned(),
            ),
            (
                "{}".to_owned(),
                ROOT,
                "failed to parse function arguments: missing field `questions` at line 1 column 2".to_owned(),
            ),
        ];
        for (input, asker, text) in table {
            assert_eq!(question(&input, asker), Err(text), "{input}");
        }
    }

    #[test]
    fn answers_are_those_recorded() {
        let given = Given { answers: vec!["A".into()] };
        let answers = Resolution::Given { answers: [("q1".to_owned(), given)].into() };
        assert_eq!(answered(&answers), r#"{"answers":{"q1":{"answers":["A"]}}}"#);
        for how in [Resolution::Failed, Resolution::Invalid, Resolution::Given { answers: Default::default() }] {
            assert_eq!(answered(&how), r#"{"answers":{}}"#);
        }
    }
}
