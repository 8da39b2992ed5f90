//! `completion` from outside: the scripts are given to the shells that are there.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::World;

/// The script for a shell.
fn script(world: &World, shell: &str) -> String {
    let ran = world.run(["completion", shell]);
    assert_eq!((ran.code, &*ran.err), (0, ""), "{shell}");
    ran.out
}

/// Lets a shell read a text from stdin; `None` if there is no such shell.
fn shell(name: &str, args: &[&str], text: &str) -> Option<(bool, String)> {
    let mut command = Command::new(name);
    let pipes = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match pipes.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{name}: {error}"),
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    Some((output.status.success(), said))
}

#[test]
fn each_shell_that_is_there_can_read_its_script() {
    let world = World::new();
    for (name, args) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        if let Some(read) = shell(name, args, &script(&world, name)) {
            assert_eq!(read, (true, String::new()), "{name}");
        }
    }
}

#[test]
fn bash_completes_verbs_flags_and_values() {
    let world = World::new();
    let script = script(&world, "bash");
    let complete = |words: &[&str]| {
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let ask = format!(
            "{script}\nCOMP_WORDS=({line}); COMP_CWORD={}; _sapwood; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.len() - 1
        );
        let (good, said) = shell("bash", &["--norc"], &ask).expect("the program needs bash itself");
        assert!(good, "{said}");
        said.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["sapwood", "co"]), ["config", "completion"]);
    assert_eq!(complete(&["sapwood", "exec", "--output-"]), ["--output-last-message", "--output-schema"]);
    assert_eq!(complete(&["sapwood", "exec", "--color", "a"]), ["auto", "always"]);
    assert_eq!(complete(&["sapwood", "exec", "-s", "d"]), ["danger-full-access"]);
    assert_eq!(complete(&["sapwood", "exec", "--json", "r"]), ["resume"]);
    assert_eq!(complete(&["sapwood", "exec", "-m", "g"]), Vec::<String>::new());
    assert_eq!(complete(&["sapwood", "completion", ""]), ["bash", "zsh", "fish"]);
    assert_eq!(complete(&["sapwood", "ps", "--"]), ["--json", "--home", "--help"]);
}

#[test]
fn all_three_know_the_same_flags() {
    let world = World::new();
    for (shell, dash) in [("bash", "--"), ("zsh", "--"), ("fish", "-l ")] {
        let script = script(&world, shell);
        for flag in ["output-last-message", "dangerously-bypass-approvals-and-sandbox", "refresh", "thread-source"] {
            assert!(script.contains(&format!("{dash}{flag}")), "{shell} {flag}");
        }
        // What is refused is not offered.
        assert!(!script.contains("worktree"), "{shell}");
    }
}
