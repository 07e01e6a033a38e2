//! `a=b&c=d`: the syntax that query strings and urlencoded bodies share, decoded as ModSecurity does.
//!
//! ModSecurity v3 splits at the separator first, then each piece at its first `=`, then decodes both halves:
//! `+` is a space, `%HH` a byte, and a `%` that two hexadecimal digits do not follow stays as it is and raises
//! `URLENCODED_ERROR`. Empty pieces are arguments with empty names, except one after the last separator.

use super::Pairs;
use crate::percent::{BLOCK, unplus, unplus_block};
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
    // What is decoded is no longer than what was encoded.
    let pieces = memchr::memchr_iter(separator, input).count() + 1;
    out.reserve(pieces.min(limit.saturating_sub(out.len()).saturating_add(1)), input.len());
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
    let Some(first) = memchr::memchr2(b'%', b'+', input) else {
        out.extend_from_slice(input);
        return false;
    };
    let (before, mut rest) = input.split_at(first);
    out.reserve(input.len());
    out.extend_from_slice(before);
    let mut invalid = false;
    loop {
        match rest {
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            [b'%', after @ ..] => {
                invalid = true;
                out.push(b'%');
                rest = after;
            }
            [byte, after @ ..] => {
                let Some(block) = rest.first_chunk::<BLOCK>() else {
                    out.push(unplus(*byte));
                    rest = after;
                    continue;
                };
                let copied = unplus_block(block, out);
                rest = rest.get(copied..).unwrap_or_default();
            }
            [] => return invalid,
        }
    }
}

/// Name and value around the first `=`; without one, all is name.
fn split_pair(piece: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'=', piece) {
        Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at + 1..).unwrap_or_default()),
        None => (piece, &[]),
    }
}

/// The value of an ASCII hexadecimal digit; anything for anything else.
pub(super) fn hex(digit: u8) -> u8 {
    // Letters have their place in the alphabet in the low bits and one bit that digits do not have.
    (digit & 0x0f) + 9 * (digit >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_have_their_values() {
        for (value, digits) in [b"00", b"11", b"99", b"aA", b"bB", b"fF"].into_iter().enumerate() {
            let wanted = [0, 1, 9, 10, 11, 15][value];
            assert!(digits.iter().all(|digit| hex(*digit) == wanted), "{digits:?}");
        }
    }

    proptest! {
        /// Blocks and their ends make no difference.
        #[test]
        fn decoding_is_that_of_one_byte_after_the_other(
            pieces in proptest::collection::vec(proptest::sample::select(
                vec!["a", "+", "word+", "%", "%4", "%41", "%2b", "%Ff", "%zz", "longer.than.a.block"],
            ), 0..40)
        ) {
            let input = pieces.concat().into_bytes();
            let (mut wanted, mut invalid) = (b"before".to_vec(), false);
            let mut at = 0;
            while let Some(byte) = input.get(at) {
                let digits = input.get(at + 1..at + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
                let digits = digits.and_then(|d| std::str::from_utf8(d).ok());
                at += 1;
                match (byte, digits.and_then(|d| u8::from_str_radix(d, 16).ok())) {
                    (b'%', Some(decoded)) => {
                        wanted.push(decoded);
                        at += 2;
                    }
                    (b'+', _) => wanted.push(b' '),
                    _ => {
                        invalid |= *byte == b'%';
                        wanted.push(*byte);
                    }
                }
            }
            let mut out = b"before".to_vec();
            prop_assert_eq!(decode_into(&input, &mut out), invalid);
            prop_assert_eq!(out, wanted);
        }
    }
}
