//! Which patterns cannot match a value, told in one pass over it.
//!
//! A prefilter is made of conditions that are necessary for a match: a least length, classes of bytes of which one
//! must occur, lists of literals and classes of which one must occur. It only ever says "cannot match"; a value that
//! meets all conditions of a pattern is a candidate, and the pattern itself decides. Letters count without regard to
//! case throughout, so that a value and its lower-case form have the same candidates.
//!
//! Patterns are numbered from 0, and sets of them are words of 64 bits. Length and classes are told for all patterns
//! at once, from tables.

use super::class_table::ClassTable;
use super::classes::{ALL_CLASSES, ClassMask, any_case, mask_of};
use super::literals::Literals;
use super::seeker::Seeker;
use crate::transform::ByteSet;

/// What must hold for one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Bytes that every match has at least.
    pub min_len: usize,
    /// Of each of these sets of classes, one must occur.
    pub classes: [ClassMask; CLASS_CLAUSES],
    /// Of each of these lists, something must occur; `None` asks for nothing.
    pub lists: [Option<AnyOf>; LISTS],
    /// What must occur in a value that becomes one which the pattern matches.
    pub echo: Option<Echo>,
    /// Whether the pattern itself costs no more for a byte than a look for literals does.
    pub quick: bool,
}

/// Things of which one must occur in a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnyOf {
    /// A byte of these classes.
    pub classes: ClassMask,
    /// A literal, in any case. Lower case here, each of at least [`MIN_LITERAL`](super::literals::MIN_LITERAL) bytes.
    pub literals: Vec<Vec<u8>>,
}

/// What the literals of a list leave in a value before a transformation that keeps runs of bytes
/// ([`TransformId::breaks_runs`](crate::transform::TransformId::breaks_runs)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The list.
    pub list: usize,
    /// A run of each of its literals. One of them must occur.
    pub literals: Vec<Vec<u8>>,
}

/// Class clauses of one pattern.
pub const CLASS_CLAUSES: usize = 4;
/// Lists of one pattern.
pub const LISTS: usize = 2;
/// Lists and echoes: what literals are looked for.
pub const ROWS: usize = LISTS + 1;
/// The row of echoes.
pub const ECHO: usize = LISTS;

impl Condition {
    /// What every value meets.
    pub const ALWAYS: Condition = Condition {
        min_len: 0,
        classes: [ALL_CLASSES; CLASS_CLAUSES],
        lists: [const { None }; LISTS],
        echo: None,
        quick: false,
    };

    /// What no value meets.
    pub const NEVER: Condition = Condition { classes: [0; CLASS_CLAUSES], ..Self::ALWAYS };

    /// What is looked for in a row.
    fn literals(&self, row: usize) -> Option<&[Vec<u8>]> {
        match self.lists.get(row) {
            Some(list) => list.as_ref().map(|list| list.literals.as_slice()),
            None => self.echo.as_ref().map(|echo| echo.literals.as_slice()),
        }
    }
}

/// The conditions of a group of patterns.
#[derive(Debug, Default)]
pub struct Prefilter {
    words: usize,
    /// For each length up to [`LONGEST`], the patterns that a value of that length may match.
    by_length: Vec<u64>,
    /// For each pattern what classes tell of it.
    by_class: ClassTable,
    literals: Literals,
    /// For each list the patterns whose echo is made from it.
    echoing: Vec<u64>,
    /// For each pattern and row what looks for its literals alone.
    seekers: Vec<[Option<Box<Seeker>>; ROWS]>,
    /// The patterns that are soon asked themselves.
    quick: Vec<u64>,
    /// For each pattern the classes that the literals of its echo are made of, letters of either case.
    echo_classes: Vec<ClassMask>,
}

impl Prefilter {
    /// Says of the patterns in `slow` that they are not soon asked themselves.
    #[must_use]
    pub fn with_slow(mut self, slow: &[u64]) -> Self {
        for (quick, slow) in self.quick.iter_mut().zip(slow) {
            *quick &= !slow;
        }
        self
    }

    /// A prefilter of `conditions`; pattern `n` is the `n`th of them.
    pub fn new(conditions: &[&Condition]) -> Self {
        let words = conditions.len().div_ceil(64);
        let mut prefilter = Self {
            words,
            by_length: vec![0; (LONGEST + 1) * words],
            by_class: ClassTable::new(words, conditions.iter().map(|condition| asked(condition))),
            literals: Literals::default(),
            echoing: vec![0; LISTS * words],
            seekers: Vec::new(),
            quick: vec![0; words],
            echo_classes: conditions.iter().map(|condition| echo_classes(condition)).collect(),
        };
        for (n, condition) in conditions.iter().enumerate() {
            let (word, bit) = (n >> 6, 1 << (n & 63));
            for length in condition.min_len.min(LONGEST)..=LONGEST {
                prefilter.by_length[length * words + word] |= bit;
            }
            if condition.quick {
                prefilter.quick[word] |= bit;
            }
            if let Some(echo) = &condition.echo {
                prefilter.echoing[echo.list * words + word] |= bit;
            }
            let literals = |row| condition.literals(row).and_then(Seeker::new).map(Box::new);
            prefilter.seekers.push(std::array::from_fn(literals));
        }
        let sought = conditions.iter().enumerate().flat_map(|(n, condition)| {
            (0..ROWS).flat_map(move |row| {
                condition.literals(row).into_iter().flatten().map(move |text| (text.as_slice(), row, n))
            })
        });
        prefilter.literals = Literals::new(words, sought);
        prefilter
    }

    /// Words of a set of patterns, 64 patterns each.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Takes from `set` the patterns that need a longer value than `length`. Returns whether any are left.
    #[inline]
    pub fn retain_long(&self, length: usize, set: &mut [u64]) -> bool {
        if length >= LONGEST {
            // No pattern needs more that is known.
            return set.iter().any(|word| *word != 0);
        }
        let row = length * self.words;
        let mut left = 0;
        for (patterns, long) in set.iter_mut().zip(&self.by_length[row..]) {
            *patterns &= long;
            left |= *patterns;
        }
        left != 0
    }

    /// Appends what values of these classes tell: the patterns that do not need others, and for each list, one after the
    /// other, the patterns that need not be looked for, since they do not have the list, or a class meets it.
    pub fn tell(&self, mask: ClassMask, out: &mut Vec<u64>) {
        self.by_class.tell(mask, out);
    }

    /// Takes from `set` the patterns that need other classes of bytes than `mask`. Returns whether any are left.
    #[cfg(test)]
    pub fn retain_permitted(&self, mask: ClassMask, set: &mut [u64]) -> bool {
        let mut told = Vec::new();
        self.tell(mask, &mut told);
        let mut left = 0;
        for (patterns, permitted) in set.iter_mut().zip(&told) {
            *patterns &= permitted;
            left |= *patterns;
        }
        left != 0
    }

    /// The classes that the literals of the echoes of the patterns in `set` are made of; `None` where the echo of one of them
    /// is not sought by itself.
    pub fn echo_classes(&self, set: &[u64]) -> Option<ClassMask> {
        let mut classes = 0;
        for (word, patterns) in set.iter().enumerate() {
            let mut rest = *patterns;
            while rest != 0 {
                let pattern = word * 64 + rest.trailing_zeros() as usize;
                self.seekers[pattern][ECHO].as_ref()?;
                classes |= self.echo_classes[pattern];
                rest &= rest - 1;
            }
        }
        Some(classes)
    }

    /// The patterns that an echo tells of, when a value becomes one of classes that meet so many patterns' lists.
    pub fn echoed(&self, met: &[u64]) -> Vec<u64> {
        let mut echoed = vec![0; self.words];
        for (echoing, met) in self.echoing.chunks_exact(self.words).zip(met.chunks_exact(self.words)) {
            for ((echoed, echoing), met) in echoed.iter_mut().zip(echoing).zip(met) {
                *echoed |= echoing & !met;
            }
        }
        echoed
    }

    /// Looks in `value` for what the patterns in `sought` need, by itself where that is little. `met` has for each row the
    /// patterns for which nothing has to be looked for any more; what is found is added to it. What could not be told is
    /// left in `sought`.
    pub fn seek(&self, value: &[u8], sought: &mut [u64], met: &mut [u64]) {
        let mut patterns = 0;
        for (word, sought) in sought.iter_mut().enumerate() {
            *sought &= !met.iter().skip(word).step_by(self.words).fold(u64::MAX, |all, met| all & met);
            patterns += sought.count_ones();
        }
        if patterns > FEW_SOUGHT {
            return;
        }
        for (word, sought) in sought.iter_mut().enumerate() {
            let mut rest = *sought;
            while rest != 0 {
                let bit = rest & rest.wrapping_neg();
                rest &= rest - 1;
                let seekers = &self.seekers[word * 64 + bit.trailing_zeros() as usize];
                if Self::seek_one(seekers, value, bit, met.iter_mut().skip(word).step_by(self.words)) {
                    *sought &= !bit;
                }
            }
        }
    }

    /// Looks for what one pattern needs, and notes in its rows of `met` what is found. Returns whether all was told.
    fn seek_one<'a>(
        seekers: &[Option<Box<Seeker>>; ROWS],
        value: &[u8],
        bit: u64,
        met: impl Iterator<Item = &'a mut u64>,
    ) -> bool {
        // One list that is not met is enough; an echo speaks for itself.
        let (mut is_lost, mut is_told) = (false, [true; 2]);
        for (row, (seeker, met)) in seekers.iter().zip(met).enumerate() {
            let is_echo = row == ECHO;
            if *met & bit != 0 || is_lost && !is_echo {
                continue;
            }
            match seeker.as_ref().and_then(|seeker| seeker.find(value)) {
                Some(true) => *met |= bit,
                Some(false) => is_lost |= !is_echo,
                None => is_told[usize::from(is_echo)] = false,
            }
        }
        (is_told[0] || is_lost) && is_told[1]
    }

    /// Whether nothing that the patterns in `set` need is in what is left of `value` without the bytes in `gaps`, as far as is
    /// soon told. `met` has for each list the patterns for which nothing has to be looked for.
    pub fn is_absent(&self, value: &[u8], gaps: &ByteSet, set: &[u64], met: &[u64]) -> bool {
        if set.iter().map(|word| word.count_ones()).sum::<u32>() > FEW_SOUGHT {
            return false;
        }
        let lacks = |word: usize, bit: u32| {
            let seekers = &self.seekers[word * 64 + bit as usize][..LISTS];
            seekers.iter().zip(met.iter().skip(word).step_by(self.words)).any(|(seeker, met)| {
                let seeker = seeker.as_ref().filter(|_| met >> bit & 1 == 0);
                seeker.and_then(|seeker| seeker.find_through(value, gaps)) == Some(false)
            })
        };
        set.iter().enumerate().all(|(word, set)| {
            let mut rest = *set;
            while rest != 0 {
                if !lacks(word, rest.trailing_zeros()) {
                    return false;
                }
                rest &= rest - 1;
            }
            true
        })
    }

    /// Whether the patterns in `set` are sooner asked themselves than looked for.
    pub fn are_quick(&self, set: &[u64]) -> bool {
        let patterns: u32 = set.iter().map(|word| word.count_ones()).sum();
        patterns <= FEW_RULES && set.iter().zip(&self.quick).all(|(set, quick)| set & !quick == 0)
    }

    /// Looks in `value` for what the patterns in `sought` need, for all of them together. What is found is added to
    /// `met`.
    pub fn find(&self, value: &[u8], sought: &[u64], met: &mut [u64]) {
        self.literals.find(value, sought, met);
    }

    /// Takes from `set` the patterns whose lists are not met by `value`, which is made of the classes in `mask`.
    #[cfg(test)]
    pub(crate) fn retain_found(&self, value: &[u8], mask: ClassMask, set: &mut [u64]) {
        let mut told = Vec::new();
        self.tell(mask, &mut told);
        let mut met = told.split_off(self.words);
        met.resize(ROWS * self.words, u64::MAX);
        self.find(value, set, &mut met);
        for list in met.chunks_exact(self.words) {
            for (patterns, met) in set.iter_mut().zip(list) {
                *patterns &= met;
            }
        }
    }
}

/// What is asked of classes for a pattern: for each clause and each list those of which one must be there, if it has it.
fn asked(condition: &Condition) -> [Option<ClassMask>; CLASS_CLAUSES + LISTS] {
    std::array::from_fn(|at| match condition.classes.get(at) {
        // Met by any byte is not enough: a value may be empty.
        Some(clause) => (*clause != ALL_CLASSES).then_some(*clause),
        None => condition.lists.get(at - CLASS_CLAUSES)?.as_ref().map(|list| list.classes),
    })
}

fn echo_classes(condition: &Condition) -> ClassMask {
    let echo = condition.echo.iter().flat_map(|echo| &echo.literals);
    any_case(echo.fold(0, |all, literal| all | mask_of(literal)))
}

/// Patterns that are sooner asked themselves than looked for.
const FEW_RULES: u32 = 2;
/// Patterns that are looked for one by one.
const FEW_SOUGHT: u32 = 6;
/// Lengths beyond this count as this.
const LONGEST: usize = 31;

#[cfg(test)]
mod tests {
    use super::super::classes::{class_of, mask_of};
    use super::*;

    fn any_of(literals: &[&str]) -> AnyOf {
        AnyOf { classes: 0, literals: literals.iter().map(|l| l.as_bytes().to_vec()).collect() }
    }

    fn condition(literals: &[&str]) -> Condition {
        let list = (!literals.is_empty()).then(|| any_of(literals));
        Condition { lists: [list, None], ..Condition::ALWAYS }
    }

    fn candidates(conditions: &[Condition], value: &[u8]) -> Vec<usize> {
        let prefilter = Prefilter::new(&conditions.iter().collect::<Vec<_>>());
        let mut out = vec![u64::MAX; prefilter.words()];
        prefilter.retain_long(value.len(), &mut out);
        prefilter.retain_permitted(mask_of(value), &mut out);
        prefilter.retain_found(value, mask_of(value), &mut out);
        (0..conditions.len()).filter(|n| out[n >> 6] >> (n & 63) & 1 == 1).collect()
    }

    #[test]
    fn a_class_serves_as_well_as_a_literal() {
        let either = AnyOf { classes: 1 << class_of(b';'), ..any_of(&["sudo"]) };
        let conditions = [Condition { lists: [Some(either), None], ..Condition::ALWAYS }];
        assert_eq!(candidates(&conditions, b"a;b"), [0]);
        assert_eq!(candidates(&conditions, b"a sudo b"), [0]);
        assert_eq!(candidates(&conditions, b"a, b"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b""), [0_usize; 0]);
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
            ..Condition::ALWAYS
        }];
        assert_eq!(candidates(&conditions, b"<b"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"abc"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"<bc"), [0]);
    }

    #[test]
    fn of_each_list_one_literal_must_occur() {
        let both =
            Condition { lists: [Some(any_of(&["union"])), Some(any_of(&["select"]))], ..condition(&[]) };
        let conditions = [both];
        assert_eq!(candidates(&conditions, b"a union of all"), [0_usize; 0]);
        assert_eq!(candidates(&conditions, b"select a union"), [0]);
    }
}
