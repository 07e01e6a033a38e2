//! A set of byte values, one bit each: which bytes a value contains, which a transformation can change.

/// A set of bytes, 256 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const EMPTY: Self = Self([0; 4]);

    /// The bytes that occur in `bytes`, for constants; [`ByteSet::present_in`] is quicker where a value is given.
    pub const fn of(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            words[(*byte >> 6) as usize] |= 1 << (*byte & 63);
            rest = tail;
        }
        Self(words)
    }

    /// The bytes that occur in `value`.
    pub fn present_in(value: &[u8]) -> Self {
        // Neighbours are mostly letters, and so of one word: a set for each of four bytes keeps them from waiting
        // for each other.
        let mut lanes = [[0_u64; 4]; 4];
        let (chunks, rest) = value.as_chunks::<4>();
        for bytes in chunks {
            for (lane, byte) in lanes.iter_mut().zip(bytes) {
                lane[usize::from(*byte >> 6)] |= 1 << (byte & 63);
            }
        }
        for byte in rest {
            lanes[0][usize::from(*byte >> 6)] |= 1 << (byte & 63);
        }
        let [a, b, c, d] = lanes.map(Self);
        a.union(b).union(c.union(d))
    }

    /// The bytes from `low` to `high`, both included; none when `low` is above `high`.
    pub const fn range(low: u8, high: u8) -> Self {
        let mut words = [0; 4];
        let mut byte = low as usize;
        while byte <= high as usize {
            words[byte >> 6] |= 1 << (byte & 63);
            byte += 1;
        }
        Self(words)
    }

    /// The bytes of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// The bytes that are not in this set.
    #[must_use]
    pub const fn complement(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a, !b, !c, !d])
    }

    /// Whether `byte` is in the set.
    pub const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// Whether the sets share a byte.
    pub const fn intersects(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    /// Whether every byte of this set is in `other`.
    pub const fn is_subset(&self, other: &Self) -> bool {
        !self.intersects(&other.complement())
    }

    /// The offset of the first byte of `value` at or after `from` that is in the set.
    pub fn find(&self, value: &[u8], from: usize) -> Option<usize> {
        value.get(from..)?.iter().position(|b| self.contains(*b)).map(|i| from + i)
    }

    /// The set as four words, the lowest bytes in the lowest bits of the first.
    pub const fn words(&self) -> [u64; 4] {
        self.0
    }

    /// The set with these words ([`ByteSet::words`]).
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_what_was_put_in() {
        let set = ByteSet::of(b"\0a\xff").union(ByteSet::range(b'0', b'9'));
        let members: Vec<u8> = (0..=255).filter(|b| set.contains(*b)).collect();
        assert_eq!(members, b"\x000123456789a\xff");
        assert!((0..=255).all(|b| set.contains(b) != set.complement().contains(b)));
        assert_eq!(ByteSet::range(0, 255), ByteSet::EMPTY.complement());
        assert_eq!(ByteSet::range(9, 8), ByteSet::EMPTY);
        assert_eq!(ByteSet::from_words(set.words()), set);
    }

    #[test]
    fn a_value_has_the_bytes_it_has() {
        let value: Vec<u8> = (0..=255).collect();
        for end in 0..=value.len() {
            let part = &value[end / 2..end];
            assert_eq!(ByteSet::present_in(part), ByteSet::of(part));
        }
    }

    #[test]
    fn relations() {
        let (digits, word) = (ByteSet::range(b'0', b'9'), ByteSet::of(b"x7"));
        assert!(digits.intersects(&word) && !word.is_subset(&digits));
        assert!(ByteSet::of(b"42").is_subset(&digits) && ByteSet::EMPTY.is_subset(&word));
        assert!(!ByteSet::EMPTY.intersects(&digits));
        assert_eq!(digits.find(b"a1b2", 2), Some(3));
        assert_eq!(digits.find(b"a1b2", 9), None);
    }
}
