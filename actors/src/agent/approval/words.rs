//! Scripts that are nothing but commands of plain words: all that can be judged without running a shell.

/// A script of plain commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its commands, in order; each has at least one word.
    pub commands: Vec<Command>,
    /// A word has a pattern or a tilde: the shell puts other words in its place.
    pub expands: bool,
}

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its words, without quotes.
    pub words: Vec<String>,
    /// It reads what the one before it writes.
    pub piped: bool,
}

/// Longer scripts are not looked at, in bytes: what is that long is a program and no command.
const SCRIPT_BYTES: usize = 16 * 1024;

/// What the shell does something with that is not looked into here: variables, substitutions, redirections, groups,
/// background, history, comments, escapes.
const SPECIAL: &[char] = &['$', '`', '(', ')', '{', '}', '<', '>', '!', '#', '\\', '\r', '\0'];

/// What the shell replaces by names of files.
const PATTERNS: &[char] = &['*', '?', '[', ']', '~'];

/// Words that are part of the shell's grammar where a command begins.
const KEYWORDS: [&str; 14] =
    ["if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "time"];

/// Splits a script into its commands: `None` if it is anything but plain words joined by `&&`, `||`, `;`, `|` and line
/// breaks.
pub fn split(script: &str) -> Option<Script> {
    if script.len() > SCRIPT_BYTES {
        return None;
    }
    let mut split = Split::default();
    let mut chars = script.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => split.end_word(),
            '\'' => loop {
                match chars.next()? {
                    '\'' => break split.quote(""),
                    char => split.push(char),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break split.quote(""),
                    '$' | '`' | '\\' | '!' => return None,
                    char => split.push(char),
                }
            },
            '\n' => split.end_line()?,
            ';' if chars.peek() == Some(&';') => return None,
            ';' => split.end_command(false, false)?,
            '&' if chars.next_if_eq(&'&').is_some() => split.end_command(false, true)?,
            '&' => return None,
            '|' if chars.next_if_eq(&'|').is_some() => split.end_command(false, true)?,
            '|' if chars.peek() == Some(&'&') => return None,
            '|' => split.end_command(true, true)?,
            char if SPECIAL.contains(&char) => return None,
            char => {
                split.expands |= PATTERNS.contains(&char);
                split.push(char);
            }
        }
    }
    split.finish()
}

#[derive(Default)]
struct Split {
    commands: Vec<Command>,
    words: Vec<String>,
    word: Option<String>,
    /// The next command reads what the last one writes.
    piped: bool,
    /// Another command has to follow.
    joined: bool,
    expands: bool,
}

impl Split {
    fn push(&mut self, char: char) {
        self.word.get_or_insert_default().push(char);
    }

    /// Quotes make a word, also around nothing.
    fn quote(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_line(&mut self) -> Option<()> {
        self.end_word();
        if self.words.is_empty() {
            return Some(());
        }
        self.end_command(false, false)
    }

    fn end_command(&mut self, pipes: bool, joins: bool) -> Option<()> {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        let first = words.first()?;
        // `NAME=value` sets a variable, for the command or for all that follow.
        if first.is_empty() || first.contains('=') || KEYWORDS.contains(&first.as_str()) {
            return None;
        }
        self.commands.push(Command { words, piped: self.piped });
        (self.piped, self.joined) = (pipes, joins);
        Some(())
    }

    fn finish(mut self) -> Option<Script> {
        self.end_word();
        if !self.words.is_empty() {
            self.end_command(false, false)?;
        }
        (!self.joined && !self.commands.is_empty()).then_some(Script { commands: self.commands, expands: self.expands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Option<Vec<Vec<String>>> {
        Some(split(script)?.commands.into_iter().map(|command| command.words).collect())
    }

    #[test]
    fn plain_scripts_are_their_commands() {
        let table: [(&str, &[&[&str]]); 8] = [
            ("ls", &[&["ls"]]),
            ("  ls   -la  ", &[&["ls", "-la"]]),
            ("cat a && grep 'x y' b || true; pwd", &[&["cat", "a"], &["grep", "x y", "b"], &["true"], &["pwd"]]),
            ("cat a | head -5", &[&["cat", "a"], &["head", "-5"]]),
            ("echo \"a b\"'c'd ''", &[&["echo", "a bcd", ""]]),
            ("ls\n\n  pwd\n", &[&["ls"], &["pwd"]]),
            ("ls;", &[&["ls"]]),
            ("cat a &&\n cat b", &[&["cat", "a"], &["cat", "b"]]),
        ];
        for (script, commands) in table {
            let commands: Vec<Vec<String>> =
                commands.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect();
            assert_eq!(words(script), Some(commands), "{script}");
        }
        let piped: Vec<bool> = split("a | b; c").unwrap().commands.iter().map(|command| command.piped).collect();
        assert_eq!(piped, [false, true, false]);
    }

    #[test]
    fn what_a_shell_would_have_to_work_out_is_no_plain_script() {
        for script in [
            "",
            " ",
            ";",
            "ls > out",
            "ls 2>&1",
            "cat <<'EOF'\nx\nEOF",
            "echo $HOME",
            "echo \"$(id)\"",
            "echo `id`",
            "(ls)",
            "{ ls; }",
            "ls &",
            "FOO=1 ls",
            "ls &&",
            "ls |",
            "| ls",
            "ls ; ; ls",
            "ls && ; ls",
            "echo 'a",
            "a \\\n b",
            "if true; then ls; fi",
            "for x in a; do ls; done",
            "ls # x",
            "echo \"!\"",
            "a |& b",
            "'' x",
            "a ;; b",
            "time rm x",
        ] {
            assert_eq!(split(script), None, "{script:?}");
        }
        assert_eq!(split(&format!("echo {}", "x".repeat(SCRIPT_BYTES))), None);
    }

    #[test]
    fn patterns_are_seen_outside_of_quotes_only() {
        for (script, expands) in [("ls *.rs", true), ("ls '*.rs'", false), ("ls ~", true), ("ls a", false)] {
            assert_eq!(split(script).unwrap().expands, expands, "{script}");
        }
    }
}
