//! What each byte means to libinjection: what begins with it, and in which classes it is.

use super::token::Kind;
use crate::transform::ByteSet;

/// The bytes of which every attack has one: all but letters, digits, `_` and what is not ASCII (but for 0xA0).
pub const NEEDED: ByteSet = ByteSet::range(b'0', b'9')
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'_', b'_'))
    .union(ByteSet::range(b'a', b'z'))
    .union(ByteSet::range(0x80, 0x9f))
    .union(ByteSet::range(0xa1, 0xff))
    .complement();

/// What begins with a byte.
#[inline]
pub(super) fn begins(byte: u8) -> Begins {
    BEGINS[usize::from(byte)]
}

/// What a byte begins where a token may begin.
#[derive(Clone, Copy)]
pub(super) enum Begins {
    White,
    Word,
    Number,
    /// A token of this one byte.
    Itself(Kind),
    /// An operator of one to three bytes.
    Operator,
    String,
    Dash,
    Slash,
    Hash,
    Variable,
    Money,
    Backquote,
    Bracket,
    Backslash,
    BinaryString,
    HexString,
    EscapedString,
    NationalString,
    OracleString,
    UnicodeString,
}

/// The classes of a byte, a bit each.
#[inline]
pub(super) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// How many bytes of a class the text begins with.
#[inline]
pub(super) fn span(text: &[u8], wanted: u8) -> usize {
    text.iter().take_while(|byte| class(**byte) & wanted != 0).count()
}

/// What C takes for white space after a comment's or a number's beginning.
#[inline]
pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0 | 0xa0)
}

pub(super) const ENDS_WORD: u8 = 1;
pub(super) const SPLITS_WORD: u8 = 1 << 1;
pub(super) const ENDS_VARIABLE: u8 = 1 << 2;
pub(super) const HEX: u8 = 1 << 3;
pub(super) const BINARY: u8 = 1 << 4;
pub(super) const MONEY: u8 = 1 << 5;
pub(super) const TAG: u8 = 1 << 6;
pub(super) const PLAIN: u8 = 1 << 7;

const BEGINS: [Begins; 256] = {
    let mut table = [Begins::Word; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = match i as u8 {
            0..=b' ' | 0x7f | 0xa0 => Begins::White,
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => Begins::Operator,
            b'"' | b'\'' => Begins::String,
            b'#' => Begins::Hash,
            b'$' => Begins::Money,
            b'%' | b'+' | b'^' | b'~' => Begins::Itself(Kind::Operator),
            b'(' => Begins::Itself(Kind::LeftParenthesis),
            b')' => Begins::Itself(Kind::RightParenthesis),
            b'{' => Begins::Itself(Kind::LeftBrace),
            b'}' => Begins::Itself(Kind::RightBrace),
            b',' => Begins::Itself(Kind::Comma),
            b';' => Begins::Itself(Kind::Semicolon),
            b'?' | b']' => Begins::Itself(Kind::Unknown),
            b'-' => Begins::Dash,
            b'/' => Begins::Slash,
            b'.' | b'0'..=b'9' => Begins::Number,
            b'@' => Begins::Variable,
            b'[' => Begins::Bracket,
            b'\\' => Begins::Backslash,
            b'`' => Begins::Backquote,
            b'B' | b'b' => Begins::BinaryString,
            b'E' | b'e' => Begins::EscapedString,
            b'N' | b'n' => Begins::NationalString,
            b'Q' | b'q' => Begins::OracleString,
            b'U' | b'u' => Begins::UnicodeString,
            b'X' | b'x' => Begins::HexString,
            _ => Begins::Word,
        };
        i += 1;
    }
    table
};

/// The classes of each byte. NUL is in all classes of C's `strchr`, which finds a text's end as well.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let mut class = 0;
        if matches!(byte, 0 | b'\t'..=b'\r' | b' '..=b'#' | b'%'..=b'-' | b'/' | b':'..=b'@' | b'[' | b'\\' | b']'
            | b'^' | b'{' | b'|' | b'}' | b'~' | 0xa0)
        {
            class |= ENDS_WORD;
        }
        if matches!(byte, b'.' | b'`') {
            class |= SPLITS_WORD;
        }
        if matches!(byte, 0 | b'\t'..=b'\r' | b' '..=b'#' | b'%'..=b'-' | b'/' | b':'..=b'@' | b'\\' | b'^' | b'`'
            | b'|' | b'~')
        {
            class |= ENDS_VARIABLE;
        }
        if byte == 0 || byte.is_ascii_hexdigit() {
            class |= HEX;
        }
        if matches!(byte, 0 | b'0' | b'1') {
            class |= BINARY;
        }
        if byte == 0 || byte.is_ascii_digit() || matches!(byte, b'.' | b',') {
            class |= MONEY;
        }
        if byte == 0 || byte.is_ascii_alphabetic() {
            class |= TAG;
        }
        if !NEEDED.contains(byte) {
            class |= PLAIN;
        }
        table[i] = class;
        i += 1;
    }
    table
};
