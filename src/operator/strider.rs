//! Patterns that stay in one state over most of a long input.
//!
//! An automaton takes about ten instructions for each byte. Where it stays in a state as long as none of a few bytes comes,
//! such as behind the `?` of a request line, vector instructions look for those bytes instead. What makes the automaton
//! move at most bytes is left to others, and soon.

use super::stretches::Search;
use super::walk::Unknown;
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_syntax::hir::Hir;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU32, Ordering};

/// A pattern, and the states of it that are stayed in.
pub(super) struct Strider {
    dfa: DFA,
    caches: Pool<Known, Box<dyn Fn() -> Known + Send + Sync>>,
    /// How often it has given up, one time after the other.
    gave_up: AtomicU32,
    /// Searches that pass over nothing.
    search: Search,
}

/// States that have been met.
struct Known {
    cache: Cache,
    /// For those that were stayed in, what leaves them, as far as that is little.
    stays: SmallVec<[(LazyStateID, Option<Leaving>); 4]>,
    /// How often states had to make room when that was told.
    cleared: usize,
}

impl Strider {
    /// A strider for a pattern. `size` is the most that its automaton may take, in bytes.
    pub(super) fn new(hir: &Hir, size: usize) -> Option<Self> {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(size));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
        let config = DFA::config().cache_capacity(CACHE).minimum_cache_clear_count(Some(1));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let made = dfa.clone();
        let made: Box<dyn Fn() -> Known + Send + Sync> =
            Box::new(move || Known { cache: made.create_cache(), stays: SmallVec::new(), cleared: 0 });
        Some(Self { dfa, caches: Pool::new(made), gave_up: AtomicU32::new(0), search: Search::new() })
    }

    /// Whether there is a match; where another way is quicker, it is not known.
    pub(super) fn is_match(&self, input: &[u8]) -> Result<bool, Unknown> {
        let step_by_step = |_| self.search.is_match(&self.dfa, &mut self.caches.get().cache, input, 0);
        self.stride_if_worth_it(input).or_else(step_by_step)
    }

    fn stride_if_worth_it(&self, input: &[u8]) -> Result<bool, Unknown> {
        // Where it has given up often, it is tried now and then.
        let gave_up = self.gave_up.load(Ordering::Relaxed);
        let is_tried = gave_up < OFTEN || gave_up.is_multiple_of(NOW_AND_THEN);
        let told = if is_tried { self.stride(input) } else { Err(Unknown) };
        let gave_up = if told.is_ok() { 0 } else { gave_up.checked_add(1).unwrap_or(OFTEN) };
        self.gave_up.store(gave_up, Ordering::Relaxed);
        told
    }

    fn stride(&self, input: &[u8]) -> Result<bool, Unknown> {
        let known = &mut *self.caches.get();
        let mut state =
            self.dfa.start_state_forward(&mut known.cache, &Input::new(input)).map_err(|_| Unknown)?;
        // How long it has stayed where it is, where bytes were last passed over, and how many were in all.
        let (mut at, mut stayed, mut last, mut passed) = (0, 0, None, 0);
        while let Some(byte) = input.get(at) {
            let next = self.dfa.next_state(&mut known.cache, state, *byte).map_err(|_| Unknown)?;
            at += 1;
            if next != state {
                if next.is_tagged() {
                    // A state tells of the match that ended before the byte which led to it.
                    return if next.is_quit() { Err(Unknown) } else { Ok(next.is_match()) };
                }
                state = next;
                if at - passed > PATIENCE + passed {
                    return Err(Unknown);
                }
                // Back where it stays, it is not waited for.
                stayed = if last == Some(state) { STAYED - 1 } else { 0 };
                if stayed == 0 {
                    continue;
                }
            }
            stayed += 1;
            if stayed == STAYED {
                stayed = 0;
                if let Some(leaving) = known.leaving(&self.dfa, state)? {
                    let step = leaving.find(&input[at..]);
                    (at, passed, last) = (at + step, passed + step, Some(state));
                }
            }
        }
        let end = self.dfa.next_eoi_state(&mut known.cache, state).map_err(|_| Unknown)?;
        Ok(end.is_match())
    }
}

impl Known {
    /// What leaves `state`, if that is little.
    fn leaving(&mut self, dfa: &DFA, state: LazyStateID) -> Result<Option<&Leaving>, Unknown> {
        if self.cleared != self.cache.clear_count() || self.stays.len() >= MANY {
            self.stays.clear();
            self.cleared = self.cache.clear_count();
        }
        if let Some(at) = self.stays.iter().position(|(known, _)| *known == state) {
            return Ok(self.stays[at].1.as_ref());
        }
        let mut leaves = Box::new([false; 256]);
        for (byte, leaves) in (0..=u8::MAX).zip(leaves.iter_mut()) {
            *leaves = dfa.next_state(&mut self.cache, state, byte).map_err(|_| Unknown)? != state;
        }
        // The states that were made may have taken the place of this one.
        if self.cleared != self.cache.clear_count() {
            return Err(Unknown);
        }
        self.stays.push((state, Leaving::new(leaves)));
        Ok(self.stays.last().and_then(|(_, leaving)| leaving.as_ref()))
    }
}

/// Bytes in few ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaving {
    /// For each range its first byte, and how many more there are.
    ranges: [(u8, u8); RANGES],
    /// For each byte whether it is one of them.
    has: Box<[bool; 256]>,
}

impl Leaving {
    /// The bytes of which `has` says so, if they are in few ranges.
    fn new(has: Box<[bool; 256]>) -> Option<Self> {
        let mut ranges = SmallVec::<[(u8, u8); RANGES]>::new();
        for byte in (0..=u8::MAX).filter(|byte| has[usize::from(*byte)]) {
            let is_full = ranges.len() == RANGES;
            match ranges.last_mut() {
                Some((first, more)) if byte - *first == *more + 1 => *more += 1,
                _ if is_full => return None,
                _ => ranges.push((byte, 0)),
            }
        }
        // A range that is there twice does no harm.
        let last = *ranges.last()?;
        Some(Self { ranges: std::array::from_fn(|n| ranges.get(n).copied().unwrap_or(last)), has })
    }

    /// Where the first of them stands in `input`; its length, if there is none.
    fn find(&self, input: &[u8]) -> usize {
        let [(a, after_a), (b, after_b), (c, after_c), (d, after_d)] = self.ranges;
        let mut at = 0;
        // Written so that compilers take vector instructions for all of a chunk.
        while let Some(chunk) = input.get(at..at + 16) {
            let mut any = 0;
            for byte in chunk {
                any |= u8::from(byte.wrapping_sub(a) <= after_a);
                any |= u8::from(byte.wrapping_sub(b) <= after_b);
                any |= u8::from(byte.wrapping_sub(c) <= after_c);
                any |= u8::from(byte.wrapping_sub(d) <= after_d);
            }
            if any != 0 {
                break;
            }
            at += 16;
        }
        let rest = &input[at..];
        at + rest.iter().position(|byte| self.has[usize::from(*byte)]).unwrap_or(rest.len())
    }
}

/// Bytes of an input from which on it may be worth it.
pub(super) const LONG: usize = 256;
/// How long a state has to be stayed in before it is told what leaves it.
const STAYED: usize = 8;
/// Bytes beyond those passed over that are looked at one by one before it gives up.
const PATIENCE: usize = 256;
/// Ranges of bytes that are looked for together.
const RANGES: usize = 4;
/// States that are known to be stayed in.
const MANY: usize = 16;
/// How often it gives up before it is tried now and then only.
const OFTEN: u32 = 8;
/// It is tried once in so many times then.
const NOW_AND_THEN: u32 = 64;
/// Bytes of states that are known, per pattern and concurrent search.
const CACHE: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;

    fn both(pattern: &str) -> (Strider, Regex) {
        let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern);
        let hir = hir.expect("a valid pattern");
        let strider = Strider::new(&hir, 10 << 20).expect("a pattern");
        (strider, Regex::builder().build_from_hir(&hir).expect("a valid pattern"))
    }

    #[test]
    fn a_long_tail_is_passed_over() {
        let (strider, regex) = both(r"(?m)^[a-z]+ /[^#?]*(?:\?[^\s#]*)?[\s]+http/[0-9.]+$");
        for (end, matches) in [(" http/1.1", true), (" http/x", false), ("# http/1.1", false), ("", false)] {
            let line = format!("get /?{}{end}", "a=b+c&".repeat(200));
            assert_eq!(strider.is_match(line.as_bytes()), Ok(matches), "{end}");
            assert_eq!(regex.is_match(line.as_bytes()), matches);
        }
        let known = strider.caches.get();
        assert!(known.stays.iter().any(|(_, leaving)| leaving.is_some()), "{:?}", known.stays);
    }

    #[test]
    fn what_moves_all_the_time_is_left_to_others() {
        let (strider, _) = both("(?:ab)+c");
        for _ in 0..OFTEN {
            assert_eq!(strider.stride_if_worth_it(&b"ab".repeat(1_000)), Err(Unknown));
        }
        assert_eq!(strider.stride_if_worth_it(b"abababc"), Err(Unknown), "it is not tried each time");
        let tried: Vec<_> = (0..NOW_AND_THEN).map(|_| strider.stride_if_worth_it(b"abababc")).collect();
        assert!(tried.contains(&Ok(true)), "it is tried now and then");
        assert_eq!(tried.last(), Some(&Ok(true)), "and each time, once that went well");
    }

    #[test]
    fn bytes_in_many_ranges_are_not_looked_for() {
        let of = |bytes: &[u8]| {
            let mut leaves = Box::new([false; 256]);
            bytes.iter().for_each(|b| leaves[usize::from(*b)] = true);
            Leaving::new(leaves)
        };
        assert_eq!(of(b""), None);
        assert_eq!(of(b"acegi"), None);
        let all = of(&(0..=u8::MAX).collect::<Vec<_>>()).expect("one range");
        assert_eq!(all.ranges, [(0, u8::MAX); RANGES]);
        let few = of(b"abc#\xff\xfe\0").expect("four ranges");
        assert_eq!(few.find(b"dddddddddddddddddddddddd"), 24);
        assert_eq!(few.find(b"dddddddddddddddddddd#dd"), 20);
        assert_eq!(few.find(b"b"), 0);
        assert_eq!(few.find(b""), 0);
    }

    proptest! {
        /// It tells what the other engine tells, or does not know.
        #[test]
        fn it_tells_what_the_other_tells(
            pieces in proptest::collection::vec(
                (proptest::sample::select(&b"aA/.%2f?# \n\\x\xff"[..]), 1_usize..40), 0..20),
        ) {
            thread_local! {
                static PATTERNS: Vec<(Strider, Regex)> = [
                    r"(?mi)^[a-z]* ?/[^#?]*(?:\?[^\s#]*)?(?:#[^\s]*)?[\s]+[.-9a-z]+$",
                    r"(?:[/\\]|%2f)\.\.(?:[/\\]|%2f)",
                    r"(?m)^a*$|x\b#",
                    r"(?m)^[^/]*$",
                ]
                .iter()
                .map(|pattern| both(pattern))
                .collect();
            }
            let repeated = pieces.iter().flat_map(|(byte, times)| std::iter::repeat_n(*byte, *times));
            let input: Vec<u8> = repeated.collect();
            PATTERNS.with(|patterns| {
                for (strider, regex) in patterns {
                    if let Ok(told) = strider.is_match(&input) {
                        assert_eq!(told, regex.is_match(&input), "{regex:?} {input:?}");
                    }
                }
            });
        }
    }
}
