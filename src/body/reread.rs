//! Bodies in character sets that hide ASCII are read a second time, as recipients read them that decode first.
//!
//! A recipient may ignore the label, decode the whole body by it and then parse, or parse and decode each name and
//! value. Nobody can know which, so rules see all of it: the arguments as the bytes say, and behind them those that
//! decoding adds. A label that hides ASCII and is not decoded here is an error of the body.

use super::parser::Inner;
use super::{BodyLimits, LimitHit, ParsedBody, Processor};
use crate::http::{Charset, MediaType, Pairs};
use std::collections::HashSet;

/// What decoding may add to a body.
#[derive(Debug)]
pub(super) struct Reread {
    processor: Processor,
    limits: BodyLimits,
    content_type: Vec<u8>,
    /// What `Content-Type` names.
    labels: Vec<Charset>,
    kept: Vec<u8>,
    keep: Keep,
}

/// Whether the body is kept for a second reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// Its first bytes will tell.
    Undecided,
    Yes,
    No,
}

impl Reread {
    pub(super) fn new(processor: Processor, limits: &BodyLimits, content_type: &[u8]) -> Self {
        let labels = charsets(content_type);
        let keep = match processor {
            // XML says itself what it is in, and `Raw` is never parsed.
            Processor::Xml | Processor::Raw => Keep::No,
            _ if labels.iter().any(|c| hides(*c)) => Keep::Yes,
            _ => Keep::Undecided,
        };
        Self {
            processor,
            limits: limits.clone(),
            content_type: content_type.to_vec(),
            labels,
            kept: Vec::new(),
            keep,
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        if self.keep == Keep::No {
            return;
        }
        let room = self.limits.buffer.saturating_sub(self.kept.len()).min(chunk.len());
        let room = if self.keep == Keep::Undecided { room.min(SNIFFED) } else { room };
        let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        self.kept.extend_from_slice(now);
        if self.keep == Keep::Undecided && self.kept.len() >= SNIFFED {
            self.keep = match Charset::sniff(&self.kept) {
                Some(charset) if hides(charset) => Keep::Yes,
                _ => Keep::No,
            };
            self.feed(later);
        }
    }

    /// Adds to `out` what other readings of the body hold.
    pub(super) fn finish(mut self, out: &mut ParsedBody) {
        if matches!(self.processor, Processor::Xml | Processor::Raw) {
            return;
        }
        let sniffed = Charset::sniff(&self.kept).filter(|c| hides(*c));
        let labels = self.labels.clone();
        // HTML's way of telling the server what a form is in, wherever it stands among the fields.
        let told = out.args.values(b"_charset_").take(MAX_CHARSETS).map(Charset::from_label);
        self.labels.extend(told.filter(|c| hides(*c)));
        decode_each(&self.labels, &self.limits, out);
        self.decode_whole(labels.into_iter().chain(sniffed), out);
        if self.labels.contains(&Charset::Unreadable) {
            out.error.get_or_insert_with(|| "the character set of the body cannot be read".to_owned());
        }
    }

    fn decode_whole(&self, charsets: impl Iterator<Item = Charset>, out: &mut ParsedBody) {
        let mut seen: Vec<Charset> = Vec::new();
        for charset in charsets {
            if seen.contains(&charset) {
                continue;
            }
            seen.push(charset);
            for text in charset.readings(&self.kept) {
                let mut parser = Inner::new(self.processor, &self.limits, &self.content_type);
                parser.feed(&text);
                // Only one of the readings is the right one; errors of the others say nothing.
                merge(out, parser.finish(), &self.limits);
            }
        }
    }
}

/// Every character set that a `Content-Type` names; a parameter may be repeated, or hold a list where two header
/// lines were joined.
pub(super) fn charsets(content_type: &[u8]) -> Vec<Charset> {
    MediaType::parse(content_type)
        .params
        .iter()
        .filter(|(name, _)| name == b"charset")
        .flat_map(|(_, value)| value.split(|b| *b == b','))
        .take(MAX_CHARSETS)
        .map(Charset::from_label)
        .filter(|c| hides(*c))
        .collect()
}

/// The texts that recipients may make of a body with this `Content-Type` beside its bytes as they are. None for most:
/// their character set has ASCII where ASCII has it.
pub fn body_texts(content_type: &[u8], body: &[u8]) -> Vec<Vec<u8>> {
    let sniffed = Charset::sniff(body).filter(|c| hides(*c));
    let charsets: Vec<Charset> = charsets(content_type).into_iter().chain(sniffed).collect();
    readings(&charsets, body)
}

/// Whether the character sets that a `Content-Type` names, if any, can be read or have ASCII where ASCII has it.
pub fn is_readable(content_type: &[u8]) -> bool {
    !charsets(content_type).contains(&Charset::Unreadable)
}

/// Whether ASCII bytes may mean something else in it.
fn hides(charset: Charset) -> bool {
    !matches!(charset, Charset::AsciiCompatible | Charset::Unknown)
}

/// Every text that recipients may make of `bytes` by one of `charsets`, where it differs.
pub(super) fn readings(charsets: &[Charset], bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for text in charsets.iter().flat_map(|c| c.readings(bytes)) {
        if text != bytes && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn decode_each(charsets: &[Charset], limits: &BodyLimits, out: &mut ParsedBody) {
    if charsets.is_empty() {
        return;
    }
    let mut more = Pairs::new();
    for (name, value) in out.args.iter() {
        let names = readings(charsets, name);
        let values = readings(charsets, value);
        // Decoded by the same character set they stand in the same place of their lists, unless one is the same in
        // both readings. Rules look at names and values one by one, so that a pair need not be exact.
        for i in 0..names.len().max(values.len()) {
            let name = names.get(i).map_or(name, Vec::as_slice);
            let value = values.get(i).map_or(value, Vec::as_slice);
            more.push(name, value);
        }
    }
    append(out, &more, limits);
}

fn merge(out: &mut ParsedBody, other: ParsedBody, limits: &BodyLimits) {
    append(out, &other.args, limits);
    for file in other.files {
        // Below the limit there are few to compare with.
        let is_known = || out.files.iter().any(|f| (&f.field, &f.filename) == (&file.field, &file.filename));
        if out.files.len() < limits.files && !is_known() {
            out.files.push(file);
        }
    }
    for (name, line) in other.part_headers.iter() {
        out.part_headers.push(name, line);
    }
    for hit in other.limits {
        out.hit(hit);
    }
}

/// Adds arguments that are not there yet, until there are twice as many as the limit: the body's own and those that
/// decoding adds.
fn append(out: &mut ParsedBody, more: &Pairs, limits: &BodyLimits) {
    let known: HashSet<(Vec<u8>, Vec<u8>)> =
        out.args.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    for (name, value) in more.iter() {
        if known.contains(&(name.to_vec(), value.to_vec())) {
            continue;
        }
        if out.args.len() >= limits.arguments.saturating_mul(2) || !out.args.push(name, value) {
            out.hit(LimitHit::Arguments);
            return;
        }
    }
}

/// Bytes that tell a character set.
const SNIFFED: usize = 4;
/// Character sets that one body may name. Each costs a reading of all of it.
const MAX_CHARSETS: usize = 3;
