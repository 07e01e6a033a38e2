//! Escapes that begin with a backslash: `jsDecode`, `cssDecode`, `escapeSeqDecode`.

use super::hex;
use super::patch::{Patch, find_byte};
use super::whitespace::SPACE;

pub(super) fn js_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, out, |text| {
        if let [b'u', a, b, c, d, ..] = *text
            && let (Some(high), Some(low)) = (hex::pair(a, b), hex::pair(c, d))
        {
            return Some((Some(hex::narrow(high, low)), 5));
        }
        if let [b'x', a, b, ..] = *text
            && let Some(byte) = hex::pair(a, b)
        {
            return Some((Some(byte), 3));
        }
        // Three digits that would not fit a byte are two digits and a character.
        let most = if matches!(text.first(), Some(b'4'..=b'7')) { 2 } else { 3 };
        octal(text, most).or_else(|| {
            let byte = *text.first()?;
            Some((Some(control(byte).unwrap_or(byte)), 1))
        })
    })
}

pub(super) fn escape_seq_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, out, |text| {
        if let [b'x' | b'X', a, b, ..] = *text
            && let Some(byte) = hex::pair(a, b)
        {
            return Some((Some(byte), 3));
        }
        octal(text, 3).or_else(|| {
            let byte = *text.first()?;
            Some((Some(control(byte).unwrap_or(byte)), 1))
        })
    })
}

pub(super) fn css_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, out, |text| {
        let count = text.iter().take(6).take_while(|b| hex::digit(**b).is_some()).count();
        let Some(byte) = css_code_point(text.get(..count).unwrap_or_default()) else {
            return Some(match text.first() {
                // A backslash at the end continues nothing, one before a line feed continues the line.
                None => (None, 0),
                Some(b'\n') => (None, 1),
                Some(byte) => (Some(*byte), 1),
            });
        };
        let space = text.get(count).is_some_and(|b| SPACE.contains(*b));
        Some((Some(byte), count + usize::from(space)))
    })
}

/// Replaces each backslash, and as much of the text after it as `escape` says, by the byte that `escape` gives or
/// by nothing. A backslash for which it answers `None` stays.
fn decode(input: &[u8], out: &mut Vec<u8>, escape: impl Fn(&[u8]) -> Option<(Option<u8>, usize)>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = find_byte(input, from, b'\\') {
        from = start + 1;
        let Some((byte, used)) = escape(input.get(from..).unwrap_or_default()) else { continue };
        from += used;
        patch.cut(start, from).extend(byte);
    }
    patch.finish()
}

/// Up to `most` octal digits at the start of `text`; the low byte of what they say.
fn octal(text: &[u8], most: usize) -> Option<(Option<u8>, usize)> {
    let digits = text.iter().take(most).take_while(|b| matches!(b, b'0'..=b'7'));
    let (value, used) =
        digits.fold((0_u32, 0), |(value, used), b| (value * 8 + u32::from(b - b'0'), used + 1));
    (used > 0).then_some((Some((value & 0xff) as u8), used))
}

fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        _ => return None,
    })
}

/// The byte of one to six hexadecimal digits: the last two, or the ASCII of a full-width form if only zeros
/// stand before four digits.
fn css_code_point(digits: &[u8]) -> Option<u8> {
    match *digits {
        [low] => hex::digit(low),
        [.., a, b, c, d] => {
            let (high, low) = (hex::pair(a, b)?, hex::pair(c, d)?);
            let zeros = digits.iter().rev().skip(4).all(|b| *b == b'0');
            Some(if zeros { hex::narrow(high, low) } else { low })
        }
        [.., high, low] => hex::pair(high, low),
        [] => None,
    }
}
