//! The tools that a model is told of, beside commands and the team: patches, plans, and questions to people.

use serde_json::{Value, json};

use super::approval::{permissions, questions};
use super::prompt::{function, object};

/// What a patch looks like, for a provider that holds a model to it.
const PATCH_GRAMMAR: &str = r#"start: "*** Begin Patch" NL section+ "*** End Patch" NL?
section: added | deleted | updated
added: "*** Add File: " PATH NL new_line+
deleted: "*** Delete File: " PATH NL
updated: "*** Update File: " PATH NL moved? hunk*
moved: "*** Move to: " PATH NL
hunk: (place | line)+ end?
place: "@@" /[^\n]+/? NL
line: /[ +-][^\n]*/ NL
new_line: /\+[^\n]*/ NL
end: "*** End of File" NL
PATH: /[^\n]+/
NL: /\n/
"#;

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// `apply_patch`.
pub(super) fn patch() -> Value {
    json!({
        "type": "custom", "name": "apply_patch",
        "description": "Changes files by a patch, as a whole or not at all. The input is the patch itself, and no JSON.",
        "format": {"type": "grammar", "syntax": "lark", "definition": PATCH_GRAMMAR},
    })
}

/// `update_plan`.
pub(super) fn plan() -> Value {
    let status = json!({"type": "string", "enum": ["pending", "in_progress", "completed"]});
    let step =
        object(json!({"step": text("What is to be done, in a few words."), "status": status}), &["step", "status"]);
    function(
        "update_plan",
        "Shows the person the steps of your work and how far each is. Send all of them each time; one at most is in_progress.",
        object(
            json!({
                "explanation": text("Why the plan changed."),
                "plan": {"type": "array", "description": "The steps, in order.", "items": step},
            }),
            &["plan"],
        ),
    )
}

fn rights() -> Value {
    let paths = |description: &str| json!({"type": "array", "description": description, "items": {"type": "string"}});
    object(
        json!({
            "network": object(json!({"enabled": {"type": "boolean"}}), &[]),
            "file_system": object(
                json!({
                    "read": paths("Files and directories to read."),
                    "write": paths("Files and directories to read and write."),
                }),
                &[],
            ),
        }),
        &[],
    )
}

/// What a command may ask for beside running.
pub(super) fn wishes() -> Value {
    json!({
        "sandbox_permissions": {
            "type": "string",
            "enum": ["use_default", "require_escalated", "with_additional_permissions"],
            "description": "`require_escalated` asks the person to let it run without a sandbox, \
                            `with_additional_permissions` to let it do a little more within it.",
        },
        "justification": text("The question for the person: why it needs that. Only with another value than `use_default`."),
        "prefix_rule": {
            "type": "array", "items": {"type": "string"},
            "description": "The first words of commands that you would like to run without being asked again.",
        },
        "additional_permissions": rights(),
    })
}

/// The tools that are a question to a person. Only the first agent of a team speaks with one.
pub(super) fn people(is_root: bool) -> Vec<Value> {
    let choice = object(
        json!({"label": text("The answer, in a few words."), "description": text("What follows from it.")}),
        &["label", "description"],
    );
    let question = object(
        json!({
            "id": text("What its answer is filed under."),
            "header": text("One or two words above it."),
            "question": text("The question."),
            "options": {"type": "array", "items": choice, "description": "Answers to choose from; others are possible, too."},
        }),
        &["id", "header", "question", "options"],
    );
    let asks = function(
        questions::NAME,
        "Asks the person up to three questions, and waits for the answers. Ask only what you cannot find out. Outside of plan \
         mode it may be refused.",
        object(json!({"questions": {"type": "array", "items": question}}), &["questions"]),
    );
    let wishes = function(
        permissions::NAME,
        "Asks the person to let your commands and patches do more, and waits for the answer: connect to other machines, or \
         read and write elsewhere.",
        object(json!({"reason": text("Why you need it."), "permissions": rights()}), &["permissions"]),
    );
    std::iter::once(asks).filter(|_| is_root).chain([wishes]).collect()
}
