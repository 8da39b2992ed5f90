//! The commands of a thread beside its turns: `thread/shellCommand`, `thread/backgroundTerminals/*`, and the counter of questions that are open
//! outside (`thread/increment_elicitation`, `thread/decrement_elicitation`), while which their clocks stand still.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_actors::process::{Listed, SessionId};
use sapwood_actors::seat::Seat;
use sapwood_actors::tree::Tree;
use sapwood_protocol::ThreadId;
use sapwood_protocol::app::change::{Done, ElicitationResponse, ThreadParams};
use sapwood_protocol::app::queue::ThreadPageParams;
use sapwood_protocol::app::terminals::{
    BackgroundTerminal, BackgroundTerminalTerminateParams, BackgroundTerminalTerminateResponse,
    BackgroundTerminalsResponse, ThreadShellCommandParams,
};
use sapwood_protocol::ids::InputId;
use uuid::Uuid;

use super::turns::{refused, takes_input};

use crate::app::AppServer;
use crate::router::{Call, Method, Reply};
use crate::rpc::{INVALID_PARAMS, RpcError};

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("thread/shellCommand", shell_command),
        Method::new("thread/increment_elicitation", increment).experimental(),
        Method::new("thread/decrement_elicitation", decrement).experimental(),
        Method::new("thread/backgroundTerminals/list", list).experimental(),
        Method::new("thread/backgroundTerminals/terminate", terminate).experimental(),
        Method::new("thread/backgroundTerminals/clean", clean).experimental(),
    ]
}

/// Questions that clients say are open outside, by thread. Threads without one are not in it.
#[derive(Debug, Default)]
pub(crate) struct Elicitations(Mutex<BTreeMap<ThreadId, u64>>);

impl Elicitations {
    /// One more. The first one stops the clocks.
    fn increment(&self, tree: &Tree, seat: &Seat) -> u64 {
        let mut open = self.0.lock();
        let count = open.entry(seat.thread).or_default();
        *count += 1;
        if *count == 1 {
            tree.pause_commands(seat, true);
        }
        *count
    }

    /// One less: nothing if there was none. The last one lets the clocks run on.
    fn decrement(&self, tree: &Tree, seat: &Seat) -> Option<u64> {
        let mut open = self.0.lock();
        let count = open.get_mut(&seat.thread)?;
        *count -= 1;
        let left = *count;
        if left == 0 {
            open.remove(&seat.thread);
            tree.pause_commands(seat, false);
        }
        Some(left)
    }
}

async fn shell_command(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = call.params().and_then(|params: ThreadShellCommandParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        takes_input(&seat)?;
        if params.command.trim().is_empty() {
            return Err(RpcError::invalid("command must not be empty"));
        }
        let timeout_ms = params.timeout_ms.map(|wish| u64::try_from(wish).map_err(|_| wish)).transpose();
        let timeout_ms = timeout_ms.map_err(|wish| {
            let text = format!("thread/shellCommand timeoutMs must be non-negative, got {wish}");
            RpcError { code: INVALID_PARAMS, ..RpcError::invalid(text) }
        })?;
        Ok((tree, seat, params.command, timeout_ms))
    });
    let (tree, seat, command, timeout_ms) = match found {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    // Until it is answered, nothing that follows from it is told.
    tree.with(seat.thread, |_, _| {
        let id = InputId::from(Uuid::new_v4());
        reply.send(
            tree.tree.user_shell(&seat, id, command, timeout_ms, call.parent()).map(|()| Done {}).map_err(refused),
        );
    });
}

async fn increment(app: Arc<AppServer>, call: Call, reply: Reply) {
    let counted = call.params().and_then(|params: ThreadParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        Ok(answer(tree.elicitations.increment(&tree.tree, &seat)))
    });
    reply.send(counted);
}

async fn decrement(app: Arc<AppServer>, call: Call, reply: Reply) {
    let counted = call.params().and_then(|params: ThreadParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        let left = tree.elicitations.decrement(&tree.tree, &seat);
        left.map(answer).ok_or_else(|| RpcError::invalid("out-of-band elicitation count is already zero"))
    });
    reply.send(counted);
}

fn answer(count: u64) -> ElicitationResponse {
    ElicitationResponse { count: i64::try_from(count).unwrap_or(i64::MAX), paused: count > 0 }
}

async fn list(app: Arc<AppServer>, call: Call, reply: Reply) {
    let listed = call.params().and_then(|params: ThreadPageParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        page(tree.tree.terminals(&seat), &params)
    });
    reply.send(listed);
}

/// One page. A cursor is the name of the last one before: what ends meanwhile moves nobody else.
fn page(mut all: Vec<Listed>, params: &ThreadPageParams) -> Result<BackgroundTerminalsResponse, RpcError> {
    all.sort_by_key(|listed| listed.id);
    let after: Option<SessionId> = params
        .cursor
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| RpcError::invalid(format!("invalid cursor: {error}")))?;
    all.retain(|listed| after.is_none_or(|after| listed.id > after));
    let limit = params.limit.map_or(usize::MAX, |limit| (limit as usize).max(1));
    let is_more = all.len() > limit;
    all.truncate(limit);
    let next_cursor = all.last().filter(|_| is_more).map(|last| last.id.to_string());
    Ok(BackgroundTerminalsResponse { data: all.into_iter().map(shown).collect(), next_cursor })
}

fn shown(listed: Listed) -> BackgroundTerminal {
    let Listed { id, group, about } = listed;
    BackgroundTerminal {
        item_id: about.call.as_str().to_owned(),
        process_id: id.to_string(),
        command: about.command,
        cwd: about.cwd.to_string_lossy().into_owned(),
        os_pid: u32::try_from(group.id).ok(),
        cpu_percent: None,
        rss_kb: None,
    }
}

async fn terminate(app: Arc<AppServer>, call: Call, reply: Reply) {
    let terminated = call.params().and_then(|params: BackgroundTerminalTerminateParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        let id: SessionId = params
            .process_id
            .parse()
            .map_err(|error| RpcError::invalid(format!("invalid background terminal process id: {error}")))?;
        Ok(BackgroundTerminalTerminateResponse { terminated: tree.tree.end_terminal(&seat, id) })
    });
    reply.send(terminated);
}

async fn clean(app: Arc<AppServer>, call: Call, reply: Reply) {
    let cleaned = call.params().and_then(|params: ThreadParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        tree.tree.end_terminals(&seat);
        Ok(Done {})
    });
    reply.send(cleaned);
}
