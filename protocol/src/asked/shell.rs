//! Commands as one line of text.

/// The words of a command as a shell would read them.
pub fn joined(command: &[String]) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// One word as a shell would read it: bare if it is harmless, else in the quotes that need no escape where there are any.
pub fn quoted(word: &str) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"+-./:@]_".contains(&byte);
    if !word.is_empty() && word.bytes().all(harmless) {
        return word.to_owned();
    }
    if !word.contains('\'') {
        return format!("'{word}'");
    }
    let mut text = String::from('"');
    for char in word.chars() {
        if matches!(char, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_it_matters() {
        let table = [
            (&["/bin/bash", "-lc", "ls"][..], "/bin/bash -lc ls"),
            (&["/bin/bash", "-lc", "touch a.txt"], "/bin/bash -lc 'touch a.txt'"),
            (&["sed", "-n", "1,20p", "a.txt"], "sed -n '1,20p' a.txt"),
            (&["echo", ""], "echo ''"),
            (&["echo", "it's $HOME"], r#"echo "it's \$HOME""#),
        ];
        for (command, text) in table {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(joined(&command), text);
        }
    }
}
