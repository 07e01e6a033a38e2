//! Tokens of expressions: what the languages have in common.

use std::ops::Range;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// A text in quotes: what stands between them.
    Text(Range<usize>),
    /// `(`, `[` or `{`.
    Open(u8),
    /// `)`, `]` or `}`.
    Close(u8),
    /// A mark of one byte, `**`, `//`, `||` or `&&` as their first.
    Mark(u8),
}

/// Bytes of a name, of a number and of a text that are read as one token.
const LONGEST: usize = 512;

/// The token at `at`, which is no white space, and where it ends.
pub(super) fn token(value: &[u8], at: usize) -> Option<(Token, usize)> {
    let first = *value.get(at)?;
    let rest = value.get(at..value.len().min(at + LONGEST))?;
    let run = |belongs: fn(&u8) -> bool| at + rest.iter().take_while(|b| belongs(b)).count().max(1);
    Some(match first {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Token::Name, run(|b| b.is_ascii_alphanumeric() || *b == b'_')),
        b'0'..=b'9' => (Token::Number, run(u8::is_ascii_alphanumeric)),
        b'"' | b'\'' | b'`' => match text(value, at, first, rest) {
            Some(inner) => (Token::Text(inner.clone()), inner.end + 1),
            None => (Token::Mark(first), at + 1),
        },
        b'(' | b'[' | b'{' => (Token::Open(first), at + 1),
        b')' | b']' | b'}' => (Token::Close(first), at + 1),
        b'*' | b'/' | b'|' | b'&' if rest.get(1) == Some(&first) => (Token::Mark(first), at + 2),
        _ => (Token::Mark(first), at + 1),
    })
}

/// What stands in the quotes that open at `at`. An apostrophe in a word opens none, and what stands behind the closing one
/// is what may follow a text.
fn text(value: &[u8], at: usize, quote: u8, rest: &[u8]) -> Option<Range<usize>> {
    let before = at.checked_sub(1).and_then(|at| value.get(at)).copied().unwrap_or(b' ');
    if before.is_ascii_alphanumeric() || before == b'\\' {
        return None;
    }
    let mut escaped = false;
    let length = rest.iter().skip(1).position(|b| {
        let ends = *b == quote && !escaped;
        escaped = *b == b'\\' && !escaped;
        ends
    })?;
    let end = at + 1 + length;
    let after = value.get(end + 1..).unwrap_or_default().iter().take(8).find(|b| !b.is_ascii_whitespace());
    let follows = after.is_none_or(|b| b.is_ascii_punctuation() || b.is_ascii_alphabetic() && quote != b'\'');
    follows.then_some(at + 1..end)
}
