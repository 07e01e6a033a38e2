//! Which patterns cannot match a value, told in one pass over it.
//!
//! A prefilter is made of conditions that are necessary for a match: a least length, classes of bytes of which one
//! must occur, lists of literals and classes of which one must occur. It only ever says "cannot match"; a value that
//! meets all conditions of a pattern is a candidate, and the pattern itself decides. Letters count without regard to
//! case throughout, so that a value and its lower-case form have the same candidates.
//!
//! Patterns are numbered from 0, and sets of them are words of 64 bits. Length and classes are told for all patterns
//! at once, from tables.

use super::classes::{ALL_CLASSES, CLASSES, ClassMask};
use super::literals::Literals;
use memchr::memmem::Finder;

/// What must hold for one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Bytes that every match has at least.
    pub min_len: usize,
    /// Of each of these sets of classes, one must occur.
    pub classes: [ClassMask; CLASS_CLAUSES],
    /// Of each of these lists, something must occur; `None` asks for nothing.
    pub lists: [Option<AnyOf>; LISTS],
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

/// Class clauses of one pattern.
pub const CLASS_CLAUSES: usize = 4;
/// Lists of one pattern.
pub const LISTS: usize = 2;

impl Condition {
    /// What every value meets.
    pub const ALWAYS: Condition = Condition {
        min_len: 0,
        classes: [ALL_CLASSES; CLASS_CLAUSES],
        lists: [const { None }; LISTS],
        quick: false,
    };

    /// What no value meets.
    pub const NEVER: Condition = Condition { classes: [0; CLASS_CLAUSES], ..Self::ALWAYS };
}

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
    /// For each list, the patterns that do not have it.
    listless: Vec<u64>,
    /// For each list and class, the patterns whose list the class meets.
    by_listed_class: Vec<u64>,
    literals: Literals,
    /// Lists of a single literal without letters: the pattern, the list, the literal.
    alone: Vec<(usize, usize, Finder<'static>)>,
    /// The patterns that are soon asked themselves.
    quick: Vec<u64>,
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
            by_class: vec![0; CLASS_CLAUSES * CLASSES * words],
            classless: std::array::from_fn(|_| vec![0; words]),
            listless: vec![0; LISTS * words],
            by_listed_class: vec![0; LISTS * CLASSES * words],
            literals: Literals::default(),
            alone: Vec::new(),
            quick: vec![0; words],
        };
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
                for class in each_class(*classes) {
                    prefilter.by_class[(clause * CLASSES + class) * words + word] |= bit;
                }
            }
            if condition.quick {
                prefilter.quick[word] |= bit;
            }
            for (list, any_of) in condition.lists.iter().enumerate() {
                if let Some(AnyOf { classes: 0, literals }) = any_of
                    && let [literal] = literals.as_slice()
                    && !literal.iter().any(u8::is_ascii_alphabetic)
                {
                    prefilter.alone.push((n, list, Finder::new(literal).into_owned()));
                }
                match any_of {
                    None => prefilter.listless[list * words + word] |= bit,
                    Some(any_of) => {
                        for class in each_class(any_of.classes) {
                            prefilter.by_listed_class[(list * CLASSES + class) * words + word] |= bit;
                        }
                    }
                }
            }
        }
        let asked = conditions.iter().enumerate().flat_map(|(n, condition)| {
            let lists = condition.lists.iter().enumerate();
            lists.flat_map(move |(list, any_of)| {
                any_of.iter().flat_map(|a| &a.literals).map(move |text| (text.as_slice(), list, n))
            })
        });
        prefilter.literals = Literals::new(words, asked);
        prefilter
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
            for clause in 0..CLASS_CLAUSES {
                if *patterns == 0 {
                    break;
                }
                let mut met = self.classless[clause][word];
                for class in each_class(mask) {
                    met |= self.by_class[(clause * CLASSES + class) * self.words + word];
                }
                *patterns &= met;
            }
            left |= *patterns;
        }
        left != 0
    }

    /// For each list, one after the other, the patterns that need not be looked for in a value of these classes: they
    /// do not have the list, or a class meets it.
    pub fn met_by(&self, mask: ClassMask) -> Vec<u64> {
        let mut met = self.listless.clone();
        for list in 0..LISTS {
            for class in each_class(mask) {
                let classes = &self.by_listed_class[(list * CLASSES + class) * self.words..][..self.words];
                for (met, by_class) in met[list * self.words..].iter_mut().zip(classes) {
                    *met |= by_class;
                }
            }
        }
        met
    }

    /// Of the patterns in `set`, which are few, those that a long value may match, when they can be told without looking
    /// for the literals of all patterns. What is told is taken from `set` or added to `met`; returns whether it is all.
    pub fn retain_alone(&self, value: &[u8], met: &mut [u64], set: &mut [u64]) -> bool {
        for (pattern, list, literal) in &self.alone {
            let (word, bit) = (pattern >> 6, 1 << (pattern & 63));
            let listed = list * self.words + word;
            if set[word] & !met[listed] & bit == 0 {
                continue;
            }
            match literal.find(value) {
                Some(_) => met[listed] |= bit,
                None => set[word] &= !bit,
            }
        }
        let open = |word: usize| {
            let met = met.iter().skip(word).step_by(self.words).fold(u64::MAX, |all, met| all & met);
            set[word] & !met
        };
        let (mut open_rules, mut slow) = (0, 0);
        for (word, quick) in self.quick.iter().enumerate() {
            open_rules += open(word).count_ones();
            slow |= open(word) & !quick;
        }
        open_rules <= FEW_RULES && slow == 0
    }

    /// Takes from `set` the patterns whose literals do not occur in `value`. `met` are those of [`Self::met_by`]; what
    /// is found is added to it.
    pub fn retain_found(&self, value: &[u8], met: &mut [u64], set: &mut [u64]) {
        self.literals.find(value, set, met);
        for list in met.chunks_exact(self.words) {
            for (patterns, met) in set.iter_mut().zip(list) {
                *patterns &= met;
            }
        }
    }
}

fn each_class(mask: ClassMask) -> impl Iterator<Item = usize> {
    let mut rest = mask & ALL_CLASSES;
    std::iter::from_fn(move || {
        let class = (rest != 0).then(|| rest.trailing_zeros() as usize);
        rest &= rest.wrapping_sub(1);
        class
    })
}

/// Rules that are sooner asked themselves than looked for.
const FEW_RULES: u32 = 2;
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
        prefilter.retain_found(value, &mut prefilter.met_by(mask_of(value)), &mut out);
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
