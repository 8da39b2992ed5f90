//! What must not be seen: keys, and the masking of keys in what came back from a provider.

use std::fmt;

/// Characters of a secret that give it away: a shorter piece of it is let pass in a text.
const PIECE: usize = 8;
/// Secrets shorter than this many bytes are not looked for: they would mask ordinary words.
const SHORTEST: usize = 4;
/// What stands in place of a secret.
const MASK: &str = "***";

/// A key, or the value of a header that may hold one. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself: for the request, and for nothing that is shown, logged or stored.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Masks secrets in a text that somebody else wrote: wholly, in pieces of eight characters and more, and in the
/// abbreviations that providers like to show (`sk-ab***yz`).
#[derive(Clone, Default)]
pub(crate) struct Scrub {
    secrets: Vec<Secret>,
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrub({} secrets)", self.secrets.len())
    }
}

impl Scrub {
    /// Masks these. The scheme before a key (`Bearer `) is no secret, what follows it is.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let bare = |secret: &Secret| {
            let value = secret.0.trim();
            let bare = value.split_once(' ').map_or(value, |(_, rest)| rest.trim());
            Secret::from(if bare.len() < SHORTEST { value } else { bare })
        };
        Self { secrets: secrets.map(bare).filter(|secret| secret.0.len() >= SHORTEST).collect() }
    }

    /// The text without them.
    pub(crate) fn clean(&self, text: &str) -> String {
        let text = mask_pieces(text, &self.secrets);
        self.secrets.iter().fold(text, |text, secret| mask_abbreviated(&text, &secret.0))
    }
}

/// Masks the secrets, and every piece of one that is long enough to be of use.
fn mask_pieces(text: &str, secrets: &[Secret]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        // The longest piece counts: secrets may begin alike.
        match secrets.iter().filter_map(|secret| shared(rest.as_bytes(), secret.0.as_bytes())).max() {
            Some(len) => {
                // Both texts are UTF-8 and equal here, but the piece may end inside a character.
                let end = (len..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
                out.push_str(MASK);
                rest = &rest[end..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// How many bytes at the front of `text` are a piece of the secret, if they are enough to be one.
fn shared(text: &[u8], secret: &[u8]) -> Option<usize> {
    let least = PIECE.min(secret.len());
    let head = text.get(..least)?;
    let starts = secret.windows(least).enumerate().filter(|(_, piece)| *piece == head).map(|(at, _)| at);
    starts.map(|at| text.iter().zip(&secret[at..]).take_while(|(a, b)| a == b).count()).max()
}

/// Masks words such as `sk-ab***yz` and `sk-ab...yz` whose visible ends are those of the secret.
fn mask_abbreviated(text: &str, secret: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "*.…-_+/=".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = &rest[..rest.find(|c| !in_word(c)).unwrap_or(rest.len())];
        let gap = rest[word.len()..].chars().next().map_or(0, char::len_utf8);
        out.push_str(if abbreviates(word, secret) { MASK } else { word });
        out.push_str(&rest[word.len()..word.len() + gap]);
        rest = &rest[word.len() + gap..];
    }
    out
}

fn abbreviates(word: &str, secret: &str) -> bool {
    let marks = |c: char| c == '*' || c == '.' || c == '…';
    let Some(at) = ["**", "...", "…"].iter().filter_map(|mark| word.find(mark)).min() else { return false };
    let (head, tail) = (&word[..at], word[at..].trim_start_matches(marks).trim_end_matches(marks));
    (head.len() >= 2 && secret.starts_with(head)) || (tail.len() >= 2 && secret.ends_with(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-test-0123456789abcdefghijkl";

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::from(KEY);
        assert_eq!(format!("{secret} {secret:?}"), "*** Secret(***)");
        assert_eq!(secret.reveal(), KEY);
        assert_eq!(format!("{:?}", Scrub::new([secret].iter())), "Scrub(1 secrets)");
    }

    #[test]
    fn every_trace_of_a_key_is_masked() {
        let scrub = Scrub::new([Secret::from(format!("Bearer {KEY}")), Secret::from("abc")].iter());
        let cases = [
            (format!("Authorization: Bearer {KEY}"), "Authorization: Bearer ***"),
            (format!("key={KEY}&x"), "key=***&x"),
            ("the key sk-test-0123456 is cut".to_owned(), "the key *** is cut"),
            ("its end 9abcdefghijkl".to_owned(), "its end ***"),
            ("provided: sk-te****************ijkl.".to_owned(), "provided: ***"),
            ("provided: sk-te...kl, again".to_owned(), "provided: ***, again"),
            ("provided: sk-t…".to_owned(), "provided: ***"),
            ("nothing... of **it** is here".to_owned(), "nothing... of **it** is here"),
            ("abc is too short to be a key, sk-test too".to_owned(), "abc is too short to be a key, sk-test too"),
        ];
        for (text, want) in cases {
            assert_eq!(scrub.clean(&text), want, "{text}");
        }
    }

    #[test]
    fn characters_stay_whole() {
        let scrub = Scrub::new([Secret::from("schlüssel-ä")].iter());
        assert_eq!(scrub.clean("ä schlüssel-ä ü"), "ä *** ü");
        assert_eq!(scrub.clean("schlüssel-ö"), "***");
    }
}
