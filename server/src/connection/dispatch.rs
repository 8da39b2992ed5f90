//! From the requests of one client to its handlers, in their order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{Instrument, error, info_span};

use super::handshake::initialize;
use super::ingress::Waiting;
use super::{Connection, RpcError};
use crate::router::{Call, INITIALIZE, Reply};
use crate::rpc::Request;
use crate::server::Server;
use crate::service::Service;

/// Requests of one connection that are handled beside each other.
pub const CONCURRENT: usize = 32;

/// Handles what comes until nothing more does, and all is answered.
pub async fn dispatch<S: Service>(server: Arc<Server<S>>, connection: Arc<Connection>, mut waiting: Waiting) {
    let permits = Arc::new(Semaphore::new(CONCURRENT));
    let mut beside = JoinSet::new();
    while let Some(request) = waiting.next().await {
        connection.room().await;
        // Tasks that are done leave nothing behind.
        while beside.try_join_next().is_some() {}
        take(&server, &connection, request, &permits, &mut beside).await;
    }
    while beside.join_next().await.is_some() {}
}

async fn take<S: Service>(
    server: &Arc<Server<S>>,
    connection: &Arc<Connection>,
    request: Request,
    permits: &Arc<Semaphore>,
    beside: &mut JoinSet<()>,
) {
    let Request { id, method, params, trace } = request;
    if &*method == INITIALIZE {
        return match initialize(server, connection, &id, params) {
            Ok(()) => {}
            Err(error) => connection.refuse(&id, &error),
        };
    }
    let row = match server.router().find(&method) {
        Ok(row) => row,
        Err(error) => return connection.refuse(&id, &error),
    };
    let params = match params {
        Some(params) => params,
        None if row.is_bare() => RawValue::NULL.to_owned(),
        None => return connection.refuse(&id, &RpcError::malformed("missing field `params`")),
    };
    if connection.client().is_none() {
        return connection.refuse(&id, &RpcError::invalid("Not initialized"));
    }
    if !connection.experimental() {
        if row.is_experimental() {
            return connection.refuse(&id, &RpcError::experimental(row.name()));
        }
        if let Some(field) = server.service().experimental(row.name(), &params) {
            return connection.refuse(&id, &RpcError::experimental(field));
        }
    }
    let parent = trace.as_ref().and_then(|trace| trace.traceparent.as_deref());
    let span =
        info_span!("request", connection = %connection.id(), id = %id, method = row.name(), traceparent = parent);
    let reply = Reply::new(Arc::clone(connection), id.clone(), row.name());
    let call = Call { connection: Arc::clone(connection), id, method: row.name(), params, trace };
    let (name, service) = (row.name(), Arc::clone(server.service()));
    let server = Arc::clone(server);
    let work = async move {
        // Looked up again, so that the work holds the table and not a part of it.
        if let Ok(row) = server.router().find(name) {
            row.handle(service, call, reply).await;
        }
    };
    // A handler that panics has dropped its reply, which answered.
    let work = AssertUnwindSafe(work)
        .catch_unwind()
        .map(move |done| {
            if done.is_err() {
                error!(method = name, "a handler panicked");
            }
        })
        .instrument(span);
    if row.is_concurrent() {
        // Never closed.
        let permit = Arc::clone(permits).acquire_owned().await;
        beside.spawn(async move {
            work.await;
            drop(permit);
        });
    } else {
        work.await;
    }
}
