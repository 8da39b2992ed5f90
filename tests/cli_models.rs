//! `models` from outside: a provider on loopback, and what is known without one.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Ran, World};

/// A provider that answers each request with this list, and counts them.
fn provider(list: Value) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let first = lines.next().unwrap();
            assert!(lines.by_ref().any(|line| line.is_empty()), "a request ends");
            count.fetch_add(1, Ordering::SeqCst);
            let (status, body) = if first.starts_with("GET /v1/models ") {
                ("200 OK", list.to_string())
            } else {
                ("404 Not Found", "{}".into())
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            (&stream).write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (address, asked)
}

fn models(world: &World, base_url: &str, args: &[&str]) -> Ran {
    let url = format!("model_providers.local.base_url=\"{base_url}\"");
    let name = "model_providers.local.name=\"Local\"";
    let provider = ["models", "-c", "model_provider=local", "-c", name, "-c", &url];
    world.run(provider.into_iter().chain(args.iter().copied()))
}

#[test]
fn the_provider_is_asked_once_and_again_when_it_is_wanted() {
    let world = World::new();
    let list = json!({"models": [
        {"slug": "small", "priority": 2, "display_name": "Small\u{1b}[2J"},
        {"slug": "big", "priority": 1, "display_name": "Big", "context_window": 1_000_000,
         "default_reasoning_level": "low", "supported_reasoning_levels": [{"effort": "low"}, {"effort": "high"}]},
        {"slug": "secret", "visibility": "hide"},
    ]});
    let (address, asked) = provider(list);
    let url = format!("http://{address}/v1");
    let ran = models(&world, &url, &[]);
    let table = "models of local, as the provider says:\n\
                 MODEL  WINDOW   EFFORTS    NAME\n\
                 big    950,000  low* high  Big\n\
                 small  -        -          Small\\x1b[2J\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, table, ""));
    let kept: Value = serde_json::from_str(&models(&world, &url, &["--json"]).out).unwrap();
    let slugs: Vec<&str> = kept["models"].as_array().unwrap().iter().map(|m| m["slug"].as_str().unwrap()).collect();
    assert_eq!((&kept["source"], slugs), (&json!("cache"), vec!["big", "small", "secret"]));
    assert_eq!(kept["models"][0]["usable_context_window"], json!(950_000));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(models(&world, &url, &["--refresh"]).out.contains("as the provider says"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_provider_that_does_not_answer_well_is_named_and_costs_the_list_only() {
    let world = World::new();
    let (address, _) = provider(json!({"object": "list", "data": [{"id": "one"}]}));
    let (good, bad) = (format!("http://{address}/v1"), format!("http://{address}/v2"));
    let ran = models(&world, &bad, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "no models of local are known\n"));
    assert!(ran.err.contains("the models of `local` could not be fetched"), "{}", ran.err);
    let ran = models(&world, &bad, &["--refresh"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(models(&world, &good, &[]).out.contains("\none "));
}

#[test]
fn what_is_known_is_listed_without_a_key_and_codexs_home_is_left_alone() {
    let world = World::new();
    let ran = world.run(["models", "-c", "model_provider=openai"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("models of openai, as they are known without asking:\n"), "{}", ran.out);
    assert!(ran.out.contains("gpt-5.5") && ran.out.contains("258,400"), "{}", ran.out);
    assert!(ran.err.contains("OPENAI_API_KEY"), "{}", ran.err);
    assert_eq!(world.run(["models"]).out, "no models of rehearsal are known\n");
    // The list of a guest is kept at home; the end of the world checks that nothing of Codex's has changed.
    let (address, _) = provider(json!({"data": [{"id": "one"}]}));
    let home = world.path("user/.codex");
    let ran = models(&world, &format!("http://{address}/v1"), &["--home", home.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(world.home().join("models_cache.json").is_file());
}
