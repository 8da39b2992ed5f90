use super::*;

fn of(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(OsString::from)).0.map_err(|failure| failure.message)
}

fn exec(args: ExecArgs) -> Result<Command, String> {
    Ok(Command::Exec(Box::new(args)))
}

#[test]
fn what_codexs_own_clients_pass_is_understood_whatever_its_order() {
    let expected = ExecArgs {
        resume: Some(Wanted::Id("01a1".into())),
        json: true,
        model: Some("m".into()),
        overrides: vec!["a=1".into(), "b=\"2\"".into()],
        sandbox: Some("read-only".into()),
        cd: Some("/x".into()),
        thread_source: Some("review_bot".into()),
        add_dirs: vec!["/y".into(), "/z".into()],
        output_schema: Some("/s".into()),
        images: vec!["/i".into()],
        notes: vec!["note: --cyber-access-program standard has no effect: no access program is requested".into()],
        ..ExecArgs::default()
    };
    for line in [
        "exec --experimental-json --config a=1 --model m --thread-source review_bot --sandbox read-only --cd /x \
         --add-dir /y --add-dir /z --skip-git-repo-check --output-schema /s --cyber-access-program standard \
         --config b=\"2\" resume 01a1 --image /i",
        "e resume 01a1 --config a=1 -c b=\"2\" -m m --thread-source=review_bot -s read-only -C /x --add-dir /y \
         --add-dir=/z -i /i --output-schema /s --cyber-access-program standard --json",
        "exec resume --json -ca=1 -c=b=\"2\" -mm --thread-source review_bot -sread-only 01a1 -C/x --add-dir /y \
         --add-dir /z -i/i --output-schema /s --cyber-access-program standard",
    ] {
        assert_eq!(of(line), exec(expected.clone()), "{line}");
    }
}

#[test]
fn prompts_and_trees() {
    let prompt = |text: &str| Some(Prompt::Text(text.into()));
    assert_eq!(of("exec hello"), exec(ExecArgs { prompt: prompt("hello"), ..ExecArgs::default() }));
    assert_eq!(of("exec -"), exec(ExecArgs { prompt: Some(Prompt::Stdin), ..ExecArgs::default() }));
    assert_eq!(of("exec -- --json"), exec(ExecArgs { prompt: prompt("--json"), ..ExecArgs::default() }));
    let last = ExecArgs { resume: Some(Wanted::Last), prompt: prompt("more"), ..ExecArgs::default() };
    assert_eq!(of("exec resume --last more"), exec(last.clone()));
    let of_all = ExecArgs { resume: Some(Wanted::LastOfAll), ..last };
    assert_eq!(of("exec resume more --all --last"), exec(of_all));
    assert!(of("exec resume").unwrap_err().contains("--last"));
    assert!(of("exec resume --all").unwrap_err().contains("--all needs --last"));
    assert!(of("exec --last").unwrap_err().contains("exec resume"));
    assert!(of("exec two words").unwrap_err().contains("quotes"));
    assert!(of("exec review").unwrap_err().contains("write it to stdin"));
}

#[test]
fn a_slip_is_told_what_was_meant() {
    assert_eq!(of("exec --jsn x"), Err("unknown option `--jsn`; did you mean `--json`?".into()));
    assert_eq!(of("exce x"), Err("unknown command `exce`; did you mean `exec`?".into()));
    assert_eq!(of("config chekc"), Err("unknown action of `config` `chekc`; did you mean `check`?".into()));
    assert_eq!(of("completion fisch"), Err("unknown shell `fisch`; did you mean `fish`?".into()));
    assert_eq!(of("exec --color nevr x"), Err("--color nevr: there is no such value; did you mean `never`?".into()));
    assert!(of("exec -Z").unwrap_err().starts_with("unknown option `-Z`"));
    assert!(of("").unwrap_err().starts_with("no command given"));
}

#[test]
fn failures_are_told_as_events_wherever_the_flag_stands() {
    for (line, json) in [
        ("exec --jsn --json x", true),
        ("exec --experimental-json --worktree", true),
        ("exec --worktree", false),
        ("exec --worktree -- --json", false),
        ("ps --jsn --json", false),
    ] {
        let (command, told) = parse(line.split_whitespace().map(OsString::from));
        assert!(command.is_err(), "{line}");
        assert_eq!(told, json, "{line}");
    }
}

/// A value that does, for a flag that takes one.
fn some_value(shape: &Shape) -> &'static str {
    match (shape.long, shape.takes) {
        (_, Takes::Word(_, words)) => words[0],
        _ => "x",
    }
}

#[test]
fn every_flag_of_every_table_is_read_by_each_of_its_names() {
    for verb in VERBS.iter().filter(|verb| !verb.is_plain()) {
        let mut seen = Vec::new();
        for shape in shapes(*verb) {
            let long = [shape.long].into_iter().chain(shape.also.iter().copied()).map(|name| format!("--{name}"));
            for name in long.chain(shape.short.map(|short| format!("-{short}"))) {
                assert!(!seen.contains(&name), "{} {name} is there twice", verb.name());
                let value = (shape.takes != Takes::Nothing).then(|| some_value(&shape));
                let words = [verb.name(), &*name].into_iter().chain(value).map(OsString::from);
                let first = verb.words().first().copied().filter(|_| *verb == Verb::Config).map(OsString::from);
                let (read, _) = parse(words.chain(first));
                if let Err(failure) = read {
                    // Refused with a reason, or for what is missing beside it; never for not being known.
                    assert!(!failure.message.contains("unknown"), "{name}: {failure}");
                    assert!(!failure.message.contains("unexpected"), "{name}: {failure}");
                }
                seen.push(name);
            }
        }
    }
}

#[test]
fn what_cannot_work_yet_is_refused_with_a_reason_and_the_rest_is_accepted() {
    let refused = ["approve-for-me", "ephemeral", "worktree", "ignore-user-config", "strict-config", "oss"];
    for name in refused {
        let message = of(&format!("exec --{name} x")).unwrap_err();
        assert!(message.starts_with(&format!("--{name} ")) && message.len() > 50, "{message}");
    }
    for (flags, notes) in [
        ("--skip-git-repo-check --ignore-rules --dangerously-bypass-hook-trust -a never", 0),
        ("--trust", 1),
        ("-a on-request", 1),
    ] {
        match of(&format!("exec {flags} x")) {
            Ok(Command::Exec(args)) => assert_eq!(args.notes.len(), notes, "{flags}"),
            other => panic!("{flags}: {other:?}"),
        }
    }
}

#[test]
fn values_that_do_not_do() {
    for line in [
        "exec --thread-source ä x",
        "exec --enable a.b x",
        "exec --disable = x",
        "exec -a sometimes x",
        "exec -s read-only --yolo x",
        "exec --json=yes x",
        "exec -m",
    ] {
        assert!(of(line).is_err(), "{line}");
    }
    let twice = ExecArgs {
        sandbox: Some("danger-full-access".into()),
        overrides: vec!["features.a=true".into(), "features.b_c=false".into()],
        prompt: Some(Prompt::Text("x".into())),
        ..ExecArgs::default()
    };
    assert_eq!(of("exec -s danger-full-access --yolo --enable a --disable b_c x"), exec(twice));
}

#[test]
fn the_other_verbs() {
    let get = ConfigArgs {
        action: ConfigAction::Get(Some("model".into())),
        profile: Some("p".into()),
        cd: Some("/x".into()),
        overrides: vec!["a=1".into()],
        json: true,
        home: Some("/h".into()),
    };
    assert_eq!(of("config get -p p -C /x -c a=1 --json model --home /h"), Ok(Command::Config(get)));
    let action = |action| Ok(Command::Config(ConfigArgs { action, ..ConfigArgs::default() }));
    assert_eq!(of("config path"), action(ConfigAction::Path));
    assert_eq!(of("config get"), action(ConfigAction::Get(None)));
    assert_eq!(of("config check"), action(ConfigAction::Check));
    for line in ["config", "config path more", "config get a b", "completion", "completion bash zsh", "ps x"] {
        assert!(of(line).is_err(), "{line}");
    }
    assert_eq!(of("completion zsh"), Ok(Command::Completion(Shell::Zsh)));
    let models = ModelsArgs { refresh: true, ..ModelsArgs::default() };
    assert_eq!(of("models --refresh"), Ok(Command::Models(models)));
    let doctor = DoctorArgs { json: true, profile: Some("p".into()), ..DoctorArgs::default() };
    assert_eq!(of("doctor --json -p p"), Ok(Command::Doctor(doctor)));
    for (line, verb) in
        [("help", None), ("help version", None), ("help exec", Some(Verb::Exec)), ("ps -h", Some(Verb::Ps))]
    {
        assert_eq!(of(line), Ok(Command::Help(verb)), "{line}");
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let (yes, none, dumb) = (Some("1".as_ref()), None, Some("dumb".as_ref()));
    for (color, is_terminal, no_color, term, on) in [
        (Color::Auto, true, none, Some("xterm".as_ref()), true),
        (Color::Auto, true, Some("".as_ref()), none, true),
        (Color::Auto, true, yes, none, false),
        (Color::Auto, true, none, dumb, false),
        (Color::Auto, false, none, none, false),
        (Color::Always, false, yes, dumb, true),
        (Color::Never, true, none, none, false),
    ] {
        assert_eq!(color.is_on(is_terminal, no_color, term), on, "{color:?} {is_terminal} {no_color:?} {term:?}");
    }
}

/// True for a flag that is refused whatever follows it.
fn is_refused(shape: &Shape) -> bool {
    of(&format!("exec --{} {}", shape.long, some_value(shape)))
        .is_err_and(|message| message.starts_with(&format!("--{} ", shape.long)))
}

#[test]
fn what_is_no_text_is_refused_only_where_a_text_is_needed() {
    use std::os::unix::ffi::OsStringExt;
    let broken = || OsString::from_vec(b"a\xffb".to_vec());
    let with = |flag: &str| parse([OsString::from("exec"), flag.into(), broken()]).0;
    for shape in shapes(Verb::Exec).into_iter().filter(|shape| shape.takes != Takes::Nothing) {
        let refused = match with(&format!("--{}", shape.long)) {
            Ok(Command::Exec(_)) => false,
            Ok(other) => panic!("{other:?}"),
            Err(failure) => failure.message.contains("UTF-8"),
        };
        let is_text = !matches!(shape.takes, Takes::File | Takes::Dir) && !is_refused(&shape);
        assert!(refused == is_text, "--{}", shape.long);
    }
    assert!(parse(["exec".into(), broken()]).0.unwrap_err().message.contains("the prompt is no valid UTF-8"));
    assert!(parse([broken()]).0.unwrap_err().message.contains("the command is no valid UTF-8"));
}
