//! `sapwood doctor`: each check, in homes that are as they should be and as they should not.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use sapwood_testkit::{Answer, Server};
use serde_json::{Value, json};
use support::{Ran, World, files};

const KEY: &str = "sk-doctor-77d1e02c";

fn doctor(world: &World, args: &[&str]) -> (i32, Value) {
    let mut command = world.sapwood(["doctor", "--json"].into_iter().chain(args.iter().copied()));
    command.env("LOOP_KEY", KEY).env("SAPWOOD_SYSTEM_CONFIG", "");
    let ran = Ran::of(command.output().unwrap());
    let shown = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert!(!ran.out.contains(KEY) && !ran.err.contains(KEY), "it tells the key");
    (ran.code, shown)
}

/// Status and message of one check, its details behind it.
fn check(shown: &Value, name: &str) -> (String, String) {
    let all = shown["checks"].as_array().unwrap();
    let check = all.iter().find(|check| check["name"] == name).unwrap();
    let details = check["details"].as_array().unwrap().iter().map(|detail| detail.as_str().unwrap());
    let text = [check["message"].as_str().unwrap()].into_iter().chain(details).collect::<Vec<_>>().join(" | ");
    let status = check["status"].as_str().unwrap().to_owned();
    assert_eq!(status == "ok", check["todo"].is_null(), "what is not ok says what to do: {check}");
    (status, text)
}

#[track_caller]
fn assert_check(shown: &Value, name: &str, status: &str, parts: &[&str]) {
    let (found, text) = check(shown, name);
    assert_eq!(found, status, "{text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is missing: {text}"));
}

fn answer(world: &World) -> [String; 6] {
    world.script("answer", json!([{"reply": [{"text": "done"}]}]))
}

#[test]
fn a_new_home_is_fine_and_stays_as_it_is() {
    let world = World::new();
    let before = files(&world.path("user"));
    let (code, shown) = doctor(&world, &[]);
    assert_eq!((code, &shown["ok"], &shown["home"]), (0, &json!(true), &json!(world.home().to_str().unwrap())));
    let names: Vec<&Value> = shown["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    let all =
        ["home", "configuration", "locks", "sandbox", "provider", "limits", "leftovers", "versions"].map(Value::from);
    assert_eq!(names, all.iter().collect::<Vec<_>>());
    assert_check(&shown, "home", "ok", &["the usual place", "made when it is first needed", "MB free"]);
    assert_check(&shown, "configuration", "ok", &["/.codex/config.toml (read)"]);
    assert_check(&shown, "locks", "ok", &["no thread is held"]);
    assert_check(&shown, "provider", "ok", &["rehearsal: works in this process"]);
    assert_check(&shown, "leftovers", "ok", &["none in 0 rollouts"]);
    assert_check(&shown, "versions", "ok", &["sapwood ", "no rollout of Codex's"]);
    assert_eq!(files(&world.path("user")), before);
    assert!(!world.home().exists());

    let lines = world.run(["doctor"]);
    assert_eq!(lines.code, 0, "{lines:?}");
    assert!(lines.out.starts_with("ok       home           "), "{}", lines.out);
    assert_eq!(lines.out.lines().filter(|line| line.starts_with("ok ")).count(), 8, "{}", lines.out);
}

#[test]
fn a_home_that_cannot_be_one_is_a_failure() {
    let world = World::new();
    let file = world.write("a file", "");
    let (code, shown) = doctor(&world, &["--home", file.to_str().unwrap()]);
    assert_eq!((code, &shown["ok"]), (1, &json!(false)));
    assert_check(&shown, "home", "failure", &["by --home", "is no directory"]);
    // To root every directory can be written.
    if !rustix::process::getuid().is_root() {
        let folder = world.path("locked");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        let (_, shown) = doctor(&world, &["--home", folder.to_str().unwrap()]);
        assert_check(&shown, "home", "failure", &["nothing can be written"]);
    }
    let (_, shown) = doctor(&world, &["--home", world.path("user/.codex").to_str().unwrap()]);
    assert_check(&shown, "home", "ok", &["a Codex home"]);
}

#[test]
fn mistakes_and_warnings_of_the_configuration_are_told_with_their_place() {
    let world = World::new();
    let place = world.write("user/.config/sapwood/config.toml", "modle = 'x'\n");
    let (code, shown) = doctor(&world, &[]);
    assert_eq!(code, 0);
    assert_check(&shown, "configuration", "warning", &[&format!("{}:1: ", place.display()), "`modle`"]);
    world.write("user/.config/sapwood/config.toml", "agents.max_depth = 'deep'\n");
    let (code, shown) = doctor(&world, &[]);
    assert_eq!(code, 1);
    assert_check(&shown, "configuration", "failure", &[&format!("{}:1: ", place.display()), "agents.max_depth"]);
}

#[test]
fn who_holds_what_is_told_and_what_a_kill_leaves() {
    let world = World::new();
    let hang = world.script("hang", json!([{"reply": ["hang"]}]));
    let running = world.start(&hang, &["go"], "/root  started");
    let session = running.session();
    let (_, shown) = doctor(&world, &[]);
    let who = format!("{session}: process {} (sapwood exec, since ", running.child.id());
    assert_check(&shown, "locks", "ok", &["1 thread is held", &who]);
    assert_check(&shown, "leftovers", "ok", &["none in 1 rollouts"]);
    running.signal(Signal::KILL);
    let (code, shown) = doctor(&world, &[]);
    assert_eq!(code, 0, "what a crash leaves is a warning");
    assert_check(&shown, "locks", "ok", &["no thread is held; 1 lock file that nobody here holds"]);
    let open = format!("open turn: /root, thread {session}");
    assert_check(&shown, "leftovers", "warning", &["1 turn that its process left open", &open]);
}

#[test]
fn what_lies_around_is_named() {
    let world = World::new();
    let paths: Vec<_> = (0..4).map(|_| world.exec(&answer(&world), &["go"]).session()).collect();
    let rollout =
        |session: &str| world.rollouts().into_iter().find(|path| path.to_str().unwrap().contains(session)).unwrap();
    let [torn, empty, broken, orphaned] = [0, 1, 2, 3].map(|n| rollout(&paths[n]));
    let add = |path: &std::path::Path, text: &str| {
        let content = fs::read_to_string(path).unwrap();
        fs::write(path, content + text).unwrap();
    };
    add(&torn, "{\"ordi");
    fs::write(&empty, "").unwrap();
    fs::write(&broken, "this is no rollout\n").unwrap();
    // A process of a turn that is still open, as a crash of the whole machine's supervisor would leave it.
    let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.id())).unwrap();
    let start: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let at = "2099-01-01T00:00:00.000Z";
    let call = json!({"type": "function_call", "call_id": "c", "name": "exec_command", "arguments": "{}"});
    let group = json!({"v": 1, "call": "c", "group": {"id": sleeper.id(), "start": start}});
    let lines = [
        json!({"timestamp": at, "ordinal": 100, "type": "event_msg", "payload": {"type": "task_started", "turn_id": "t"}}),
        json!({"timestamp": at, "ordinal": 101, "type": "response_item", "payload": call}),
        json!({"timestamp": at, "type": "sapwood.tool_started", "payload": group}),
    ];
    add(&orphaned, &lines.map(|line| format!("{line}\n")).concat());
    let unborn = torn.with_file_name(".unborn-01a1fb6a-a76e-71a2-bd2a-94a0af49bbef");
    fs::write(&unborn, "").unwrap();
    let temporary = world.home().join("x.tmp");
    fs::write(&temporary, "").unwrap();

    let before = files(&world.home());
    let (code, shown) = doctor(&world, &[]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_eq!(code, 0);
    let id = format!("process group {} of thread {}", sleeper.id(), paths[3]);
    let named = |what: &str, path: &std::path::Path| format!("{what}: {}", path.display());
    let parts = [
        id,
        format!("{}", broken.display()),
        named("broken last line", &torn),
        named("empty", &empty),
        named("never finished", &unborn),
        named("temporary", &temporary),
    ];
    assert_check(&shown, "leftovers", "warning", &parts.each_ref().map(String::as_str));
    assert_eq!(files(&world.home()), before);
    let (_, shown) = doctor(&world, &[]);
    assert!(!check(&shown, "leftovers").1.contains("process group"), "it has ended");
}

#[test]
fn a_newer_codex_than_is_known_is_a_warning() {
    let world = World::new();
    let rollout = |thread: &str, version: &str| {
        let meta = json!({"id": thread, "cwd": "/", "originator": "codex_exec", "cli_version": version,
            "history_mode": "paginated"});
        let line =
            json!({"timestamp": "2026-11-21T00:03:53.341Z", "ordinal": 0, "type": "session_meta", "payload": meta});
        world.write(
            &format!("home/sessions/2026/11/21/rollout-2026-11-21T00-03-53-{thread}.jsonl"),
            format!("{line}\n"),
        );
    };
    let home = world.path("home");
    let home = ["--home", home.to_str().unwrap()];
    rollout("01a1fb6a-a76e-71a2-bd2a-94a0af49bb01", "0.99.3");
    rollout("01a1fb6a-a76e-71a2-bd2a-94a0af49bb02", "0.169.0");
    assert_check(&doctor(&world, &home).1, "versions", "ok", &["Codex 0.169.0 wrote here"]);
    rollout("01a1fb6a-a76e-71a2-bd2a-94a0af49bb03", "0.170.0-alpha.1");
    assert_check(
        &doctor(&world, &home).1,
        "versions",
        "warning",
        &["Codex 0.170.0-alpha.1 wrote here", "knows 0.169.0"],
    );
}

#[test]
fn few_files_are_a_warning() {
    let world = World::new();
    let plain = world.sapwood([]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "ulimit -n 256; exec \"$0\" doctor --json", env!("CARGO_BIN_EXE_sapwood")]);
    shell.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(shell.current_dir(world.path("work")).output().unwrap());
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_check(&shown, "limits", "warning", &["open files: 256", "some 32 agents"]);
}

/// Asks a doctor whose provider answers like this.
async fn with_provider(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (i32, Value) {
    let server = Server::start(move |_| answer()).await;
    let base = server.base_url();
    let ran = tokio::task::spawn_blocking(move || {
        let world = World::new();
        world.write("user/.config/sapwood/config.toml", provider(&base));
        doctor(&world, &[])
    });
    ran.await.unwrap()
}

fn provider(base_url: &str) -> String {
    format!("model_provider = 'loop'\n[model_providers.loop]\nbase_url = '{base_url}'\nenv_key = 'LOOP_KEY'\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_for_its_models() {
    let (code, shown) = with_provider(|| Answer::json(&json!({"data": []})).status(200)).await;
    assert_eq!(code, 0, "{shown}");
    assert_check(&shown, "provider", "ok", &["loop, with a key from", "LOOP_KEY", ": answers"]);
    let (code, shown) = with_provider(|| Answer::json(&json!({"error": {"message": "no such key"}})).status(401)).await;
    assert_eq!(code, 1);
    assert_check(&shown, "provider", "failure", &["loop, with a key from", "401"]);
    let (code, shown) = with_provider(|| Answer::json(&json!({})).status(404)).await;
    assert_eq!(code, 0);
    assert_check(&shown, "provider", "warning", &["has no list of models"]);
}

#[test]
fn a_provider_that_is_not_there_or_has_no_key_is_a_failure() {
    let world = World::new();
    // A port that nobody listens on: it was ours a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.write("user/.config/sapwood/config.toml", provider(&format!("http://127.0.0.1:{port}/v1")));
    let (code, shown) = doctor(&world, &[]);
    assert_eq!(code, 1);
    assert_check(&shown, "provider", "failure", &["loop, with a key from", "cannot be reached"]);
    let ran = world.run(["doctor", "--json"]);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_check(&shown, "provider", "failure", &["LOOP_KEY"]);
}
