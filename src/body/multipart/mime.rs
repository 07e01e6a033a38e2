//! What MIME does to a part's content and to names, for recipients that undo it: RFC 7578 §4.7 deprecates
//! `Content-Transfer-Encoding`, and RFC 2047 has no place in parameters, but libraries go on decoding both.

use crate::http::Charset;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A part's `Content-Transfer-Encoding` (RFC 2045 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    /// None, `7bit`, `8bit`, `binary`: the content is what it is.
    Plain,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// Any other, which somebody may know.
    Unknown,
}

impl TransferEncoding {
    /// What the header's value says.
    pub(super) fn from_header(value: &[u8]) -> Self {
        let word = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match word.as_slice() {
            b"" | b"7bit" | b"8bit" | b"binary" => Self::Plain,
            b"base64" => Self::Base64,
            b"quoted-printable" => Self::QuotedPrintable,
            _ => Self::Unknown,
        }
    }

    /// The content that a recipient which knows the encoding gets; `None` when it is the same.
    pub(super) fn decode(self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Plain | Self::Unknown => None,
            Self::Base64 => Some(decode_base64(content)),
            Self::QuotedPrintable => Some(decode_quoted_printable(content)),
        }
    }
}

/// `text` with its encoded words (RFC 2047) decoded; `None` when there is none in it.
pub(super) fn decode_words(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut found = false;
    for _ in 0..MAX_WORDS {
        let Some(at) = memchr::memmem::find(rest, b"=?") else { break };
        let (plain, word) = rest.split_at(at);
        match decode_word(word) {
            Some((decoded, after)) => {
                // White space between two encoded words belongs to neither (§6.2).
                if !(found && plain.trim_ascii().is_empty()) {
                    out.extend_from_slice(plain);
                }
                out.extend_from_slice(&decoded);
                rest = after;
                found = true;
            }
            None => {
                out.extend_from_slice(plain);
                out.extend_from_slice(b"=?");
                rest = word.get(2..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
    found.then_some(out)
}

/// `=?charset?encoding?text?=` at the beginning of `input`: its text and what follows. A word has 75 bytes at most by
/// RFC 2047 §2; recipients take longer ones, and so does this, within bounds that keep the search for its end linear.
fn decode_word(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let window = input.get(..input.len().min(MAX_WORD))?;
    let mut marks = memchr::memchr_iter(b'?', window).skip(1);
    let (charset_end, encoding_end) = (marks.next()?, marks.next()?);
    let charset = window.get(2..charset_end)?;
    let encoding = window.get(charset_end + 1..encoding_end)?;
    let text = window.get(encoding_end + 1..)?;
    let end = memchr::memmem::find(text, b"?=")?;
    let text = text.get(..end)?;
    let bytes = match encoding {
        b"b" | b"B" => decode_base64(text),
        b"q" | b"Q" => {
            let spaced: Vec<u8> = text.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            decode_quoted_printable(&spaced)
        }
        _ => return None,
    };
    let label = charset.split(|b| *b == b'*').next().unwrap_or_default();
    let decoded = Charset::from_label(label).to_readable(&bytes).map(std::borrow::Cow::into_owned);
    Some((decoded.unwrap_or(bytes), input.get(encoding_end + 1 + end + 2..)?))
}

/// As lax decoders do: what is no digit is skipped, and padding ends nothing that follows it.
fn decode_base64(content: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> =
        content.iter().copied().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).collect();
    // One digit too many holds no whole byte.
    let whole = digits.get(..digits.len() - usize::from(digits.len() % 4 == 1)).unwrap_or_default();
    LAX.decode(whole).unwrap_or_default()
}

const LAX: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// RFC 2045 §6.7: `=HH` is a byte, `=` at a line's end joins two lines; any other `=` stays.
fn decode_quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match tail {
            [_, b'\r', b'\n', after @ ..] | [_, b'\n', after @ ..] => after,
            [_, high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
                // Two hexadecimal digits fit a byte.
                out.push(u8::try_from(value(*high) << 4 | value(*low)).unwrap_or_default());
                after
            }
            [equals, after @ ..] => {
                out.push(*equals);
                after
            }
            [] => &[],
        };
    }
    out.extend_from_slice(rest);
    out
}

/// Encoded words, and what looks like the beginning of one, in one text.
const MAX_WORDS: usize = 256;
/// Bytes of one encoded word that are looked at.
const MAX_WORD: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_encodings() {
        let decode = |header: &str, content: &str| {
            TransferEncoding::from_header(header.as_bytes())
                .decode(content.as_bytes())
                .map(|d| String::from_utf8_lossy(&d).into_owned())
        };
        for (header, content, expected) in [
            ("base64", "PGI+", Some("<b>")),
            (" BASE64 ; x", "P G\r\nI=-+", Some("<b>")),
            ("base64", "P", Some("")),
            ("base64", "PG", Some("<")),
            ("Quoted-Printable", "=3Cb=\r\n>=3=", Some("<b>=3=")),
            ("8bit", "=3C", None),
            ("x-uuencode", "a", None),
        ] {
            assert_eq!(decode(header, content).as_deref(), expected, "{header} {content}");
        }
        assert_eq!(TransferEncoding::from_header(b"x-uuencode"), TransferEncoding::Unknown);
    }

    #[test]
    fn encoded_words() {
        for (text, expected) in [
            ("=?utf-8?B?PD9waHA=?=", Some("<?php")),
            ("a =?UTF-8*en?q?=3C=3Fphp_x?= b", Some("a <?php x b")),
            ("=?utf-7?Q?+ADw-?= =?utf-8?q?b?=", Some("<b")),
            ("=?utf-8?x?b?=", None),
            ("=?a?q?b", None),
            ("=?=?utf-8?q?b?=", Some("=?b")),
            ("a.php", None),
        ] {
            let decoded = decode_words(text.as_bytes()).map(|d| String::from_utf8_lossy(&d).into_owned());
            assert_eq!(decoded.as_deref(), expected, "{text}");
        }
    }
}
