//! Long inputs, looked through in several stretches at a time.
//!
//! An automaton waits for each byte's state before it can ask for the next one's. Four that go through a stretch of the input
//! each wait together, and take half as long as one. What began in a stretch and goes on in the next is followed until it
//! comes to the state that the next one had at that place: as a rule within a few bytes.
//!
//! It tells whether there is a match, not where.

use super::walk::Unknown;
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Searches with one automaton.
pub(super) struct Search {
    /// How many new states they may make: to make one takes as long as to go through hundreds of bytes, and values may be
    /// made for nothing else.
    credit: AtomicUsize,
}

impl Search {
    /// Searches with all the credit that there can be.
    pub(super) fn new() -> Self {
        Self { credit: AtomicUsize::new(CREDIT) }
    }

    /// Whether a match begins in `input` at `from` or later. That is not known where it leads to new states more often than
    /// there is credit for.
    pub(super) fn is_match(
        &self,
        dfa: &DFA,
        cache: &mut Cache,
        input: &[u8],
        from: usize,
    ) -> Result<bool, Unknown> {
        // Another search may change it at the same time. What is lost or won by that is little.
        let credit = self.credit.load(Ordering::Relaxed) + input.len() / BYTES_FOR_A_STATE;
        let mut run = Run { dfa, cache, input, left: credit.min(CREDIT) };
        let told = run.search(from);
        self.credit.store(run.left, Ordering::Relaxed);
        match told {
            Err(Told::Match) => Ok(true),
            Ok(()) | Err(Told::Nothing) => Ok(false),
            Err(Told::Unknown) => Err(Unknown),
        }
    }

    /// Leaves so much credit.
    #[cfg(test)]
    pub(super) fn leave(&self, credit: usize) {
        self.credit.store(credit, Ordering::Relaxed);
    }
}

/// What ends a search.
enum Told {
    Match,
    /// No match can follow.
    Nothing,
    Unknown,
}

struct Run<'r> {
    dfa: &'r DFA,
    cache: &'r mut Cache,
    input: &'r [u8],
    /// New states that may still be made.
    left: usize,
}

impl Run<'_> {
    fn search(&mut self, from: usize) -> Result<(), Told> {
        let length = self.input.len().saturating_sub(from);
        let state = if length < LONG { None } else { self.together(from, length / STRETCHES)? };
        let (state, at) = match state {
            Some(known) => known,
            None => (self.start(from)?, from),
        };
        let state = self.follow(state, at..self.input.len())?;
        let end = self.dfa.next_eoi_state(self.cache, state).map_err(|_| Told::Unknown)?;
        if end.is_match() { Err(Told::Match) } else { Ok(()) }
    }

    fn start(&mut self, from: usize) -> Result<LazyStateID, Told> {
        let all = Input::new(self.input).range(from..);
        self.dfa.start_state_forward(self.cache, &all).map_err(|_| Told::Unknown)
    }

    /// The state before some place of the input for which that was soon told; nothing where that is no help.
    fn together(&mut self, from: usize, stretch: usize) -> Result<Option<(LazyStateID, usize)>, Told> {
        let cleared = self.cache.clear_count();
        let places: [usize; STRETCHES] = std::array::from_fn(|n| from + n * stretch);
        let mut states = [LazyStateID::default(); STRETCHES];
        for (state, place) in states.iter_mut().zip(places) {
            *state = self.start(place)?;
        }
        let begun = states;
        if self.cache.clear_count() != cleared || states.iter().any(LazyStateID::is_tagged) {
            return Ok(None);
        }
        let pieces = places.map(|place| self.input.get(place..place + stretch).unwrap_or_default());
        let mut done = 0;
        while done < stretch {
            let left = pieces.map(|piece| piece.get(done..).unwrap_or_default());
            done += go_on_together(self.dfa, self.cache, &mut states, left);
            for (state, piece) in states.iter_mut().zip(pieces) {
                let Some(byte) = piece.get(done) else { break };
                *state = match self.step(*state, *byte) {
                    // A pattern of which only the input's beginning can tell.
                    Err(Told::Nothing) => return Ok(None),
                    told => told?,
                };
                // States were done away with, and the others may have been among them.
                if self.cache.clear_count() != cleared {
                    return Ok(None);
                }
            }
            done += 1;
        }
        // What is under way at the end of a stretch is followed into the next.
        let mut state = states[0];
        for n in 1..STRETCHES {
            let (mut at, mut other) = (places[n], begun[n]);
            while state != other {
                let byte = match self.input.get(at) {
                    Some(byte) if at - places[n] < SEAM => *byte,
                    _ => return Ok(Some((state, at))),
                };
                other = self.step(other, byte)?;
                if self.cache.clear_count() != cleared {
                    return Ok(None);
                }
                state = self.step(state, byte)?;
                at += 1;
                // The state that was led to last is kept, whatever had to make room for it.
                if self.cache.clear_count() != cleared {
                    return Ok(Some((state, at)));
                }
            }
            state = states[n];
        }
        Ok(Some((state, from + STRETCHES * stretch)))
    }

    /// Goes on from a state through a part of the input.
    fn follow(&mut self, mut state: LazyStateID, part: Range<usize>) -> Result<LazyStateID, Told> {
        let mut bytes = self.input.get(part).unwrap_or_default().iter();
        // Nothing may follow from the beginning on.
        if state.is_tagged()
            && let Some(byte) = bytes.next()
        {
            state = self.step(state, *byte)?;
        }
        for byte in bytes {
            let known = self.dfa.next_state_untagged(self.cache, state, *byte);
            state = if known.is_tagged() { self.step(state, *byte)? } else { known };
        }
        Ok(state)
    }

    /// Goes on by a byte, to a state that may be new.
    fn step(&mut self, state: LazyStateID, byte: u8) -> Result<LazyStateID, Told> {
        if state.is_tagged() || self.dfa.next_state_untagged(self.cache, state, byte).is_unknown() {
            self.left = self.left.checked_sub(1).ok_or(Told::Unknown)?;
        }
        let state = self.dfa.next_state(self.cache, state, byte).map_err(|_| Told::Unknown)?;
        match state {
            _ if state.is_quit() => Err(Told::Unknown),
            _ if state.is_match() => Err(Told::Match),
            _ if state.is_dead() => Err(Told::Nothing),
            _ => Ok(state),
        }
    }
}

/// Goes on from each state through its piece, as long as all lead to states that are known and tell of nothing. Returns after
/// how many bytes that ended.
fn go_on_together(
    dfa: &DFA,
    cache: &Cache,
    states: &mut [LazyStateID; STRETCHES],
    pieces: [&[u8]; STRETCHES],
) -> usize {
    let [a, b, c, d] = pieces.map(|piece| piece.iter().copied());
    let mut now = *states;
    let mut steps = 0;
    for (((a, b), c), d) in a.zip(b).zip(c).zip(d) {
        let bytes = [a, b, c, d];
        let next: [LazyStateID; STRETCHES] =
            std::array::from_fn(|n| dfa.next_state_untagged(cache, now[n], bytes[n]));
        if next.iter().fold(false, |any, state| any | state.is_tagged()) {
            break;
        }
        now = next;
        steps += 1;
    }
    *states = now;
    steps
}

/// Stretches that are gone through at a time.
const STRETCHES: usize = 4;
/// Bytes of an input from which on that is worth it.
const LONG: usize = 512;
/// How far what is under way at the end of a stretch is followed beside the next.
const SEAM: usize = 64;
/// The most new states that searches may make one after the other.
const CREDIT: usize = 1_000;
/// Bytes of inputs for which there is credit for one more.
const BYTES_FOR_A_STATE: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;
    use regex_automata::nfa::thompson::Compiler;
    use regex_syntax::hir::Hir;

    fn parse(pattern: &str) -> Hir {
        let mut parser = regex_syntax::ParserBuilder::new();
        parser.unicode(false).utf8(false).build().parse(pattern).expect("a valid pattern")
    }

    fn dfa(pattern: &str, capacity: usize) -> DFA {
        let nfa = Compiler::new().build_from_hir(&parse(pattern)).expect("valid");
        let config = DFA::config().cache_capacity(capacity).skip_cache_capacity_check(true);
        DFA::builder().configure(config).build_from_nfa(nfa).expect("valid")
    }

    fn told(pattern: &str, input: &[u8], from: usize) -> Result<bool, Unknown> {
        let dfa = dfa(pattern, 1 << 20);
        Search::new().is_match(&dfa, &mut dfa.create_cache(), input, from)
    }

    #[test]
    fn a_match_is_found_wherever_it_lies() {
        for length in [LONG - 1, LONG, LONG + 1, 1_001, 4_003] {
            let mut input = b"some words, ".repeat(length.div_ceil(12));
            input.truncate(length);
            assert_eq!(told("needle", &input, 0), Ok(false));
            for at in 0..length - 6 {
                let mut input = input.clone();
                input[at..at + 6].copy_from_slice(b"needle");
                assert_eq!(told("needle", &input, 0), Ok(true), "{length} {at}");
                assert_eq!(told("needle", &input, 7), Ok(at >= 7), "{length} {at}");
            }
        }
    }

    #[test]
    fn what_stands_before_a_stretch_and_behind_the_last_counts() {
        let words = b"some words, ".repeat(100);
        let with = |end: &[u8]| [words.as_slice(), end].concat();
        assert_eq!(told(r"\bsomex", &with(b"somex"), 0), Ok(true));
        assert_eq!(told(r"\bomex", &with(b"somex"), 0), Ok(false));
        // Stretches begin at all places of words.
        for from in 0..48 {
            assert_eq!(told(r"\b(?:ome|ords|e w|ds)", &words, from), Ok(false), "{from}");
        }
        assert_eq!(told(r"words, $", &words, 0), Ok(true));
        assert_eq!(told(r"words$", &words, 0), Ok(false));
    }

    #[test]
    fn what_goes_on_through_several_stretches_is_followed() {
        let gap = [b"begin ".as_slice(), &b"words and ".repeat(400), b"end"].concat();
        assert_eq!(told("(?s)begin .*end", &gap, 0), Ok(true));
        assert_eq!(told("(?s)begin .*ends", &gap, 0), Ok(false));
        assert_eq!(told("(?s)words .*begin", &gap, 0), Ok(false));
        assert_eq!(told("begin [^;]{300}", &gap, 0), Ok(true));
        assert_eq!(told("begin [^;]+;", &gap, 0), Ok(false));
    }

    #[test]
    fn what_only_the_beginning_can_tell_is_told_by_it() {
        let words = b"some words, ".repeat(100);
        assert_eq!(told(r"\Asome words", &words, 0), Ok(true));
        assert_eq!(told(r"\Awords", &words, 0), Ok(false));
        assert_eq!(told(r"\Asome[a-z ,]+$", &words, 0), Ok(true));
        assert_eq!(told(r"\Asome[a-z ]+$", &words, 0), Ok(false));
        assert_eq!(told(r"\Asome", &words, 4), Ok(false));
    }

    #[test]
    fn new_states_are_made_as_long_as_there_is_credit() {
        let dfa = dfa("(?i)(?s:[;|&].*)(?:c[a']*a[t']*t|s[u']*u[d']*do|pas*[s']*wd)x", 1 << 20);
        let mut cache = dfa.create_cache();
        let begun: Vec<u8> = [b";".as_slice(), &b"catsudopasswdcasudpasssucapa".repeat(40)].concat();
        assert!(begun.len() < BYTES_FOR_A_STATE);
        let search = Search::new();
        let mut left = |some: usize| {
            search.leave(some);
            (search.is_match(&dfa, &mut cache, &begun, 0), search.credit.load(Ordering::Relaxed))
        };
        assert_eq!(left(2), (Err(Unknown), 0));
        let (told, rest) = left(CREDIT);
        assert_eq!(told, Ok(false));
        assert!((1..CREDIT).contains(&rest), "{rest}");
        assert_eq!(left(0), (told, 0), "now they are known");
        let long = begun.repeat(BYTES_FOR_A_STATE / begun.len() + 1);
        let mut left = || {
            let told = search.is_match(&dfa, &mut cache, &long, 0);
            (told, search.credit.load(Ordering::Relaxed))
        };
        search.leave(100);
        let (_, before) = left();
        assert_eq!(left(), (Ok(false), before + 1), "a long one is good for one more");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// It tells what the other engine tells, or does not know, however little room there is for states.
        #[test]
        fn it_tells_what_the_other_tells(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "cat", "do", "d", "o", ";", "'", " ", "\n", "begin", "end", "x=", "a long text of words ", "\u{e9}",
            ]), 0..400),
            from in 0_usize..40,
            capacity in proptest::sample::select(vec![0, 2_000, 5_000, 20_000, 1 << 20]),
        ) {
            thread_local! {
                static PATTERNS: Vec<(&'static str, Regex)> = [
                    r"(?i)[;'].{0,20}c['o]*a['o]*t\b",
                    r"(?s)begin.*(?:dodo|end=)",
                    r"(?m)^(?:cat|do)+$",
                    r"\bd\b.\bo\b|x=x=x=",
                    r"(?:text[^;]*;){3}end",
                ]
                .into_iter()
                .map(|pattern| (pattern, Regex::builder().build_from_hir(&parse(pattern)).expect("valid")))
                .collect();
            }
            let input = pieces.concat().into_bytes();
            let from = from.min(input.len());
            PATTERNS.with(|patterns| {
                for (pattern, regex) in patterns {
                    let dfa = dfa(pattern, capacity);
                    if let Ok(told) = Search::new().is_match(&dfa, &mut dfa.create_cache(), &input, from) {
                        let wanted = regex.is_match(Input::new(&input).range(from..));
                        assert_eq!(told, wanted, "{pattern} {} {from}", input.escape_ascii());
                    }
                }
            });
        }
    }
}
