//! What a script does, for a person who decides on it: a glance, and no proof.

use sapwood_protocol::approval::paths::absolute;
use sapwood_protocol::asked::Action;
use sapwood_protocol::asked::shell::joined;

use super::safety::is_range;
use super::words::{self, Command};

/// Options of `rg`, `grep` and their like that have a value behind them.
const SEARCH_VALUES: [&str; 14] = [
    "-A",
    "-B",
    "-C",
    "-m",
    "-g",
    "-t",
    "-T",
    "-d",
    "-j",
    "--glob",
    "--type",
    "--type-not",
    "--max-count",
    "--max-depth",
];

/// Options of `head` and `tail` that have a value behind them.
const COUNT_VALUES: [&str; 4] = ["-n", "-c", "--lines", "--bytes"];

/// Options of `ls` and `tree` that have a value behind them.
const LIST_VALUES: [&str; 4] = ["-I", "-w", "-L", "-P"];

/// What only shapes the output of the command before it.
const SHAPERS: [&str; 12] = ["head", "tail", "wc", "sort", "uniq", "cut", "tr", "column", "nl", "less", "more", "cat"];

/// What only says something.
const SAYERS: [&str; 4] = ["echo", "printf", "true", "cd"];

/// The parts of a script. One part that is not understood makes all of it one unknown thing.
pub fn of_script(script: &str) -> Vec<Action> {
    of_plain(script).unwrap_or_else(|| vec![Action::Unknown { cmd: script.to_owned() }])
}

fn of_plain(script: &str) -> Option<Vec<Action>> {
    let commands = words::split(script)?.commands;
    let mut dir: Option<String> = None;
    let mut actions = Vec::new();
    for command in &commands {
        let name = command.words[0].as_str();
        if name == "cd" {
            dir = Some(match (dir, command.words.get(1)) {
                (Some(dir), Some(to)) if !to.starts_with('/') => format!("{dir}/{to}"),
                (_, to) => to?.clone(),
            });
        }
        if SAYERS.contains(&name) || command.piped && shapes(command) {
            continue;
        }
        actions.push(of_command(&command.words, dir.as_deref())?);
    }
    (!actions.is_empty()).then_some(actions)
}

/// True if it reads nothing but what is piped into it.
fn shapes(command: &Command) -> bool {
    let name = command.words[0].as_str();
    let values: &[&str] = if matches!(name, "head" | "tail") { &COUNT_VALUES } else { &[] };
    let reads_no_file = match name {
        "sed" => return matches!(command.words.as_slice(), [_, flag, range] if flag == "-n" && is_range(range)),
        "cut" | "tr" | "sort" | "column" => true,
        _ => operands(&command.words[1..], values).is_empty(),
    };
    SHAPERS.contains(&name) && reads_no_file
}

fn of_command(words: &[String], dir: Option<&str>) -> Option<Action> {
    let cmd = joined(words);
    let text: Vec<&str> = words.iter().map(String::as_str).collect();
    let listing =
        |path: Option<&&str>| Action::ListFiles { cmd: cmd.clone(), path: path.map(|path| (*path).to_owned()) };
    let search = |found: &[&str]| Action::Search {
        cmd: cmd.clone(),
        query: found.first().map(|query| (*query).to_owned()),
        path: found.get(1).map(|path| (*path).to_owned()),
    };
    match text.as_slice() {
        ["ls" | "tree" | "eza" | "exa", rest @ ..] => Some(listing(operands(rest, &LIST_VALUES).first())),
        ["rg", rest @ ..] if rest.contains(&"--files") => Some(listing(operands(rest, &SEARCH_VALUES).first())),
        ["git", "ls-files", rest @ ..] => Some(listing(operands(rest, &[]).first())),
        ["rg" | "grep" | "egrep" | "fgrep" | "ag", rest @ ..] | ["git", "grep", rest @ ..] => {
            let found = operands(rest, &SEARCH_VALUES);
            match rest.iter().position(|word| *word == "-e") {
                Some(at) => {
                    let query = rest.get(at + 1)?;
                    let path = found.iter().find(|word| *word != query);
                    Some(search(&std::iter::once(*query).chain(path.copied()).collect::<Vec<_>>()))
                }
                None => Some(search(&found)),
            }
        }
        ["fd" | "fdfind", rest @ ..] => Some(search(&operands(rest, &["-e", "-t", "-d", "-E"]))),
        ["find", rest @ ..] => {
            let path = rest.first().filter(|word| !word.starts_with('-'));
            let named = rest.iter().position(|word| matches!(*word, "-name" | "-iname" | "-path" | "-regex"));
            match named.and_then(|at| rest.get(at + 1)) {
                Some(query) => Some(search(&std::iter::once(*query).chain(path.copied()).collect::<Vec<_>>())),
                None => Some(listing(path)),
            }
        }
        ["cat" | "nl" | "bat" | "less" | "more", rest @ ..] => one_file(&cmd, &operands(rest, &[]), dir),
        ["head" | "tail", rest @ ..] => one_file(&cmd, &operands(rest, &COUNT_VALUES), dir),
        ["sed", "-n", range, file] if is_range(range) => one_file(&cmd, &[file], dir),
        _ => None,
    }
}

fn one_file(cmd: &str, files: &[&str], dir: Option<&str>) -> Option<Action> {
    let [file] = files else {
        return None;
    };
    let name = file.trim_end_matches('/').rsplit('/').next().unwrap_or(file);
    let path = match dir {
        Some(dir) if dir.starts_with('/') => absolute(dir, file),
        Some(dir) if !file.starts_with('/') => format!("{dir}/{file}"),
        _ => (*file).to_owned(),
    };
    Some(Action::Read { cmd: cmd.to_owned(), name: name.to_owned(), path })
}

/// The words that are neither an option nor the value of one.
fn operands<'a>(words: &'a [impl AsRef<str>], with_value: &[&str]) -> Vec<&'a str> {
    let (mut operands, mut only) = (Vec::new(), false);
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        match word {
            "--" if !only => only = true,
            word if !only && with_value.contains(&word) => {
                words.next();
            }
            word if !only && word.len() > 1 && word.starts_with('-') => {}
            word => operands.push(word),
        }
    }
    operands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(cmd: &str, path: Option<&str>) -> Action {
        Action::ListFiles { cmd: cmd.into(), path: path.map(str::to_owned) }
    }

    fn read(cmd: &str, name: &str, path: &str) -> Action {
        Action::Read { cmd: cmd.into(), name: name.into(), path: path.into() }
    }

    fn search(cmd: &str, query: &str, path: Option<&str>) -> Action {
        Action::Search { cmd: cmd.into(), query: Some(query.into()), path: path.map(str::to_owned) }
    }

    #[test]
    fn actions_are_those_recorded() {
        let table = [
            ("ls -la src", vec![list("ls -la src", Some("src"))]),
            ("cat a.txt", vec![read("cat a.txt", "a.txt", "a.txt")]),
            ("sed -n 1,20p a.txt", vec![read("sed -n '1,20p' a.txt", "a.txt", "a.txt")]),
            ("rg -n foo src", vec![search("rg -n foo src", "foo", Some("src"))]),
            ("grep -r foo .", vec![search("grep -r foo .", "foo", Some("."))]),
            ("find . -name x", vec![search("find . -name x", "x", Some("."))]),
            ("cat a | head -5", vec![read("cat a", "a", "a")]),
            ("cd src && ls", vec![list("ls", None)]),
            ("head -n 5 a.txt", vec![read("head -n 5 a.txt", "a.txt", "a.txt")]),
            ("echo hi; ls", vec![list("ls", None)]),
            ("rg --files", vec![list("rg --files", None)]),
            ("nl -ba a.txt", vec![read("nl -ba a.txt", "a.txt", "a.txt")]),
            ("ls && rg foo", vec![list("ls", None), search("rg foo", "foo", None)]),
            ("tail -n 3 x/y.rs", vec![read("tail -n 3 x/y.rs", "y.rs", "x/y.rs")]),
        ];
        for (script, actions) in table {
            assert_eq!(of_script(script), actions, "{script}");
        }
    }

    #[test]
    fn one_unknown_part_makes_the_script_unknown() {
        for script in [
            "git status",
            "echo w",
            "sleep 1.5; echo ok",
            "echo bad >&2; exit 3",
            "touch a && echo ok",
            "wc -l a.txt",
            "cat a b",
            "pwd",
            "cat <<'EOF'\nx\nEOF",
            "ls > out",
            "ls && cat x; git status | head -3",
            "git diff",
        ] {
            assert_eq!(of_script(script), [Action::Unknown { cmd: script.into() }], "{script}");
        }
    }

    #[test]
    fn a_file_is_seen_from_where_the_script_went() {
        assert_eq!(of_script("cd a && cd b && cat c"), [read("cat c", "c", "a/b/c")]);
        assert_eq!(of_script("cd /x && cat ../c"), [read("cat ../c", "c", "/c")]);
        assert_eq!(of_script("rg -e foo -g '*.rs' src"), [search("rg -e foo -g '*.rs' src", "foo", Some("src"))]);
    }
}
