//! Where matches of a pattern can begin, by the first three bytes, and what it tells apart of what stands before them.
//!
//! Pairs are told by the classes of their bytes, so that what is looked at for each byte of a text is less than a kilobyte;
//! the third byte is looked at only behind those that pass.

use super::thirds::Thirds;
use regex_automata::Anchored;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::start;

/// Which three bytes can be the first of a match that does not begin a line, whatever stands before them; some more may seem
/// to.
#[derive(Clone)]
pub(super) struct Beginnings {
    classes: [u8; 256],
    /// For each class of first bytes those of second ones.
    seconds: [u64; CLASSES],
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
        let mut seconds = [0_u64; CLASSES];
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
        usize::from(self.classes[usize::from(byte)]) % CLASSES
    }

    #[inline(always)]
    fn has(&self, first: u8, second: u8) -> bool {
        self.seconds[self.class(first)] >> self.class(second) & 1 == 1
    }

    /// The first place from `at` on where a match may begin.
    pub(super) fn next(&self, input: &[u8], mut at: usize) -> Option<usize> {
        loop {
            if self.may_begin(input, at) {
                return Some(at);
            }
            // Behind a line's end something else may begin.
            at = if *input.get(at)? == b'\n' { at + 1 } else { self.next_pair(input, at)? };
        }
    }

    /// The first place behind `at` whose pair begins a match, or at which none stands.
    fn next_pair(&self, input: &[u8], at: usize) -> Option<usize> {
        let [_, first, rest @ ..] = input.get(at..)? else { return None };
        let mut seconds = self.seconds[self.class(*first)];
        let step = rest.iter().position(|byte| {
            let class = self.class(*byte);
            let begins = seconds >> class & 1 == 1;
            seconds = self.seconds[class];
            begins
        });
        // What the last byte would begin is not told by pairs.
        Some(at + 1 + step.unwrap_or(rest.len()))
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
            beginnings.next(b"a word, and; more", 1),
            Some(16),
            "it is not known what the last byte begins"
        );
        assert_eq!(beginnings.next(b"a word, and;m re", 1), Some(15));
        assert_eq!(beginnings.next(b"a word, and;mmore", 1), Some(11));
        assert_eq!(beginnings.next(b"a word\nand", 1), Some(7), "behind a line's end");
        assert_eq!(beginnings.next(b"a word\nand", 7), Some(7), "a line begins");
    }
}
