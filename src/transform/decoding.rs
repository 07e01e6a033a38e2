//! What a transformation undoes, where it undoes an encoding: for telling by which way an attack came.

use std::fmt;

/// Encodings that were undone together, as one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoding(u16);

impl Decoding {
    /// Percent-encoding, `+` for a blank included.
    pub const URL: Self = Self(1);
    /// `%uHHHH`.
    pub const URL_UNICODE: Self = Self(1 << 1);
    /// Base64.
    pub const BASE64: Self = Self(1 << 2);
    /// Hexadecimal digits, `0x…` of SQL.
    pub const HEX: Self = Self(1 << 3);
    /// Entities of HTML.
    pub const HTML: Self = Self(1 << 4);
    /// Escapes of JavaScript and JSON.
    pub const JS: Self = Self(1 << 5);
    /// Escapes of CSS.
    pub const CSS: Self = Self(1 << 6);
    /// Escapes of C.
    pub const ESCAPES: Self = Self(1 << 7);
    /// Full-width forms of ASCII.
    pub const FULL_WIDTH: Self = Self(1 << 8);
    /// UTF-8 of more bytes than a character needs.
    pub const OVERLONG: Self = Self(1 << 9);

    const NAMES: [&'static str; 10] = [
        "url",
        "url-unicode",
        "base64",
        "hex",
        "html",
        "js",
        "css",
        "escapes",
        "full-width",
        "overlong-utf8",
    ];

    /// Whether nothing was undone.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With what `other` undoes.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `url`, or `url+js` where both were undone at once. Names are stable.
impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (_, name) in Self::NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1) {
            write!(f, "{between}{name}")?;
            between = "+";
        }
        Ok(())
    }
}

/// What encodings a transformation undoes.
#[derive(Clone, Copy, Debug)]
pub enum Decodes {
    /// None: it does something else.
    Nothing,
    /// These, once.
    Once(Decoding),
    /// Several, in layers: undoes one layer of `input` into the empty `out`, and tells what it was made of; empty, and
    /// `out` has no meaning, when there is none.
    Layers(fn(input: &[u8], out: &mut Vec<u8>) -> Decoding),
}
