//! Which threads a list shows, in which order, and where it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sapwood_protocol::app::list::{SortDirection, ThreadListParams, ThreadListResponse, ThreadSortKey};
use sapwood_protocol::app::thread::{SessionSource, ThreadSourceKind};
use sapwood_protocol::{Millis, ThreadId};
use serde_json::Map;

use super::row::Row;
use super::{Rows, StoreError};

/// Threads of a page that says no number.
const DEFAULT_LIMIT: u32 = 25;

/// Threads of a page, at most.
const MAX_LIMIT: u32 = 100;

/// Threads that a list may leave out by name, at most.
const MAX_EXCLUDED: usize = 100;

/// Forks behind one another that are followed for a preview.
pub(super) const MAX_SOURCES: usize = 64;

/// A place in a sorted list. The id tells apart what has one time, so nothing is skipped.
type Key = (Millis, ThreadId);

/// Where a page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Behind a thread: `<time>|<thread>`.
    Behind(Key),
    /// With all of this moment: `<time>`. So a list that is turned round misses nothing of it.
    At(Millis),
}

/// What is asked for.
pub(super) struct Ask<'a> {
    params: &'a ThreadListParams,
    start: Option<Start>,
    cwds: Option<BTreeSet<PathBuf>>,
    excluded: BTreeSet<ThreadId>,
    parent: Option<ThreadId>,
    ancestor: Option<ThreadId>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(params: &'a ThreadListParams, here: &Path) -> Result<Self, StoreError> {
        let invalid = |why: &str| StoreError::Invalid(why.to_owned());
        let id = |id: &String| {
            id.parse::<ThreadId>().map_err(|error| StoreError::Invalid(format!("invalid thread id `{id}`: {error}")))
        };
        let parent = params.parent_thread_id.as_ref().map(id).transpose()?;
        let ancestor = params.ancestor_thread_id.as_ref().map(id).transpose()?;
        if parent.is_some() && ancestor.is_some() {
            return Err(invalid("`parentThreadId` cannot be combined with `ancestorThreadId`"));
        }
        if params.attached_to_thread_id.is_some() && (parent.is_some() || ancestor.is_some()) {
            let why = "`attachedToThreadId` cannot be combined with `parentThreadId` or `ancestorThreadId`";
            return Err(invalid(why));
        }
        if params.originators.as_ref().is_some_and(|originators| !originators.is_empty()) {
            return Err(invalid("`originators` is not supported by the local app-server"));
        }
        let excluded = params.excluded_thread_ids.as_deref().unwrap_or_default();
        if excluded.len() > MAX_EXCLUDED {
            return Err(StoreError::Invalid(format!("`excludedThreadIds` has more than {MAX_EXCLUDED} entries")));
        }
        let cwds = params.cwd.as_ref().map(|cwd| cwd.paths().iter().map(|path| normal(&here.join(path))).collect());
        Ok(Self {
            params,
            start: params.cursor.as_deref().map(read).transpose()?,
            cwds,
            excluded: excluded.iter().map(id).collect::<Result<_, _>>()?,
            parent,
            ancestor,
        })
    }

    pub(super) fn page(&self, rows: &Rows, names: &BTreeMap<ThreadId, String>) -> ThreadListResponse {
        let of_tree: Option<BTreeSet<ThreadId>> =
            self.ancestor.map(|ancestor| super::below(rows, ancestor).into_iter().collect());
        let shown =
            |row: &&Row| of_tree.as_ref().is_none_or(|tree| tree.contains(&row.thread)) && self.shows(row, rows, names);
        let key: fn(&Row) -> Millis = match self.params.sort_key.unwrap_or(ThreadSortKey::CreatedAt) {
            ThreadSortKey::CreatedAt => |row| row.created,
            ThreadSortKey::UpdatedAt => |row| row.updated,
            // Nothing has a place in a section here.
            ThreadSortKey::RecencyAt | ThreadSortKey::SectionPosition => |row| row.recency,
        };
        let mut found: Vec<(Key, &Row)> =
            rows.values().filter(shown).map(|row| ((key(row), row.thread), row)).collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        let newest_first = self.params.sort_direction.unwrap_or(SortDirection::Desc) == SortDirection::Desc;
        if newest_first {
            found.reverse();
        }
        let is_before = |key: Key| match self.start {
            None => false,
            Some(Start::Behind(start)) if newest_first => key >= start,
            Some(Start::Behind(start)) => key <= start,
            Some(Start::At(moment)) if newest_first => key.0 > moment,
            Some(Start::At(moment)) => key.0 < moment,
        };
        let from = found.partition_point(|(key, _)| is_before(*key));
        let limit = self.params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let page = &found[from..found.len().min(from + limit)];
        let more = from + page.len() < found.len();
        let show = |(_, row): &(Key, &Row)| row.thread(names.get(&row.thread), preview(rows, row).to_owned());
        ThreadListResponse {
            data: page.iter().map(show).collect(),
            // What was read of a thread is not kept.
            read_states: Some(Map::new()),
            next_cursor: page.last().filter(|_| more).map(|((at, thread), _)| format!("{}|{thread}", at.timestamp())),
            backwards_cursor: page.first().map(|((at, _), _)| at.timestamp()),
        }
    }

    fn shows(&self, row: &Row, rows: &Rows, names: &BTreeMap<ThreadId, String>) -> bool {
        let params = self.params;
        let source = row.source();
        let is_agent = matches!(source, SessionSource::SubAgent(_));
        let related = self.parent.is_some() || self.ancestor.is_some();
        let kinds = params.source_kinds.as_deref().unwrap_or_default();
        let of_kind = match kinds {
            [] => related || is_interactive(&source),
            kinds => kinds.iter().any(|kind| kind.holds(&source)),
        };
        let providers = params.model_providers.as_deref().unwrap_or_default();
        let preview = preview(rows, row);
        of_kind
            && row.archived == params.archived.unwrap_or(false)
            && self.parent.is_none_or(|parent| row.parent == Some(parent))
            && (providers.is_empty() || providers.contains(&row.provider))
            && self.cwds.as_ref().is_none_or(|cwds| cwds.contains(&normal(Path::new(&row.cwd))))
            && !self.excluded.contains(&row.thread)
            // No thread is in a section, or attached to another.
            && params.section_id.is_none()
            && params.attached_to_thread_id.is_none()
            && params.project_id.as_ref().is_none_or(|project| *project == row.project)
            // One in which nobody said anything is nothing to go back to; what an agent is asked stands in its mail.
            && (is_agent || !preview.is_empty())
            && params.search_term.as_ref().is_none_or(|term| {
                names.get(&row.thread).is_some_and(|name| name.contains(term)) || preview.contains(term)
            })
    }
}

/// What people drive. A client that names itself is one of theirs.
fn is_interactive(source: &SessionSource) -> bool {
    let kinds = [ThreadSourceKind::Cli, ThreadSourceKind::Vscode];
    kinds.iter().any(|kind| kind.holds(source)) || matches!(source, SessionSource::Custom(_))
}

/// A fork goes on from what was said in its source.
fn preview<'a>(rows: &'a Rows, row: &'a Row) -> &'a str {
    let mut row = row;
    for _ in 0..MAX_SOURCES {
        // What was said first in a fork was said behind what its source began with.
        match row.base.and_then(|base| rows.get(&base)) {
            Some(source) => row = source,
            None => break,
        }
    }
    row.preview()
}

/// A path without what says nothing: no link is followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

fn read(cursor: &str) -> Result<Start, StoreError> {
    let bad = || StoreError::Cursor(cursor.to_owned());
    match cursor.split_once('|') {
        Some((at, thread)) => {
            let at = Millis::parse(at).ok_or_else(bad)?;
            Ok(Start::Behind((at, thread.parse().map_err(|_| bad())?)))
        }
        None => Ok(Start::At(Millis::parse(cursor).ok_or_else(bad)?)),
    }
}
