//! The table of methods, and one answer for each request.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use sapwood_actors::trace::Parent;
use sapwood_protocol::app::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::error;

use crate::connection::Connection;
use crate::rpc::{RequestId, RpcError, Trace};

/// A request on its way to its handler.
#[derive(Debug)]
pub struct Call {
    /// Who asks.
    pub connection: Arc<Connection>,
    /// What the asker calls it.
    pub id: RequestId,
    /// The method of the table.
    pub method: &'static str,
    /// As they came; `null` where the method takes none and none came.
    pub params: Box<RawValue>,
    /// Where it stands in the client's trace. Lives as long as the call.
    pub trace: Option<Trace>,
}

impl Call {
    /// The span of the client that the turn is to descend from which this starts.
    pub fn parent(&self) -> Option<Parent> {
        let Trace { traceparent, tracestate } = self.trace.as_ref()?;
        Parent::read(traceparent.as_deref()?, tracestate.as_deref())
    }

    /// The parameters as a value, or the error that says what is wrong with them.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, RpcError> {
        wire::read(&self.params).map_err(RpcError::malformed)
    }
}

/// The one answer that a request gets. Dropped without one, it answers that the fault is ours.
#[derive(Debug)]
#[must_use = "a request that is not answered is answered with an error"]
pub struct Reply {
    /// Until it is answered.
    open: Option<(Arc<Connection>, RequestId)>,
    method: &'static str,
}

impl Reply {
    pub(crate) fn new(connection: Arc<Connection>, id: RequestId, method: &'static str) -> Self {
        Self { open: Some((connection, id)), method }
    }

    /// Answers with a result. It is queued before whatever is sent to the connection after this call.
    pub fn ok(mut self, result: &impl Serialize) {
        if let Some((connection, id)) = self.open.take() {
            connection.answer(&id, result);
        }
    }

    /// Answers with an error.
    pub fn error(mut self, error: RpcError) {
        if let Some((connection, id)) = self.open.take() {
            connection.refuse(&id, &error);
        }
    }

    /// Answers with either.
    pub fn send(self, outcome: Result<impl Serialize, RpcError>) {
        match outcome {
            Ok(result) => self.ok(&result),
            Err(error) => self.error(error),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some((connection, id)) = self.open.take() {
            // Where the connection is gone this is only the end of its work.
            if connection.is_open() {
                error!(connection = %connection.id(), request = %id, method = self.method, "no answer was given");
            }
            connection.refuse(&id, &RpcError::internal(format!("{} ended without an answer", self.method)));
        }
    }
}

/// The work of one handler.
pub type Handling = Pin<Box<dyn Future<Output = ()> + Send>>;

type Handler<S> = Box<dyn Fn(Arc<S>, Call, Reply) -> Handling + Send + Sync>;

/// One row of the table.
pub struct Method<S> {
    name: &'static str,
    is_experimental: bool,
    is_concurrent: bool,
    is_bare: bool,
    handler: Handler<S>,
}

impl<S> Method<S> {
    /// A method, handled by `async fn(Arc<S>, Call, Reply)`, in the order of its connection's requests.
    pub fn new<F, W>(name: &'static str, handler: F) -> Self
    where
        F: Fn(Arc<S>, Call, Reply) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let handler: Handler<S> = Box::new(move |service, call, reply| Box::pin(handler(service, call, reply)));
        Self { name, is_experimental: false, is_concurrent: false, is_bare: false, handler }
    }

    /// Only for clients that declare `experimentalApi`.
    #[must_use]
    pub fn experimental(mut self) -> Self {
        self.is_experimental = true;
        self
    }

    /// It may take long: the connection's next requests do not wait for it.
    #[must_use]
    pub fn concurrent(mut self) -> Self {
        self.is_concurrent = true;
        self
    }

    /// It has no parameters: they may be missing.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// What clients call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is for clients with the experimental capability.
    pub fn is_experimental(&self) -> bool {
        self.is_experimental
    }

    pub(crate) fn is_concurrent(&self) -> bool {
        self.is_concurrent
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.is_bare
    }

    pub(crate) fn handle(&self, service: Arc<S>, call: Call, reply: Reply) -> Handling {
        (self.handler)(service, call, reply)
    }
}

impl<S> std::fmt::Debug for Method<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a client calls to say who it is. The connection answers it itself.
pub const INITIALIZE: &str = "initialize";

/// The methods there are, by name.
#[derive(Debug)]
pub struct Router<S> {
    rows: Vec<Method<S>>,
    by_name: HashMap<&'static str, usize>,
}

impl<S> Default for Router<S> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_name: HashMap::new() }
    }
}

impl<S> Router<S> {
    /// One that knows `initialize` only.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these methods too. A name given twice is a mistake of ours, and ends the program.
    #[must_use]
    pub fn with(mut self, methods: impl IntoIterator<Item = Method<S>>) -> Self {
        for method in methods {
            assert_ne!(method.name, INITIALIZE, "the connection answers it");
            let before = self.by_name.insert(method.name, self.rows.len());
            assert_eq!(before, None, "{} is in the table already", method.name);
            self.rows.push(method);
        }
        self
    }

    /// All rows, in the order they were given.
    pub fn methods(&self) -> impl Iterator<Item = &Method<S>> {
        self.rows.iter()
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Method<S>, RpcError> {
        let row = self.by_name.get(name).and_then(|row| self.rows.get(*row));
        row.ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> RpcError {
        let mut text = format!("unknown variant `{name}`, expected one of `{INITIALIZE}`");
        for method in &self.rows {
            text.push_str(", `");
            text.push_str(method.name);
            text.push('`');
        }
        RpcError::malformed(text)
    }
}
