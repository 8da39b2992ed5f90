use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::port::Refusal;

const NOW: Millis = Millis(1_800_000_000_000);

/// A provider that says the same each time, and counts how often it was asked.
struct Provider {
    place: &'static str,
    says: Result<String, ModelError>,
    asked: AtomicUsize,
}

impl Provider {
    fn says(body: impl ToString) -> Self {
        Self { place: "https://models.test/v1", says: Ok(body.to_string()), asked: AtomicUsize::new(0) }
    }

    fn refuses() -> Self {
        let message = "models.test refused the key (401)".to_owned();
        let says = Err(ModelError::Refused { status: 401, reason: Refusal::Unauthorized, message });
        Self { says, ..Self::says("") }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Fetch for Provider {
    fn place(&self) -> &str {
        self.place
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, ModelError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let fetched = self.says.clone().map(|body| Fetched { body: body.into(), etag: Some("e1".into()) });
        Box::pin(async { fetched })
    }
}

struct World {
    home: TempDir,
    catalogues: Catalogues,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        // A home that is not there yet.
        let catalogues = Catalogues::new(home.path().join("new"), "1.0.0");
        Self { home, catalogues }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("new").join(FILE)
    }

    async fn load(&self, fetch: &Provider, refresh: Refresh, now: Millis) -> (Catalogue, Vec<String>) {
        self.catalogues.load("other", Some(fetch), refresh, now).await
    }
}

fn slugs(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.models().iter().map(|model| model.slug.as_str()).collect()
}

fn plain(ids: &[&str]) -> serde_json::Value {
    json!({"object": "list", "data": ids.iter().map(|id| json!({"id": id, "object": "model"})).collect::<Vec<_>>()})
}

#[tokio::test]
async fn one_provider_is_asked_and_another_is_known() {
    let world = World::new();
    let (fetched, warnings) = world.load(&Provider::says(plain(&["b", "a"])), Refresh::Online, NOW).await;
    assert_eq!((slugs(&fetched), fetched.source()), (vec!["a", "b"], Source::Provider));
    let (known, more) = world.catalogues.load("openai", None, Refresh::Always, NOW).await;
    assert_eq!(known, Catalogue::known("openai"));
    let of_openai = [
        "gpt-6.1-sol",
        "gpt-6-astra",
        "gpt-6-sol",
        "gpt-6-luna",
        "gpt-5.6-sol",
        "gpt-6.1-terra",
        "gpt-5.6-terra",
        "gpt-5.6-luna",
        "gpt-5.5",
        "gpt-5.4",
    ];
    assert_eq!(slugs(&known), of_openai);
    assert_eq!((warnings, more), (Vec::new(), Vec::new()));
    let (nothing, _) = world.catalogues.load("rehearsal", None, Refresh::Always, NOW).await;
    assert_eq!((nothing.models(), nothing.source()), (&[][..], Source::Static));
}

#[test]
fn the_window_of_a_turn_is_what_a_model_may_fill() {
    let known = Catalogue::known("openai");
    assert_eq!(known.context_window("gpt-5.5"), Some(258_400));
    assert_eq!(known.context_window("gpt-5.5-2026-01-01"), Some(258_400));
    assert_eq!(known.context_window("gpt-5.55"), None);
    assert_eq!(known.context_window("gpt-6-astra"), None);
    let model = ModelInfo { context_window: Some(1000), effective_percent: Some(400), ..ModelInfo::default() };
    assert_eq!(model.usable_window(), Some(1000));
}

#[test]
fn the_rich_form_is_read_and_what_is_not_understood_is_passed_over() {
    let body = json!({"models": [
        {"slug": "late", "priority": 9, "visibility": "none", "context_window": 0, "new": {"x": [1]}},
        {"slug": "first", "display_name": "First", "description": "All of it.", "priority": 1, "visibility": "list",
         "context_window": 1000, "effective_context_window_percent": 90, "default_reasoning_level": "low",
         "supported_reasoning_levels": [{"effort": "low", "description": "Quick"}, {"effort": "high"}, 7],
         "input_modalities": ["text", "image"], "multi_agent_version": "v2", "default_service_tier": "priority",
         "service_tiers": [{"id": "priority", "name": "Fast", "description": "Quicker"}, {"name": "without an id"}],
         "availability_nux": {"message": "It is there."}, "supports_parallel_tool_calls": true},
        {"slug": ""}, {"name": "nobody"}, 5, {"slug": "first", "priority": 2},
        {"slug": "without"},
    ]});
    let catalogue = Catalogue::new(parse::list("other", body.to_string().as_bytes()).unwrap(), Source::Provider);
    assert_eq!(slugs(&catalogue), ["first", "late", "without"]);
    let effort = |effort: &str, description: Option<&str>| Effort {
        effort: effort.into(),
        description: description.map(str::to_owned),
    };
    let first = ModelInfo {
        slug: "first".into(),
        display_name: "First".into(),
        description: Some("All of it.".into()),
        context_window: Some(1000),
        effective_percent: Some(90),
        default_effort: Some("low".into()),
        efforts: vec![effort("low", Some("Quick")), effort("high", None)],
        visibility: Visibility::List,
        priority: Some(1),
        input_modalities: vec!["text".into(), "image".into()],
        supports_parallel_tool_calls: true,
        service_tiers: vec![ServiceTier { id: "priority".into(), name: "Fast".into(), description: "Quicker".into() }],
        default_service_tier: Some("priority".into()),
        multi_agent_version: Some("v2".into()),
        announcement: Some("It is there.".into()),
    };
    assert_eq!(catalogue.models()[0], first);
    assert_eq!(catalogue.context_window("first"), Some(900));
    assert_eq!((catalogue.models()[1].visibility, catalogue.context_window("late")), (Visibility::Hide, None));
}

#[test]
fn a_plain_list_is_completed_with_what_is_known_of_that_provider() {
    let body = plain(&["gpt-5.5", "gpt-new"]).to_string();
    let ours = Catalogue::new(parse::list("openai", body.as_bytes()).unwrap(), Source::Provider);
    assert_eq!(ours.context_window("gpt-5.5"), Some(258_400));
    assert_eq!(ours.model("gpt-new").map(|model| model.display_name.as_str()), Some("gpt-new"));
    let others = Catalogue::new(parse::list("other", body.as_bytes()).unwrap(), Source::Provider);
    assert_eq!(others.context_window("gpt-5.5"), None);
}

#[test]
fn lists_are_bounded() {
    let ids: Vec<String> = (0..MAX_MODELS + 5).map(|n| format!("m{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(parse::list("other", plain(&ids).to_string().as_bytes()).unwrap().len(), MAX_MODELS);
    let long = json!({"models": [{"slug": "x".repeat(5000)}, {"slug": "y", "description": "z".repeat(5000)}]});
    let models = parse::list("other", long.to_string().as_bytes()).unwrap();
    assert_eq!((models.len(), models[0].slug.as_str(), &models[0].description), (1, "y", &None));
    assert!(parse::list("other", &vec![b' '; MAX_BYTES + 1]).unwrap_err().contains("bytes"));
}

#[tokio::test]
async fn a_list_is_asked_for_again_when_it_is_old() {
    let world = World::new();
    let provider = Provider::says(plain(&["a"]));
    let cases = [
        (Refresh::Offline, NOW, 0, Source::Static),
        (Refresh::OnlineIfUncached, NOW, 1, Source::Provider),
        (Refresh::Online, NOW, 1, Source::Cache { fetched_at: NOW }),
        (Refresh::Online, NOW.plus(TTL.0 - 1), 1, Source::Cache { fetched_at: NOW }),
        (Refresh::Offline, NOW.plus(TTL.0), 1, Source::Cache { fetched_at: NOW }),
        (Refresh::OnlineIfUncached, NOW.plus(TTL.0), 1, Source::Cache { fetched_at: NOW }),
        (Refresh::Online, NOW.plus(TTL.0), 2, Source::Provider),
        (Refresh::Always, NOW.plus(TTL.0), 3, Source::Provider),
        // The clock was set back: its age is not known.
        (Refresh::Online, NOW, 4, Source::Provider),
    ];
    for (refresh, now, asked, source) in cases {
        let (catalogue, warnings) = world.load(&provider, refresh, now).await;
        assert_eq!((provider.asked(), catalogue.source(), warnings), (asked, source, vec![]), "{refresh:?} {now:?}");
    }
    let moved = Provider { place: "https://elsewhere.test/v1", ..Provider::says(plain(&["b"])) };
    let (catalogue, _) = world.load(&moved, Refresh::OnlineIfUncached, NOW).await;
    assert_eq!((slugs(&catalogue), moved.asked()), (vec!["b"], 1));
    let updated = Catalogues::new(world.file().parent().unwrap(), "1.0.1");
    updated.load("other", Some(&moved), Refresh::Online, NOW).await;
    assert_eq!(moved.asked(), 2);
}

#[tokio::test]
async fn a_provider_that_refuses_costs_a_warning() {
    let world = World::new();
    let (catalogue, warnings) = world.catalogues.load("openai", Some(&Provider::refuses()), Refresh::Online, NOW).await;
    assert_eq!(catalogue, Catalogue::known("openai"));
    let why = "the models of `openai` could not be fetched: models.test refused the key (401); what is known without \
               asking counts";
    assert_eq!(warnings, [why]);
    world.load(&Provider::says(plain(&["a"])), Refresh::Online, NOW).await;
    let later = NOW.plus(TTL.0);
    for broken in [Provider::refuses(), Provider::says("<html>"), Provider::says("{}"), Provider::says(plain(&[]))] {
        let (catalogue, warnings) = world.load(&broken, Refresh::Online, later).await;
        assert_eq!((slugs(&catalogue), catalogue.source()), (vec!["a"], Source::Cache { fetched_at: NOW }));
        assert!(warnings.len() == 1 && warnings[0].contains(&NOW.timestamp()), "{warnings:?}");
    }
}

#[tokio::test]
async fn a_broken_file_is_replaced() {
    let world = World::new();
    let provider = Provider::says(plain(&["a"]));
    for broken in [&b"{\"form\":1,\"lists\":"[..], b"\xff\xfe", b"[]"] {
        fs::create_dir_all(world.file().parent().unwrap()).unwrap();
        fs::write(world.file(), broken).unwrap();
        let (catalogue, warnings) = world.load(&provider, Refresh::Online, NOW).await;
        assert_eq!((slugs(&catalogue), catalogue.source()), (vec!["a"], Source::Provider));
        assert!(warnings.len() == 1 && warnings[0].contains("made anew"), "{warnings:?}");
        let (catalogue, warnings) = world.load(&provider, Refresh::Offline, NOW).await;
        assert_eq!((catalogue.source(), warnings), (Source::Cache { fetched_at: NOW }, vec![]));
    }
    // Nothing else is left in the home, and one provider's list does not drive out another's.
    world.catalogues.load("third", Some(&provider), Refresh::Online, NOW).await;
    let (catalogue, _) = world.load(&provider, Refresh::Offline, NOW).await;
    assert_eq!(catalogue.source(), Source::Cache { fetched_at: NOW });
    assert_eq!(fs::read_dir(world.file().parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_home_that_cannot_be_written_costs_a_warning() {
    let world = World::new();
    fs::write(world.file().parent().unwrap(), "a file").unwrap();
    let (catalogue, warnings) = world.load(&Provider::says(plain(&["a"])), Refresh::Online, NOW).await;
    assert_eq!(slugs(&catalogue), ["a"]);
    assert!(warnings.last().unwrap().contains("could not be kept"), "{warnings:?}");
}
