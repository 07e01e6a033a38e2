//! Gates, which pass over most places of a value: they tell of a few bytes whether a literal may be found by them.
//!
//! Gates for a part of the literals are soon made, since what each pattern asks for is kept as grams that have only to be
//! put in. They know nothing of literals themselves.

use super::grams::{Bitmap, FOLDED_BIT, GRAM, THREE_BYTES, Triples};
use super::strides::{STRIDE, Strides};
use aho_corasick::packed;

/// What literals are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gram {
    pub(super) key: u32,
    /// Bytes, 2 to 4.
    pub(super) length: u8,
}

/// The ways in which a literal is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// At every place.
    pub(super) gram: Gram,
    /// What stands for the grams one of which is met with at every [`STRIDE`]th place, if it has so many.
    pub(super) strides: Option<[u32; STRIDE]>,
}

/// The grams that patterns ask for, in each of their lists.
#[derive(Debug, Default)]
pub(super) struct Asked {
    grams: Box<[Wanted]>,
    /// For each bit of a set of patterns for each list, where its grams begin, and where the last ones end.
    starts: Box<[u32]>,
}

impl Asked {
    /// What is asked for: for each bit of a set of patterns for each list its grams.
    pub(super) fn new(asked: &[Vec<Wanted>]) -> Self {
        let mut starts = vec![0];
        for grams in asked {
            starts.push(starts.last().map_or(0, |start| start + grams.len() as u32));
        }
        Self { grams: asked.concat().into(), starts: starts.into() }
    }

    /// What the patterns in `needed` ask for, where `found` has not yet got it. Some may come twice.
    fn open(&self, needed: &[u64], found: &[u64]) -> impl Iterator<Item = Wanted> {
        open_words(needed, found)
            .enumerate()
            .flat_map(|(word, open)| Bits(open).map(move |bit| word * 64 + bit))
            .flat_map(|at| {
                let range = self.starts.get(at).zip(self.starts.get(at + 1));
                let grams = range.and_then(|(start, end)| self.grams.get(*start as usize..*end as usize));
                grams.unwrap_or_default().iter().copied()
            })
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Gram> {
        self.grams.iter().map(|wanted| wanted.gram)
    }
}

/// For each list, one after the other, the patterns in `needed` for which `found` has not yet got what they ask for.
pub(super) fn open_words(needed: &[u64], found: &[u64]) -> impl Iterator<Item = u64> {
    found.iter().zip(needed.iter().cycle()).map(|(found, needed)| needed & !found)
}

/// The numbers of the bits of a word.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = self.0.trailing_zeros();
        self.0 &= self.0.checked_sub(1)?;
        Some(bit as usize)
    }
}

/// Few grams of two bytes that are looked for with longer ones: whatever the third byte is.
#[derive(Debug)]
pub(super) struct Thirds {
    first: Triples,
    brief: Bitmap,
}

impl Thirds {
    pub(super) fn new(pairs: impl Iterator<Item = u32>) -> Self {
        let mut thirds = Self { first: Triples::default(), brief: Bitmap::default() };
        for pair in pairs {
            for third in 0..=u8::MAX {
                let three = pair | u32::from(third | FOLDED_BIT) << 16;
                thirds.first.insert(three);
                thirds.brief.insert(three);
            }
        }
        thirds
    }
}

/// Which bytes may be what a literal is found by.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// Which three bytes may begin it.
    pub(super) first: Triples,
    /// Which do, where it is less than four.
    pub(super) brief: Bitmap,
    /// Which four bytes it may be.
    pub(super) long: Bitmap,
    /// Which two bytes it may be.
    pub(super) pairs: Bitmap,
}

impl Gates {
    /// Gates for `grams`; `thirds` are of all pairs, if these are looked for with longer ones.
    pub(super) fn new(grams: impl Iterator<Item = Gram>, mut thirds: Option<&Thirds>) -> Self {
        let mut gates = Self::default();
        for Gram { key, length } in grams {
            match length {
                2 => {
                    // With the first of them, for all.
                    if let Some(thirds) = thirds.take() {
                        gates.first.unite(&thirds.first);
                        gates.brief.unite(&thirds.brief);
                    }
                    gates.pairs.insert(key);
                }
                3 => {
                    gates.first.insert(key);
                    gates.brief.insert(key);
                }
                _ => {
                    gates.first.insert(key & THREE_BYTES);
                    gates.long.insert(key);
                }
            }
        }
        gates
    }
}

/// What finds the grams that are still asked for.
#[derive(Debug, Default)]
pub(super) struct Finder {
    pub(super) gates: Gates,
    /// What finds them when they are few: those of two bytes, which are soon met with, by themselves.
    pub(super) searchers: Box<[packed::Searcher]>,
    /// What finds those that need not be looked for at every place; then the rest are few.
    pub(super) strides: Option<Strides>,
}

impl Finder {
    /// What finds what the patterns in `needed` ask for and `found` has not yet got. `is_worth_it` says that it will be used
    /// for long.
    pub(super) fn new(
        asked: &Asked,
        thirds: Option<&Thirds>,
        needed: &[u64],
        found: &[u64],
        is_worth_it: bool,
    ) -> Self {
        let open = || asked.open(needed, found);
        let grams = || open().map(|wanted| wanted.gram);
        let all = |searchers| Self { gates: Gates::new(grams(), thirds), searchers, strides: None };
        if !is_worth_it {
            return all(Box::default());
        }
        if let Some(searchers) = searchers(grams()) {
            return all(searchers);
        }
        let brief = || open().filter(|wanted| wanted.strides.is_none()).map(|wanted| wanted.gram);
        let Some(searchers) = searchers(brief()) else { return all(Box::default()) };
        let strides = Strides::new(open().filter_map(|wanted| wanted.strides).flatten());
        Self { gates: Gates::new(brief(), thirds), searchers, strides: Some(strides) }
    }
}

/// What looks for `grams`, if they are few.
fn searchers(grams: impl Iterator<Item = Gram>) -> Option<Box<[packed::Searcher]>> {
    let mut few: Vec<Gram> = grams.take(FEW_ASKED + 1).collect();
    if few.len() > FEW_ASKED {
        return None;
    }
    few.sort_unstable_by_key(|gram| (gram.length == 2, gram.key));
    few.dedup();
    if few.len() > FEW {
        return None;
    }
    let bytes = |gram: &Gram| gram.key.to_le_bytes()[..usize::from(gram.length).min(GRAM)].to_vec();
    let alike = few.chunk_by(|a, b| (a.length == 2) == (b.length == 2));
    alike.map(|grams| packed::Searcher::new(grams.iter().map(bytes))).collect()
}

/// What literals are found by, where that is little.
const FEW: usize = 64;
/// The same, each counted as often as it is asked for.
const FEW_ASKED: usize = 8 * FEW;
