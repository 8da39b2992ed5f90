//! What commands of clients and models may touch where the machine's owner says so: whatever a client asks for, and whatever
//! a rollout was left with.

use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Received};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::World;

/// What the machine allows.
const REQUIRED: &str = "\
allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]
allowed_approval_policies = [\"on-request\", \"untrusted\"]
";
/// The file that a model writes that is told to.
const WRITTEN: &str = "written.txt";

/// A model that writes a file when it is told to, and then says so.
fn writes(request: &Received) -> Answer {
    if request.method != "POST" {
        return Answer::error(404, "not_found", "there is no catalogue here");
    }
    let reply = Reply::new(&format!("resp_{}", request.n));
    let is_told = request.input().last().is_some_and(|item| item["role"] == "user");
    Answer::events(match is_told {
        true => {
            let command = json!({"cmd": format!("touch {WRITTEN} && echo done")});
            reply.function_call(&format!("call_{}", request.n), "", "exec_command", &command).completed()
        }
        false => reply.message("done", 1).completed(),
    })
}

fn refusal(what: &str) -> Value {
    let keys = [("sandbox", "allowed_sandbox_modes"), ("approval", "allowed_approval_policies")];
    let (_, key) = keys.iter().find(|(kind, _)| what.contains(kind)).unwrap();
    let message = format!("the {what} is not allowed on this machine ({key} in requirements.toml)");
    json!({"code": -32600, "message": message})
}

/// What of an answer is about rights.
fn rights(answer: &Value) -> Value {
    json!([answer["sandbox"]["type"], answer["activePermissionProfile"]["id"], answer["approvalPolicy"]])
}

fn warnings(heard: &[Value]) -> Vec<String> {
    let own = heard.iter().filter(|message| message["method"] == "warning");
    own.map(|message| message["params"]["message"].as_str().unwrap().to_owned()).collect()
}

async fn turn(client: &Connection, id: u64, thread: &str) {
    let input = json!([{"type": "text", "text": "write", "text_elements": []}]);
    let begun = client.ask(id, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    let is_it = |m: &Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == begun["turn"]["id"];
    client.until("the end of the turn", |heard| heard.iter().find(|m| is_it(m)).cloned()).await;
}

#[tokio::test]
async fn nobody_gets_more_than_the_machine_allows() {
    let world = World::new(writes).await;
    let project = world.project().to_str().unwrap().to_owned();
    let (server, client) = world.over_stdio();
    client.initialize("rights").await;
    let wide = json!({"cwd": project, "sandbox": "danger-full-access", "approvalPolicy": "never"});
    let began = client.ask(1, "thread/start", wide).await.unwrap();
    assert_eq!(rights(&began), json!(["dangerFullAccess", null, "never"]), "without requirements all of it can be had");
    let left = began["thread"]["id"].as_str().unwrap().to_owned();
    turn(&client, 2, &left).await;
    let written = world.project().join(WRITTEN);
    assert!(written.exists(), "and is used");
    std::fs::remove_file(&written).unwrap();
    server.kill().await;

    world.requires(REQUIRED);
    let (_server, client) = world.over_stdio();
    client.initialize("rights").await;
    let listed = client.ask(1, "permissionProfile/list", json!({"cwd": project})).await.unwrap();
    let profile = |id: &str, allowed: bool| json!({"id": id, "description": null, "allowed": allowed});
    let all = [(":read-only", true), (":workspace", true), (":danger-full-access", false)];
    assert_eq!(listed["data"], json!(all.map(|(id, allowed)| profile(id, allowed))));

    let danger = refusal("sandbox `danger-full-access`");
    let external = refusal("sandbox `external-sandbox`");
    let never = refusal("approval policy \"never\"");
    let of_thread = [
        (json!({"sandbox": "danger-full-access"}), &danger),
        (json!({"permissions": ":danger-full-access"}), &danger),
        (json!({"approvalPolicy": "never"}), &never),
    ];
    let own = client.ask(2, "thread/start", json!({"cwd": project, "permissions": ":read-only"})).await.unwrap();
    assert_eq!(rights(&own), json!(["readOnly", ":read-only", "on-request"]));
    let own = own["thread"]["id"].as_str().unwrap().to_owned();
    let mut id = 10;
    let mut refused = async |method: &'static str, what: Value, said: &Value, why: &Value| {
        id += 1;
        let mut params = what;
        params.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let answer = client.ask(id, method, params).await;
        assert_eq!(answer.as_ref(), Err(why), "{method} {said}");
    };
    for (said, why) in &of_thread {
        refused("thread/start", json!({"cwd": project}), said, why).await;
        refused("thread/resume", json!({"threadId": left}), said, why).await;
        refused("thread/fork", json!({"threadId": left}), said, why).await;
        refused("thread/fork", json!({"threadId": own}), said, why).await;
    }
    let policies = [
        (json!({"sandboxPolicy": {"type": "dangerFullAccess"}}), &danger),
        (json!({"sandboxPolicy": {"type": "externalSandbox", "networkAccess": "enabled"}}), &external),
    ];
    let of_turn = [
        (json!({"permissions": ":danger-full-access"}), &danger),
        (json!({"approvalPolicy": "never"}), &never),
        (json!({"permissions": ":workspace", "approvalPolicy": "never"}), &never),
    ];
    let input = json!([{"type": "text", "text": "write", "text_elements": []}]);
    for (said, why) in policies.iter().chain(&of_turn) {
        refused("thread/settings/update", json!({"threadId": own}), said, why).await;
        refused("turn/start", json!({"threadId": own, "input": input}), said, why).await;
    }
    let command = json!({"command": ["touch", WRITTEN]});
    for (said, why) in &policies {
        refused("command/exec", command.clone(), said, why).await;
    }
    refused("command/exec", command, &json!({"permissionProfile": ":danger-full-access"}), &danger).await;
    let unknown = json!({"code": -32600, "message":
        "unknown permission profile `workspace`; there are :read-only, :workspace and :danger-full-access, and \
         [permissions.NAME] tables are not supported in this version"});
    refused("turn/start", json!({"threadId": own, "input": input}), &json!({"permissions": "workspace"}), &unknown)
        .await;
    let by_config = json!({"cwd": project, "config": {"sandbox_mode": "danger-full-access"}});
    let careful = client.ask(100, "thread/start", by_config).await.unwrap();
    assert_eq!(rights(&careful), json!(["readOnly", null, "on-request"]));

    // What a rollout was left with is as good as said, and nobody is there to be refused.
    for (id, method) in [(101, "thread/fork"), (103, "thread/resume")] {
        let told = warnings(&client.heard()).len();
        let on = client.ask(id, method, json!({"threadId": left})).await.unwrap();
        assert_eq!(rights(&on), json!(["readOnly", null, "on-request"]), "{method}");
        let warned = client.until("two warnings", |heard| warnings(heard).get(told..told + 2).map(<[_]>::to_vec)).await;
        let expected = [
            "this thread was left with the sandbox `danger-full-access`, which is not allowed on this machine \
             (allowed_sandbox_modes in requirements.toml); commands run read-only",
            "this thread was left with the approval policy \"never\", which is not allowed on this machine \
             (allowed_approval_policies in requirements.toml); \"on-request\" holds",
        ];
        assert_eq!(warned, expected, "{method}");
        turn(&client, id + 1, on["thread"]["id"].as_str().unwrap()).await;
        assert!(!written.exists(), "{method}");
    }

    // What is allowed is had, and shown as it was chosen.
    let update = json!({"threadId": own, "permissions": ":workspace"});
    assert_eq!(client.ask(110, "thread/settings/update", update).await, Ok(json!({})));
    let is_own = |m: &Value| m["method"] == "thread/settings/updated" && m["params"]["threadId"] == own;
    let set = client.until("the new settings", |heard| heard.iter().rfind(|m| is_own(m)).cloned()).await;
    let set = &set["params"]["threadSettings"];
    let shown = json!([set["sandboxPolicy"]["type"], set["activePermissionProfile"]["id"], set["approvalPolicy"]]);
    assert_eq!(shown, json!(["workspaceWrite", ":workspace", "on-request"]));
    turn(&client, 111, &own).await;
    assert!(written.exists());
}

#[tokio::test]
async fn what_is_refused_sets_nothing() {
    let world = World::new(writes).await;
    let (_server, client) = world.over_stdio();
    client.initialize("rights").await;
    let asked = json!({"cwd": world.project().to_str(), "permissions": ":read-only", "approvalPolicy": "never"});
    let began = client.ask(1, "thread/start", asked).await.unwrap();
    assert_eq!(rights(&began), json!(["readOnly", ":read-only", "never"]));
    let thread = began["thread"]["id"].as_str().unwrap();
    // More than an input may have: that is known only when it is to be accepted.
    let long = "x".repeat(11 << 20);
    let input = json!([{"type": "text", "text": "write", "text_elements": []}]);
    let with = |mut more: Value| {
        more["threadId"] = json!(thread);
        more["permissions"] = json!(":workspace");
        more
    };
    let mode = json!({"mode": "plan", "settings": {"model": "m", "developer_instructions": long}});
    let too_long = [
        ("turn/start", with(json!({"input": input, "outputSchema": {"description": long}}))),
        ("turn/start", with(json!({"input": input, "collaborationMode": mode}))),
        ("thread/settings/update", with(json!({"collaborationMode": mode}))),
    ];
    for (id, (method, params)) in (2..).zip(too_long) {
        let refused = client.ask(id, method, params).await.unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains("at most 10485760 are accepted"), "{method}: {refused}");
    }
    let shown = client.ask(9, "thread/resume", json!({"threadId": thread})).await.unwrap();
    assert_eq!(rights(&shown), rights(&began));
}
