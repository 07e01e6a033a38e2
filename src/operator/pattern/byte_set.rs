//! Sets of bytes, and how they are written in a pattern.

use super::reader::Dialect;
use std::fmt::Write as _;

/// A set of bytes.
#[derive(Clone, Copy)]
pub(super) struct ByteSet([bool; 256]);

impl Default for ByteSet {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl ByteSet {
    pub(super) fn full() -> Self {
        Self([true; 256])
    }

    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        bytes.iter().for_each(|b| set.add(*b));
        set
    }

    pub(super) fn add(&mut self, byte: u8) {
        self.0[usize::from(byte)] = true;
    }

    pub(super) fn add_range(&mut self, low: u8, high: u8) {
        (low..=high).for_each(|b| self.add(b));
    }

    pub(super) fn add_all(&mut self, other: &ByteSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// A POSIX class by name, in the C locale.
    pub(super) fn add_class(&mut self, name: &str) {
        let member: fn(u8) -> bool = match name {
            "alpha" => |b| b.is_ascii_alphabetic(),
            "alnum" => |b| b.is_ascii_alphanumeric(),
            "ascii" => |b| b.is_ascii(),
            "blank" => |b| b == b' ' || b == b'\t',
            "cntrl" => |b| b.is_ascii_control(),
            "digit" => |b| b.is_ascii_digit(),
            "graph" => |b| b.is_ascii_graphic(),
            "lower" => |b| b.is_ascii_lowercase(),
            "print" => |b| b.is_ascii_graphic() || b == b' ',
            "punct" => |b| b.is_ascii_punctuation(),
            "space" => |b| matches!(b, b'\t'..=b'\r' | b' '),
            "upper" => |b| b.is_ascii_uppercase(),
            "word" => |b| b.is_ascii_alphanumeric() || b == b'_',
            _ => |b| b.is_ascii_hexdigit(),
        };
        (0..=u8::MAX).filter(|b| member(*b)).for_each(|b| self.add(b));
    }

    /// Adds the other case of each letter.
    pub(super) fn fold(&mut self) {
        for letter in b'a'..=b'z' {
            let upper = letter.to_ascii_uppercase();
            let either = self.0[usize::from(letter)] || self.0[usize::from(upper)];
            self.0[usize::from(letter)] = either;
            self.0[usize::from(upper)] = either;
        }
    }

    pub(super) fn negate(&mut self) {
        self.0.iter_mut().for_each(|member| *member = !*member);
    }

    pub(super) fn ranges(&self, member: bool) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for byte in (0..=u8::MAX).filter(|b| self.0[usize::from(*b)] == member) {
            match ranges.last_mut() {
                Some((_, high)) if high.checked_add(1) == Some(byte) => *high = byte,
                _ => ranges.push((byte, byte)),
            }
        }
        ranges
    }

    /// The set as a class that every engine here reads alike. The empty set is what lies outside of all bytes.
    pub(super) fn to_text(self) -> String {
        let (inside, outside) = (self.ranges(true), self.ranges(false));
        let negated = inside.is_empty() || (!outside.is_empty() && outside.len() < inside.len());
        let ranges = if negated { outside } else { inside };
        let mut text = String::from(if negated { "[^" } else { "[" });
        for (low, high) in ranges {
            write_byte(&mut text, low, Dialect::Backtracking);
            if low != high {
                text.push('-');
                write_byte(&mut text, high, Dialect::Backtracking);
            }
        }
        text.push(']');
        text
    }
}

/// Writes a byte so that it stands for itself.
pub(super) fn write_byte(text: &mut String, byte: u8, dialect: Dialect) {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => text.push(char::from(byte)),
        0x20..=0x7e if dialect != Dialect::Backtracking => {
            if regex_syntax::is_meta_character(char::from(byte)) {
                text.push('\\');
            }
            text.push(char::from(byte));
        }
        _ => {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

/// Whether `[:name:]` is a class.
pub(super) fn is_class_name(name: &str) -> bool {
    CLASSES.contains(&name)
}

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];
