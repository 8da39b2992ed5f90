//! `config`, from outside: the files, what they say, whether it does, and which provider a run asks.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Ran, World};

const USER: &str = "user/.config/sapwood/config.toml";

/// A world whose project may have configuration of its own.
fn world() -> World {
    let world = World::new();
    world.git();
    world
}

fn trust(world: &World) -> String {
    format!("[projects.{:?}]\ntrust_level = \"trusted\"\n", world.path("work").canonicalize().unwrap())
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Layer, state and trust of each file, and the last parts of its path.
fn files(world: &World, args: &[&str]) -> Vec<(String, String, Value)> {
    let ran = world.run(["config", "path", "--json"].into_iter().chain(args.iter().copied()));
    assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
    let root = format!("{}/", world.path("").canonicalize().unwrap().display());
    let shown = json_of(&ran);
    let row = |file: &Value| {
        let path = file["path"].as_str().unwrap().trim_start_matches(&root).to_owned();
        (
            format!("{} {}", file["layer"].as_str().unwrap(), path),
            file["state"].as_str().unwrap().to_owned(),
            file["trusted"].clone(),
        )
    };
    shown["files"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn path_lists_each_file_in_the_order_in_which_it_counts() {
    let world = world();
    world.write(USER, "model = 'm'\n");
    world.write("work/.codex/config.toml", "model = 'p'\n");
    let row = |name: &str, state: &str, trusted: Value| (name.to_owned(), state.to_owned(), trusted);
    let own = |state: &str| {
        [
            row("user user/.local/state/sapwood/config.toml", "missing", Value::Null),
            row("user user/.config/sapwood/config.toml", state, Value::Null),
            row("user user/.codex/config.toml", "read", Value::Null),
        ]
    };
    let project = |state: &str, trusted: bool| {
        [
            row("project work/.sapwood/config.toml", "missing", json!(trusted)),
            row("project work/.codex/config.toml", state, json!(trusted)),
        ]
    };
    assert_eq!(files(&world, &[]), [&project("not trusted", false)[..], &own("read")].concat());
    world.write(USER, trust(&world));
    world.write("user/.config/sapwood/fast.config.toml", "model = 'f'\n");
    let profile = [
        row("profile user/.local/state/sapwood/fast.config.toml", "missing", Value::Null),
        row("profile user/.config/sapwood/fast.config.toml", "read", Value::Null),
        row("profile user/.codex/fast.config.toml", "missing", Value::Null),
    ];
    assert_eq!(files(&world, &["-p", "fast"]), [&project("read", true)[..], &profile, &own("read")].concat());
    let text = world.run(["config", "path"]).out;
    assert!(text.lines().next().unwrap().starts_with("project  "), "{text}");
    assert!(text.contains(".codex/config.toml  (read)"), "{text}");
}

#[test]
fn the_machines_files_can_be_named() {
    let world = world();
    let ours = world.write("etc/a.toml", "model = 'machine'\nmodel_verbosity = 'low'\n");
    let second = world.write("etc/b.toml", "model = 'second'\nservice_tier = 'flex'\n");
    let list = std::env::join_paths([&ours, &second]).unwrap();
    let get = |key: &str| {
        let mut command = world.sapwood(["config", "get", "--json", key]);
        json_of(&Ran::of(command.env("SAPWOOD_SYSTEM_CONFIG", &list).output().unwrap()))["keys"][0]["value"].clone()
    };
    assert_eq!([get("model"), get("model_verbosity"), get("service_tier")], ["machine", "low", "flex"]);
    world.write(USER, "model = 'mine'\n");
    assert_eq!(get("model"), "mine");
}

#[test]
fn get_says_each_value_and_where_it_comes_from_and_no_secret() {
    let world = world();
    let config = world.write(
        USER,
        "model = 'm'\n[agents]\nmax_threads = 6\n[model_providers.acme]\nbase_url = 'https://u:sk-url@acme/v1'\n\
         experimental_bearer_token = 'sk-token'\nhttp_headers = { x-team = 'sk-header' }\nquery_params = { key = 'sk-query' }\n\
         auth = { command = 'sk-command' }\n",
    );
    let place = |line: u32| format!("{}:{line}", config.display());
    let all = world.run(["config", "get", "--json", "-c", "model_providers.acme.http_headers.y=sk-flag"]);
    assert_eq!((all.code, &*all.err), (0, ""));
    let shown = json_of(&all);
    let entry = |key: &str| {
        let entry = shown["keys"].as_array().unwrap().iter().find(|entry| entry["key"] == key);
        entry.map(|entry| (entry["value"].clone(), entry["from"].as_str().unwrap().to_owned())).unwrap_or_default()
    };
    assert_eq!(entry("model"), (json!("m"), place(1)));
    assert_eq!(entry("agents.max_depth"), (json!(8), "default".into()));
    assert_eq!(entry("service_tier"), (Value::Null, "unset".into()));
    assert_eq!(entry("features.multi_agent_v2.max_concurrent_threads_per_session"), (json!(7), place(3)));
    for key in ["base_url", "experimental_bearer_token", "http_headers.x-team", "query_params.key", "auth.command"] {
        assert_eq!(entry(&format!("model_providers.acme.{key}")).0, "***", "{key}");
    }
    assert_eq!(entry("model_providers.acme.http_headers.y").1, "-c model_providers.acme.http_headers.y=***");
    let text = world.run(["config", "get"]);
    assert!(text.out.contains(&format!("model = \"m\"  # {}\n", place(1))), "{}", text.out);
    assert!(!text.out.contains("sk-") && !all.out.contains("sk-"), "{}{}", text.out, all.out);

    let one = world.run(["config", "get", "model"]).out;
    assert_eq!(one.lines().nth(1), Some(&*format!("model = \"m\"  # {}", place(1))));
    assert!(world.run(["config", "get", "agents"]).out.contains("agents.max_depth = 8  # default\n"));
    assert!(
        world.run(["config", "get", "projects"]).out.starts_with("# projects is not set\n# projects.*.trust_level: ")
    );
    for (key, why) in [
        ("modle", "unknown configuration key `modle`; did you mean `model`?"),
        ("tui.theme", "`tui.theme` is a key of Codex that has no effect here"),
        ("a..b", "`a..b` is no key"),
    ] {
        let ran = world.run(["config", "get", key]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}

#[test]
fn check_tells_everything_at_once_and_exits_3_if_a_run_would_be_refused() {
    let world = world();
    let fine = world.run(["config", "check"]);
    assert_eq!((fine.code, &*fine.out), (0, "the configuration is fine\n"), "{}", fine.err);
    world.write("work/.codex/config.toml", "model_provider = 'evil'\n");
    let config = world.write(USER, "modle = 1\n[agents]\nmax_depth = 'deep'\n[sapwood]\nscritp = 'x'\n");
    let broken = world.write("user/.local/state/sapwood/config.toml", "a = = 1\n");
    let ran = world.run(["config", "check", "--json"]);
    assert_eq!((ran.code, &*ran.err), (3, ""), "{ran:?}");
    let shown = json_of(&ran);
    let found: Vec<(String, String)> = shown["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["level"].to_string(), problem["message"].as_str().unwrap().to_owned()))
        .collect();
    let place = |line: u32| format!("{}:{line}: ", config.display());
    let levels: Vec<&str> = found.iter().map(|(level, _)| level.trim_matches('"')).collect();
    assert_eq!((levels, &shown["ok"]), (vec!["error", "warning", "error", "error", "note"], &json!(false)));
    let starts = [format!("{}:1: ", broken.display()), place(1), place(3), place(5), String::new()];
    for ((_, message), start) in found.iter().zip(&starts) {
        assert!(message.starts_with(start), "{message}");
    }
    let text = world.run(["config", "check"]);
    assert_eq!(text.code, 3);
    assert!(text.out.ends_with("the configuration cannot be used\n"), "{}", text.out);
    // A run fails with the first of them, and says it as a failure.
    let refused = world.run(["exec", "x"]);
    assert_eq!((refused.code, &*refused.out), (3, ""));
    assert!(refused.err.contains(&found[0].1), "{}", refused.err);
    assert_eq!(world.run(["config", "get"]).code, 3);

    std::fs::remove_file(broken).unwrap();
    world.write(USER, trust(&world));
    let warned = world.run(["config", "check"]);
    assert_eq!(warned.code, 0);
    assert!(
        warned.out.contains("`model_provider` is not used") && warned.out.ends_with("can be used\n"),
        "{}",
        warned.out
    );
    world.write(
        USER,
        "model_provider = 'acme'\n[model_providers.acme]\nbase_url = 'https://acme/v1'\nenv_key = 'ACME'\n\
                       env_key_instructions = 'Ask Ada.'\n",
    );
    let keyless = world.run(["config", "check"]);
    assert_eq!(keyless.code, 3);
    assert!(keyless.out.contains("in the environment variable ACME, which is not set; Ask Ada."), "{}", keyless.out);
}

#[test]
fn what_cannot_be_asked_is_exit_3_and_no_key_is_repeated() {
    let world = world();
    let acme = |more: &str| format!("model_provider = 'acme'\n[model_providers.acme]\n{more}\n");
    let cases = [
        (acme("base_url = 'ftp://acme/v1'"), "model_providers.acme.base_url must begin with http:// or https://"),
        (acme("base_url = 'https://u:sk-url@acme/v1'"), "must not hold a user or a password"),
        (acme("name = 'Acme'"), "the provider `acme` has no address; set model_providers.acme.base_url"),
        (acme("base_url = 'https://acme/v1'\nwire_api = 'chat'"), "if the provider has the Responses API"),
        (acme("base_url = 'https://acme/v1'\nauth = { command = 'sk-run' }"), "auth is not available in this version"),
        (
            "model_provider = 'nobody'\n".to_owned(),
            "the provider `nobody` is not configured: add [model_providers.nobody]",
        ),
        ("model_provider = 'ollama'\n".to_owned(), "the provider `ollama` has no usual model: name one with -m"),
        ("model_provider = 'openai'\n".to_owned(), "set CODEX_API_KEY or OPENAI_API_KEY"),
    ];
    for (text, why) in cases {
        world.write(USER, text);
        let ran = world.run(["exec", "x"]);
        assert_eq!((ran.code, &*ran.out), (3, ""), "{why}: {}", ran.err);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
        assert!(!ran.err.contains("sk-"), "{}", ran.err);
    }
    assert!(world.rollouts().is_empty());
}

/// Answers each request with one message, and says what was asked: the head, and the body.
fn provider(answers: usize) -> (String, std::thread::JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || (0..answers).map(|_| answer(&listener)).collect());
    (url, thread)
}

fn answer(listener: &TcpListener) -> (String, Value) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "heard"}]});
    let usage = json!({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2});
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ];
    let text: String =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    let close = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
    write!(&stream, "{close}content-length: {}\r\n\r\n{text}", text.len()).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

/// T031: the provider, model and effort of a thread are its own, whatever the files say by now; the command line wins.
#[test]
fn a_resumed_thread_keeps_its_provider_model_and_effort_unless_the_command_line_says_otherwise() {
    let world = world();
    let (first, asked_first) = provider(2);
    let (second, asked_second) = provider(1);
    let table = |id: &str, url: &str| {
        format!("[model_providers.{id}]\nbase_url = '{url}'\nexperimental_bearer_token = 'sk-{id}'\n")
    };
    let tables = table("one", &first) + &table("two", &second);
    world.write(USER, &tables);
    let profile = |id: &str, effort: &str| {
        format!(
            "model_provider = '{id}'\nmodel = 'model-{id}'\nmodel_reasoning_effort = '{effort}'\nservice_tier = 'fast'\n"
        )
    };
    world.write("user/.config/sapwood/one.config.toml", profile("one", "high"));
    world.write("user/.config/sapwood/two.config.toml", profile("two", "low"));
    let run = |args: &[&str]| {
        let ran = world.run(["exec"].into_iter().chain(args.iter().copied()));
        assert_eq!((ran.code, &*ran.out), (0, "heard\n"), "{}", ran.err);
        ran
    };
    run(&["-p", "one", "go"]);
    let switched = run(&["-p", "two", "resume", "--last", "more"]);
    assert!(switched.err.contains("goes on with the model `model-one` of `one`"), "{}", switched.err);
    assert!(switched.err.contains("`model-two` of `two`"), "{}", switched.err);
    let said = run(&["-p", "two", "-m", "model-said", "resume", "--last", "more"]);
    assert!(!said.err.contains("goes on with the model"), "{}", said.err);
    let seen = |asked: Vec<(String, Value)>| -> Vec<Value> {
        let row = |(head, body): &(String, Value)| {
            let key = head.lines().find(|line| line.starts_with("authorization: ")).unwrap();
            json!([key, body["model"], body["reasoning"]["effort"], body["service_tier"]])
        };
        asked.iter().map(row).collect()
    };
    let one = json!(["authorization: bearer sk-one", "model-one", "high", "priority"]);
    assert_eq!(seen(asked_first.join().unwrap()), [one.clone(), one]);
    let two = json!(["authorization: bearer sk-two", "model-said", "low", "priority"]);
    assert_eq!(seen(asked_second.join().unwrap()), [two]);

    // Without its provider it cannot go on, and says what is missing.
    world.write(USER, table("one", &first));
    let gone = world.run(["exec", "resume", "--last", "more"]);
    assert_eq!(gone.code, 3);
    assert!(gone.err.contains("the provider `two` is not configured"), "{}", gone.err);
}

#[test]
fn a_key_in_the_environment_chooses_openai() {
    let world = world();
    let (url, asked) = provider(1);
    let base = format!("openai_base_url={url}");
    let mut command = world.sapwood(["exec", "-c", &base, "go"]);
    let command = command.env("OPENAI_API_KEY", "sk-openai").env("CODEX_API_KEY", "sk-codex");
    let ran = Ran::of(command.env("OPENAI_BASE_URL", "http://127.0.0.1:9/never").output().unwrap());
    assert_eq!((ran.code, &*ran.out), (0, "heard\n"), "{}", ran.err);
    let (head, body) = asked.join().unwrap().remove(0);
    assert!(head.contains("authorization: bearer sk-codex"), "{head}");
    assert_eq!(body["model"], "gpt-6.1-sol");
}

#[test]
fn a_tree_in_codexs_home_goes_on_there_also_where_a_new_one_would_be_a_rehearsal() {
    let world = world();
    let (url, asked) = provider(2);
    world.write(USER, format!("[model_providers.one]\nbase_url = '{url}'\n"));
    let codex = world.path("other");
    std::fs::create_dir_all(&codex).unwrap();
    let run = |args: &[&str]| {
        let mut command = world.sapwood(["exec"].into_iter().chain(args.iter().copied()));
        Ran::of(command.env("CODEX_HOME", &codex).output().unwrap())
    };
    let made = run(&["-c", "model_provider=one", "-m", "m", "go"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let resumed = run(&["resume", "--last", "more"]);
    assert_eq!((resumed.code, &*resumed.out), (0, "heard\n"), "{}", resumed.err);
    assert_eq!(resumed.session(), made.session());
    let models: Vec<Value> = asked.join().unwrap().into_iter().map(|(_, body)| body["model"].clone()).collect();
    assert_eq!(models, ["m", "m"]);
}
