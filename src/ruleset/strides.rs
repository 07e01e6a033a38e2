//! Every second place of a value, asked whether a longer literal is found by the bytes there.
//!
//! A literal of six bytes or more has two grams of five bytes beside each other, one of which begins at every second place
//! that it stands at. To look for both of them at half the places takes half as long, and five bytes are met with by
//! chance less often than four.

use super::grams::FOLD;

/// Places from one that is looked at to the next.
pub(super) const STRIDE: usize = 2;
/// Bytes of a gram.
pub(super) const WIDE: usize = 5;

/// What stands for the gram that `text` begins with, letters without regard to case; `None` where it has not so many bytes.
pub(super) fn key(text: &[u8]) -> Option<u32> {
    let gram = text.first_chunk::<WIDE>()?;
    Some(key_of(hash(word(gram))))
}

/// A set of grams that may have more of them than were put in.
pub(super) struct Strides(Box<[u64; 1 << (BITS - 6)]>);

impl Strides {
    pub(super) fn new(keys: impl Iterator<Item = u32>) -> Self {
        let mut set = Self(Box::new([0; _]));
        for key in keys {
            let bit = key >> (u32::BITS - BITS);
            set.0[bit as usize >> 6] |= 1 << (bit & 63);
        }
        set
    }

    /// Calls back for each [`STRIDE`]th place of `text` from `from` on that may have one of the grams, with what stands for
    /// that. Behind the end, zeros are taken for bytes.
    #[inline(always)]
    pub(super) fn find(&self, text: &[u8], from: usize, mut found: impl FnMut(u32, usize)) {
        let mut at = from;
        while let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk::<WINDOW>()) {
            let hash = |n: usize| hash(word(&bytes[n * STRIDE..][..size_of::<u64>()]));
            // Told of all of them before the first branch: most lead nowhere.
            let mut hits = 0;
            for n in (0..AT_ONCE).step_by(UNROLLED).rev() {
                let some: [u64; UNROLLED] = std::array::from_fn(|m| self.bit(hash(n + m)));
                hits = some.iter().rev().fold(hits, |hits, bit| hits << 1 | bit);
            }
            while hits != 0 {
                let n = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                found(key_of(hash(n)), at + n * STRIDE);
            }
            at += AT_ONCE * STRIDE;
        }
        while at < text.len() {
            let hash = hash(word(&text[at..]));
            if self.bit(hash) != 0 {
                found(key_of(hash), at);
            }
            at += STRIDE;
        }
    }

    /// 1 if it may have the gram of this hash, or 0.
    #[inline(always)]
    fn bit(&self, hash: u64) -> u64 {
        let word = self.0[(hash >> (u64::BITS - BITS + 6)) as usize];
        let bit = 1_u64.wrapping_shl((hash >> (u64::BITS - BITS)) as u32);
        u64::from(word & bit != 0)
    }
}

impl std::fmt::Debug for Strides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Strides")
    }
}

/// What `text` begins with, its first byte lowest.
#[inline(always)]
fn word(text: &[u8]) -> u64 {
    let mut word = [0; size_of::<u64>()];
    let bytes = text.len().min(word.len());
    word[..bytes].copy_from_slice(&text[..bytes]);
    u64::from_le_bytes(word)
}

/// Spreads the gram that a word begins with over the upper bits.
#[inline(always)]
fn hash(word: u64) -> u64 {
    let gram = (word | FOLD) << (u64::BITS as usize - 8 * WIDE);
    gram.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline(always)]
fn key_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Bits of a set: 16 KiB.
const BITS: u32 = 17;
/// Places that are looked at together.
const AT_ONCE: usize = 32;
/// Those of them that take no loop.
const UNROLLED: usize = 8;
/// The bytes that are looked at together.
const WINDOW: usize = (AT_ONCE - 1) * STRIDE + size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_place_is_told_of() {
        let set = Strides::new(["ab cd", "99999"].iter().filter_map(|gram| key(gram.as_bytes())));
        for (length, at) in (5..200).flat_map(|length| (0..=length - 5).map(move |at| (length, at))) {
            let mut text = vec![b'x'; length];
            text[at..at + 5].copy_from_slice(b"aB Cd");
            for from in [0, 1] {
                let mut found = Vec::new();
                set.find(&text, from, |key, at| found.push((key, at)));
                let wanted = (at >= from && (at - from) % STRIDE == 0)
                    .then(|| (key(b"ab cd").expect("five bytes"), at));
                assert_eq!(found, Vec::from_iter(wanted), "{length} {at}");
            }
        }
        assert_eq!(key(b"abcd"), None);
        assert_eq!(key(b"abcde"), key(b"ABCDEFG"));
    }
}
