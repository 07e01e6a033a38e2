//! Which patterns cannot match a value, told in one pass over it.
//!
//! A prefilter is made of conditions that are necessary for a match: a least length, classes of bytes of which one
//! must occur, literals of which one must occur. It only ever says "cannot match"; a value that meets all
//! conditions of a pattern is a candidate, and the pattern itself decides. Letters count without regard to case
//! throughout, so that a value and its lower-case form have the same candidates.
//!
//! Patterns are numbered from 0, and sets of them are words of 64 bits. Length and classes are told for all patterns
//! at once, from tables. Literals are found by their rarest two to four bytes: a bitmap in the first-level cache
//! answers for almost every position, and only its hits are compared.

use crate::transform::ByteSet;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Classes of bytes, a bit each ([`class_of`]).
pub type ClassMask = u64;

/// What must hold for one pattern.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Bytes that every match has at least.
    pub min_len: usize,
    /// Of each of these sets of classes, one must occur.
    pub classes: [ClassMask; CLASS_CLAUSES],
    /// Of each of these lists, one literal must occur, in any case. Lower case, each of at least [`MIN_LITERAL`]
    /// bytes; an empty list asks for nothing.
    pub literals: [Vec<Vec<u8>>; LITERAL_CLAUSES],
}

/// Class clauses of one pattern.
pub const CLASS_CLAUSES: usize = 4;
/// Lists of literals of one pattern.
pub const LITERAL_CLAUSES: usize = 2;
/// Bytes that a literal must have to be looked for; single bytes are what classes are for.
pub const MIN_LITERAL: usize = 2;

/// The conditions of a group of patterns.
#[derive(Debug, Default)]
pub struct Prefilter {
    words: usize,
    /// For each length up to [`LONGEST`], the patterns that a value of that length may match.
    by_length: Vec<u64>,
    /// For each clause and class, the patterns whose clause the class meets.
    by_class: Vec<u64>,
    /// The patterns that do not have this clause.
    classless: [Vec<u64>; CLASS_CLAUSES],
    /// The patterns that do not have this list of literals.
    without: [Vec<u64>; LITERAL_CLAUSES],
    /// The patterns with a literal that is found by 2, 3 or 4 bytes.
    with: [Vec<u64>; 3],
    literals: Vec<Literal>,
    /// For grams of 2, 3 and 4 bytes: which may begin a literal's rarest part.
    bitmaps: [Vec<u64>; 3],
    grams: [HashMap<u32, Vec<Place>, BuildHasherDefault<GramHasher>>; 3],
}

#[derive(Debug)]
struct Literal {
    text: Box<[u8]>,
    /// For each list, the patterns that name it there.
    patterns: [Box<[u64]>; LITERAL_CLAUSES],
}

/// A gram's place in a literal.
#[derive(Clone, Copy, Debug)]
struct Place {
    literal: u32,
    offset: u32,
}

/// Patterns whose literals have been found so far, by list.
type FoundLiterals = [smallvec::SmallVec<[u64; 8]>; LITERAL_CLAUSES];

impl Prefilter {
    /// A prefilter of `conditions`; pattern `n` is the `n`th of them.
    pub fn new(conditions: &[&Condition]) -> Self {
        let words = conditions.len().div_ceil(64);
        let mut prefilter = Self {
            words,
            by_length: vec![0; (LONGEST + 1) * words],
            by_class: vec![0; CLASS_CLAUSES * CLASSES * words],
            classless: std::array::from_fn(|_| vec![0; words]),
            without: std::array::from_fn(|_| vec![0; words]),
            with: std::array::from_fn(|_| vec![0; words]),
            bitmaps: [0, 1, 2].map(|i| vec![0; 1 << (BITS[i] - 6)]),
            ..Self::default()
        };
        let mut known: HashMap<&[u8], (usize, usize)> = HashMap::new();
        for (n, condition) in conditions.iter().enumerate() {
            let (word, bit) = (n >> 6, 1 << (n & 63));
            for length in condition.min_len.min(LONGEST)..=LONGEST {
                prefilter.by_length[length * words + word] |= bit;
            }
            for (clause, classes) in condition.classes.iter().enumerate() {
                // Met by any byte is not enough: a value may be empty.
                if *classes == ALL_CLASSES {
                    prefilter.classless[clause][word] |= bit;
                }
                for class in (0..CLASSES).filter(|class| classes >> class & 1 == 1) {
                    prefilter.by_class[(clause * CLASSES + class) * words + word] |= bit;
                }
            }
            for (list, literals) in condition.literals.iter().enumerate() {
                if literals.is_empty() {
                    prefilter.without[list][word] |= bit;
                }
                for literal in literals {
                    let (at, table) = *known.entry(literal).or_insert_with(|| prefilter.add(literal));
                    prefilter.literals[at].patterns[list][word] |= bit;
                    prefilter.with[table][word] |= bit;
                }
            }
        }
        prefilter
    }

    fn add(&mut self, literal: &[u8]) -> (usize, usize) {
        let at = self.literals.len();
        let patterns = std::array::from_fn(|_| vec![0; self.words].into());
        self.literals.push(Literal { text: literal.into(), patterns });
        let size = literal.len().clamp(MIN_LITERAL, 4);
        let table = size - 2;
        let windows = literal.windows(size).enumerate();
        let rarest = windows.min_by(|(_, a), (_, b)| frequency(a).total_cmp(&frequency(b)));
        let Some((offset, gram)) = rarest else { return (at, table) };
        let key = key(gram);
        let bit = hash(key, table);
        self.bitmaps[table][bit >> 6] |= 1 << (bit & 63);
        let place = Place { literal: at as u32, offset: offset as u32 };
        self.grams[table].entry(key).or_default().push(place);
        (at, table)
    }

    /// Words of a set of patterns, 64 patterns each.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Takes from `set` the patterns that need a longer value than `length`. Returns whether any are left.
    pub fn retain_long(&self, length: usize, set: &mut [u64]) -> bool {
        let row = length.min(LONGEST) * self.words;
        let mut left = 0;
        for (patterns, long) in set.iter_mut().zip(&self.by_length[row..]) {
            *patterns &= long;
            left |= *patterns;
        }
        left != 0
    }

    /// Takes from `set` the patterns that need other classes of bytes than `mask`. Returns whether any are left.
    pub fn retain_permitted(&self, mask: ClassMask, set: &mut [u64]) -> bool {
        let mut left = 0;
        for (word, patterns) in set.iter_mut().enumerate() {
            if *patterns == 0 {
                continue;
            }
            for clause in 0..CLASS_CLAUSES {
                let mut met = self.classless[clause][word];
                let mut rest = mask & ALL_CLASSES;
                while rest != 0 {
                    let class = rest.trailing_zeros() as usize;
                    met |= self.by_class[(clause * CLASSES + class) * self.words + word];
                    rest &= rest - 1;
                }
                *patterns &= met;
            }
            left |= *patterns;
        }
        left != 0
    }

    /// Takes from `set` the patterns whose literals do not occur in `value`. Returns whether any are left.
    pub fn retain_found(&self, value: &[u8], set: &mut [u64]) -> bool {
        let mut found: FoundLiterals =
            std::array::from_fn(|list| smallvec::SmallVec::from_slice(&self.without[list]));
        let wanted =
            |table: usize| self.with[table].iter().zip(set.iter()).any(|(with, set)| with & set != 0);
        match (wanted(0), wanted(1), wanted(2)) {
            (false, false, false) => {}
            (false, false, true) => self.scan::<false, true>(value, set, &mut found),
            (false, true, _) => self.scan::<false, false>(value, set, &mut found),
            (true, false, _) => self.scan::<true, true>(value, set, &mut found),
            (true, true, _) => self.scan::<true, false>(value, set, &mut found),
        }
        let mut left = 0;
        for (word, patterns) in set.iter_mut().enumerate() {
            for list in &found {
                *patterns &= list[word];
            }
            left |= *patterns;
        }
        left != 0
    }

    /// Looks for literals of four bytes and more; for those of two when `TWO`, and for those of three unless
    /// `NO_THREE`.
    fn scan<const TWO: bool, const NO_THREE: bool>(
        &self,
        value: &[u8],
        set: &[u64],
        found: &mut FoundLiterals,
    ) {
        let (twos, threes, fours) = (&self.bitmaps[0][..], &self.bitmaps[1][..], &self.bitmaps[2][..]);
        for (at, window) in value.windows(4).enumerate() {
            let four = u32::from_le_bytes([window[0], window[1], window[2], window[3]]) | FOLD;
            let three = four & 0x00ff_ffff;
            let two = four & 0xffff;
            let mut hit = bit(fours, hash(four, 2));
            if !NO_THREE {
                hit |= bit(threes, hash(three, 1));
            }
            if TWO {
                hit |= bit(twos, hash(two, 0));
            }
            if hit & 1 != 0 {
                self.verify(2, four, at, value, set, found);
                if !NO_THREE {
                    self.verify(1, three, at, value, set, found);
                }
                if TWO {
                    self.verify(0, two, at, value, set, found);
                }
            }
        }
        for at in value.len().saturating_sub(3)..value.len() {
            let Some(window) = value.get(at..).filter(|w| w.len() >= MIN_LITERAL) else { break };
            if let Some(three) = window.get(..3) {
                self.verify(1, key(three), at, value, set, found);
            }
            self.verify(0, key(&window[..2]), at, value, set, found);
        }
    }

    fn verify(
        &self,
        table: usize,
        key: u32,
        at: usize,
        value: &[u8],
        set: &[u64],
        found: &mut FoundLiterals,
    ) {
        if bit(&self.bitmaps[table], hash(key, table)) & 1 == 0 {
            return;
        }
        let Some(places) = self.grams[table].get(&key) else { return };
        for place in places {
            let literal = &self.literals[place.literal as usize];
            // Whether it would tell anything new.
            let news = literal.patterns.iter().zip(found.iter()).any(|(patterns, found)| {
                patterns.iter().zip(found).zip(set).any(|((new, old), set)| new & !old & set != 0)
            });
            if !news {
                continue;
            }
            let Some(start) = at.checked_sub(place.offset as usize) else { continue };
            let occurs = value
                .get(start..start + literal.text.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(&literal.text));
            if occurs {
                for (patterns, found) in literal.patterns.iter().zip(found.iter_mut()) {
                    for (new, old) in patterns.iter().zip(found.iter_mut()) {
                        *old |= new;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn bit(bitmap: &[u64], bit: usize) -> u64 {
    bitmap[bit >> 6] >> (bit & 63)
}

/// The class of a byte: lower-case letters together, upper-case letters together, digits together, each
/// punctuation mark by itself.
pub const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => LOWER,
        b'A'..=b'Z' => UPPER,
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
        0xa0 => 41,
        0x80..=0xff => 40,
        _ => 42,
    }
}

const LOWER: u8 = 0;
const UPPER: u8 = 43;
const CLASSES: usize = 44;

/// Alphabets that common values are made of, smallest first; the last is everything. Within an alphabet a pattern
/// often needs much more than without: what it may have between its letters to evade detection falls away.
pub const ALPHABETS: [ClassMask; 5] = {
    const WORD: ClassMask = any_case(1 << LOWER)
        | 1 << class_of(b'0')
        | 1 << class_of(b'_')
        | 1 << class_of(b'-')
        | 1 << class_of(b'.');
    [
        WORD,
        WORD | classes(b"/:?=&%+@~,"),
        WORD | classes(b" ,'!?:/\n\r\x80\xa0"),
        WORD | classes(b" ;()/:,=%+*\""),
        ALL_CLASSES,
    ]
};

const fn classes(bytes: &[u8]) -> ClassMask {
    let mut mask = 0;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        mask |= 1 << class_of(*byte);
        rest = tail;
    }
    mask
}

/// All classes.
pub const ALL_CLASSES: ClassMask = (1 << CLASSES) - 1;

/// `mask`, and with letters of one case those of the other.
pub const fn any_case(mask: ClassMask) -> ClassMask {
    const LETTERS: ClassMask = 1 << LOWER | 1 << UPPER;
    if mask & LETTERS != 0 { mask | LETTERS } else { mask }
}

/// The classes of the bytes of `value`.
pub fn mask_of(value: &[u8]) -> ClassMask {
    // Four at a time, so that one need not wait for the other.
    let (chunks, rest) = value.as_chunks::<4>();
    let class = |byte: u8| CLASS_OF[usize::from(byte)];
    let mut masks = [0; 4];
    for bytes in chunks {
        for (mask, byte) in masks.iter_mut().zip(bytes) {
            *mask |= class(*byte);
        }
    }
    rest.iter().fold(masks.into_iter().fold(0, |a, b| a | b), |mask, byte| mask | class(*byte))
}

/// The classes of the bytes in `set`.
pub fn mask_of_set(set: &ByteSet) -> ClassMask {
    (0..=u8::MAX).filter(|b| set.contains(*b)).fold(0, |mask, b| mask | 1 << class_of(b))
}

static CLASS_OF: [ClassMask; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = 1 << class_of(byte as u8);
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
const BITS: [u32; 3] = [13, 15, 16];
/// Lengths beyond this count as this.
const LONGEST: usize = 31;
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
            literals: [literals.iter().map(|l| l.as_bytes().to_vec()).collect(), Vec::new()],
        }
    }

    fn candidates(conditions: &[Condition], value: &[u8]) -> Vec<usize> {
        let prefilter = Prefilter::new(&conditions.iter().collect::<Vec<_>>());
        let mut out = vec![u64::MAX; prefilter.words()];
        prefilter.retain_long(value.len(), &mut out);
        prefilter.retain_permitted(mask_of(value), &mut out);
        prefilter.retain_found(value, &mut out);
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
            classes: [ALL_CLASSES, 1 << class_of(b'<'), ALL_CLASSES, ALL_CLASSES],
            literals: Default::default(),
        }];
        assert_eq!(candidates(&conditions, b"<b"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"abc"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"<bc"), [0]);
    }

    #[test]
    fn of_each_list_one_literal_must_occur() {
        let both =
            Condition { literals: [vec![b"union".to_vec()], vec![b"select".to_vec()]], ..condition(&[]) };
        let conditions = [both];
        assert_eq!(candidates(&conditions, b"a union of all"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"select a union"), [0]);
    }

    #[test]
    fn every_byte_has_a_class() {
        assert!((0..=255).all(|b| ALL_CLASSES >> class_of(b) & 1 == 1));
    }
}
