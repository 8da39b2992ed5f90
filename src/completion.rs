//! `completion`: what a shell needs to complete our command line, made from the tables that the parser reads by.

use std::fmt::Write;

use crate::cli::{Shape, Shell, Takes, VERBS, Verb, shapes};

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let tree: Vec<Branch> = VERBS.iter().copied().map(Branch::of).collect();
    match shell {
        Shell::Bash => bash(&tree),
        Shell::Zsh => zsh(&tree),
        Shell::Fish => fish(&tree),
    }
}

/// A verb with all that may follow it.
struct Branch {
    verb: Verb,
    flags: Vec<Shape>,
    words: Vec<&'static str>,
}

const HELP: Shape =
    Shape { long: "help", also: &[], short: Some('h'), takes: Takes::Nothing, about: "Prints the help" };

impl Branch {
    fn of(verb: Verb) -> Self {
        let mut flags = shapes(verb);
        flags.retain(|flag| !flag.about.is_empty());
        if !verb.is_plain() {
            flags.push(HELP);
        }
        Self { verb, flags, words: verb.words() }
    }
}

/// The names of a flag, with their dashes.
fn names(flag: &Shape) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([format!("--{}", flag.long)]).collect()
}

/// Writes a line; a String cannot refuse one.
macro_rules! line {
    ($out:expr, $($text:tt)*) => { let _ = writeln!($out, $($text)*); };
}

fn bash(tree: &[Branch]) -> String {
    let mut out = String::from("# bash completion of sapwood\n_sapwood() {\n");
    line!(out, "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}");
    line!(out, "  COMPREPLY=()");
    line!(out, "  if ((COMP_CWORD == 1)); then");
    let verbs: Vec<&str> = tree.iter().map(|branch| branch.verb.name()).collect();
    line!(out, "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$cur\"))", verbs.join(" "));
    line!(out, "    return\n  fi\n  case ${{COMP_WORDS[1]}} in");
    for branch in tree {
        line!(out, "  {})", branch.verb.name());
        line!(out, "    case $prev in");
        for flag in branch.flags.iter().filter(|flag| flag.takes != Takes::Nothing) {
            let values = match flag.takes {
                Takes::File => "COMPREPLY=($(compgen -f -- \"$cur\"))".to_owned(),
                Takes::Dir => "COMPREPLY=($(compgen -d -- \"$cur\"))".to_owned(),
                Takes::Word(_, words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" ")),
                Takes::Text(_) | Takes::Nothing => ":".to_owned(),
            };
            line!(out, "    {}) {values}; return ;;", names(flag).join("|"));
        }
        line!(out, "    esac");
        let flags: Vec<String> = branch.flags.iter().map(|flag| format!("--{}", flag.long)).collect();
        line!(out, "    if [[ $cur == -* ]]; then");
        line!(out, "      COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", flags.join(" "));
        line!(out, "    else");
        line!(out, "      COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", branch.words.join(" "));
        line!(out, "    fi ;;");
    }
    out.push_str("  esac\n}\ncomplete -o bashdefault -F _sapwood sapwood\n");
    out
}

fn zsh(tree: &[Branch]) -> String {
    let mut out = String::from("#compdef sapwood\n_sapwood() {\n  if ((CURRENT == 2)); then\n    local -a verbs=(\n");
    for branch in tree {
        line!(out, "      {}", single(&format!("{}:{}", branch.verb.name(), branch.verb.about().replace(':', "\\:"))));
    }
    out.push_str("    )\n    _describe command verbs\n    return\n  fi\n  case $words[2] in\n");
    for branch in tree {
        line!(out, "  {})\n    _arguments -s -S '1: :' \\", branch.verb.name());
        for flag in &branch.flags {
            let about = first(flag).replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
            let value = match flag.takes {
                Takes::Nothing => String::new(),
                Takes::File => ":file:_files".to_owned(),
                Takes::Dir => ":directory:_files -/".to_owned(),
                Takes::Text(name) => format!(":{name}: "),
                Takes::Word(name, words) => format!(":{name}:({})", words.join(" ")),
            };
            for name in names(flag) {
                line!(out, "      {} \\", single(&format!("*{name}[{about}]{value}")));
            }
        }
        let words = branch.words.join(" ");
        line!(out, "      {} ;;", single(&format!("*:argument:({words})")));
    }
    out.push_str("  esac\n}\n");
    // Read from a folder of `fpath` the file is the function; sourced, it says whose completion it is.
    out.push_str("if [[ $funcstack[1] == _sapwood ]]; then\n  _sapwood \"$@\"\nelse\n  compdef _sapwood sapwood\nfi\n");
    out
}

fn fish(tree: &[Branch]) -> String {
    let mut out = String::from("# fish completion of sapwood\ncomplete -c sapwood -f\n");
    for branch in tree {
        let (name, about) = (branch.verb.name(), single(branch.verb.about()));
        line!(out, "complete -c sapwood -n __fish_use_subcommand -a {name} -d {about}");
    }
    for branch in tree {
        let seen = format!("complete -c sapwood -n '__fish_seen_subcommand_from {}'", branch.verb.name());
        if !branch.words.is_empty() {
            line!(out, "{seen} -a {}", single(&branch.words.join(" ")));
        }
        for flag in &branch.flags {
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let value = match flag.takes {
                Takes::Nothing => String::new(),
                Takes::File => " -r -F".to_owned(),
                Takes::Dir => " -x -a '(__fish_complete_directories)'".to_owned(),
                Takes::Text(_) => " -x".to_owned(),
                Takes::Word(_, words) => format!(" -x -a {}", single(&words.join(" "))),
            };
            line!(out, "{seen}{short} -l {}{value} -d {}", flag.long, single(first(flag)));
        }
    }
    out
}

/// What a flag is for, in one line.
fn first(flag: &Shape) -> &'static str {
    flag.about.lines().next().unwrap_or_default()
}

/// One word for each of the three shells, whatever is in it.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
