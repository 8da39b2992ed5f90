//! Plans on a disk: all of it, or nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::super::apply::apply_observed;
use super::super::{Applied, ApplyError, Disk, Plan, Writable, apply, parse, plan};
use super::enveloped;

/// A folder with files of every kind, and one beside it.
struct World {
    _home: tempfile::TempDir,
    root: PathBuf,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        for directory in ["in/sub", "out"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        for (path, text) in [("in/a", "1\n"), ("in/b", "2\n"), ("in/c", "3\n"), ("in/run", "4\n"), ("out/f", "5\n")] {
            std::fs::write(root.join(path), text).unwrap();
        }
        for (path, mode) in [("in/run", 0o755), ("in/b", 0o600), ("in/a", 0o644), ("in/c", 0o644), ("out/f", 0o640)] {
            std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("../out/f", root.join("in/link")).unwrap();
        Self { _home: home, root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn plan(&self, sections: &str) -> Plan {
        plan(&parse(&enveloped(sections)).unwrap(), &self.path("in"), &Disk).unwrap()
    }

    fn inside(&self) -> Writable {
        Writable::Beneath(vec![self.path("in")])
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }

    fn mode(&self, path: &str) -> u32 {
        std::fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    fn all(&self) -> BTreeMap<PathBuf, String> {
        snapshot(&self.root)
    }
}

/// Everything beneath a directory: its kind, its permissions, what it holds.
pub(super) fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_dir() {
                directories.push(path.clone());
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("link to {}", path.read_link().unwrap().display())
            } else {
                format!("{:o} {:?}", meta.permissions().mode(), std::fs::read(&path).unwrap())
            };
            found.insert(path, what);
        }
    }
    found
}

const MUCH: &str = "*** Add File: new/deep/n\n+new\n*** Update File: a\n@@\n-1\n+one\n*** Update File: run\n*** Move to: moved/run\n@@\n-4\n+four\n\
                    *** Delete File: c\n*** Add File: m\n+m\n*** Update File: b\n@@\n+more\n";

#[test]
fn a_plan_is_carried_out() {
    let world = World::new();
    assert_eq!(apply(&world.plan(MUCH), &world.inside()).unwrap(), Applied { left: vec![] });
    let texts = ["new/deep/n", "a", "moved/run", "m", "b", "run", "c"].map(|path| world.text(&format!("in/{path}")));
    let expected = [Some("new\n"), Some("one\n"), Some("four\n"), Some("m\n"), Some("2\nmore\n"), None, None];
    assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
    assert_eq!(["a", "b", "moved/run"].map(|path| world.mode(&format!("in/{path}"))), [0o644, 0o600, 0o755]);
    let names: Vec<_> = std::fs::read_dir(world.path("in")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "something is left: {names:?}");
}

#[test]
fn a_failure_at_any_step_leaves_everything_as_it_was() {
    let mut steps = 0;
    loop {
        let world = World::new();
        let before = world.all();
        let fail = &mut |step| if step == steps { Err(std::io::Error::other("no more")) } else { Ok(()) };
        match apply_observed(&world.plan(MUCH), &world.inside(), fail) {
            Err(error) => assert!(error.to_string().ends_with("no more"), "{error}"),
            Ok(_) => break,
        }
        assert_eq!(world.all(), before, "after a failure at step {steps}");
        steps += 1;
    }
    // Six files, and a move has two steps.
    assert_eq!(steps, 7);
}

#[test]
fn a_file_that_has_changed_since_is_refused() {
    type Interference = fn(&World);
    let changes: [(&str, Interference); 6] = [
        ("in/a", |world| std::fs::write(world.path("in/a"), "other\n").unwrap()),
        ("in/a", |world| std::fs::remove_file(world.path("in/a")).unwrap()),
        ("in/c", |world| std::fs::write(world.path("in/c"), "").unwrap()),
        ("in/m", |world| std::fs::write(world.path("in/m"), "m\n").unwrap()),
        ("in/m", |world| symlink("../out/new", world.path("in/m")).unwrap()),
        ("in/a", |world| {
            std::fs::remove_file(world.path("in/a")).unwrap();
            symlink("../out/f", world.path("in/a")).unwrap();
        }),
    ];
    // Before anything is done; then in the middle, when the file was already looked at.
    for at in [None, Some(0), Some(1)] {
        for (index, (path, change)) in changes.iter().enumerate() {
            let world = World::new();
            let plan = world.plan(
                "*** Add File: first\n+x\n*** Update File: a\n@@\n-1\n+one\n*** Delete File: c\n*** Add File: m\n+m\n",
            );
            if at.is_none() {
                change(&world);
            }
            let mut changed = world.all();
            let result = apply_observed(&plan, &world.inside(), &mut |step| {
                if at == Some(step) {
                    let temporary = |path: &PathBuf| path.to_string_lossy().contains(".sapwood-patch-");
                    change(&world);
                    changed = world
                        .all()
                        .into_iter()
                        .filter(|(path, _)| !temporary(path) && !path.ends_with("first"))
                        .collect();
                }
                Ok(())
            });
            let what = format!("change {index} at {at:?}");
            assert!(
                matches!(&result, Err(ApplyError::Changed { path: told }) if *told == world.path(path)),
                "{what}: {result:?}"
            );
            assert_eq!(world.all(), changed, "{what}");
        }
    }
}

#[test]
fn nothing_is_written_where_it_may_not_be() {
    let world = World::new();
    let before = world.all();
    let outside = world.path("out/f");
    let cases = [
        ("*** Update File: link\n@@\n-5\n+five\n", world.inside(), &outside),
        ("*** Update File: ../out/f\n@@\n-5\n+five\n", world.inside(), &outside),
        ("*** Update File: a\n@@\n-1\n+one\n", Writable::Nowhere, &world.path("in/a")),
        ("*** Update File: a\n*** Move to: ../out/a\n", world.inside(), &world.path("out/a")),
        ("*** Add File: x\n+x\n*** Delete File: ../out/f\n", world.inside(), &outside),
    ];
    for (sections, writable, path) in cases {
        let result = apply(&world.plan(sections), &writable);
        assert!(
            matches!(&result, Err(ApplyError::Outside { paths }) if paths == std::slice::from_ref(path)),
            "{sections:?}: {result:?}"
        );
        assert_eq!(world.all(), before);
    }
    // With an approval it goes where the link leads, and the link stays.
    apply(&world.plan("*** Update File: link\n@@\n-5\n+five\n"), &Writable::Anywhere).unwrap();
    assert_eq!(world.text("out/f").as_deref(), Some("five\n"));
    assert_eq!(world.path("in/link").read_link().unwrap(), Path::new("../out/f"));
    assert_eq!(world.mode("out/f"), 0o640);
}

#[test]
fn a_directory_that_became_a_link_leads_nowhere() {
    // At the start, and between the looks and the writes.
    for at in [None, Some(0)] {
        let world = World::new();
        std::fs::write(world.path("in/sub/f"), "5\n").unwrap();
        let plan = world.plan("*** Update File: sub/f\n@@\n-5\n+five\n*** Add File: sub/n\n+n\n");
        let swap = || {
            std::fs::rename(world.path("in/sub"), world.path("in/aside")).unwrap();
            symlink("../out", world.path("in/sub")).unwrap();
        };
        if at.is_none() {
            swap();
        }
        let out = snapshot(&world.path("out"));
        let result = apply_observed(&plan, &world.inside(), &mut |step| {
            if at == Some(step) {
                swap();
            }
            Ok(())
        });
        assert!(result.is_err(), "{result:?}");
        assert_eq!(snapshot(&world.path("out")), out);
        assert_eq!(world.text("in/aside/f").as_deref(), Some("5\n"));
    }
}

#[test]
fn another_hard_link_keeps_what_it_had() {
    let world = World::new();
    std::fs::hard_link(world.path("in/a"), world.path("out/hard")).unwrap();
    apply(&world.plan("*** Update File: a\n@@\n-1\n+one\n"), &world.inside()).unwrap();
    assert_eq!((world.text("in/a").as_deref(), world.text("out/hard").as_deref()), (Some("one\n"), Some("1\n")));
}

#[test]
fn what_changes_nothing_touches_nothing() {
    let world = World::new();
    let inode = std::fs::metadata(world.path("in/a")).unwrap().ino();
    apply(&world.plan("*** Update File: a\n@@\n-1\n+1\n"), &world.inside()).unwrap();
    assert_eq!(std::fs::metadata(world.path("in/a")).unwrap().ino(), inode);
}

#[test]
fn what_could_not_be_taken_back_is_told() {
    let world = World::new();
    let plan = world.plan("*** Update File: a\n@@\n-1\n+one\n*** Delete File: c\n");
    let result = apply_observed(&plan, &world.inside(), &mut |step| {
        if step == 1 {
            // Somebody else replaces the file that is already the new one; it is theirs now.
            std::fs::remove_file(world.path("in/a")).unwrap();
            std::fs::write(world.path("in/a"), "theirs\n").unwrap();
            return Err(std::io::Error::other("no more"));
        }
        Ok(())
    });
    let Err(ApplyError::Torn { cause, torn }) = result else { panic!("{result:?}") };
    assert_eq!(cause.to_string(), format!("Failed to delete file {}: no more", world.path("in/c").display()));
    assert_eq!(torn.len(), 2);
    assert_eq!(torn[0], world.path("in/a"));
    assert_eq!(std::fs::read_to_string(&torn[1]).unwrap(), "1\n");
    assert_eq!((world.text("in/a").as_deref(), world.text("in/c").as_deref()), (Some("theirs\n"), Some("3\n")));
}
