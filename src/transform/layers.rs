//! `decodeLayers`: encodings in encodings, undone until nothing changes.

use super::byte_set::ByteSet;
use super::decoding::Decoding;
use super::hex;
use super::patch::Patch;

/// The bytes without which a value stays as it is: what begins an escape, `+`, and the lead bytes of overlong UTF-8 and
/// of full-width forms.
pub(super) const TRIGGERS: ByteSet = ByteSet::of(b"%+\\\xc0\xc1\xe0\xef\xf0\xf8\xfc");

/// Layers that are undone; an application that decodes more often than this is not known.
const LAYERS: usize = 5;

pub(super) fn decode_layers(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !layer(input, out) {
        return false;
    }
    let mut next = Vec::new();
    for _ in 1..LAYERS {
        next.clear();
        if !layer(out, &mut next) {
            break;
        }
        std::mem::swap(out, &mut next);
    }
    true
}

/// Undoes one layer and tells what it was made of.
pub(super) fn peel(input: &[u8], out: &mut Vec<u8>) -> Decoding {
    if !layer(input, out) {
        return Decoding::default();
    }
    let mut plus = None;
    let mut found = Decoding::default();
    let mut from = 0;
    while let Some(at) = TRIGGERS.find(input, from) {
        from = at + 1;
        let Some((_, used, kind)) = escaped(input, at, &mut plus) else { continue };
        from = at + used;
        found = found.and(kind);
    }
    found
}

/// Undoes one layer. `false`, and `out` has no meaning, when there is none.
fn layer(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut plus = None;
    let mut from = 0;
    while let Some(at) = TRIGGERS.find(input, from) {
        from = at + 1;
        let Some((byte, used, _)) = escaped(input, at, &mut plus) else { continue };
        from = at + used;
        patch.replace(at, from, byte);
    }
    patch.finish()
}

/// What stands for a byte at `at`: the byte, how many bytes say it, and in what encoding.
fn escaped(input: &[u8], at: usize, plus: &mut Option<bool>) -> Option<(u8, usize, Decoding)> {
    let text = input.get(at..)?;
    let (first, after) = text.split_first()?;
    Some(match first {
        b'+' if *plus.get_or_insert_with(|| plus_is_space(input)) => (b' ', 1, Decoding::URL),
        b'+' => return None,
        b'%' => {
            let (byte, used) = percent(after)?;
            (byte, used + 1, if used == 2 { Decoding::URL } else { Decoding::URL_UNICODE })
        }
        b'\\' => {
            let (byte, used) = escape(after)?;
            (byte, used + 1, Decoding::JS)
        }
        0xef => (full_width(after)?, 3, Decoding::FULL_WIDTH),
        _ => {
            let (byte, used) = overlong(text)?;
            (byte, used, Decoding::OVERLONG)
        }
    })
}

/// Whether a `+` stands for a space: where a value without any space has one beside a letter, or beside an escape, it
/// is a form's spelling that nobody has undone yet; in `1+1=2` and in prose it is what it says.
fn plus_is_space(value: &[u8]) -> bool {
    let beside = |b: &u8| b.is_ascii_alphabetic() || *b == b'%';
    let value = value.trim_ascii();
    !value.contains(&b' ')
        && value.windows(2).any(|w| match w {
            [b'+', b] | [b, b'+'] => beside(b),
            _ => false,
        })
}

/// What stands behind a percent sign: the byte, and how many bytes say it.
fn percent(text: &[u8]) -> Option<(u8, usize)> {
    if let [b'u' | b'U', digits @ ..] = text {
        return Some((code_point(four(digits)?), 5));
    }
    let (high, low) = two(text)?;
    Some((high << 4 | low, 2))
}

/// `\u0027` and `\x27`, of printable ASCII only: other escapes mean too much else.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let (code, used) = match text {
        [b'u' | b'U', digits @ ..] => (four(digits)?, 5),
        [b'x' | b'X', digits @ ..] => {
            let (high, low) = two(digits)?;
            (u16::from(high << 4 | low), 3)
        }
        _ => return None,
    };
    let byte = u8::try_from(code).ok().filter(|b| (0x20..0x7f).contains(b) && *b != b'\\')?;
    Some((byte, used))
}

/// ASCII for what decoders take for it: full-width forms, slashes and dots of other blocks; else the low byte.
fn code_point(code: u16) -> u8 {
    match code {
        0x2044 | 0x2215 => b'/',
        0x2216 => b'\\',
        0x2024 => b'.',
        0x2018 | 0x2019 | 0x02b9 | 0x02bc => b'\'',
        _ => {
            let [high, low] = code.to_be_bytes();
            hex::narrow(high, low)
        }
    }
}

/// The ASCII of a full-width form behind its lead byte. Punctuation of Chinese and Japanese sentences stays.
fn full_width(text: &[u8]) -> Option<u8> {
    let byte = match *text {
        [0xbc, last @ 0x81..=0xbf, ..] => last - 0x60,
        [0xbd, last @ 0x80..=0x9e, ..] => last - 0x20,
        _ => return None,
    };
    (!b"!(),.:;?~".contains(&byte)).then_some(byte)
}

/// ASCII in more bytes of UTF-8 than it needs, which no sound text has.
fn overlong(text: &[u8]) -> Option<(u8, usize)> {
    let more = |from: usize| {
        text.get(from).map(|b| b & 0x3f).filter(|_| text.get(from).is_some_and(|b| b & 0xc0 == 0x80))
    };
    let zeros = |n: usize| (1..n).all(|at| text.get(at) == Some(&0x80));
    match *text.first()? {
        lead @ (0xc0 | 0xc1) => Some(((lead & 1) << 6 | more(1)?, 2)),
        0xe0 => low(text.get(1)?, more(2)?).map(|b| (b, 3)),
        0xf0 if zeros(2) => low(text.get(2)?, more(3)?).map(|b| (b, 4)),
        0xf8 if zeros(3) => low(text.get(3)?, more(4)?).map(|b| (b, 5)),
        0xfc if zeros(4) => low(text.get(4)?, more(5)?).map(|b| (b, 6)),
        _ => None,
    }
}

/// The seven bits of the last two bytes of an overlong sequence.
fn low(before: &u8, last: u8) -> Option<u8> {
    matches!(before, 0x80 | 0x81).then_some((before & 1) << 6 | last)
}

fn two(text: &[u8]) -> Option<(u8, u8)> {
    match text {
        [high, low, ..] => Some((digit(*high)?, digit(*low)?)),
        _ => None,
    }
}

fn four(text: &[u8]) -> Option<u16> {
    let (a, b) = two(text)?;
    let (c, d) = two(text.get(2..)?)?;
    Some(u16::from_be_bytes([a << 4 | b, c << 4 | d]))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
