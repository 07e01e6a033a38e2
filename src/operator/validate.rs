//! Encodings: `@validateByteRange`, `@validateUrlEncoding`, `@validateUtf8Encoding`. They match what is wrong.

use super::contract::{BuildError, Built, Found, Lookup, Operator, Outcome, Resources};
use crate::transform::ByteSet;
use std::ops::Range;
use std::sync::Arc;

/// `@validateByteRange 9,10,13,32-126`.
pub(super) fn byte_range(argument: Option<&str>, _: &dyn Resources) -> Built {
    let argument = argument.unwrap_or_default();
    let mut allowed = [false; 256];
    let mut at = 0;
    for entry in argument.split(',') {
        let refuse = |message: String| BuildError {
            message,
            help: Some("write bytes and ranges between 0 and 255, such as 9,10,32-126".to_owned()),
            at: Some(at..at + entry.len()),
        };
        let byte = |text: &str| {
            let text = text.trim();
            text.parse::<u8>().map_err(|_| refuse(format!("`{text}` is not a byte's number")))
        };
        let (low, high) = match entry.split_once('-') {
            Some((low, high)) => (byte(low)?, byte(high)?),
            None => {
                let only = byte(entry)?;
                (only, only)
            }
        };
        if high < low {
            return Err(refuse(format!("the range {low}-{high} is in the wrong order")));
        }
        (low..=high).for_each(|b| allowed[usize::from(b)] = true);
        at += entry.len() + 1;
    }
    Ok(Arc::new(ByteRange { allowed: Box::new(allowed) }))
}

/// `@validateUrlEncoding`.
pub(super) fn url_encoding(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Encoding { wrong: wrong_url_encoding, needs: ByteSet::of(b"%") }))
}

/// `@validateUtf8Encoding`.
pub(super) fn utf8_encoding(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Encoding { wrong: wrong_utf8, needs: ByteSet::range(0x80, 0xff) }))
}

#[derive(Debug)]
struct ByteRange {
    allowed: Box<[bool; 256]>,
}

impl Operator for ByteRange {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let first = input.iter().position(|b| !self.allowed[usize::from(*b)]);
        found.matched = first.map(|at| at..at + 1);
        first.is_some().into()
    }

    fn needs(&self) -> Option<ByteSet> {
        let refused = (0..=u8::MAX).filter(|b| !self.allowed[usize::from(*b)]);
        Some(refused.fold(ByteSet::EMPTY, |set, b| set.union(ByteSet::range(b, b))))
    }
}

#[derive(Debug)]
struct Encoding {
    /// The first piece that is wrong.
    wrong: fn(&[u8]) -> Option<Range<usize>>,
    /// The bytes without which nothing is wrong.
    needs: ByteSet,
}

impl Operator for Encoding {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        found.matched = (self.wrong)(input);
        found.matched.is_some().into()
    }

    fn needs(&self) -> Option<ByteSet> {
        Some(self.needs)
    }
}

/// A percent sign without two hexadecimal digits: others follow it, or the input ends.
fn wrong_url_encoding(input: &[u8]) -> Option<Range<usize>> {
    let hexadecimal = |at: usize| input.get(at).is_some_and(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', input)
        .find(|at| !(hexadecimal(at + 1) && hexadecimal(at + 2)))
        .map(|at| at..(at + 3).min(input.len()))
}

/// The first sequence that is not UTF-8 by RFC 3629: an invalid byte, a missing one, an overlong form, a
/// surrogate, or a code point above U+10FFFF.
fn wrong_utf8(input: &[u8]) -> Option<Range<usize>> {
    if input.is_ascii() {
        return None;
    }
    let error = std::str::from_utf8(input).err()?;
    let at = error.valid_up_to();
    Some(at..error.error_len().map_or(input.len(), |length| at + length))
}
