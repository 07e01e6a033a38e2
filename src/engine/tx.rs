//! The collection `TX`.

use crate::ruleset::{Slot, SlotNames};
use indexmap::{Equivalent, IndexMap};
use std::hash::{Hash, Hasher};

/// A member's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TxValue {
    /// Not set.
    #[default]
    Unset,
    /// A number: what scores are, without text in between.
    Int(i64),
    /// Text.
    Bytes(Vec<u8>),
}

impl TxValue {
    /// Whether it is set.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self, TxValue::Unset)
    }

    /// As a number, the way ModSecurity reads one ([`parse_number`]); 0 when it is not set.
    pub(super) fn number(&self) -> i64 {
        match self {
            TxValue::Unset => 0,
            TxValue::Int(n) => *n,
            TxValue::Bytes(b) => parse_number(b),
        }
    }

    /// Appends its text to `out`.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            TxValue::Unset => {}
            TxValue::Int(n) => append_number(*n, out),
            TxValue::Bytes(b) => out.extend_from_slice(b),
        }
    }
}

/// Reads a number as C's `atoi` does: leading white space, a sign, digits; 0 when there are none. Saturates.
pub(super) fn parse_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0_i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    if negative { -magnitude } else { magnitude }
}

/// Appends `n` in decimal.
pub(super) fn append_number(n: i64, out: &mut Vec<u8>) {
    use std::io::Write;
    if let Ok(digit @ 0..=9) = u8::try_from(n) {
        out.push(b'0' + digit);
    } else {
        // Writing into a vector cannot fail.
        let _ = write!(out, "{n}");
    }
}

/// A name that a rule made up.
struct MadeUp(Vec<u8>);

/// A name in any case, as it is looked for.
struct AnyCase<'a>(&'a [u8]);

impl Hash for MadeUp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        AnyCase(&self.0).hash(state);
    }
}

impl PartialEq for MadeUp {
    fn eq(&self, other: &Self) -> bool {
        AnyCase(&self.0).equivalent(other)
    }
}

impl Eq for MadeUp {}

impl Hash for AnyCase<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for part in self.0.chunks(PART) {
            let mut lower = [0; PART];
            let lower = &mut lower[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
    }
}

impl Equivalent<MadeUp> for AnyCase<'_> {
    fn equivalent(&self, name: &MadeUp) -> bool {
        self.0.eq_ignore_ascii_case(&name.0)
    }
}

/// `TX`: an array for the names that rules know, a map for those that rules make up, in the order in which they did. CRS makes
/// one up for each argument that a request has, so that clients choose how many there are, and which.
#[derive(Default)]
pub(super) struct Tx {
    slots: Vec<TxValue>,
    dynamic: IndexMap<MadeUp, TxValue, foldhash::fast::RandomState>,
    /// Texts' memory that is not in use.
    spare: Vec<Vec<u8>>,
}

impl Tx {
    /// Unsets everything; `names` are those that slots have from now on.
    pub(super) fn reset(&mut self, names: &SlotNames) {
        let texts = self
            .slots
            .drain(..)
            .chain(self.dynamic.drain(..).flat_map(|(name, value)| [TxValue::Bytes(name.0), value]));
        for value in texts {
            if let TxValue::Bytes(text) = value
                && self.spare.len() < SPARE_TEXTS
                && text.capacity() <= SPARE_TEXT_BYTES
            {
                self.spare.push(text);
            }
        }
        self.slots.resize(names.len(), TxValue::Unset);
    }

    fn text(spare: &mut Vec<Vec<u8>>, text: &[u8]) -> Vec<u8> {
        let mut memory = spare.pop().unwrap_or_default();
        memory.clear();
        memory.extend_from_slice(text);
        memory
    }

    /// The value in `slot`.
    pub(super) fn get(&self, slot: Slot) -> &TxValue {
        &self.slots[usize::from(slot.0)]
    }

    /// The value in `slot`, to change.
    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut TxValue {
        &mut self.slots[usize::from(slot.0)]
    }

    /// Sets `slot` to text, reusing its memory.
    pub(super) fn set_bytes(&mut self, slot: Slot, text: &[u8]) {
        match &mut self.slots[usize::from(slot.0)] {
            TxValue::Bytes(old) => {
                old.clear();
                old.extend_from_slice(text);
            }
            other => *other = TxValue::Bytes(Self::text(&mut self.spare, text)),
        }
    }

    /// Sets `name`, which may be a slot's, to text; whether there was room for it.
    pub(super) fn set_text(&mut self, names: &SlotNames, name: &[u8], text: &[u8], limit: usize) -> bool {
        let text = Self::text(&mut self.spare, text);
        self.find_mut(names, name, limit).map(|value| *value = TxValue::Bytes(text)).is_some()
    }

    /// The value of `name`, which may be a slot's.
    pub(super) fn find(&self, names: &SlotNames, name: &[u8]) -> Option<&TxValue> {
        if let Some(slot) = std::str::from_utf8(name).ok().and_then(|n| names.find(n)) {
            return Some(self.get(slot));
        }
        self.dynamic.get(&AnyCase(name))
    }

    /// The value of `name`, to change; made if need be, up to `limit` made-up names.
    pub(super) fn find_mut(&mut self, names: &SlotNames, name: &[u8], limit: usize) -> Option<&mut TxValue> {
        if let Some(slot) = std::str::from_utf8(name).ok().and_then(|n| names.find(n)) {
            return Some(self.get_mut(slot));
        }
        let at = match self.dynamic.get_index_of(&AnyCase(name)) {
            Some(at) => at,
            None if self.dynamic.len() < limit => {
                let name = MadeUp(Self::text(&mut self.spare, name));
                self.dynamic.insert_full(name, TxValue::Unset).0
            }
            None => return None,
        };
        self.dynamic.get_index_mut(at).map(|(_, value)| value)
    }

    /// All members that are set, without those that have slots if `made_up` ones only are asked for.
    pub(super) fn iter<'a>(
        &'a self,
        names: &'a SlotNames,
        made_up: bool,
    ) -> impl Iterator<Item = (&'a [u8], &'a TxValue)> + 'a {
        let slots = if made_up { &[][..] } else { &self.slots[..] };
        let slots = slots.iter().enumerate().map(|(i, v)| (names.name(Slot(i as u16)).as_bytes(), v));
        let dynamic = self.dynamic.iter().map(|(n, v)| (n.0.as_slice(), v));
        slots.chain(dynamic).filter(|(_, v)| v.is_set())
    }
}

/// Bytes of a name that are hashed at once.
const PART: usize = 64;
/// Texts whose memory is kept. CRS sets some thirty.
const SPARE_TEXTS: usize = 128;
/// Bytes of the largest of them: CRS's lists of methods and types have up to 200.
const SPARE_TEXT_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_like_atoi() {
        for (text, number) in [("12", 12), (" -3x", -3), ("+7", 7), ("x1", 0), ("", 0), ("-", 0), ("0x10", 0)]
        {
            assert_eq!(parse_number(text.as_bytes()), number, "{text}");
        }
        assert_eq!(parse_number(b"99999999999999999999"), i64::MAX);
    }

    #[test]
    fn names_are_found_in_any_case_and_made_up_names_are_bounded() {
        let mut names = SlotNames::default();
        let slot = names.intern("Score").expect("room");
        let mut tx = Tx::default();
        tx.reset(&names);
        *tx.get_mut(slot) = TxValue::Int(5);
        assert_eq!(tx.find(&names, b"SCORE"), Some(&TxValue::Int(5)));
        *tx.find_mut(&names, b"Made-Up", 1).expect("room") = TxValue::Bytes(b"x".to_vec());
        assert!(tx.find(&names, b"made-up").is_some());
        assert!(tx.find_mut(&names, b"another", 1).is_none());
        assert_eq!(tx.iter(&names, false).count(), 2);
    }

    #[test]
    fn many_made_up_names_stay_apart_and_in_order() {
        let names = SlotNames::default();
        let mut tx = Tx::default();
        tx.reset(&names);
        let name = |n: i64| format!("{}Name_{n}", "Long".repeat(n as usize % 40)).into_bytes();
        for n in 0..2_000 {
            *tx.find_mut(&names, &name(n), 2_000).expect("room") = TxValue::Int(n);
        }
        for n in 0..2_000 {
            assert_eq!(tx.find(&names, &name(n).to_ascii_uppercase()), Some(&TxValue::Int(n)));
            assert_eq!(tx.find_mut(&names, &name(n).to_ascii_lowercase(), 0), Some(&mut TxValue::Int(n)));
        }
        let all = tx.iter(&names, true).map(|(name, value)| (name.to_vec(), value.number()));
        assert!(all.eq((0..2_000).map(|n| (name(n), n))));
        tx.reset(&names);
        assert_eq!(tx.find(&names, &name(7)), None);
    }
}
