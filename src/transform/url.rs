//! `urlDecode`, `urlDecodeUni`, `urlEncode`.

use super::byte_set::ByteSet;
use super::hex;
use super::patch::Patch;
use super::unicode_map::UnicodeMap;

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

pub(super) fn url_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(at) = ENCODED.find(input, from) {
        from = at + 1;
        match input.get(at) {
            Some(b' ') | None => patch.replace(at, from, b'+'),
            Some(byte) => {
                let out = patch.cut(at, from);
                out.push(b'%');
                hex::push_byte(*byte, out);
            }
        }
    }
    patch.finish()
}

/// Replaces `+` by a space and each `%` whose text `escape` understands by the byte it gives. `escape` sees what
/// follows the percent sign and says how much of it belongs to the escape; a percent sign it does not understand
/// stays.
fn decode(input: &[u8], out: &mut Vec<u8>, escape: impl Fn(&[u8]) -> Option<(u8, usize)>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'%', b'+', input.get(from..).unwrap_or_default()) {
        let start = from + found;
        from = start + 1;
        if input.get(start) == Some(&b'+') {
            patch.replace(start, from, b' ');
        } else if let Some((byte, used)) = escape(input.get(from..).unwrap_or_default()) {
            from += used;
            patch.replace(start, from, byte);
        }
    }
    patch.finish()
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
