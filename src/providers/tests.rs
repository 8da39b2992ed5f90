use std::sync::Arc;

use sapwood_actors::agent::state::Asking;
use sapwood_protocol::Millis;

use super::*;
use crate::config::{Hidden, Named};

/// Variables, and the text of `auth.json` if there is one.
fn environment(variables: &[(&str, &str)], auth: Option<&str>) -> (tempfile::TempDir, Environment) {
    let home = tempfile::tempdir().unwrap();
    if let Some(auth) = auth {
        std::fs::write(home.path().join("auth.json"), auth).unwrap();
    }
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::new(home.path(), move |name| variables.get(name).cloned());
    (home, environment)
}

fn providers(config: &Config, variables: &[(&str, &str)]) -> Providers {
    let (_home, environment) = environment(variables, None);
    Providers::new(config, environment, "test", Arc::new(|| Millis(0)))
}

fn provider(id: &str, of: ProviderTable) -> Config {
    let provider = Some(Named { id: id.into(), place: "-c model_provider".into() });
    Config { provider, providers: BTreeMap::from([(id.into(), of)]), ..Config::default() }
}

fn at(url: &str) -> ProviderTable {
    ProviderTable {
        base_url: Some((url.into(), "config.toml:1".into())),
        place: "config.toml:1".into(),
        ..Default::default()
    }
}

/// Provider and key of a client, or what is wrong.
fn asked(providers: &Providers, id: &str) -> Result<(String, Option<String>, Option<String>), String> {
    let http = providers.http(id).map_err(|failure| failure.message)?.unwrap();
    let provider = http.provider();
    let key = provider.key.as_ref().map(|key| key.reveal().to_owned());
    Ok((provider.base_url.clone(), key, provider.key_from.clone()))
}

#[test]
fn a_key_in_the_environment_is_as_good_as_a_word() {
    let none = Config::default();
    for (variables, chosen) in [
        (&[][..], REHEARSAL),
        (&[("OPENAI_API_KEY", " ")], REHEARSAL),
        (&[("OPENAI_API_KEY", "k")], OPENAI),
        (&[("CODEX_API_KEY", "k")], OPENAI),
    ] {
        assert_eq!(providers(&none, variables).chosen(&none), chosen);
    }
    let config = provider("x", at("https://x/v1"));
    assert_eq!(providers(&config, &[("OPENAI_API_KEY", "k")]).chosen(&config), "x");
}

#[test]
fn where_the_key_comes_from() {
    let found = |key: &str, from: &str| Some((key.to_owned(), from.to_owned()));
    let openai = || ProviderTable { requires_openai_auth: true, ..at("https://x/v1") };
    let keyed = ProviderTable { env_key: Some("X".into()), env_key_instructions: Some("ask Ada".into()), ..openai() };
    let both = [("OPENAI_API_KEY", "o"), ("CODEX_API_KEY", "c"), ("X", "x")];
    let bearer = ProviderTable { bearer_token: Some(Hidden("b".into())), ..openai() };
    let headed = ProviderTable { http_headers: vec![("Authorization".into(), Hidden("h".into()))], ..openai() };
    let missing = "the provider `p` needs a key: set CODEX_API_KEY or OPENAI_API_KEY";
    type Case<'a> =
        (&'a ProviderTable, &'a [(&'a str, &'a str)], Option<&'a str>, Result<Option<(String, String)>, String>);
    let cases: [Case<'_>; 11] = [
        (&keyed, &both, None, Ok(found("x", "X"))),
        (
            &keyed,
            &both[..2],
            None,
            Err("the provider `p` needs its key in the environment variable X, which is not set; ask Ada".into()),
        ),
        (&bearer, &both, None, Ok(found("b", "model_providers.p.experimental_bearer_token"))),
        (&openai(), &both, None, Ok(found("c", "CODEX_API_KEY"))),
        (&openai(), &both[..1], None, Ok(found("o", "OPENAI_API_KEY"))),
        (
            &openai(),
            &[],
            Some(r#"{"OPENAI_API_KEY":"kept","tokens":{}}"#),
            Ok(found("kept", "OPENAI_API_KEY in HOME/auth.json")),
        ),
        (
            &openai(),
            &[],
            Some(r#"{"OPENAI_API_KEY":null,"tokens":{"access_token":"t"}}"#),
            Err(format!("{missing}; the login with ChatGPT in HOME/auth.json cannot be used here, only a key can")),
        ),
        (
            &openai(),
            &[],
            Some("{\"OPENAI_API_KEY\":\"sk-1"),
            Err(format!("{missing}; HOME/auth.json is no valid JSON")),
        ),
        (&openai(), &[], None, Err(missing.into())),
        (&headed, &[], None, Ok(None)),
        (&at("https://x/v1"), &both, Some("{}"), Ok(None)),
    ];
    for (table, variables, auth, expected) in cases {
        let (home, environment) = environment(variables, auth);
        let clean = |text: String| text.replace(home.path().to_str().unwrap(), "HOME");
        let key = environment.key("p", table).map_err(|failure| clean(failure.message));
        assert_eq!(key.map(|key| key.map(|(key, from)| (key.reveal().to_owned(), clean(from)))), expected);
    }
}

#[test]
fn what_is_built_in_can_be_completed_and_what_is_not_must_have_an_address() {
    let config = Config {
        openai_base_url: Some(("http://127.0.0.1:9/v1".into(), "-c".into())),
        ..provider("openai", ProviderTable { stream_max_retries: Some(9), ..at("https://elsewhere/v1") })
    };
    let all = providers(&config, &[("OPENAI_API_KEY", "o"), ("OPENAI_PROJECT", "p")]);
    let expected = ("http://127.0.0.1:9/v1".into(), Some("o".into()), Some("OPENAI_API_KEY".into()));
    assert_eq!(asked(&all, OPENAI), Ok(expected));
    assert_eq!(all.retries(OPENAI), Retries { request: 4, stream: 9 });
    let http = all.http(OPENAI).unwrap().unwrap();
    let headers: Vec<&str> = http.provider().headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        (headers, http.provider().name.as_str(), http.provider().originator.as_str()),
        (vec!["OpenAI-Project"], "OpenAI", "test")
    );
    assert_eq!(asked(&all, "ollama"), Ok(("http://localhost:11434/v1".into(), None, None)));
    assert_eq!(all.default_model("ollama"), None);

    let none = Config::default();
    assert_eq!(asked(&providers(&none, &[("CODEX_API_KEY", "c")]), OPENAI).unwrap().0, OPENAI_BASE_URL);
    let wrong = |table: ProviderTable| asked(&providers(&provider("p", table), &[]), "p").unwrap_err();
    let nowhere = ProviderTable { base_url: None, ..at("") };
    assert_eq!(wrong(nowhere), "config.toml:1: the provider `p` has no address; set model_providers.p.base_url");
    assert!(wrong(at("ftp://x")).contains("model_providers.p.base_url must begin with http:// or https://"));
    let commanded = ProviderTable { unsupported: Some(("auth".into(), "config.toml:2".into())), ..at("https://x") };
    assert!(wrong(commanded).starts_with("config.toml:2: model_providers.p.auth is not available"));
    let unknown = asked(&providers(&none, &[]), "q").unwrap_err();
    assert!(unknown.starts_with("the provider `q` is not configured: add [model_providers.q]"), "{unknown}");
}

#[test]
fn a_key_on_an_open_line_is_a_warning() {
    let keyed = |url: &str| ProviderTable { env_key: Some("X".into()), ..at(url) };
    let warnings = |table: ProviderTable| providers(&provider("p", table), &[("X", "x")]).warnings("p");
    let warning =
        "config.toml:1: the provider `p` is asked over http, so anybody on the way can read its key; use https";
    assert_eq!(warnings(keyed("http://far/v1")), [warning]);
    assert_eq!(warnings(keyed("http://localhost/v1")), Vec::<String>::new());
    assert_eq!(warnings(at("http://far/v1")), Vec::<String>::new());
    let none = Config::default();
    let openai = providers(&none, &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "https://x")]).warnings(OPENAI);
    assert_eq!(openai, ["OPENAI_BASE_URL is not read, as in Codex; set openai_base_url"]);
}

#[test]
fn no_command_should_see_what_keys_and_headers_are_in() {
    let table = ProviderTable {
        env_key: Some("X_KEY".into()),
        env_http_headers: vec![("a".into(), "X_HEADER".into())],
        ..at("https://x/v1")
    };
    let variables = providers(&provider("x", table), &[]).secret_variables();
    let expected = ["CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_ORGANIZATION", "OPENAI_PROJECT", "X_HEADER", "X_KEY"];
    assert_eq!(variables, expected);
}

#[test]
fn a_thread_keeps_what_it_began_with_unless_the_command_line_says_something() {
    let configured =
        Config { model: Some("new".into()), effort: Some("low".into()), ..provider("q", at("https://q/v1")) };
    let own = |model: Option<&str>| Asking {
        provider: Some("p".into()),
        model: model.map(Into::into),
        effort: Some("high".into()),
        ..Asking::default()
    };
    let choose = |config: &Config, flag: Option<&str>, own: Option<&Asking>| {
        let choice = Choice::new(config, flag, own, &providers(config, &[])).unwrap();
        (choice.provider, choice.model, choice.effort, choice.is_said, choice.notes.len())
    };
    let row = |provider: &str, model: &str, effort: Option<&str>, is_said, notes| {
        (provider.to_owned(), model.to_owned(), effort.map(str::to_owned), is_said, notes)
    };
    let said = Config { model_is_said: true, ..configured.clone() };
    let bare = Config { model: None, effort: None, ..configured.clone() };
    let same = Config { model: Some("old".into()), ..provider("p", at("https://p/v1")) };
    assert_eq!(choose(&configured, None, None), row("q", "new", Some("low"), true, 0));
    assert_eq!(choose(&configured, None, Some(&own(Some("old")))), row("p", "old", Some("high"), false, 1));
    assert_eq!(choose(&same, None, Some(&own(Some("old")))), row("p", "old", Some("high"), false, 0));
    assert_eq!(choose(&configured, None, Some(&own(None))), row("p", "new", Some("low"), false, 0));
    assert_eq!(choose(&configured, None, Some(&Asking::default())), row("q", "new", Some("low"), true, 0));
    assert_eq!(choose(&configured, Some("m"), Some(&own(Some("old")))), row("q", "m", Some("low"), true, 0));
    assert_eq!(choose(&said, None, Some(&own(Some("old")))), row("q", "new", Some("low"), true, 0));
    assert_eq!(choose(&bare, None, None), row("q", DEFAULT_MODEL, None, true, 0));
    assert_eq!(choose(&Config::default(), Some("m"), None), row(REHEARSAL, REHEARSAL, None, true, 0));
    let local = Config { provider: Some(Named { id: "ollama".into(), place: String::new() }), ..Config::default() };
    assert!(Choice::new(&local, None, None, &providers(&local, &[])).unwrap_err().message.contains("name one with -m"));
    let note = Choice::new(&configured, None, Some(&own(Some("old"))), &providers(&configured, &[])).unwrap().notes;
    assert!(note[0].contains("`old` of `p`") && note[0].contains("`new` of `q`"), "{note:?}");
}
