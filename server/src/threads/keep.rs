//! `thread/name/set`, `archive`, `unarchive`, `delete`, `unsubscribe`, `settings/update`, `metadata/update`: what changes a thread
//! without running anything in it.

use std::sync::Arc;

use sapwood_protocol::ThreadId;
use sapwood_protocol::app::change::{
    Done, ThreadMetadataUpdateParams, ThreadParams, ThreadResponse, ThreadSetNameParams, ThreadSettingsUpdateParams,
    ThreadUnsubscribeResponse, UnsubscribeStatus,
};
use sapwood_protocol::app::notices::{
    Notice, ThreadArchived, ThreadClosed, ThreadDeleted, ThreadNameUpdated, ThreadStatusChanged, ThreadUnarchived,
};
use sapwood_protocol::app::thread::ThreadStatus;
use sapwood_protocol::ids::InputId;
use uuid::Uuid;

use super::settings::Change;
use super::tree::LoadedTree;
use crate::app::{AppServer, thread_id};
use crate::blocking::blocking;
use crate::connection::Connections;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;
use crate::store::{Patch, StoreError};

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("thread/name/set", set_name),
        Method::new("thread/archive", archive),
        Method::new("thread/unarchive", unarchive),
        Method::new("thread/delete", delete),
        Method::new("thread/unsubscribe", unsubscribe),
        Method::new("thread/settings/update", update_settings),
        Method::new("thread/metadata/update", update_metadata),
    ]
}

async fn set_name(app: Arc<AppServer>, call: Call, reply: Reply) {
    let server = Arc::clone(&app);
    let set = async {
        let params: ThreadSetNameParams = call.params()?;
        let thread = thread_id(&params.thread_id)?;
        let name = params.name.trim().to_owned();
        let kept = name.clone();
        blocking(move || Ok(app.store.set_name(thread, &kept, app.clock.now())?)).await?;
        Ok((thread, name))
    };
    match set.await {
        Ok((thread_id, name)) => {
            reply.ok(&Done {});
            tell(server.connections(), &ThreadNameUpdated { thread_id, thread_name: Some(name) });
        }
        Err(error) => reply.error(error),
    }
}

async fn archive(app: Arc<AppServer>, call: Call, reply: Reply) {
    let server = Arc::clone(&app);
    let archived = async {
        let thread = named(&call)?;
        app.let_go(thread).await?;
        blocking(move || Ok(app.store.archive(thread)?)).await
    };
    match archived.await {
        Ok(threads) => {
            reply.ok(&Done {});
            threads.into_iter().for_each(|thread_id| tell(server.connections(), &ThreadArchived { thread_id }));
        }
        Err(error) => reply.error(error),
    }
}

async fn unarchive(app: Arc<AppServer>, call: Call, reply: Reply) {
    let server = Arc::clone(&app);
    let unarchived = async {
        let thread = named(&call)?;
        blocking(move || {
            let threads = app.store.unarchive(thread)?;
            Ok((threads, app.store.thread(thread)?))
        })
        .await
    };
    match unarchived.await {
        Ok((threads, thread)) => {
            reply.ok(&ThreadResponse { thread });
            threads.into_iter().for_each(|thread_id| tell(server.connections(), &ThreadUnarchived { thread_id }));
        }
        Err(error) => reply.error(error),
    }
}

async fn delete(app: Arc<AppServer>, call: Call, reply: Reply) {
    let server = Arc::clone(&app);
    let deleted = async {
        let thread = named(&call)?;
        app.let_go(thread).await?;
        blocking(move || Ok(app.store.delete(thread)?)).await?;
        Ok(thread)
    };
    match deleted.await {
        Ok(thread_id) => {
            reply.ok(&Done {});
            tell(server.connections(), &ThreadDeleted { thread_id });
        }
        Err(error) => reply.error(error),
    }
}

async fn unsubscribe(app: Arc<AppServer>, call: Call, reply: Reply) {
    let status = named(&call).map(|thread| {
        let was = app
            .find(thread)
            .and_then(|(tree, _)| tree.with(thread, |watched, teller| watched.leave(call.connection.id(), teller)));
        let status = match was {
            None => UnsubscribeStatus::NotLoaded,
            Some(false) => UnsubscribeStatus::NotSubscribed,
            Some(true) => UnsubscribeStatus::Unsubscribed,
        };
        ThreadUnsubscribeResponse { status }
    });
    reply.send(status);
}

async fn update_settings(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = async {
        let params: ThreadSettingsUpdateParams = call.params()?;
        let (tree, seat) = app.loaded(&params.thread_id)?;
        let change = Change::of(&app, (&tree, &seat), &params.settings, None).await?;
        Ok((change, tree, seat))
    };
    let (mut change, tree, seat) = match found.await {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    tree.with(seat.thread, |_, _| {
        let set = change.set.take().map_or(Ok(()), |set| {
            let id = InputId::from(Uuid::new_v4());
            tree.tree.configure(&seat, id, set).map(drop)
        });
        if set.is_ok() {
            change.begins(&tree, &seat);
        }
        reply.send(set.map(|()| Done {}).map_err(super::turns::refused));
    });
}

async fn update_metadata(app: Arc<AppServer>, call: Call, reply: Reply) {
    let updated = async {
        let params: ThreadMetadataUpdateParams = call.params()?;
        params.check().map_err(RpcError::invalid)?;
        let thread = thread_id(&params.thread_id)?;
        let git = params.git_info.unwrap_or_default();
        let patch = Patch {
            sha: git.sha,
            branch: git.branch,
            origin_url: git.origin_url,
            project_id: params.project_id.map(Some),
            daybreak_enabled: params.daybreak_enabled,
        };
        blocking(move || {
            let thread = match app.find(thread) {
                Some((tree, seat)) => {
                    let noted = tree.tree.note(&seat, &patch.line(app.clock.now()));
                    noted.map_err(super::turns::refused)?;
                    app.store.refresh(thread)?;
                    app.show(thread)?.0
                }
                None => app.store.update(thread, &patch, app.clock.now())?,
            };
            Ok(ThreadResponse { thread })
        })
        .await
    };
    reply.send(updated.await);
}

fn named(call: &Call) -> Result<ThreadId, RpcError> {
    let params: ThreadParams = call.params()?;
    thread_id(&params.thread_id)
}

/// Tells everybody.
fn tell(connections: &Connections, notice: &impl Notice) {
    fn method<N: Notice>(_: &N) -> &'static str {
        N::METHOD
    }
    connections.tell_all(method(notice), notice);
}

/// Why a tree leaves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Nobody needs it.
    Idle,
    /// Its files are moved, which is told in words of its own.
    Moved,
    /// It was there for one request, and nobody was told of it.
    Unseen,
}

/// Tells everybody that the threads of a tree are in memory no more.
pub(crate) fn tell_unloaded(connections: &Connections, tree: &LoadedTree, leaving: Leaving) {
    if leaving == Leaving::Unseen {
        return;
    }
    for seat in tree.tree.seats() {
        let thread_id = seat.thread;
        tell(connections, &ThreadStatusChanged { thread_id, status: ThreadStatus::NotLoaded });
        if leaving == Leaving::Idle {
            tell(connections, &ThreadClosed { thread_id });
        }
    }
}

impl AppServer {
    /// Takes the tree of a thread out of memory, so that its files can be moved.
    ///
    /// # Errors
    /// It works: what it does would be lost.
    async fn let_go(&self, thread: ThreadId) -> Result<(), RpcError> {
        let Some((tree, seat)) = self.find(thread) else { return Ok(()) };
        if seat.parent.is_some() {
            return Err(StoreError::Held { thread, holder: None }.into());
        }
        self.unload(tree.tree.session, Leaving::Moved).await;
        Ok(())
    }
}
