//! The model checker sees only what comes through `sync.rs`: no other file may get its primitives
//! elsewhere.

use std::fs;
use std::path::Path;

#[test]
fn only_one_file_knows_where_the_primitives_come_from() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let foreign = ["std::sync", "core::sync", "parking_lot", "cfg(loom)", "loom::", "std::thread"];
    let mut read = 0;
    for file in fs::read_dir(&source).unwrap() {
        let path = file.unwrap().path();
        assert!(path.is_file(), "{}: this test reads one folder only", path.display());
        if path.ends_with("sync.rs") {
            continue;
        }
        let code: Vec<_> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(str::to_owned)
            .collect();
        for (line, name) in code.iter().flat_map(|l| foreign.iter().map(move |n| (l, n))) {
            assert!(!line.contains(name), "{}: `{}`", path.display(), line.trim());
        }
        read += 1;
    }
    assert!(read > 5, "no sources in {}", source.display());
}
