//! Where matches of a pattern can begin, by the first two bytes.
//!
//! Pairs are told by the classes of their bytes, so that what is looked at for each byte of a text is less than a kilobyte.

use regex_automata::Anchored;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::start;

/// Which two bytes can be the first of a match that does not begin a line, whatever stands before them; some more may seem
/// to.
#[derive(Clone)]
pub(super) struct Beginnings {
    classes: [u8; 256],
    /// For each class of first bytes those of second ones.
    seconds: [u64; CLASSES],
}

impl Beginnings {
    /// Where matches of the pattern of this automaton can begin.
    pub(super) fn of(dfa: &DFA) -> Option<Self> {
        // The automaton's own classes; where there are too many, the last of them are taken for one.
        let of_dfa = |byte: u8| dfa.byte_classes().get(byte);
        let class = |byte: u8| if byte == b'\n' { LINE_END } else { of_dfa(byte).min(LINE_END - 1) };
        let mut found = Self { classes: [0; 256], seconds: [0; CLASSES] };
        for (byte, number) in (0..=u8::MAX).zip(&mut found.classes) {
            *number = class(byte);
        }
        // The first byte of each row of those that are alike.
        let begins_row = |byte: &u8| {
            matches!(byte, 0 | b'\n' | b'\x0b') || byte.checked_sub(1).map(of_dfa) != Some(of_dfa(*byte))
        };
        let alike: Vec<u8> = (0..=u8::MAX).filter(begins_row).collect();
        let mut cache = dfa.create_cache();
        // What `\b` tells apart, and the like.
        for before in [b'\r', b'a', b' ', b'\xff'] {
            let config = start::Config::new().anchored(Anchored::Yes).look_behind(Some(before));
            for &first in &alike {
                let state = dfa.start_state(&mut cache, &config).ok()?;
                let state = dfa.next_state(&mut cache, state, first).ok()?;
                for &second in &alike {
                    if state.is_dead() || dfa.next_state(&mut cache, state, second).ok()?.is_dead() {
                        continue;
                    }
                    found.seconds[usize::from(class(first))] |= 1 << class(second);
                }
            }
        }
        // A line's end is stopped at, for what begins behind it.
        found.seconds[usize::from(LINE_END)] = u64::MAX;
        // States that were done away with have other names now.
        (cache.clear_count() == 0).then_some(found)
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
    pub(super) fn next(&self, input: &[u8], at: usize) -> Option<usize> {
        if self.may_begin(input, at) {
            return Some(at);
        }
        let [first, rest @ ..] = input.get(at..)? else { return None };
        let mut seconds = self.seconds[self.class(*first)];
        let step = rest.iter().position(|byte| {
            let class = self.class(*byte);
            let begins = seconds >> class & 1 == 1;
            seconds = self.seconds[class];
            begins
        });
        // What the last byte would begin is not told by pairs.
        Some(at + step.unwrap_or(rest.len()))
    }

    /// Whether a match may begin at `at`.
    #[inline(always)]
    pub(super) fn may_begin(&self, input: &[u8], at: usize) -> bool {
        match (input.get(at), input.get(at + 1)) {
            (Some(_), None) => true,
            (Some(first), Some(second)) => {
                let begins_line = || at.checked_sub(1).is_none_or(|before| input[before] == b'\n');
                self.has(*first, *second) || begins_line()
            }
            (None, _) => false,
        }
    }

    /// How many places of a text have one of these pairs, roughly.
    pub(super) fn likelihood(&self) -> f64 {
        let seconds = |first: u8| LETTERS.iter().filter(move |(second, _)| self.has(first, *second));
        let of = |(first, often): &(u8, f64)| often * seconds(*first).map(|(_, often)| often).sum::<f64>();
        LETTERS.iter().map(of).sum()
    }
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
/// The class of a line's end, which has nothing else.
const LINE_END: u8 = CLASSES as u8 - 1;
