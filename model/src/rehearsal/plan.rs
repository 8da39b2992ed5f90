//! Where a map of the repository stands: a fold of the root's history.

use std::collections::BTreeSet;

use sapwood_protocol::item::MailKind;
use serde_json::Value;

use super::COLLABORATION;
use super::answer::HEADING;
use super::command::{Area, Job, is_plain};
use super::ledger::{Stand, first_line, is_unknown, outputs, stand};
use super::report::Report;
use super::tally::{Listing, Tally};
use crate::request::{Entry, RequestView, find_call};

/// The most children of one map.
const MAX_CHILDREN: usize = 8;
/// How often a spawn of unknown effect is tried.
const MAX_SPAWN_TRIES: u32 = 3;

/// A map under way.
#[derive(Debug)]
pub(super) struct Plan {
    /// The folders and files of the repository.
    pub listing: Stand<Listing>,
    /// One child for each of the largest folders.
    pub children: Vec<Child>,
    /// What the root counts itself, apart from folders that no child could be spawned for.
    pub own: Option<(Job, Stand<Tally>)>,
    /// Waits since there was news of a child.
    pub idle_waits: u32,
    /// Waits that were answered with an error.
    pub wait_errors: u32,
    /// Where `list_agents` last answered.
    looked_at: usize,
}

/// A child and its folder.
#[derive(Debug)]
pub(super) struct Child {
    pub folder: String,
    /// Files in it, as the list has them.
    pub files: u64,
    pub task_name: String,
    /// Its path, once known.
    pub path: Option<String>,
    pub state: State,
    /// Where its task was given again.
    followed_at: Option<usize>,
    /// Why its task could not be given again.
    gone: Option<String>,
    /// `list_agents` last showed it at work.
    alive: bool,
    spawns_unknown: u32,
}

/// What is known of a child.
#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// It is to be spawned.
    Unasked,
    /// It could not be spawned: the root counts its folder.
    Refused { why: String, own: Stand<Tally> },
    /// It was spawned.
    Out,
    /// It was said to be lost, or said what is no report, at this place.
    Lost { why: String, at: usize },
    /// It reported.
    Reported(Tally),
}

/// What to do about a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it reported, or the root counts its folder.
    Nothing,
    /// Patience.
    Wait,
    /// A look at who is there.
    Look,
    /// Its task again.
    FollowUp,
    /// Nothing helps; this is why.
    Missing(String),
}

/// Waits for a child that is at work, before its folder is called missing: an hour at a minute each.
const MAX_IDLE_WAITS: u32 = 60;
/// Waits for a lost child that was given its task again.
const MAX_LOST_WAITS: u32 = 3;

/// The part of the history that the last map is about, and how many there were.
fn last_map<'e, 'a>(entries: &'e [Entry<'a>]) -> (&'e [Entry<'a>], usize) {
    let (mut from, mut round, mut answered) = (0, 0, false);
    for (at, entry) in entries.iter().enumerate() {
        let Entry::Message { role, text } = entry else { continue };
        match &**role {
            "assistant" => answered |= text.starts_with(HEADING),
            // Something said while a map is under way does not start another; neither does a context message.
            "user" if !is_context(text) && (round == 0 || (answered && asks_for_a_map(text))) => {
                (from, round, answered) = (at, round + 1, false);
            }
            _ => {}
        }
    }
    (&entries[from..], round.max(1))
}

fn is_context(text: &str) -> bool {
    text.starts_with('<') || text.starts_with("# AGENTS.md")
}

fn asks_for_a_map(text: &str) -> bool {
    let text = text.to_lowercase();
    ["map", "again", "count"].iter().any(|word| text.contains(word))
}

impl Plan {
    /// Folds the history of a request.
    pub fn fold(view: &RequestView<'_>) -> Self {
        let (entries, round) = last_map(view.entries());
        let listing = stand(entries, &Job::list(Area::All), Listing::of_output);
        let spawns = view.offers(Some(COLLABORATION), "spawn_agent");
        let mut plan = Self { listing, children: Vec::new(), own: None, idle_waits: 0, wait_errors: 0, looked_at: 0 };
        let Stand::Ready(listing) = &plan.listing else { return plan };
        if spawns || outputs(entries, "spawn_agent", |_| true).next().is_some() {
            plan.children = assign(listing, round);
        }
        let assigned: u64 = plan.children.iter().map(|child| child.files).sum();
        if listing.files > assigned || plan.children.is_empty() {
            let folders: Vec<String> = plan.children.iter().map(|child| child.folder.clone()).collect();
            let job = Job::count(if folders.is_empty() { Area::All } else { Area::Except(folders) });
            let stand = stand(entries, &job, Tally::of_output);
            plan.own = Some((job, stand));
        }
        for at in 0..entries.len() {
            plan.see(entries, at);
        }
        for child in &mut plan.children {
            if child.state == State::Unasked && (!spawns || child.spawns_unknown >= MAX_SPAWN_TRIES) {
                let why = if spawns { "nobody knows whether it started" } else { "no `spawn_agent` is offered" };
                child.refuse(why.to_owned());
            }
            let job = child.job();
            if let State::Refused { own, .. } = &mut child.state {
                *own = stand(entries, &job, Tally::of_output);
            }
        }
        plan
    }

    fn see(&mut self, entries: &[Entry<'_>], at: usize) {
        match &entries[at] {
            Entry::Output { call_id, text } => {
                let Some(call) = find_call(&entries[..at], call_id) else { return };
                let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
                let argument = |key: &str| arguments[key].as_str().unwrap_or_default();
                match &*call.name {
                    "spawn_agent" => {
                        if let Some(child) = self.child(argument("task_name")) {
                            child.spawned(text, at);
                        }
                    }
                    "followup_task" => {
                        self.idle_waits = 0;
                        if let Some(child) = self.child(argument("target")) {
                            child.followed_at = Some(at);
                            child.alive = false;
                            child.gone = (!text.is_empty() && !is_unknown(text)).then(|| first_line(text));
                        }
                    }
                    "list_agents" => self.look(text, at),
                    "wait_agent" => {
                        self.idle_waits += 1;
                        let answered = serde_json::from_str::<Value>(text.lines().next().unwrap_or_default()).is_ok();
                        self.wait_errors += u32::from(!answered && !is_unknown(text));
                    }
                    _ => {}
                }
            }
            Entry::Mail(mail) if mail.kind == Some(MailKind::FinalAnswer) => {
                if let Some(child) = self.child(&mail.author) {
                    child.path = Some(mail.author.clone().into_owned());
                    child.heard(&mail.payload, at);
                    self.idle_waits = 0;
                }
            }
            _ => {}
        }
    }

    /// The child with this path or task name.
    fn child(&mut self, name: &str) -> Option<&mut Child> {
        let last = name.rsplit('/').next()?;
        self.children.iter_mut().find(|child| child.task_name == last)
    }

    fn look(&mut self, text: &str, at: usize) {
        self.looked_at = at;
        let agents: Value = serde_json::from_str(text).unwrap_or_default();
        let at_work = agents["agents"].as_array().into_iter().flatten().filter(|agent| {
            let status = agent["agent_status"].as_str();
            matches!(status, Some("running" | "pending_init" | "waiting" | "parked"))
        });
        let at_work: BTreeSet<&str> =
            at_work.filter_map(|agent| agent["agent_name"].as_str()?.rsplit('/').next()).collect();
        for child in &mut self.children {
            child.alive = at_work.contains(child.task_name.as_str());
        }
    }

    /// What to do about a child, with the tools that the request offers.
    pub fn need(&self, child: &Child, view: &RequestView<'_>) -> Need {
        let patience = |most: u32, why: &str| {
            if self.idle_waits < most { Need::Wait } else { Need::Missing(why.to_owned()) }
        };
        let (why, at) = match &child.state {
            State::Unasked | State::Refused { .. } | State::Reported(_) => return Need::Nothing,
            State::Out => return patience(MAX_IDLE_WAITS, "it did not report in time"),
            State::Lost { why, at } => (why, *at),
        };
        if self.looked_at < at && view.offers(Some(COLLABORATION), "list_agents") {
            return Need::Look;
        }
        if child.alive {
            return patience(MAX_IDLE_WAITS, "it was lost, was at work again, and did not report in time");
        }
        match (&child.gone, child.followed_at) {
            (Some(gone), _) => Need::Missing(format!("{why}; it could not be asked again: {gone}")),
            (None, Some(followed)) if followed > at => patience(MAX_LOST_WAITS, why),
            (None, None) if view.offers(Some(COLLABORATION), "followup_task") => Need::FollowUp,
            (None, _) => Need::Missing(why.clone()),
        }
    }
}

impl Child {
    /// The count of its folder by the root itself.
    pub fn job(&self) -> Job {
        Job::count(Area::Folder(self.folder.clone()))
    }

    fn refuse(&mut self, why: String) {
        self.state = State::Refused { why, own: Stand::Todo { narrow: 0, timeout_ms: 0 } };
    }

    fn spawned(&mut self, output: &str, at: usize) {
        if self.state != State::Unasked {
            return;
        }
        let path = serde_json::from_str::<Value>(output).ok().and_then(|v| Some(v["task_name"].as_str()?.to_owned()));
        match path {
            Some(path) => {
                self.path = Some(path);
                self.state = State::Out;
            }
            None if is_unknown(output) => self.spawns_unknown += 1,
            // The spawn of unknown effect had happened after all; whether the child works shows in a look.
            None if self.spawns_unknown > 0 && output.contains("already exists") => {
                self.state = State::Lost { why: "its start was never confirmed".to_owned(), at };
            }
            None => self.refuse(first_line(output)),
        }
    }

    fn heard(&mut self, payload: &str, at: usize) {
        let report = Report::parse(payload).filter(|report| report.folder == self.folder);
        match report {
            Some(report) => self.state = State::Reported(report.tally),
            // A notice that comes after the report is about a later end; the numbers stand.
            None if matches!(self.state, State::Reported(_)) => {}
            None => {
                self.alive = false;
                self.state = State::Lost { why: first_line(payload), at };
            }
        }
    }
}

/// Which folders get a child: the fullest, if their names survive the way.
fn assign(listing: &Listing, round: usize) -> Vec<Child> {
    let prefix = if round > 1 { format!("map{round}_") } else { "map_".to_owned() };
    let mut taken = BTreeSet::new();
    let plain = listing.folders.iter().filter(|(name, _)| is_plain(name));
    let children = plain.take(MAX_CHILDREN).map(|(folder, files)| {
        let base = prefix.clone() + &segment(folder);
        let names = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}__{n}") });
        let task_name = names.into_iter().find(|name| taken.insert(name.clone())).unwrap_or(base.clone());
        Child {
            folder: folder.clone(),
            files: *files,
            task_name,
            path: None,
            state: State::Unasked,
            followed_at: None,
            gone: None,
            alive: false,
            spawns_unknown: 0,
        }
    });
    children.collect()
}

/// A folder's name as a part of an agent's name: lower-case letters, digits and underscores, at most 40.
fn segment(folder: &str) -> String {
    let plain: String =
        folder.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(40).collect();
    let plain = plain.trim_matches('_');
    if plain.is_empty() { "folder".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_folders_get_children_with_proper_names() {
        let folders = ["src", "My Dir", ".github", "SRC", "a\u{1}b", "äö", "…"];
        let folders = folders.iter().map(|name| ((*name).to_owned(), 3)).collect();
        let listing = Listing { folders, more_folders: 0, files: 99 };
        let names = |round| assign(&listing, round).into_iter().map(|child| child.task_name).collect::<Vec<_>>();
        assert_eq!(names(1), ["map_src", "map_my_dir", "map_github", "map_src__2", "map_folder", "map_folder__2"]);
        assert_eq!(names(2)[0], "map2_src");
        let many = (0..20).map(|i| (format!("d{i}"), 1)).collect();
        assert_eq!(assign(&Listing { folders: many, more_folders: 0, files: 20 }, 1).len(), MAX_CHILDREN);
    }

    #[test]
    fn where_the_last_map_begins() {
        let say = |role: &'static str, text: &str| Entry::Message { role: role.into(), text: text.to_owned() };
        let entries = [
            say("developer", "base"),
            say("user", "<environment_context>"),
            say("user", "Map this"),
            say("assistant", "I will"),
            say("user", "map faster"),
            say("assistant", &format!("{HEADING}\n")),
            say("user", "thanks"),
            say("user", "Map it again"),
        ];
        assert_eq!((last_map(&entries[..2]).0.len(), last_map(&entries[..2]).1), (2, 1));
        assert_eq!((last_map(&entries[..7]).0.len(), last_map(&entries[..7]).1), (5, 1));
        assert_eq!((last_map(&entries).0.len(), last_map(&entries).1), (1, 2));
    }
}
