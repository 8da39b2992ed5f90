//! Commands that only read, and commands that destroy.

use super::words::Script;

/// Commands that read and write nothing, whatever their arguments are.
const READERS: [&str; 24] = [
    "cat", "cd", "cut", "echo", "expr", "false", "grep", "head", "id", "ls", "nl", "paste", "pwd", "rev", "seq",
    "stat", "tail", "tr", "true", "uname", "wc", "which", "whoami", "egrep",
];

/// Options of `find` that run something or write.
const FIND_ACTS: [&str; 9] =
    ["-exec", "-execdir", "-ok", "-okdir", "-delete", "-fls", "-fprint", "-fprint0", "-fprintf"];

/// Beginnings of options of `rg` that run another program.
const RG_RUNS: [&str; 3] = ["--pre", "--hostname-bin", "--search-zip"];

/// Subcommands of `git` that only read.
const GIT_READS: [&str; 4] = ["diff", "log", "show", "status"];

/// Beginnings of options of `git` that write, or run a program that the repository names.
const GIT_ACTS: [&str; 5] = ["--output", "--ext-diff", "--textconv", "--exec", "--paginate"];

/// Options with which `git branch` only lists.
const BRANCH_LISTS: [&str; 8] = ["--list", "-l", "-a", "--all", "-r", "--remotes", "-v", "--show-current"];

/// True if every command of the script is known to only read. In doubt it is not.
pub fn only_reads(script: &Script) -> bool {
    !script.expands && script.commands.iter().all(|command| reads(&command.words))
}

/// True if the command is known to only read.
pub fn reads(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [name, ..] if READERS.contains(name) => true,
        ["find", rest @ ..] => !rest.iter().any(|word| FIND_ACTS.contains(word)),
        ["rg", rest @ ..] => !rest.iter().any(|word| short_flag(word, 'z') || begins(word, &RG_RUNS)),
        ["git", "branch", rest @ ..] => rest.iter().all(|word| BRANCH_LISTS.contains(word)),
        ["git", name, rest @ ..] => GIT_READS.contains(name) && !rest.iter().any(|word| begins(word, &GIT_ACTS)),
        ["sed", "-n", range, file] => is_range(range) && !file.starts_with('-'),
        ["sed", "-n", range] => is_range(range),
        _ => false,
    }
}

/// Names what the script would destroy for good without asking, if it is seen to do so.
pub fn destroys(script: &Script) -> Option<&'static str> {
    script.commands.iter().any(|command| forces(&command.words)).then_some("rm -f")
}

fn forces(words: &[String]) -> bool {
    match words {
        [name, rest @ ..] if name == "sudo" || name == "command" || name == "env" => forces(rest),
        [name, rest @ ..] if name == "rm" || name.ends_with("/rm") => {
            rest.iter().take_while(|word| *word != "--").any(|word| word == "--force" || short_flag(word, 'f'))
        }
        _ => false,
    }
}

/// True for `-xyz` with the flag among its letters.
fn short_flag(word: &str, flag: char) -> bool {
    word.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains(flag))
}

fn begins(word: &str, options: &[&str]) -> bool {
    options.iter().any(|option| word.starts_with(option))
}

/// True for `12p` and `1,20p`: the lines of a file that `sed -n` prints.
pub fn is_range(text: &str) -> bool {
    let Some(lines) = text.strip_suffix('p') else {
        return false;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match lines.split_once(',') {
        Some((from, to)) => number(from) && number(to),
        None => number(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;

    #[test]
    fn what_only_reads() {
        for script in [
            "ls -la && cat x; git status | head -3",
            "find . -name '*.rs'",
            "rg -n foo src",
            "git log --oneline",
            "git branch -a",
            "sed -n 1,20p a.txt",
            "cat a | sed -n 3p",
        ] {
            assert!(only_reads(&split(script).unwrap()), "{script}");
        }
    }

    #[test]
    fn what_may_write_or_is_not_known() {
        for script in [
            "touch a",
            "ls && touch a",
            "ls *.rs",
            "find . -delete",
            "find . -exec rm x ';'",
            "rg --pre=sh x",
            "rg -zn x",
            "git commit",
            "git -c x=y status",
            "git diff --output=x",
            "git branch new",
            "git log --ext-diff",
            "sed -n 1,20w a.txt",
            "sed -i s/a/b/ x",
            "sed -n 1p -i",
            "sort -o x y",
            "/tmp/ls",
            "python x.py",
        ] {
            assert!(!only_reads(&split(script).unwrap()), "{script}");
        }
    }

    #[test]
    fn what_destroys() {
        for script in ["rm -rf zz", "ls; rm -f x", "sudo rm --force x", "/bin/rm -fr x", "env rm -f x"] {
            assert_eq!(destroys(&split(script).unwrap()), Some("rm -f"), "{script}");
        }
        for script in ["rm x", "rm -r x", "rm -- -f", "ls -f", "echo rm -f"] {
            assert_eq!(destroys(&split(script).unwrap()), None, "{script}");
        }
    }
}
