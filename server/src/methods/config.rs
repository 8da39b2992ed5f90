//! `config/*` and `configRequirements/read`.

use std::path::Path;
use std::sync::Arc;

use sapwood_protocol::app::config::{ConfigBatchWriteParams, ConfigReadParams, ConfigValueWriteParams};

use super::answer;
use crate::program::HasProgram;
use crate::router::{Call, Method, Reply};

pub(super) fn table<S: HasProgram>() -> Vec<Method<S>> {
    vec![
        Method::new("config/read", read),
        Method::new("config/value/write", write_value),
        Method::new("config/batchWrite", write_batch),
        Method::new("configRequirements/read", requirements).bare(),
    ]
}

async fn read<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    match call.params::<ConfigReadParams>() {
        Ok(params) => {
            let ask = move |program: &dyn crate::program::Program| {
                program.config(params.cwd.as_deref().map(Path::new), params.include_layers)
            };
            answer(service, reply, ask).await;
        }
        Err(error) => reply.error(error),
    }
}

async fn write_value<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    match call.params::<ConfigValueWriteParams>() {
        Ok(params) => answer(service, reply, move |program| program.write_config(&params.into())).await,
        Err(error) => reply.error(error),
    }
}

async fn write_batch<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    match call.params::<ConfigBatchWriteParams>() {
        Ok(params) => answer(service, reply, move |program| program.write_config(&params)).await,
        Err(error) => reply.error(error),
    }
}

async fn requirements<S: HasProgram>(service: Arc<S>, _: Call, reply: Reply) {
    answer(service, reply, |program| program.requirements()).await;
}
