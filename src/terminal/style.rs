//! Colours: which there are, and whether they are used.

use std::env;

use crate::cli::Color;

/// What a piece of text is, which decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// Of less interest than its neighbours.
    Dim,
    /// A name.
    Name,
    /// It is under way.
    Busy,
    Good,
    /// It waits, or may go wrong.
    Warning,
    Bad,
}

impl Role {
    /// The parameter of the sequence that selects its look (ECMA-48, SGR): only the eight colours that every theme
    /// defines, and no background.
    fn code(self) -> Option<u8> {
        match self {
            Role::Plain => None,
            Role::Name => Some(1),
            Role::Dim => Some(2),
            Role::Bad => Some(31),
            Role::Good => Some(32),
            Role::Warning => Some(33),
            Role::Busy => Some(36),
        }
    }
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    is_on: bool,
}

impl Style {
    /// Text as it is.
    #[cfg(test)]
    pub const PLAIN: Style = Style { is_on: false };
    /// Text in colours.
    #[cfg(test)]
    pub const COLOURED: Style = Style { is_on: true };

    /// For an output, by the flag and the environment.
    pub fn choose(color: Color, is_terminal: bool) -> Self {
        let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
        Self { is_on: color.is_on(is_terminal, no_color.as_deref(), term.as_deref()) }
    }

    /// The text in the look of its role.
    pub fn paint(self, role: Role, text: &str) -> String {
        match role.code().filter(|_| self.is_on && !text.is_empty()) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        assert_eq!(Style::PLAIN.paint(Role::Bad, "no"), "no");
        assert_eq!(Style::COLOURED.paint(Role::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Style::COLOURED.paint(Role::Plain, "no"), "no");
        assert_eq!(Style::COLOURED.paint(Role::Bad, ""), "");
    }
}
