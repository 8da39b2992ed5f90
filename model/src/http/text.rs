//! Texts of others, made fit to be shown: one line, bounded, without control characters.

/// Characters of somebody else's text in an error of ours.
const EXCERPT_CHARS: usize = 400;

/// A text in one line: runs of white space become one space, control characters are escaped, and what is too long
/// ends with `…`.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for c in word.chars() {
            if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
        }
    }
    match out.char_indices().nth(EXCERPT_CHARS) {
        Some((at, _)) => format!("{}…", &out[..at]),
        None => out,
    }
}

/// Control characters, and those that turn the direction of a line.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The title of an HTML page; `None` for what is no HTML.
pub(crate) fn html_title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let start = lower.trim_start_matches('\u{feff}').trim_start();
    if !["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| start.starts_with(tag)) {
        return None;
    }
    let title = || {
        let open = lower.find("<title")?;
        let begin = open + lower[open..].find('>')? + 1;
        let end = begin + lower[begin..].find("</title")?;
        Some(text[begin..end].trim()).filter(|title| !title.is_empty())
    };
    Some(title().map_or_else(|| "an HTML page".to_owned(), |title| format!("an HTML page, \"{title}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(one_line("  a\r\n\tb\u{1b}[31mc\u{202e} "), "a b\\u{1b}[31mc\\u{202e}");
        assert_eq!(one_line(&"ä".repeat(400)).chars().count(), 400);
        assert_eq!(one_line(&"ä".repeat(401)), format!("{}…", "ä".repeat(400)));
    }

    #[test]
    fn titles() {
        let title = |text: &str| html_title(text);
        assert_eq!(
            title("<!DOCTYPE html><TITLE lang=x> Bad\nGateway </title>").unwrap(),
            "an HTML page, \"Bad\nGateway\""
        );
        assert_eq!(title("\n<html><body>x").unwrap(), "an HTML page");
        assert_eq!(title("<html><title>").unwrap(), "an HTML page");
        assert_eq!(title("{\"a\":\"<html>\"}"), None);
        assert_eq!(title("İ<html>"), None);
    }
}
