//! `htmlEntityDecode`.

use super::hex;
use super::patch::{Patch, find_byte};

pub(super) fn html_entity_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = find_byte(input, from, b'&') {
        from = start + 1;
        let Some((byte, used)) = entity(input.get(from..).unwrap_or_default()) else { continue };
        let semicolon = usize::from(input.get(from + used) == Some(&b';'));
        from += used + semicolon;
        patch.replace(start, from, byte);
    }
    patch.finish()
}

/// The bytes that it makes of entities.
pub(super) fn made(input: &[u8], made: &mut dyn FnMut(u8)) {
    for at in memchr::memchr_iter(b'&', input) {
        made(entity(&input[at + 1..]).map_or(b'&', |(byte, _)| byte));
    }
}

/// The entity at the start of `text`, which follows an ampersand: its byte and its length without semicolon.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16).map(|(byte, used)| (byte, used + 2)),
        [b'#', digits @ ..] => number(digits, 10).map(|(byte, used)| (byte, used + 1)),
        _ => {
            let name = text.iter().take(LONGEST_NAME + 1).take_while(|b| b.is_ascii_alphanumeric()).count();
            let name = text.get(..name)?;
            let (_, byte) = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
            Some((*byte, name.len()))
        }
    }
}

/// The low byte of a number with any number of digits, leading zeros included. Beyond 63 bits it is that of the
/// largest such number, `FF`.
fn number(text: &[u8], radix: u8) -> Option<(u8, usize)> {
    let mut used = 0;
    let mut value = 0_i64;
    for digit in text.iter().map_while(|b| hex::digit(*b).filter(|d| *d < radix)) {
        value = value.saturating_mul(i64::from(radix)).saturating_add(i64::from(digit));
        used += 1;
    }
    (used > 0).then_some(((value & 0xff) as u8, used))
}

/// The names that ModSecurity knows, in any case.
const NAMES: [(&[u8], u8); 5] =
    [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];

const LONGEST_NAME: usize = 4;
