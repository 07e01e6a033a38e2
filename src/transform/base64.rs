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
    decode(input, &STRICT, out)
}

/// How many bytes `base64Decode` reads before it stops.
pub(super) fn read_by_decode(input: &[u8]) -> usize {
    input.iter().position(|b| STRICT[usize::from(*b)] == STOP).unwrap_or(input.len())
}

/// Everything that looks like base64, wherever it stands. Not `-` and `_`: ModSecurity and PHP skip them, so that one
/// of them read as a symbol would hide what follows it.
pub(super) fn base64_decode_ext(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(input, &LENIENT, out)
}

/// A byte that is skipped, and one that ends the reading; all others are the values of symbols.
const SKIP: u8 = 0x40;
const STOP: u8 = 0x80;

const STRICT: [u8; 256] = {
    let mut table = symbols(STOP);
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table
};
const LENIENT: [u8; 256] = symbols(SKIP);

const fn symbols(others: u8) -> [u8; 256] {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [others; 256];
    let mut value = 0;
    while value < 64 {
        table[SYMBOLS[value as usize] as usize] = value;
        value += 1;
    }
    table
}

/// A last group of two or three symbols gives one or two bytes, with or without padding; one symbol gives none.
/// The result is shorter than the value, and so another, unless that is empty.
fn decode(input: &[u8], table: &[u8; 256], out: &mut Vec<u8>) -> bool {
    if input.is_empty() {
        return false;
    }
    out.reserve(input.len() / 4 * 3 + 3);
    let mut rest = input;
    let (mut group, mut symbols) = (0_u32, 0);
    loop {
        if symbols == 0 {
            // Four symbols in a row, as nearly all of base64 is.
            while let [a, b, c, d, after @ ..] = rest {
                let [a, b, c, d] = [a, b, c, d].map(|byte| table[usize::from(*byte)]);
                if a | b | c | d >= SKIP {
                    break;
                }
                out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
                rest = after;
            }
        }
        let [byte, after @ ..] = rest else { break };
        rest = after;
        match table[usize::from(*byte)] {
            STOP => break,
            SKIP => {}
            symbol => {
                group = group << 6 | u32::from(symbol);
                symbols += 1;
                if symbols == 4 {
                    out.extend_from_slice(&group.to_be_bytes()[1..]);
                    (group, symbols) = (0, 0);
                }
            }
        }
    }
    match symbols {
        2 => out.push((group >> 4) as u8),
        3 => out.extend_from_slice(&[(group >> 10) as u8, (group >> 2) as u8]),
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Groups of four and their ends make no difference.
        #[test]
        fn decoding_is_that_of_one_symbol_after_the_other(
            pieces in proptest::collection::vec(proptest::sample::select(
                vec!["Q", "QUI", "TWFu", "\n", "\r\n", "TWFuTWFuTWFu", "+/", "=", "-"],
            ), 0..20)
        ) {
            let input = pieces.concat().into_bytes();
            let lines: Vec<u8> = input.iter().copied().filter(|b| !b"\r\n".contains(b)).collect();
            let symbol = |b: &u8| Some(STRICT[usize::from(*b)]).filter(|s| *s < SKIP);
            let strict: Vec<u8> = lines.iter().map_while(symbol).collect();
            let lenient: Vec<u8> = input.iter().filter_map(symbol).collect();
            type Apply = fn(&[u8], &mut Vec<u8>) -> bool;
            let both: [(Apply, Vec<u8>); 2] = [(base64_decode, strict), (base64_decode_ext, lenient)];
            for (apply, symbols) in both {
                let bits: Vec<u8> = symbols.iter().flat_map(|s| (0..6).rev().map(move |i| s >> i & 1)).collect();
                let bytes = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit));
                let mut out = Vec::new();
                prop_assert_eq!(apply(&input, &mut out), !input.is_empty());
                prop_assert_eq!(out, bytes.collect::<Vec<u8>>(), "{:?}", input);
            }
        }
    }
}
