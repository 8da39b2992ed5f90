//! The scripted model: answers from a file, for tests and for runs that must repeat.
//!
//! What it is for: a script says what an agent answers to which last item of a request. What an answer is depends on
//! the request alone, never on a counter in memory: a process that was killed and started again answers the same.
//! What it never does: look at anything else than the request and its origin.
//!
//! # A script
//!
//! ```json
//! {
//!   "about": "one child, asked once",
//!   "rules": [
//!     {"agent": "/root", "on": {"user": true}, "reply": [
//!       {"reasoning": "A child can do that."},
//!       {"text": {"text": "I will ask a child.", "phase": "commentary", "deltas": 3}},
//!       {"call": {"name": "spawn_agent", "namespace": "collaboration",
//!                 "arguments": {"task_name": "alpha", "message": "compute", "fork_turns": "none"}}}]},
//!     {"agent": "/root", "on": {"call": "spawn_agent"}, "reply": [
//!       {"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {"timeout_ms": 10000}}}]},
//!     {"agent": "/root", "on": {"mail_from": "/root/alpha"}, "reply": [{"text": "done"}, {"usage": {"input_tokens": 9}}]},
//!     {"agent": "/root/*", "on": {"any": true}, "attempt_at_most": 1, "reply": [{"fail": {"status": 503}}]},
//!     {"agent": "/root/*", "reply": [{"delay_ms": 20}, {"text": "{{path}} says 11"}]}
//!   ]
//! }
//! ```
//!
//! The first rule that fits answers. A rule fits if all that it names fits:
//!
//! | key | fits if |
//! |---|---|
//! | `agent` | the path is this one; with a `*` at its end, starts so; default `*` |
//! | `on.any` | always (as does an empty or missing `on`) |
//! | `on.type` | the last item has this type; outputs of custom tools are `function_call_output` too |
//! | `on.user` | `true`: the last item is a user's message; `false`: it is none |
//! | `on.text_contains` | the last item's text, output or payload contains it |
//! | `on.call` | the last item is the output of the call with this id, or of a call of the tool with this name |
//! | `on.mail_from` | the last item is mail of this agent |
//! | `turn_contains` | an item since the last user's message or task, that one included, contains it |
//! | `times` | the rule has answered less often than this, as far as the input shows |
//! | `attempt_at_most` | the request is tried for at most this time (1 is the first try) |
//!
//! `times` replays the input: each place where the model's items begin was a request, and the script says which rule
//! answered there. Rules whose reply is empty, fails or hangs leave nothing behind and are left out; bound those
//! that fail by `attempt_at_most`.
//!
//! A reply is a list of steps; an empty one is an empty response:
//!
//! | step | does |
//! |---|---|
//! | `{"text": "…"}` or `{"text": {"text", "phase", "deltas"}}` | a message; `deltas` is the number of pieces |
//! | `{"reasoning": "…"}` | a reasoning item |
//! | `{"call": {"name", "namespace", "arguments", "id"}}` | a function call; `arguments` is an object, or a text as it is |
//! | `{"custom_call": {"name", "input", "id"}}` | a custom tool call |
//! | `{"item": {…}}` | any item as it is |
//! | `{"delay_ms": 20}` | waits, then goes on |
//! | `{"usage": {…}}` | what the response cost; zeros otherwise; a missing total is input and output together |
//! | `{"fail": {"status", "message", "retry_after_ms"}}` | fails: 0, 408, 429 and 5xx can be tried again, others not |
//! | `{"cut": {"after_items": 1}}` | the stream breaks after so many items, or here |
//! | `"hang"` | never answers |
//!
//! In texts, arguments, inputs, ids and items, `{{path}}` is the agent, `{{n}}` the number of this request among the
//! agent's as far as the input shows, `{{items}}` the number of items in the input, `{{last_output}}` the text of the last
//! output, and `{{pad:1000}}` a thousand letters (at most 64 MiB). Ids that a script does not give are made of `{{items}}` and the place
//! in the reply, so they are unique in a thread as long as its input grows.
//!
//! # The log of requests
//!
//! With [`Scripted::log`], each request is appended to a file before it is answered, one line in one write:
//! `{"session","thread","path","parent","turn","root_turn","attempt","input":[…]}`.

mod model;
mod reply;
mod rule;

pub use model::Scripted;
pub use reply::{Act, Outcome, Reply};
pub use rule::{
    CallStep, CustomCallStep, CutStep, FailStep, Matcher, Rule, Script, ScriptError, Step, TextStep, UsageStep,
};
