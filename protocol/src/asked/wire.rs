//! The request that a question becomes.

use serde_json::{Map, Value, json};

use super::{Action, Asked, CommandAsk, What};
use crate::approval::paths::absolute;
use crate::ids::{ThreadId, TurnId};

/// The environment of all commands: there is one.
pub const ENVIRONMENT: &str = "local";

impl What {
    /// The method of the request.
    pub fn method(&self) -> &'static str {
        match self {
            What::Command(_) => "item/commandExecution/requestApproval",
            What::FileChange { .. } => "item/fileChange/requestApproval",
            What::Permissions { .. } => "item/permissions/requestApproval",
            What::UserInput { .. } => "item/tool/requestUserInput",
            What::DynamicTool { .. } => "item/tool/call",
        }
    }
}

impl Asked {
    /// The params of the request, for the client of this thread's turn. Fields stand in the order in which Codex writes
    /// them, and what is `null` or left out is so there.
    pub fn params(&self, thread: ThreadId, turn: &TurnId) -> Value {
        match &self.what {
            What::Command(ask) => {
                let mut params = Map::new();
                params.insert("kind".into(), "command".into());
                params.extend(self.place(thread, turn));
                params.insert("startedAtMs".into(), json!(self.at));
                params.insert("environmentId".into(), ENVIRONMENT.into());
                ask.fields(&mut params);
                Value::Object(params)
            }
            What::FileChange { reason, grant_root, .. } => {
                let mut params = self.place(thread, turn);
                params.insert("startedAtMs".into(), json!(self.at));
                params.insert("reason".into(), json!(reason));
                params.insert("grantRoot".into(), json!(grant_root));
                Value::Object(params)
            }
            What::Permissions { reason, cwd, permissions } => {
                let mut params = self.place(thread, turn);
                params.insert("environmentId".into(), ENVIRONMENT.into());
                params.insert("startedAtMs".into(), json!(self.at));
                params.insert("cwd".into(), json!(cwd));
                params.insert("reason".into(), json!(reason));
                params.insert("permissions".into(), permissions.wire());
                Value::Object(params)
            }
            What::UserInput { questions, blocking, auto_resolution_ms } => {
                let mut params = self.place(thread, turn);
                params.insert("questions".into(), json!(questions));
                params.insert("isBlocking".into(), json!(blocking));
                params.insert("autoResolutionMs".into(), json!(auto_resolution_ms));
                Value::Object(params)
            }
            What::DynamicTool { namespace, tool, arguments } => json!({
                "threadId": thread, "turnId": turn, "callId": self.call, "namespace": namespace, "tool": tool,
                "arguments": arguments,
            }),
        }
    }

    fn place(&self, thread: ThreadId, turn: &TurnId) -> Map<String, Value> {
        let mut place = Map::new();
        place.insert("threadId".into(), json!(thread));
        place.insert("turnId".into(), json!(turn));
        place.insert("itemId".into(), json!(self.call));
        place
    }
}

impl CommandAsk {
    fn fields(&self, params: &mut Map<String, Value>) {
        if let Some(reason) = &self.reason {
            params.insert("reason".into(), json!(reason));
        }
        params.insert("command".into(), super::shell::joined(&self.command).into());
        params.insert("cwd".into(), json!(self.cwd));
        let actions = self.actions.iter().map(|action| action.wire(&self.cwd)).collect();
        params.insert("commandActions".into(), Value::Array(actions));
        if let Some(permissions) = &self.permissions {
            params.insert("additionalPermissions".into(), permissions.wire());
        }
        if let Some(amendment) = &self.amendment {
            params.insert("proposedExecpolicyAmendment".into(), json!(amendment));
        }
        params.insert("availableDecisions".into(), json!(self.decisions));
    }
}

impl Action {
    /// The form for clients: the path of a file that is read is absolute there.
    pub fn wire(&self, cwd: &str) -> Value {
        match self {
            Action::Read { cmd, name, path } => {
                json!({"type": "read", "command": cmd, "name": name, "path": absolute(cwd, path)})
            }
            Action::ListFiles { cmd, path } => json!({"type": "listFiles", "command": cmd, "path": path}),
            Action::Search { cmd, query, path } => {
                json!({"type": "search", "command": cmd, "query": query, "path": path})
            }
            Action::Unknown { cmd } => json!({"type": "unknown", "command": cmd}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all, asked};
    use super::*;

    #[test]
    fn requests_are_those_recorded() {
        let thread: ThreadId = "01a1fb76-6bee-7871-a2b7-2c2b022f05ef".parse().unwrap();
        let turn = TurnId::from("U");
        let table = [
            (
                "item/commandExecution/requestApproval",
                r#"{"kind":"command","threadId":"T","turnId":"U","itemId":"call_12","startedAtMs":1795220204873,"environmentId":"local","reason":"needs approval for test","command":"/bin/bash -lc 'touch approved-by-test.txt && echo approved-ok'","cwd":"/w","commandActions":[{"type":"unknown","command":"touch approved-by-test.txt && echo approved-ok"}],"proposedExecpolicyAmendment":["touch","approved-by-test.txt"],"availableDecisions":["accept",{"acceptWithExecpolicyAmendment":{"execpolicy_amendment":["touch","approved-by-test.txt"]}},"cancel"]}"#,
            ),
            (
                "item/fileChange/requestApproval",
                r#"{"threadId":"T","turnId":"U","itemId":"call_12","startedAtMs":1795220204873,"reason":null,"grantRoot":null}"#,
            ),
            (
                "item/permissions/requestApproval",
                r#"{"threadId":"T","turnId":"U","itemId":"call_12","environmentId":"local","startedAtMs":1795220204873,"cwd":"/w","reason":"need","permissions":{"network":{"enabled":true},"fileSystem":null}}"#,
            ),
            (
                "item/tool/requestUserInput",
                r#"{"threadId":"T","turnId":"U","itemId":"call_12","questions":[{"id":"q1","header":"Pick","question":"Which one?","isOther":true,"isSecret":false,"options":[{"label":"A","description":"first"}]}],"isBlocking":true,"autoResolutionMs":null}"#,
            ),
            (
                "item/tool/call",
                r#"{"threadId":"T","turnId":"U","callId":"call_12","namespace":null,"tool":"list_threads","arguments":{}}"#,
            ),
        ];
        for (what, (method, params)) in all().into_iter().zip(table) {
            assert_eq!(what.method(), method);
            let params = params.replace(r#""T""#, &format!("\"{thread}\""));
            assert_eq!(asked(what).params(thread, &turn).to_string(), params);
        }
    }

    #[test]
    fn actions_have_two_forms() {
        let read = Action::Read { cmd: "cat a".into(), name: "a".into(), path: "x/a".into() };
        assert_eq!(read.wire("/w"), json!({"type": "read", "command": "cat a", "name": "a", "path": "/w/x/a"}));
        let list = Action::ListFiles { cmd: "ls".into(), path: None };
        assert_eq!(list.wire("/w"), json!({"type": "listFiles", "command": "ls", "path": null}));
        assert_eq!(serde_json::to_value(&list).unwrap(), json!({"type": "list_files", "cmd": "ls", "path": null}));
        let search = Action::Search { cmd: "rg a".into(), query: Some("a".into()), path: None };
        let form = json!({"type": "search", "command": "rg a", "query": "a", "path": null});
        assert_eq!(search.wire("/w"), form);
    }
}
