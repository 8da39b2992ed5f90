//! `thread/start`, `thread/resume`, `thread/fork`: threads that come into memory, and who looks at them from then on.

use std::path::PathBuf;
use std::sync::Arc;

use sapwood_actors::agent::approval::DynamicTools;
use sapwood_actors::fold;
use sapwood_actors::seat::Seat;
use sapwood_actors::tree::INPUT_BYTES;
use sapwood_protocol::app::dynamic::DynamicTool;
use sapwood_protocol::app::list::TurnsPage;
use sapwood_protocol::app::notices::{ThreadStarted, Warning};
use sapwood_protocol::app::settings::MultiAgentMode;
use sapwood_protocol::app::start::{
    ThreadForkParams, ThreadOverrides, ThreadResumeParams, ThreadResumeResponse, ThreadStartParams, ThreadStartResponse,
};
use sapwood_protocol::app::thread::Thread;
use sapwood_protocol::app::turn::{Turn, TurnItemsView};
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Fork, Manner, ThreadSettings as Set};
use sapwood_protocol::{SessionId, ThreadId, TurnId};
use uuid::Uuid;

use super::looks;
use super::notify::notice;
use super::settings::{self, name};
use super::tree::{ATTACHED_AGENTS, LoadedTree};
use crate::app::{AppServer, Begin, thread_id};
use crate::blocking::blocking;
use crate::connection::Connection;
use crate::history::{self, Ahead, Spent};
use crate::program::{Prepared, Recorded, ThreadRequest};
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

/// The kind of client that the threads made here are from: Codex writes the same for whoever speaks this protocol.
const SOURCE: &str = "vscode";

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![Method::new("thread/start", start), Method::new("thread/resume", resume), Method::new("thread/fork", fork)]
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
        let agent = blocking(move || {
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
        let (agent, point) = agent;
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

/// Sets what a client said of a thread that goes on.
fn set_root(tree: &LoadedTree, set: Option<Set>) -> Result<(), RpcError> {
    let (Some(set), Some(seat)) = (set, tree.tree.root()) else { return Ok(()) };
    let told = tree.tree.configure(&seat, InputId::from(Uuid::new_v4().to_string()), set);
    told.map(drop).map_err(|refusal| RpcError::internal(refusal.to_string()))
}

/// The tools of a client, if they are in order.
fn client_tools(tools: &[DynamicTool]) -> Result<DynamicTools, RpcError> {
    let same = serde_json::to_value(tools).and_then(serde_json::from_value::<DynamicTools>);
    let same = same.map_err(|error| RpcError::invalid(format!("`dynamicTools` cannot be read: {error}")))?;
    same.checked().map_err(|error| RpcError::invalid(error.to_string()))
}

/// What a client says of a thread, for the program.
fn request(
    overrides: &ThreadOverrides,
    connection: &Connection,
    resume: Option<Recorded>,
) -> Result<ThreadRequest, RpcError> {
    if overrides.sandbox.is_some() && overrides.permissions.is_some() {
        return Err(RpcError::invalid("`permissions` cannot be combined with `sandbox`"));
    }
    if overrides.developer_instructions.as_ref().is_some_and(|text| text.len() > INPUT_BYTES) {
        return Err(RpcError::invalid(format!("`developerInstructions` has more than {INPUT_BYTES} bytes")));
    }
    Ok(ThreadRequest {
        cwd: overrides.cwd.as_ref().map(PathBuf::from),
        workspace_roots: overrides
            .runtime_workspace_roots
            .as_ref()
            .map(|roots| roots.iter().map(PathBuf::from).collect()),
        model: overrides.model.clone(),
        model_provider: overrides.model_provider.clone(),
        service_tier: overrides.service_tier.clone(),
        approval_policy: overrides.approval_policy.map(Into::into),
        approvals_reviewer: overrides.approvals_reviewer,
        sandbox: overrides.sandbox.map(|mode| name(&mode).to_string()),
        permissions: overrides.permissions.clone(),
        sandbox_policy: None,
        config: overrides.config.clone().unwrap_or_default(),
        base_instructions: overrides.base_instructions.clone(),
        originator: connection.client().map(|client| client.info.name.clone()).unwrap_or_default(),
        resume,
    })
}

/// How the model is to speak, and what it is told: no program has a say in it.
fn voice(overrides: &ThreadOverrides) -> Manner {
    Manner {
        personality: overrides.personality.map(|personality| name(&personality)),
        developer_instructions: overrides.developer_instructions.as_deref().map(Into::into),
        ..Manner::default()
    }
}

/// What of it is set in a thread that goes on: what the client named, and nothing else.
fn said(
    prepared: &Prepared,
    overrides: &ThreadOverrides,
    cwd: Option<PathBuf>,
    roots: Option<Vec<PathBuf>>,
) -> Option<Set> {
    let settings = &prepared.settings;
    let rights = prepared.rights_are_said;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let manner = Manner {
        cwd: cwd.map(|_| prepared.cwd.to_string_lossy().into()),
        workspace_roots: roots.map(|roots| roots.into_iter().map(text).collect()),
        approval_policy: overrides.approval_policy.map(Into::into),
        approvals_reviewer: overrides.approvals_reviewer,
        sandbox: rights.then(|| settings.sandbox.clone()),
        service_tier: overrides.service_tier.as_ref().map(|tier| tier.as_deref().map(Into::into)),
        ..voice(overrides)
    };
    let model = prepared.model_is_said;
    let set = Set {
        provider: model.then(|| Arc::clone(&settings.provider)),
        model: model.then(|| Arc::clone(&settings.model)),
        effort: model.then(|| settings.effort.clone()),
        manner,
    };
    (set != Set::default()).then_some(set)
}

/// A fork begins in the usual mode of collaboration, whatever its source is in: people choose a mode where they work.
fn in_usual_mode(source: &sapwood_actors::agent::Agent, set: Option<Set>) -> Option<Set> {
    const USUAL: &str = "default";
    let is_unusual = source.asking.manner.as_ref().is_some_and(|manner| {
        manner.mode.as_deref().is_some_and(|mode| mode != USUAL)
            || manner.mode_instructions.iter().flatten().count() > 0
    });
    if !is_unusual {
        return set;
    }
    let set = set.unwrap_or_default();
    let manner = Manner { mode: Some(USUAL.into()), mode_instructions: Some(None), ..set.manner };
    Some(Set { manner, ..set })
}

fn recorded(agent: &sapwood_actors::agent::Agent) -> Recorded {
    let asking = &agent.asking;
    let text = |value: &Option<Arc<str>>| value.as_deref().map(str::to_owned);
    let cwd = asking.manner.as_ref().and_then(|manner| manner.cwd.as_deref()).unwrap_or(&agent.identity().cwd);
    Recorded {
        provider: text(&asking.provider),
        model: text(&asking.model),
        effort: text(&asking.effort),
        cwd: Some(PathBuf::from(cwd)),
        sandbox: asking.manner.as_ref().and_then(|manner| manner.sandbox.clone()),
        approval_policy: asking.manner.as_ref().and_then(|manner| manner.approval_policy),
    }
}

fn begun(
    tree: &LoadedTree,
    seat: &Seat,
    turns: Vec<Turn>,
    status: sapwood_protocol::app::thread::ThreadStatus,
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

fn warn(connection: &Connection, thread: ThreadId, warnings: impl IntoIterator<Item = String>) {
    let name = thread.to_string().into();
    for message in warnings {
        connection.send(&notice(&name, &Warning { thread_id: Some(thread), message }));
    }
}

fn text_of(prepared: &Prepared) -> Result<String, RpcError> {
    let cwd = prepared.cwd.to_str();
    cwd.map(str::to_owned).ok_or_else(|| RpcError::invalid("the path of `cwd` is no valid UTF-8"))
}
