//! JSON documents → arguments, named as ModSecurity v3 names them.
//!
//! `{"a": {"b": [1, {"c": null}]}}` gives `json.a.b.array_0` = `1`, `json.a.b.array_1.c` = `` and, as Coraza does,
//! the list itself with its length, `json.a.b` = `2`. Every pair is kept, in order, whether its key has been there before
//! or differs from another in case only. Numbers are given as they were written.
//!
//! The document is kept whole until its end, which the proxy does with the body anyway, and read in one go.
//! What has been read before an error stays.

use super::buffer::Buffer;
use super::{BodyLimits, LimitHit, ParsedBody};
use crate::limits;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;
use std::fmt;

/// A parser of one JSON body.
#[derive(Debug)]
pub(super) struct JsonParser {
    limits: BodyLimits,
    buffer: Buffer,
}

impl JsonParser {
    pub(super) fn new(limits: &BodyLimits) -> Self {
        Self { limits: limits.clone(), buffer: Buffer::new(limits.buffer) }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.buffer.held()
    }

    /// Bytes of the document so far.
    pub(super) fn text(&self) -> u64 {
        self.buffer.length()
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.feed(chunk);
    }

    pub(super) fn finish(self) -> ParsedBody {
        let mut out = ParsedBody { no_files_length: self.buffer.length(), ..ParsedBody::default() };
        // v3 does not complain about an empty body either.
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            return out;
        }
        // RFC 8259 §8.1 lets recipients ignore a mark, and whoever does not refuses the document.
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        out.args.reserve(0, text.len());
        let mut sink = Sink {
            depth_limit: self.limits.json_depth.min(limits::JSON_DEPTH_MAX),
            arguments: self.limits.arguments,
            // Each leaf repeats the names above it: a long name above many leaves would grow out of proportion.
            bytes: limits::ARGUMENT_BYTES_BASE.saturating_add(limits::ARGUMENT_BYTES_FACTOR * bytes.len()),
            path: b"json".to_vec(),
            depth: 0,
            exponents: Exponents { buffer: text, at: 0 },
            out: &mut out,
        };
        // Asked once for the whole, whether the text is UTF-8 costs less than for each of its strings. When it is not,
        // the reader says where, after what comes before.
        let read = match std::str::from_utf8(text) {
            Ok(text) => sink.read(serde_json::Deserializer::from_str(text)),
            Err(_) => sink.read(serde_json::Deserializer::from_slice(text)),
        };
        if self.buffer.is_cut() {
            out.hit(LimitHit::Buffer);
            out.error = Some(format!("JSON parsing error: more than {} bytes", self.limits.buffer));
        } else if let Err(error) = read {
            out.error = Some(format!("JSON parsing error: {error}"));
        }
        out
    }
}

struct Sink<'a> {
    depth_limit: usize,
    arguments: usize,
    bytes: usize,
    path: Vec<u8>,
    depth: usize,
    exponents: Exponents<'a>,
    out: &'a mut ParsedBody,
}

/// Numbers with exponents as the document writes them, in order. The reader gives every other number as it stands,
/// but `1E3` as `1e+3`.
struct Exponents<'a> {
    buffer: &'a [u8],
    at: usize,
}

impl<'a> Exponents<'a> {
    /// The next one, if it is what the reader gave as `number`.
    fn written(&mut self, number: &[u8]) -> Option<&'a [u8]> {
        while let Some(&byte) = self.buffer.get(self.at) {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            match byte {
                b'"' => self.at += string_length(rest),
                b'-' | b'0'..=b'9' => {
                    let is_number = |b: &u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                    let length = rest.iter().take_while(|b| is_number(b)).count();
                    self.at += length;
                    let written = rest.get(..length).unwrap_or_default();
                    if written.iter().any(|b| matches!(b, b'e' | b'E')) {
                        let plain =
                            |n: &[u8]| n.iter().filter(|b| **b != b'+').map(u8::to_ascii_lowercase).collect();
                        let (a, b): (Vec<u8>, Vec<u8>) = (plain(written), plain(number));
                        return (a == b).then_some(written);
                    }
                }
                _ => self.at += 1,
            }
        }
        None
    }
}

/// Bytes of the string that begins `input`, with its quotes.
fn string_length(input: &[u8]) -> usize {
    let mut at = 1;
    while let Some(step) = input.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += step;
        if input.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    input.len()
}

impl Sink<'_> {
    fn read<'de, R: Read<'de>>(
        &mut self,
        mut deserializer: serde_json::Deserializer<R>,
    ) -> serde_json::Result<()> {
        deserializer.disable_recursion_limit();
        Leaf(self).deserialize(&mut deserializer)?;
        deserializer.end()
    }

    fn leaf<E: Error>(&mut self, value: &[u8]) -> Result<(), E> {
        let size = self.out.args.combined_size().saturating_add(self.path.len()).saturating_add(value.len());
        if self.out.args.len() >= self.arguments
            || size > self.bytes
            || !self.out.args.push(&self.path, value)
        {
            self.out.hit(LimitHit::Arguments);
            return Err(E::custom("too many arguments"));
        }
        Ok(())
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.depth_limit {
            self.out.hit(LimitHit::Depth);
            return Err(E::custom("parsing depth limit exceeded"));
        }
        Ok(())
    }
}

/// A number in decimal digits, without an allocation.
struct Digits {
    text: [u8; 20],
    start: usize,
}

impl Digits {
    fn new(mut number: u64) -> Self {
        let mut digits = Self { text: [b'0'; 20], start: 20 };
        for (at, slot) in digits.text.iter_mut().enumerate().rev() {
            *slot += (number % 10) as u8;
            digits.start = at;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        digits
    }

    fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

/// Reads a value into the arguments under the sink's current path.
struct Leaf<'s, 'a>(&'s mut Sink<'a>);

/// How `serde_json` presents a number of arbitrary precision: a map of this one key to the number's text. A document
/// that has this key itself is told apart by nothing, and needs not be: its value is an argument either way.
const NUMBER: &str = "$serde_json::private::Number";

impl<'de> DeserializeSeed<'de> for Leaf<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.leaf(if value { b"true" } else { b"false" })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.leaf(b"")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.leaf(value.as_bytes())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.leaf(Digits::new(value).as_bytes())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.leaf(value.to_string().as_bytes())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.leaf(value.to_string().as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let sink = self.0;
        sink.enter()?;
        let length = sink.path.len();
        for index in 0_u64.. {
            sink.path.extend_from_slice(b".array_");
            sink.path.extend_from_slice(Digits::new(index).as_bytes());
            let item = items.next_element_seed(Leaf(sink))?;
            sink.path.truncate(length);
            if item.is_none() {
                // The list itself, with its length, as Coraza has it: rules that look for the end of a name
                // (`__in$`) see it whether its value is a list or not.
                sink.leaf(Digits::new(index).as_bytes())?;
                break;
            }
        }
        sink.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let sink = self.0;
        let length = sink.path.len();
        let mut is_object = false;
        while let Some(key) = pairs.next_key_seed(Key)? {
            let is_number = !is_object && key == NUMBER;
            if !is_object && !is_number {
                sink.enter()?;
            }
            if !is_number {
                is_object = true;
                sink.path.push(b'.');
                // v3's name for the key that has none.
                sink.path.extend_from_slice(if key.is_empty() { b"empty-key" } else { key.as_bytes() });
            }
            if is_number {
                pairs.next_value_seed(Number(sink))?;
            } else {
                pairs.next_value_seed(Leaf(sink))?;
            }
            sink.path.truncate(length);
        }
        if is_object {
            sink.depth -= 1;
        }
        Ok(())
    }
}

/// Reads what [`NUMBER`] stands before.
struct Number<'s, 'a>(&'s mut Sink<'a>);

impl<'de> DeserializeSeed<'de> for Number<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let written = match value.contains('e') {
            true => self.0.exponents.written(value.as_bytes()),
            false => None,
        };
        self.0.leaf(written.unwrap_or(value.as_bytes()))
    }

    // What follows is no number but a document that uses the reader's name for one.

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        Leaf(self.0).visit_bool(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Leaf(self.0).visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        Leaf(self.0).visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<(), A::Error> {
        Leaf(self.0).visit_map(pairs)
    }
}

/// Reads a key without a copy where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = std::borrow::Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(key.into())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(key.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
