//! Plans: what is decided of files before anything is written.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::super::words::refusal;
use super::super::{Change, ChangeKind, Destination, Disk, Kind, MAX_FILES, PatchError, Plan, Writable, parse, plan};
use super::{enveloped, files, planned};

fn change(path: &str, kind: ChangeKind) -> Change {
    let absolute = Path::new("/w").join(path);
    Change { written: path.into(), path: absolute.clone(), real: absolute, kind }
}

fn refused(files: &BTreeMap<PathBuf, Kind>, sections: &str) -> String {
    refusal(&planned(files, sections).unwrap_err())
}

#[test]
fn a_plan_says_what_will_be() {
    let files = files(&[("a", "1\n2\n3\n4\n"), ("b", "x\n"), ("c", "gone\n"), ("f", "old\n")]);
    let sections = "*** Add File: d/n\n+new\n*** Update File: a\n@@\n-3\n+three\n*** Update File: b\n*** Move to: d/b\n@@\n-x\n+y\n\
                    *** Delete File: c\n*** Add File: f\n+all new\n";
    let update = |diff: &str, move_to: Option<&str>, old: &str, new: &str| {
        let to = |to: &str| Destination {
            written: to.into(),
            path: Path::new("/w").join(to),
            real: Path::new("/w").join(to),
        };
        let move_to = move_to.map(to);
        ChangeKind::Update { unified_diff: diff.into(), move_to, old: old.into(), new: new.into(), mode: 0o644 }
    };
    let changes = vec![
        change("d/n", ChangeKind::Add { content: "new\n".into() }),
        change("a", update("@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n", None, "1\n2\n3\n4\n", "1\n2\nthree\n4\n")),
        change("b", update("@@ -1 +1 @@\n-x\n+y\n", Some("d/b"), "x\n", "y\n")),
        change("c", ChangeKind::Delete { content: "gone\n".into(), mode: 0o644 }),
        change("f", update("@@ -1 +1 @@\n-old\n+all new\n", None, "old\n", "all new\n")),
    ];
    assert_eq!(planned(&files, sections).unwrap(), Plan { changes });
}

#[test]
fn paths_are_taken_by_their_words() {
    let files = files(&[("a", "1\n")]);
    for path in ["./a", "x/../a", "/w/a", "../w/a", "../../../w//a/"] {
        let plan = planned(&files, &format!("*** Delete File: {path}\n")).unwrap();
        assert_eq!((&*plan.changes[0].written, &*plan.changes[0].path), (path, Path::new("/w/a")));
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let mut files = files(&[("a", "1\n"), ("b", "2\n"), ("d/e", "3\n")]);
    files.insert("/w/binary".into(), Kind::File { bytes: b"ab\xff".to_vec(), mode: 0o644 });
    files.insert("/w/large".into(), Kind::TooLarge { bytes: 99 });
    files.insert("/w/pipe".into(), Kind::Special);
    let shell = "use the shell for it";
    let cases = [
        (
            "*** Update File: no\n@@\n-1\n",
            "Failed to read file to update /w/no: No such file or directory (os error 2)".to_owned(),
        ),
        ("*** Delete File: no\n", "Failed to read /w/no: No such file or directory (os error 2)".into()),
        ("*** Delete File: d\n", "cannot delete /w/d: it is a directory".into()),
        ("*** Update File: d\n@@\n-1\n", "cannot update /w/d: it is a directory".into()),
        ("*** Add File: d\n+1\n", "cannot add /w/d: it is a directory".into()),
        ("*** Add File: .\n+1\n", "cannot add /w: it is a directory".into()),
        ("*** Add File: a/x\n+1\n", "cannot add /w/a/x: a directory on the way to it is a file".into()),
        (
            "*** Update File: binary\n@@\n-1\n",
            format!("cannot update /w/binary: it is not UTF-8 text (byte 2); {shell}"),
        ),
        ("*** Add File: binary\n+1\n", format!("cannot add /w/binary: it is not UTF-8 text (byte 2); {shell}")),
        (
            "*** Delete File: large\n",
            format!("cannot delete /w/large: it has 99 bytes, and files of up to 16777216 are changed; {shell}"),
        ),
        ("*** Update File: pipe\n@@\n-1\n", "cannot update /w/pipe: it is not a regular file".into()),
        (
            "*** Update File: a\n*** Move to: b\n",
            "cannot move a file to /w/b: something is there; delete or move that first, or choose another name".into(),
        ),
        (
            "*** Update File: a\n*** Move to: a\n",
            "cannot move a file to /w/a: something is there; delete or move that first, or choose another name".into(),
        ),
    ];
    for (sections, expected) in cases {
        assert_eq!(refused(&files, sections), format!("apply_patch verification failed: {expected}"), "{sections:?}");
        // And nothing else of the patch is planned.
        let more = format!("*** Add File: first\n+1\n{sections}");
        assert_eq!(refused(&files, &more), format!("apply_patch verification failed: {expected}"));
    }
}

#[test]
fn a_file_is_named_once() {
    let files = files(&[("a", "1\n"), ("b", "2\n")]);
    let update = |path: &str| format!("*** Update File: {path}\n@@\n+x\n");
    let cases = [
        (update("a") + &update("a"), "/w/a"),
        (update("a") + &update("./a"), "/w/a"),
        (update("a") + "*** Delete File: a\n", "/w/a"),
        ("*** Delete File: a\n*** Add File: a\n+x\n".into(), "/w/a"),
        ("*** Add File: n\n+x\n*** Add File: n\n+y\n".into(), "/w/n"),
        ("*** Add File: n\n+x\n*** Add File: n/m\n+y\n".into(), "/w/n"),
        ("*** Add File: n/m\n+x\n*** Add File: n-\n*** Add File: n\n+y\n".into(), "/w/n/m"),
        ("*** Update File: a\n*** Move to: n\n".to_owned() + "*** Add File: n\n", "/w/n"),
        ("*** Update File: a\n*** Move to: n\n*** Update File: b\n*** Move to: n\n".into(), "/w/n"),
        ("*** Update File: a\n*** Move to: n\n".to_owned() + &update("a"), "/w/a"),
    ];
    for (sections, path) in cases {
        let expected = format!("multiple operations target {path}; write everything about a file in one section");
        assert_eq!(
            refused(&files, &sections),
            format!("apply_patch verification failed: invalid patch: {expected}"),
            "{sections:?}"
        );
    }
    let many: String = (0..=MAX_FILES).map(|n| format!("*** Add File: {n}\n")).collect();
    let expected =
        "invalid patch: it changes 1001 files, and at most 1000 are changed at once; send it in several parts";
    assert_eq!(planned(&files, &many).unwrap_err().to_string(), expected);
}

#[test]
fn outside_says_what_needs_an_approval() {
    let files = files(&[("a", "1\n"), ("b", "2\n")]);
    let sections = "*** Add File: /o/n\n+x\n*** Delete File: a\n*** Update File: b\n*** Move to: ../wx/b\n";
    let plan = planned(&files, sections).unwrap();
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let beneath = |roots: &[&str]| Writable::Beneath(paths(roots));
    let all = paths(&["/o/n", "/w/a", "/w/b", "/wx/b"]);
    let cases = [
        (Writable::Anywhere, vec![]),
        (Writable::Nowhere, all.clone()),
        (beneath(&[]), all),
        (beneath(&["/w"]), paths(&["/o/n", "/wx/b"])),
        (beneath(&["/w/a", "/o/n"]), paths(&["/o/n", "/w/a", "/w/b", "/wx/b"])),
        (beneath(&["/w", "/o", "/wx"]), vec![]),
        (beneath(&["/"]), vec![]),
    ];
    for (writable, expected) in cases {
        assert_eq!(plan.outside(&writable), expected, "{writable:?}");
    }
}

#[test]
fn links_on_the_disk_are_followed_to_what_is_really_changed() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("in")).unwrap();
    std::fs::create_dir(root.join("out")).unwrap();
    std::fs::write(root.join("out/f"), "1\n").unwrap();
    std::fs::set_permissions(root.join("out/f"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../out/f", root.join("in/link")).unwrap();
    symlink("../out", root.join("in/dir")).unwrap();
    symlink("nowhere", root.join("in/dangling")).unwrap();
    let cwd = root.join("in");
    let planned = |sections: &str| plan(&parse(&enveloped(sections)).unwrap(), &cwd, &Disk);
    let real = |sections: &str| planned(sections).unwrap().changes[0].real.clone();
    assert_eq!(real("*** Update File: link\n@@\n+2\n"), root.join("out/f"));
    assert_eq!(real("*** Update File: dir/f\n@@\n+2\n"), root.join("out/f"));
    assert_eq!(real("*** Delete File: dir/f\n"), root.join("out/f"));
    assert_eq!(real("*** Add File: dir/x/y/z\n"), root.join("out/x/y/z"));
    let twice = planned("*** Update File: link\n@@\n+2\n*** Update File: dir/f\n@@\n+2\n");
    assert!(matches!(twice, Err(PatchError::Twice { path }) if path == root.join("out/f")));
    let plan = planned("*** Update File: link\n@@\n+2\n").unwrap();
    assert_eq!(plan.outside(&Writable::Beneath(vec![cwd.clone()])), [root.join("out/f")]);
    let ChangeKind::Update { mode, .. } = plan.changes[0].kind else { panic!("an update is planned") };
    assert_eq!(mode, 0o755);
    let links = ["*** Delete File: link\n", "*** Add File: link\n+x\n", "*** Update File: link\n*** Move to: m\n"];
    let verbs = ["delete", "add", "move"];
    let file = root.join("out/f");
    for (sections, verb) in links.into_iter().zip(verbs) {
        let expected = format!(
            "cannot {verb} {}: it is a link; name {} to change the file, or use the shell to change the link",
            cwd.join("link").display(),
            file.display()
        );
        assert_eq!(planned(sections).unwrap_err().to_string(), expected);
    }
    for sections in
        ["*** Add File: dangling\n+x\n", "*** Add File: dangling/x\n+x\n", "*** Update File: dangling\n@@\n+x\n"]
    {
        assert!(matches!(planned(sections), Err(PatchError::Read { .. })), "{sections:?}");
    }
}
