//! Where matches of a pattern can begin, by the first two bytes.
//!
//! Bytes that are alike as the first and as the second of all pairs are one class, so that what is looked at for each byte of
//! a text is less than a kilobyte.

use regex_automata::Anchored;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::start;
use std::collections::HashMap;

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
        let rows = rows(dfa)?;
        let has =
            |first: u8, second: u8| rows[usize::from(first)][usize::from(second / 64)] >> (second % 64) & 1;
        let mut columns = [[0; 4]; 256];
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                columns[usize::from(second)][usize::from(first / 64)] |= has(first, second) << (first % 64);
            }
        }
        let mut known: HashMap<(Row, Row), usize> = HashMap::new();
        let (mut classes, mut seconds) = ([0; 256], [0; CLASSES]);
        for (class, alike) in classes.iter_mut().zip(rows.iter().zip(columns)) {
            let new = known.len();
            // Where there are too many, the last stands for all the others.
            *class = (*known.entry((*alike.0, alike.1)).or_insert(new)).min(CLASSES - 1) as u8;
        }
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let class = usize::from(classes[usize::from(first)]);
                seconds[class] |= has(first, second) << classes[usize::from(second)];
            }
        }
        Some(Self { classes, seconds })
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

/// Which second bytes each first byte can have.
fn rows(dfa: &DFA) -> Option<Box<[Row; 256]>> {
    let mut rows = Box::new([[0; 4]; 256]);
    let mut cache = dfa.create_cache();
    let classes = dfa.byte_classes();
    // A line's end is stopped at, for what begins behind it.
    rows[usize::from(b'\n')] = [u64::MAX; 4];
    // What `\b` tells apart, and the like.
    for before in [b'\r', b'a', b' ', b'\xff'] {
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(Some(before));
        // The second bytes that each class of first ones can have.
        let mut known: Vec<Option<Row>> = vec![None; 256];
        for (first, row) in (0..=u8::MAX).zip(rows.iter_mut()) {
            let known = &mut known[usize::from(classes.get(first))];
            let seconds = match known {
                Some(seconds) => *seconds,
                None => *known.insert(seconds(dfa, &mut cache, &config, first)?),
            };
            for (row, seconds) in row.iter_mut().zip(seconds) {
                *row |= seconds;
            }
        }
    }
    // States that were done away with have other names now.
    (cache.clear_count() == 0).then_some(rows)
}

/// Which second bytes a match can have that begins with `first`, at a place that `config` describes.
fn seconds(dfa: &DFA, cache: &mut Cache, config: &start::Config, first: u8) -> Option<Row> {
    let mut row = [0; 4];
    let state = dfa.start_state(cache, config).ok()?;
    let state = dfa.next_state(cache, state, first).ok()?;
    if state.is_dead() {
        return Some(row);
    }
    let classes = dfa.byte_classes();
    let mut last = None;
    for second in 0..=u8::MAX {
        let class = classes.get(second);
        let can_follow = match last {
            Some((same, can_follow)) if same == class => can_follow,
            _ => !dfa.next_state(cache, state, second).ok()?.is_dead(),
        };
        last = Some((class, can_follow));
        row[usize::from(second) / 64] |= u64::from(can_follow) << (second % 64);
    }
    Some(row)
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

/// A set of bytes.
type Row = [u64; 4];
/// Classes of bytes.
const CLASSES: usize = 64;
