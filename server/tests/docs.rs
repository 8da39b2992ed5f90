//! The documentation lists the methods that there are: the table is the one source.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sapwood_server::app::AppServer;
use sapwood_server::router::INITIALIZE;
use serde_json::Value;

const BEGIN: &str = "<!-- methods: written by `UPDATE_DOCS=1 cargo test -p sapwood-server --test docs` -->\n";
const END: &str = "<!-- end of methods -->\n";

/// The requests of the protocol, by the family that stands before the slash.
fn section() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let index = fs::read(root.join("tests/fixtures/protocol-schema/method-index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let of_protocol: BTreeSet<&str> = index["clientRequests"].as_object().unwrap().keys().map(String::as_str).collect();
    let router = AppServer::router();
    let there: BTreeSet<&str> = router.methods().map(|method| method.name()).chain([INITIALIZE]).collect();
    let foreign: Vec<_> = there.difference(&of_protocol).collect();
    assert!(foreign.is_empty(), "not of the protocol: {foreign:?}");
    let experimental: BTreeSet<&str> =
        router.methods().filter(|method| method.is_experimental()).map(|method| method.name()).collect();
    let list = |is_there: bool| {
        let names = of_protocol.iter().filter(|name| there.contains(*name) == is_there);
        names
            .map(|name| {
                let mark = if experimental.contains(name) { " (experimental)" } else { "" };
                format!("- `{name}`{mark}\n")
            })
            .collect::<String>()
    };
    format!("\n### There are\n\n{}\n### There are not, yet\n\n{}\n", list(true), list(false))
}

#[test]
fn the_methods_are_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/app-server.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    let expected = section();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(listed, expected, "run it with UPDATE_DOCS=1");
    }
}
