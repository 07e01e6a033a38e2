//! Literals of many patterns, looked for in one pass.
//!
//! A literal is found by its rarest four bytes, or all of a shorter one. A table of the first three of them stands in
//! the first-level cache and answers for most positions; two more, one of which knows all four bytes, answer for most of
//! the rest, and only what passes them is compared. Letters count without regard to case.
//!
//! What few patterns ask for, and what is found already, need not be looked for: in a long value, its first part is followed
//! by gates for what is left. Where the same is asked for again and again, these are kept; then literals of some more bytes
//! are looked for at every second place, if the others are few enough to be looked for by themselves.

use super::classes::gram_frequency;
use super::gates::{Asked, Finder, Gates, Gram, Thirds, Wanted, open_words};
use super::grams::{FOLD, FOLDED_BIT, GRAM, Place, THREE_BYTES, TWO_BYTES, Table, Triples, key};
use super::strides::{self, STRIDE, Strides, WIDE};
use aho_corasick::packed;
use arc_swap::ArcSwapOption;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// Bytes that a literal must have to be looked for; single bytes are what classes are for.
pub const MIN_LITERAL: usize = 2;

/// Literals, each with the patterns that ask for it.
#[derive(Debug, Default)]
pub struct Literals {
    all: Box<[Literal]>,
    /// Literals of two bytes. When they are many, they are looked for by themselves.
    pairs: Table,
    /// The patterns that ask for one of them then.
    pair_patterns: Box<[u64]>,
    /// What else they are looked for with, when they are few.
    thirds: Option<Thirds>,
    /// Literals of three bytes.
    short: Table,
    /// Longer ones, found by four bytes.
    long: Table,
    /// Those of them that need not be looked for at every place.
    strided: Table,
    /// The patterns that ask for any literal.
    patterns: Box<[u64]>,
    /// What finds all of them.
    finder: Finder,
    asked: Asked,
    recent: Recent,
}

/// What was last asked for in long values.
#[derive(Debug, Default)]
struct Recent {
    narrowed: ArcSwapOption<Narrowed>,
    /// Of what was asked for before that and is not kept, a hash.
    missed: AtomicU64,
}

/// What finds those literals that tell something new when this is asked for.
#[derive(Debug)]
struct Narrowed {
    needed: Box<[u64]>,
    found: Box<[u64]>,
    finder: Finder,
}

/// Which patterns ask for a literal: 64 of those of one list.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// Where the word of the patterns stands among those of all lists.
    word: u32,
    /// The same without regard to the list.
    pattern_word: u32,
    bits: u64,
}

#[derive(Debug)]
struct Literal {
    text: Box<[u8]>,
    /// Where its rarest four bytes stand; of no meaning for a shorter one.
    rarest: u16,
    uses: Vec<Use>,
}

impl Literal {
    fn new(text: &[u8]) -> Self {
        let windows = text.windows(GRAM).zip(0..=u16::MAX).map(|(window, at)| (at, gram_frequency(window)));
        let rarest = windows.min_by(|(_, a), (_, b)| a.total_cmp(b));
        Self { text: text.into(), rarest: rarest.map_or(0, |(at, _)| at), uses: Vec::new() }
    }

    /// Of the grams beside each other one of which is met with at every [`STRIDE`]th place, those that are rarest together;
    /// `None` for a literal that has not so many. `chosen` counts how often each was chosen for others.
    fn strided(&self, literal: u32, chosen: &mut HashMap<u32, u32>) -> Option<[Place; STRIDE]> {
        let often = |gram| {
            let others = strides::key(gram).and_then(|key| chosen.get(&key).copied());
            gram_frequency(gram) * f64::from(1 + others.unwrap_or(0))
        };
        let often: Vec<f64> = self.text.windows(WIDE).map(often).collect();
        let together = often.windows(STRIDE).map(|often| often.iter().sum::<f64>());
        let (_, from) = together.zip(0..u16::MAX - STRIDE as u16).min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let place = |offset: u16| {
            let key = strides::key(&self.text[usize::from(offset)..])?;
            *chosen.entry(key).or_default() += 1;
            Some(Place { key, literal, offset, beside: self.beside(offset, WIDE) })
        };
        let places: SmallVec<[Place; STRIDE]> = (from..).take(STRIDE).map_while(place).collect();
        places.into_inner().ok()
    }

    /// What it is found by.
    fn key(&self) -> u32 {
        let from = &self.text[usize::from(self.rarest)..];
        key(&from[..from.len().min(GRAM)])
    }

    /// A byte beside the `length` bytes at `at`, where there is one, folded, and where it stands from there on.
    fn beside(&self, at: u16, length: usize) -> (i8, u8) {
        let from = usize::from(at);
        let behind = self.text.get(from + length).map(|byte| (length as i8, *byte));
        let before = || from.checked_sub(1).map(|before| (-1, self.text[before]));
        let (at, byte) = behind.or_else(before).unwrap_or((0, self.text[from]));
        (at, byte | FOLDED_BIT)
    }

    /// Whether it would tell anything new of the patterns in `needed`.
    #[inline(always)]
    fn is_news(&self, needed: &[u64], found: &[u64]) -> bool {
        self.uses.iter().any(|u| u.bits & needed[u.pattern_word as usize] & !found[u.word as usize] != 0)
    }
}

impl Literals {
    /// A collection of literals in lower case. `asked` names for each its text, the list and the pattern that ask for
    /// it; patterns are numbered up to 64 times `words`.
    pub fn new<'a>(words: usize, asked: impl Iterator<Item = (&'a [u8], usize, usize)>) -> Self {
        let mut known = HashMap::new();
        let mut all: Vec<Literal> = Vec::new();
        for (text, list, pattern) in asked {
            let at = *known.entry(text).or_insert_with(|| {
                all.push(Literal::new(text));
                all.len() - 1
            });
            let (pattern_word, bits) = (pattern as u32 >> 6, 1 << (pattern & 63));
            let word = (list * words) as u32 + pattern_word;
            let uses = &mut all[at].uses;
            match uses.iter_mut().find(|u| u.word == word) {
                Some(known) => known.bits |= bits,
                None => uses.push(Use { word, pattern_word, bits }),
            }
        }
        let (mut pairs, mut short, mut long, mut strided) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut chosen = HashMap::new();
        let (mut patterns, mut pair_patterns) = (vec![0; words], vec![0; words]);
        let lists = all.iter().flat_map(|literal| &literal.uses).map(|u| u.word as usize / words.max(1) + 1);
        let mut asked = vec![Vec::new(); lists.max().unwrap_or_default() * words * 64];
        for (literal, at) in all.iter().zip(0..) {
            let place = Place {
                key: literal.key(),
                literal: at,
                offset: literal.rarest,
                beside: literal.beside(literal.rarest, GRAM),
            };
            let gram = Gram { key: place.key, length: literal.text.len().min(GRAM) as u8 };
            match gram.length {
                2 => &mut pairs,
                3 => &mut short,
                _ => &mut long,
            }
            .push(place);
            let strides = literal.strided(at, &mut chosen);
            strided.extend(strides.into_iter().flatten());
            for u in &literal.uses {
                patterns[u.pattern_word as usize] |= u.bits;
                if gram.length == 2 {
                    pair_patterns[u.pattern_word as usize] |= u.bits;
                }
                for bit in (0..64).filter(|bit| u.bits >> bit & 1 == 1) {
                    asked[u.word as usize * 64 + bit]
                        .push(Wanted { gram, strides: strides.map(|s| s.map(|p| p.key)) });
                }
            }
        }
        let asked = Asked::new(&asked);
        let are_few = pairs.len() <= FEW_PAIRS;
        let thirds = (are_few && !pairs.is_empty()).then(|| Thirds::new(pairs.iter().map(|place| place.key)));
        if are_few {
            pair_patterns.fill(0);
        }
        Self {
            all: all.into(),
            pairs: Table::new(pairs),
            pair_patterns: pair_patterns.into(),
            short: Table::new(short),
            long: Table::new(long),
            strided: Table::new(strided),
            patterns: patterns.into(),
            finder: Finder {
                gates: Gates::new(asked.all(), thirds.as_ref()),
                searchers: Box::default(),
                strides: None,
            },
            thirds,
            asked,
            recent: Recent::default(),
        }
    }

    /// What finds those of the literals that would tell anything new of the patterns in `needed`.
    fn narrowed(&self, needed: &[u64], found: &[u64], is_worth_it: bool) -> Finder {
        Finder::new(&self.asked, self.thirds.as_ref(), needed, found, is_worth_it)
    }

    /// The same, from before if that was asked for last, or twice now.
    fn recent(&self, needed: &[u64], found: &[u64]) -> Option<Arc<Narrowed>> {
        let recent = self.recent.narrowed.load();
        if let Some(recent) = recent.as_ref().filter(|r| *r.needed == *needed && *r.found == *found) {
            return Some(Arc::clone(recent));
        }
        let hash = HASHER.hash_one((needed, found));
        if self.recent.missed.swap(hash, Ordering::Relaxed) != hash {
            return None;
        }
        let finder = self.narrowed(needed, found, true);
        let narrowed = Arc::new(Narrowed { needed: needed.into(), found: found.into(), finder });
        self.recent.narrowed.store(Some(Arc::clone(&narrowed)));
        Some(narrowed)
    }

    /// Looks in `value` for the literals that the patterns in `needed` ask for. `found` has for each list the patterns
    /// for which something has been found, and is added to.
    pub fn find(&self, value: &[u8], needed: &[u64], found: &mut [u64]) {
        if value.len() < NARROWED {
            self.find_in(&self.finder, value, 0..value.len(), needed, found);
            return;
        }
        let recent = self.recent(needed, found);
        let mut known = SmallVec::<[u64; 16]>::from_slice(found);
        let mut is_narrow = recent.is_some();
        let is_long = value.len() >= LONG;
        let (mut from, mut part, growth) = if is_long { (0, FIRST_PART, 8) } else { (0, SHORT_PART, 2) };
        let mut narrowed: Option<Finder> = None;
        while from < value.len() {
            let recent = recent.as_ref().map_or(&self.finder, |recent| &recent.finder);
            let finder = narrowed.as_ref().unwrap_or(recent);
            let rest = value.len() - from;
            // For a short rest nothing is worth making.
            let to = if rest < 3 * part { value.len() } else { from + part };
            // What begins in one part may end in the next.
            let end = value.len().min(to + WIDE - 1);
            if !self.find_in(finder, value, from..end, needed, found) {
                return;
            }
            // To make gates costs as much as to look through some kilobytes.
            let asked = |found: &[u64]| open_words(needed, found).map(u64::count_ones).sum::<u32>();
            let is_less = || asked(found) * 4 <= asked(&known) * 3;
            if to < value.len() && (!is_narrow || is_less()) {
                narrowed = Some(self.narrowed(needed, found, is_long));
                known = SmallVec::from_slice(found);
                is_narrow = true;
            }
            (from, part) = (to, growth * part);
        }
    }

    /// Looks for those that are found by bytes in `part` of `value`. Returns whether anything was to be looked for.
    fn find_in(
        &self,
        finder: &Finder,
        value: &[u8],
        part: Range<usize>,
        needed: &[u64],
        found: &mut [u64],
    ) -> bool {
        let words = needed.len();
        // Patterns of which some list is still open.
        let open = |word: usize, found: &[u64]| {
            let met = found.iter().skip(word).step_by(words).fold(u64::MAX, |all, met| all & met);
            needed[word] & !met
        };
        let wanted = |patterns: &[u64], found: &[u64]| {
            patterns.iter().enumerate().any(|(word, patterns)| patterns & open(word, found) != 0)
        };
        let is_wanted = wanted(&self.patterns, found);
        let mut search = Search { literals: self, gates: &finder.gates, value, needed, found };
        if !is_wanted {
            return false;
        }
        if let Some(strides) = &finder.strides {
            search.find_strided(strides, part.clone());
        }
        if !finder.searchers.is_empty() {
            search.find_few(&finder.searchers, part);
        } else if finder.strides.is_none() {
            search.find_long(part.clone());
            if wanted(&self.pair_patterns, search.found) {
                search.find_pairs(part);
            }
        }
        true
    }
}

/// A search for literals in a part of a value.
struct Search<'s> {
    literals: &'s Literals,
    gates: &'s Gates,
    value: &'s [u8],
    needed: &'s [u64],
    found: &'s mut [u64],
}

impl Search<'_> {
    #[inline(never)]
    fn find_few(&mut self, searchers: &[packed::Searcher], part: Range<usize>) {
        let mut folded = [0; FOLDED];
        let mut from = part.start;
        while from < part.end {
            let piece = &self.value[from..part.end.min(from + FOLDED)];
            let folded = &mut folded[..piece.len()];
            for (folded, byte) in folded.iter_mut().zip(piece) {
                *folded = byte | FOLDED_BIT;
            }
            let folded = &*folded;
            for searcher in searchers {
                let mut at = 0;
                while let Some(hit) = searcher.find_in(folded, (at..folded.len()).into()) {
                    let four = folded[hit.start()..].iter().take(GRAM).rev();
                    let four = four.fold(0, |four, byte| four << 8 | u32::from(*byte));
                    self.look(four, from + hit.start());
                    at = hit.start() + 1;
                }
            }
            if from + piece.len() == part.end {
                break;
            }
            // What begins in one piece may end in the next.
            from += FOLDED - (GRAM - 1);
        }
    }

    #[inline(never)]
    fn find_strided(&mut self, strides: &Strides, part: Range<usize>) {
        let (places, value) = (&self.literals.strided, self.value);
        strides.find(&value[..part.end], part.start, |key, at| self.verify(places.places(key), at));
    }

    #[inline(never)]
    fn find_long(&mut self, part: Range<usize>) {
        // Five positions from each eight bytes, so that bytes are loaded and folded once for all of them.
        let first = &self.gates.first;
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes) | FOLD;
        let hits = |word: u64| {
            let spread = Triples::spread(word);
            let bit = |n: u32| first.bits(spread, n);
            let bits = [bit(0), bit(1), bit(2), bit(3), bit(4)];
            bits.iter().rev().fold(0, |hits, bit| hits << 1 | bit & 1)
        };
        let within = &self.value[..part.end];
        let mut at = part.start;
        // Told of thirty before the first branch: most of them lead nowhere.
        while let Some(bytes) = within.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            let five = |n: usize| bytes[n..].first_chunk().map_or(0, |bytes| hits(word(bytes)));
            let fives = [five(0), five(5), five(10), five(15), five(20), five(25)];
            let mut hits = fives.iter().rev().fold(0, |hits, five| hits << 5 | five);
            while hits != 0 {
                let n = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let four = bytes[n..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four)) | FOLD as u32;
                self.look_through_gates(four, at + n);
            }
            at += BLOCK - (GRAM - 1);
        }
        while let Some(bytes) = within.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = word(bytes);
            let hits = hits(word);
            if hits != 0 {
                self.look_at(word, hits, at);
            }
            at += 5;
        }
        let rest = within.get(at..).unwrap_or_default();
        let mut tail = [0; 8];
        tail[..rest.len()].copy_from_slice(rest);
        let word = u64::from_le_bytes(tail) | FOLD;
        // What seems to stand behind the end is not found there when it is compared.
        let hits = (1_u64 << rest.len().saturating_sub(1)) - 1;
        self.look_at(word, hits, at);
    }

    /// Looks for literals that are found at those bytes of `word` which `hits` has a bit for. The first of them stands
    /// at `at`.
    #[inline(always)]
    fn look_at(&mut self, word: u64, mut hits: u64, at: usize) {
        while hits != 0 {
            let n = hits.trailing_zeros();
            hits &= hits - 1;
            self.look_through_gates((word >> (8 * n)) as u32, at + n as usize);
        }
    }

    #[inline(always)]
    fn look_through_gates(&mut self, four: u32, at: usize) {
        if (self.gates.long.bits(four) | self.gates.brief.bits(four & THREE_BYTES)) & 1 != 0 {
            self.look(four, at);
        }
    }

    /// Looks for literals that are found by these bytes, which stand at `at`.
    #[inline(never)]
    fn look(&mut self, four: u32, at: usize) {
        let (literals, gates) = (self.literals, self.gates);
        if gates.long.has(four) {
            self.verify(literals.long.places(four), at);
        }
        let three = four & THREE_BYTES;
        if gates.brief.has(three) {
            self.verify(literals.short.places(three), at);
        }
        let two = four & TWO_BYTES;
        if gates.pairs.has(two) {
            self.verify(literals.pairs.places(two), at);
        }
    }

    #[inline(never)]
    fn find_pairs(&mut self, part: Range<usize>) {
        let (value, pairs) = (self.value, &self.gates.pairs);
        let within = &value[..part.end];
        let mut at = part.start;
        while let Some(bytes) = within.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*bytes) | FOLD;
            let bit = |n: u32| pairs.bits((word >> (8 * n)) as u32 & TWO_BYTES);
            let bits = [bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6)];
            if bits.iter().fold(0, |any, bit| any | bit) & 1 != 0 {
                self.look_for_pairs(&value[at..at + 8], at);
            }
            at += 7;
        }
        self.look_for_pairs(within.get(at..).unwrap_or_default(), at);
    }

    /// Looks for literals of two bytes in `part`, which stands at `at`.
    #[inline(never)]
    fn look_for_pairs(&mut self, part: &[u8], at: usize) {
        let literals = self.literals;
        for (n, pair) in part.windows(2).enumerate() {
            let two = key(pair);
            if self.gates.pairs.has(two) {
                self.verify(literals.pairs.places(two), at + n);
            }
        }
    }

    #[inline(never)]
    fn verify(&mut self, places: &[Place], at: usize) {
        for place in places {
            let (beside, byte) = place.beside;
            let beside = at.checked_add_signed(isize::from(beside)).and_then(|at| self.value.get(at));
            if beside.is_none_or(|beside| beside | FOLDED_BIT != byte) {
                continue;
            }
            let literal = &self.literals.all[place.literal as usize];
            if !literal.is_news(self.needed, self.found) {
                continue;
            }
            let Some(start) = at.checked_sub(usize::from(place.offset)) else { continue };
            let text = self.value.get(start..start + literal.text.len());
            if text.is_some_and(|text| text.eq_ignore_ascii_case(&literal.text)) {
                for u in &literal.uses {
                    self.found[u.word as usize] |= u.bits;
                }
            }
        }
    }
}

/// Bytes of a value from which on tables of what is asked for are worth keeping.
const NARROWED: usize = 2 << 10;
/// Bytes that thirty positions are told of by.
const BLOCK: usize = 33;
/// Bytes of a value from which on it is looked through in parts.
const LONG: usize = 16 << 10;
/// Bytes of the first part. Each of the others has eight times as many as the one before it.
const FIRST_PART: usize = 4 << 10;
/// The same of a shorter value. Each of the others has twice as many as the one before it.
const SHORT_PART: usize = 1 << 10;
/// Bytes that are folded at a time.
const FOLDED: usize = 4 << 10;
/// Literals of two bytes that are looked for together with longer ones.
const FEW_PAIRS: usize = 16;
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: usize = 2;

    /// What is found in a value, of what is needed and beside what was found before.
    type Naive = Box<dyn Fn(&[u8], &[u64], &[u64]) -> Vec<u64>>;

    /// Literals of 100 patterns in two lists, and how each is found in a value by comparing it everywhere.
    fn literals(texts: &[String]) -> (Literals, Naive) {
        let asked = texts.iter().enumerate().map(|(n, text)| (text.as_bytes().to_vec(), n % 2, n % 100));
        let asked: Vec<_> = asked.collect();
        let literals = Literals::new(WORDS, asked.iter().map(|(text, list, n)| (text.as_slice(), *list, *n)));
        let naive = move |value: &[u8], needed: &[u64], found: &[u64]| {
            let value = value.to_ascii_lowercase();
            let mut found = found.to_vec();
            for (text, list, n) in &asked {
                let (word, bit) = (n / 64, 1 << (n % 64));
                if needed[word] & bit != 0 && memchr::memmem::find(&value, text).is_some() {
                    found[list * WORDS + word] |= bit;
                }
            }
            found
        };
        (literals, Box::new(naive))
    }

    /// Both find the same in a value, for all patterns.
    fn agree(literals: &Literals, naive: &Naive, value: &[u8]) {
        let (needed, mut found) = ([u64::MAX; WORDS], vec![0; 2 * WORDS]);
        literals.find(value, &needed, &mut found);
        let short = &value[..value.len().min(100)];
        assert_eq!(found, naive(value, &needed, &[0; 2 * WORDS]), "{}", short.escape_ascii());
    }

    #[test]
    fn literals_are_told_apart_that_have_their_rarest_bytes_in_common() {
        let texts = ["q;~q", "q;~qa", "q;~qb", "aq;~q", "bq;~qa", "aaaq;~qb", "\x40;~q\x60"];
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let (literals, naive) = literals(&texts);
        for value in [
            "q;~q", "Q;~QA", "xq;~q", "aq;~", "aq;~qx", "aaaq;~q", "aaaq;~qb", "b\n;~qa", "BQ;~QA", "bq;~q!",
            "`;~q@", "@;~q`",
        ] {
            for value in [
                value.to_owned(),
                format!("a {value}"),
                format!("{value} a"),
                format!("..{value}..").repeat(9),
            ] {
                agree(&literals, &naive, value.as_bytes());
            }
        }
    }

    #[test]
    fn literals_may_be_longer_than_places_in_them_are_told() {
        let text = "a".repeat(usize::from(u16::MAX) + 10) + "q;~q";
        let (literals, naive) = literals(&[text.clone(), format!("{text}b")]);
        for value in [text.clone(), format!("..{text}b.."), text[1..].to_owned(), "a".repeat(text.len())] {
            agree(&literals, &naive, value.as_bytes());
        }
    }

    #[test]
    fn long_values_tell_what_comparing_everywhere_tells() {
        let mut random = 7_u64;
        let mut below = move |end: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % end
        };
        for (count, letters, shortest) in [(30, 4, 2), (90, 6, 2), (400, 9, 2), (300, 9, 5)] {
            let mut word = |shortest: u64| {
                (0..shortest + below(5))
                    .map(|_| b"aeS.=/_x{"[below(letters) as usize] as char)
                    .collect::<String>()
            };
            let texts: Vec<String> = (0..count).map(|_| word(shortest).to_ascii_lowercase()).collect();
            let (literals, naive) = literals(&texts);
            for size in [1_000, 3_000, 5_000, 20_000, 70_000] {
                // Twice the same, so that tables are kept, and with what is found at the seams of parts.
                for (needed, met) in [([u64::MAX; 2], [0; 6]), ([u64::MAX; 2], [0; 6]), ([5, 1 << 9], [0; 6])]
                {
                    let mut value: Vec<u8> = b"qW ".iter().copied().cycle().take(size).collect();
                    for text in texts.iter().step_by(7) {
                        let seams =
                            [FIRST_PART, FOLDED, 9 * FIRST_PART, size, SHORT_PART + 2, 3 * SHORT_PART + 1];
                        let at = seams[text.len() % seams.len()].min(size) - text.len();
                        value[at..at + text.len()].copy_from_slice(text.to_ascii_uppercase().as_bytes());
                    }
                    let wanted = naive(&value, &needed, &met);
                    let mut found = met;
                    literals.find(&value, &needed, &mut found);
                    // Of a pattern for which all is found, or which is not asked about, more need not be told.
                    for (n, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                        let (found, wanted) = (found & needed[n % 2], wanted & needed[n % 2]);
                        assert_eq!(found, wanted, "{count} {shortest} {size} {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn longer_literals_are_found_at_every_place() {
        let long: Vec<String> = (0..100).map(|n| format!("{n}xq{}", n * n)).filter(|l| l.len() > 5).collect();
        assert!(long.len() > 80);
        let (literals, naive) = literals(&[&long[..], &["q{".to_owned(), "x{y".to_owned()]].concat());
        let finder = literals.narrowed(&[u64::MAX; WORDS], &[0; 6], true);
        assert!(finder.strides.is_some() && finder.searchers.len() == 2);
        for (n, text) in long.iter().enumerate() {
            for (from, to) in
                [(3_000 + n, 5_000), (0, 4_000), (4_000 - text.len(), 4_000), (FIRST_PART - n, 9_000)]
            {
                let mut value = b"..".repeat(5_000);
                value.truncate(to);
                value[from..from + text.len()].copy_from_slice(text.as_bytes());
                agree(&literals, &naive, &value);
            }
        }
    }

    #[test]
    fn what_is_asked_for_twice_is_kept() {
        let texts: Vec<String> = (0..200).map(|n| format!("word{n}")).collect();
        let (literals, _) = literals(&texts);
        let (needed, met) = ([3, 0], [0; 6]);
        assert!(literals.recent(&needed, &met).is_none());
        let kept = literals.recent(&needed, &met).expect("it was asked for twice");
        assert!(!kept.finder.searchers.is_empty());
        assert!(literals.recent(&[1, 0], &met).is_none());
        assert!(Arc::ptr_eq(&kept, &literals.recent(&needed, &met).expect("it is kept")));
    }
}
