//! `request_permissions`: a model asks for more rights.

use sapwood_protocol::approval::paths::absolute;
use sapwood_protocol::approval::{ApprovalPolicy, FileSystem, Granular, Permissions};
use sapwood_protocol::asked::{ENVIRONMENT, Resolution, Scope, What};
use serde::Deserialize;
use serde_json::json;

use super::verdict::Rights;

/// Its name.
pub const NAME: &str = "request_permissions";

/// What a model reads that asks for nothing.
const NOTHING: &str = "request_permissions requires at least one permission";

/// Paths that one request names, at most: a person has to read them.
const MAX_PATHS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    environment_id: Option<String>,
    permissions: Permissions,
}

/// What follows for a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A person is asked.
    Ask(What),
    /// The model reads this at once.
    Output(String),
}

/// What follows for a call with these arguments, in the directory `cwd`. The error is its output, too.
pub fn request(input: &str, cwd: &str, rights: &Rights<'_>) -> Result<Request, String> {
    let args: Args =
        serde_json::from_str(input).map_err(|error| format!("failed to parse function arguments: {error}"))?;
    let permissions = at(cwd, &args.permissions);
    if permissions.is_empty() {
        return Err(NOTHING.into());
    }
    let files = permissions.file_system.as_ref();
    if files.is_some_and(|files| files.read.len() + files.write.len() > MAX_PATHS) {
        return Err(format!("request_permissions takes at most {MAX_PATHS} paths; name directories above them"));
    }
    if args.environment_id.is_some_and(|id| id != ENVIRONMENT) {
        return Ok(Request::Output(output(&Permissions::default(), Scope::Turn)));
    }
    if rights.grants.permissions().covers(&permissions) {
        return Ok(Request::Output(output(&permissions, Scope::Session)));
    }
    if rights.turn.covers(&permissions) {
        return Ok(Request::Output(output(&permissions, Scope::Turn)));
    }
    let may_ask = match rights.policy {
        ApprovalPolicy::Never => false,
        ApprovalPolicy::Granular(Granular { request_permissions, .. }) => request_permissions,
        _ => true,
    };
    if !may_ask {
        return Ok(Request::Output(output(&Permissions::default(), Scope::Turn)));
    }
    Ok(Request::Ask(What::Permissions { reason: args.reason, cwd: cwd.to_owned(), permissions }))
}

/// What an answer grants: never more than was asked for. `None` for a question of another kind.
///
/// With a strict review nothing is granted: there is no reviewer that could look at each command.
pub fn granted(asked: &What, how: &Resolution) -> Option<Permissions> {
    let What::Permissions { cwd, permissions: asked, .. } = asked else {
        return None;
    };
    Some(match how {
        Resolution::Granted { permissions, strict_auto_review: false, .. } => at(cwd, permissions).within(asked),
        _ => Permissions::default(),
    })
}

/// What the model reads of an answer.
pub fn answered(asked: &What, how: &Resolution) -> Option<String> {
    let granted = granted(asked, how)?;
    let scope = match how {
        Resolution::Granted { scope, strict_auto_review: false, .. } => *scope,
        _ => Scope::Turn,
    };
    Some(output(&granted, scope))
}

fn output(granted: &Permissions, scope: Scope) -> String {
    json!({"permissions": granted, "scope": scope}).to_string()
}

/// The same rights with absolute paths.
pub fn at(cwd: &str, permissions: &Permissions) -> Permissions {
    let all = |paths: &[String]| paths.iter().map(|path| absolute(cwd, path)).collect();
    let files = permissions.file_system.as_ref();
    let file_system = files.map(|files| FileSystem { read: all(&files.read), write: all(&files.write) });
    Permissions { network: permissions.network, file_system }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::{World, granular};
    use super::*;
    use sapwood_protocol::approval::Network;
    use serde_json::Value;

    const NETWORK: &str = r#"{"reason":"need","permissions":{"network":{"enabled":true}}}"#;

    fn network() -> Permissions {
        Permissions { network: Some(Network { enabled: Some(true) }), file_system: None }
    }

    fn granted_as(permissions: Value, scope: &str, strict: bool) -> Resolution {
        let asked = What::Permissions { reason: None, cwd: "/w".into(), permissions: network() };
        asked.resolved(Some(&json!({"permissions": permissions, "scope": scope, "strictAutoReview": strict})))
    }

    #[test]
    fn outputs_are_those_recorded() {
        let asked = What::Permissions {
            reason: None,
            cwd: "/w".into(),
            permissions: Permissions {
                file_system: Some(FileSystem { read: vec!["/etc".into()], write: vec!["/var/tmp/q".into()] }),
                ..network()
            },
        };
        let none = r#"{"permissions":{"network":null,"file_system":null},"scope":"turn"}"#;
        let net = r#"{"permissions":{"network":{"enabled":true},"file_system":null},"scope":"turn"}"#;
        let session = net.replace("turn", "session");
        let wish = json!({"network": {"enabled": true}, "fileSystem": {"write": ["/other"]}});
        let table = [
            (granted_as(wish.clone(), "turn", false), net),
            (granted_as(wish.clone(), "session", false), &session),
            (granted_as(wish, "session", true), none),
            (Resolution::Failed, none),
            (Resolution::Invalid, none),
        ];
        for (how, text) in table {
            assert_eq!(answered(&asked, &how).as_deref(), Some(text), "{how:?}");
        }
    }

    #[test]
    fn who_may_not_ask_gets_nothing_and_who_has_it_is_not_asked() {
        let none = Request::Output(r#"{"permissions":{"network":null,"file_system":null},"scope":"turn"}"#.into());
        let ask =
            Request::Ask(What::Permissions { reason: Some("need".into()), cwd: "/w".into(), permissions: network() });
        let table = [
            (ApprovalPolicy::OnRequest, &ask),
            (ApprovalPolicy::Untrusted, &ask),
            (ApprovalPolicy::Never, &none),
            (granular(true), &none),
        ];
        for (policy, expected) in table {
            let world = World { policy, ..World::default() };
            assert_eq!(request(NETWORK, "/w", &world.rights()).as_ref(), Ok(expected), "{policy:?}");
        }
        let mut world = World::default();
        world.turn.add(&network());
        let text = r#"{"permissions":{"network":{"enabled":true},"file_system":null},"scope":"turn"}"#;
        assert_eq!(request(NETWORK, "/w", &world.rights()), Ok(Request::Output(text.into())));
        let elsewhere = NETWORK.replace("\"reason\":\"need\"", "\"environment_id\":\"far\"");
        assert_eq!(request(&elsewhere, "/w", &World::default().rights()), Ok(none));
    }

    #[test]
    fn requests_that_are_wrong_say_so() {
        let world = World::default();
        assert_eq!(request(r#"{"permissions":{}}"#, "/w", &world.rights()), Err(NOTHING.into()));
        let many: Vec<String> = (0..=MAX_PATHS).map(|n| format!("/{n}")).collect();
        let many = json!({"permissions": {"file_system": {"read": many}}}).to_string();
        assert!(request(&many, "/w", &world.rights()).unwrap_err().contains("at most 64 paths"));
        assert!(request("{", "/w", &world.rights()).unwrap_err().starts_with("failed to parse function arguments: "));
    }

    #[test]
    fn relative_paths_begin_at_the_directory_of_the_turn() {
        let input = r#"{"permissions":{"file_system":{"write":["out","../x"]}}}"#;
        let files = FileSystem { read: Vec::new(), write: vec!["/w/out".into(), "/x".into()] };
        let permissions = Permissions { network: None, file_system: Some(files) };
        let ask = Request::Ask(What::Permissions { reason: None, cwd: "/w".into(), permissions });
        assert_eq!(request(input, "/w", &World::default().rights()), Ok(ask));
    }
}
