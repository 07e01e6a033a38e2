//! A walk through an input: each beginning of a pattern that is under way has a state of its own.
//!
//! It knows nothing of where a match can begin: see [`Beginnings`](super::beginnings::Beginnings).

use super::beginnings::{Befores, KINDS, Places};
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
    /// Where beginnings start, as far as that is known.
    starts: Starts<'w>,
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

/// The states of beginnings.
struct Starts<'w> {
    befores: &'w Befores,
    /// By the kind of what stands before them.
    states: [Option<LazyStateID>; KINDS],
    /// How often states had to make room when these were told.
    cleared: usize,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        dfa: &'w DFA,
        befores: &'w Befores,
        cache: &'w mut Cache,
        input: &'w [u8],
        wanted: Which,
    ) -> Self {
        let steps = STEPS + input.len().saturating_mul(STEPS_FOR_A_BYTE);
        let starts = Starts { befores, states: [None; KINDS], cleared: cache.clear_count() };
        Self { dfa, cache, input, steps, under_way: SmallVec::new(), starts, wanted, found: None }
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
        let starts = &mut self.starts;
        if starts.cleared != self.cache.clear_count() {
            starts.states = [None; KINDS];
            starts.cleared = self.cache.clear_count();
        }
        let known = &mut starts.states[starts.befores.kind(self.input, start)];
        if let Some(state) = *known {
            return Ok(state);
        }
        let whole = Input::new(self.input).range(start..).anchored(Anchored::Yes);
        let state = self.dfa.start_state_forward(self.cache, &whole).map_err(|_| Unknown)?;
        if starts.cleared == self.cache.clear_count() {
            *known = Some(state);
        }
        Ok(state)
    }

    /// Where what begins at `start` starts, if that is known and tells of nothing.
    #[inline(always)]
    fn known_start(&self, start: usize) -> Option<LazyStateID> {
        let starts = &self.starts;
        let known = starts.states[starts.befores.kind(self.input, start)];
        known.filter(|state| starts.cleared == self.cache.clear_count() && !state.is_tagged())
    }

    /// Goes on by the byte at `at`, and by more as long as one beginning alone is under way and nothing else may begin at one of
    /// the `places`. Returns the place behind.
    #[inline(always)]
    pub(super) fn go_on(&mut self, at: usize, places: &mut Places<'_>) -> Result<usize, Unknown> {
        match *self.under_way {
            [begun] if self.takes_more() => self.go_on_alone(begun, at, places),
            [begun] => self.go_on_to_end(begun, at),
            _ => {
                self.step(at)?;
                Ok(at + 1)
            }
        }
    }

    #[inline(always)]
    fn go_on_alone(
        &mut self,
        Begun { start, mut state }: Begun,
        from: usize,
        places: &mut Places<'_>,
    ) -> Result<usize, Unknown> {
        let (mut at, mut end) = (from, None);
        let mut next = places.next(from + 1);
        loop {
            (state, at) = self.follow(state, at..next);
            if at < next {
                // The state that is led to is kept, whatever has to make room for it.
                state = self.dfa.next_state(self.cache, state, self.input[at]).map_err(|_| Unknown)?;
                if state.is_quit() {
                    return Err(Unknown);
                }
                if state.is_match() {
                    // A state tells of the match that ended before the byte which led to it.
                    end = Some(at);
                }
                at += 1;
                if state.is_dead() || end.is_some() && self.wanted != Which::Last {
                    return self.leave(Begun { start, state }, from..at, end);
                }
            } else if let Some(known) = self.merged(state, at) {
                state = known;
                at += 1;
                next = places.next(at);
            } else if at < self.input.len() && self.is_soon_over(at) {
                next = places.next(at + 1);
            } else {
                return self.leave(Begun { start, state }, from..at, end);
            }
        }
    }

    /// Goes on from a state through `bytes`, as far as they lead to states that are known and tell of nothing. Returns the last of
    /// them, and the place of the byte that leads elsewhere, or the end.
    #[inline(always)]
    fn follow(&self, mut state: LazyStateID, bytes: Range<usize>) -> (LazyStateID, usize) {
        let mut at = bytes.start;
        if !state.is_tagged() {
            for byte in self.input.get(bytes).unwrap_or_default() {
                let next = self.dfa.next_state_untagged(self.cache, state, *byte);
                if next.is_tagged() {
                    break;
                }
                state = next;
                at += 1;
            }
        }
        (state, at)
    }

    /// Whether it is known that what begins at `at` comes to nothing within some bytes: it need not be begun. Most does.
    #[inline(always)]
    pub(super) fn is_soon_over(&self, at: usize) -> bool {
        let Some(begun) = self.known_start(at) else { return false };
        let (state, over) = self.follow(begun, at..self.input.len().min(at + SOON));
        let next = |byte: &u8| self.dfa.next_state_untagged(self.cache, state, *byte);
        self.input.get(over).is_some_and(|byte| next(byte).is_dead())
    }

    /// Where the byte at `at` leads from `state`, if that is known, and what begins there comes to the same or to nothing: it
    /// is of no interest then. In a run of line ends each may begin a match.
    #[inline(always)]
    fn merged(&self, state: LazyStateID, at: usize) -> Option<LazyStateID> {
        let byte = *self.input.get(at)?;
        if state.is_tagged() || self.wanted == Which::Last {
            return None;
        }
        let begun = self.known_start(at)?;
        let next = |state| self.dfa.next_state_untagged(self.cache, state, byte);
        let (next, begun) = (next(state), next(begun));
        (!next.is_tagged() && (begun == next || begun.is_dead())).then_some(next)
    }

    /// Goes on as far as a match may. That it may end is noted without a branch: what is greedy can do so behind each word of
    /// the rest.
    fn go_on_to_end(&mut self, Begun { start, mut state }: Begun, from: usize) -> Result<usize, Unknown> {
        // No match is empty.
        let (mut at, mut end) = (from, 0);
        while let Some(byte) = self.input.get(at) {
            state = self.dfa.next_state(self.cache, state, *byte).map_err(|_| Unknown)?;
            if state.is_quit() {
                return Err(Unknown);
            }
            end = if state.is_match() { at } else { end };
            at += 1;
            if state.is_dead() {
                break;
            }
        }
        self.leave(Begun { start, state }, from..at, (end > 0).then_some(end))
    }

    /// Leaves what was alone under way as it is behind these bytes, and notes where a match of it has ended. Returns the place
    /// behind.
    #[inline(always)]
    fn leave(&mut self, begun: Begun, bytes: Range<usize>, end: Option<usize>) -> Result<usize, Unknown> {
        self.under_way.clear();
        if !begun.state.is_dead() {
            self.under_way.push(begun);
        }
        if let Some(end) = end {
            self.note(begun.start..end);
        }
        self.steps = self.steps.checked_sub(bytes.len()).ok_or(Unknown)?;
        Ok(bytes.end)
    }

    /// Goes on by the byte at `at`.
    fn step(&mut self, at: usize) -> Result<(), Unknown> {
        self.steps = self.steps.checked_sub(self.under_way.len()).ok_or(Unknown)?;
        if self.step_two(self.input[at]) {
            return Ok(());
        }
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

    /// Goes on by a byte, if two are under way, and it leads them to states that are known, not the same, and tell of nothing.
    #[inline(always)]
    fn step_two(&mut self, byte: u8) -> bool {
        let [first, second] = self.under_way.as_mut_slice() else { return false };
        if first.state.is_tagged() || second.state.is_tagged() {
            return false;
        }
        let next = |begun: &Begun| self.dfa.next_state_untagged(self.cache, begun.state, byte);
        let (one, other) = (next(first), next(second));
        let tells = |state: LazyStateID| state.is_tagged() && !state.is_dead();
        if one == other || tells(one) || tells(other) {
            return false;
        }
        (first.state, second.state) = (one, other);
        if one.is_dead() {
            *first = *second;
        }
        if one.is_dead() || other.is_dead() {
            self.under_way.truncate(1);
        }
        true
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
            if is_match {
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
                        break;
                    }
                }
            }
        }
        self.under_way.truncate(kept);
        Ok(true)
    }

    /// Remembers a match of what is under way. Where the last is wanted, one that begins later may be known; elsewhere what is
    /// under way began before all that was found.
    fn note(&mut self, found: Range<usize>) {
        let is_later = |known: &Range<usize>| self.wanted == Which::Last && known.start > found.start;
        if !self.found.as_ref().is_some_and(is_later) {
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
/// Bytes within which most of what begins comes to nothing.
const SOON: usize = 8;
/// Steps that it may take for each byte.
const STEPS_FOR_A_BYTE: usize = 6;
