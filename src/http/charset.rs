//! Character sets of bodies: which one it is, and the text as UTF-8 for those that ASCII patterns cannot read.
//!
//! Rules look for ASCII bytes. UTF-8, ISO 8859 and the Windows code pages have them where ASCII has them and pass
//! unchanged; UTF-16, UTF-32 and the stateful encodings hide them.

use encoding_rs::Encoding;
use std::borrow::Cow;

/// How a body's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// ASCII bytes stand for themselves: rules can read the body as it is.
    AsciiCompatible,
    /// An encoding that must be decoded first.
    Encoded(&'static Encoding),
    /// UTF-7: looks like ASCII and is not. Nobody but an attacker sends it; it is recognised, never decoded.
    Utf7,
    /// UTF-32, recognised by its byte order mark, never decoded: no browser or server library accepts it.
    Utf32,
    /// A label that the WHATWG Encoding Standard does not know.
    Unknown,
}

impl Charset {
    /// What a `charset` parameter means.
    pub fn from_label(label: &[u8]) -> Self {
        let label = label.trim_ascii();
        let bare: Vec<u8> =
            label.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
        if matches!(bare.as_slice(), b"utf7" | b"unicode11utf7" | b"csunicode11utf7" | b"xunicode20utf7") {
            return Charset::Utf7;
        }
        if bare.starts_with(b"utf32") || bare == b"ucs4" || bare == b"iso10646ucs4" {
            return Charset::Utf32;
        }
        match Encoding::for_label(label) {
            None => Charset::Unknown,
            Some(e) if e == encoding_rs::UTF_16LE || e == encoding_rs::UTF_16BE => Charset::Encoded(e),
            // ISO-2022-JP switches away from ASCII by escape sequences.
            Some(e) if e == encoding_rs::ISO_2022_JP => Charset::Encoded(e),
            Some(_) => Charset::AsciiCompatible,
        }
    }

    /// What a body's first bytes say: a byte order mark, or the zeros of UTF-16 text that begins with ASCII.
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [0, 0, 0xFE, 0xFF, ..] | [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0, 1..=0x7F, ..] => Some(Charset::Utf32),
            [1..=0x7F, 0, 0, 0, ..] => Some(Charset::Utf32),
            [0xFE, 0xFF, ..] | [0, 1..=0x7F, 0, 1..=0x7F, ..] => {
                Some(Charset::Encoded(encoding_rs::UTF_16BE))
            }
            [0xFF, 0xFE, ..] | [1..=0x7F, 0, 1..=0x7F, 0, ..] => {
                Some(Charset::Encoded(encoding_rs::UTF_16LE))
            }
            [b'+', b'/', b'v', b'8' | b'9' | b'+' | b'/', ..] => Some(Charset::Utf7),
            [0xEF, 0xBB, 0xBF, ..] => Some(Charset::AsciiCompatible),
            _ => None,
        }
    }

    /// The text with ASCII where rules expect it: unchanged, or decoded to UTF-8 with U+FFFD for what is invalid.
    /// `None` for those that are recognised but never decoded.
    pub fn to_readable(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Charset::AsciiCompatible => Some(Cow::Borrowed(body)),
            Charset::Encoded(encoding) => {
                let (text, _) = encoding.decode_with_bom_removal(body);
                Some(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                })
            }
            Charset::Utf7 | Charset::Utf32 | Charset::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_first_bytes() {
        assert_eq!(Charset::from_label(b"UTF-8"), Charset::AsciiCompatible);
        assert_eq!(Charset::from_label(b" windows-1252 "), Charset::AsciiCompatible);
        assert_eq!(Charset::from_label(b"utf-7"), Charset::Utf7);
        assert_eq!(Charset::from_label(b"klingon"), Charset::Unknown);
        assert_eq!(Charset::sniff(b"<\0?\0x"), Some(Charset::Encoded(encoding_rs::UTF_16LE)));
        assert_eq!(Charset::sniff(b"a=b"), None);
        let utf16 = Charset::from_label(b"utf-16be");
        assert_eq!(utf16.to_readable(b"\0<\0a").as_deref(), Some(&b"<a"[..]));
        assert_eq!(Charset::Utf7.to_readable(b"+ADw-"), None);
    }
}
