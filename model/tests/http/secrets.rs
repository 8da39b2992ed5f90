//! No key is in what anybody reads.

use sapwood_model::{ModelError, Secret};
use sapwood_testkit::sse::{self, Reply};
use sapwood_testkit::{Answer, Server};
use serde_json::json;

use crate::setup::{ask, client, provider};

const KEY: &str = "sk-test-0123456789abcdefghijkl";
const HEADER: &str = "hd-98765432100000";

/// What a server makes of a key that it does not like.
fn echoes() -> Vec<String> {
    vec![
        format!("Incorrect API key provided: {KEY}."),
        format!("Bad header: Authorization: Bearer {KEY}; x-api-key: {HEADER}"),
        "Incorrect API key provided: sk-tes********************ijkl.".to_owned(),
        format!("{}{KEY}", "x".repeat(394)),
        format!("{}\n{KEY}\u{1b}[2J", " ".repeat(500)),
    ]
}

/// True if nobody who reads it learns more of a key than a few characters.
fn is_clean(text: &str) -> bool {
    let pieces =
        [KEY, HEADER].iter().flat_map(|key| key.as_bytes().windows(8)).map(|piece| std::str::from_utf8(piece).unwrap());
    let shown = pieces.chain(["sk-tes", "ijkl", "\u{1b}", "\n"]);
    let hits: Vec<&str> = shown.filter(|piece| text.contains(piece)).collect();
    hits.is_empty()
}

async fn told(answer: impl Fn() -> Answer + Send + Sync + 'static) -> ModelError {
    let server = Server::start(move |_| answer()).await;
    let mut provider = provider(&server.base_url());
    provider.key = Some(Secret::from(KEY));
    provider.headers = vec![("x-api-key".to_owned(), Secret::from(HEADER))];
    provider.query = vec![("k".to_owned(), Secret::from(HEADER))];
    let http = client(provider);
    assert!(is_clean(&format!("{http:?}")), "{http:?}");
    let error = ask(&http).await.unwrap_err();
    let received = &server.received()[0];
    assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()), "it was sent");
    error
}

#[tokio::test]
async fn an_echoed_key_is_in_no_error() {
    for echo in echoes() {
        let text = echo.clone();
        for status in [400, 401, 404, 429, 500, 200] {
            let (json, plain) = (echo.clone(), echo.clone());
            let error = told(move || Answer::error(status, "x", &json)).await;
            assert!(is_clean(&error.to_string()), "{status} {text}: {error}");
            let error =
                told(move || Answer::body(plain.clone()).header("content-type", "text/html").status(status)).await;
            assert!(is_clean(&error.to_string()), "{status} {text}: {error}");
        }
        let (failed, event, odd) = (echo.clone(), echo.clone(), json!({"type": echo.clone(), "delta": []}));
        for error in [
            told(move || Answer::events(Reply::new("r").failed("x", &failed))).await,
            told(move || Answer::events([sse::error(&event, "")])).await,
            told(move || Answer::events([sse::Event::raw(format!("event: {}\ndata: {{\n\n", odd["type"]))])).await,
        ] {
            assert!(is_clean(&error.to_string()), "{text}: {error}");
        }
    }
}

#[tokio::test]
async fn a_key_in_a_redirect_or_a_content_type_is_not_shown() {
    let error =
        told(|| Answer::body("").status(302).header("location", format!("https://x.test/{KEY}?k={HEADER}"))).await;
    assert_eq!(error.to_string().matches("https://x.test/***,").count(), 1, "{error}");
    assert!(is_clean(&error.to_string()));
    let error = told(|| Answer::body("").header("content-type", format!("text/{KEY}"))).await;
    assert!(is_clean(&error.to_string()), "{error}");
}
