//! `thread/read`, `thread/list`, `thread/loaded/list`, `thread/turns/list`, `thread/items/list`: looking changes nothing.

use std::sync::Arc;

use sapwood_actors::seat::Seat;
use sapwood_protocol::app::list::{
    SortDirection, ThreadItemsListParams, ThreadListParams, ThreadListResponse, ThreadLoadedListParams,
    ThreadLoadedListResponse, ThreadReadParams, ThreadReadResponse, ThreadTurnsListParams, TurnsPage,
};
use sapwood_protocol::app::start::InitialTurnsPage;
use sapwood_protocol::app::thread::{HistoryMode, SessionSource, Thread, ThreadStatus};
use sapwood_protocol::app::turn::TurnItemsView;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{ThreadId, TurnId};
use sapwood_rollout::OpenError;

use super::settings;
use super::story;
use super::tree::LoadedTree;
use crate::app::{AppServer, thread_id};
use crate::blocking::blocking;
use crate::history::{self, Ahead, Turns};
use crate::program::HasProgram;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;
use crate::store::Store;

/// Ids of loaded threads in one page, without a wish.
const LOADED_PAGE: usize = 1000;

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("thread/read", read),
        Method::new("thread/list", list).concurrent(),
        Method::new("thread/loaded/list", loaded),
        Method::new("thread/turns/list", turns_page),
        Method::new("thread/items/list", items_page),
    ]
}

async fn read(app: Arc<AppServer>, call: Call, reply: Reply) {
    let read = async {
        let params: ThreadReadParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        blocking(move || {
            let (shown, live) = app.show(thread)?;
            let turns = match params.include_turns {
                true => app.turns(thread)?.all(TurnItemsView::Full, live.as_ref()),
                false => Vec::new(),
            };
            Ok(ThreadReadResponse { thread: Thread { turns, ..shown }, read_state: None })
        })
        .await
    };
    reply.send(read.await);
}

async fn list(app: Arc<AppServer>, call: Call, reply: Reply) {
    let listed = async {
        let params: ThreadListParams = call.params()?;
        blocking(move || {
            let mut page: ThreadListResponse = app.store.list(&params, app.program().cwd())?;
            for thread in &mut page.data {
                if let Some((tree, seat)) = app.find(thread.id) {
                    overlay(thread, &tree, &seat);
                }
                leave_out(thread);
            }
            Ok(page)
        })
        .await
    };
    reply.send(listed.await);
}

async fn loaded(app: Arc<AppServer>, call: Call, reply: Reply) {
    let listed = call.params().and_then(|params: ThreadLoadedListParams| {
        let mut all: Vec<ThreadId> =
            app.all().iter().flat_map(|tree| tree.tree.seats()).map(|seat| seat.thread).collect();
        all.sort_unstable();
        // A cursor is the last id of the page before: ids that come or go move nobody else.
        let after = params.cursor.as_deref().map(str::parse::<ThreadId>).transpose();
        let after = after.map_err(|error| RpcError::invalid(format!("invalid cursor: {error}")))?;
        all.retain(|thread| after.is_none_or(|after| *thread > after));
        let limit = params.limit.map_or(LOADED_PAGE, |limit| (limit as usize).max(1));
        let next_cursor = (all.len() > limit).then(|| all[limit - 1].to_string());
        all.truncate(limit);
        Ok(ThreadLoadedListResponse { data: all, next_cursor })
    });
    reply.send(listed);
}

async fn turns_page(app: Arc<AppServer>, call: Call, reply: Reply) {
    let paged = async {
        let params: ThreadTurnsListParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        blocking(move || {
            let live = app.live(thread);
            let turns = app.turns(thread)?;
            if turns.is_empty() && app.find(thread).is_some() {
                let text = "is not materialized yet; thread/turns/list is unavailable before first user message";
                return Err(RpcError::invalid(format!("thread {thread} {text}")));
            }
            turns.page(thread, &params, live.as_ref()).map_err(bad_cursor)
        })
        .await
    };
    reply.send(paged.await);
}

async fn items_page(app: Arc<AppServer>, call: Call, reply: Reply) {
    let paged = async {
        let params: ThreadItemsListParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        blocking(move || app.turns(thread)?.items(thread, &params).map_err(bad_cursor)).await
    };
    reply.send(paged.await);
}

fn bad_cursor(bad: history::BadCursor) -> RpcError {
    RpcError::invalid(bad.to_string())
}

impl AppServer {
    /// A thread as it is now, loaded or not, without its turns; and its open turn.
    pub(super) fn show(&self, thread: ThreadId) -> Result<(Thread, Option<TurnId>), RpcError> {
        match self.find(thread) {
            Some((tree, seat)) => {
                let shown = describe(&self.store, &tree, &seat);
                let shown = shown.ok_or_else(|| RpcError::internal(format!("thread {thread} cannot be read")))?;
                Ok((shown, seat.look(|view| view.turn.clone())))
            }
            None => Ok((self.store.thread(thread)?, None)),
        }
    }

    fn live(&self, thread: ThreadId) -> Option<TurnId> {
        self.find(thread).and_then(|(_, seat)| seat.look(|view| view.turn.clone()))
    }

    /// The turns of a thread, loaded or not, with what is open.
    fn turns(&self, thread: ThreadId) -> Result<Turns, RpcError> {
        match self.find(thread) {
            Some((tree, seat)) => turns(&tree, &seat),
            None => history::read(&**self.trees.journal(), thread).map_err(|error| unreadable(thread, &error)),
        }
    }
}

/// The turns of a loaded thread. Items that have begun and are not complete are in no rollout yet.
pub(super) fn turns(tree: &LoadedTree, seat: &Seat) -> Result<Turns, RpcError> {
    turns_after(tree, seat, None)
}

/// The same, where most of them may be read already.
pub(super) fn turns_after(tree: &LoadedTree, seat: &Seat, ahead: Option<Ahead>) -> Result<Turns, RpcError> {
    let (_, open) = seat.feed.open_items();
    let journal = &*tree.tree.journal;
    let read = match ahead {
        Some(ahead) => ahead.now(journal, seat.thread),
        None => history::read(journal, seat.thread),
    };
    let mut turns = read.map_err(|error| unreadable(seat.thread, &error))?;
    story::open_as_told(&open).for_each(|(turn, item)| turns.started(turn, item));
    Ok(turns)
}

/// The page of turns that comes with a thread that is resumed.
pub(super) fn first_page(
    thread: ThreadId,
    turns: &Turns,
    wanted: &InitialTurnsPage,
    live: Option<&TurnId>,
) -> Result<TurnsPage, RpcError> {
    let params = ThreadTurnsListParams {
        thread_id: thread.to_string(),
        cursor: None,
        limit: wanted.limit,
        sort_direction: wanted.sort_direction.or(Some(SortDirection::Desc)),
        items_view: wanted.items_view,
    };
    turns.page(thread, &params, live).map_err(bad_cursor)
}

/// A loaded thread: what its rollout says, and how it is now.
pub(crate) fn describe(store: &Store, tree: &LoadedTree, seat: &Seat) -> Option<Thread> {
    let mut thread = match tree.is_ephemeral {
        true => ephemeral(tree, seat),
        false => {
            let kept = store.thread(seat.thread);
            kept.inspect_err(|error| tracing::warn!(thread = %seat.thread, %error, "a thread cannot be described"))
                .ok()?
        }
    };
    overlay(&mut thread, tree, seat);
    Some(thread)
}

/// What is so only while a thread is loaded.
fn overlay(thread: &mut Thread, tree: &LoadedTree, seat: &Seat) {
    let now = settings::of(tree, seat);
    let roots = tree.works(seat, |works| works.workspace_roots().into_owned());
    thread.environments = Some(settings::environments(tree, &now.cwd, &roots));
    thread.session_id = tree.tree.session;
    thread.model_provider = now.model_provider;
    thread.model = Some(now.model);
    thread.reasoning_effort = now.effort;
    thread.cwd = now.cwd;
    thread.ephemeral = tree.is_ephemeral;
    thread.can_accept_direct_input = Some(seat.parent.is_none());
    thread.status = status(seat);
}

/// What a list of Codex's does not say, whatever is known: clients read a thread to learn where it comes from.
fn leave_out(thread: &mut Thread) {
    thread.session_id = thread.id.into();
    (thread.forked_from_id, thread.thread_source) = (None, None);
    if thread.parent_thread_id.is_none() {
        thread.can_accept_direct_input = None;
    }
}

/// How a loaded thread is.
pub(super) fn status(seat: &Seat) -> ThreadStatus {
    seat.look(|view| match (&view.turn, view.outcome) {
        (Some(_), _) => story::active(view.asks.iter()),
        (None, Some(Outcome::Failed | Outcome::Quarantined)) => ThreadStatus::SystemError,
        (None, _) => ThreadStatus::Idle,
    })
}

/// A thread that leaves no trace is only what its tree says of it.
fn ephemeral(tree: &LoadedTree, seat: &Seat) -> Thread {
    let run = &tree.tree.settings;
    let created = tree.made.secs();
    Thread {
        id: seat.thread,
        environments: None,
        extra: None,
        session_id: tree.tree.session,
        forked_from_id: tree.forked_from,
        attached_to_thread_id: None,
        parent_thread_id: seat.parent,
        preview: String::new(),
        ephemeral: true,
        section: None,
        section_entered_at: None,
        project_id: None,
        history_mode: HistoryMode::Paginated,
        model_provider: run.provider.to_string(),
        model: Some(run.model.to_string()),
        reasoning_effort: run.effort.as_deref().map(Into::into),
        created_at: created,
        updated_at: created,
        recency_at: Some(created),
        status: ThreadStatus::Idle,
        path: None,
        cwd: seat.cwd.clone(),
        cli_version: run.version.clone(),
        originator: Some(run.originator.clone()),
        source: SessionSource::Vscode,
        can_accept_direct_input: None,
        thread_source: run.thread_source.as_deref().map(Into::into),
        agent_nickname: seat.nickname.clone(),
        agent_role: None,
        git_info: None,
        name: None,
        daybreak_enabled: None,
        turns: Vec::new(),
    }
}

/// Why a thread cannot be read, to one who looks.
pub(super) fn unreadable(thread: ThreadId, error: &OpenError) -> RpcError {
    match error {
        OpenError::NotFound { .. } => RpcError::invalid(format!("thread not loaded: {thread}")),
        error => RpcError::internal(error.to_string()),
    }
}

/// The same, to one who wants to go on with it.
pub(super) fn missing(thread: ThreadId, error: &OpenError) -> RpcError {
    match error {
        OpenError::NotFound { .. } => RpcError::invalid(format!("no rollout found for thread id {thread}")),
        OpenError::Held { .. } | OpenError::HistoryMode { .. } => RpcError::invalid(error.to_string()),
        error => RpcError::internal(error.to_string()),
    }
}
