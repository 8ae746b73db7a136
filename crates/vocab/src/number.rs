//! Dialled numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number as dialled: digits, `*`, `#`, an optional leading `+`; 1 to [`DialString::MAX`] characters.
/// Visual separators (`-`, `.`, `(`, `)`, blank) are dropped on entry (RFC 3966 §5.1.1); anything else is refused,
/// so that the priced and the sent number can never differ by a trick of spelling (`R-34`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DialString(Box<str>);

/// Why a text is not a [`DialString`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    Empty,
    TooLong,
    BadCharacter(char),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberError::Empty => write!(f, "the number is empty"),
            NumberError::TooLong => write!(f, "the number is longer than {} digits", DialString::MAX),
            NumberError::BadCharacter(c) => {
                write!(f, "{c:?} cannot stand in a number; digits, *, # and a leading + can")
            }
        }
    }
}

impl std::error::Error for NumberError {}

impl DialString {
    /// E.164 has at most 15 digits; technical prefixes come on top.
    pub const MAX: usize = 31;

    pub fn parse(text: &str) -> Result<DialString, NumberError> {
        let mut out = String::with_capacity(text.len().min(Self::MAX + 1));
        for c in text.chars() {
            match c {
                '0'..='9' | '*' | '#' => out.push(c),
                '+' if out.is_empty() => out.push(c),
                '-' | '.' | '(' | ')' | ' ' => continue,
                other => return Err(NumberError::BadCharacter(other)),
            }
            if out.len() > Self::MAX {
                return Err(NumberError::TooLong);
            }
        }
        if out.is_empty() || out == "+" {
            return Err(NumberError::Empty);
        }
        Ok(DialString(out.into_boxed_str()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that prefixes are matched against: without a leading `+`.
    pub fn digits(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }
}

impl fmt::Display for DialString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DialString {
    type Error = NumberError;
    fn try_from(s: String) -> Result<Self, NumberError> {
        DialString::parse(&s)
    }
}

impl From<DialString> for String {
    fn from(n: DialString) -> String {
        n.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_dialled() {
        for (text, want) in [
            ("8801712345678", Ok("8801712345678")),
            ("+880-17 (12).345678", Ok("+8801712345678")),
            ("*21#", Ok("*21#")),
            ("", Err(NumberError::Empty)),
            ("+", Err(NumberError::Empty)),
            ("880+1", Err(NumberError::BadCharacter('+'))),
            ("880%31", Err(NumberError::BadCharacter('%'))),
            ("alice", Err(NumberError::BadCharacter('a'))),
            ("12345678901234567890123456789012", Err(NumberError::TooLong)),
        ] {
            assert_eq!(
                DialString::parse(text).as_ref().map(DialString::as_str),
                want.as_ref().copied(),
                "{text}"
            );
        }
    }
}
