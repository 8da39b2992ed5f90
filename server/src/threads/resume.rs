//! `thread/resume`: a thread that comes back into memory, or is taken up by one more client.

use std::sync::Arc;

use sapwood_actors::seat::Seat;
use sapwood_protocol::app::list::TurnsPage;
use sapwood_protocol::app::start::{ThreadOverrides, ThreadResumeParams, ThreadResumeResponse, ThreadStartResponse};
use sapwood_protocol::app::turn::{Turn, TurnItemsView};
use sapwood_protocol::{SessionId, ThreadId};

use super::begin::{begun, set_root, warn};
use super::overrides::{recorded, request, said};
use super::tree::{ATTACHED_AGENTS, LoadedTree};
use super::{looks, settings};
use crate::app::{AppServer, Begin, thread_id};
use crate::blocking::blocking;
use crate::connection::Connection;
use crate::history::{self, Ahead, Spent};
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![Method::new("thread/resume", resume)]
}

async fn resume(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: ThreadResumeParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    let resumed = async {
        if params.history.is_some() {
            let text = "`history` is not supported: start a thread, and give it items with thread/inject_items";
            return Err(RpcError::invalid(text));
        }
        let thread = thread_id(&params.thread_id)?;
        let found = app.find(thread);
        let is_loaded = found.is_some();
        let ahead = read_ahead(&app, thread, found.as_ref().map(|(tree, _)| &**tree), &params);
        let load = async {
            match found {
                Some((tree, _)) => Ok((tree, Vec::new())),
                None => app.load(thread, &params.overrides, &call.connection).await,
            }
        };
        let (ahead, loaded) = tokio::join!(ahead, load);
        let (tree, warnings) = loaded?;
        let seat = tree.tree.seat(thread);
        let seat = seat.ok_or_else(|| RpcError::invalid(format!("thread not found: {thread}")))?;
        Ok((tree, seat, warnings, ahead, is_loaded))
    };
    match resumed.await {
        Ok((tree, seat, warnings, ahead, is_loaded)) => {
            answer_resume(&app, &tree, &seat, &params, &call.connection, reply, (warnings, ahead));
            if !is_loaded {
                tree.tree.go_on_answered();
            }
        }
        Err(error) => reply.error(error),
    }
}

/// Answers with the thread as it is, asks again what is open, and tells what happens from here on.
fn answer_resume(
    app: &AppServer,
    tree: &LoadedTree,
    seat: &Seat,
    params: &ThreadResumeParams,
    connection: &Arc<Connection>,
    reply: Reply,
    (warnings, ahead): (Vec<String>, Option<Ahead>),
) {
    let is_resumed = tree.with(seat.thread, |watched, _| {
        let History { turns, page, ends, spent } = match history_of(tree, seat, params, ahead) {
            Ok(shown) => shown,
            Err(error) => {
                reply.error(error);
                return false;
            }
        };
        let newest = turns.last().cloned();
        let is_known = newest.is_some() || !params.exclude_turns;
        let begun = begun(tree, seat, turns, watched.status());
        let Some(begun) = begun else {
            reply.error(RpcError::internal(format!("thread {} cannot be read", seat.thread)));
            return false;
        };
        reply.ok(&resumed(begun, tree, seat, page, ends));
        watched.answered(settings::of(tree, seat), spent);
        if is_known {
            watched.had_ended(newest.as_ref());
        }
        if let (Some(turn), Some(spent)) = (newest, spent) {
            watched.tell_spent(connection, turn.id, spent);
        }
        watched.subscribe(connection);
        warn(connection, seat.thread, warnings);
        app.ask_again(seat.thread, connection);
        tree.tree.look_at_queue(seat);
        true
    });
    if is_resumed == Some(true) {
        attach(app, tree, seat, connection);
    }
}

/// Who takes up a tree takes up its agents, while it is small, as everybody did who saw them spawned: what they ask is asked
/// again.
fn attach(app: &AppServer, tree: &LoadedTree, root: &Seat, connection: &Arc<Connection>) {
    if root.parent.is_some() || tree.watched.count() > ATTACHED_AGENTS {
        return;
    }
    for child in tree.tree.seats().into_iter().filter(|seat| seat.parent.is_some()) {
        tree.with(child.thread, |watched, _| {
            // Who has followed it all along has its questions already.
            if watched.subscribe(connection) {
                app.ask_again(child.thread, connection);
            }
        });
    }
}

/// What the answer to `thread/resume` says of the past.
#[derive(Default)]
struct History {
    turns: Vec<Turn>,
    page: Option<TurnsPage>,
    /// Cursors to the newest turn, and to the newest item.
    ends: (Option<String>, Option<String>),
    spent: Option<Spent>,
}

fn wants_turns(params: &ThreadResumeParams) -> bool {
    !params.exclude_turns || params.initial_turns_page.is_some()
}

/// Reads what the answer will need of the rollout, while its tree is brought into memory. What cannot be read is read again when
/// it is needed, and then said.
fn read_ahead(
    app: &AppServer,
    thread: ThreadId,
    loaded: Option<&LoadedTree>,
    params: &ThreadResumeParams,
) -> impl Future<Output = Option<Ahead>> + use<> {
    let journal = loaded.map_or_else(|| app.trees.journal(), |tree| &tree.tree.journal);
    let (journal, store, wants_turns) = (Arc::clone(journal), Arc::clone(&app.store), wants_turns(params));
    let read = blocking(move || {
        let ahead = wants_turns.then(|| history::ahead(&*journal, thread).ok()).flatten();
        // One that leaves no trace is not in it.
        let _ = store.refresh(thread);
        Ok(ahead)
    });
    async move { read.await.ok().flatten() }
}

/// The turns that go into the answer, and what stands beside them. A long history is read only where it is wanted.
fn history_of(
    tree: &LoadedTree,
    seat: &Seat,
    params: &ThreadResumeParams,
    ahead: Option<Ahead>,
) -> Result<History, RpcError> {
    let wanted = params.initial_turns_page.as_ref();
    if !wants_turns(params) {
        let ends = history::ends(&*tree.tree.journal, seat.thread);
        let ends = ends.map_err(|error| looks::unreadable(seat.thread, &error))?;
        return Ok(History { ends, ..History::default() });
    }
    let turns = looks::turns_after(tree, seat, ahead)?;
    let live = seat.look(|view| view.turn.clone());
    let all = if params.exclude_turns { Vec::new() } else { turns.all(TurnItemsView::Full, live.as_ref()) };
    let page = wanted.map(|wanted| looks::first_page(seat.thread, &turns, wanted, live.as_ref()));
    Ok(History { turns: all, page: page.transpose()?, ends: turns.ends(seat.thread), spent: turns.spent() })
}

fn resumed(
    begun: ThreadStartResponse,
    tree: &LoadedTree,
    seat: &Seat,
    page: Option<TurnsPage>,
    (turns_backwards_cursor, items_backwards_cursor): (Option<String>, Option<String>),
) -> ThreadResumeResponse {
    let mode = settings::of(tree, seat).collaboration_mode;
    ThreadResumeResponse {
        thread: begun.thread,
        model: begun.model,
        model_provider: begun.model_provider,
        service_tier: begun.service_tier,
        disabled_plugin_ids: begun.disabled_plugin_ids,
        cwd: begun.cwd,
        runtime_workspace_roots: begun.runtime_workspace_roots,
        instruction_sources: begun.instruction_sources,
        approval_policy: begun.approval_policy,
        approvals_reviewer: begun.approvals_reviewer,
        sandbox: begun.sandbox,
        active_permission_profile: begun.active_permission_profile,
        reasoning_effort: begun.reasoning_effort,
        collaboration_mode: Some(mode),
        multi_agent_mode: begun.multi_agent_mode,
        initial_turns_page: page,
        turns_backwards_cursor,
        items_backwards_cursor,
    }
}

impl AppServer {
    /// Loads the tree of a thread, with what the client says of it.
    pub(super) async fn load(
        &self,
        thread: ThreadId,
        overrides: &ThreadOverrides,
        connection: &Connection,
    ) -> Result<(Arc<LoadedTree>, Vec<String>), RpcError> {
        let trees = self.trees.clone();
        let root = blocking(move || {
            let read = |thread| trees.look(thread).map_err(|error| looks::missing(thread, &error));
            let agent = read(thread)?;
            let root = ThreadId::from(agent.identity().session);
            if root == thread { Ok(agent) } else { read(root) }
        })
        .await?;
        let session: SessionId = root.identity().session;
        let request = request(overrides, connection, Some(recorded(&root)))?;
        let (cwd, roots) = (request.cwd.clone(), request.workspace_roots.clone());
        let prepared = self.prepare(request).await?;
        let set = said(&prepared, overrides, cwd, roots);
        let mut told = prepared.warnings.clone();
        let (tree, warnings) = self.begin(Begin::Load { session }, prepared, false).await?;
        set_root(&tree, set)?;
        told.extend(warnings);
        Ok((tree, told))
    }
}
