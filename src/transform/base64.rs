//! `base64Encode`, `base64Decode`, `base64DecodeExt`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) fn base64_encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    // The crate has no way to append to bytes; a chunk of whole triples at a time needs no second copy of it all.
    let mut buffer = [0; 4 * 256];
    out.reserve(input.len().div_ceil(3).saturating_mul(4));
    for chunk in input.chunks(3 * 256) {
        let written = STANDARD.encode_slice(chunk, &mut buffer).expect("768 bytes make 1,024 characters");
        out.extend_from_slice(&buffer[..written]);
    }
    !input.is_empty()
}

/// Up to the first byte that cannot belong to base64.
pub(super) fn base64_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let symbols = input.iter().filter(|b| !matches!(**b, b'\r' | b'\n')).map_while(|b| symbol(*b));
    decode(input.len(), symbols, out)
}

/// Everything that looks like base64, wherever it stands. Not `-` and `_`: ModSecurity and PHP skip them, so that one
/// of them read as a symbol would hide what follows it.
pub(super) fn base64_decode_ext(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input.len(), input.iter().filter_map(|b| symbol(*b)), out)
}

fn symbol(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// A last group of two or three symbols gives one or two bytes, with or without padding; one symbol gives none.
/// The result is shorter than the value of `length` bytes, and so another, unless that is empty.
fn decode(length: usize, symbols: impl Iterator<Item = u8>, out: &mut Vec<u8>) -> bool {
    if length == 0 {
        return false;
    }
    out.reserve(length / 4 * 3 + 3);
    let (mut group, mut bits) = (0_u32, 0);
    for symbol in symbols {
        group = group << 6 | u32::from(symbol);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits & 0xff) as u8);
            group &= (1 << bits) - 1;
        }
    }
    true
}
