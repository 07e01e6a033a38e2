//! Grams, the few bytes that a literal is found by, in tables that are soon asked.
//!
//! Grams are folded, which makes letters lower case; what that does to other bytes it does to them in values and literals
//! alike.

/// Literals that are found by the same number of bytes.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Places by their bytes: a power of two of them, open addressing.
    buckets: Box<[Bucket]>,
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    key: u32,
    /// Range in `places`; an empty one is a free bucket.
    start: u32,
    end: u32,
}

/// Bytes that stand at `offset` in a literal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) key: u32,
    pub(super) literal: u32,
    pub(super) offset: u16,
    /// A byte beside them, folded, and where it stands from their first on. Many literals may have the same rarest bytes.
    pub(super) beside: (i8, u8),
}

impl Table {
    pub(super) fn new(mut places: Vec<Place>) -> Self {
        if places.is_empty() {
            return Self::default();
        }
        places.sort_by_key(|p| p.key);
        let mut buckets = vec![Bucket::default(); (places.len() * 2).next_power_of_two()];
        let mut start = 0;
        for same in places.chunk_by(|a, b| a.key == b.key) {
            let key = same[0].key;
            let mut at = bucket(key, buckets.len());
            while buckets[at].end != buckets[at].start {
                at = (at + 1) & (buckets.len() - 1);
            }
            buckets[at] = Bucket { key, start, end: start + same.len() as u32 };
            start += same.len() as u32;
        }
        Self { buckets: buckets.into(), places: places.into() }
    }

    /// The places of what has these bytes.
    pub(super) fn places(&self, key: u32) -> &[Place] {
        if self.buckets.is_empty() {
            return &[];
        }
        let mut at = bucket(key, self.buckets.len());
        loop {
            let Bucket { key: known, start, end } = self.buckets[at];
            if start == end {
                return &[];
            }
            if known == key {
                return &self.places[start as usize..end as usize];
            }
            at = (at + 1) & (self.buckets.len() - 1);
        }
    }
}

/// A set of three bytes each that may have more of them than were put in. Five bits of two bytes choose a word, and six of
/// the third a bit in it: letters, of which most text is made, are told apart, and other bytes pass for some of them.
pub(super) struct Triples(Box<[u64; 1 << 10]>);

impl Triples {
    /// For each byte of a folded word, where it and the next one are found, and the bit for it as a third.
    #[inline(always)]
    pub(super) fn spread(word: u64) -> (u64, u64) {
        let five = word & 0x1f1f_1f1f_1f1f_1f1f;
        (five ^ five >> 3, five | word >> 1 & 0x2020_2020_2020_2020)
    }

    /// In the lowest bit, whether it may have the three bytes from the `n`th on.
    #[inline(always)]
    pub(super) fn bits(&self, (pairs, thirds): (u64, u64), n: u32) -> u64 {
        let word = self.0[(pairs >> (8 * n)) as usize & 0x3ff];
        word.wrapping_shr((thirds >> (8 * (n + 2))) as u32)
    }

    pub(super) fn insert(&mut self, three: u32) {
        let (pairs, thirds) = Self::spread(u64::from(three));
        self.0[pairs as usize & 0x3ff] |= 1_u64.wrapping_shl((thirds >> 16) as u32);
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0[..]).for_each(|(all, more)| *all |= more);
    }
}

impl Default for Triples {
    fn default() -> Self {
        Self(Box::new([0; 1 << 10]))
    }
}

impl std::fmt::Debug for Triples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Triples")
    }
}

/// A set of grams that may have more of them than were put in.
pub(super) struct Bitmap(Box<[u64; 1 << (BITS - 6)]>);

impl Bitmap {
    pub(super) fn insert(&mut self, gram: u32) {
        let bit = Self::bit(gram);
        self.0[bit >> 6] |= 1 << (bit & 63);
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0[..]).for_each(|(all, more)| *all |= more);
    }

    #[inline(always)]
    pub(super) fn has(&self, gram: u32) -> bool {
        self.bits(gram) & 1 != 0
    }

    /// In the lowest bit, whether it may have `gram`.
    #[inline(always)]
    pub(super) fn bits(&self, gram: u32) -> u64 {
        let bit = Self::bit(gram);
        self.0[bit >> 6] >> (bit & 63)
    }

    /// A multiplication spreads grams over the upper bits.
    #[inline(always)]
    fn bit(gram: u32) -> usize {
        (gram.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
    }
}

impl Default for Bitmap {
    fn default() -> Self {
        Self(Box::new([0; 1 << (BITS - 6)]))
    }
}

impl std::fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bitmap")
    }
}

/// Bits of a bitmap: 8 KiB, so that two of them and the value share the first-level cache.
const BITS: u32 = 16;
/// Makes letters lower case; what it does to other bytes it does to them in values and literals alike.
pub(super) const FOLDED_BIT: u8 = 0x20;
/// The same for eight bytes.
pub(super) const FOLD: u64 = 0x2020_2020_2020_2020;
/// Bytes that a literal is found by.
pub(super) const GRAM: usize = 4;
/// The first two bytes of a gram.
pub(super) const TWO_BYTES: u32 = 0x0000_ffff;
/// The first three bytes of a gram.
pub(super) const THREE_BYTES: u32 = 0x00ff_ffff;

/// A gram as a number, its first byte lowest.
pub(super) fn key(gram: &[u8]) -> u32 {
    gram.iter().rev().fold(0, |key, b| key << 8 | u32::from(b | FOLDED_BIT))
}

/// A multiplication is enough: grams are few, and chosen by rule authors, not by clients.
fn bucket(key: u32, buckets: usize) -> usize {
    (key.wrapping_mul(0x85EB_CA6B) >> 7) as usize & (buckets - 1)
}
