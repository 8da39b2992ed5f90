//! `thread/queue/*`: messages that wait until a thread is idle, each for a turn of its own.
//!
//! A thread that is idle begins with a message at once, and with the next one whenever a turn ends; after an interrupt, and
//! after a crash, it waits until somebody starts it again. Of a thread that is not loaded the queue is kept, and not begun.

use std::sync::Arc;

use sapwood_actors::fold;
use sapwood_actors::seat::Seat;
use sapwood_actors::tree::QueueError;
use sapwood_protocol::ThreadId;
use sapwood_protocol::app::UserInput;
use sapwood_protocol::app::change::Done;
use sapwood_protocol::app::queue::{
    QueueAddParams, QueueDeleteParams, QueueDeleteResponse, QueueListResponse, QueueReorderParams, QueueStartParams,
    QueueStartResponse, QueueUpdateParams, QueuedResponse, QueuedSubmission, ThreadPageParams,
};
use sapwood_protocol::app::start::ThreadOverrides;
use sapwood_protocol::app::turn::Turn;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{QueuedInput, Said};
use serde::Serialize;
use uuid::Uuid;

use super::input;
use super::keep::Leaving;
use super::looks;
use super::tree::LoadedTree;
use super::turns::{refused, takes_input};
use crate::app::{AppServer, thread_id};
use crate::blocking::blocking;
use crate::connection::Connection;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

/// Messages in one page, without a wish: what the real server has.
const PAGE: usize = 25;
/// Messages in one page, at most.
const MAX_PAGE: usize = 100;

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("thread/queue/add", add).experimental(),
        Method::new("thread/queue/list", list).experimental(),
        Method::new("thread/queue/update", update).experimental(),
        Method::new("thread/queue/delete", delete).experimental(),
        Method::new("thread/queue/reorder", reorder).experimental(),
        Method::new("thread/queue/start", start).experimental(),
    ]
}

async fn add(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: QueueAddParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    let QueueAddParams { thread_id, client_user_message_id, input, responsesapi_client_metadata } = params;
    change(app, &call.connection, &thread_id, reply, |tree, seat| {
        takes_input(seat)?;
        says_something(&input)?;
        let said = Said { input, client_id: Some(client_user_message_id.into()), ..Said::default() };
        let queued = QueuedInput { said, metadata: responsesapi_client_metadata };
        let id = InputId::from(Uuid::new_v4());
        tree.tree.enqueue(seat, id.clone(), queued.clone()).map_err(queue_error)?;
        Ok(QueuedResponse { queued_submission: shown(&id, queued) })
    })
    .await;
}

async fn update(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: QueueUpdateParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    let QueueUpdateParams { thread_id, queued_submission_id, input, responsesapi_client_metadata } = params;
    change(app, &call.connection, &thread_id, reply, |tree, seat| {
        says_something(&input)?;
        let id = InputId::from(queued_submission_id);
        let metadata = responsesapi_client_metadata.filter(|metadata| !metadata.is_empty());
        let queued = tree.tree.edit_queued(seat, &id, input, metadata).map_err(queue_error)?;
        Ok(QueuedResponse { queued_submission: shown(&id, queued) })
    })
    .await;
}

async fn delete(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: QueueDeleteParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    change(app, &call.connection, &params.thread_id, reply, |tree, seat| {
        let id = InputId::from(params.queued_submission_id.as_str());
        let deleted = tree.tree.take_back(seat, &id).map_err(queue_error)?;
        Ok(QueueDeleteResponse { deleted })
    })
    .await;
}

async fn reorder(app: Arc<AppServer>, call: Call, reply: Reply) {
    let params: QueueReorderParams = match call.params() {
        Ok(params) => params,
        Err(error) => return reply.error(error),
    };
    change(app, &call.connection, &params.thread_id, reply, |tree, seat| {
        let ids: Vec<InputId> = params.queued_submission_ids.iter().map(|id| InputId::from(id.as_str())).collect();
        tree.tree.order_queue(seat, &ids).map_err(queue_error)?;
        Ok(Done {})
    })
    .await;
}

async fn list(app: Arc<AppServer>, call: Call, reply: Reply) {
    let listed = async {
        let params: ThreadPageParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        let waiting = match app.find(thread) {
            Some((tree, seat)) => {
                lasts(&tree, thread)?;
                tree.tree.queued(&seat)
            }
            None => {
                let journal = Arc::clone(app.trees.journal());
                blocking(move || {
                    let agent = fold::read(&*journal, thread).map_err(|error| looks::missing(thread, &error))?;
                    Ok(agent.inbox.queue().map(|(id, queued)| (id.clone(), queued.clone())).collect())
                })
                .await?
            }
        };
        page(waiting, &params)
    };
    reply.send(listed.await);
}

/// One page of the messages that wait. A cursor is how many come before.
fn page(waiting: Vec<(InputId, QueuedInput)>, params: &ThreadPageParams) -> Result<QueueListResponse, RpcError> {
    let begin: usize = match params.cursor.as_deref() {
        None => 0,
        Some(cursor) => {
            cursor.parse().map_err(|error| RpcError::invalid(format!("invalid queue pagination cursor: {error}")))?
        }
    };
    let limit = params.limit.map_or(PAGE, |limit| (limit as usize).clamp(1, MAX_PAGE));
    let end = begin.saturating_add(limit);
    let next_cursor = (end < waiting.len()).then(|| end.to_string());
    let data = waiting.into_iter().skip(begin).take(limit).map(|(id, queued)| shown(&id, queued)).collect();
    Ok(QueueListResponse { data, next_cursor })
}

async fn start(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = (|| {
        let params: QueueStartParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        Ok((params, thread))
    })();
    let (params, thread) = match found {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    let Some((tree, seat)) = app.find(thread) else {
        let journal = Arc::clone(app.trees.journal());
        let known = blocking(move || fold::read(&*journal, thread).map_err(|error| looks::missing(thread, &error)));
        return reply.error(match known.await {
            Ok(_) => RpcError::invalid("resume the thread before starting a queued message"),
            Err(error) => error,
        });
    };
    if let Err(error) = lasts(&tree, thread) {
        return reply.error(error);
    }
    // Until it is answered, nothing that follows from it is told.
    tree.with(thread, |_, _| {
        let id = params.queued_submission_id.as_deref().map(InputId::from);
        let begun = tree.tree.begin_queued(&seat, id.as_ref(), call.parent()).map_err(queue_error);
        reply.send(
            begun.map(|turn| QueueStartResponse {
                turn: Turn { root_turn_id: Some(turn.clone()), ..Turn::begun(turn) },
            }),
        );
    });
}

/// Changes the queue of a thread, and answers before anybody is told. One that is not loaded is there for this alone.
async fn change<T: Serialize>(
    app: Arc<AppServer>,
    connection: &Connection,
    thread: &str,
    reply: Reply,
    act: impl FnOnce(&LoadedTree, &Arc<Seat>) -> Result<T, RpcError>,
) {
    let found = async {
        let thread = thread_id(thread)?;
        if let Some((tree, seat)) = app.find(thread) {
            lasts(&tree, thread)?;
            return Ok((tree, seat, true));
        }
        let (tree, _) = app.load(thread, &ThreadOverrides::default(), connection).await?;
        let seat = tree.tree.seat(thread);
        let seat = seat.ok_or_else(|| RpcError::invalid(format!("thread not found: {thread}")))?;
        Ok((tree, seat, false))
    };
    let (tree, seat, was_loaded) = match found.await {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    tree.with(seat.thread, |_, _| {
        reply.send(act(&tree, &seat));
        if was_loaded {
            tree.tree.look_at_queue(&seat);
        }
    });
    let is_watched = || tree.watched.all().iter().any(|watched| watched.lock().is_watched());
    if !was_loaded && !is_watched() {
        app.unload(tree.tree.session, Leaving::Unseen).await;
    }
}

/// A thread that leaves no trace has nowhere to keep what waits.
fn lasts(tree: &LoadedTree, thread: ThreadId) -> Result<(), RpcError> {
    match tree.is_ephemeral {
        true => Err(RpcError::invalid(format!("ephemeral thread does not support queued submissions: {thread}"))),
        false => Ok(()),
    }
}

fn says_something(input: &[UserInput]) -> Result<(), RpcError> {
    match input {
        [] => Err(RpcError::invalid("only user input can be added to the user-message queue")),
        _ => input::check(input),
    }
}

fn shown(id: &InputId, queued: QueuedInput) -> QueuedSubmission {
    QueuedSubmission {
        id: id.to_string(),
        client_user_message_id: queued.said.client_id.map(Into::into).unwrap_or_default(),
        input: queued.said.input,
        responsesapi_client_metadata: queued.metadata,
    }
}

fn queue_error(error: QueueError) -> RpcError {
    match error {
        QueueError::Refused(refusal) => refused(refusal),
        error => RpcError::invalid(error.to_string()),
    }
}
