//! Which patterns cannot match a value, told in one pass over it.
//!
//! A prefilter is made of conditions that are necessary for a match: a least length, classes of bytes of which one
//! must occur, literals of which one must occur. It only ever says "cannot match"; a value that meets all
//! conditions of a pattern is a candidate, and the pattern itself decides.
//!
//! Literals are found by their rarest two to four bytes: a bitmap in the first-level cache answers for almost
//! every position, and only its hits are compared.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A pattern known to the prefilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternId(pub u16);

/// Classes of bytes, a bit each ([`class_of`]).
pub type ClassMask = u64;

/// What must hold for one pattern.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Bytes that every match has at least.
    pub min_len: usize,
    /// Of each of these sets of classes, one must occur.
    pub classes: [ClassMask; CLASS_CLAUSES],
    /// One of these literals must occur, in any case; empty when there is no such condition. Lower case, each of
    /// at least [`MIN_LITERAL`] bytes.
    pub literals: Vec<Vec<u8>>,
}

/// Class clauses of one pattern.
pub const CLASS_CLAUSES: usize = 3;
/// Bytes that a literal must have to be looked for; single bytes are what classes are for.
pub const MIN_LITERAL: usize = 2;

/// The conditions of all patterns of a ruleset.
#[derive(Debug, Default)]
pub struct Prefilter {
    words: usize,
    min_len: Vec<usize>,
    classes: Vec<[ClassMask; CLASS_CLAUSES]>,
    /// Patterns without literals: candidates wherever their other conditions hold.
    bare: Vec<u16>,
    literals: Vec<Literal>,
    /// For grams of 2, 3 and 4 bytes: which may begin a literal's rarest part.
    bitmaps: [Vec<u64>; 3],
    grams: [HashMap<u32, Vec<Place>, BuildHasherDefault<GramHasher>>; 3],
}

#[derive(Debug)]
struct Literal {
    text: Box<[u8]>,
    patterns: Vec<u16>,
}

/// A gram's place in a literal.
#[derive(Clone, Copy, Debug)]
struct Place {
    literal: u32,
    offset: u32,
}

impl Prefilter {
    /// A prefilter of `conditions`; pattern `n` is the `n`th of them.
    pub fn new(conditions: &[Condition]) -> Self {
        let mut prefilter = Self {
            words: conditions.len().div_ceil(64),
            bitmaps: [0, 1, 2].map(|i| vec![0; 1 << (BITS[i] - 6)]),
            ..Self::default()
        };
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        for (n, condition) in conditions.iter().enumerate() {
            let id = n as u16;
            prefilter.min_len.push(condition.min_len);
            prefilter.classes.push(condition.classes);
            if condition.literals.is_empty() {
                prefilter.bare.push(id);
            }
            for literal in &condition.literals {
                let at = *known.entry(literal).or_insert_with(|| prefilter.add(literal));
                prefilter.literals[at].patterns.push(id);
            }
        }
        prefilter
    }

    fn add(&mut self, literal: &[u8]) -> usize {
        let at = self.literals.len();
        self.literals.push(Literal { text: literal.into(), patterns: Vec::new() });
        let size = literal.len().min(4);
        let windows = literal.windows(size).enumerate();
        let rarest = windows.min_by(|(_, a), (_, b)| frequency(a).total_cmp(&frequency(b)));
        let Some((offset, gram)) = rarest else { return at };
        let key = key(gram);
        let (table, bit) = (size - 2, hash(key, size - 2));
        self.bitmaps[table][bit >> 6] |= 1 << (bit & 63);
        let place = Place { literal: at as u32, offset: offset as u32 };
        self.grams[table].entry(key).or_default().push(place);
        at
    }

    /// Words of a set of candidates, 64 patterns each.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// Sets the bits of the patterns that may match `value` in `out`, which has [`Self::words`] zeros.
    pub fn candidates(&self, value: &[u8], out: &mut [u64]) {
        let mask = value.iter().fold(0, |mask, b| mask | 1 << CLASS_OF[usize::from(*b)]);
        for &id in &self.bare {
            self.consider(id, value, mask, out);
        }
        if !self.literals.is_empty() {
            self.scan(value, mask, out);
        }
    }

    fn consider(&self, id: u16, value: &[u8], mask: ClassMask, out: &mut [u64]) {
        let n = usize::from(id);
        if value.len() >= self.min_len[n] && self.classes[n].iter().all(|c| c & mask != 0) {
            out[n >> 6] |= 1 << (n & 63);
        }
    }

    fn scan(&self, value: &[u8], mask: ClassMask, out: &mut [u64]) {
        let mut at = 0;
        while let Some(window) = value.get(at..at + 4).and_then(|w| <[u8; 4]>::try_from(w).ok()) {
            let four = u32::from_le_bytes(window) | FOLD;
            let three = four & 0x00ff_ffff;
            let two = four & 0xffff;
            let hit = self.bit(2, four) | self.bit(1, three) | self.bit(0, two);
            if hit != 0 {
                self.verify(2, four, at, value, mask, out);
                self.verify(1, three, at, value, mask, out);
                self.verify(0, two, at, value, mask, out);
            }
            at += 1;
        }
        while let Some(window) = value.get(at..).filter(|w| w.len() >= MIN_LITERAL) {
            if let Some(three) = window.get(..3) {
                self.verify(1, key(three), at, value, mask, out);
            }
            self.verify(0, key(&window[..2]), at, value, mask, out);
            at += 1;
        }
    }

    fn bit(&self, table: usize, key: u32) -> u64 {
        let bit = hash(key, table);
        self.bitmaps[table][bit >> 6] >> (bit & 63) & 1
    }

    fn verify(&self, table: usize, key: u32, at: usize, value: &[u8], mask: ClassMask, out: &mut [u64]) {
        let Some(places) = self.grams[table].get(&key) else { return };
        for place in places {
            let literal = &self.literals[place.literal as usize];
            let Some(start) = at.checked_sub(place.offset as usize) else { continue };
            let found = value
                .get(start..start + literal.text.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(&literal.text));
            if found {
                for &id in &literal.patterns {
                    self.consider(id, value, mask, out);
                }
            }
        }
    }
}

/// The class of a byte: letters together, digits together, each punctuation mark by itself.
pub const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => 0,
        b'0'..=b'9' => 1,
        b' ' => 2,
        b'\t' => 3,
        b'\n' => 4,
        b'\r' => 5,
        0x0b | 0x0c => 6,
        0 => 7,
        b'!'..=b'/' => 8 + (byte - b'!'),
        b':'..=b'@' => 23 + (byte - b':'),
        b'['..=b'`' => 30 + (byte - b'['),
        b'{'..=b'~' => 36 + (byte - b'{'),
        0x80..=0xff => 40,
        _ => 41,
    }
}

/// All classes.
pub const ALL_CLASSES: ClassMask = (1 << 42) - 1;

static CLASS_OF: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
};

/// How often text has these bytes beside each other, roughly. Only used to choose between conditions.
pub fn frequency(text: &[u8]) -> f64 {
    let of = |byte: &u8| match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 0.08,
        b'a'..=b'z' => 0.035,
        b'0'..=b'9' => 0.05,
        b' ' => 0.06,
        b'.' | b'-' | b'/' | b'=' | b':' | b'_' | b',' | b';' => 0.03,
        _ => 0.003,
    };
    text.iter().map(of).product()
}

/// Bits of the bitmaps for grams of 2, 3 and 4 bytes.
const BITS: [u32; 3] = [13, 15, 17];
/// Makes letters lower case; what it does to other bytes it does to them in values and literals alike.
const FOLD: u32 = 0x2020_2020;

fn key(gram: &[u8]) -> u32 {
    gram.iter().rev().fold(0, |key, b| key << 8 | u32::from(b | 0x20))
}

fn hash(key: u32, table: usize) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> (32 - BITS[table])) as usize
}

/// A multiplication: grams are few, and chosen by rule authors, not by clients.
#[derive(Debug, Default)]
struct GramHasher(u64);

impl Hasher for GramHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u32(u32::from(*b));
        }
    }
    fn write_u32(&mut self, key: u32) {
        let mixed = (self.0 ^ u64::from(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 29;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(literals: &[&str]) -> Condition {
        Condition {
            min_len: 0,
            classes: [ALL_CLASSES; CLASS_CLAUSES],
            literals: literals.iter().map(|l| l.as_bytes().to_vec()).collect(),
        }
    }

    fn candidates(conditions: &[Condition], value: &[u8]) -> Vec<usize> {
        let prefilter = Prefilter::new(conditions);
        let mut out = vec![0; prefilter.words()];
        prefilter.candidates(value, &mut out);
        (0..conditions.len()).filter(|n| out[n >> 6] >> (n & 63) & 1 == 1).collect()
    }

    #[test]
    fn literals_are_found_anywhere_in_any_case() {
        let conditions =
            [condition(&["union select"]), condition(&["/*"]), condition(&["abc", "x'y"]), condition(&[])];
        for pad in 0..6 {
            for tail in 0..6 {
                let around =
                    |text: &str| format!("{}{text}{}", "-".repeat(pad), "-".repeat(tail)).into_bytes();
                assert_eq!(candidates(&conditions, &around("uNion SELECT")), [0, 3]);
                assert_eq!(candidates(&conditions, &around("/*")), [1, 3]);
                assert_eq!(candidates(&conditions, &around("aBC")), [2, 3]);
                assert_eq!(candidates(&conditions, &around("X'y")), [2, 3]);
                assert_eq!(candidates(&conditions, &around("x_y")), [3]);
            }
        }
    }

    #[test]
    fn length_and_classes_count() {
        let conditions = [Condition {
            min_len: 3,
            classes: [ALL_CLASSES, 1 << class_of(b'<'), ALL_CLASSES],
            literals: vec![],
        }];
        assert_eq!(candidates(&conditions, b"<b"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"abc"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"<bc"), [0]);
    }

    #[test]
    fn every_byte_has_a_class() {
        assert!((0..=255).all(|b| ALL_CLASSES >> class_of(b) & 1 == 1));
    }
}
