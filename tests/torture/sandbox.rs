//! What a model's commands cannot do in `-s read-only`, the default, by whatever way; and who is not touched at all.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::codex::Snapshot;
use crate::world::{Ran, World};

/// Each does damage without a sandbox.
const DAMAGE: [&str; 17] = [
    "echo x > new",
    "echo x >> file",
    "sh -c \"sh -c 'echo x > new'\"",
    "(setsid sh -c 'echo x > new')",
    "setsid -w sh -c 'sh -c \"echo x > sub/new\"'",
    "echo x > link",
    "echo x > sub/up/new",
    "mv file renamed",
    "mv sub/inner other/inner",
    "mv other/inner file",
    "ln file hard",
    "ln -s file soft",
    "rm file",
    "rmdir empty",
    "mkdir new",
    "truncate -s 0 file",
    "cp file new",
];

/// A world in which the model runs these commands, one after the other, with something there to be damaged.
fn world(commands: &[&str]) -> World {
    let call = |cmd: &&str| json!({"call": {"name": "exec_command", "arguments": {"cmd": cmd}}});
    let calls: Vec<Value> = commands.iter().map(call).collect();
    let rules = json!([
        {"on": {"user": true}, "times": 1, "reply": calls},
        {"reply": [{"text": "done"}]},
    ]);
    let world = World::new(&json!({"rules": rules}).to_string());
    let site = world.place("work");
    for folder in ["sub", "other", "empty"] {
        fs::create_dir(site.join(folder)).unwrap();
    }
    for file in ["file", "sub/inner", "other/inner"] {
        fs::write(site.join(file), "content\n").unwrap();
    }
    symlink("file", site.join("link")).unwrap();
    symlink(&site, site.join("sub/up")).unwrap();
    world
}

/// The exit codes and outputs that the model was told, in order.
fn told(world: &World, run: &Ran) -> Vec<(i32, String)> {
    assert_eq!(run.code(), Some(0), "{run:?}");
    let rollouts = world.rollouts();
    let outputs = rollouts[0].items("function_call_output").map(|item| item["output"].as_str().unwrap());
    let read = |output: &str| {
        let (_, rest) = output.split_once("Process exited with code ")?;
        let (code, rest) = rest.split_once('\n')?;
        Some((code.parse().ok()?, rest.split_once("Output:\n")?.1.to_owned()))
    };
    outputs.map(|output| read(output).unwrap_or_else(|| panic!("{output}"))).collect()
}

#[test]
fn read_only_writes_nothing_by_any_way() {
    for command in DAMAGE {
        let refusing = world(&[command]);
        let before = Snapshot::of(&refusing.place("work"));
        let run = refusing.exec("go", &[]);
        let told_of = told(&refusing, &run);
        assert!(matches!(told_of[..], [(1.., _)]), "{command}: {told_of:?}");
        assert_eq!(Snapshot::of(&refusing.place("work")), before, "{command}");

        let allowing = world(&[command]).told(&["-s", "danger-full-access"]);
        let before = Snapshot::of(&allowing.place("work"));
        let run = allowing.exec("go", &[]);
        assert!(matches!(told(&allowing, &run)[..], [(0, _)]), "{command}");
        assert_ne!(Snapshot::of(&allowing.place("work")), before, "{command}");
    }
}

/// All at once, in one answer, beside each other, and by a child of the root.
#[test]
fn a_child_has_no_more_rights_than_its_root() {
    let child = |cmd: &&str| json!({"call": {"name": "exec_command", "arguments": {"cmd": cmd}}});
    let spawn = json!({"call": {"name": "spawn_agent", "namespace": "collaboration",
        "arguments": {"task_name": "a", "message": "go", "fork_turns": "none"}}});
    let rules = json!([
        {"agent": "/root", "on": {"user": true}, "times": 1, "reply": [spawn]},
        {"agent": "/root/a", "on": {"mail_from": "/root"}, "times": 1,
            "reply": DAMAGE.iter().map(child).collect::<Vec<_>>()},
        {"reply": [{"text": "done"}]},
    ]);
    let world = World::new(&json!({"rules": rules}).to_string());
    fs::write(world.place("work/file"), "content\n").unwrap();
    let before = Snapshot::of(&world.place("work"));
    let run = world.exec("go", &[]);
    assert_eq!(run.code(), Some(0), "{run:?}");
    let rollouts = world.rollouts();
    let outputs: Vec<&str> =
        rollouts[1].items("function_call_output").map(|item| item["output"].as_str().unwrap()).collect();
    assert_eq!(outputs.len(), DAMAGE.len());
    for (command, output) in DAMAGE.iter().zip(outputs) {
        let refused = output.contains("Process exited with code ") && !output.contains("exited with code 0");
        assert!(refused, "{command}: {output}");
    }
    assert_eq!(Snapshot::of(&world.place("work")), before);
}

#[test]
fn read_only_connects_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let grandchild = format!("setsid -w bash -c '{connect}'");
    let refusing = world(&[&connect, &grandchild]);
    let run = refusing.exec("go", &[]);
    assert!(matches!(told(&refusing, &run)[..], [(1.., _), (1.., _)]), "{:?}", told(&refusing, &run));
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody came");

    let allowing = world(&[&connect]).told(&["-s", "danger-full-access"]);
    let run = allowing.exec("go", &[]);
    assert!(matches!(told(&allowing, &run)[..], [(0, _)]));
    listener.accept().unwrap();
}

#[test]
fn read_only_reads_and_git_works() {
    let world = world(&["cat file sub/inner link && ls sub", "git status --porcelain", "git log --format=%s"]);
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let output = Command::new("git").args(who).args(args).current_dir(world.place("work")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "first"]);
    fs::write(world.place("work/file"), "changed\n").unwrap();
    let before = Snapshot::of(&world.place("work"));
    let run = world.exec("go", &[]);
    let expected = ["changed\ncontent\nchanged\ninner\nup\n", " M file\n", "first\n"].map(|text| (0, text.to_owned()));
    assert_eq!(told(&world, &run), expected);
    assert_eq!(Snapshot::of(&world.place("work")), before);
}

/// Whatever is done with the program: Codex's home is read, and not so much as a time in it changes. Each world looks
/// when it ends; this one does everything.
#[test]
fn codexs_home_is_left_alone() {
    let world = world(&["echo hello"]);
    let code = |args: &[&str]| world.program(args).output().unwrap().status.code();
    assert_eq!(world.exec("go", &[]).code(), Some(0));
    assert_eq!(world.resume(&[]).code(), Some(0));
    assert_eq!(world.end(world.start(&["resume", "--last", "more"], &[])).code(), Some(0));
    assert_eq!(world.ps(), [("/root".to_owned(), "completed".to_owned(), None)]);
    assert_eq!(code(&["ps"]), Some(0));
    assert_eq!(code(&["exec", "map this"]), Some(0), "the rehearsal");
    assert_eq!(code(&["exec", "--no-such-flag"]), Some(2));
    assert_eq!(code(&["exec"]), Some(2));
    assert_eq!(code(&["exec", "resume", "01a1f000-0000-7000-8000-000000000000"]), Some(2));
    assert_eq!(code(&["exec", "-c", "model_provider=scripted", "-c", "sapwood.script=/nowhere", "go"]), Some(3));
    assert_eq!(code(&["exec", "-C", "/nowhere", "go"]), Some(2));
}

/// Named as the home, it is still not written to: the rehearsal keeps its rollouts in ours, and `ps` lists both.
#[test]
fn the_rehearsal_does_not_write_into_a_codex_home_it_is_given() {
    let world = world(&[]);
    let codex = world.home().join(".codex");
    let run = world.program(&["exec", "--home", codex.to_str().unwrap(), "map this"]).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let ps = world.program(&["ps", "--home", codex.to_str().unwrap()]).output().unwrap();
    assert_eq!(ps.status.code(), Some(0), "{ps:?}");
    let shown = String::from_utf8(ps.stdout).unwrap();
    assert!(shown.contains("completed"), "{shown}");
}
