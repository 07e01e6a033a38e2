//! Where matches of a pattern can begin, by the first three bytes, and what it tells apart of what stands before them.
//!
//! Pairs are told by the classes of their bytes, so that what is looked at for each byte of a text is less than a kilobyte;
//! the third byte is looked at only behind those that pass. Both are told for a block of places at a time.

use super::thirds::Thirds;
use regex_automata::Anchored;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::start;

/// Which three bytes can be the first of a match that does not begin a line, whatever stands before them; some more may seem
/// to.
#[derive(Clone)]
pub(super) struct Beginnings {
    classes: [u8; 256],
    /// For each class of first bytes those of second ones. There are [`CLASSES`] at most; with room for as many as a byte can
    /// tell it need not be asked whether there is one.
    seconds: [u64; 256],
    thirds: Thirds,
}

/// What stands before a beginning, in kinds that the pattern tells apart: at most nothing, a line's end of either sort, a
/// part of a word, and something else.
#[derive(Clone)]
pub(super) struct Befores {
    /// The kind of each byte, and behind them that of the input's beginning.
    kinds: [u8; 257],
}

impl Befores {
    /// The kinds for the pattern of this automaton.
    pub(super) fn of(dfa: &DFA) -> Option<Self> {
        let mut cache = dfa.create_cache();
        let (mut kinds, mut known) = ([0; 257], Vec::new());
        for (kind, before) in kinds.iter_mut().zip((0..=u8::MAX).map(Some).chain([None])) {
            let state = dfa.start_state(&mut cache, &behind(before)).ok()?;
            let at = known.iter().position(|known| *known == state);
            *kind = at.unwrap_or_else(|| {
                known.push(state);
                known.len() - 1
            }) as u8;
        }
        // States that were done away with have other names now.
        (cache.clear_count() == 0 && known.len() <= KINDS).then_some(Self { kinds })
    }

    /// The kind of what stands before `start`.
    pub(super) fn kind(&self, input: &[u8], start: usize) -> usize {
        let before = start.checked_sub(1).map_or(256, |before| usize::from(input[before]));
        usize::from(self.kinds[before])
    }

    /// A byte of each kind that has others than a line's end.
    fn examples(&self) -> impl Iterator<Item = u8> {
        let mut is_known = [false; KINDS];
        let mut is_new = move |byte: u8| {
            !std::mem::replace(&mut is_known[usize::from(self.kinds[usize::from(byte)])], true)
        };
        (0..=u8::MAX).filter(move |byte| *byte != b'\n' && is_new(*byte))
    }
}

/// A beginning behind a byte, or at the beginning of an input.
fn behind(before: Option<u8>) -> start::Config {
    start::Config::new().anchored(Anchored::Yes).look_behind(before)
}

impl Beginnings {
    /// Where matches of the pattern of this automaton can begin.
    pub(super) fn of(dfa: &DFA, befores: &Befores) -> Option<Self> {
        let of_dfa = |byte: u8| dfa.byte_classes().get(byte);
        // The first byte of each row of those that are one to the automaton. A line's end is a row by itself.
        let begins_row = |byte: &u8| {
            matches!(byte, 0 | b'\n' | b'\x0b') || byte.checked_sub(1).map(of_dfa) != Some(of_dfa(*byte))
        };
        let rows: Vec<u8> = (0..=u8::MAX).filter(begins_row).collect();
        let pairs = pairs(dfa, befores, &rows)?;
        // The classes that are alike as the first and as the second of all pairs. There are many letters and few of such.
        let mut known: Vec<(&[bool], Vec<bool>)> = Vec::new();
        let mut merged = Vec::new();
        for (n, seconds) in pairs.iter().enumerate() {
            let alike = (seconds.as_slice(), pairs.iter().map(|seconds| seconds[n]).collect::<Vec<bool>>());
            let at = known.iter().position(|known| *known == alike).unwrap_or_else(|| {
                known.push(alike);
                known.len() - 1
            });
            // Where there are too many, the last stands for all the others.
            merged.push(at.min(CLASSES - 1));
        }
        let mut classes = [0; 256];
        for (byte, class) in (0..=u8::MAX).zip(&mut classes) {
            *class = merged[rows.partition_point(|first| *first <= byte) - 1] as u8;
        }
        let mut seconds = [0_u64; 256];
        for (first, follow) in merged.iter().zip(&pairs) {
            for (second, _) in merged.iter().zip(follow).filter(|(_, follows)| **follows) {
                seconds[*first] |= 1 << second;
            }
        }
        let rows: Vec<(u8, usize)> = rows.into_iter().zip(merged).collect();
        let begins = |first: usize, second: usize| seconds[first] >> second & 1 == 1;
        let thirds = Thirds::of(dfa.get_nfa(), &rows, known.len().min(CLASSES), begins);
        Some(Self { classes, seconds, thirds })
    }

    #[inline(always)]
    fn class(&self, byte: u8) -> usize {
        usize::from(self.classes[usize::from(byte)])
    }

    #[inline(always)]
    fn has(&self, first: u8, second: u8) -> bool {
        self.seconds[self.class(first)].wrapping_shr(self.class(second) as u32) & 1 == 1
    }

    /// The places of an input where a match may begin, one after the other.
    pub(super) fn places<'p>(&'p self, input: &'p [u8]) -> Places<'p> {
        Places { beginnings: self, input, from: 0, mask: 0 }
    }

    /// At which of the [`BLOCK`] places from `from` on a match may begin, the first by the lowest bit.
    fn mask(&self, input: &[u8], from: usize) -> u64 {
        let bytes = input.get(from..).unwrap_or_default();
        let Some(block) = bytes.first_chunk::<{ BLOCK + 1 }>() else {
            let begins = |at: &usize| u64::from(self.may_begin(input, from + at)) << at;
            return (0..bytes.len()).map(|at| begins(&at)).fold(0, |mask, bit| mask | bit);
        };
        let mut seconds = self.seconds[self.class(block[0])];
        let mut pairs = 0_u64;
        // Without a branch: all places are looked at anyhow. The first comes to be the highest bit.
        for byte in &block[1..] {
            let class = self.class(*byte);
            pairs = (pairs << 1) + (seconds.wrapping_shr(class as u32) & 1);
            seconds = self.seconds[class];
        }
        let mut pairs = pairs.reverse_bits();
        let mut mask = u64::from(from.checked_sub(1).is_none_or(|before| input[before] == b'\n'));
        while pairs != 0 {
            let at = pairs.trailing_zeros() as usize;
            mask |= u64::from(self.goes_on(input, from + at)) << at;
            // Behind a line's end something else may begin. Each pair of one and something else is among these.
            mask |= u64::from(block[at] == b'\n') << 1 << at;
            pairs &= pairs - 1;
        }
        mask
    }

    /// Whether a match may begin at `at`.
    #[inline(always)]
    pub(super) fn may_begin(&self, input: &[u8], at: usize) -> bool {
        match (input.get(at), input.get(at + 1)) {
            (Some(_), None) => true,
            (Some(first), Some(second)) => {
                let begins_line = || at.checked_sub(1).is_none_or(|before| input[before] == b'\n');
                self.has(*first, *second) && self.goes_on(input, at) || begins_line()
            }
            (None, _) => false,
        }
    }

    /// Whether the third byte can follow the pair at `at`, which begins a match.
    #[inline(always)]
    fn goes_on(&self, input: &[u8], at: usize) -> bool {
        let [first, second, third, ..] = input[at..] else { return true };
        self.thirds.may_follow(self.class(first), self.class(second), third)
    }

    /// How many places of a text have one of these pairs, roughly.
    pub(super) fn likelihood(&self) -> f64 {
        let seconds = |first: u8| LETTERS.iter().filter(move |(second, _)| self.has(first, *second));
        let of = |(first, often): &(u8, f64)| often * seconds(*first).map(|(_, often)| often).sum::<f64>();
        LETTERS.iter().map(of).sum()
    }
}

/// The places of an input where a match may begin, told for a block of them at a time.
pub(super) struct Places<'p> {
    beginnings: &'p Beginnings,
    input: &'p [u8],
    /// Where the block begins: all before it was looked through.
    from: usize,
    /// Its places, the first by the lowest bit. Behind the last of all there is none.
    mask: u64,
}

impl Places<'_> {
    /// The first place from `at` on where a match may begin; the input's length, if there is none. It is to be asked of places
    /// in their order.
    #[inline(always)]
    pub(super) fn next(&mut self, at: usize) -> usize {
        let (from, rest) = match at.checked_sub(self.from) {
            None if self.mask == 0 => return self.input.len(),
            None => (self.from, self.mask),
            Some(shift @ ..BLOCK) => (at, self.mask >> shift),
            Some(_) => (at, 0),
        };
        if rest == 0 { self.look_on(at) } else { from + rest.trailing_zeros() as usize }
    }

    /// The same, if there is none from `at` on in the block.
    #[inline(never)]
    fn look_on(&mut self, at: usize) -> usize {
        let end = if self.mask == 0 { 0 } else { self.from + BLOCK };
        self.from = at.max(end);
        while self.from < self.input.len() {
            self.mask = self.beginnings.mask(self.input, self.from);
            if self.mask != 0 {
                return self.from + self.mask.trailing_zeros() as usize;
            }
            self.from += BLOCK;
        }
        (self.from, self.mask) = (self.input.len(), 0);
        self.input.len()
    }
}

/// For each of these bytes which of them can be the second behind it.
fn pairs(dfa: &DFA, befores: &Befores, bytes: &[u8]) -> Option<Vec<Vec<bool>>> {
    let mut pairs = vec![vec![false; bytes.len()]; bytes.len()];
    let mut cache = dfa.create_cache();
    for before in befores.examples() {
        let config = behind(Some(before));
        for (first, seconds) in bytes.iter().zip(&mut pairs) {
            let state = dfa.start_state(&mut cache, &config).ok()?;
            let state = dfa.next_state(&mut cache, state, *first).ok()?;
            for (second, follows) in bytes.iter().zip(seconds) {
                // A line's end is stopped at, for what begins behind it.
                *follows |= *first == b'\n'
                    || !state.is_dead() && !dfa.next_state(&mut cache, state, *second).ok()?.is_dead();
            }
        }
    }
    // States that were done away with have other names now.
    (cache.clear_count() == 0).then_some(pairs)
}

/// How often letters come in English text, with the spaces between words.
const LETTERS: [(u8, f64); 23] = [
    (b' ', 0.17),
    (b'e', 0.10),
    (b't', 0.075),
    (b'a', 0.07),
    (b'o', 0.06),
    (b'i', 0.06),
    (b'n', 0.055),
    (b's', 0.05),
    (b'h', 0.05),
    (b'r', 0.05),
    (b'd', 0.035),
    (b'l', 0.035),
    (b'c', 0.025),
    (b'u', 0.025),
    (b'm', 0.02),
    (b'w', 0.02),
    (b'f', 0.02),
    (b'g', 0.015),
    (b'y', 0.015),
    (b'p', 0.015),
    (b'b', 0.015),
    (b'v', 0.01),
    (b'k', 0.005),
];

/// Places of a block.
const BLOCK: usize = 64;
/// Classes of bytes.
const CLASSES: usize = 64;
/// Kinds of what stands before beginnings, with room to spare.
pub(super) const KINDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::nfa::thompson;

    /// As those of many words: to their automata nearly each letter is another.
    #[test]
    fn what_cannot_begin_is_passed_over_however_many_classes_an_automaton_has() {
        let each = |(n, byte): (usize, u8)| format!("\\x{byte:02x}{{{}}}", n + 1);
        let each: Vec<String> = (b'!'..=b'~').enumerate().map(each).collect();
        let pattern = format!("[;|]['(]*(?:{})x", each.join("|"));
        let mut parser = regex_syntax::ParserBuilder::new();
        let hir = parser.unicode(false).utf8(false).build().parse(&pattern).expect("a valid pattern");
        let nfa = thompson::Compiler::new().build_from_hir(&hir).expect("valid");
        let dfa = DFA::builder().build_from_nfa(nfa).expect("valid");
        assert!(dfa.byte_classes().alphabet_len() > CLASSES, "{}", dfa.byte_classes().alphabet_len());
        let beginnings = Beginnings::of(&dfa, &Befores::of(&dfa).expect("few kinds")).expect("few states");
        for first in (0..=u8::MAX).filter(|first| *first != b'\n') {
            let begins = |second: u8, third: u8| beginnings.may_begin(&[b' ', first, second, third], 1);
            let is_first = matches!(first, b';' | b'|');
            // The first of them comes once, the others more often.
            let third = |second: u8| if second == b'!' { b'x' } else { second };
            assert!((b'!'..=b'~').all(|second| begins(second, third(second)) == is_first), "{first:#x}");
            assert!((0..=u8::MAX).all(|second| !begins(second, b' ')), "{first:#x}");
            assert!(!begins(b'\x80', b'x') && !begins(b' ', b'x'), "{first:#x}");
            assert!(beginnings.may_begin(&[b' ', first, b'a'], 1) == is_first, "no third is there");
        }
        assert_eq!(
            beginnings.places(b"a word, and; more").next(1),
            16,
            "it is not known what the last byte begins"
        );
        assert_eq!(beginnings.places(b"a word, and;m re").next(1), 15);
        assert_eq!(beginnings.places(b"a word, and;mmore").next(1), 11);
        assert_eq!(beginnings.places(b"a word\nand").next(1), 7, "behind a line's end");
        assert_eq!(beginnings.places(b"a word\nand").next(7), 7, "a line begins");
    }

    #[test]
    fn places_are_all_those_at_which_a_match_may_begin() {
        let mut parser = regex_syntax::ParserBuilder::new();
        let hir = parser.unicode(false).utf8(false).build().parse("(?m)(?:[;|]['(]*|^)(?:ab|cd)x");
        let nfa = thompson::Compiler::new().build_from_hir(&hir.expect("a valid pattern")).expect("valid");
        let dfa = DFA::builder().build_from_nfa(nfa).expect("valid");
        let beginnings = Beginnings::of(&dfa, &Befores::of(&dfa).expect("few kinds")).expect("few states");
        let mut state = 1_usize;
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        for _ in 0..3_000 {
            let (length, kinds) = (below(4 * BLOCK), 8 + below(300));
            let input: Vec<u8> =
                (0..length).map(|_| *b";'acbd\n|".get(below(kinds)).unwrap_or(&b' ')).collect();
            let mut places = beginnings.places(&input);
            let mut at = below(length + 1);
            while at < length {
                let wanted = (at..length).find(|at| beginnings.may_begin(&input, *at)).unwrap_or(length);
                assert_eq!(places.next(at), wanted, "{at} {}", input.escape_ascii());
                at += below(3) * below(BLOCK);
                at += usize::from(below(40) == 0);
            }
            assert_eq!((places.next(length), places.next(length)), (length, length));
        }
    }
}
