//! `model/list` and `modelProvider/*`.

use std::sync::Arc;

use sapwood_protocol::app::models::ModelListParams;
use serde_json::{Map, Value};

use super::{answer, page};
use crate::program::HasProgram;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

pub(super) fn table<S: HasProgram>() -> Vec<Method<S>> {
    vec![
        // The provider may be asked first.
        Method::new("model/list", list).concurrent(),
        Method::new("modelProvider/list", providers),
        Method::new("modelProvider/capabilities/read", capabilities),
    ]
}

async fn list<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let listed = async {
        let params: ModelListParams = call.params()?;
        let mut models = service.program().models(params.model_provider.as_deref()).await?;
        models.retain(|model| !model.hidden || params.include_hidden == Some(true));
        page::of(models, "models", params.cursor.as_deref(), params.limit)
    };
    reply.send(listed.await);
}

async fn providers<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    match call.params::<Map<String, Value>>() {
        Ok(_) => answer(service, reply, |program| program.providers()).await,
        Err(error) => reply.error(error),
    }
}

async fn capabilities<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let read = |_| -> Result<_, RpcError> { Ok(service.program().capabilities()) };
    reply.send(call.params::<Map<String, Value>>().and_then(read));
}
