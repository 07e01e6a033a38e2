//! All values of one transaction, in one arena, and what transformations made of them.
//!
//! A value is named by a [`ValueId`]. Transforming a value twice in the same way gives the same id without work
//! (the memo); a transformation which changes nothing gives the id of its input, so that every later step of
//! any rule shares what is known of it.

use crate::limits;
use crate::ruleset::classes::{ClassMask, any_case, class_mask, class_of, mask_of};
use crate::ruleset::{Guard, Ruleset};
use crate::transform::{Made, Marks};

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
    /// Its row in the memo; [`UNKNOWN`] while it has none.
    row: u32,
    /// The two times at which it was sieved last, and where the sets of rules stand that looked at it then, and are
    /// still left.
    sieved: [(Epoch, u32); 2],
    /// The classes of its bytes, and [`HAS_MASK`]; 0 while they are not known.
    mask: ClassMask,
    foreseen: Foreseen,
    /// The value in which all its URL escapes stand; [`UNKNOWN`] where it is none but this.
    escapes_of: u32,
    /// What stands in it, once that was asked.
    marks: Option<Marks>,
}

/// What is known of a step that has not been taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Foreseen {
    column: u8,
    /// The classes of the bytes that decoding makes.
    pub(super) made: ClassMask,
    /// The classes that the result may have; 0 while nothing is known.
    pub(super) classes: ClassMask,
}

/// The classes of what URL escapes begin with.
pub(super) const ESCAPES: ClassMask = 1 << class_of(b'%') | 1 << class_of(b'+');
/// Bytes up to which it pays to look for what transformations need.
const MARKED: usize = 40;
/// Bytes of a value from which on room for all that may become of it is made at once.
const LONG: usize = 32 << 10;
/// Bytes up to which it is not worth while to forget: about what a processor keeps at hand.
const AMPLE: usize = 128 << 10;
/// How many texts become of a value to which nearly all is done that CRS's rules ask for, roughly.
const BECOMES: usize = 40;
/// Marks a mask that has been computed.
const HAS_MASK: ClassMask = 1 << 63;

/// A point to which the arena may return.
#[derive(Clone, Copy)]
pub(super) struct State {
    id: ValueId,
    bytes: usize,
    entries: usize,
    memo: usize,
}

/// A number for each time that values are sieved. The first is 1.
pub(super) type Epoch = u32;

/// The arena.
#[derive(Default)]
pub(super) struct Values {
    bytes: Vec<u8>,
    /// The most bytes that were ever in `bytes`.
    written: usize,
    entries: Vec<Entry>,
    /// For each value that was ever transformed a row with a column for each of the ruleset's steps: the id of the
    /// result.
    memo: Vec<u32>,
    columns: usize,
    /// Sets of rules, one after the other.
    guards: Vec<u64>,
    limit: usize,
    /// Whether results are kept at all ([`super::Transaction::set_memo`]).
    pub(super) keeps: bool,
    /// Whether the last step changed anything. Ids cannot tell that of values which are not kept.
    pub(super) changed: bool,
    scratch: Vec<u8>,
    ephemeral: Vec<u8>,
}

impl Values {
    /// Empties the arena, for a ruleset with `columns` steps; it is to keep transformed values until it holds `limit`
    /// bytes.
    pub(super) fn reset(&mut self, columns: usize, limit: usize) {
        self.truncate_bytes(0);
        self.entries.clear();
        self.memo.clear();
        self.guards.clear();
        (self.columns, self.limit) = (columns, limit);
        (self.keeps, self.changed) = (true, false);
        let empty = self.push(b"");
        debug_assert_eq!(empty, ValueId::EMPTY);
    }

    fn truncate_bytes(&mut self, length: usize) {
        self.written = self.written.max(self.bytes.len());
        self.bytes.truncate(length);
    }

    /// Bytes of memory that it occupies. Room that has never been written to takes none.
    pub(super) fn occupied(&self) -> usize {
        self.written.max(self.bytes.len())
            + self.scratch.capacity()
            + self.ephemeral.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.memo.capacity() * size_of::<u32>()
            + self.guards.capacity() * size_of::<u64>()
    }

    /// Bytes of all values together.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that its values occupy, and what is remembered of them.
    pub(super) fn used(&self) -> usize {
        self.bytes.len()
            + self.entries.len() * size_of::<Entry>()
            + self.memo.len() * size_of::<u32>()
            + self.guards.len() * size_of::<u64>()
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

    /// Adds what became of a value. Room for that and what else may become of it is made at once where it is long: to grow step
    /// by step would copy the arena each time, into memory that the system has to clear first. Room that is never written to
    /// takes no memory.
    fn push_result(&mut self, result: &[u8]) -> ValueId {
        let length = result.len();
        let room = length.saturating_mul(BECOMES).min(self.limit.saturating_sub(self.bytes.len()));
        if length >= LONG && self.bytes.capacity() - self.bytes.len() < length {
            self.bytes.reserve(room.max(length));
        }
        self.push(result)
    }

    fn entry(&mut self, start: usize, len: usize) -> ValueId {
        let id = self.entries.len() as u32;
        self.entries.push(Entry {
            start: start as u32,
            len: len as u32,
            row: UNKNOWN,
            sieved: [(0, 0); 2],
            mask: 0,
            foreseen: Foreseen::default(),
            escapes_of: UNKNOWN,
            marks: None,
        });
        ValueId(id)
    }

    /// A value that stays. What was too much for the arena is copied whole all the same, as long as that does no more
    /// than double it: a rule may look at what the one before it matched.
    pub(super) fn kept(&mut self, id: ValueId) -> ValueId {
        if id.is_lasting() {
            return id;
        }
        let mut copy = self.get(id).to_vec();
        if self.bytes.len().saturating_add(copy.len()) > self.limit.saturating_mul(2) {
            copy.truncate(limits::MATCH_VALUE_BYTES);
        }
        self.push(&copy)
    }

    /// A state to which [`Values::forget`] returns once `id` has been transformed, if that is to be done: not where memory
    /// is not short, nor where others know of what became of it.
    pub(super) fn state(&self, id: ValueId) -> Option<State> {
        let is_new = self.entries.get(id.0 as usize).is_some_and(|entry| entry.row == UNKNOWN);
        (is_new && self.used() > AMPLE).then_some(State {
            id,
            bytes: self.bytes.len(),
            entries: self.entries.len(),
            memo: self.memo.len(),
        })
    }

    /// Forgets what became of a value since. Nothing else may have been added.
    pub(super) fn forget(&mut self, State { id, bytes, entries, memo }: State) {
        self.truncate_bytes(bytes);
        self.entries.truncate(entries);
        self.memo.truncate(memo);
        self.entries[id.0 as usize].row = UNKNOWN;
        // The empty value was there before whatever became empty.
        let empty = &mut self.entries[ValueId::EMPTY.0 as usize];
        match self.memo.get_mut(empty.row as usize..) {
            Some(row) if !row.is_empty() => {
                row.iter_mut()
                    .take(self.columns)
                    .filter(|cell| **cell as usize >= entries)
                    .for_each(|cell| *cell = UNKNOWN);
            }
            _ => empty.row = UNKNOWN,
        }
    }

    /// The value after one step of the ruleset.
    pub(super) fn step(&mut self, ruleset: &Ruleset, id: ValueId, column: u8) -> ValueId {
        let step = &ruleset.steps[usize::from(column)];
        let ValueId(index) = id;
        if !id.is_lasting() || !self.keeps {
            return self.apply(ruleset, id, column);
        }
        if let Some(trigger) = &step.trigger
            && self.mask(id) & trigger == 0
        {
            self.changed = false;
            return id;
        }
        let row = match self.entries[index as usize].row {
            UNKNOWN => {
                let row = self.memo.len();
                self.memo.resize(row + self.columns, UNKNOWN);
                self.entries[index as usize].row = row as u32;
                row
            }
            row => row as usize,
        };
        let cell = row + usize::from(column);
        if self.memo[cell] != UNKNOWN {
            self.changed = self.memo[cell] != index;
            return ValueId(self.memo[cell]);
        }
        let result = self.apply(ruleset, id, column);
        if result.is_lasting() {
            self.memo[cell] = result.0;
        }
        result
    }

    /// Whether the result of a step is known.
    pub(super) fn has_taken(&self, id: ValueId, column: u8) -> bool {
        let Some(entry) = self.entries.get(id.0 as usize).filter(|entry| entry.row != UNKNOWN) else {
            return false;
        };
        self.memo.get(entry.row as usize + usize::from(column)).is_some_and(|result| *result != UNKNOWN)
    }

    /// The classes of bytes that the result of a step may have. `made` tells of those that it makes; those in `consumed`
    /// are gone unless it does.
    pub(super) fn foresee(&mut self, id: ValueId, column: u8, made: Made, consumed: ClassMask) -> Foreseen {
        let known = self.entries.get(id.0 as usize).map(|entry| (entry.foreseen, entry.escapes_of));
        if let Some((known, _)) = known
            && known.column == column
            && known.classes != 0
        {
            return known;
        }
        let mut classes = 0;
        match known {
            Some((_, kin)) if kin != UNKNOWN && consumed == ESCAPES => {
                classes = self.foresee(ValueId(kin), column, made, consumed).made;
            }
            _ => made(self.get(id), &mut |byte| classes |= class_mask(byte)),
        }
        let classes =
            Foreseen { column, made: classes, classes: self.mask(id) & !consumed | classes | HAS_MASK };
        if let Some(entry) = self.entries.get_mut(id.0 as usize) {
            entry.foreseen = classes;
        }
        classes
    }

    /// Notes that the URL escapes of `id` are those of `other`, which is a part of it.
    pub(super) fn has_escapes_of(&mut self, id: ValueId, other: ValueId) {
        if id != other
            && let Some(entry) = self.entries.get_mut(id.0 as usize)
        {
            entry.escapes_of = other.0;
        }
    }

    /// Notes of a value that its bytes are of these classes, or fewer.
    pub(super) fn describe(&mut self, id: ValueId, classes: ClassMask) {
        if let Some(entry) = self.entries.get_mut(id.0 as usize) {
            entry.mask = classes | HAS_MASK;
        }
    }

    /// Carries a transformation out.
    fn apply(&mut self, ruleset: &Ruleset, id: ValueId, column: u8) -> ValueId {
        let step = &ruleset.steps[usize::from(column)];
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
        } else if !id.is_lasting() || !self.keeps || self.bytes.len() + out.len() > self.limit {
            std::mem::swap(&mut self.ephemeral, &mut out);
            ValueId::EPHEMERAL
        } else {
            let Entry { mask: known, foreseen, .. } = self.entries[id.0 as usize];
            let made = self.push_result(&out);
            // No class is lost by that, and a class too many costs time alone.
            let told = match step.adds {
                _ if foreseen.column == column && foreseen.classes != 0 => foreseen.classes,
                Some(adds) if known != 0 => any_case(known) & !step.removes | adds,
                _ => 0,
            };
            if made != ValueId::EMPTY {
                self.entries[made.0 as usize].mask = told;
            }
            made
        };
        self.scratch = out;
        result
    }

    /// The value after a whole chain of steps.
    pub(super) fn chain(&mut self, ruleset: &Ruleset, id: ValueId, chain: &[u8]) -> ValueId {
        chain.iter().fold(id, |id, &column| self.step(ruleset, id, column))
    }

    /// The classes of the bytes of `id`.
    pub(super) fn mask(&mut self, id: ValueId) -> ClassMask {
        if !id.is_lasting() {
            return mask_of(self.get(id));
        }
        let known = self.entries[id.0 as usize].mask;
        if known != 0 {
            return known;
        }
        let mask = mask_of(self.get(id)) | HAS_MASK;
        self.entries[id.0 as usize].mask = mask;
        mask
    }

    /// The marks in the bytes of `id`; all where it is long.
    pub(super) fn marks(&mut self, id: ValueId) -> Marks {
        let value = self.get(id);
        if value.len() > MARKED {
            return Marks::ALL;
        }
        if let Some(known) = self.entries.get(id.0 as usize).and_then(|entry| entry.marks) {
            return known;
        }
        let marks = Marks::of(value);
        if let Some(entry) = self.entries.get_mut(id.0 as usize) {
            entry.marks = Some(marks);
        }
        marks
    }

    /// Notes that the rules in `guards` look at `id` in this epoch. Returns whether none did before.
    pub(super) fn look(&mut self, id: ValueId, epoch: Epoch, guards: &[u64]) -> bool {
        let sieved = &mut self.entries[id.0 as usize].sieved;
        if sieved[0].0 != epoch {
            sieved[1] = sieved[0];
            sieved[0] = (epoch, self.guards.len() as u32);
            self.guards.extend_from_slice(guards);
            return true;
        }
        let at = sieved[0].1 as usize;
        for (all, more) in self.guards[at..].iter_mut().zip(guards) {
            *all |= more;
        }
        false
    }

    /// Where the rules stand that looked at `id` last.
    pub(super) fn looking(&self, id: ValueId) -> usize {
        self.entries[id.0 as usize].sieved[0].1 as usize
    }

    /// The sets of rules, one after the other.
    pub(super) fn sets(&self) -> &[u64] {
        &self.guards
    }

    /// The same, to change.
    pub(super) fn sets_mut(&mut self) -> &mut [u64] {
        &mut self.guards
    }

    /// Where it stands whether the rule of this guard may match `id`, as far as that was asked in this epoch: the
    /// word, and the bit.
    #[inline(always)]
    fn guard(&self, id: ValueId, epoch: Epoch, Guard { number, .. }: Guard) -> Option<(usize, u64)> {
        let [last, before] = self.entries.get(id.0 as usize)?.sieved;
        let at = if last.0 == epoch {
            last.1
        } else if before.0 == epoch {
            before.1
        } else {
            return None;
        };
        Some((at as usize + usize::from(number >> 6), 1 << (number & 63)))
    }

    /// Whether the rule of this guard cannot match `id`, as far as that was asked in this epoch.
    pub(super) fn cannot_match(&self, id: ValueId, epoch: Epoch, guard: Guard) -> bool {
        self.guard(id, epoch, guard).is_some_and(|(word, bit)| self.guards[word] & bit == 0)
    }

    /// Notes that the rule of this guard was asked about `id` and does not match it.
    pub(super) fn acquit(&mut self, id: ValueId, epoch: Epoch, guard: Guard) {
        if let Some((word, bit)) = self.guard(id, epoch, guard) {
            self.guards[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_what_becomes_of_a_long_value_is_made_once() {
        let mut values = Values::default();
        values.reset(0, 10 << 20);
        let value = vec![b'a'; 100_000];
        values.push_result(&value);
        let room = values.bytes.capacity();
        assert!(room >= BECOMES * value.len(), "{room}");
        for _ in 1..BECOMES {
            values.push_result(&value);
        }
        assert_eq!(values.bytes.capacity(), room);
        // Not beyond what the arena may hold, unless that is asked for.
        values.reset(0, 150_000);
        values.bytes.shrink_to(0);
        values.push_result(&value);
        assert!((100_000..=200_000).contains(&values.bytes.capacity()), "{}", values.bytes.capacity());
        let id = values.push_result(&value);
        assert_eq!(values.get(id), value);
    }

    #[test]
    fn what_is_not_transformed_makes_no_room() {
        let mut values = Values::default();
        values.reset(0, 10 << 20);
        values.push(&[b'a'; 100_000]);
        assert!(values.bytes.capacity() < 200_000, "{}", values.bytes.capacity());
    }

    #[test]
    fn what_became_of_a_value_is_forgotten() {
        let mut values = Values::default();
        values.reset(0, 10 << 20);
        let id = values.push(b"few");
        assert!(values.state(id).is_none(), "there is room");
        values.push(&[b'a'; AMPLE]);
        let (state, used) = (values.state(id).expect("there is less"), values.used());
        let result = values.push_result(b"result");
        assert_eq!(values.get(result), b"result");
        values.forget(state);
        assert_eq!(values.used(), used);
        assert_eq!(values.get(id), b"few");
        assert_eq!(values.push_result(b"other"), result);
        values.entries[id.0 as usize].row = 0;
        assert!(values.state(id).is_none(), "others may know of it");
    }

    #[test]
    fn memory_that_was_written_to_is_occupied() {
        let mut values = Values::default();
        values.reset(0, 10 << 20);
        let before = values.occupied();
        let id = values.push(&[b'a'; AMPLE]);
        let state = values.state(id).expect("there is less room");
        values.push_result(&[b'b'; LONG]);
        let most = before + AMPLE + LONG;
        assert!((most..most + LONG).contains(&values.occupied()), "{}", values.occupied());
        values.forget(state);
        values.reset(0, 10 << 20);
        assert!(values.occupied() >= most, "{}", values.occupied());
    }

    #[test]
    fn short_values_make_no_room_for_others() {
        let mut values = Values::default();
        values.reset(0, 10 << 20);
        values.push_result(&vec![b'a'; LONG - 1]);
        assert!(values.bytes.capacity() < 2 * LONG, "{}", values.bytes.capacity());
    }
}
