//! Which bytes can be the third of a match, by the first two.
//!
//! Told by the states of a pattern's nondeterministic automaton, as if each assertion held: some more may seem to be.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

/// For each pair of classes of bytes those that can follow it.
#[derive(Clone)]
pub(super) struct Thirds {
    classes: usize,
    /// For each pair which of the sets; the first is of all bytes.
    kinds: Box<[u8]>,
    sets: Vec<Set>,
}

/// Bytes, a bit each.
type Set = [u64; 4];

impl Thirds {
    /// What can follow pairs in matches of this automaton. `bytes` are an example of each kind of byte that it tells apart, and
    /// the class that this is to be in, below `classes`; `begins` says of which pairs of classes it will be asked.
    pub(super) fn of(
        nfa: &NFA,
        bytes: &[(u8, usize)],
        classes: usize,
        begins: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let mut walk = Closure { nfa, seen: vec![0; nfa.states().len()], round: 0, stack: Vec::new() };
        let start = walk.of([nfa.start_anchored()]);
        let mut pairs = vec![[0; 4]; classes * classes];
        // Many bytes lead to the same states.
        let mut known: Vec<(Vec<StateID>, Vec<Option<Set>>)> = Vec::new();
        for (first, first_class) in bytes {
            let behind = walk.step(&start, *first);
            let at = known.iter().position(|(states, _)| *states == behind).unwrap_or_else(|| {
                known.push((behind, vec![None; bytes.len()]));
                known.len() - 1
            });
            let (states, sets) = &mut known[at];
            for ((second, second_class), set) in bytes.iter().zip(sets) {
                if !begins(*first_class, *second_class) {
                    continue;
                }
                let set = set.get_or_insert_with(|| walk.next_bytes(states, *second));
                let all: &mut Set = &mut pairs[first_class * classes + second_class];
                all.iter_mut().zip(set).for_each(|(all, more)| *all |= *more);
            }
        }
        let mut sets: Vec<Set> = vec![ALL];
        let kind = |set: &Set| {
            let at = sets.iter().position(|known| known == set).unwrap_or_else(|| {
                if sets.len() > usize::from(u8::MAX) {
                    return 0;
                }
                sets.push(*set);
                sets.len() - 1
            });
            at as u8
        };
        Self { classes, kinds: pairs.iter().map(kind).collect(), sets }
    }

    /// Whether `third` can follow bytes of these classes.
    #[inline(always)]
    pub(super) fn may_follow(&self, first: usize, second: usize, third: u8) -> bool {
        let kind = self.kinds.get(first * self.classes + second).map_or(0, |kind| usize::from(*kind));
        self.sets.get(kind).is_none_or(|set| set[usize::from(third >> 6)] >> (third & 63) & 1 == 1)
    }
}

/// States that are come to without a byte.
struct Closure<'n> {
    nfa: &'n NFA,
    /// For each state in which round it was last come to.
    seen: Vec<u32>,
    round: u32,
    stack: Vec<StateID>,
}

impl Closure<'_> {
    /// The states that take a byte or match, from these on, in order.
    fn of(&mut self, from: impl IntoIterator<Item = StateID>) -> Vec<StateID> {
        self.round += 1;
        self.stack.clear();
        self.stack.extend(from);
        let mut found = Vec::new();
        while let Some(id) = self.stack.pop() {
            if std::mem::replace(&mut self.seen[id.as_usize()], self.round) == self.round {
                continue;
            }
            match self.nfa.state(id) {
                State::Look { next, .. } | State::Capture { next, .. } => self.stack.push(*next),
                State::Union { alternates } => self.stack.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([alt1, alt2]),
                State::Fail => {}
                _ => found.push(id),
            }
        }
        found.sort_unstable();
        found
    }

    /// The states behind a byte.
    fn step(&mut self, states: &[StateID], byte: u8) -> Vec<StateID> {
        let nfa = self.nfa;
        let next = states.iter().filter_map(|id| match nfa.state(*id) {
            State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
            State::Sparse(all) => all.matches_byte(byte),
            State::Dense(all) => all.matches_byte(byte),
            _ => None,
        });
        self.of(next)
    }

    /// The bytes that can follow when `byte` comes behind these states: all, if that may be the end of a match.
    fn next_bytes(&mut self, states: &[StateID], byte: u8) -> Set {
        let mut set = [0; 4];
        if states.iter().any(|id| matches!(self.nfa.state(*id), State::Match { .. })) {
            return ALL;
        }
        for id in self.step(states, byte) {
            match self.nfa.state(id) {
                State::ByteRange { trans } => add(&mut set, trans.start, trans.end),
                State::Sparse(all) => {
                    all.transitions.iter().for_each(|trans| add(&mut set, trans.start, trans.end));
                }
                _ => return ALL,
            }
        }
        set
    }
}

fn add(set: &mut Set, first: u8, last: u8) {
    for byte in first..=last {
        set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
}

const ALL: Set = [u64::MAX; 4];

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::nfa::thompson::Compiler;

    /// Whether three bytes can begin a match.
    fn follows(pattern: &str, three: &[u8; 3]) -> bool {
        let mut parser = regex_syntax::ParserBuilder::new();
        let hir = parser.unicode(false).utf8(false).build().parse(pattern).expect("a valid pattern");
        let nfa = Compiler::new().build_from_hir(&hir).expect("valid");
        // Each byte is a class here.
        let bytes: Vec<(u8, usize)> = (0..=u8::MAX).map(|byte| (byte, usize::from(byte))).collect();
        let thirds = Thirds::of(&nfa, &bytes, 256, |_, _| true);
        thirds.may_follow(usize::from(three[0]), usize::from(three[1]), three[2])
    }

    #[test]
    fn they_are_told_by_the_pair() {
        for pattern in ["(?:a[b-d]e|ac?f|x.{2}y)z", "(?i)(?:A[b-d]e|(A)(C)?F|X[^;]+Y)Z?z"] {
            for three in [b"abe", b"ace", b"acf", b"afz", b"xyz"] {
                assert!(follows(pattern, three), "{pattern} {three:?}");
            }
            for three in [b"abf", b"acg", b"afe", b"ab\xff", b"zab", b"xy\n"] {
                let is_any = pattern.contains("[^;]") && three == b"xy\n";
                assert_eq!(follows(pattern, three), is_any, "{pattern} {three:?}");
            }
        }
    }

    #[test]
    fn behind_the_end_of_a_match_anything_may_stand() {
        assert!(follows("ab", b"abz"));
        assert!(follows("a|bc", b"axz") && follows("a+", b"axz"));
        assert!(follows(r"ab\b", b"abz"), "assertions are taken to hold");
        assert!(follows("a(?:b|bcd)", b"abz"));
        assert!(!follows("a(?:bb|bcd)", b"abz"));
    }
}
