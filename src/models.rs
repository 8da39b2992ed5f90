//! `models`: what the provider has, and where that is known from.

use std::path::Path;

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_model::catalogue::{Catalogue, Catalogues, Fetch, ModelInfo, Refresh, Source, Visibility};
use sapwood_protocol::Millis;
use serde_json::{Value, json};

use crate::cli::ModelsArgs;
use crate::config::{Config, Places};
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::output::{Piece, write_now};
use crate::providers::Providers;
use crate::text::{one_line, pad, safe, thousands, width};

/// The longest piece of a provider's text in a table.
const CUT: usize = 60;

/// Lists the models of the provider that a run would ask.
pub fn run(args: &ModelsArgs) -> Exit {
    match list(args) {
        Ok(exit) => exit,
        Err(failure) => write_now(&[Piece::err(format!("sapwood: {failure}"))], failure.exit),
    }
}

fn list(args: &ModelsArgs) -> Result<Exit, Failure> {
    let homes = Homes::find(args.home.as_deref())?;
    let cwd = crate::setup::directory(None)?;
    let (profile, overrides) = (args.profile.as_deref(), &args.overrides[..]);
    let config = Config::load(&Places { homes: &homes, cwd: Some(&cwd), profile, overrides, client: None })?;
    let providers = Providers::of_process(&config, &homes, "sapwood_models");
    let id = providers.chosen(&config);
    let mut warnings = config.warnings.clone();
    let http = providers.http(&id).or_else(|failure| {
        // Without a key nobody can be asked, and something may be known all the same.
        if Catalogue::known(&id).models().is_empty() || args.refresh {
            return Err(failure);
        }
        warnings.push(failure.message);
        Ok(None)
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, format!("nothing can be asked: {error}")))?;
    let refresh = if args.refresh { Refresh::Always } else { Refresh::Online };
    let fetch = http.as_ref().map(|http| http as &dyn Fetch);
    let catalogues = Catalogues::new(folder(&homes), env!("CARGO_PKG_VERSION"));
    let (catalogue, more) = runtime.block_on(catalogues.load(&id, fetch, refresh, SystemClock.now()));
    warnings.extend(more);
    let text = if args.json { as_json(&id, &catalogue) } else { as_table(&id, &catalogue) };
    let said = warnings.iter().map(|warning| Piece::err(format!("warning: {}", safe(warning))));
    let said: Vec<Piece> = said.chain([Piece::Stdout(text)]).collect();
    // Who wants to know what the provider says now does not get something else for it.
    let is_missed = args.refresh && fetch.is_some() && catalogue.source() != Source::Provider;
    Ok(write_now(&said, if is_missed { Exit::Provider } else { Exit::Done }))
}

/// Where lists of models are kept: never in a Codex home, which has its own file of that name.
pub fn folder(homes: &Homes) -> &Path {
    if homes.is_codex() { &homes.state } else { &homes.home }
}

fn as_json(provider: &str, catalogue: &Catalogue) -> String {
    let (kind, fetched_at) = match catalogue.source() {
        Source::Provider => ("provider", None),
        Source::Cache { fetched_at } => ("cache", Some(fetched_at)),
        Source::Static => ("static", None),
    };
    let models: Vec<Value> = catalogue
        .models()
        .iter()
        .map(|model| {
            json!({
                "slug": model.slug, "display_name": model.display_name, "description": model.description,
                "context_window": model.context_window, "usable_context_window": model.usable_window(),
                "default_effort": model.default_effort, "efforts": model.efforts, "visibility": model.visibility,
                "priority": model.priority, "input_modalities": model.input_modalities,
                "supports_parallel_tool_calls": model.supports_parallel_tool_calls,
            })
        })
        .collect();
    let fetched_at = fetched_at.map(Millis::timestamp);
    format!("{}\n", json!({"provider": provider, "source": kind, "fetched_at": fetched_at, "models": models}))
}

fn as_table(provider: &str, catalogue: &Catalogue) -> String {
    let from = match catalogue.source() {
        Source::Provider => "as the provider says".to_owned(),
        Source::Cache { fetched_at } => format!("as the provider said at {}", fetched_at.timestamp()),
        Source::Static => "as they are known without asking".to_owned(),
    };
    let shown = catalogue.models().iter().filter(|model| model.visibility == Visibility::List);
    let head = ["MODEL", "WINDOW", "EFFORTS", "NAME"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(shown.map(row)).collect();
    let provider = one_line(provider, CUT);
    if rows.len() == 1 {
        return format!("no models of {provider} are known\n");
    }
    let mut widths = [0; 4];
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, widest)| *widest = (*widest).max(width(cell)));
    }
    let mut text = format!("models of {provider}, {from}:\n");
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| pad(cell, width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(model: &ModelInfo) -> [String; 4] {
    let efforts = model.efforts.iter().map(|effort| {
        let mark = if model.default_effort.as_ref() == Some(&effort.effort) { "*" } else { "" };
        format!("{}{mark}", effort.effort)
    });
    let efforts = efforts.collect::<Vec<_>>().join(" ");
    [
        one_line(&model.slug, CUT),
        model.usable_window().map_or_else(|| "-".to_owned(), thousands),
        if efforts.is_empty() { "-".to_owned() } else { one_line(&efforts, CUT) },
        one_line(&model.display_name, CUT),
    ]
}
