//! The command line and the configuration, from outside: what is refused, how, and with which exit code.

mod support;

use serde_json::json;
use support::{World, with_stdin};

#[test]
fn help_and_version_go_to_stdout() {
    let world = World::new();
    for args in [&["--help"][..], &["help"], &["exec", "--help"], &["help", "exec"], &["ps", "-h"], &["config", "-h"]] {
        let ran = world.run(args.iter().copied());
        assert_eq!((ran.code, &*ran.err), (0, ""), "{args:?}");
        assert!(ran.out.contains("Usage: sapwood"), "{args:?}: {}", ran.out);
    }
    for args in ["version", "--version", "-V"] {
        let ran = world.run([args]);
        assert_eq!((ran.code, &*ran.out), (0, &*format!("sapwood {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let help = world.run(["--help"]).out;
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "8 ", "130", "143"] {
        assert!(help.contains(&format!("\n  {code}")), "{code}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_2_and_says_what_was_meant() {
    let world = World::new();
    let cases: &[(&[&str], &str)] = &[
        (&[], "no command given"),
        (&["exce", "x"], "did you mean `exec`?"),
        (&["exec", "--jsno", "x"], "unknown option `--jsno`; did you mean `--json`?"),
        (&["exec", "-Q", "x"], "unknown option `-Q`"),
        (&["exec", "--image", "a.png", "x"], "--image a.png: images are not available in this version"),
        (&["exec", "--full-auto", "--yolo", "x"], "cannot be both workspace-write and danger-full-access"),
        (&["exec", "--ephemeral", "x"], "--ephemeral is not available in this version"),
        (&["exec", "--worktree", "x"], "make a worktree with git"),
        (&["exec", "-s", "read-only", "--yolo", "x"], "cannot be both read-only and danger-full-access"),
        (&["exec", "--color", "blue", "x"], "--color blue: there is no such value; it is one of auto, always, never"),
        (&["exec", "--thread-source", "a b", "x"], "--thread-source `a b`: 1 to 64 printable ASCII characters"),
        (&["exec", "fork", "x"], "`exec fork` is not available in this version"),
        (&["completion", "tcsh"], "unknown shell `tcsh`"),
        (&["exec", "two", "words"], "put the whole prompt into quotes"),
        (&["exec"], "no prompt"),
        (&["exec", "  "], "no prompt"),
        (&["exec", "-C", "/nowhere/at/all", "x"], "/nowhere/at/all cannot be used: No such file or directory"),
        (&["exec", "-C", "/etc/hostname", "x"], "/etc/hostname cannot be used: Not a directory"),
        (&["exec", "-s", "wide-open", "x"], "there is no such mode"),
        (&["exec", "-c", "model", "x"], "`key=value` is needed"),
        (&["exec", "resume"], "--last"),
        (&["exec", "resume", "--last"], "there is no tree in this home yet"),
        (&["exec", "resume", "--last", "--all"], "there is no tree in this home yet"),
        (&["exec", "resume", "0123"], "no tree has an id that begins with `0123`"),
        (&["exec", "resume", "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef"], "no rollout for thread 01a1fb6a"),
        (&["ps", "--jsn"], "did you mean `--json`?"),
    ];
    for (args, why) in cases {
        let ran = world.run(args.iter().copied());
        assert_eq!((ran.code, &*ran.out), (2, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
    assert!(world.rollouts().is_empty());
}

#[test]
fn a_wrong_configuration_is_exit_3_and_names_its_place() {
    let world = World::new();
    let config = world.write("user/.config/sapwood/config.toml", "model = 'x'\n\n[agents]\nmax_depth = -1\n");
    let ran = world.run(["exec", "x"]);
    let expected = "config.toml:4: `agents.max_depth` must be a whole number from 0 to 1000, and is -1";
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains(expected), "{}", ran.err);
    std::fs::remove_file(config).unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["-c", "modle=x"], "-c modle=x: unknown configuration key `modle`; did you mean `model`?"),
        (&["-c", "sapwood.skript=x"], "did you mean `sapwood.script`?"),
        (&["-c", "model_provider=openai"], "the provider `openai` needs a key: set CODEX_API_KEY or OPENAI_API_KEY"),
        (&["-c", "model_provider=nowhere"], "nowhere"),
        (&["-c", "model_provider=scripted"], "set sapwood.script to its file"),
        (&["-c", "model_provider=scripted", "-c", "sapwood.script=/no/script"], "/no/script"),
    ];
    for (args, why) in cases {
        let ran = world.run(["exec"].into_iter().chain(args.iter().copied()).chain(["x"]));
        assert_eq!((ran.code, &*ran.out), (3, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
}

#[test]
fn with_json_a_failure_still_ends_with_the_terminal_record() {
    let world = World::new();
    for (args, code, outcome) in [
        (&["exec", "--json", "--lsat", "x"][..], 2, "usage"),
        (&["exec", "--lsat", "--experimental-json"], 2, "usage"),
        (&["exec", "--image", "a.png", "--json", "x"], 2, "usage"),
        (&["exec", "--json", "-c", "modle=1", "x"], 3, "configuration"),
    ] {
        let ran = world.run(args.iter().copied());
        let events = ran.events();
        assert_eq!((ran.code, events.len()), (code, 2), "{ran:?}");
        assert_eq!(events[0]["type"], "error");
        let ended = &events[1];
        assert_eq!((&ended["type"], &ended["exit_code"]), (&json!("sapwood.ended"), &json!(code)));
        assert_eq!((&ended["outcome"], &ended["thread_id"]), (&json!(outcome), &json!(null)));
    }
}

#[test]
fn an_unknown_key_is_a_warning_with_its_line_and_the_run_goes_on() {
    let world = World::new();
    world.write("user/.config/sapwood/config.toml", "approval_policy = 'never'\nmodle = 'x'\n");
    let ran = world.exec(&world.script("s", json!([{"reply": [{"text": "done"}]}])), &["go"]);
    assert_eq!((ran.code, &*ran.out), (0, "done\n"), "{}", ran.err);
    let warning = "sapwood/config.toml:2: unknown configuration key `modle`; did you mean `model`?";
    assert!(ran.err.contains(warning), "{}", ran.err);
    assert!(!ran.err.contains("approval_policy") && !ran.err.contains("tui"), "{}", ran.err);
}

#[test]
fn the_prompt_may_come_from_stdin() {
    let world = World::new();
    let script = world.script("s", json!([{"on": {"text_contains": "from a pipe"}, "reply": [{"text": "heard"}]}]));
    for dash in [&["-"][..], &[]] {
        let args = ["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(dash.iter().copied());
        let ran = with_stdin(world.sapwood(args), b"from a pipe\n");
        assert_eq!((ran.code, &*ran.out), (0, "heard\n"), "{}", ran.err);
    }
    let ran = with_stdin(world.sapwood(["exec", "-"]), b"bad \xff");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no valid UTF-8 (at byte 4)"), "{}", ran.err);
    let ran = with_stdin(world.sapwood(["exec"]), b" \n");
    assert_eq!(ran.code, 2, "{}", ran.err);
}
