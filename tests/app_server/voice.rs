//! What a client has the model told beside its instructions, and how it is to speak: from the first turn on, after a restart,
//! in forks and for children. Where it stands in a request was measured on the real server.

use sapwood_testkit::Received;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::model::answer;
use crate::program::World;

async fn turn(client: &Connection, id: u64, thread: &str, text: &str) {
    let input = json!([{"type": "text", "text": text, "text_elements": []}]);
    let begun = client.ask(id, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    let is_it = |m: &Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == begun["turn"]["id"];
    client.until("the end of the turn", |heard| heard.iter().find(|m| is_it(m)).cloned()).await;
}

/// Who says the first two items of a request, and what the second one says: the first one has the base instructions.
fn opening(request: &Received) -> [String; 3] {
    let input = request.input();
    let texts = [&input[0]["role"], &input[1]["role"], &input[1]["content"][0]["text"]];
    texts.map(|text| text.as_str().unwrap_or_default().to_owned())
}

/// How often a request says it.
fn says(request: &Received, text: &str) -> usize {
    request.json().to_string().matches(text).count()
}

fn asked(world: &World) -> Vec<Received> {
    world.model.received().into_iter().filter(|request| request.method == "POST").collect()
}

fn newest(world: &World) -> Received {
    asked(world).pop().unwrap()
}

async fn start(client: &Connection, id: u64, params: Value) -> String {
    let started = client.ask(id, "thread/start", params).await.unwrap();
    started["thread"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_client_has_the_model_told_stays_told() {
    let world = World::new(answer).await;
    // A key of the top comes before the tables.
    let file = world.home().join("config.toml");
    let tables = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("developer_instructions = \"CONFIGURED\"\n{tables}")).unwrap();
    let project = world.project().to_str().unwrap().to_owned();
    let (server, client) = world.over_stdio();
    client.initialize("voice").await;
    let said = json!({"cwd": project, "developerInstructions": "TOLD FIRST", "personality": "friendly"});
    let thread = start(&client, 1, said.clone()).await;
    let silent = start(&client, 2, said).await;
    let usual = start(&client, 3, json!({"cwd": project})).await;
    let nothing = start(&client, 4, json!({"cwd": project, "developerInstructions": ""})).await;

    turn(&client, 10, &thread, "SPAWN").await;
    let told = ["developer", "developer", "TOLD FIRST"].map(str::to_owned);
    let requests = asked(&world);
    let threads: std::collections::BTreeSet<_> = requests.iter().map(Received::thread).collect();
    assert_eq!(threads.len(), 2, "a child, too");
    for request in &requests {
        assert_eq!((opening(request), says(request, "TOLD FIRST")), (told.clone(), 1), "{}", request.agent_name());
    }
    turn(&client, 11, &usual, "hi").await;
    assert_eq!(opening(&newest(&world))[2], "CONFIGURED");
    turn(&client, 12, &nothing, "hi").await;
    assert_eq!((says(&newest(&world), "CONFIGURED"), says(&newest(&world), "TOLD FIRST")), (0, 0));
    server.kill().await;

    // What it is to be told is in its rollout, whether or not it has had a turn.
    let (_server, client) = world.over_stdio();
    client.initialize("voice").await;
    for (id, thread) in [(1, &thread), (5, &silent)] {
        let fork = client.ask(id, "thread/fork", json!({"threadId": thread})).await.unwrap();
        turn(&client, id + 1, fork["thread"]["id"].as_str().unwrap(), "hi").await;
        assert_eq!((opening(&newest(&world)), says(&newest(&world), "TOLD FIRST")), (told.clone(), 1));
        client.ask(id + 2, "thread/resume", json!({"threadId": thread})).await.unwrap();
        turn(&client, id + 3, thread, "hi").await;
        assert_eq!((opening(&newest(&world)), says(&newest(&world), "TOLD FIRST")), (told.clone(), 1));
    }
    // The voice is kept, and shown with what is set next; it chooses no text any more.
    let update = json!({"threadId": silent, "effort": "low"});
    assert_eq!(client.ask(20, "thread/settings/update", update).await, Ok(json!({})));
    let is_told = |m: &Value| m["method"] == "thread/settings/updated" && m["params"]["threadId"] == silent;
    let told = client.until("the settings", |heard| heard.iter().rfind(|m| is_told(m)).cloned()).await;
    let settings = &told["params"]["threadSettings"];
    assert_eq!((&settings["personality"], &settings["effort"]), (&json!("friendly"), &json!("low")));
    assert_eq!(says(&newest(&world), "friendly"), 0);
}

#[tokio::test]
async fn what_the_machine_has_every_model_told_comes_before_what_is_said() {
    let world = World::new(answer).await;
    world.requires("additional_developer_instructions = \"REQUIRED\"\n");
    let (_server, client) = world.over_stdio();
    client.initialize("voice").await;
    let thread = start(&client, 1, json!({"cwd": world.project(), "developerInstructions": "TOLD FIRST"})).await;
    turn(&client, 2, &thread, "hi").await;
    let input = newest(&world).input();
    let said: Vec<_> = input.iter().rev().take(3).map(|item| (&item["role"], &item["content"][0]["text"])).collect();
    let required = json!("<managed_developer_instructions>\nREQUIRED\n</managed_developer_instructions>");
    assert_eq!(said[..2], [(&json!("user"), &json!("hi")), (&json!("developer"), &required)]);
    assert!(said[2].1.as_str().unwrap().starts_with("<environment_context>"), "{said:?}");
}
