//! Patterns of many states, tried from each place at which a match can begin.
//!
//! An automaton that looks for a match at all places together has a state for each mixture of beginnings that are under
//! way. Patterns that allow for noise between letters keep many of them under way, and random text then leads to a state
//! that has not been met with nearly every byte: it has to be made, which takes a hundred times as long as to go to one
//! that is known. Tried from one place, the same pattern has few states, and most places are ruled out by two bytes.
//!
//! Time stays proportional to the input: after a number of steps for each byte the walker gives up, and does not know.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::util::start;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look};
use std::ops::Range;

/// A pattern and where its matches can begin.
pub(super) struct Walker {
    dfa: DFA,
    /// Which two bytes can be the first of a match that does not begin a line.
    pairs: Pairs,
    /// Whether few places of a text can begin a match.
    is_choosy: bool,
    caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
}

/// It is not known whether there is a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

impl Walker {
    /// A walker for a pattern that is worth one. `size` is the most that its automaton may take, in bytes.
    pub(super) fn new(hir: &Hir, size: usize) -> Option<Self> {
        let properties = hir.properties();
        let is_anchored = properties.look_set_prefix().contains(Look::Start);
        if is_anchored || properties.minimum_len().is_none_or(|least| least == 0) {
            return None;
        }
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(size));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
        if nfa.states().len() < MANY_STATES {
            return None;
        }
        let config = DFA::config().cache_capacity(CACHE).minimum_cache_clear_count(Some(CLEARINGS));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let pairs = first_pairs(&dfa)?;
        let made = dfa.clone();
        let caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>> =
            Pool::new(Box::new(move || made.create_cache()));
        let is_choosy = likelihood(&pairs) <= CHOOSY;
        Some(Self { dfa, pairs, is_choosy, caches })
    }

    /// The first match that begins at `from` or later; where another way is quicker, it is not known either.
    pub(super) fn find(&self, input: &[u8], from: usize) -> Result<Option<Range<usize>>, Unknown> {
        self.walk(input, from, false)
    }

    /// Whether there is a match.
    pub(super) fn is_match(&self, input: &[u8]) -> Result<bool, Unknown> {
        self.walk(input, 0, true).map(|found| found.is_some())
    }

    /// The first match, or what is known of it when it is enough that there is one.
    fn walk(&self, input: &[u8], from: usize, any: bool) -> Result<Option<Range<usize>>, Unknown> {
        if !self.is_choosy && !is_noise(input) {
            return Err(Unknown);
        }
        let mut cache = self.caches.get();
        let mut steps = STEPS + input.len().saturating_mul(STEPS_FOR_A_BYTE);
        let mut at = from;
        while let Some(start) = self.next_start(input, at) {
            match self.match_at(&mut cache, input, start, any, &mut steps) {
                Ok(None) => at = start + 1,
                Ok(Some(end)) => return Ok(Some(start..end)),
                Err(Unknown) => {
                    cache.reset(&self.dfa);
                    return Err(Unknown);
                }
            }
        }
        Ok(None)
    }

    /// The first place from `at` on where a match may begin.
    fn next_start(&self, input: &[u8], at: usize) -> Option<usize> {
        let rest = input.get(at..)?;
        if at.checked_sub(1).is_none_or(|before| input.get(before) == Some(&b'\n')) && !rest.is_empty() {
            return Some(at);
        }
        let may_begin = |pair: &[u8]| {
            let seconds = &self.pairs[usize::from(pair[0])];
            seconds[usize::from(pair[1]) / 64] >> (pair[1] % 64) & 1 == 1
        };
        // What the last byte would begin is not told by pairs.
        rest.windows(2).position(may_begin).or(rest.len().checked_sub(1)).map(|step| at + step)
    }

    /// The end of the match that begins at `start`.
    fn match_at(
        &self,
        cache: &mut Cache,
        input: &[u8],
        start: usize,
        any: bool,
        steps: &mut usize,
    ) -> Result<Option<usize>, Unknown> {
        let whole = Input::new(input).range(start..).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_forward(cache, &whole).map_err(|_| Unknown)?;
        let mut end = None;
        for (n, byte) in input.iter().enumerate().skip(start) {
            *steps = steps.checked_sub(1).ok_or(Unknown)?;
            state = self.dfa.next_state(cache, state, *byte).map_err(|_| Unknown)?;
            if !state.is_tagged() {
                continue;
            }
            // A state tells of the match that ended before the byte which led to it.
            if state.is_match() {
                end = Some(n);
                if any {
                    return Ok(end);
                }
            } else if state.is_dead() {
                return Ok(end);
            } else if state.is_quit() {
                return Err(Unknown);
            }
        }
        state = self.dfa.next_eoi_state(cache, state).map_err(|_| Unknown)?;
        Ok(if state.is_match() { Some(input.len()) } else { end })
    }
}

/// Whether much of `input` is punctuation. In text that has little, a pattern that can begin in many places is better
/// looked for in all of them together: few mixtures of beginnings come about.
fn is_noise(input: &[u8]) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b' ' | b',' | b'.') | (b >= 0x80);
    let others = |piece: &[u8]| usize::from(piece.iter().map(|b| u8::from(!is_plain(*b))).sum::<u8>());
    // Counted in pieces, which takes vector instructions.
    input.chunks(128).map(others).sum::<usize>() * PLAIN_FOR_NOISE >= input.len()
}

/// Which two bytes can be the first of a match that does not begin a line, whatever stands before them.
fn first_pairs(dfa: &DFA) -> Option<Pairs> {
    let mut pairs = Box::new([[0; 4]; 256]);
    let mut cache = dfa.create_cache();
    let classes = dfa.byte_classes();
    // A line's end is stopped at, for what begins behind it.
    pairs[usize::from(b'\n')] = [u64::MAX; 4];
    // What `\b` tells apart, and the like.
    for before in [b'\r', b'a', b' ', b'\xff'] {
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(Some(before));
        // The second bytes that each class of first ones can have.
        let mut rows: Vec<Option<Row>> = vec![None; 256];
        for (first, row) in (0..=u8::MAX).zip(pairs.iter_mut()) {
            let known = &mut rows[usize::from(classes.get(first))];
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
    (cache.clear_count() == 0).then_some(pairs)
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

/// How many places of a text have one of these pairs, roughly.
fn likelihood(pairs: &Pairs) -> f64 {
    let of = |byte: u8| LETTERS.iter().find(|(letter, _)| *letter == byte).map_or(0.0, |(_, often)| *often);
    let seconds = |row: &Row| {
        let has = |b: u8| row[usize::from(b) / 64] >> (b % 64) & 1 == 1;
        LETTERS.iter().filter(|(second, _)| has(*second)).map(|(_, often)| often).sum::<f64>()
    };
    (0..=u8::MAX).zip(pairs.iter()).map(|(first, row)| of(first) * seconds(row)).sum()
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
/// For each first byte the second ones.
type Pairs = Box<[Row; 256]>;

/// The most places of a text, as a part of all, that a choosy pattern can begin at.
const CHOOSY: f64 = 0.05;
/// Bytes of an input for each punctuation mark, from which on it is noise.
const PLAIN_FOR_NOISE: usize = 8;
/// States of an automaton from which on a walker is made. Smaller patterns have few mixtures of beginnings.
const MANY_STATES: usize = 500;
/// Bytes of states that are known, per pattern and concurrent search.
const CACHE: usize = 1 << 20;
/// How often the known states may be done away with before the walker does not know.
const CLEARINGS: usize = 2;
/// Steps that a walk may take in any case.
const STEPS: usize = 1_000;
/// Steps that it may take for each byte.
const STEPS_FOR_A_BYTE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;

    fn both(pattern: &str) -> (Walker, Regex) {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
        let hir = hir.expect("a valid pattern");
        let walker = Walker::new(&hir, 10 << 20).expect("a large pattern");
        (walker, Regex::builder().build_from_hir(&hir).expect("a valid pattern"))
    }

    /// Words with noise between their letters, and enough of them.
    fn noisy(before: &str, words: &[&str], after: &str) -> String {
        let noisy =
            |word: &&str| word.chars().map(|c| format!("{c}['\"(]*(?:\\$[a-d]*)?\\\\?")).collect::<String>();
        let words: Vec<String> = words.iter().map(noisy).collect();
        let filler = (0..60).map(|n| format!("q{n:03}z{n}w")).collect::<Vec<_>>().join("|");
        format!("(?i){before}(?:{}|{filler}){after}", words.join("|"))
    }

    #[test]
    fn small_and_anchored_patterns_have_none() {
        for pattern in ["abc", "", &format!(r"\A(?:{})", noisy("", &["word"], ""))] {
            let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
            assert!(Walker::new(&hir.expect("a valid pattern"), 10 << 20).is_none(), "{pattern}");
        }
    }

    #[test]
    fn it_gives_up_after_so_many_steps() {
        let (walker, _) = both(&noisy("[^q]a[a']*", &["cat"], ""));
        assert!(!walker.is_choosy);
        assert_eq!(walker.find(&b"a'".repeat(20_000), 0), Err(Unknown));
        assert_eq!(walker.find(b"aaa plain text", 0), Err(Unknown), "another way is quicker");
        assert_eq!(walker.find(b"'aacat", 0), Ok(Some(0..6)));
    }

    proptest! {
        /// It finds what the other engine finds, or does not know.
        #[test]
        fn it_finds_what_the_other_finds(
            input in proptest::collection::vec(proptest::sample::select(
                &b"cCaAtdobBeENnvq0z1w'\"($\\; \n\xff"[..]), 0..60),
            from in 0_usize..4,
        ) {
            thread_local! {
                static PATTERNS: Vec<(Walker, Regex)> = [
                    noisy("(?:[;\n ]|^)", &["cat", "do", "env"], r"(?:\b|.*$)"),
                    noisy(r"\b", &["cat", "dab", "be"], r"[^a-z]"),
                    noisy("(?m)(?:^|;)[ ']*", &["ca", "cat", "nv"], "(?m)$"),
                    noisy("", &["cat", "at", "b"], "(?:[ ]+x)??"),
                ]
                .iter()
                .map(|pattern| both(pattern))
                .collect();
            }
            PATTERNS.with(|patterns| {
                for (walker, regex) in patterns {
                    let from = from.min(input.len());
                    let wanted = regex.search(&Input::new(&input).range(from..)).map(|m| m.range());
                    let found = walker.find(&input, from);
                    if found == Err(Unknown) && !walker.is_choosy && !is_noise(&input) {
                        continue;
                    }
                    assert_eq!(found, Ok(wanted.clone()), "{regex:?} {input:?}");
                    if from == 0 {
                        assert_eq!(walker.is_match(&input), Ok(wanted.is_some()));
                    }
                }
            });
        }
    }
}
