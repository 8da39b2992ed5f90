//! What only a client with the capability `experimentalApi` may use: whole methods, and fields of others.
//!
//! Measured with the server 0.169.0: params are read first, so what is malformed is told before what is not allowed; of
//! several fields the first one in the order below is named; `null` and, where a field is a plain switch, `false` count as
//! not given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Methods that are experimental as a whole, in the order of [`super::methods::METHODS`].
pub const METHODS: &[&str] = &[
    "server/diagnostics",
    "userVerification/status",
    "userVerification/enroll",
    "userVerification/delete",
    "userVerification/verify",
    "userVerification/cancel",
    "thread/sample",
    "thread/sample/cancel",
    "thread/increment_elicitation",
    "thread/decrement_elicitation",
    "thread/prediction/request",
    "thread/queue/add",
    "thread/queue/list",
    "thread/queue/update",
    "thread/queue/delete",
    "thread/queue/reorder",
    "thread/queue/start",
    "thread/settings/update",
    "thread/memoryMode/set",
    "thread/memory/read",
    "memory/status",
    "memory/reset",
    "rollout/compress",
    "thread/backgroundTerminals/clean",
    "thread/backgroundTerminals/list",
    "thread/backgroundTerminals/terminate",
    "project/list",
    "project/read",
    "project/create",
    "project/import",
    "project/update",
    "project/move",
    "project/delete",
    "thread/search",
    "thread/searchOccurrences",
    "thread/readState/update",
    "thread/items/read",
    "thread/guardianReview",
    "thread/prepareApprovedPlan",
    "plugin/search",
    "turn/settings/update",
    "thread/realtime/start",
    "thread/realtime/appendAudio",
    "thread/realtime/appendText",
    "thread/realtime/appendSpeech",
    "thread/realtime/stop",
    "thread/timeline/list",
    "thread/realtime/listVoices",
    "remoteControl/enable",
    "remoteControl/disable",
    "remoteControl/status/read",
    "remoteControl/pairing/start",
    "remoteControl/pairing/status",
    "remoteControl/client/list",
    "remoteControl/client/revoke",
    "collaborationMode/list",
    "mock/experimentalMethod",
    "environment/add",
    "environment/info",
    "environment/status",
    "mcpServer/event/stream/start",
    "mcpServer/event/stream/stop",
    "account/bedrock/discover",
    "account/bedrock/setup",
    "account/gcp/setup",
    "account/bedrock/checkGovCloudRequirements",
    "accountSession/list",
    "accountSession/switch",
    "process/spawn",
    "process/writeStdin",
    "process/kill",
    "process/resizePty",
    "fuzzyFileSearch/sessionStart",
    "fuzzyFileSearch/sessionUpdate",
    "fuzzyFileSearch/sessionStop",
];

/// When a field counts as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// With any value but `null`: an empty list counts.
    Given,
    /// With `true`.
    True,
    /// Also with `null`, which has a meaning of its own.
    EvenNull,
    /// With an object that has this key, whatever the key holds.
    Has(&'static str),
    /// With an object in which this key is `true`.
    HasTrue(&'static str),
}

use Counts::{EvenNull, Given, Has, HasTrue, True};

/// An experimental field: its name in the params, when it counts, and what it is called.
type Field = (&'static str, Counts, &'static str);

macro_rules! fields {
    ($method:literal: $($field:literal $counts:expr,)*) => {
        ($method, &[
            $(($field, $counts, concat!($method, ".", $field)),)*
            ("approvalPolicy", Has("granular"), "askForApproval.granular"),
        ])
    };
}

/// The experimental fields of each method that is not experimental itself.
const FIELDS: &[(&str, &[Field])] = &[
    fields!("thread/start":
        "allowProviderModelFallback" True,
        "runtimeWorkspaceRoots" Given,
        "permissions" Given,
        "multiAgentMode" Given,
        "historyMode" Given,
        "projectId" Given,
        "daybreakEnabled" Given,
        "environments" Given,
        "dynamicTools" Given,
        "selectedCapabilityRoots" Given,
        "mockExperimentalField" Given,
        "experimentalRawEvents" True,
    ),
    fields!("thread/resume":
        "history" Given,
        "path" Given,
        "runtimeWorkspaceRoots" Given,
        "permissions" Given,
        "initialTurnsPage" Given,
    ),
    fields!("thread/fork":
        "experimentalPredictionMode" True,
        "experimentalDisablePredictionMcp" True,
        "beforeTurnId" Given,
        "path" Given,
        "runtimeWorkspaceRoots" Given,
        "permissions" Given,
        "attachToSource" True,
        "deferGoalContinuation" True,
    ),
    fields!("thread/metadata/update":
        "projectId" Given,
        "daybreakEnabled" Given,
    ),
    fields!("thread/list":
        "includeAttachedThreads" True,
        "projectId" EvenNull,
        "parentThreadId" Given,
        "ancestorThreadId" Given,
        "attachedToThreadId" Given,
    ),
    fields!("turn/start":
        "responsesapiClientMetadata" Given,
        "responsesapiClientMetadataPatch" Given,
        "additionalContext" Given,
        "environments" Given,
        "runtimeWorkspaceRoots" Given,
        "permissions" Given,
        "collaborationMode" Given,
        "multiAgentMode" Given,
        "cyberAccessProgram" Given,
    ),
    fields!("turn/steer":
        "responsesapiClientMetadata" Given,
        "responsesapiClientMetadataPatch" Given,
        "additionalContext" Given,
    ),
    fields!("command/exec":
        "permissionProfile" Given,
    ),
    (
        "thread/items/list",
        &[
            ("deferOutput", HasTrue("commandExecution"), "thread/items/list.deferOutput.commandExecution"),
            ("deferOutput", HasTrue("mcpToolCall"), "thread/items/list.deferOutput.mcpToolCall"),
        ],
    ),
];

/// What of a request needs the capability: the method, a `method.field`, or what the real server calls a value. `None` also for
/// params that are not an object: they are told to be malformed.
pub fn gate(method: &str, params: &RawValue) -> Option<&'static str> {
    if let Some(name) = METHODS.iter().find(|name| **name == method) {
        return Some(name);
    }
    let (_, fields) = FIELDS.iter().find(|(name, _)| *name == method)?;
    let params = object(params)?;
    let used = |field: &&Field| params.get(field.0).is_some_and(|value| counts(field.1, value));
    fields.iter().find(used).map(|(_, _, what)| *what)
}

fn object(json: &RawValue) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_str(json.get()).ok()
}

fn counts(rule: Counts, value: &RawValue) -> bool {
    let key = |name: &str| object(value).and_then(|object| object.get(name).copied());
    match rule {
        Given => value.get() != "null",
        True => value.get() == "true",
        EvenNull => true,
        Has(name) => key(name).is_some(),
        HasTrue(name) => key(name).is_some_and(|value| value.get() == "true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::methods;

    fn of(method: &str, params: &str) -> Option<&'static str> {
        gate(method, &RawValue::from_string(params.to_owned()).unwrap())
    }

    #[test]
    fn the_gate_closes_as_measured() {
        let table = [
            ("thread/queue/add", "{}", Some("thread/queue/add")),
            ("thread/turns/list", "{}", None),
            ("thread/start", "{}", None),
            ("thread/start", r#"{"multiAgentMode":"proactive"}"#, Some("thread/start.multiAgentMode")),
            ("thread/start", r#"{"multiAgentMode":null}"#, None),
            ("thread/start", r#"{"dynamicTools":[]}"#, Some("thread/start.dynamicTools")),
            ("thread/start", r#"{"daybreakEnabled":false}"#, Some("thread/start.daybreakEnabled")),
            ("thread/start", r#"{"experimentalRawEvents":false}"#, None),
            ("thread/start", r#"{"experimentalRawEvents":true}"#, Some("thread/start.experimentalRawEvents")),
            ("thread/start", r#"{"approvalPolicy":{"granular":{}}}"#, Some("askForApproval.granular")),
            ("thread/start", r#"{"approvalPolicy":"never"}"#, None),
            ("thread/start", r#"{"environments":[],"permissions":"p"}"#, Some("thread/start.permissions")),
            ("thread/start", r#"{"\u0070ermissions":"p"}"#, Some("thread/start.permissions")),
            ("thread/start", "[]", None),
            ("thread/list", r#"{"projectId":null}"#, Some("thread/list.projectId")),
            ("thread/list", r#"{"parentThreadId":null}"#, None),
            ("thread/metadata/update", r#"{"projectId":null}"#, None),
            ("turn/start", r#"{"additionalContext":{}}"#, Some("turn/start.additionalContext")),
            ("turn/start", r#"{"serviceTierForTurn":"x"}"#, None),
            (
                "thread/items/list",
                r#"{"deferOutput":{"mcpToolCall":true}}"#,
                Some("thread/items/list.deferOutput.mcpToolCall"),
            ),
            ("thread/items/list", r#"{"deferOutput":{"mcpToolCall":false}}"#, None),
            ("nope/nope", r#"{"path":"x"}"#, None),
        ];
        for (method, params, what) in table {
            assert_eq!(of(method, params), what, "{method} {params}");
        }
    }

    #[test]
    fn every_gated_method_is_one() {
        let named = METHODS.iter().chain(FIELDS.iter().map(|(method, _)| method));
        assert_eq!(named.filter(|method| !methods::is_known(method)).count(), 0);
        assert_eq!((METHODS.len(), methods::METHODS.len()), (75, 184));
    }
}
