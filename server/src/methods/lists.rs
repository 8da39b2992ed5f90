//! Lists that clients make menus of: permission profiles, features, modes of collaboration, skills, hooks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_protocol::app::lists::{
    CollaborationModeMask, ExperimentalFeatureListParams, HooksListEntry, HooksListParams, List,
    PermissionProfileListParams, SkillsListEntry, SkillsListParams,
};
use sapwood_protocol::ids::ThreadId;
use serde_json::{Map, Value};

use super::{page, says};
use crate::program::HasProgram;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

pub(super) fn table<S: HasProgram>() -> Vec<Method<S>> {
    vec![
        Method::new("permissionProfile/list", permission_profiles),
        Method::new("experimentalFeature/list", features),
        Method::new("collaborationMode/list", collaboration_modes).experimental(),
        Method::new("skills/list", skills),
        Method::new("hooks/list", hooks),
    ]
}

async fn permission_profiles<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let listed = async {
        let params: PermissionProfileListParams = call.params()?;
        let cwd = params.cwd;
        let all = says(service, move |program| program.permission_profiles(cwd.as_deref().map(Path::new))).await?;
        page::of(all, "permission profiles", params.cursor.as_deref(), params.limit)
    };
    reply.send(listed.await);
}

async fn features<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let listed = async {
        let params: ExperimentalFeatureListParams = call.params()?;
        let cwd = params.thread_id.map(|thread| dir_of(&*service, &thread)).transpose()?;
        let all = says(service, move |program| program.features(cwd.as_deref())).await?;
        page::of(all, "feature flags", params.cursor.as_deref(), params.limit)
    };
    reply.send(listed.await);
}

/// The modes that a turn can be in, the more careful one first.
fn modes() -> List<CollaborationModeMask> {
    let mode = |name: &str, mode: &str, effort: Option<&str>| CollaborationModeMask {
        name: name.to_owned(),
        mode: Some(mode.to_owned()),
        model: None,
        reasoning_effort: effort.map(str::to_owned),
    };
    List { data: vec![mode("Plan", "plan", Some("medium")), mode("Default", "default", None)] }
}

async fn collaboration_modes<S: HasProgram>(_: Arc<S>, call: Call, reply: Reply) {
    reply.send(call.params::<Map<String, Value>>().map(|_| modes()));
}

async fn skills<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let entry = |cwd: String| SkillsListEntry { cwd, skills: Vec::new(), errors: Vec::new() };
    let list = |params: SkillsListParams| List { data: in_dirs(&*service, params.cwds).map(entry).collect() };
    reply.send(call.params().map(list));
}

async fn hooks<S: HasProgram>(service: Arc<S>, call: Call, reply: Reply) {
    let entry = |cwd: String| HooksListEntry { cwd, hooks: Vec::new(), warnings: Vec::new(), errors: Vec::new() };
    let list = |params: HooksListParams| {
        let cwds = match &params.thread_id {
            None => params.cwds,
            Some(_) if !params.cwds.is_empty() => {
                return Err(RpcError::invalid("specify either threadId or cwds"));
            }
            Some(thread) => vec![dir_of(&*service, thread)?.to_string_lossy().into_owned()],
        };
        Ok(List { data: in_dirs(&*service, cwds).map(entry).collect() })
    };
    reply.send(call.params().and_then(list));
}

/// Where a loaded thread works.
fn dir_of<S: HasProgram>(service: &S, thread: &str) -> Result<PathBuf, RpcError> {
    let id = thread.parse::<ThreadId>().map_err(|error| RpcError::invalid(format!("invalid thread id: {error}")))?;
    service.thread_cwd(id).ok_or_else(|| RpcError::invalid(format!("thread not found: {thread}")))
}

/// The directories that were named, as they were; none is that of the server.
fn in_dirs<S: HasProgram>(service: &S, named: Vec<String>) -> impl Iterator<Item = String> + use<S> {
    let own = named.is_empty().then(|| service.program().cwd().to_string_lossy().into_owned());
    own.into_iter().chain(named)
}
