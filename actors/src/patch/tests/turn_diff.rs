//! The diff of a turn.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::{ChangeKind, Disk, Kind, Plan, TurnDiff, repository_root};
use super::{files, planned};

/// Plans the patches one after the other, each on what the one before left, and adds them up.
fn diff_of(root: &str, start: &[(&str, &str)], patches: &[&str]) -> String {
    let mut files = files(start);
    let mut diff = TurnDiff::new(root.into());
    for sections in patches {
        let plan = planned(&files, sections).unwrap();
        carry_out(&mut files, &plan);
        diff.record(&plan);
    }
    diff.text()
}

fn carry_out(files: &mut BTreeMap<PathBuf, Kind>, plan: &Plan) {
    for change in &plan.changes {
        let file = |text: &str| Kind::File { bytes: text.into(), mode: 0o644 };
        match &change.kind {
            ChangeKind::Add { content } => drop(files.insert(change.real.clone(), file(content))),
            ChangeKind::Delete { .. } => drop(files.remove(&change.real)),
            ChangeKind::Update { move_to, new, .. } => {
                files.remove(&change.real);
                files.insert(move_to.as_ref().map_or(&change.real, |to| &to.real).clone(), file(new));
            }
        }
    }
}

const LINES: &str = "l1\nl2\nl3\nl4\nl5\nl6\nl7\nl8\nl9\n";
const SIX: &str = "*** Update File: a\n@@\n-l6\n+six\n";
const SIX_BACK: &str = "*** Update File: a\n@@\n-six\n+l6\n";
// What git calls the two texts, and one line each of `x` and `y`.
const LINES_ID: &str = "aecbbc42373a64d8683ca19f17ff0ca72261a171";
const SIX_ID: &str = "d79ba97b339e2f0199f0ae757cd0ce7b7269a2d3";
const X_ID: &str = "587be6b4c3f93f93c489c0111bba5596147a26cb";
const Y_ID: &str = "975fbec8256d3e8a3797e7a3611380f27c49f4ac";
const NO_ID: &str = "0000000000000000000000000000000000000000";

fn six_hunk() -> &'static str {
    "@@ -3,7 +3,7 @@\n l3\n l4\n l5\n-l6\n+six\n l7\n l8\n l9\n"
}

#[test]
fn the_recorded_diff_of_a_new_file() {
    let recorded = "diff --git a/hello.txt b/hello.txt\nnew file mode 100644\n\
                    index 0000000000000000000000000000000000000000..ce013625030ba8dba906f756967f9e9ca394464a\n\
                    --- /dev/null\n+++ b/hello.txt\n@@ -0,0 +1 @@\n+hello\n";
    assert_eq!(diff_of("/w", &[], &["*** Add File: hello.txt\n+hello\n"]), recorded);
}

#[test]
fn several_patches_add_up() {
    let new_x = format!(
        "diff --git a/n b/n\nnew file mode 100644\nindex {NO_ID}..{X_ID}\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n"
    );
    let new_y = new_x.replace(X_ID, Y_ID).replace("+x", "+y");
    let old_x = format!(
        "diff --git a/x b/x\ndeleted file mode 100644\nindex {X_ID}..{NO_ID}\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    );
    let x_to_y = format!("diff --git a/x b/x\nindex {X_ID}..{Y_ID}\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n");
    let moved = "diff --git a/x b/m\nrename from x\nrename to m\n".to_owned();
    let moved_y = format!(
        "diff --git a/x b/m\nrename from x\nrename to m\nindex {X_ID}..{Y_ID}\n--- a/x\n+++ b/m\n@@ -1 +1 @@\n-x\n+y\n"
    );
    let new_m = format!(
        "diff --git a/m b/m\nnew file mode 100644\nindex {NO_ID}..{X_ID}\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n+x\n"
    );
    let six = format!("diff --git a/a b/a\nindex {LINES_ID}..{SIX_ID}\n--- a/a\n+++ b/a\n{}", six_hunk());
    let add_n = "*** Add File: n\n+x\n";
    let n_to_y = "*** Update File: n\n@@\n-x\n+y\n";
    let move_x = "*** Update File: x\n*** Move to: m\n";
    let move_m = "*** Update File: m\n*** Move to: x\n";
    let cases: &[(&[&str], String)] = &[
        (&[], String::new()),
        (&[SIX], six.clone()),
        (&[SIX, SIX_BACK], String::new()),
        (&[add_n], new_x.clone()),
        (&[add_n, n_to_y], new_y.clone()),
        (&[add_n, "*** Delete File: n\n"], String::new()),
        (&["*** Add File: k\n+y\n", "*** Update File: k\n*** Move to: n\n"], new_y.clone()),
        (&["*** Delete File: x\n"], old_x.clone()),
        (&["*** Delete File: x\n", "*** Add File: x\n+x\n"], String::new()),
        (&["*** Delete File: x\n", "*** Add File: x\n+y\n"], x_to_y.clone()),
        (&["*** Add File: x\n+y\n"], x_to_y.clone()),
        (&[move_x], moved.clone()),
        (&[move_x, move_m], String::new()),
        (&[move_x, "*** Update File: m\n@@\n-x\n+y\n"], moved_y.clone()),
        (&[move_x, "*** Delete File: m\n"], old_x.clone()),
        // A new file where one was moved away: that file changed, and the other is new.
        (&[move_x, "*** Add File: x\n+y\n"], new_m.clone() + &x_to_y),
        // All of it, sorted by path.
        (&[add_n, SIX, move_x], six + &new_x + &moved),
    ];
    for (patches, expected) in cases {
        assert_eq!(&diff_of("/w", &[("a", LINES), ("x", "x\n")], patches), expected, "{patches:?}");
    }
}

#[test]
fn a_file_that_moves_to_where_one_was_deleted_is_that_file_changed() {
    let patches = ["*** Delete File: x\n", "*** Update File: y\n*** Move to: x\n"];
    let expected = format!(
        "diff --git a/x b/x\nindex {X_ID}..{Y_ID}\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n\
         diff --git a/y b/y\ndeleted file mode 100644\nindex {Y_ID}..{NO_ID}\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-y\n"
    );
    assert_eq!(diff_of("/w", &[("x", "x\n"), ("y", "y\n")], &patches), expected);
}

#[test]
fn names_are_relative_to_the_root_and_quoted_where_they_must_be() {
    let heads = |root: &str, path: &str| {
        let text = diff_of(root, &[], &[&format!("*** Add File: {path}\n+x\n")]);
        text.lines().next().map(str::to_owned)
    };
    let cases = [
        ("/", "n", "diff --git a/w/n b/w/n"),
        ("/w", "d/n", "diff --git a/d/n b/d/n"),
        ("/w", "/o/n", "diff --git a//o/n b//o/n"),
        ("/w", "a b é", "diff --git a/a b é b/a b é"),
        ("/w", "q\"\t\\\u{7f}", r#"diff --git "a/q\"\t\\\177" "b/q\"\t\\\177""#),
    ];
    for (root, path, expected) in cases {
        assert_eq!(heads(root, path).as_deref(), Some(expected));
    }
}

#[test]
fn a_final_newline_that_comes_or_goes_is_told() {
    let text = diff_of("/w", &[("a", "1\n2")], &["*** Update File: a\n@@\n-2\n+2\n"]);
    let hunk = text.split_once("+++ b/a\n").map(|(_, hunk)| hunk.to_owned());
    assert_eq!(hunk.as_deref(), Some("@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+2\n"));
}

#[test]
fn an_executable_that_is_deleted_was_one() {
    let mut files = files(&[]);
    files.insert("/w/run".into(), Kind::File { bytes: b"x\n".to_vec(), mode: 0o755 });
    let mut diff = TurnDiff::new("/w".into());
    diff.record(&planned(&files, "*** Delete File: run\n").unwrap());
    assert!(diff.text().starts_with("diff --git a/run b/run\ndeleted file mode 100755\n"), "{}", diff.text());
}

#[test]
fn a_turn_that_has_changed_nothing_says_nothing() {
    let mut diff = TurnDiff::new("/w".into());
    let mut told = |before: &str, sections: &str| diff.told(&planned(&files(&[("a", before)]), sections).unwrap());
    assert_eq!(told("1\n", "*** Add File: a\n+1\n"), None);
    assert!(told("1\n", "*** Add File: a\n+2\n").is_some_and(|text| text.ends_with("-1\n+2\n")));
    assert_eq!(told("2\n", "*** Add File: a\n+1\n").as_deref(), Some(""), "it took its change back");
}

#[test]
fn the_root_is_the_nearest_repository() {
    let text = |text: &str| Kind::File { bytes: text.into(), mode: 0o644 };
    let repository =
        |git: &str, kind: Kind| BTreeMap::from([(PathBuf::from(git), kind), ("/r/s/t/f".into(), text(""))]);
    let cases = [
        (repository("/r/.git/HEAD", text("ref: x")), "/r/s/t", "/r"),
        (repository("/r/s/.git", text("gitdir: /elsewhere/.git/worktrees/s\n")), "/r/s/t", "/r/s"),
        (repository("/r/s/.git", text("something else")), "/r/s/t", "/r/s/t"),
        (repository("/r/s/t/.git/HEAD", text("")), "/r/s", "/r/s"),
        (repository("/.git/HEAD", text("")), "/r/s/t", "/"),
        (repository("/other/.git/HEAD", text("")), "/r/s/t", "/r/s/t"),
    ];
    for (files, cwd, expected) in cases {
        assert_eq!(repository_root(Path::new(cwd), &files), Path::new(expected));
    }
}

#[test]
fn the_root_on_the_disk_is_a_real_path() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("r/.git")).unwrap();
    std::fs::create_dir_all(root.join("r/s/t")).unwrap();
    std::fs::create_dir_all(root.join("worktree/s")).unwrap();
    std::fs::write(root.join("worktree/.git"), "gitdir: ../r/.git/worktrees/w\n").unwrap();
    symlink("r/s", root.join("link")).unwrap();
    assert_eq!(repository_root(&root.join("link/t"), &Disk), root.join("r"));
    assert_eq!(repository_root(&root.join("worktree/s"), &Disk), root.join("worktree"));
    assert_eq!(repository_root(&root.join("r/../worktree"), &Disk), root.join("worktree"));
}
