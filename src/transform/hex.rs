//! Hexadecimal: `hexEncode`, `hexDecode`, `sqlHexDecode`, and what other decoders need of it.

use super::patch::Patch;

pub(super) const LOWER_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each hexadecimal digit; [`NONE`] for any other byte.
const DIGITS: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        let digit = LOWER_DIGITS[value as usize];
        table[digit as usize] = value;
        table[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    table
};
const NONE: u8 = 0xff;

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    let value = DIGITS[usize::from(byte)];
    (value != NONE).then_some(value)
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn pair(high: u8, low: u8) -> Option<u8> {
    let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
    (high | low != NONE).then_some(high << 4 | low)
}

/// The byte that a 16-bit code point becomes: its low byte, except that the full-width forms of ASCII, `FF01` to
/// `FF5E`, become the ASCII that they show.
pub(super) fn narrow(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) { low + 0x20 } else { low }
}

/// Two lower-case digits.
pub(super) fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|d| LOWER_DIGITS[usize::from(d)])
}

pub(super) fn hex_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(input.len().saturating_mul(2));
    input.iter().for_each(|b| out.extend_from_slice(&digits(*b)));
    !input.is_empty()
}

/// ModSecurity does not ask whether the digits are digits, nor does this: the outcome for `zz` is arithmetic.
pub(super) fn hex_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let unchecked = |b: u8| if b >= b'A' { (b & 0xdf).wrapping_sub(b'A' - 10) } else { b.wrapping_sub(b'0') };
    let (pairs, _) = input.as_chunks::<2>();
    out.extend(pairs.iter().map(|[a, b]| unchecked(*a).wrapping_mul(16).wrapping_add(unchecked(*b))));
    !input.is_empty()
}

pub(super) fn sql_hex_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'x', b'X', input.get(from..).unwrap_or_default()) {
        let x = from + found;
        let (mut digits, _) = input.get(x + 1..).unwrap_or_default().as_chunks::<2>();
        // A `0` that an earlier literal has eaten begins no other: `0x40x41` is `@x41`.
        let zero = x.checked_sub(1).filter(|z| *z >= from && input.get(*z) == Some(&b'0'));
        from = x + 1;
        let Some(zero) = zero else { continue };
        while let [[high, low], rest @ ..] = digits
            && let Some(byte) = pair(*high, *low)
        {
            if from == x + 1 { patch.cut(zero, from + 2) } else { patch.cut(from, from + 2) }.push(byte);
            from += 2;
            digits = rest;
        }
    }
    patch.finish()
}
