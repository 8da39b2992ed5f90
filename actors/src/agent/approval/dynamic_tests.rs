use super::*;

fn tools(specs: Value) -> DynamicTools {
    serde_json::from_value(specs).unwrap()
}

fn top() -> Value {
    json!({"type": "function", "name": "top", "description": "d", "inputSchema": {"type": "object"}})
}

fn space(name: &str, tools: Value) -> Value {
    json!({"type": "namespace", "name": name, "description": "nd", "tools": tools})
}

fn named(name: &str) -> Value {
    json!({"name": name, "description": "d", "inputSchema": {}})
}

fn deferred(name: &str) -> Value {
    json!({"type": "function", "name": name, "description": "d", "inputSchema": {}, "deferLoading": true})
}

#[test]
fn errors_are_those_recorded() {
    let table = [
        (json!([deferred("a")]), "deferred dynamic tool must include a namespace: a"),
        (json!([top(), top()]), "duplicate dynamic tool name: top"),
        (json!([named("a b")]), "dynamic tool name must match ^[a-zA-Z0-9_-]+$ to match Responses API: a b"),
        (json!([named("")]), "dynamic tool name must not be empty"),
        (json!([named(" x")]), "dynamic tool name has leading/trailing whitespace:  x"),
        (json!([named("mcp__a")]), "dynamic tool name is reserved: mcp__a"),
        (json!([space("ns", json!([]))]), "dynamic tool namespace must contain at least one tool: ns"),
        (json!([space("mcp__x", json!([top()]))]), "dynamic tool namespace is reserved: mcp__x"),
        (json!([space("ns", json!([top()])), space("ns", json!([top()]))]), "duplicate dynamic tool namespace: ns"),
    ];
    for (specs, text) in table {
        assert_eq!(tools(specs).checked().map_err(|error| error.to_string()), Err(text.to_owned()));
    }
    let many: Vec<Value> = (0..=MAX_TOOLS).map(|n| named(&format!("t{n}"))).collect();
    assert_eq!(tools(json!(many)).checked(), Err(ToolsError::TooMany(MAX_TOOLS + 1)));
}

#[test]
fn tools_come_back_as_they_were_written() {
    let specs = json!([top(), space("ns", json!([deferred("leaf")]))]);
    assert_eq!(serde_json::to_value(tools(specs.clone()).checked().unwrap()).unwrap(), specs);
}

#[test]
fn definitions_are_those_recorded() {
    let leaf = json!({"type": "function", "name": "leaf", "description": "d", "inputSchema": {"type": "object"}});
    let tools =
        tools(json!([top(), space("ns", json!([leaf, deferred("later")])), space("far", json!([deferred("x")]))]));
    let recorded = [
        r#"{"type":"function","name":"top","description":"d","strict":false,"parameters":{"type":"object","properties":{}}}"#,
        r#"{"type":"namespace","name":"ns","description":"nd","tools":[{"type":"function","name":"leaf","description":"d","strict":false,"parameters":{"type":"object","properties":{}}}]}"#,
    ];
    let definitions: Vec<String> = tools.definitions().iter().map(Value::to_string).collect();
    assert_eq!(definitions, recorded);
}

#[test]
fn a_call_goes_by_its_full_name() {
    let tools = tools(json!([top(), space("ns", json!([named("leaf"), named("top")]))]));
    let call = |namespace: Option<&str>, tool: &str| {
        Some(Ok(What::DynamicTool {
            namespace: namespace.map(str::to_owned),
            tool: tool.to_owned(),
            arguments: json!({"a": 1}),
        }))
    };
    let input = r#"{"a":1}"#;
    assert_eq!(tools.call("", "top", input), call(None, "top"));
    assert_eq!(tools.call("ns", "top", input), call(Some("ns"), "top"));
    assert_eq!(tools.call("ns", "leaf", input), call(Some("ns"), "leaf"));
    assert_eq!(tools.call("", "leaf", input), None);
    assert_eq!(tools.call("other", "top", input), None);
    let broken = tools.call("", "top", "{").unwrap().unwrap_err();
    assert!(broken.starts_with("failed to parse function arguments: "), "{broken}");
}
