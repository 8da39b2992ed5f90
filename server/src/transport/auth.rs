//! Who may connect over the network: who knows a token.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// Bytes of a file with a token.
const TOKEN_BYTES: u64 = 4096;

/// A token that clients show as `Authorization: Bearer`.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A file with a token that does not do.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("the token file {} cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds none.
    #[error("the token file {} holds no token: write one line of visible characters into it", .0.display())]
    Empty(PathBuf),
}

impl Token {
    /// From a file; spaces and newlines around it do not count.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read = || {
            let mut text = String::new();
            std::fs::File::open(path)?.take(TOKEN_BYTES).read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|error| TokenError::Read { path: path.to_owned(), error })?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Empty(path.to_owned()));
        }
        Ok(Self(token.as_bytes().into()))
    }

    /// Whether these headers show it, or what is said to who does not.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let shown = headers.get(header::AUTHORIZATION).ok_or("missing websocket bearer token")?;
        let shown = shown.as_bytes();
        let scheme = shown.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let token = scheme.map(|_| shown[7..].trim_ascii()).ok_or("invalid websocket bearer token")?;
        // In the same time whatever is wrong with it.
        if bool::from(token.ct_eq(&self.0)) { Ok(()) } else { Err("invalid websocket bearer token") }
    }
}
