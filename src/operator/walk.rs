//! A walk through an input: each beginning of a pattern that is under way has a state of its own.
//!
//! It knows nothing of where a match can begin: see [`Walker`](super::walker::Walker).

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};
use smallvec::SmallVec;
use std::ops::Range;

/// It is not known whether there is a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// Which match is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that begins first.
    First,
    /// Any: it is enough that there is one.
    Any,
    /// The one that begins last.
    Last,
}

/// A walk through an input: all beginnings that are under way, each with a state of its own.
pub(super) struct Walk<'w> {
    dfa: &'w DFA,
    cache: &'w mut Cache,
    input: &'w [u8],
    /// Steps that may still be taken.
    steps: usize,
    /// The first begun comes first, unless the last is wanted. No two have the same state: what one of them would find, the
    /// other does.
    under_way: SmallVec<[Begun; 8]>,
    wanted: Which,
    /// The match of the earliest beginning that has one, or of the latest.
    found: Option<Range<usize>>,
}

/// A beginning that is under way.
#[derive(Clone, Copy)]
struct Begun {
    start: usize,
    state: LazyStateID,
}

impl<'w> Walk<'w> {
    pub(super) fn new(dfa: &'w DFA, cache: &'w mut Cache, input: &'w [u8], wanted: Which) -> Self {
        let steps = STEPS + input.len().saturating_mul(STEPS_FOR_A_BYTE);
        Self { dfa, cache, input, steps, under_way: SmallVec::new(), wanted, found: None }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether what begins now may still be the match that is wanted.
    pub(super) fn takes_more(&self) -> bool {
        self.found.is_none() || self.wanted == Which::Last
    }

    /// Whether the match that is wanted is known.
    pub(super) fn is_done(&self) -> bool {
        let is_told = match self.wanted {
            Which::First => self.is_idle(),
            Which::Any => true,
            Which::Last => false,
        };
        self.found.is_some() && is_told
    }

    /// The match that was found.
    pub(super) fn found(self) -> Option<Range<usize>> {
        self.found
    }

    /// Follows what begins at `start` as well.
    pub(super) fn begin(&mut self, start: usize) -> Result<(), Unknown> {
        let cleared = self.cache.clear_count();
        let state = self.start(start)?;
        if self.cache.clear_count() != cleared {
            self.walk_again(start)?;
        }
        self.under_way.push(Begun { start, state });
        Ok(())
    }

    fn start(&mut self, start: usize) -> Result<LazyStateID, Unknown> {
        let whole = Input::new(self.input).range(start..).anchored(Anchored::Yes);
        self.dfa.start_state_forward(self.cache, &whole).map_err(|_| Unknown)
    }

    /// Goes on by the byte at `at`.
    pub(super) fn step(&mut self, at: usize) -> Result<(), Unknown> {
        self.steps = self.steps.checked_sub(self.under_way.len()).ok_or(Unknown)?;
        let cleared = self.cache.clear_count();
        if !self.try_step(at, cleared)? {
            // States that were known had to make room for others, and those under way may have been among them.
            self.walk_again(at)?;
            let cleared = self.cache.clear_count();
            if !self.try_step(at, cleared)? {
                return Err(Unknown);
            }
        }
        Ok(())
    }

    /// Goes on by the byte at `at`, unless states under way are lost by that.
    fn try_step(&mut self, at: usize, cleared: usize) -> Result<bool, Unknown> {
        let byte = self.input[at];
        let mut kept = 0;
        for n in 0..self.under_way.len() {
            let Begun { start, state } = self.under_way[n];
            let state = self.dfa.next_state(self.cache, state, byte).map_err(|_| Unknown)?;
            // The state that is led to is kept in any case.
            if self.cache.clear_count() != cleared && self.under_way.len() > 1 {
                return Ok(false);
            }
            if state.is_quit() {
                return Err(Unknown);
            }
            if state.is_dead() {
                continue;
            }
            // A state tells of the match that ended before the byte which led to it.
            let is_match = state.is_match();
            if is_match && self.wanted == Which::Last {
                self.note(start..at);
            }
            match self.under_way[..kept].iter_mut().find(|other| other.state == state) {
                Some(other) if self.wanted == Which::Last => other.start = other.start.max(start),
                Some(_) => {}
                None => {
                    self.under_way[kept] = Begun { start, state };
                    kept += 1;
                    // What began later is of no interest.
                    if is_match && self.wanted != Which::Last {
                        self.found = Some(start..at);
                        break;
                    }
                }
            }
        }
        self.under_way.truncate(kept);
        Ok(true)
    }

    /// Remembers a match, unless one is known that begins later.
    fn note(&mut self, found: Range<usize>) {
        if self.found.as_ref().is_none_or(|known| known.start <= found.start) {
            self.found = Some(found);
        }
    }

    /// Finds the states of what is under way before the byte at `at` anew.
    fn walk_again(&mut self, at: usize) -> Result<(), Unknown> {
        let cleared = self.cache.clear_count();
        for n in 0..self.under_way.len() {
            let start = self.under_way[n].start;
            self.steps = self.steps.checked_sub(at - start).ok_or(Unknown)?;
            let mut state = self.start(start)?;
            for byte in &self.input[start..at] {
                state = self.dfa.next_state(self.cache, state, *byte).map_err(|_| Unknown)?;
            }
            self.under_way[n].state = state;
        }
        if self.cache.clear_count() == cleared { Ok(()) } else { Err(Unknown) }
    }

    /// What was found, when there are no more bytes.
    pub(super) fn end(mut self) -> Result<Option<Range<usize>>, Unknown> {
        let cleared = self.cache.clear_count();
        for Begun { start, state } in std::mem::take(&mut self.under_way) {
            let state = self.dfa.next_eoi_state(self.cache, state).map_err(|_| Unknown)?;
            if state.is_match() {
                if self.wanted != Which::Last {
                    return Ok(Some(start..self.input.len()));
                }
                self.note(start..self.input.len());
            }
            if self.cache.clear_count() != cleared {
                return Err(Unknown);
            }
        }
        Ok(self.found)
    }
}

/// Steps that a walk may take in any case.
pub(super) const STEPS: usize = 1_000;
/// Steps that it may take for each byte.
const STEPS_FOR_A_BYTE: usize = 6;
