//! Values to compare by, made from an alphabet and from pieces that mean something to the function compared.

use crate::text::unescape;
use serde::Deserialize;
use std::collections::BTreeSet;

/// What matters to a function.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seeds {
    /// Bytes of which all pairs are tried, and all triples when there are few. `\xHH` stands for a byte.
    pub alphabet: String,
    /// Texts that mean something: whole, cut short, followed by the alphabet, repeated, mixed.
    pub pieces: Vec<String>,
}

/// All values made of `seeds`, each once, in an order that never changes.
pub fn values(seeds: &Seeds) -> Vec<Vec<u8>> {
    let alphabet = unescape(&seeds.alphabet);
    let pieces: Vec<Vec<u8>> = seeds.pieces.iter().map(|p| unescape(p)).collect();
    let mut values = Values::default();

    values.push(b"");
    for byte in 0..=u8::MAX {
        values.push(&[byte]);
        values.push(&[b'a', byte, b'1']);
    }
    for a in &alphabet {
        for b in &alphabet {
            values.push(&[*a, *b]);
            if alphabet.len() <= TRIPLES {
                for c in &alphabet {
                    values.push(&[*a, *b, *c]);
                }
            }
        }
    }
    for piece in &pieces {
        for cut in 1..=piece.len() {
            let part = piece.get(..cut).expect("within the piece");
            values.push(part);
            values.push(&[part, b"z"].concat());
            for byte in &alphabet {
                values.push(&[part, &[*byte]].concat());
            }
        }
        for other in &pieces {
            values.push(&[piece.as_slice(), other].concat());
        }
    }
    for utf8 in UTF8 {
        values.push(utf8);
        values.push(&[b"a", *utf8, b"b"].concat());
        for piece in &pieces {
            values.push(&[piece.as_slice(), utf8].concat());
        }
    }
    let singles = alphabet.iter().map(|b| vec![*b]);
    for unit in singles.chain(pieces.iter().cloned()).filter(|u| !u.is_empty()) {
        let long = unit.repeat(LONG / unit.len() + 1);
        for length in (0..=8).chain([LONG - 1, LONG]) {
            values.push(long.get(..length).expect("long enough"));
        }
    }
    let mut random = Random(SEED);
    for _ in 0..RANDOM {
        let mut value = Vec::new();
        for _ in 0..random.below(12) + 1 {
            match random.below(8) {
                0 => value.push(u8::try_from(random.below(256)).expect("a byte")),
                1..=3 if !alphabet.is_empty() => value.push(alphabet[random.below(alphabet.len())]),
                _ if !pieces.is_empty() => value.extend_from_slice(&pieces[random.below(pieces.len())]),
                _ => value.push(b'a'),
            }
        }
        values.push(&value);
    }
    values.list
}

/// Up to so many bytes, the alphabet is tried in triples.
const TRIPLES: usize = 10;
/// Length of a long run.
const LONG: usize = 600;
/// How many mixes.
const RANDOM: usize = 1_000;
const SEED: u64 = 0x05ee_d0fc_a5e5;

/// UTF-8 of each length, its first and last of them, overlong forms, surrogates, beyond Unicode, cut short, and
/// continuation bytes on their own.
const UTF8: &[&[u8]] = &[
    b"\xc3\xa9",
    b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xef\xbc\x9c",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xed\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xc3",
    b"\xe2\x82",
    b"\xe2",
    b"\xf0\x9f\x98",
    b"\xf0\x9f",
    b"\xf0",
    b"\x80",
    b"\xbf\x80",
    b"\xc3\x28",
    b"\xe2\x28\xa1",
    b"\xe2\x82\x28",
    b"\xf0\x28\x8c\xbc",
    b"\xf0\x9f\x28\xbc",
    b"\xf0\x9f\x98\x28",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
];

#[derive(Default)]
struct Values {
    list: Vec<Vec<u8>>,
    seen: BTreeSet<Vec<u8>>,
}

impl Values {
    fn push(&mut self, value: &[u8]) {
        if self.seen.insert(value.to_vec()) {
            self.list.push(value.to_vec());
        }
    }
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).expect("31 bits") % end
    }
}
