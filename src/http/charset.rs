//! Character sets of bodies: which one it is, and the text as UTF-8 for those that ASCII patterns cannot read.
//!
//! Rules look for ASCII bytes. UTF-8, ISO 8859 and the Windows code pages have them where ASCII has them and pass
//! unchanged; UTF-7, UTF-16, UTF-32 and the stateful encodings hide them.

use encoding_rs::Encoding;
use std::borrow::Cow;

/// How a body's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// ASCII bytes stand for themselves: rules can read the body as it is.
    AsciiCompatible,
    /// An encoding that must be decoded first.
    Encoded(&'static Encoding),
    /// UTF-7 (RFC 2152): looks like ASCII and is not.
    Utf7,
    /// UTF-32, most significant byte first.
    Utf32Be,
    /// UTF-32, least significant byte first.
    Utf32Le,
    /// Known to some recipients, and ASCII bytes do not stand for themselves in it: EBCDIC, stateful and compressing
    /// encodings. Not decoded.
    Unreadable,
    /// A label that names nothing.
    Unknown,
}

impl Charset {
    /// What a `charset` parameter means.
    pub fn from_label(label: &[u8]) -> Self {
        let label = label.trim_ascii();
        let bare: Vec<u8> =
            label.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
        let bare = ["x", "cs"].iter().find_map(|p| bare.strip_prefix(p.as_bytes())).unwrap_or(&bare);
        match bare {
            b"utf7" | b"unicode11utf7" | b"unicode20utf7" | b"unicode2utf7" | b"cp65000" => {
                return Charset::Utf7;
            }
            b"utf32" | b"utf32be" | b"ucs4" | b"ucs4be" | b"iso10646ucs4" | b"utf32bebom" => {
                return Charset::Utf32Be;
            }
            b"utf32le" | b"ucs4le" | b"utf32lebom" => return Charset::Utf32Le,
            b"utf16bom" | b"utf16lebom" | b"unicodelittle" | b"unicodelittleunmarked" => {
                return Charset::Encoded(encoding_rs::UTF_16LE);
            }
            b"utf16bebom" | b"unicodebig" | b"unicodebigunmarked" => {
                return Charset::Encoded(encoding_rs::UTF_16BE);
            }
            _ => {}
        }
        match Encoding::for_label(label) {
            Some(e) if e == encoding_rs::UTF_16LE || e == encoding_rs::UTF_16BE => Charset::Encoded(e),
            // ISO-2022-JP switches away from ASCII by escape sequences.
            Some(e) if e == encoding_rs::ISO_2022_JP => Charset::Encoded(e),
            // What browsers refuse to decode, since it can hide ASCII: HZ, ISO-2022-KR and -CN.
            Some(e) if e == encoding_rs::REPLACEMENT => Charset::Unreadable,
            Some(_) => Charset::AsciiCompatible,
            None if hides_ascii(bare) => Charset::Unreadable,
            None => Charset::Unknown,
        }
    }

    /// What a body's first bytes say: a byte order mark, or the zeros of UTF-16 text that begins with ASCII.
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match start {
            [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=0x7F, ..] => Some(Charset::Utf32Be),
            [0xFF, 0xFE, 0, 0, ..] | [1..=0x7F, 0, 0, 0, ..] => Some(Charset::Utf32Le),
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

    /// The text with ASCII where rules expect it: unchanged, or decoded to UTF-8 with U+FFFD for what is invalid and
    /// without its byte order mark. `None` for those that are not decoded.
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
            Charset::Utf7 => Some(Cow::Owned(decode_utf7(body))),
            Charset::Utf32Be => Some(Cow::Owned(decode_utf32(body, u32::from_be_bytes))),
            Charset::Utf32Le => Some(Cow::Owned(decode_utf32(body, u32::from_le_bytes))),
            Charset::Unreadable | Charset::Unknown => None,
        }
    }

    /// Every text that recipients may make of `body` beside its bytes as they are. Of UTF-16 and UTF-32 these are
    /// both byte orders: recipients differ in which one they take where no mark tells, and in whether they mind one.
    pub fn readings(self, body: &[u8]) -> Vec<Vec<u8>> {
        let orders: &[Charset] = match self {
            Charset::AsciiCompatible | Charset::Unreadable | Charset::Unknown => &[],
            Charset::Encoded(e) if e == encoding_rs::UTF_16LE || e == encoding_rs::UTF_16BE => &UTF_16,
            Charset::Utf32Be | Charset::Utf32Le => &[Charset::Utf32Be, Charset::Utf32Le],
            Charset::Encoded(_) | Charset::Utf7 => &[self],
        };
        orders.iter().filter_map(|c| c.to_readable(body)).map(Cow::into_owned).collect()
    }
}

const UTF_16: [Charset; 2] =
    [Charset::Encoded(encoding_rs::UTF_16LE), Charset::Encoded(encoding_rs::UTF_16BE)];

/// Whether a label, in lower case and without punctuation and the prefixes `x` and `cs`, is one that Java, .NET, ICU
/// or Python know for an encoding in which ASCII bytes may mean something else.
fn hides_ascii(bare: &[u8]) -> bool {
    const NAMES: [&str; 8] = ["ebcdic", "utf", "scsu", "bocu", "hz", "iso2022", "jef", "unicode"];
    if NAMES.iter().any(|name| bare.starts_with(name.as_bytes())) {
        // What PHP's and MySQL's users write for UTF-8.
        return !bare.starts_with(b"utf8");
    }
    // Code pages by number: IBM's of mainframes are EBCDIC, those of PCs and of Windows are ASCII with a second half.
    let number = ["ibm", "cp", "ccsid", "ms", "windows"].iter().find_map(|p| bare.strip_prefix(p.as_bytes()));
    let digits = number.unwrap_or(bare);
    let digits = digits.strip_prefix(b"0").unwrap_or(digits);
    match std::str::from_utf8(digits).ok().and_then(|d| d.parse::<u32>().ok()) {
        Some(page) => !ASCII_PAGES.contains(&page) && !(1250..=1258).contains(&page),
        None => false,
    }
}

/// Code pages whose first half is ASCII, and that the WHATWG Encoding Standard does not know by these names.
const ASCII_PAGES: [u32; 40] = [
    367, 437, 708, 709, 710, 720, 737, 775, 813, 819, 850, 852, 855, 856, 857, 858, 860, 861, 862, 863, 864,
    865, 866, 867, 868, 869, 874, 878, 912, 915, 916, 920, 932, 936, 943, 949, 950, 1006, 1208, 65001,
];

/// RFC 2152, read as laxly as recipients do: any run of base64 digits behind a `+`, ended by whatever follows.
fn decode_utf7(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'+', rest) {
        let (plain, shifted) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = shifted.get(1..).unwrap_or_default();
        let mut units = Vec::new();
        let (mut bits, mut count, mut digits) = (0_u32, 0_u32, 0_usize);
        for value in rest.iter().map_while(|b| base64_value(*b)) {
            digits += 1;
            bits = bits << 6 | value;
            count += 6;
            if count >= 16 {
                count -= 16;
                // The mask leaves sixteen bits.
                units.push(u16::try_from(bits >> count & 0xFFFF).unwrap_or_default());
            }
        }
        rest = rest.get(digits..).unwrap_or_default();
        let is_closed = rest.first() == Some(&b'-');
        if is_closed {
            rest = rest.get(1..).unwrap_or_default();
        }
        if digits == 0 {
            out.push(b'+');
        }
        out.extend_from_slice(String::from_utf16_lossy(&units).as_bytes());
    }
    out.extend_from_slice(rest);
    out
}

fn base64_value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

fn decode_utf32(body: &[u8], unit: impl Fn([u8; 4]) -> u32) -> Vec<u8> {
    let mut text = String::with_capacity(body.len() / 4);
    let (units, rest) = body.as_chunks::<4>();
    text.extend(units.iter().map(|u| char::from_u32(unit(*u)).unwrap_or(char::REPLACEMENT_CHARACTER)));
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text).into_bytes()
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
        for label in
            ["ibm037", "IBM01140", "cp1047", "ebcdic-cp-us", "hz-gb-2312", "utf-1", "x-UTF-16LE-BOMX", "500"]
        {
            assert_eq!(Charset::from_label(label.as_bytes()), Charset::Unreadable, "{label}");
        }
        for label in ["utf8mb4", "cp850", "IBM437", "undefined", "", "windows-1258", "ibm-1208"] {
            let charset = Charset::from_label(label.as_bytes());
            assert!(matches!(charset, Charset::Unknown | Charset::AsciiCompatible), "{label}");
        }
    }

    #[test]
    fn texts_of_rare_encodings() {
        let read = |charset: Charset, body: &[u8]| {
            charset.to_readable(body).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        for (body, text) in [
            (&b"+ADw-a+AD4AIQ!+-+-b"[..], "<a>!!++b"),
            (b"1 +- 1+2D3eBA-+2D0-+", "1 + 1\u{1F604}\u{FFFD}+"),
            (b"+ADw", "<"),
            (b"+A", ""),
            (b"", ""),
        ] {
            assert_eq!(read(Charset::Utf7, body).as_deref(), Some(text));
        }
        assert_eq!(
            read(Charset::Utf32Be, b"\0\0\0<\0\x01\xF6\0\x7F\xFF\xFF\xFFx").as_deref(),
            Some("<\u{1F600}\u{FFFD}\u{FFFD}")
        );
        assert_eq!(read(Charset::Utf32Le, b"\xFF\xFE\0\0<\0\0\0").as_deref(), Some("<"));
        assert_eq!(read(Charset::Unreadable, b"a"), None);
        let readings = Charset::Encoded(encoding_rs::UTF_16LE).readings(b"\0a");
        assert!(readings.contains(&b"a".to_vec()) && readings.len() == 2);
        assert!(Charset::AsciiCompatible.readings(b"a").is_empty());
    }
}
