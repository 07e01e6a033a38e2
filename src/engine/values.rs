//! All values of one transaction, in one arena, and what transformations made of them.
//!
//! A value is named by a [`ValueId`]. Transforming a value twice in the same way gives the same id without work
//! (the memo); a transformation which changes nothing gives the id of its input, so that every later step of
//! any rule shares what is known of it.

use crate::ruleset::Ruleset;
use crate::transform::ByteSet;

/// A value in [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ValueId(u32);

impl ValueId {
    /// The empty value.
    pub(super) const EMPTY: ValueId = ValueId(0);
    /// No value at all.
    pub(super) const NONE: ValueId = ValueId(u32::MAX);
    /// The result of the last transformation, when the arena was full: valid until the next one.
    const EPHEMERAL: ValueId = ValueId(u32::MAX - 1);

    /// Whether there is a value.
    pub(super) fn is_some(self) -> bool {
        self != ValueId::NONE
    }

    /// Whether the value may be remembered.
    pub(super) fn is_lasting(self) -> bool {
        self != ValueId::EPHEMERAL
    }
}

const UNKNOWN: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    len: u32,
    /// Whether `set` has been computed.
    has_set: bool,
    set: ByteSet,
    /// Where its candidates stand; [`UNKNOWN`] while they have not been computed.
    candidates: u32,
}

/// The arena.
pub(super) struct Values {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// For each value a row with a column for each of the ruleset's steps: the id of the result.
    memo: Vec<u32>,
    columns: usize,
    /// Sets of patterns that may match a value, one after the other.
    candidates: Vec<u64>,
    limit: usize,
    /// Whether results are kept at all ([`super::Transaction::set_memo`]).
    pub(super) keeps: bool,
    /// Whether the last step changed anything. Ids cannot tell that of values which are not kept.
    pub(super) changed: bool,
    scratch: Vec<u8>,
    ephemeral: Vec<u8>,
}

impl Values {
    /// An arena for a ruleset with `columns` steps, which keeps transformed values until it holds `limit` bytes.
    pub(super) fn new(columns: usize, limit: usize) -> Self {
        let mut values = Self {
            bytes: Vec::with_capacity(8 << 10),
            entries: Vec::with_capacity(256),
            memo: Vec::with_capacity(256 * columns),
            columns,
            candidates: Vec::new(),
            limit,
            keeps: true,
            changed: false,
            scratch: Vec::new(),
            ephemeral: Vec::new(),
        };
        let empty = values.push(b"");
        debug_assert_eq!(empty, ValueId::EMPTY);
        values
    }

    /// The bytes of `id`.
    pub(super) fn get(&self, id: ValueId) -> &[u8] {
        match id {
            ValueId::EPHEMERAL => &self.ephemeral,
            ValueId::NONE => b"",
            ValueId(i) => {
                let e = self.entries[i as usize];
                &self.bytes[e.start as usize..e.start as usize + e.len as usize]
            }
        }
    }

    /// Adds a value. Equal values get ids of their own. The caller has bounded the bytes by the body limits;
    /// beyond 4 GiB a value is kept as empty rather than mistaken for another.
    pub(super) fn push(&mut self, value: &[u8]) -> ValueId {
        if value.is_empty() && !self.entries.is_empty() {
            return ValueId::EMPTY;
        }
        let start = self.bytes.len();
        if start + value.len() > u32::MAX as usize - 2 {
            return ValueId::EMPTY;
        }
        self.bytes.extend_from_slice(value);
        self.entry(start, value.len())
    }

    fn entry(&mut self, start: usize, len: usize) -> ValueId {
        let id = self.entries.len() as u32;
        self.entries.push(Entry {
            start: start as u32,
            len: len as u32,
            has_set: false,
            candidates: UNKNOWN,
            set: ByteSet::default(),
        });
        self.memo.resize(self.memo.len() + self.columns, UNKNOWN);
        ValueId(id)
    }

    /// The value after one step of the ruleset.
    pub(super) fn step(&mut self, ruleset: &Ruleset, id: ValueId, column: u8) -> ValueId {
        let step = &ruleset.steps[usize::from(column)];
        let ValueId(index) = id;
        let lasting = id.is_lasting() && self.keeps;
        if lasting {
            let cell = self.memo[index as usize * self.columns + usize::from(column)];
            if cell != UNKNOWN {
                self.changed = cell != index;
                return ValueId(cell);
            }
            if let Some(trigger) = &step.trigger
                && !self.set(id).intersects(trigger)
            {
                self.memo[index as usize * self.columns + usize::from(column)] = index;
                self.changed = false;
                return id;
            }
        }
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let input = self.get(id);
        let changed = match &ruleset.settings.unicode_map {
            Some(map) if ruleset.is_unicode_step(column) => {
                crate::transform::url_decode_uni_with(map, input, &mut out)
            }
            _ => (step.transform.row().apply)(input, &mut out),
        };
        self.changed = changed;
        let result = if !changed {
            id
        } else if !lasting || self.bytes.len() + out.len() > self.limit {
            std::mem::swap(&mut self.ephemeral, &mut out);
            ValueId::EPHEMERAL
        } else {
            self.push(&out)
        };
        self.scratch = out;
        if lasting && result.is_lasting() {
            self.memo[index as usize * self.columns + usize::from(column)] = result.0;
        }
        result
    }

    /// The value after a whole chain of steps.
    pub(super) fn chain(&mut self, ruleset: &Ruleset, id: ValueId, chain: &[u8]) -> ValueId {
        chain.iter().fold(id, |id, &column| self.step(ruleset, id, column))
    }

    /// Which patterns may match `id`, as the place of a set ([`Self::candidate_words`]); `None` for a value that is
    /// not kept.
    pub(super) fn candidates(&mut self, ruleset: &Ruleset, id: ValueId) -> Option<usize> {
        if !id.is_lasting() {
            return None;
        }
        let words = ruleset.prefilter.words();
        let known = self.entries.get(id.0 as usize)?.candidates;
        if known != UNKNOWN {
            return Some(known as usize);
        }
        let at = self.candidates.len();
        self.candidates.resize(at + words, 0);
        let entry = self.entries[id.0 as usize];
        let value = &self.bytes[entry.start as usize..entry.start as usize + entry.len as usize];
        ruleset.prefilter.candidates(value, &mut self.candidates[at..]);
        self.entries[id.0 as usize].candidates = at as u32;
        Some(at)
    }

    /// A set of patterns.
    pub(super) fn candidate_words(&self, at: usize, words: usize) -> &[u64] {
        &self.candidates[at..at + words]
    }

    /// Adds the union of the sets at `places`; its place.
    pub(super) fn union(&mut self, places: impl Iterator<Item = usize>, words: usize) -> usize {
        let at = self.candidates.len();
        self.candidates.resize(at + words, 0);
        for place in places {
            for word in 0..words {
                self.candidates[at + word] |= self.candidates[place + word];
            }
        }
        at
    }

    fn set(&mut self, id: ValueId) -> ByteSet {
        let entry = self.entries[id.0 as usize];
        if entry.has_set {
            return entry.set;
        }
        let set = ByteSet::of(self.get(id));
        let entry = &mut self.entries[id.0 as usize];
        entry.set = set;
        entry.has_set = true;
        set
    }
}
