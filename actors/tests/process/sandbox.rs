//! What a restricted command cannot do, by whatever way, and what it still can.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sapwood_actors::process::sandbox::{Shortfall, looks_denied};
use sapwood_actors::process::{Command, Exit, Processes, SandboxMode};
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
        let restricted = Command { sandbox: SandboxMode::READ_ONLY, ..bash(&site, script) };
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
    let workspace = SandboxMode::workspace(vec![site.path().to_owned()]);
    for (script, in_workspace) in cases {
        let modes =
            [(SandboxMode::READ_ONLY, false), (workspace.clone(), in_workspace), (SandboxMode::DangerFullAccess, true)];
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
    let outcome = run(&processes(), Command { sandbox: SandboxMode::READ_ONLY, ..bash(&site, script) }).await;
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
    let outcome = run(&processes, Command { sandbox: SandboxMode::READ_ONLY, ..bash(&site, look) }).await;
    assert_eq!(outcome.output.head, " M file\nfirst\n 1 file changed, 1 insertion(+), 1 deletion(-)\n");
    assert_eq!(outcome.exit, Exit::Code(0));
}

#[tokio::test]
async fn workspace_write_writes_beneath_its_roots_and_nowhere_else() {
    let processes = processes();
    let (site, outside) = (worksite(), worksite());
    symlink(outside.path(), site.path().join("out")).unwrap();
    let workspace = SandboxMode::workspace(vec![site.path().to_owned()]);
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
        let sandbox = SandboxMode::workspace(vec![root]);
        let outcome = run(&processes, Command { sandbox, ..bash(&site, "echo x > sub/new") }).await;
        let Exit::Failed(reason) = &outcome.exit else { panic!("{outcome:?}") };
        assert!(reason.contains(expected), "{reason}");
        assert!(!outside.path().join("new").exists());
    }
}

/// Whether this machine lets a command have namespaces of its own; the tests of what depends on it say what holds without.
async fn has_namespaces(processes: &Processes, site: &TempDir) -> bool {
    let told = processes.shortfalls(SandboxMode::READ_ONLY, site.path().to_owned()).await.unwrap().unwrap();
    assert!(told.iter().all(|one| matches!(one, Shortfall::OnlyTcpRefused { .. })), "{told:?}");
    told.is_empty()
}

fn with_network(mode: &SandboxMode) -> SandboxMode {
    match mode.clone() {
        SandboxMode::WorkspaceWrite { roots, exclude_tmpdir_env_var, exclude_slash_tmp, .. } => {
            SandboxMode::WorkspaceWrite { roots, network_access: true, exclude_tmpdir_env_var, exclude_slash_tmp }
        }
        _ => SandboxMode::ReadOnly { network_access: true },
    }
}

#[tokio::test]
async fn the_network_is_closed_unless_it_is_granted() {
    let site = worksite();
    let processes = processes();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    let udp = format!("echo x > /dev/udp/127.0.0.1/{}", socket.local_addr().unwrap().port());
    let isolated = has_namespaces(&processes, &site).await;
    for closed in [SandboxMode::READ_ONLY, SandboxMode::workspace(vec![site.path().to_owned()])] {
        let open = with_network(&closed);
        for (mode, script, expected) in
            [(&closed, &tcp, false), (&closed, &udp, !isolated), (&open, &tcp, true), (&open, &udp, true)]
        {
            let outcome = run(&processes, Command { sandbox: mode.clone(), ..bash(&site, script) }).await;
            assert_eq!(outcome.exit == Exit::Code(0), expected, "{script} in {mode:?}: {outcome:?}");
            if !expected {
                assert!(looks_denied(mode, &outcome.exit, &outcome.output.head), "{outcome:?}");
            }
        }
    }
}

/// Each damages what a workspace protects, or gets it out of its protection.
const ORDERS: [&str; 13] = [
    "echo x > .git/hooks/post-commit",
    "echo x >> .git/config",
    "mv .git moved",
    "mv .git/config other/config",
    "ln .git/config other/config",
    "rm -rf .git",
    "touch .git/new",
    "chmod 777 .git/config",
    "echo x > .codex/config.toml",
    "echo x > .agents/skill",
    "echo x > linked/.git/../.git/config",
    "umount .git && echo x > .git/config",
    "mount -o remount,rw,bind .git && echo x > .git/config",
];

#[tokio::test]
async fn who_gives_orders_to_others_stays_read_only_in_a_workspace() {
    let processes = processes();
    let site = worksite();
    for folder in [".git/hooks", ".codex", ".agents"] {
        fs::create_dir_all(site.path().join(folder)).unwrap();
    }
    for file in [".git/config", ".codex/config.toml", ".agents/skill"] {
        fs::write(site.path().join(file), "before").unwrap();
    }
    symlink(".", site.path().join("linked")).unwrap();
    // What is elsewhere may change: a move that is refused leaves a copy.
    let protected = || [".git", ".codex", ".agents"].map(|folder| listing(&site.path().join(folder)));
    let before = protected();
    let workspace = SandboxMode::workspace(vec![site.path().to_owned()]);
    let isolated = has_namespaces(&processes, &site).await;
    for script in ORDERS {
        if script.starts_with("chmod") && !isolated {
            continue; // Landlock does not know file modes.
        }
        let outcome = run(&processes, Command { sandbox: workspace.clone(), ..bash(&site, script) }).await;
        assert!(matches!(outcome.exit, Exit::Code(1..)), "{script}: {outcome:?}");
        assert_eq!(protected(), before, "{script}");
        assert_eq!(outcome.shortfalls.is_empty(), isolated, "{outcome:?}");
    }
    let denied = run(&processes, Command { sandbox: workspace.clone(), ..bash(&site, ORDERS[0]) }).await;
    assert!(looks_denied(&workspace, &denied.exit, &denied.output.head), "{denied:?}");
    // From within, where the folder was entered before anything was mounted.
    let mut inside = bash(&site, "echo x > config");
    inside.cwd = site.path().join(".git");
    let outcome = run(&processes, Command { sandbox: workspace.clone(), ..inside }).await;
    assert!(matches!(outcome.exit, Exit::Code(1..)), "{outcome:?}");
    assert_eq!(protected(), before);
    let script = "echo x > sub/new && rm -r sub/inner other/* ; echo y >> file && git --version > other/git";
    let outcome = run(&processes, Command { sandbox: workspace.clone(), ..bash(&site, script) }).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    let created = run(&processes, Command { sandbox: workspace, ..bash(&site, "echo x > new && mkdir folder") }).await;
    assert_eq!(created.exit == Exit::Code(0), isolated, "{created:?}");
}

#[tokio::test]
async fn the_git_folder_of_a_worktree_is_protected_where_it_is() {
    let processes = processes();
    let site = worksite();
    let who = "-c user.name=a -c user.email=a@b";
    let prepare = format!(
        "mkdir main && cd main && git init -q && git {who} commit -q --allow-empty -m first && git worktree add -q ../tree"
    );
    let prepared = run(&processes, bash(&site, &prepare)).await;
    assert_eq!(prepared.exit, Exit::Code(0), "{prepared:?}");
    let (tree, main) = (site.path().join("tree"), site.path().join("main"));
    let sandbox = SandboxMode::workspace(vec![tree.clone(), main.clone()]);
    let files = ["../main/.git/hooks/post-commit", "../main/.git/worktrees/tree/HEAD", "../main/.git/config", ".git"];
    for file in files {
        let mut command = bash(&site, &format!("echo x > {file}"));
        command.cwd = tree.clone();
        let outcome = run(&processes, Command { sandbox: sandbox.clone(), ..command }).await;
        assert!(matches!(outcome.exit, Exit::Code(1..)), "{file}: {outcome:?}");
    }
    let mut look = bash(&site, "git status --porcelain && git log --format=%s");
    look.cwd = tree;
    let outcome = run(&processes, Command { sandbox, ..look }).await;
    assert_eq!((outcome.exit, outcome.output.head.as_str()), (Exit::Code(0), "first\n"));
}

#[tokio::test]
async fn a_link_in_the_place_of_a_protected_folder_protects_what_it_leads_to() {
    let processes = processes();
    let site = worksite();
    symlink("sub", site.path().join(".agents")).unwrap();
    let before = listing(site.path());
    let workspace = SandboxMode::workspace(vec![site.path().to_owned()]);
    for script in ["echo x > .agents/inner", "echo x > sub/inner", "rm .agents", "ln -sfn other .agents"] {
        let outcome = run(&processes, Command { sandbox: workspace.clone(), ..bash(&site, script) }).await;
        assert!(matches!(outcome.exit, Exit::Code(1..)), "{script}: {outcome:?}");
        assert_eq!(listing(site.path()), before, "{script}");
    }
}

#[tokio::test]
async fn temporary_folders_can_be_left_out() {
    let processes = processes();
    let site = worksite();
    let name = format!("/tmp/sapwood-test-out-{}", std::process::id());
    let script = format!("echo x > {name} && rm {name}");
    for exclude_slash_tmp in [true, false] {
        let roots = vec![site.path().to_owned()];
        let sandbox = SandboxMode::WorkspaceWrite {
            roots,
            network_access: false,
            // Where it is a folder in `/tmp`, the answer is that of `/tmp`.
            exclude_tmpdir_env_var: true,
            exclude_slash_tmp,
        };
        let outcome = run(&processes, Command { sandbox, ..bash(&site, &script) }).await;
        assert_eq!(outcome.exit == Exit::Code(0), !exclude_slash_tmp, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_restricted_command_has_no_rights_over_the_machine() {
    let site = worksite();
    // The effective set, but for rights over files, of becoming others and of low ports: 0,1,3-7,10.
    let script = "awk '/^CapEff/ { print $2 }' /proc/self/status";
    let outcome = run(&processes(), Command { sandbox: SandboxMode::READ_ONLY, ..bash(&site, script) }).await;
    let effective = u64::from_str_radix(outcome.output.head.trim(), 16).unwrap();
    assert_eq!(effective & !0x4fb, 0, "{effective:x}");
}
