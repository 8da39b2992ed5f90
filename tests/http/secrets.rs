//! A key is in no output, no rollout and no log, even if the provider repeats it.

use sapwood_testkit::sse::{Reply, error};
use sapwood_testkit::{Answer, Received};

use crate::loopback::{Config, Loop};
use crate::support::files;

const WRONG: &str = "sk-wrong-key-4815162342";
const HEADER: &str = "hdr-wrong-key-2342161584";

/// Says what it was sent, in every place where a provider can say something.
fn echo(request: &Received) -> Answer {
    let authorization = request.header("authorization").unwrap().to_owned();
    assert_eq!((&*authorization, request.header("x-api-key")), (&*format!("Bearer {WRONG}"), Some(HEADER)));
    let words = format!("wrong: {authorization} and {HEADER}, in halves {} {}", &WRONG[..12], &WRONG[12..]);
    let answer = match request.n % 5 {
        0 => Answer::error(401, "invalid_api_key", &words),
        1 => Answer::body(words.clone()).status(403),
        2 => {
            Answer::body(format!("<html><title>{words}</title></html>")).status(200).header("content-type", "text/html")
        }
        3 => Answer::events([error("invalid_request_error", &words)]),
        _ => Answer::events(Reply::new(WRONG).failed("server_error", &words)),
    };
    answer
        .header("x-request-id", WRONG)
        .header("x-echo", words.replace('\n', " "))
        .header("location", format!("/{WRONG}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_provider_repeats_is_seen_nowhere() {
    const MORE: &str = "[model_providers.loop.http_headers]\nx-api-key = \"hdr-wrong-key-2342161584\"\n";
    let config = Config { request_retries: 0, stream_retries: 0, more: MORE, ..Config::default() };
    let world = Loop::start(config, echo).await;
    for (n, args) in [&["go"][..], &["--json", "go"], &["go"], &["--json", "go"], &["go"]].into_iter().enumerate() {
        let ran = world.exec_as(WRONG, args).await;
        assert_eq!(ran.code, if n < 2 { 3 } else { 4 }, "{n}: {}", ran.err);
        assert!(ran.err.contains("Loopback"), "{n}: {}", ran.err);
        for (what, text) in [("stdout", &ran.out), ("stderr", &ran.err)] {
            for secret in [WRONG, HEADER] {
                assert!(!text.contains(secret), "{n}: a key is in {what}: {text}");
            }
        }
    }
    assert_eq!(world.server.received().len(), 5);
    let config = world.world.path("user/.config/sapwood/config.toml");
    let mut looked_at = 0;
    for (path, bytes) in files(&world.world.path("")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(WRONG), "a key is in {}", path.display());
        // The person put the other one there.
        assert!(path == config || !text.contains(HEADER), "a key is in {}", path.display());
        looked_at += usize::from(path.extension().is_some_and(|extension| extension == "jsonl"));
    }
    assert_eq!(looked_at, 5, "a rollout for each run");
}
