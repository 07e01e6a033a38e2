//! The table of transformations.

use super::byte_set::ByteSet;
use super::decoding::{Decodes, Decoding};
use super::{
    base64, case, command, comments, escape, hash, hex, html, layers, nulls, parity, path, php, url, utf8,
    whitespace,
};
use crate::dialect::{CORAZA, Difference, V2_V3, unlike};

/// Which values a transformation can change at all. The engine skips the call for every other value, so a row
/// may claim too much ([`Trigger::Always`]) but never too little; a test holds each row to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Any value may change, the empty one too.
    Always,
    /// Only values that contain one of these bytes may change.
    AnyOf(&'static [u8]),
    /// Only values that contain a byte in this inclusive range may change (`A..=Z`, `0x80..=0xff`).
    Range(u8, u8),
    /// Only values that contain a byte of this set may change.
    In(ByteSet),
}

impl Trigger {
    /// The bytes of which one must be present, or `None` when even the empty value may change.
    pub const fn bytes(self) -> Option<ByteSet> {
        match self {
            Self::Always => None,
            Self::AnyOf(bytes) => Some(ByteSet::of(bytes)),
            Self::Range(low, high) => Some(ByteSet::range(low, high)),
            Self::In(set) => Some(set),
        }
    }

    /// Whether a value made of the bytes `present` may change. Where this is asked often, keep
    /// [`Trigger::bytes`] instead.
    pub const fn may_change(self, present: &ByteSet) -> bool {
        match self.bytes() {
            None => true,
            Some(bytes) => bytes.intersects(present),
        }
    }
}

/// One transformation, `t:name`.
#[derive(Debug)]
pub struct Transformation {
    /// The name in ModSecurity's spelling.
    pub name: &'static str,
    /// Other accepted spellings; all names are case-insensitive.
    pub aliases: &'static [&'static str],
    /// For the reference: what it does, one paragraph of Markdown.
    pub doc: &'static str,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
    /// Which encodings it undoes.
    pub decodes: Decodes,
    /// Which values it can change.
    pub trigger: Trigger,
    /// Appends the transformed value to the empty `out` and returns true, or returns false when the value stays
    /// as it is (then what `out` holds is meaningless). Linear in `input`; `out` never exceeds four times its
    /// length and 20 bytes.
    pub apply: fn(input: &[u8], out: &mut Vec<u8>) -> bool,
}

/// Index of a transformation in [`all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransformId(pub u8);

impl TransformId {
    /// The row.
    pub fn row(self) -> &'static Transformation {
        &all()[usize::from(self.0)]
    }
}

/// All rows, sorted by name without regard to case.
pub fn all() -> &'static [Transformation] {
    TABLE
}

/// The transformation called `name`, in any case, under its name or an alias. `none` is not in the table: it
/// is an instruction to the compiler.
pub fn find(name: &str) -> Option<TransformId> {
    let row = all().iter().position(|t| {
        t.name.eq_ignore_ascii_case(name) || t.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    })?;
    u8::try_from(row).ok().map(TransformId)
}

static TABLE: &[Transformation] = &[
    Transformation {
        name: "base64Decode",
        aliases: &[],
        doc: "Decodes base64 (RFC 4648, section 4) up to the first byte that cannot belong to it, padding included. \
              Line breaks are skipped, padding may be missing. A value that does not begin with base64 becomes \
              empty.",
        differs: &[],
        decodes: Decodes::Once(Decoding::BASE64),
        trigger: Trigger::Always,
        apply: base64::base64_decode,
    },
    Transformation {
        name: "base64DecodeExt",
        aliases: &[],
        doc: "Decodes base64 as lenient applications do: bytes that cannot belong to it are skipped wherever they \
              stand, `-` and `_` among them, padding may be missing or misplaced. ModSecurity empties the value when \
              padding is misplaced; an attacker could blind it with one `=` that PHP, for one, does not mind, so this \
              goes on.",
        differs: &[unlike(V2_V3, "Misplaced padding is skipped; there it empties the value.")],
        decodes: Decodes::Once(Decoding::BASE64),
        trigger: Trigger::Always,
        apply: base64::base64_decode_ext,
    },
    Transformation {
        name: "base64Encode",
        aliases: &[],
        doc: "Encodes as base64 with padding (RFC 4648, section 4).",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Always,
        apply: base64::base64_encode,
    },
    Transformation {
        name: "cmdLine",
        aliases: &[],
        doc: "Undoes what shells ignore: removes `\\`, `\"`, `'` and `^`; makes one space of each run of spaces, \
              tabs, line breaks, commas and semicolons, and nothing if `/` or `(` follows; makes ASCII letters \
              lower case.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(command::CHANGEABLE),
        apply: command::cmd_line,
    },
    Transformation {
        name: "compressWhitespace",
        aliases: &[],
        doc: "Makes one space of each run of white space (space, tab, line feed, vertical tab, form feed, carriage \
              return).",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(whitespace::SPACE),
        apply: whitespace::compress_whitespace,
    },
    Transformation {
        name: "cssDecode",
        aliases: &[],
        doc: "Decodes the escapes of CSS 2: a backslash with one to six hexadecimal digits and at most one white \
              space becomes the byte of the last two digits, or ASCII for its full-width forms U+FF01 to U+FF5E; \
              with a line feed, and at the end, nothing; with any other byte, that byte.",
        differs: &[],
        decodes: Decodes::Once(Decoding::CSS),
        trigger: Trigger::AnyOf(b"\\"),
        apply: escape::css_decode,
    },
    Transformation {
        name: "decodeLayers",
        aliases: &[],
        doc: "Undoes encodings until nothing changes, five layers at most: `%HH`, `%uHHHH` (to ASCII for full-width forms \
              and for the slashes and quotes of other blocks, else to the low byte), `\\uHHHH` and `\\xHH` of printable \
              ASCII, full-width forms (not the punctuation of \
              sentences), and ASCII in more bytes of UTF-8 than it needs. `+` is a space where the value has no other inside and it \
              stands beside a letter or an escape; in `1+1=2` it stays. Of Portcullis.",
        differs: &[],
        decodes: Decodes::Layers(layers::peel),
        trigger: Trigger::In(layers::TRIGGERS),
        apply: layers::decode_layers,
    },
    Transformation {
        name: "escapeSeqDecode",
        aliases: &[],
        doc: "Decodes the escapes of ANSI C: `\\a`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t`, `\\v`, `\\xHH`, and `\\O` to \
              `\\OOO`, of which the low byte counts. A backslash before any other byte is removed, one at the end \
              stays.",
        differs: &[],
        decodes: Decodes::Once(Decoding::ESCAPES),
        trigger: Trigger::AnyOf(b"\\"),
        apply: escape::escape_seq_decode,
    },
    Transformation {
        name: "hexDecode",
        aliases: &[],
        doc: "Makes a byte of each two hexadecimal digits. An odd last digit is dropped, so that a value of one byte \
              becomes empty. Whether the digits are digits is not asked; what becomes of others is ModSecurity's \
              arithmetic.",
        differs: &[unlike(
            CORAZA,
            "There a value with anything but hexadecimal digits, or an odd number of them, stays as it is.",
        )],
        decodes: Decodes::Once(Decoding::HEX),
        trigger: Trigger::Always,
        apply: hex::hex_decode,
    },
    Transformation {
        name: "hexEncode",
        aliases: &[],
        doc: "Makes two lower-case hexadecimal digits of each byte.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Always,
        apply: hex::hex_encode,
    },
    Transformation {
        name: "htmlEntityDecode",
        aliases: &[],
        doc: "Decodes `&quot;`, `&amp;`, `&lt;`, `&gt;`, `&nbsp;` (byte `A0`) in any case, and `&#D;` and `&#xH;` with \
              any number of digits, of whose value the low byte counts. The semicolon may be missing; a name then \
              ends at the first byte that is neither letter nor digit. Leading zeros make no difference, as they \
              once did in ModSecurity.",
        differs: &[
            unlike(V2_V3, "Any number of leading zeros is read; there long ones hide a character."),
            unlike(
                CORAZA,
                "There all names of HTML 5 are decoded, and code points beyond ASCII become UTF-8.",
            ),
        ],
        decodes: Decodes::Once(Decoding::HTML),
        trigger: Trigger::AnyOf(b"&"),
        apply: html::html_entity_decode,
    },
    Transformation {
        name: "jsDecode",
        aliases: &[],
        doc: "Decodes the escapes of JavaScript: `\\uHHHH` becomes its low byte, or ASCII for its full-width forms \
              U+FF01 to U+FF5E; `\\xHH`; `\\O` to `\\OOO`, up to `\\377`; `\\a`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t`, \
              `\\v`. A backslash before any other byte is removed, one at the end stays.",
        differs: &[],
        decodes: Decodes::Once(Decoding::JS),
        trigger: Trigger::AnyOf(b"\\"),
        apply: escape::js_decode,
    },
    Transformation {
        name: "length",
        aliases: &[],
        doc: "The number of bytes, in decimal digits.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Always,
        apply: hash::length,
    },
    Transformation {
        name: "lowercase",
        aliases: &[],
        doc: "Makes ASCII letters lower case.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Range(b'A', b'Z'),
        apply: case::lowercase,
    },
    Transformation {
        name: "md5",
        aliases: &[],
        doc: "The MD5 digest, as 16 bytes. Use `t:md5,t:hexEncode` for digits.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Always,
        apply: hash::md5,
    },
    Transformation {
        name: "normalizePath",
        aliases: &["normalisePath"],
        doc: "Removes empty segments, `.`, and each `..` together with the segment before it; `..` at the root of an \
              absolute path is dropped, at the start of a relative one it stays. A slash at the start or end stays. \
              Unlike ModSecurity, a segment such as `admin..` is a name like any other and `/..` is `/`.",
        differs: &[unlike(V2_V3, "A segment such as `admin..` is a name; there it is a step upwards.")],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"/."),
        apply: path::normalize_path,
    },
    Transformation {
        name: "normalizePathWin",
        aliases: &["normalisePathWin"],
        doc: "As `normalizePath`, after making `/` of each backslash.",
        differs: &[unlike(V2_V3, "As with `normalizePath`.")],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"/.\\"),
        apply: path::normalize_path_win,
    },
    Transformation {
        name: "parityEven7bit",
        aliases: &[],
        doc: "Sets the highest bit of each byte that has an odd number of ones, and clears it in all others.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(parity::NOT_EVEN),
        apply: parity::parity_even,
    },
    Transformation {
        name: "parityOdd7bit",
        aliases: &[],
        doc: "Sets the highest bit of each byte that has an even number of ones, and clears it in all others.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(parity::NOT_ODD),
        apply: parity::parity_odd,
    },
    Transformation {
        name: "parityZero7bit",
        aliases: &[],
        doc: "Clears the highest bit of each byte.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Range(0x80, 0xff),
        apply: parity::parity_zero,
    },
    Transformation {
        name: "phpArgsNames",
        aliases: &[],
        doc: "The name under which PHP registers a request parameter: without leading spaces; space and dot, and a \
              `[` that is never closed, become `_` as far as the first `[`; after the last of the indices `[…][…]` the \
              rest is dropped, and `[ ]` is `[]`. A name that begins with `[` or `=` becomes empty.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b" .[="),
        apply: php::php_args_names,
    },
    Transformation {
        name: "removeComments",
        aliases: &[],
        doc: "Removes comments `/* … */` and `<!-- … -->`, of which either end ends both, and everything from `--` or \
              `#`. A comment without an end becomes a space; one that ends with the value leaves a NUL, as in \
              ModSecurity. Unlike there, a comment directly after another is removed as well.",
        differs: &[unlike(V2_V3, "A comment directly behind another is removed; there it stays.")],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"*-#"),
        apply: comments::remove_comments,
    },
    Transformation {
        name: "removeCommentsChar",
        aliases: &[],
        doc: "Removes the marks of comments, not what is between them: `/*`, `*/`, `<!--`, `-->`, `--`, `#`. The result \
              is not searched again.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"*-#"),
        apply: comments::remove_comments_char,
    },
    Transformation {
        name: "removeNulls",
        aliases: &[],
        doc: "Removes NUL bytes.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"\0"),
        apply: nulls::remove_nulls,
    },
    Transformation {
        name: "removeWhitespace",
        aliases: &[],
        doc: "Removes white space: space, tab, line feed, vertical tab, form feed, carriage return, and the bytes `A0` and \
              `C2` of which the no-break space is made.",
        differs: &[unlike(CORAZA, "There white space is what Unicode takes for it.")],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(whitespace::SPACE_AND_NBSP),
        apply: whitespace::remove_whitespace,
    },
    Transformation {
        name: "replaceComments",
        aliases: &[],
        doc: "Replaces each comment `/* … */` by a space, one without an end as well. `*/` on its own stays.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"*"),
        apply: comments::replace_comments,
    },
    Transformation {
        name: "replaceNulls",
        aliases: &[],
        doc: "Replaces NUL bytes by spaces.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::AnyOf(b"\0"),
        apply: nulls::replace_nulls,
    },
    Transformation {
        name: "sha1",
        aliases: &[],
        doc: "The SHA-1 digest, as 20 bytes. Use `t:sha1,t:hexEncode` for digits.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Always,
        apply: hash::sha1,
    },
    Transformation {
        name: "sqlHexDecode",
        aliases: &[],
        doc: "Replaces hexadecimal literals of SQL, `0x` and at least two digits, by their bytes; an odd last digit \
              stays.",
        differs: &[],
        decodes: Decodes::Once(Decoding::HEX),
        trigger: Trigger::AnyOf(b"xX"),
        apply: hex::sql_hex_decode,
    },
    Transformation {
        name: "trim",
        aliases: &[],
        doc: "Removes white space at both ends.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(whitespace::SPACE),
        apply: whitespace::trim,
    },
    Transformation {
        name: "trimLeft",
        aliases: &[],
        doc: "Removes white space at the start.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(whitespace::SPACE),
        apply: whitespace::trim_left,
    },
    Transformation {
        name: "trimRight",
        aliases: &[],
        doc: "Removes white space at the end.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(whitespace::SPACE),
        apply: whitespace::trim_right,
    },
    Transformation {
        name: "uppercase",
        aliases: &[],
        doc: "Makes ASCII letters upper case.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::Range(b'a', b'z'),
        apply: case::uppercase,
    },
    Transformation {
        name: "urlDecode",
        aliases: &[],
        doc: "Decodes `%HH` and makes spaces of `+`. A percent sign without two hexadecimal digits stays.",
        differs: &[],
        decodes: Decodes::Once(Decoding::URL),
        trigger: Trigger::AnyOf(b"%+"),
        apply: url::url_decode,
    },
    Transformation {
        name: "urlDecodeUni",
        aliases: &[],
        doc: "As `urlDecode`, and decodes IIS's `%uHHHH`: to the byte that the code page of `SecUnicodeMapFile` gives; \
              without one, to ASCII for its full-width forms U+FF01 to U+FF5E and else to the low byte.",
        differs: &[],
        decodes: Decodes::Once(Decoding::URL),
        trigger: Trigger::AnyOf(b"%+"),
        apply: url::url_decode_uni,
    },
    Transformation {
        name: "urlEncode",
        aliases: &[],
        doc: "Makes `+` of spaces and `%hh` of every other byte that is not an ASCII letter, a digit or `*`.",
        differs: &[],
        decodes: Decodes::Nothing,
        trigger: Trigger::In(url::ENCODED),
        apply: url::url_encode,
    },
    Transformation {
        name: "utf8toUnicode",
        aliases: &[],
        doc: "Writes each UTF-8 sequence as `%uhhhh`, with as many digits as it needs. A byte that begins a sequence \
              which does not follow is left out; other bytes that are not UTF-8 stay. Overlong forms and surrogates \
              are written so and followed by their first byte. ModSecurity also loses NUL bytes here; this keeps \
              them, for `removeNulls` or a rule that looks for them.",
        differs: &[unlike(V2_V3, "NUL bytes stay; there they are lost.")],
        decodes: Decodes::Nothing,
        trigger: Trigger::Range(0x80, 0xff),
        apply: utf8::utf8_to_unicode,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_mean_one_row_each() {
        let names: Vec<String> = all().iter().map(|t| t.name.to_ascii_lowercase()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for (row, t) in all().iter().enumerate() {
            for name in t.aliases.iter().copied().chain([t.name]) {
                for spelling in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                    assert_eq!(find(&spelling).map(|id| usize::from(id.0)), Some(row), "{spelling}");
                }
            }
            assert!(t.doc.ends_with('.'), "{}", t.name);
        }
        assert_eq!(find("none"), None);
        assert_eq!(find("no_such"), None);
    }
}
