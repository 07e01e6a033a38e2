//! Sets of phrases, without regard to ASCII case: `@pm`, `@pmFromFile`, `@pmFromDataset`.
//!
//! All phrases are sought in one pass; what ends first is the match. High bytes are compared as they are
//! (ModSecurity v3 never finds a phrase that holds one, because it compares signed with unsigned values).

use super::contract::{BuildError, Built, Found, Lookup, Operator, Outcome, Resources};
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::Arc;

#[derive(Debug)]
struct Phrases {
    automaton: AhoCorasick,
    phrases: Vec<Vec<u8>>,
}

impl Operator for Phrases {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let Some(at) = self.automaton.find(input).map(|m| m.range()) else { return Outcome::NoMatch };
        found.whole(at);
        Outcome::Match
    }

    fn literals(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.phrases.clone())
    }
}

/// `@pm one two |74 68 72|ee`.
pub(super) fn pm(argument: Option<&str>, _: &dyn Resources) -> Built {
    let argument = argument.unwrap_or_default().as_bytes();
    let decoded = decode(argument);
    let text = decoded.as_deref().unwrap_or(argument);
    let phrases = text.split(|b| matches!(b, b' ' | b'\t'..=b'\r')).filter(|p| !p.is_empty());
    build(phrases.map(<[u8]>::to_vec).collect())
}

/// `@pmFromFile one.data two.data`.
pub(super) fn pm_from_file(argument: Option<&str>, resources: &dyn Resources) -> Built {
    let mut phrases = Vec::new();
    for content in super::address::files(argument, resources)? {
        for line in content.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = line.trim_ascii_start();
            if !text.is_empty() && !text.starts_with(b"#") {
                phrases.push(line.to_vec());
            }
        }
    }
    build(phrases)
}

/// `@pmFromDataset name`.
pub(super) fn pm_from_dataset(argument: Option<&str>, resources: &dyn Resources) -> Built {
    let entries = super::address::dataset(argument, resources)?;
    build(entries.iter().filter(|e| !e.trim().is_empty()).map(|e| e.as_bytes().to_vec()).collect())
}

fn build(phrases: Vec<Vec<u8>>) -> Built {
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(&phrases)
        .map_err(|e| BuildError::new(format!("these phrases cannot be compiled: {e}")))?;
    Ok(Arc::new(Phrases { automaton, phrases }))
}

/// Snort's notation: hexadecimal bytes between bars, a backslash before `"`, `:`, `;`, `|` and itself, quotes
/// around the whole. An argument that is not in this notation is `None`: ModSecurity takes it as it stands.
fn decode(argument: &[u8]) -> Option<Vec<u8>> {
    let start = argument.iter().position(|b| !b.is_ascii_whitespace() && *b != b'"')?;
    let mut text = argument.get(start..)?;
    if argument.get(..start)?.contains(&b'"') {
        text = text.strip_suffix(b"\"").unwrap_or(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let (mut binary, mut high, mut escaped) = (false, None, false);
    for &byte in text {
        match byte {
            _ if escaped => {
                if !matches!(byte, b'"' | b':' | b';' | b'|' | b'\\') {
                    return None;
                }
                decoded.push(byte);
                escaped = false;
            }
            b'|' => {
                if high.is_some() {
                    return None;
                }
                binary = !binary;
            }
            b' ' if binary => {}
            _ if binary => {
                let digit = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
                match high.take() {
                    Some(high) => decoded.push(high << 4 | digit),
                    None => high = Some(digit),
                }
            }
            b'\\' => escaped = true,
            _ => decoded.push(byte),
        }
    }
    (!binary && !escaped).then_some(decoded)
}
