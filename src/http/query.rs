//! `a=b&c=d`: the syntax that query strings and urlencoded bodies share, decoded as ModSecurity does.
//!
//! ModSecurity v3 splits at the separator first, then each piece at its first `=`, then decodes both halves:
//! `+` is a space, `%HH` a byte, and a `%` that two hexadecimal digits do not follow stays as it is and raises
//! `URLENCODED_ERROR`. Empty pieces are arguments with empty names, except one after the last separator.

use super::Pairs;
use memchr::memchr;

/// The argument separator unless `SecArgumentSeparator` says otherwise.
pub const DEFAULT_SEPARATOR: u8 = b'&';

/// What was odd about a list of arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOutcome {
    /// An invalid percent-encoding was met (`URLENCODED_ERROR`).
    pub invalid_encoding: bool,
    /// There were more arguments than the limit; the others are one together.
    pub limit_hit: bool,
}

/// Appends the arguments of `input` to `out`, at most until `out` holds `limit` pairs.
///
/// Those beyond it become the value of one more pair with an empty name, decoded and joined by `&`: a limit on what
/// rules look at one by one must not be a place to hide in.
pub fn parse_query(input: &[u8], separator: u8, limit: usize, out: &mut Pairs) -> QueryOutcome {
    let mut outcome = QueryOutcome::default();
    let mut rest = input;
    while !rest.is_empty() {
        let (piece, after) = match memchr(separator, rest) {
            Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
            None => (rest, &[][..]),
        };
        parse_piece(piece, limit, out, &mut outcome);
        rest = after;
    }
    outcome
}

/// Adds one `name=value` piece to `out`.
pub(crate) fn parse_piece(piece: &[u8], limit: usize, out: &mut Pairs, outcome: &mut QueryOutcome) {
    if out.len() >= limit {
        outcome.limit_hit = true;
        let is_first = out.len() == limit;
        if is_first && !out.push(b"", b"") {
            return;
        }
        out.extend_last(|rest| {
            if !is_first {
                rest.push(b'&');
            }
            outcome.invalid_encoding |= decode_into(piece, rest);
        });
        return;
    }
    let (name, value) = split_pair(piece);
    let (mut bad_name, mut bad_value) = (false, false);
    let stored = out.push_with(|b| bad_name = decode_into(name, b), |b| bad_value = decode_into(value, b));
    outcome.invalid_encoding |= bad_name | bad_value;
    outcome.limit_hit |= !stored;
}

/// Decodes `+` and `%HH` of `input` to the end of `out`; says whether an invalid sequence was met (and kept).
pub fn decode_into(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut invalid = false;
    let mut rest = input;
    while let Some(at) = memchr::memchr2(b'%', b'+', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        match tail {
            [b'+', after @ ..] => {
                out.push(b' ');
                rest = after;
            }
            [_, high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [percent, after @ ..] => {
                invalid = true;
                out.push(*percent);
                rest = after;
            }
            [] => rest = &[],
        }
    }
    out.extend_from_slice(rest);
    invalid
}

/// Name and value around the first `=`; without one, all is name.
fn split_pair(piece: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'=', piece) {
        Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at + 1..).unwrap_or_default()),
        None => (piece, &[]),
    }
}

/// The value of an ASCII hexadecimal digit; 0 for anything else.
pub(super) fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0)
}
