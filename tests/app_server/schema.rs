//! The schema that the real server says of itself, and whether our messages keep it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schema, read once; validators are made when they are first needed.
pub struct Schema {
    index: Value,
    bundle: Value,
    made: RefCell<HashMap<String, Rc<Validator>>>,
}

impl Schema {
    pub fn read() -> Self {
        let read = |name: &str| serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap();
        let (index, bundle) = (read("method-index.json"), read("codex_app_server_protocol.v2.schemas.json"));
        Self { index, bundle, made: RefCell::default() }
    }

    /// What is wrong with the result of a request.
    pub fn result(&self, method: &str, result: &Value) -> Vec<String> {
        match self.index["clientRequests"][method]["response"].as_str() {
            Some(name) => self.errors(name, result),
            // Of a few the schema has no type for the answer.
            None if self.index["clientRequests"].get(method).is_some() => Vec::new(),
            None => vec![format!("{method} answers, and is no method")],
        }
    }

    /// What is wrong with a notification or a request of the server.
    pub fn said(&self, message: &Value) -> Vec<String> {
        let method = message["method"].as_str().unwrap_or_default();
        let table = if message.get("id").is_some() { "serverRequests" } else { "serverNotifications" };
        match self.index[table][method]["params"].as_str() {
            Some(name) => self.errors(name, &message["params"]),
            None => vec![format!("{method} is not in {table}")],
        }
    }

    fn errors(&self, name: &str, value: &Value) -> Vec<String> {
        self.validator(name).iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn validator(&self, name: &str) -> Rc<Validator> {
        let make = || {
            let schema = match self.bundle["definitions"].get(name) {
                Some(_) => {
                    json!({"$ref": format!("#/definitions/{name}"), "definitions": self.bundle["definitions"]})
                }
                None => {
                    let path = folder().join(format!("server-requests/{name}.json"));
                    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    serde_json::from_slice(&text).unwrap()
                }
            };
            Rc::new(jsonschema::draft7::new(&schema).unwrap_or_else(|error| panic!("{name}: {error}")))
        };
        Rc::clone(self.made.borrow_mut().entry(name.to_owned()).or_insert_with(make))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol-schema")
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let schema = Schema::read();
    assert_eq!(schema.result("thread/loaded/list", &json!({"data": ["a"], "nextCursor": null})), [""; 0]);
    assert_eq!(schema.result("thread/loaded/list", &json!({"data": [1]})).len(), 1);
    assert_eq!(schema.result("thread/start", &json!({})).len(), 7);
    let status = json!({"method": "thread/status/changed", "params": {"threadId": "t", "status": {"type": "idle"}}});
    assert_eq!(schema.said(&status), [""; 0]);
    assert_eq!(schema.said(&json!({"method": "thread/status/changed", "params": {"threadId": "t"}})).len(), 1);
    assert_eq!(schema.said(&json!({"method": "no/such", "params": {}})).len(), 1);
}
