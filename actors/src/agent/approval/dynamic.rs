//! Tools that a client has: what it says of them at `thread/start`, what a model is told, and what a call becomes.

use sapwood_protocol::asked::What;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Tools of one thread, at most: the definitions go to the model with each request.
const MAX_TOOLS: usize = 512;

/// All definitions together, in bytes, at most.
const MAX_BYTES: usize = 1024 * 1024;

/// The tools of a thread's client, in order. Serialised as in `session_meta`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DynamicTools(Vec<Spec>);

/// One tool, or several under one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Spec {
    Namespace(Namespace),
    Function(Function),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: NamespaceKind,
    name: String,
    description: String,
    tools: Vec<Function>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Function {
    #[serde(rename = "type", default)]
    kind: FunctionKind,
    name: String,
    description: String,
    input_schema: Value,
    #[serde(default, skip_serializing_if = "is_false")]
    defer_loading: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum NamespaceKind {
    Namespace,
}

/// Older clients leave it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum FunctionKind {
    #[default]
    Function,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Why a client's tools are refused: the words of the error that it gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolsError {
    /// A tool has no name.
    #[error("dynamic tool {0} must not be empty")]
    Empty(&'static str),
    /// A name begins or ends with a space.
    #[error("dynamic tool {0} has leading/trailing whitespace: {1}")]
    Spaced(&'static str, String),
    /// A name has other letters than a model's provider takes.
    #[error("dynamic tool {0} must match ^[a-zA-Z0-9_-]+$ to match Responses API: {1}")]
    Letters(&'static str, String),
    /// A name belongs to the tools of MCP servers.
    #[error("dynamic tool {0} is reserved: {1}")]
    Reserved(&'static str, String),
    /// Two have one name.
    #[error("duplicate dynamic tool {0}: {1}")]
    Twice(&'static str, String),
    /// A namespace without tools.
    #[error("dynamic tool namespace must contain at least one tool: {0}")]
    Childless(String),
    /// A tool that is to be found by searching has no namespace to be found in.
    #[error("deferred dynamic tool must include a namespace: {0}")]
    Homeless(String),
    /// There are too many.
    #[error("{0} dynamic tools are more than {MAX_TOOLS}: leave some out")]
    TooMany(usize),
    /// They are too long.
    #[error("definitions of dynamic tools take {0} bytes, and {MAX_BYTES} is the most: shorten them")]
    TooLong(usize),
}

impl DynamicTools {
    /// The same, if they are in order.
    pub fn checked(self) -> Result<Self, ToolsError> {
        let count = self.functions().count();
        if count > MAX_TOOLS {
            return Err(ToolsError::TooMany(count));
        }
        let bytes = serde_json::to_vec(&self).map_or(0, |text| text.len());
        if bytes > MAX_BYTES {
            return Err(ToolsError::TooLong(bytes));
        }
        let mut namespaces: Vec<&str> = Vec::new();
        for spec in &self.0 {
            match spec {
                Spec::Function(tool) if tool.defer_loading => return Err(ToolsError::Homeless(tool.name.clone())),
                Spec::Function(_) => {}
                Spec::Namespace(space) => {
                    check_name("namespace", &space.name)?;
                    if space.tools.is_empty() {
                        return Err(ToolsError::Childless(space.name.clone()));
                    }
                    if namespaces.contains(&space.name.as_str()) {
                        return Err(ToolsError::Twice("namespace", space.name.clone()));
                    }
                    namespaces.push(&space.name);
                }
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for (namespace, tool) in self.functions() {
            check_name("name", &tool.name)?;
            if !names.insert((namespace, tool.name.as_str())) {
                return Err(ToolsError::Twice("name", tool.name.clone()));
            }
        }
        Ok(self)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn functions(&self) -> impl Iterator<Item = (Option<&str>, &Function)> {
        self.0.iter().flat_map(|spec| {
            let (namespace, tools) = match spec {
                Spec::Function(tool) => (None, std::slice::from_ref(tool)),
                Spec::Namespace(space) => (Some(space.name.as_str()), space.tools.as_slice()),
            };
            tools.iter().map(move |tool| (namespace, tool))
        })
    }

    /// What a call becomes, if it is one of these tools: it goes by its full name, the client gets the leaf. The error is
    /// the call's output.
    pub fn call(&self, namespace: &str, name: &str, input: &str) -> Option<Result<What, String>> {
        let namespace = (!namespace.is_empty()).then_some(namespace);
        self.functions().find(|(space, tool)| *space == namespace && tool.name == name)?;
        let arguments = if input.trim().is_empty() { Ok(json!({})) } else { serde_json::from_str(input) };
        let what =
            |arguments| What::DynamicTool { namespace: namespace.map(str::to_owned), tool: name.to_owned(), arguments };
        Some(arguments.map(what).map_err(|error| format!("failed to parse function arguments: {error}")))
    }

    /// What a model is told with each request. A tool whose definition is to be searched for is not among it.
    pub fn definitions(&self) -> Vec<Value> {
        let specs = self.0.iter().filter_map(|spec| match spec {
            Spec::Function(tool) => Some(tool.definition()),
            Spec::Namespace(space) => {
                let tools: Vec<Value> =
                    space.tools.iter().filter(|tool| !tool.defer_loading).map(Function::definition).collect();
                let definition = json!({
                    "type": "namespace", "name": space.name, "description": space.description, "tools": tools,
                });
                (!tools.is_empty()).then_some(definition)
            }
        });
        specs.collect()
    }
}

impl Function {
    fn definition(&self) -> Value {
        json!({
            "type": "function", "name": self.name, "description": self.description, "strict": false,
            "parameters": object(&self.input_schema),
        })
    }
}

/// A schema as providers take it: an object has properties, if none are said none.
fn object(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_else(Map::new);
    let is_object = schema.get("type").is_none_or(|kind| kind == "object");
    if is_object {
        schema.entry("type").or_insert_with(|| json!("object"));
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    Value::Object(schema)
}

fn check_name(which: &'static str, name: &str) -> Result<(), ToolsError> {
    if name.trim().is_empty() {
        return Err(ToolsError::Empty(which));
    }
    if name.trim() != name {
        return Err(ToolsError::Spaced(which, name.to_owned()));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Err(ToolsError::Letters(which, name.to_owned()));
    }
    if name == "mcp" || name.starts_with("mcp__") {
        return Err(ToolsError::Reserved(which, name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "dynamic_tests.rs"]
mod tests;
