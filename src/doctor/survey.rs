//! One look through a home: locks, leftovers, and what its newest rollouts say.

use std::path::Path;

use sapwood_actors::agent::turn::CallState;
use sapwood_actors::fold;
use sapwood_actors::process::is_running;
use sapwood_protocol::ThreadId;
use sapwood_protocol::own::ProcessGroup;
use sapwood_rollout::{Entry, FileJournal, Filter, Inspection, Journal, Rollout};
use serde_json::Value;

/// Rollouts that are read whole, at most, the last written ones: what is older has been looked at often enough.
const READ: usize = 500;

/// What the homes say.
#[derive(Debug, Default)]
pub struct Survey {
    pub inspection: Inspection,
    /// Agents whose process died under a turn, as thread and path.
    pub open: Vec<(ThreadId, String)>,
    /// Process groups that outlived the turn that started them.
    pub orphans: Vec<(ProcessGroup, ThreadId)>,
    /// Rollouts that cannot be used, and why.
    pub unreadable: Vec<String>,
    /// Versions of Codex that wrote here, the newest first.
    pub codex: Vec<String>,
    /// Rollouts that were not read, because others are newer.
    pub unread: usize,
    /// Why the home could not be looked through.
    pub errors: Vec<String>,
}

impl Survey {
    /// Looks through these homes. Nothing is locked, loaded or changed.
    pub fn of(homes: &[&Path]) -> Self {
        let mut survey = Self::default();
        for home in homes {
            let journal = FileJournal::new((*home).to_owned());
            match journal.inspect() {
                Ok(inspection) => survey.add(inspection),
                Err(error) => survey.errors.push(format!("{} cannot be looked through: {error}", home.display())),
            }
            match journal.list(&Filter::default()) {
                Ok(entries) => survey.read(&journal, entries),
                Err(error) => survey.errors.push(error.to_string()),
            }
        }
        survey.codex.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
        survey.codex.dedup();
        survey
    }

    fn add(&mut self, more: Inspection) {
        self.inspection.held.extend(more.held);
        self.inspection.stale_locks.extend(more.stale_locks);
        self.inspection.leftovers.extend(more.leftovers);
        self.inspection.rollouts += more.rollouts;
    }

    fn read(&mut self, journal: &FileJournal, mut entries: Vec<Entry>) {
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.updated, entry.thread)));
        self.unread += entries.len().saturating_sub(READ);
        for entry in entries.iter().take(READ) {
            match (&entry.error, journal.read(entry.thread)) {
                (Some(why), _) => self.unreadable.push(format!("{}: {why}", entry.place)),
                (None, Ok(rollout)) => self.look(journal, entry, &rollout),
                (None, Err(error)) => self.unreadable.push(error.to_string()),
            }
        }
    }

    fn look(&mut self, journal: &FileJournal, entry: &Entry, rollout: &Rollout) {
        self.codex.extend(codex_version(rollout));
        let agent = match fold::fold(journal, entry.thread, rollout) {
            Ok(agent) => agent,
            Err(error) => return self.unreadable.push(error.to_string()),
        };
        let root = entry.session.map(ThreadId::from);
        let is_held = self.inspection.held.iter().any(|(held, _)| *held == entry.thread || Some(*held) == root);
        let Some(turn) = agent.turn.as_ref().filter(|_| !is_held && !agent.parked()) else { return };
        self.open.push((entry.thread, agent.identity().path.to_string()));
        let groups = turn.calls.iter().filter_map(|call| match call.state {
            CallState::Started { group } => group,
            _ => None,
        });
        self.orphans.extend(groups.filter(is_running).map(|group| (group, entry.thread)));
    }
}

/// The version of Codex that made a rollout, if Codex did: our own name ourselves.
fn codex_version(rollout: &Rollout) -> Option<String> {
    let line = rollout.lines().next()?;
    let meta: Value = line.view().ok()?.payload().ok()?;
    let (originator, version) = (meta["originator"].as_str().unwrap_or_default(), meta["cli_version"].as_str()?);
    let is_ours = originator.starts_with("sapwood") || version == env!("CARGO_PKG_VERSION");
    (!is_ours && !version.is_empty()).then(|| version.to_owned())
}

/// The numbers of a version, to put it in order.
pub fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}
