//! `ps`: the truth about every tree and agent of a home, from rollouts and locks alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sapwood_actors::agent::Agent;
use sapwood_actors::fold;
use sapwood_protocol::own::{Adopted, Goal, Outcome};
use sapwood_protocol::{Millis, SessionId, ThreadId, Usage};
use sapwood_rollout::{Entry, FileJournal, Filter, Journal};
use serde_json::{Value, json};

use crate::cli::PsArgs;
use crate::events;
use crate::exit::{Exit, Failure};
use crate::home::Homes;
use crate::output::{Piece, write_now};
use crate::text::{one_line, thousands};

/// Shows what there is.
pub fn run(args: &PsArgs) -> Exit {
    match show(args) {
        Ok(exit) => exit,
        Err(failure) => write_now(&[Piece::err(format!("sapwood: {failure}"))], failure.exit),
    }
}

fn show(args: &PsArgs) -> Result<Exit, Failure> {
    let homes = Homes::find(args.home.as_deref())?;
    let mut places = vec![homes.home.clone()];
    // The rehearsal of a Codex home keeps its rollouts in ours.
    if homes.is_codex() && homes.state != homes.home {
        places.push(homes.state.clone());
    }
    let mut all = Vec::new();
    for home in &places {
        all.push((home, agents(home)?));
    }
    let text = if args.json { as_json(&places, &all) } else { as_tables(&all) };
    Ok(write_now(&[Piece::Stdout(text)], Exit::Done))
}

/// One agent, as it is shown.
struct Shown {
    session: SessionId,
    thread: ThreadId,
    parent: Option<ThreadId>,
    path: String,
    nickname: Option<String>,
    /// What people call the thread.
    name: Option<String>,
    /// What it is to reach.
    goal: Option<Goal>,
    /// Its children that were closed.
    closed: Vec<ThreadId>,
    state: State,
    usage: Usage,
    created: Millis,
    updated: Millis,
    cwd: Option<String>,
    /// The process that holds its tree.
    pid: Option<u32>,
    place: String,
}

/// The state of an agent, and what more there is to say of it.
struct State {
    name: &'static str,
    note: Option<String>,
}

/// All agents of a home: trees newest first, their agents by path.
fn agents(home: &Path) -> Result<Vec<Shown>, Failure> {
    let journal = FileJournal::new(PathBuf::from(home));
    let entries = journal.list(&Filter::default()).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    // A list without names is a list.
    let mut names = journal.names().unwrap_or_default();
    // The root's lock is held as long as its tree is loaded; the others come and go.
    let roots: BTreeMap<SessionId, (Millis, Option<u32>)> = entries
        .iter()
        .filter(|entry| entry.session.is_none_or(|session| ThreadId::from(session) == entry.thread))
        .map(|entry| (entry.thread.into(), (entry.created, entry.holder)))
        .collect();
    let mut agents: Vec<Shown> = entries
        .into_iter()
        .map(|entry| {
            let session = entry.session.unwrap_or(entry.thread.into());
            let tree = roots.get(&session);
            let pid = tree.and_then(|(_, holder)| *holder).or(entry.holder);
            let name = names.remove(&entry.thread);
            Shown { name, ..look(&journal, entry, session, pid) }
        })
        .collect();
    close(&mut agents);
    let born = |session: &SessionId| roots.get(session).map_or(Millis(0), |(created, _)| *created);
    agents.sort_by(|a, b| {
        let tree = |shown: &Shown| (born(&shown.session), shown.session);
        tree(b).cmp(&tree(a)).then_with(|| a.path.cmp(&b.path))
    });
    Ok(agents)
}

/// Says of all agents below a closed edge that they are closed: they are no part of their tree any more.
fn close(agents: &mut [Shown]) {
    let mut closed: BTreeSet<ThreadId> = agents.iter().flat_map(|agent| agent.closed.iter().copied()).collect();
    let mut known = 0;
    // Each round reaches the children of the one before.
    while closed.len() > known {
        known = closed.len();
        let below = agents.iter().filter(|agent| agent.parent.is_some_and(|parent| closed.contains(&parent)));
        let below: Vec<ThreadId> = below.map(|agent| agent.thread).collect();
        closed.extend(below);
    }
    for agent in agents.iter_mut().filter(|agent| closed.contains(&agent.thread)) {
        agent.state = State { name: "closed", note: None };
    }
}

fn look(journal: &FileJournal, entry: Entry, session: SessionId, pid: Option<u32>) -> Shown {
    let read = match entry.error {
        Some(why) => Err(why),
        None => fold::read(journal, entry.thread).map_err(|error| error.to_string()),
    };
    let (state, usage, path, adopted) = match read {
        Ok(agent) => {
            let path = agent.identity().path.to_string();
            (state(&agent, pid), agent.usage, Some(path), agent.adopted.unwrap_or_default())
        }
        Err(why) => (State { name: "unreadable", note: Some(why) }, Usage::default(), None, Adopted::default()),
    };
    let path = path.or(entry.path.map(|path| path.to_string())).unwrap_or_else(|| "?".to_owned());
    Shown {
        session,
        thread: entry.thread,
        parent: entry.parent,
        path,
        nickname: entry.nickname,
        name: None,
        goal: adopted.goal,
        closed: adopted.closed,
        state,
        usage,
        created: entry.created,
        updated: entry.updated,
        cwd: entry.cwd,
        pid,
        place: entry.place,
    }
}

/// What an agent does, given the process that holds its tree.
fn state(agent: &Agent, pid: Option<u32>) -> State {
    const GOES_ON: &str = "goes on with `sapwood exec resume`";
    let plain = |name| State { name, note: None };
    let alive = |name, without: State| match pid {
        Some(pid) => State { name, note: Some(format!("pid {pid}")) },
        None => without,
    };
    let lost = || State { name: "lost", note: Some(format!("its process ended before its turn did; {GOES_ON}")) };
    if let Some(why) = &agent.quarantined {
        return State { name: "quarantined", note: Some(why.clone()) };
    }
    if let Some(paused) = agent.turn.as_ref().and_then(|turn| turn.paused.as_ref()) {
        let end = paused.until.map(|until| format!(" until {}", until.timestamp())).unwrap_or_default();
        let note = match pid {
            Some(pid) => format!("usage limit{end}; pid {pid}"),
            None => format!("usage limit{end}; {GOES_ON}"),
        };
        return State { name: "paused", note: Some(note) };
    }
    if agent.parked() {
        return alive("waiting", State { name: "waiting", note: Some(format!("no process; {GOES_ON}")) });
    }
    if agent.turn.is_some() {
        return alive("working", lost());
    }
    if agent.inbox.wakes() {
        return alive("queued", lost());
    }
    match agent.last_turn.as_ref().map(|turn| (turn.outcome, turn.message.as_deref())) {
        None => plain("idle"),
        Some((Outcome::Completed, _)) => plain("completed"),
        Some((Outcome::Failed, message)) => State { name: "failed", note: message.map(str::to_owned) },
        Some((Outcome::Cancelled, _)) => plain("interrupted"),
        Some((Outcome::Lost, _)) => lost(),
        Some((Outcome::Quarantined, message)) => State { name: "quarantined", note: message.map(str::to_owned) },
    }
}

fn as_json(homes: &[PathBuf], all: &[(&PathBuf, Vec<Shown>)]) -> String {
    let agents: Vec<Value> = all
        .iter()
        .flat_map(|(home, agents)| agents.iter().map(move |agent| (home, agent)))
        .map(|(home, agent)| {
            json!({
                "home": home.to_string_lossy(),
                "session_id": agent.session.to_string(),
                "thread_id": agent.thread.to_string(),
                "parent_thread_id": agent.parent.map(|parent| parent.to_string()),
                "agent_path": agent.path,
                "agent_nickname": agent.nickname,
                "name": agent.name,
                "goal": agent.goal,
                "state": agent.state.name,
                "note": agent.state.note,
                "pid": agent.pid,
                "total_tokens": agent.usage.total_tokens,
                "usage": events::usage(&agent.usage),
                "created_at": agent.created.timestamp(),
                "updated_at": agent.updated.timestamp(),
                "cwd": agent.cwd,
                "rollout": agent.place,
            })
        })
        .collect();
    let homes: Vec<_> = homes.iter().map(|home| home.to_string_lossy()).collect();
    format!("{}\n", json!({"homes": homes, "agents": agents}))
}

fn as_tables(all: &[(&PathBuf, Vec<Shown>)]) -> String {
    let zone = TimeZone::system();
    let mut text = String::new();
    for (home, agents) in all {
        let home = home.display();
        if agents.is_empty() {
            text.push_str(&format!("{home}: no agents yet\n"));
            continue;
        }
        if all.len() > 1 {
            text.push_str(&format!("{home}:\n"));
        }
        let head = ["TREE", "NAME", "AGENT", "NICKNAME", "STATE", "TOKENS", "CHANGED", "DIRECTORY"].map(str::to_owned);
        let rows: Vec<[String; COLUMNS]> =
            std::iter::once(head).chain(agents.iter().map(|agent| row(agent, &zone))).collect();
        let has_names = agents.iter().any(|agent| agent.name.is_some());
        let mut widths = [0; COLUMNS];
        for row in &rows {
            row.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(cell.chars().count()));
        }
        for row in &rows {
            // Few people name threads: without any, there is no column for it.
            let cells = row.iter().zip(widths).enumerate().filter(|(at, _)| has_names || *at != NAME);
            let cells: Vec<String> = cells.map(|(_, (cell, width))| format!("{cell:width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
    }
    text
}

/// The columns of the table, and the place of the one with the names.
const COLUMNS: usize = 8;
const NAME: usize = 1;

fn row(agent: &Shown, zone: &TimeZone) -> [String; COLUMNS] {
    let state = match &agent.state.note {
        Some(note) if note.starts_with("pid ") => format!("{} ({note})", agent.state.name),
        Some(note) => format!("{}: {}", agent.state.name, one_line(note, 100)),
        None => agent.state.name.to_owned(),
    };
    let changed = i64::try_from(agent.updated.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let changed = changed.map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string());
    [
        agent.session.to_string(),
        one_line(agent.name.as_deref().unwrap_or("-"), 40),
        one_line(&agent.path, 100),
        one_line(agent.nickname.as_deref().unwrap_or("-"), 40),
        state,
        thousands(agent.usage.total_tokens),
        changed.unwrap_or_default(),
        one_line(agent.cwd.as_deref().unwrap_or("-"), 200),
    ]
}
