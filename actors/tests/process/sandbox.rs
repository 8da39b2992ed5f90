//! What a restricted command cannot do, by whatever way, and what it still can.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sapwood_actors::process::{Command, Exit, SandboxMode};
use tempfile::TempDir;

use super::{bash, folder, processes, run};

/// A folder with something to damage, and what is in it.
fn worksite() -> TempDir {
    let site = folder();
    let path = site.path();
    for folder in ["sub", "other", "empty"] {
        fs::create_dir(path.join(folder)).unwrap();
    }
    for file in ["file", "sub/inner"] {
        fs::write(path.join(file), "content").unwrap();
    }
    symlink("file", path.join("link")).unwrap();
    symlink(path, path.join("sub/up")).unwrap();
    site
}

fn listing(folder: &Path) -> Vec<(PathBuf, Option<String>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            }
            let content = kind.is_file().then(|| fs::read_to_string(entry.path()).unwrap());
            found.push((entry.path(), content));
        }
    }
    found.sort();
    found
}

/// Each does damage without a sandbox.
const DAMAGE: [&str; 16] = [
    "echo x > new",
    "echo x >> file",
    "sh -c \"sh -c 'echo x > new'\"",
    "(setsid sh -c 'echo x > new')",
    "echo x > link",
    "echo x > sub/up/new",
    "mv file renamed",
    "mv sub/inner other/inner",
    "mv sub other/sub",
    "ln file hard",
    "ln -s file soft",
    "rm -f file",
    "rmdir empty",
    "mkdir new",
    "truncate -s 0 file",
    "mkfifo fifo",
];

#[tokio::test]
async fn read_only_writes_nothing_by_any_way() {
    let processes = processes();
    for script in DAMAGE {
        let site = worksite();
        let before = listing(site.path());
        let restricted = Command { sandbox: SandboxMode::ReadOnly, ..bash(&site, script) };
        let outcome = run(&processes, restricted).await;
        assert!(matches!(outcome.exit, Exit::Code(1..)), "{script}: {outcome:?}");
        assert_eq!(listing(site.path()), before, "{script}");
        let free = run(&processes, bash(&site, script)).await;
        assert_eq!(free.exit, Exit::Code(0), "{script}: {free:?}");
        assert_ne!(listing(site.path()), before, "{script}");
    }
}

#[tokio::test]
async fn a_restricted_command_reaches_nobody_outside() {
    let site = worksite();
    let processes = processes();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let me = std::process::id();
    let scratch = std::env::temp_dir().join(format!("sapwood-test-{me}"));
    let cases = [
        (format!("exec 3<>/dev/tcp/127.0.0.1/{port}"), false),
        (format!("kill -0 {me}"), false),
        (format!("echo x > {0} && rm {0}", scratch.display()), true),
    ];
    let workspace = SandboxMode::WorkspaceWrite { roots: vec![site.path().to_owned()] };
    for (script, in_workspace) in cases {
        let modes =
            [(SandboxMode::ReadOnly, false), (workspace.clone(), in_workspace), (SandboxMode::DangerFullAccess, true)];
        for (sandbox, expected) in modes {
            let outcome = run(&processes, Command { sandbox: sandbox.clone(), ..bash(&site, &script) }).await;
            assert_eq!(outcome.exit == Exit::Code(0), expected, "{script} in {sandbox:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn read_only_reads_pipes_and_throws_away() {
    let site = worksite();
    let script = "cat file sub/inner link && ls sub | wc -l && echo x > /dev/null 2> /dev/null && \
                  cat <(echo sub) && cat <<< here && head -c 1 /dev/zero | wc -c && echo out > /dev/stdout";
    let outcome = run(&processes(), Command { sandbox: SandboxMode::ReadOnly, ..bash(&site, script) }).await;
    assert_eq!(outcome.output.head, "contentcontentcontent2\nsub\nhere\n1\nout\n");
    assert_eq!(outcome.exit, Exit::Code(0));
}

#[tokio::test]
async fn git_works_where_nothing_may_be_written() {
    let site = worksite();
    let processes = processes();
    let who = "-c user.name=a -c user.email=a@b";
    let prepare = format!("git init -q && git add -A && git {who} commit -qm first && echo more >> file");
    let prepared = run(&processes, bash(&site, &prepare)).await;
    assert_eq!(prepared.exit, Exit::Code(0), "{prepared:?}");
    let look = "git status --porcelain && git log --format=%s && git diff --stat | tail -1";
    let outcome = run(&processes, Command { sandbox: SandboxMode::ReadOnly, ..bash(&site, look) }).await;
    assert_eq!(outcome.output.head, " M file\nfirst\n 1 file changed, 1 insertion(+), 1 deletion(-)\n");
    assert_eq!(outcome.exit, Exit::Code(0));
}

#[tokio::test]
async fn workspace_write_writes_beneath_its_roots_and_nowhere_else() {
    let processes = processes();
    let (site, outside) = (worksite(), worksite());
    symlink(outside.path(), site.path().join("out")).unwrap();
    let workspace = SandboxMode::WorkspaceWrite { roots: vec![site.path().to_owned()] };
    let before = listing(outside.path());
    let out = outside.path().display();
    for script in [
        format!("echo x > {out}/new"),
        "echo x > out/new".to_owned(),
        "echo x > out/file".to_owned(),
        format!("mv file {out}/stolen"),
        format!("ln {out}/file alias && echo x > alias"),
        format!("mv {out}/file ."),
        "echo x > ../new".to_owned(),
    ] {
        let outcome = run(&processes, Command { sandbox: workspace.clone(), ..bash(&site, &script) }).await;
        assert!(matches!(outcome.exit, Exit::Code(1..)), "{script}: {outcome:?}");
        assert_eq!(listing(outside.path()), before, "{script}");
    }
    let script = "echo x > new && mv sub/inner other/ && mv other moved && rm file && mkdir -p a/b && ln new hard";
    let outcome = run(&processes, Command { sandbox: workspace, ..bash(&site, script) }).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
}

#[tokio::test]
async fn a_root_that_has_become_a_link_is_refused() {
    let processes = processes();
    let (site, outside) = (worksite(), worksite());
    let root = site.path().join("sub");
    fs::rename(&root, site.path().join("was")).unwrap();
    symlink(outside.path(), &root).unwrap();
    for (root, expected) in [(root, "leads to"), (site.path().join("gone"), "create it, or remove it")] {
        let sandbox = SandboxMode::WorkspaceWrite { roots: vec![root] };
        let outcome = run(&processes, Command { sandbox, ..bash(&site, "echo x > sub/new") }).await;
        let Exit::Failed(reason) = &outcome.exit else { panic!("{outcome:?}") };
        assert!(reason.contains(expected), "{reason}");
        assert!(!outside.path().join("new").exists());
    }
}
