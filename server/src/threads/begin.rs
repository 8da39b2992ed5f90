//! `thread/start` and `thread/fork`: threads that are made, and who looks at them from then on.

use std::sync::Arc;

use sapwood_actors::fold;
use sapwood_actors::seat::Seat;
use sapwood_protocol::app::notices::{ThreadStarted, Warning};
use sapwood_protocol::app::settings::MultiAgentMode;
use sapwood_protocol::app::start::{ThreadForkParams, ThreadStartParams, ThreadStartResponse};
use sapwood_protocol::app::thread::{Thread, ThreadStatus};
use sapwood_protocol::app::turn::{Turn, TurnItemsView};
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Fork, ThreadSettings as Set};
use sapwood_protocol::{ThreadId, TurnId};
use uuid::Uuid;

use super::looks;
use super::notify::notice;
use super::overrides::{client_tools, in_usual_mode, recorded, request, said, text_of, voice};
use super::settings;
use super::tree::LoadedTree;
use crate::app::{AppServer, Begin, thread_id};
use crate::blocking::blocking;
use crate::connection::Connection;
use crate::history;
use crate::program::{Prepared, ThreadRequest};
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

/// The kind of client that the threads made here are from: Codex writes the same for whoever speaks this protocol.
const SOURCE: &str = "vscode";

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![Method::new("thread/start", start), Method::new("thread/fork", fork)]
}

async fn start(app: Arc<AppServer>, call: Call, reply: Reply) {
    let begun = async {
        let params: ThreadStartParams = call.params()?;
        let is_ephemeral = params.ephemeral == Some(true);
        let mut prepared = app.prepare(request(&params.overrides, &call.connection, None)?).await?;
        prepared.settings.thread_source = params.thread_source.as_deref().map(Into::into);
        prepared.settings.source = SOURCE;
        prepared.settings.has_environment = params.environments.as_ref().is_none_or(|places| !places.is_empty());
        prepared.settings.client_tools = client_tools(params.dynamic_tools.as_deref().unwrap_or_default())?;
        let cwd = text_of(&prepared)?;
        let begun = app.begin(Begin::New { cwd: &cwd }, prepared, is_ephemeral).await?;
        let set = Set { manner: voice(&params.overrides), ..Set::default() };
        set_root(&begun.0, (set != Set::default()).then_some(set))?;
        Ok(begun)
    };
    match begun.await {
        Ok((tree, warnings)) => app.introduce(&tree, &call.connection, reply, warnings, Introduction::Started),
        Err(error) => reply.error(error),
    }
}

async fn fork(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: ThreadForkParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    let forked = async {
        if params.last_turn_id.is_some() && params.before_turn_id.is_some() {
            return Err(RpcError::invalid("`lastTurnId` cannot be combined with `beforeTurnId`"));
        }
        let source = thread_id(&params.thread_id)?;
        let loaded = app.find(source);
        let journal = match &loaded {
            Some((tree, _)) => Arc::clone(&tree.tree.journal),
            None => Arc::clone(app.trees.journal()),
        };
        let open = loaded.as_ref().and_then(|(_, seat)| seat.look(|view| view.turn.clone()));
        let wanted = (params.last_turn_id.clone(), params.before_turn_id.clone());
        let (agent, point) = blocking(move || {
            let turns = history::read(&*journal, source).map_err(|error| looks::missing(source, &error))?;
            let end = end_of(&turns, wanted, open.as_ref())?;
            let read = match end {
                Some(end) => fold::below(&*journal, source, end),
                None => fold::read(&*journal, source),
            };
            let agent = read.map_err(|error| looks::missing(source, &error))?;
            let end = end.unwrap_or_else(|| agent.next_number());
            Ok((agent, Fork { end, turns: None }))
        })
        .await?;
        let recorded = recorded(&agent);
        let request = request(&params.overrides, &call.connection, Some(recorded))?;
        let (dir, roots) = (request.cwd.clone(), request.workspace_roots.clone());
        let mut prepared = app.prepare(request).await?;
        prepared.settings.thread_source = params.thread_source.as_deref().map(Into::into);
        prepared.settings.source = SOURCE;
        let set = in_usual_mode(&agent, said(&prepared, &params.overrides, dir, roots));
        let cwd = text_of(&prepared)?;
        let begin = Begin::Fork { source: &agent, point, cwd: &cwd };
        let (tree, mut warnings) = app.begin(begin, prepared, params.ephemeral).await?;
        set_root(&tree, set)?;
        if !params.ephemeral {
            let (store, now, fork) = (Arc::clone(&app.store), app.clock.now(), ThreadId::from(tree.tree.session));
            let named = blocking(move || Ok(store.name_after(fork, source, now)?)).await;
            warnings.extend(named.err().map(|error| format!("the fork has no name: {}", error.message)));
        }
        Ok((tree, warnings))
    };
    match forked.await {
        Ok((tree, warnings)) => {
            let introduction = if params.exclude_turns { Introduction::Started } else { Introduction::Forked };
            app.introduce(&tree, &call.connection, reply, warnings, introduction);
        }
        Err(error) => reply.error(error),
    }
}

/// How a thread that was just made is answered.
enum Introduction {
    /// Without turns.
    Started,
    /// With those that it continues.
    Forked,
}

impl AppServer {
    /// What a thread begins or goes on with.
    pub(super) async fn prepare(&self, request: ThreadRequest) -> Result<Prepared, RpcError> {
        let program = Arc::clone(crate::program::HasProgram::program(self));
        blocking(move || program.thread_settings(request).map_err(RpcError::from)).await
    }

    /// Answers who made a thread, and tells everybody else that it is there.
    fn introduce(
        &self,
        tree: &LoadedTree,
        connection: &Arc<Connection>,
        reply: Reply,
        warnings: Vec<String>,
        introduction: Introduction,
    ) {
        let Some(seat) = tree.tree.root() else {
            return reply.error(RpcError::internal("a tree was made without a root"));
        };
        tree.with(seat.thread, |watched, _| {
            let history = match introduction {
                Introduction::Forked => match looks::turns(tree, &seat) {
                    Ok(turns) => Some(turns),
                    Err(error) => return reply.error(error),
                },
                Introduction::Started => None,
            };
            let turns = history.as_ref().map(|turns| turns.all(TurnItemsView::Full, None)).unwrap_or_default();
            let newest = turns.last().cloned();
            let Some(begun) = begun(tree, &seat, turns, watched.status()) else {
                return reply.error(RpcError::internal(format!("thread {} cannot be read", seat.thread)));
            };
            reply.ok(&begun);
            let spent = history.and_then(|turns| turns.spent());
            watched.answered(settings::of(tree, &seat), spent);
            watched.had_ended(newest.as_ref());
            if let (Some(turn), Some(spent)) = (newest, spent) {
                watched.tell_spent(connection, turn.id, spent);
            }
            watched.announce();
            watched.subscribe(connection);
            let thread = Thread { turns: Vec::new(), ..begun.thread };
            self.connections().broadcast(&notice(&seat.thread.to_string().into(), &ThreadStarted { thread }));
            warn(connection, seat.thread, tree.prepared.lock().warnings.iter().cloned().chain(warnings));
        });
    }
}

/// Sets what a client said of a thread that goes on.
pub(super) fn set_root(tree: &LoadedTree, set: Option<Set>) -> Result<(), RpcError> {
    let (Some(set), Some(seat)) = (set, tree.tree.root()) else { return Ok(()) };
    let told = tree.tree.configure(&seat, InputId::from(Uuid::new_v4()), set);
    told.map(drop).map_err(|refusal| RpcError::internal(refusal.to_string()))
}

pub(super) fn begun(
    tree: &LoadedTree,
    seat: &Seat,
    turns: Vec<Turn>,
    status: ThreadStatus,
) -> Option<ThreadStartResponse> {
    let thread = Thread { turns, status, ..tree.describe(seat)? };
    let settings = settings::of(tree, seat);
    let prepared = tree.prepared.lock();
    let sources = prepared.instruction_sources.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let environments = settings.environments.as_deref().unwrap_or_default();
    let roots = environments.first().map(|local| local.runtime_workspace_roots.clone()).unwrap_or_default();
    Some(ThreadStartResponse {
        thread,
        model: settings.model,
        model_provider: settings.model_provider,
        service_tier: settings.service_tier,
        disabled_plugin_ids: settings.disabled_plugin_ids,
        cwd: settings.cwd,
        runtime_workspace_roots: roots,
        instruction_sources: sources,
        approval_policy: settings.approval_policy,
        approvals_reviewer: settings.approvals_reviewer,
        sandbox: settings.sandbox_policy,
        active_permission_profile: settings.active_permission_profile,
        reasoning_effort: settings.effort,
        multi_agent_mode: MultiAgentMode::default(),
    })
}

/// Where a fork ends: the number of the first line that it does not inherit. Nothing for all of them.
fn end_of(
    turns: &history::Turns,
    (last, before): (Option<String>, Option<String>),
    open: Option<&TurnId>,
) -> Result<Option<u64>, RpcError> {
    let find = |field: &str, id: &str| {
        let id = TurnId::from(id);
        turns.span(&id).ok_or_else(|| RpcError::invalid(format!("{field} `{id}` not found")))
    };
    if let Some(last) = last {
        let (_, end) = find("lastTurnId", &last)?;
        if open.is_some_and(|open| open.as_str() == last) {
            return Err(RpcError::invalid(format!("lastTurnId '{last}' identifies an in-progress turn")));
        }
        return Ok(end);
    }
    before.map(|before| find("beforeTurnId", &before).map(|(start, _)| start)).transpose()
}

pub(super) fn warn(connection: &Connection, thread: ThreadId, warnings: impl IntoIterator<Item = String>) {
    let name = thread.to_string().into();
    for message in warnings {
        connection.send(&notice(&name, &Warning { thread_id: Some(thread), message }));
    }
}
