//! `app-server generate-json-schema`: the schema of what the app server answers and says, and of nothing else.
//!
//! The protocol is Codex's, and so is its schema (0.169.0), which is data here. Methods and notifications that this server does
//! not have are left out, with all types that only they need: what an author generates from the rest works.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sapwood_protocol::app::notices::NOTICES;
use sapwood_server::app::AppServer;
use sapwood_server::command::params::CommandExecOutputDelta;
use sapwood_server::router::INITIALIZE;
use serde_json::{Map, Value};

use crate::ending::Ending;
use crate::exit::{Exit, Failure};

/// The whole schema.
const BUNDLE: &str = include_str!("../tests/fixtures/protocol-schema/codex_app_server_protocol.v2.schemas.json");
/// Which types belong to which method.
const INDEX: &str = include_str!("../tests/fixtures/protocol-schema/method-index.json");
/// What both are called in the folder that is written.
const BUNDLE_FILE: &str = "codex_app_server_protocol.v2.schemas.json";

/// A file of the schema that describes one type of what a client is asked.
macro_rules! asked {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../tests/fixtures/protocol-schema/server-requests/", $name)))),*]
    };
}

/// What a client is asked, and answers; and the message that carries it all.
const ASKED: &[(&str, &str)] = asked![
    "CommandExecutionRequestApprovalParams.json",
    "CommandExecutionRequestApprovalResponse.json",
    "DynamicToolCallParams.json",
    "DynamicToolCallResponse.json",
    "FileChangeRequestApprovalParams.json",
    "FileChangeRequestApprovalResponse.json",
    "InitializeParams.json",
    "InitializeResponse.json",
    "JSONRPCMessage.json",
    "PermissionsRequestApprovalParams.json",
    "PermissionsRequestApprovalResponse.json",
    "ToolRequestUserInputParams.json",
    "ToolRequestUserInputResponse.json"
];

/// Writes the schema into a folder, which is made if it is not there.
pub fn write(out: Option<&Path>) -> Exit {
    let Some(out) = out else {
        let failure = Failure::usage("generate-json-schema needs --out DIR, the folder to write into");
        return Ending::failed(&failure).say_now(false);
    };
    match write_into(out) {
        Ok(()) => Exit::Done,
        Err(failure) => Ending::failed(&failure).say_now(false),
    }
}

fn write_into(out: &Path) -> Result<(), Failure> {
    let schema =
        schema().map_err(|error| Failure::new(Exit::Failure, format!("the schema cannot be read: {error}")))?;
    let failed = |what: &Path, error: std::io::Error| {
        Failure::new(Exit::Failure, format!("{} cannot be written: {error}", what.display()))
    };
    fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    let bundle = (BUNDLE_FILE, format!("{schema:#}\n"));
    let files = ASKED.iter().map(|(name, text)| (*name, (*text).to_owned())).chain([bundle]);
    for (name, text) in files {
        let path = out.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The schema of what there is.
fn schema() -> Result<Value, serde_json::Error> {
    let (bundle, index): (Value, Value) = (serde_json::from_str(BUNDLE)?, serde_json::from_str(INDEX)?);
    let router = AppServer::router();
    let methods: BTreeSet<&str> = router.methods().map(|method| method.name()).chain([INITIALIZE]).collect();
    let notices: BTreeSet<&str> = NOTICES.iter().copied().chain([CommandExecOutputDelta::METHOD]).collect();
    Ok(restricted(bundle, &index, &methods, &notices))
}

/// The part of a bundle that these methods and notifications need.
fn restricted(mut bundle: Value, index: &Value, methods: &BTreeSet<&str>, notices: &BTreeSet<&str>) -> Value {
    let Some(Value::Object(mut all)) = bundle.get_mut("definitions").map(Value::take) else { return bundle };
    for (union, there) in [("ClientRequest", methods), ("ServerNotification", notices)] {
        if let Some(variants) = all.get_mut(union).and_then(|union| union["oneOf"].as_array_mut()) {
            variants.retain(|variant| method_of(variant).is_some_and(|method| there.contains(method)));
        }
    }
    let answers = methods.iter().filter_map(|method| index["clientRequests"][*method]["response"].as_str());
    let roots = ["ClientRequest", "ServerNotification"].into_iter().chain(answers);
    let mut wanted: Vec<String> = roots.map(str::to_owned).collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let Some(definition) = all.get(&name)
            && reached.insert(name)
        {
            named_by(definition, &mut wanted);
        }
    }
    let kept: Map<String, Value> = all.into_iter().filter(|(name, _)| reached.contains(name)).collect();
    bundle["definitions"] = Value::Object(kept);
    bundle["title"] = "SapwoodAppServerProtocolV2".into();
    bundle
}

fn method_of(variant: &Value) -> Option<&str> {
    variant["properties"]["method"]["enum"][0].as_str()
}

/// The definitions that a schema refers to.
fn named_by(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            names.extend(reference.and_then(|it| it.strip_prefix("#/definitions/")).map(str::to_owned));
            fields.values().for_each(|value| named_by(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| named_by(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(schema: &Value, union: &str) -> BTreeSet<String> {
        let variants = schema["definitions"][union]["oneOf"].as_array().unwrap();
        variants.iter().map(|variant| method_of(variant).unwrap().to_owned()).collect()
    }

    #[test]
    fn the_schema_has_what_there_is_and_refers_to_nothing_else() {
        let schema = schema().unwrap();
        let router = AppServer::router();
        let there = router.methods().map(|method| method.name().to_owned()).chain([INITIALIZE.to_owned()]);
        assert_eq!(methods(&schema, "ClientRequest"), there.collect());
        let told = NOTICES.iter().copied().chain([CommandExecOutputDelta::METHOD]).map(str::to_owned);
        assert_eq!(methods(&schema, "ServerNotification"), told.collect());
        let definitions = schema["definitions"].as_object().unwrap();
        let mut named = Vec::new();
        named_by(&schema, &mut named);
        let missing: Vec<_> = named.iter().filter(|name| !definitions.contains_key(*name)).collect();
        assert_eq!(missing, Vec::<&String>::new());
        assert!(definitions.contains_key("ThreadQueueAddResponse") && !definitions.contains_key("FsReadFileResponse"));
    }

    #[test]
    fn the_folder_is_made_and_filled() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        write_into(&out).unwrap();
        let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), ASKED.len() + 1);
        let written: Value = serde_json::from_slice(&fs::read(out.join(BUNDLE_FILE)).unwrap()).unwrap();
        assert_eq!(written, schema().unwrap());
    }
}
