//! `account/read`.

use std::sync::Arc;

use sapwood_protocol::app::account::GetAccountParams;

use super::answer;
use crate::program::HasProgram;
use crate::router::{Call, Method, Reply};

pub(super) fn table<S: HasProgram>() -> Vec<Method<S>> {
    vec![Method::new("account/read", read)]
}

async fn read<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    match call.params::<GetAccountParams>() {
        // There is no token of ours that could be refreshed.
        Ok(_) => answer(service, reply, |program| program.account()).await,
        Err(error) => reply.error(error),
    }
}
