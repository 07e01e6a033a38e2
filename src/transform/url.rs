//! `urlDecode`, `urlDecodeUni`, `urlEncode`.

use super::byte_set::ByteSet;
use super::hex;
use super::unicode_map::UnicodeMap;
use crate::percent::{BLOCK, unplus, unplus_block};

/// The bytes that `urlEncode` does not leave as they are.
pub(super) const ENCODED: ByteSet = ByteSet::of(b"*")
    .union(ByteSet::range(b'0', b'9'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'a', b'z'))
    .complement();

pub(super) fn url_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, out, plain)
}

pub(super) fn url_decode_uni(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, out, |text| unicode(text, hex::narrow).or_else(|| plain(text)))
}

/// `urlDecodeUni` with the code page that `SecUnicodeMapFile` chose: a code point which `map` knows becomes what
/// it says, all others what they become without a map. Appends to the empty `out` and returns true, or returns
/// false when `input` stays as it is.
pub fn url_decode_uni_with(map: &UnicodeMap, input: &[u8], out: &mut Vec<u8>) -> bool {
    let byte = |high, low| map.get(u16::from_be_bytes([high, low])).unwrap_or_else(|| hex::narrow(high, low));
    decode(input, out, |text| unicode(text, byte).or_else(|| plain(text)))
}

/// The bytes that [`url_decode`] makes of escapes.
pub(super) fn made(input: &[u8], made: &mut dyn FnMut(u8)) {
    each_made(input, made, plain);
}

/// The bytes that [`url_decode_uni`] makes of escapes.
pub(super) fn made_uni(input: &[u8], made: &mut dyn FnMut(u8)) {
    each_made(input, made, |text| unicode(text, hex::narrow).or_else(|| plain(text)));
}

fn each_made(input: &[u8], made: &mut dyn FnMut(u8), escape: impl Fn(&[u8]) -> Option<(u8, usize)>) {
    if memchr::memchr(b'+', input).is_some() {
        made(b' ');
    }
    let mut rest = input;
    while let Some(at) = if rest.starts_with(b"%") { Some(0) } else { memchr::memchr(b'%', rest) } {
        let text = &rest[at + 1..];
        let (byte, used) = escape(text).unwrap_or((b'%', 0));
        made(byte);
        rest = text.get(used..).unwrap_or_default();
    }
}

pub(super) fn url_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = ENCODED.find(input, 0) else { return false };
    let (before, rest) = input.split_at(first);
    out.reserve(input.len());
    out.extend_from_slice(before);
    for byte in rest {
        match byte {
            b' ' => out.push(b'+'),
            _ if ENCODED.contains(*byte) => {
                let [high, low] = hex::digits(*byte);
                out.extend_from_slice(&[b'%', high, low]);
            }
            _ => out.push(*byte),
        }
    }
    true
}

/// Replaces `+` by a space and each `%` whose text `escape` understands by the byte it gives. `escape` sees what
/// follows the percent sign and says how much of it belongs to the escape; a percent sign it does not understand
/// stays.
fn decode(input: &[u8], out: &mut Vec<u8>, escape: impl Fn(&[u8]) -> Option<(u8, usize)>) -> bool {
    let Some(first) = first_change(input, &escape) else { return false };
    let (before, mut rest) = input.split_at(first);
    out.reserve(input.len());
    out.extend_from_slice(before);
    while let [byte, after @ ..] = rest {
        if *byte == b'%' {
            let (byte, used) = escape(after).unwrap_or((b'%', 0));
            out.push(byte);
            rest = after.get(used..).unwrap_or_default();
            continue;
        }
        let Some(block) = rest.first_chunk::<BLOCK>() else {
            out.push(unplus(*byte));
            rest = after;
            continue;
        };
        let copied = unplus_block(block, out);
        rest = rest.get(copied..).unwrap_or_default();
    }
    true
}

fn first_change(input: &[u8], escape: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Option<usize> {
    let mut at = memchr::memchr2(b'%', b'+', input)?;
    loop {
        let text = input.get(at + 1..)?;
        if input.get(at) == Some(&b'+') || escape(text).is_some() {
            return Some(at);
        }
        // A search for a neighbour would cost more than to look.
        let next = if matches!(text, [b'%' | b'+', ..]) { 0 } else { memchr::memchr2(b'%', b'+', text)? };
        at += 1 + next;
    }
}

fn plain(text: &[u8]) -> Option<(u8, usize)> {
    let [high, low, ..] = *text else { return None };
    hex::pair(high, low).map(|byte| (byte, 2))
}

/// `%uHHHH`, which is IIS's own.
fn unicode(text: &[u8], byte: impl Fn(u8, u8) -> u8) -> Option<(u8, usize)> {
    let [b'u' | b'U', a, b, c, d, ..] = *text else { return None };
    Some((byte(hex::pair(a, b)?, hex::pair(c, d)?), 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Blocks and their ends make no difference.
        #[test]
        fn decoding_is_that_of_one_byte_after_the_other(
            pieces in proptest::collection::vec(proptest::sample::select(
                vec!["a", "+", "word+", "%", "%4", "%41", "%2b", "%u00e9", "%uff1c", "%zz", "longer.than.a.block"],
            ), 0..40)
        ) {
            let input = pieces.concat().into_bytes();
            let mut wanted = Vec::new();
            let mut at = 0;
            while let Some(byte) = input.get(at) {
                let text = &input[at + 1..];
                let escape = unicode(text, hex::narrow).or_else(|| plain(text)).filter(|_| *byte == b'%');
                let (byte, used) = escape.unwrap_or((if *byte == b'+' { b' ' } else { *byte }, 0));
                wanted.push(byte);
                at += 1 + used;
            }
            let mut out = Vec::new();
            let changed = url_decode_uni(&input, &mut out);
            prop_assert_eq!(changed, wanted != input);
            prop_assert!(!changed || out == wanted, "{:?}: {:?}, not {:?}", input, out, wanted);
        }
    }

    fn with(map: &UnicodeMap, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if url_decode_uni_with(map, input, &mut out) { out } else { input.to_vec() }
    }

    #[test]
    fn a_map_comes_before_the_default() {
        let map =
            UnicodeMap::parse(b"20127 (US-ASCII)\n00e8:65 00e9:65 ff1c:5b\n", 20127).expect("well-formed");
        assert_eq!(with(&map, b"%u0041%u00e9%u00E8+%41%zz"), b"Aee A%zz");
        assert_eq!(with(&map, b"%uff1c%uff1e%u3002"), b"[>.");
        assert_eq!(with(&map, b"unchanged"), b"unchanged");
    }

    #[test]
    fn no_map_is_the_row() {
        for input in [&b"%u00e9%uff1c%u3002%41+"[..], b"%u", b"%", b"%u12", b"abc"] {
            let mut out = Vec::new();
            let row = if url_decode_uni(input, &mut out) { out } else { input.to_vec() };
            assert_eq!(with(&UnicodeMap::default(), input), row);
        }
    }
}
