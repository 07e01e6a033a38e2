//! What a transformation needs to find in a value to change it, where that is more than a byte: a `%` is no escape yet.

use super::registry::TransformId;

/// What stands in a value, a bit for each mark: single bytes and pairs of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks(u16);

/// `%` before a hexadecimal digit or `u`.
const ESCAPE: u16 = 1;
/// `&` before a letter, a digit or `#`.
const ENTITY: u16 = 1 << 1;
/// `/*`.
const OPENING: u16 = 1 << 2;
/// `*/`.
const CLOSING: u16 = 1 << 3;
/// `--`.
const DASHES: u16 = 1 << 4;
/// `<!`.
const DECLARATION: u16 = 1 << 5;
/// A separator of a path before another, or before a dot.
const SEPARATOR: u16 = 1 << 6;
/// A dot before a separator of a path.
const DOT: u16 = 1 << 7;
/// `+`.
const PLUS: u16 = 1 << 8;
/// `#`.
const HASH: u16 = 1 << 9;
/// A backslash.
const BACKSLASH: u16 = 1 << 10;
/// What every value has.
const EVERY: u16 = 1 << 15;

impl Marks {
    /// What has any mark that there is.
    pub const ALL: Self = Self(u16::MAX);
    /// What has none.
    pub const NONE: Self = Self(0);

    /// The marks in `value`. There is always one.
    pub fn of(value: &[u8]) -> Self {
        let (mut found, mut before) = (EVERY, 0);
        for byte in value {
            let row = TABLE[usize::from(*byte)];
            found |= row.alone | before & row.second;
            before = row.first;
        }
        Self(found)
    }

    /// Whether any mark is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The marks that a byte makes by itself, as the first of two and as the second.
#[derive(Clone, Copy)]
struct Row {
    alone: u16,
    first: u16,
    second: u16,
}

static TABLE: [Row; 256] = {
    let mut table = [Row { alone: 0, first: 0, second: 0 }; 256];
    let mut n = 0;
    while n < 256 {
        let byte = n as u8;
        let (alone, first, mut second) = match byte {
            b'%' => (0, ESCAPE, 0),
            b'&' => (0, ENTITY, 0),
            b'/' => (0, OPENING | SEPARATOR, CLOSING | SEPARATOR | DOT),
            b'\\' => (BACKSLASH, SEPARATOR, SEPARATOR | DOT),
            b'*' => (0, CLOSING, OPENING),
            b'-' => (0, DASHES, DASHES),
            b'<' => (0, DECLARATION, 0),
            b'!' => (0, 0, DECLARATION),
            b'.' => (0, DOT, SEPARATOR),
            b'+' => (PLUS, 0, 0),
            b'#' => (HASH, 0, ENTITY),
            _ => (0, 0, 0),
        };
        if byte.is_ascii_alphanumeric() {
            second |= ENTITY;
        }
        if byte.is_ascii_hexdigit() || matches!(byte, b'u' | b'U') {
            second |= ESCAPE;
        }
        table[n] = Row { alone, first, second };
        n += 1;
    }
    table
};

impl TransformId {
    /// The marks of which a value must have one for it to make a difference: without, the value stays as it is, or
    /// it is of no [consequence](TransformId::concerns). `None` where nothing is known.
    pub fn wakes(self) -> Option<Marks> {
        Some(Marks(match self.row().name {
            "htmlEntityDecode" => ENTITY,
            "normalizePath" => SEPARATOR | DOT,
            "normalizePathWin" => SEPARATOR | DOT | BACKSLASH,
            "removeComments" => OPENING | DASHES | DECLARATION | HASH,
            "removeCommentsChar" => OPENING | CLOSING | DASHES | DECLARATION | HASH,
            "replaceComments" => OPENING,
            "urlDecode" | "urlDecodeUni" => ESCAPE | PLUS,
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::all;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_000))]

        #[test]
        fn nothing_changes_without_a_mark(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "%", "4", "a", "u", "U", "z", "&", "#", "amp", "<", "!", "-", "/", "*", ".", "\\", "+", ";", " ", "\0", ">",
            ]), 0..7)
        ) {
            let value = pieces.concat().into_bytes();
            for n in 0..all().len() {
                let id = TransformId(u8::try_from(n).expect("few transformations"));
                let Some(wakes) = id.wakes() else { continue };
                if wakes.meets(Marks::of(&value)) {
                    continue;
                }
                let mut out = Vec::new();
                let changes = (id.row().apply)(&value, &mut out);
                let is_of_no_concern =
                    id.concerns().is_some_and(|bytes| !value.iter().any(|b| bytes.contains(*b))) && out.is_empty();
                prop_assert!(!changes || is_of_no_concern, "{} of {value:?}", id.row().name);
            }
        }
    }

    #[test]
    fn every_value_has_a_mark() {
        assert!(Marks::ALL.meets(Marks::of(b"")));
        assert!(Marks::ALL.meets(Marks::of(b"a")));
    }

    #[test]
    fn marks_are_pairs() {
        let url = Marks(ESCAPE | PLUS);
        assert!(!url.meets(Marks::of(b"100% of & 50%")));
        assert!(url.meets(Marks::of(b"100%41")));
        assert!(url.meets(Marks::of(b"1+1")));
        assert!(!Marks(ENTITY).meets(Marks::of(b"a & b")));
        assert!(Marks(ENTITY).meets(Marks::of(b"&lt")));
    }
}
