//! A client says who it is.

use std::sync::Arc;

use sapwood_protocol::app::wire;
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::info;

use super::{Client, Connection, RpcError};
use crate::rpc::RequestId;
use crate::server::Server;
use crate::service::Service;

/// The version of the protocol. Clients compare it with what they need, and unlock what came with it.
pub const PROTOCOL_VERSION: &str = "0.169.0";
/// Characters of a client's name and version that go into the user agent.
const NAME_CHARS: usize = 128;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Welcome<'a> {
    user_agent: String,
    codex_home: &'a str,
    platform_family: &'a str,
    platform_os: &'a str,
}

/// Answers `initialize`: first the answer, then what belongs to it, then everything that is said to all.
pub fn initialize<S: Service>(
    server: &Server<S>,
    connection: &Arc<Connection>,
    id: &RequestId,
    params: Option<Box<RawValue>>,
) -> Result<(), RpcError> {
    let params = params.ok_or_else(|| RpcError::malformed("missing field `params`"))?;
    let client: Client = wire::read(&params).map_err(RpcError::malformed)?;
    let (name, version) = (plain(&client.info.name), plain(&client.info.version));
    if !connection.introduce(client) {
        return Err(RpcError::invalid("Already initialized"));
    }
    let identity = server.identity();
    let originator = server.connections().originator(identity.originator.as_deref().unwrap_or(&name));
    let user_agent = format!(
        "{originator}/{PROTOCOL_VERSION} ({}; {}) sapwood/{} ({name}; {version})",
        identity.system,
        std::env::consts::ARCH,
        identity.version,
    );
    let welcome = Welcome {
        user_agent,
        codex_home: &identity.home,
        platform_family: std::env::consts::FAMILY,
        platform_os: std::env::consts::OS,
    };
    connection.answer(id, &welcome);
    info!(connection = %connection.id(), client = name, version, "initialized");
    server.service().opened(connection);
    connection.open_to_broadcasts();
    Ok(())
}

/// What can stand in a header of a request to a provider, which the user agent becomes a part of.
fn plain(text: &str) -> String {
    let allowed = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '_' };
    let plain: String = text.chars().take(NAME_CHARS).map(allowed).collect();
    if plain.is_empty() { "unknown".to_owned() } else { plain }
}
