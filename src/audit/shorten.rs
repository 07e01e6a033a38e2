//! A record for a transport that carries only so much: what identifies, decides and proves stays, the rest goes.

use super::record::{Hit, Record};
use std::borrow::Cow;

/// Rules that stay. Each has at most [`WORDS`] bytes in each of nine texts, which JSON writes in at most six times as
/// many bytes; with 4 rules, and rules written twice nowhere, a record stays below `SHORT`.
const RULES: usize = 4;
/// Rules that stay of those that a candidate ruleset found.
const SHADOW_RULES: usize = 1;
/// Events that stay.
const EVENTS: usize = 4;
/// Tags that stay of a rule.
const TAGS: usize = 6;
/// Bytes that stay of a text.
const WORDS: usize = 96;
/// Bytes that stay of the target.
const TARGET: usize = 512;

impl Record<'_> {
    /// Leaves out headers, bodies, files, all rules but the gravest, and the ends of long texts; `omitted` says so.
    pub fn shorten(&mut self) {
        let omitted = &mut self.omitted;
        omitted.shortened = 1;
        let shown = |headers: &Option<Vec<_>>| headers.as_ref().map_or(0, Vec::len);
        omitted.headers += shown(&self.request.headers) + shown(&self.response.headers);
        omitted.files += self.request.files.as_ref().map_or(0, Vec::len);
        let (request, response) = (&mut self.request, &mut self.response);
        let kept = |name: &str| matches!(name.to_ascii_lowercase().as_str(), "host" | "user-agent");
        if let Some(headers) = &mut request.headers {
            headers.retain(|(name, _)| kept(name));
            headers.truncate(2);
            omitted.headers -= headers.len();
            headers.iter_mut().for_each(|(_, value)| cut(value, WORDS));
        }
        (request.body, request.files) = (None, None);
        (response.headers, response.body) = (None, None);
        cut(&mut request.method, WORDS);
        cut(&mut request.protocol, WORDS);
        cut(&mut request.uri, TARGET);
        for verdict in std::iter::once(&mut self.decision).chain(&mut self.suppressed) {
            if let Some(location) = &mut verdict.location {
                cut(location, WORDS);
            }
        }
        omitted.rules += self.rules.len().saturating_sub(RULES);
        // Stable: of equal ones the first stay.
        self.rules.sort_by_key(|hit| hit.severity_number.unwrap_or(u8::MAX));
        self.rules.truncate(RULES);
        self.rules.iter_mut().for_each(shorten_hit);
        if let Some(shadow) = &mut self.shadow {
            omitted.rules += shadow.rules_added.len().saturating_sub(SHADOW_RULES);
            shadow.rules_added.truncate(SHADOW_RULES);
            shadow.rules_added.iter_mut().for_each(shorten_hit);
            shadow.rules_removed.truncate(RULES);
            if let Some(location) = &mut shadow.decision.location {
                cut(location, WORDS);
            }
        }
        omitted.events += self.events.len().saturating_sub(EVENTS);
        self.events.truncate(EVENTS);
        self.events.iter_mut().for_each(|event| cut(&mut event.detail, WORDS));
    }
}

fn shorten_hit(hit: &mut Hit<'_>) {
    hit.further.clear();
    hit.range = None;
    hit.tags.truncate(TAGS);
    hit.tags.iter_mut().for_each(|tag| cut(tag, WORDS / 2));
    let texts = [
        &mut hit.message,
        &mut hit.data,
        &mut hit.operator,
        &mut hit.file,
        &mut hit.version,
        &mut hit.revision,
    ];
    for text in texts.into_iter().chain(&mut hit.variable).chain(&mut hit.value) {
        cut(text, WORDS);
    }
}

/// Cuts a text that is longer than `most` bytes, between characters.
fn cut(text: &mut Cow<'_, str>, most: usize) {
    if text.len() <= most {
        return;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let kept = text.get(..end).unwrap_or_default();
    *text = format!("{kept}…").into();
}
