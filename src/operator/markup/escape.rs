//! What leaves an attribute of the page's own: `" onfocus=alert(1) x="`.

use super::attribute::{is_event, lower};
use super::tag::is_space;
use std::ops::Range;

/// Bytes before a handler among which the quote is that it left.
const BACK: usize = 200;
/// Bytes behind it among which there is a call.
const AHEAD: usize = 120;

/// A handler outside of a tag, behind a quote or at the value's beginning.
pub(super) fn find(value: &[u8]) -> Option<Range<usize>> {
    memchr::memchr_iter(b'=', value).find_map(|at| handler(value, at))
}

fn handler(value: &[u8], at: usize) -> Option<Range<usize>> {
    let before = value.get(at.saturating_sub(40)..at)?;
    let blanks = before.iter().rev().take_while(|b| is_space(b)).count();
    let before = before.get(..before.len() - blanks)?;
    let letters = before.iter().rev().take(30).take_while(|b| b.is_ascii_alphabetic()).count();
    let mut buffer = [0; 30];
    let name = lower(before.get(before.len() - letters..)?, &mut buffer)?;
    if !name.strip_prefix(b"on").is_some_and(is_event) {
        return None;
    }
    let start = at - blanks - letters;
    let left = value.get(start.saturating_sub(BACK)..start)?;
    let edge = left.last().copied().unwrap_or(b' ');
    let begins =
        start < BACK && left.iter().all(|b| is_space(b) || matches!(b, b'"' | b'\'' | b'`' | b'>' | b'/'));
    let leaves = matches!(edge, b'"' | b'\'' | b'`' | b'/')
        || is_space(&edge) && left.iter().any(|b| matches!(b, b'"' | b'\'' | b'`'));
    if !begins && !leaves {
        return None;
    }
    let ahead = value.get(at + 1..value.len().min(at + 1 + AHEAD))?;
    let code = ahead.iter().skip_while(|b| is_space(b) || matches!(b, b'"' | b'\'' | b'`'));
    let code: Vec<u8> = code.copied().take_while(|b| !is_space(b)).collect();
    let calls = code.iter().any(|b| matches!(b, b'(' | b'`'))
        || code.windows(2).any(|w| w == b"&#" || w == b"\\u" || w == b"\\x");
    let first = code.first().copied().unwrap_or(b' ');
    let is_code = first.is_ascii_alphabetic()
        || matches!(first, b'[' | b'(' | b'&' | b'\\' | b'$' | b'_' | b'!' | b'-' | b'+');
    (calls && is_code && !code.starts_with(b"function")).then_some(start..at + 1)
}
