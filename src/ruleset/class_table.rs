//! What the classes of a value's bytes tell of many patterns at once.
//!
//! Each pattern asks for something of each of a few lists of classes. Whether classes have that is told for all patterns
//! and lists together: the mask is cut into pieces of a few bits, and for each piece and each mixture in it there is a row
//! of bits that says which patterns and lists it serves. What a mask serves is the union of a row for each piece.

use super::classes::{CLASSES, ClassMask};
use super::prefilter::{CLASS_CLAUSES, LISTS};

/// A table for some patterns.
#[derive(Debug, Default)]
pub(super) struct ClassTable {
    words: usize,
    rows: Vec<u64>,
}

/// What is asked of classes for each pattern: clauses, and lists behind them.
const ASKED: usize = CLASS_CLAUSES + LISTS;
/// Bits of a piece.
const PIECE: usize = 4;
/// Mixtures in a piece.
const MIXTURES: usize = 1 << PIECE;
/// Pieces of a mask.
const PIECES: usize = CLASSES.div_ceil(PIECE);
/// Rows of all pieces.
const ROWS: usize = PIECES * MIXTURES;

impl ClassTable {
    /// A table of patterns, each with what is asked for it: the classes that serve, or nothing where none need be there.
    pub(super) fn new(words: usize, patterns: impl Iterator<Item = [Option<ClassMask>; ASKED]>) -> Self {
        let row = ASKED * words;
        let mut rows = vec![0; ROWS * row];
        for (n, asked) in patterns.enumerate() {
            let (word, bit) = (n >> 6, 1 << (n & 63));
            for (at, serves) in asked.into_iter().enumerate() {
                for piece in 0..PIECES {
                    for mixture in 0..MIXTURES {
                        let is_served = match serves {
                            Some(classes) => classes >> (piece * PIECE) & mixture as u64 != 0,
                            // Each mask has a row of the first piece.
                            None => piece == 0,
                        };
                        if is_served {
                            rows[(piece * MIXTURES + mixture) * row + at * words + word] |= bit;
                        }
                    }
                }
            }
        }
        Self { words, rows }
    }

    /// Appends what a value of the classes in `mask` serves: the patterns all of whose clauses it does, and for each list
    /// the patterns for which it does.
    pub(super) fn tell(&self, mask: ClassMask, out: &mut Vec<u64>) {
        // Compilers unroll and pair what has a length that they know.
        match self.words {
            0 => {}
            1 => self.tell_words::<1, ASKED, { ASKED * ROWS }>(mask, out),
            2 => self.tell_words::<2, { 2 * ASKED }, { 2 * ASKED * ROWS }>(mask, out),
            3 => self.tell_words::<3, { 3 * ASKED }, { 3 * ASKED * ROWS }>(mask, out),
            words => {
                let mut served = vec![0; ASKED * words];
                for row in self.rows_of(mask, ASKED * words) {
                    served.iter_mut().zip(row).for_each(|(all, more)| *all |= more);
                }
                conclude(&served, words, out);
            }
        }
    }

    fn tell_words<const WORDS: usize, const ROW: usize, const ALL: usize>(
        &self,
        mask: ClassMask,
        out: &mut Vec<u64>,
    ) {
        // All of it has a length that is known, so that nothing is checked for each piece.
        let Some(rows) = self.rows.first_chunk::<ALL>() else { return };
        let mut served = [0; ROW];
        for piece in 0..PIECES {
            let at = (piece * MIXTURES + (mask >> (piece * PIECE)) as usize % MIXTURES) * ROW;
            for (n, served) in served.iter_mut().enumerate() {
                *served |= rows[at + n];
            }
        }
        conclude(&served, WORDS, out);
    }

    #[inline(always)]
    fn rows_of(&self, mask: ClassMask, row: usize) -> impl Iterator<Item = &[u64]> {
        let pieces = self.rows.chunks_exact(MIXTURES * row).enumerate();
        pieces.map(move |(piece, rows)| &rows[(mask >> (piece * PIECE)) as usize % MIXTURES * row..][..row])
    }
}

#[inline(always)]
fn conclude(served: &[u64], words: usize, out: &mut Vec<u64>) {
    for word in 0..words {
        out.push((1..CLASS_CLAUSES).fold(served[word], |all, clause| all & served[clause * words + word]));
    }
    out.extend_from_slice(&served[CLASS_CLAUSES * words..]);
}

#[cfg(test)]
mod tests {
    use super::super::classes::ALL_CLASSES;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a look at each pattern by itself.
        #[test]
        fn a_table_tells_what_each_pattern_would(
            patterns in proptest::collection::vec(
                proptest::array::uniform6(proptest::option::of(0..=ALL_CLASSES)), 1..300),
            sparse in 0..=ALL_CLASSES,
            mask in 0..=ALL_CLASSES,
        ) {
            let patterns: Vec<_> =
                patterns.iter().map(|asked| asked.map(|classes| classes.map(|c| c & sparse))).collect();
            let words = patterns.len().div_ceil(64);
            let table = ClassTable::new(words, patterns.iter().copied());
            for mask in [mask, mask & sparse, 0] {
                let mut told = Vec::new();
                table.tell(mask, &mut told);
                prop_assert_eq!(told.len(), (1 + LISTS) * words);
                for (n, asked) in patterns.iter().enumerate() {
                    let has = |row: usize| told[row * words + (n >> 6)] >> (n & 63) & 1 == 1;
                    let serves = |asked: Option<ClassMask>| asked.is_none_or(|classes| classes & mask != 0);
                    let (clauses, lists) = asked.split_at(CLASS_CLAUSES);
                    prop_assert_eq!(has(0), clauses.iter().all(|clause| serves(*clause)));
                    for (at, list) in lists.iter().enumerate() {
                        prop_assert_eq!(has(1 + at), serves(*list));
                    }
                }
            }
        }
    }
}
