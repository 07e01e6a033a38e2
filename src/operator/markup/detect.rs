//! The walk through a value.

use super::super::contract::{Built, Found, Lookup, Operator, Outcome, Resources};
use super::attribute::{self, Says, is_script_style, judge, lower};
use super::escape;
use super::tag::{Attributes, Tag, open};
use std::ops::Range;
use std::sync::Arc;

/// `@detectHtml`.
pub(in crate::operator) fn html(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Html))
}

/// `TX.0` is the tag, or the attribute.
#[derive(Debug)]
struct Html;

impl Operator for Html {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        detect(input).map(|range| found.whole(range)).is_some().into()
    }

    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        // A tag, or the name of an event with its `on`.
        let tags = (b'a'..=b'z').map(|letter| vec![b'<', letter]);
        let events = attribute::events().map(|event| [b"on", event.as_bytes()].concat());
        Some(tags.chain(events).collect())
    }
}

/// The first markup in `value` that runs script. Each byte is looked at a bounded number of times.
fn detect(value: &[u8]) -> Option<Range<usize>> {
    let mut lines = None;
    let mut is_document =
        || *lines.get_or_insert_with(|| value.iter().filter(|b| **b == b'\n').take(LINES).count() == LINES);
    let mut from = 0;
    while let Some(at) = value.get(from..).and_then(|rest| memchr::memchr(b'<', rest)).map(|at| from + at) {
        from = at + 1;
        let Some(tag) = open(value, at) else { continue };
        let before = at.checked_sub(1).and_then(|at| value.get(at)).copied();
        match runs(value, &tag, before, &mut is_document) {
            Read::Runs(end) => return Some(at..end),
            Read::Ordinary(resume) => from = resume.max(from),
        }
    }
    if is_document() { None } else { escape::find(value) }
}

/// Line ends from which on a value is a document, which may hold program text.
const LINES: usize = 3;
/// Bytes behind a tag that are looked at.
const CONTENT: usize = 512;

/// What came of a tag.
enum Read {
    /// It runs script; where it ends.
    Runs(usize),
    /// It does not; where to go on: at its end, or in a quoted value that may be markup for whoever reads it otherwise.
    Ordinary(usize),
}

/// Reads a tag.
fn runs(value: &[u8], tag: &Tag<'_>, before: Option<u8>, is_document: &mut impl FnMut() -> bool) -> Read {
    let mut buffer = [0; 16];
    let name = lower(tag.name, &mut buffer).unwrap_or_default();
    let mut attributes = Attributes::of(value, tag);
    let mut inner = None;
    let (mut animates, mut moves, mut source, mut data, mut loads) = (false, false, false, false, false);
    while let Some(one) = attributes.next() {
        match judge(tag, &one) {
            Says::Nothing => {}
            Says::Runs => return Read::Runs(attributes.end()),
            Says::RunsOrCode if is_document() => {}
            Says::RunsOrCode => return Read::Runs(attributes.end()),
            Says::Loads => loads = true,
            Says::Animates => animates = true,
        }
        if one.quoted && inner.is_none() && memchr::memchr(b'<', one.value).is_some() {
            inner = Some(attributes.end().saturating_sub(one.value.len() + 1));
        }
        let is = |text: &[u8]| one.name.eq_ignore_ascii_case(text);
        moves |= is(b"to") || is(b"values") || is(b"from") || is(b"by");
        source |= !one.value.is_empty() && (is(b"src") || is(b"href") || is(b"xlink:href"));
        data |= is(b"type") && one.assigned && is_data(one.value);
    }
    let end = attributes.end();
    let content = value.get(end..value.len().min(end + CONTENT)).unwrap_or_default();
    let content = content.strip_prefix(b">");
    let found = animates && moves
        || loads && !is_document()
        || match name {
            b"script" => source || !data && script(content, before),
            b"style" => content.map(style_of).is_some_and(|style| {
                is_script_style(style) || !is_document() && memchr::memmem::find(style, b"@import").is_some()
            }),
            _ => false,
        };
    if found { Read::Runs(end) } else { Read::Ordinary(inner.unwrap_or(end)) }
}

/// Whether what stands in a `<script>` is one, and not a text about it.
fn script(content: Option<&[u8]>, before: Option<u8>) -> bool {
    // Cut off in the tag, or right behind it.
    let Some(content) = content else { return true };
    let text = content.trim_ascii();
    if text.is_empty() {
        return true;
    }
    // Quoted, as in a text about it.
    if matches!(before, Some(b'`' | b'"' | b'\'')) && content.first().copied() == before {
        return false;
    }
    let end = memchr::memmem::find(text, b"</").map(|at| text.get(..at).unwrap_or_default());
    match end {
        Some(code) if starts(text.get(code.len() + 2..).unwrap_or_default(), b"script") => !code.is_empty(),
        _ => text.iter().take(80).any(|b| matches!(b, b'(' | b'=' | b';' | b'`' | b'{')),
    }
}

/// Whether `type` says that a script is data.
fn is_data(kind: &[u8]) -> bool {
    let kind = kind.trim_ascii();
    [&b"application/ld+json"[..], b"application/json", b"text/template", b"text/x-template", b"text/plain"]
        .iter()
        .any(|data| kind.eq_ignore_ascii_case(data))
}

fn style_of(text: &[u8]) -> &[u8] {
    memchr::memchr(b'<', text).and_then(|end| text.get(..end)).unwrap_or(text)
}

fn starts(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word))
}
