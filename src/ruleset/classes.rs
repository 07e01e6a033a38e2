//! Classes of bytes: which mixtures of them a value is made of, and how common they are in ordinary values.

use crate::transform::ByteSet;

/// Classes of bytes, a bit each ([`class_of`]).
pub type ClassMask = u64;

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
/// How many classes there are.
pub const CLASSES: usize = 44;

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
        WORD | classes(b" ,!?:/+\n\r\x80\xa0"),
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

/// The class of a byte as a mask.
#[inline]
pub fn class_mask(byte: u8) -> ClassMask {
    CLASS_OF[usize::from(byte)]
}

/// The classes of the bytes of `value`.
pub fn mask_of(value: &[u8]) -> ClassMask {
    // Four at a time, so that one need not wait for the other.
    let (chunks, rest) = value.as_chunks::<4>();
    let mut masks = [0; 4];
    for bytes in chunks {
        for (mask, byte) in masks.iter_mut().zip(bytes) {
            *mask |= class_mask(*byte);
        }
    }
    rest.iter().fold(masks.into_iter().fold(0, |a, b| a | b), |mask, byte| mask | class_mask(*byte))
}

/// The classes of the bytes in `set`.
pub fn mask_of_set(set: &ByteSet) -> ClassMask {
    (0..=u8::MAX).filter(|b| set.contains(*b)).fold(0, |mask, b| mask | 1 << class_of(b))
}

/// The classes all of whose bytes are in `set`.
pub fn classes_in(set: &ByteSet) -> ClassMask {
    let others = (0..=u8::MAX).filter(|b| !set.contains(*b)).fold(0, |mask, b| mask | 1 << class_of(b));
    ALL_CLASSES & !others
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

/// The same for bytes that a literal is found by: the more often two letters stand beside each other in words, the more
/// places look like it.
pub fn gram_frequency(gram: &[u8]) -> f64 {
    let together = |pair: &[u8]| match *pair {
        [a, b] if COMMON_PAIRS.contains(&[a, b]) => 3.0,
        [b'a'..=b'z', b'a'..=b'z'] => 0.5,
        _ => 1.0,
    };
    frequency(gram) * gram.windows(2).map(together).product::<f64>()
}

/// The commonest pairs of letters in English words, commonest first.
const COMMON_PAIRS: &[[u8; 2]] = &[
    *b"th", *b"he", *b"in", *b"er", *b"an", *b"re", *b"on", *b"at", *b"en", *b"nd", *b"ti", *b"es", *b"or",
    *b"te", *b"of", *b"ed", *b"is", *b"it", *b"al", *b"ar", *b"st", *b"to", *b"nt", *b"ng", *b"se", *b"ha",
    *b"as", *b"ou", *b"io", *b"le", *b"ve", *b"co", *b"me", *b"de", *b"hi", *b"ri", *b"ro", *b"ic", *b"ne",
    *b"ea", *b"ra", *b"ce", *b"li", *b"ch", *b"ll", *b"be", *b"ma", *b"si", *b"om", *b"ur",
];

/// How likely a value is to have a byte of one of these classes, roughly. Only used to choose between conditions.
pub fn likelihood(classes: ClassMask) -> f64 {
    let of = |class: usize| {
        let class = class as u8;
        if class == LOWER || class == UPPER || class == class_of(b'0') {
            1.0
        } else if b" .-/_".iter().any(|b| class_of(*b) == class) {
            0.01
        } else if b":=&,?%@+;!'\n\r\xff".iter().any(|b| class_of(*b) == class) {
            0.003
        } else {
            0.001
        }
    };
    (0..CLASSES).filter(|class| classes >> class & 1 == 1).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_class() {
        assert!((0..=255).all(|b| ALL_CLASSES >> class_of(b) & 1 == 1));
    }

    #[test]
    fn a_mask_tells_of_every_byte() {
        for length in 0..12 {
            for at in 0..length {
                let mut value = vec![b'a'; length];
                value[at] = b'<';
                assert_eq!(mask_of(&value) >> class_of(b'<') & 1, 1);
            }
        }
    }
}
