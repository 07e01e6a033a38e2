//! What came of values that were looked at before, in any transaction: which rules of a group could not match them.
//!
//! Clients that keep a connection send the same `User-Agent` with every request, and forms have the same names for
//! years. A rule's answer about a value depends on the value alone, so it may be remembered, whoever sent it.
//!
//! Bounded in values and bytes, and safe to flood: a value is remembered when it comes for the second time, in the place
//! of another. Whoever sends values that nobody sends twice changes nothing but a few words of memory; whoever sends
//! each twice takes from others what they would have paid without it. Keys are compared whole, so that values whose
//! hashes agree are never mistaken for each other.

use arc_swap::{ArcSwapOption, Guard};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The verdicts of a ruleset.
pub struct Verdicts {
    known: Box<[ArcSwapOption<Verdict>]>,
    /// For each of them a part of its key's hash, which tells mostly without a look at it that it is another's.
    marks: Box<[AtomicU32]>,
    /// Of values that came by once, a part of the hash.
    seen: Box<[AtomicU32]>,
    state: foldhash::fast::RandomState,
}

/// What is known of one value.
#[derive(Debug)]
pub struct Verdict {
    key: Key,
    value: Box<[u8]>,
    /// The rules that looked at it.
    pub asked: Box<[u64]>,
    /// Those of them that may match it.
    pub left: Box<[u64]>,
}

/// A hash of a value, for a group of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    hash: u64,
    group: u32,
}

impl Verdicts {
    /// A hash of `value`, the same for all groups.
    pub fn hash(&self, value: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(value);
        hasher.finish()
    }

    /// What is known of `value`, if anything.
    pub fn get(&self, key: Key, value: &[u8]) -> Option<Guard<Option<Arc<Verdict>>>> {
        let place = key.place(VERDICTS);
        if self.marks[place].load(Ordering::Relaxed) != key.mark() {
            return None;
        }
        let known = self.known[place].load();
        known.as_ref().filter(|v| v.key == key && *v.value == *value)?;
        Some(known)
    }

    /// Remembers of `value`, if it has been here before, that of the rules in `asked` those in `left` may match it.
    pub fn learn(&self, key: Key, value: &[u8], asked: &[u64], left: &[u64]) {
        let (seen, mark) = (&self.seen[key.place(SEEN)], key.mark());
        if seen.swap(mark, Ordering::Relaxed) != mark {
            return;
        }
        let verdict = Verdict { key, value: value.into(), asked: asked.into(), left: left.into() };
        let place = key.place(VERDICTS);
        self.known[place].store(Some(Arc::new(verdict)));
        self.marks[place].store(mark, Ordering::Relaxed);
    }
}

impl Key {
    /// The key of a value with this hash for the group with this number in the ruleset.
    pub fn new(hash: u64, group: u32) -> Self {
        Self { hash, group }
    }

    fn mixed(self) -> u64 {
        (self.hash ^ u64::from(self.group) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn place(self, places: usize) -> usize {
        (self.mixed() >> 40) as usize & (places - 1)
    }

    /// Never 0, which stands for nothing.
    fn mark(self) -> u32 {
        self.mixed() as u32 | 1
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            known: (0..VERDICTS).map(|_| ArcSwapOption::empty()).collect(),
            marks: (0..VERDICTS).map(|_| AtomicU32::new(0)).collect(),
            seen: (0..SEEN).map(|_| AtomicU32::new(0)).collect(),
            state: foldhash::fast::RandomState::default(),
        }
    }
}

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verdicts")
    }
}

/// Bytes of the longest value that is remembered. Browsers' headers have up to 200; what is longer seldom comes twice.
pub const LONGEST: usize = 512;
/// Values that are remembered, a power of two. With CRS, all of them together take 6 MiB at most; each takes a quarter of
/// a byte more for each rule that a group has beside.
const VERDICTS: usize = 8_192;
/// Values that are known to have come by, a power of two.
const SEEN: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_remembered_when_it_comes_again() {
        let verdicts = Verdicts::default();
        let key = Key::new(verdicts.hash(b"Mozilla"), 3);
        verdicts.learn(key, b"Mozilla", &[7], &[4]);
        assert!(verdicts.get(key, b"Mozilla").is_none(), "it came once");
        verdicts.learn(key, b"Mozilla", &[7], &[4]);
        let known = verdicts.get(key, b"Mozilla").expect("it came twice");
        assert_eq!(known.as_ref().map(|v| (v.asked[0], v.left[0])), Some((7, 4)));
        assert!(verdicts.get(Key::new(verdicts.hash(b"Mozilla"), 4), b"Mozilla").is_none(), "another group");
        assert!(verdicts.get(key, b"mozilla").is_none(), "another value, were its hash the same");
    }

    #[test]
    fn a_flood_of_new_values_evicts_nothing() {
        let verdicts = Verdicts::default();
        let key = Key::new(verdicts.hash(b"known"), 0);
        for _ in 0..2 {
            verdicts.learn(key, b"known", &[1], &[0]);
        }
        for n in 0..100_000_u32 {
            let value = n.to_le_bytes();
            verdicts.learn(Key::new(verdicts.hash(&value), 0), &value, &[1], &[0]);
        }
        // A mark in 32 bits is mistaken for another now and then.
        let left = verdicts.known.iter().filter(|v| v.load().is_some()).count();
        assert!(left < 10, "{left} values are remembered");
    }
}
