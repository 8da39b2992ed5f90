//! What stands behind the connections.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::connection::Connection;
use crate::rpc::{Answered, RequestId};

/// Whose methods the router calls, and who is told of what happens to connections.
///
/// None of these may wait: they are called on the way of a connection's messages.
pub trait Service: Send + Sync + Sized + 'static {
    /// A client has said who it is, and its answer is queued; broadcasts do not reach it before this returns. What belongs
    /// to the greeting is sent from here with [`Connection::send`].
    fn opened(&self, connection: &Arc<Connection>) {
        let _ = connection;
    }

    /// A client answers a request of ours; it may be one that nobody made, or that is answered already.
    fn answered(&self, connection: &Arc<Connection>, id: RequestId, answer: Answered) {
        let _ = (connection, id, answer);
    }

    /// The connection did not keep up with this thread: what was queued of it, and came since, is dropped; `since` is the first
    /// turn that any of it was about. There is room again now: the place to send what brings it up to date. Its notifications
    /// are sent again once this returns.
    fn lagged(&self, connection: &Arc<Connection>, thread: &str, since: Option<&str>) {
        let _ = (connection, thread, since);
    }

    /// The connection is no more. Nothing that is sent to it arrives.
    fn closed(&self, connection: &Arc<Connection>) {
        let _ = connection;
    }

    /// The server has stopped, and no connection is left: what still runs is to end. Not waited for when it is told a second
    /// time to stop.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// What of these parameters needs the experimental capability, as `method.field`. Asked only of a client without it.
    fn experimental(&self, method: &str, params: &RawValue) -> Option<&'static str> {
        let _ = (method, params);
        None
    }
}
