//! Bytes as text that nothing is lost in.
//!
//! JSON strings are Unicode, and what attackers send is not. Bytes which are no UTF-8 are written `\xHH`; so that
//! nobody mistakes a client's own `\x41` for one of these, a backslash directly before an `x` is itself written
//! `\x5c`. Everything else stands as it came. Replacing every `\xHH` by its byte restores the original exactly.

use std::borrow::Cow;
use std::fmt::Write;

/// `bytes` as text.
pub fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly every text is as it should be.
    if let Ok(text) = std::str::from_utf8(bytes)
        && own_escape(text).is_none()
    {
        return text.into();
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escape_own(&mut out, chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.into()
}

/// The bytes that [`lossless`] was given.
pub fn restore(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let hex = match tail {
            [b'x', high, low, ..] if first == b'\\' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match hex {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// [`lossless`] of at most `limit` bytes, followed by how many are missing.
pub(super) fn bounded(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    match bytes.get(..limit) {
        Some(kept) if kept.len() < bytes.len() => {
            let mut text = lossless(kept).into_owned();
            let _ = write!(text, "…[{} more bytes]", bytes.len() - kept.len());
            text.into()
        }
        _ => lossless(bytes),
    }
}

/// Rule text's own words, which need no escape, cut to at most `limit` bytes.
pub(super) fn plain(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text.into();
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let (kept, more) = text.split_at(end);
    format!("{kept}…[{} more bytes]", more.len()).into()
}

fn escape_own(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = own_escape(rest) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str("\\x5c");
        rest = after.get(1..).unwrap_or("");
    }
    out.push_str(rest);
}

fn own_escape(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\\', bytes).find(|at| bytes.get(at + 1) == Some(&b'x'))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_must_be_is_escaped() {
        assert_eq!(lossless("grüße \\n \u{0}".as_bytes()), "grüße \\n \u{0}");
        assert_eq!(lossless(b"a\xffb"), "a\\xffb");
        assert_eq!(lossless(b"\\xff \\\\x"), "\\x5cxff \\\\x5cx");
        assert_eq!(bounded(b"abcdef", 4), "abcd…[2 more bytes]");
        assert_eq!(bounded(b"abcd", 4), "abcd");
        assert_eq!(plain("\\xäää", 4), "\\xä…[4 more bytes]");
        assert_eq!(plain("äää", 6), "äää");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'x')], 0..64)) {
            prop_assert_eq!(restore(&lossless(&bytes)), bytes);
        }
    }
}
