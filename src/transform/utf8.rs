//! `utf8toUnicode`.

use super::hex::LOWER_DIGITS;
use super::patch::{Patch, find_in_range};

pub(super) fn utf8_to_unicode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = find_in_range(input, from, 0x80, 0xff) {
        let sequence = input.get(start..).unwrap_or_default();
        let Some(lead) = sequence.first().copied() else { break };
        let length = match lead {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            // Neither a lead byte nor part of a sequence: it stays.
            _ => {
                from = start + 1;
                continue;
            }
        };
        let Some(code) = code_point(sequence, length) else {
            from = start + 1;
            // A lead byte without its sequence is left out, except those that lie outside of Unicode.
            if lead < FIRST_OUTSIDE_UNICODE {
                patch.cut(start, from);
            }
            continue;
        };
        from = start + length;
        let out = patch.cut(start, from);
        if lead >= FIRST_OUTSIDE_UNICODE {
            out.push(lead);
        }
        push_code(code, out);
        // What no encoder writes keeps a trace, so that it does not pass for the character it imitates.
        if (0xd800..=0xdfff).contains(&code) {
            out.push(lead);
        }
        if code < [0, 0, 0x80, 0x800, 0x1_0000][length] {
            out.push(lead);
        }
    }
    patch.finish()
}

/// Lead bytes from here on would encode more than U+10FFFF (`F4` may as well, but ModSecurity takes it).
const FIRST_OUTSIDE_UNICODE: u8 = 0xf5;

/// The number in a sequence of `length` bytes; `None` when a byte is missing or does not continue it.
fn code_point(sequence: &[u8], length: usize) -> Option<u32> {
    let (lead, rest) = sequence.get(..length)?.split_first()?;
    let payload = u32::from(*lead) & (0x7f >> length);
    rest.iter().try_fold(payload, |code, b| (b & 0xc0 == 0x80).then(|| code << 6 | u32::from(b & 0x3f)))
}

/// Appends `%u` and at least four lower-case digits.
fn push_code(code: u32, out: &mut Vec<u8>) {
    let digit = |place: u32| LOWER_DIGITS[(code >> (4 * place) & 15) as usize];
    if code <= 0xffff {
        return out.extend_from_slice(&[b'%', b'u', digit(3), digit(2), digit(1), digit(0)]);
    }
    out.extend_from_slice(b"%u");
    let digits = (32 - code.leading_zeros()).div_ceil(4);
    out.extend((0..digits).rev().map(digit));
}
