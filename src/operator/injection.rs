//! libinjection: `@detectSQLi` and `@detectXSS`.
//!
//! The crate is a port of libinjection's C code and misses three kinds of attack which that detects. They are
//! supplemented here, behind a test that is cheap and nearly always negative:
//!
//! * `1 into outfile 'x'`: the crate compares the keyword `INTO` with regard to case.
//! * `<img onerror%09=…>`: the crate wants an event handler's name whole, where C takes what begins with one.
//! * `x%00onerror=…`: to C, a NUL between attributes is white space.

use super::registry::{Built, Capture, Found, Lookup, Operator, Outcome, Resources};
use aho_corasick::AhoCorasick;
use libinjectionrs::xss::{Html5Flags, Html5State, TokenType};
use libinjectionrs::{SqliFlags, SqliState};
use std::sync::{Arc, LazyLock};

/// `@detectSQLi`.
pub(super) fn sqli(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Sqli))
}

/// `@detectXSS`.
pub(super) fn xss(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Xss))
}

/// `TX.0` is the fingerprint.
#[derive(Debug)]
struct Sqli;

impl Operator for Sqli {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let fingerprint = fingerprint(input).or_else(|| fingerprint(&with_upper_case_into(input)?));
        let Some(fingerprint) = fingerprint else { return Outcome::NoMatch };
        if found.want_captures {
            let text = fingerprint.into_iter().take_while(|b| *b != 0).collect();
            found.captures.push(Capture::Text(text));
        }
        Outcome::Match
    }
}

/// `TX.0` is the whole input.
#[derive(Debug)]
struct Xss;

impl Operator for Xss {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        if !is_xss(input) && !spaced(input).is_some_and(|text| is_xss(&text)) {
            return Outcome::NoMatch;
        }
        if found.want_captures {
            found.captures.push(Capture::Input(0..input.len()));
        }
        found.matched = Some(0..input.len());
        Outcome::Match
    }
}

fn fingerprint(input: &[u8]) -> Option<[u8; 8]> {
    let mut state = SqliState::new(input, SqliFlags::FLAG_NONE);
    state.detect().then_some(state.fingerprint)
}

fn is_xss(input: &[u8]) -> bool {
    libinjectionrs::detect_xss(input).is_injection() || has_event_handler(input)
}

/// The input with a space for each NUL, if there are any.
fn spaced(input: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(0, input)?;
    Some(input.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect())
}

/// The input with each `into` in capitals, if that changes anything. Keywords have no case, so that nothing else
/// about the input's tokens changes.
fn with_upper_case_into(input: &[u8]) -> Option<Vec<u8>> {
    const INTO: &[u8] = b"INTO";
    let mut changed: Option<Vec<u8>> = None;
    for at in memchr::memchr2_iter(b'i', b'I', input) {
        let word = at..at + INTO.len();
        let Some(text) = input.get(word.clone()) else { break };
        if text != INTO && text.eq_ignore_ascii_case(INTO) {
            changed.get_or_insert_with(|| input.to_vec())[word].copy_from_slice(INTO);
        }
    }
    changed
}

/// Whether an attribute with a value has a name that begins with an event handler's, in any of the five places
/// of a page where libinjection imagines the input.
fn has_event_handler(input: &[u8]) -> bool {
    // The tokenizer skips NUL in names, so the search for whole names does not see them then.
    if !HANDLERS.is_match(input) && memchr::memchr(0, input).is_none() {
        return false;
    }
    const PLACES: [Html5Flags; 5] = [
        Html5Flags::DataState,
        Html5Flags::ValueNoQuote,
        Html5Flags::ValueSingleQuote,
        Html5Flags::ValueDoubleQuote,
        Html5Flags::ValueBackQuote,
    ];
    PLACES.into_iter().any(|place| {
        let mut tokens = Html5State::new(input, place);
        let mut handler = false;
        while tokens.next() {
            match tokens.token_type {
                TokenType::AttrName => {
                    handler = tokens.token_start.get(..tokens.token_len).is_some_and(begins_with_handler);
                }
                TokenType::AttrValue if handler => return true,
                _ => handler = false,
            }
        }
        false
    })
}

fn begins_with_handler(name: &[u8]) -> bool {
    let mut text = [0; LONGEST_HANDLER];
    let letters = name.iter().filter(|b| **b != 0);
    let length = text.iter_mut().zip(letters).map(|(slot, byte)| *slot = *byte).count();
    let text = text.get(..length).unwrap_or_default();
    HANDLERS.find(aho_corasick::Input::new(text).anchored(aho_corasick::Anchored::Yes)).is_some()
}

static HANDLERS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .start_kind(aho_corasick::StartKind::Both)
        .build(EVENTS.split_ascii_whitespace().map(|event| format!("on{event}")))
        .expect("a few hundred short names")
});

/// More than any handler's name.
const LONGEST_HANDLER: usize = 40;

/// Events for which elements, documents and windows have handlers: the HTML, Pointer Events, Touch Events, CSS
/// Animations and Transitions standards, and what browsers keep for old pages. Names that begin with another's
/// are left out.
const EVENTS: &str = "\
    abort activate afterprint animation beforecopy beforecut beforeinput beforeload beforepaste \
    beforeprint beforeunload blur canplay change click close contextmenu copy cuechange cut dblclick drag drop \
    durationchange emptied ended error focus gotpointercapture hashchange input invalid keydown \
    keypress keyup languagechange load lostpointercapture message mousedown mouseenter mouseleave mousemove \
    mouseout mouseover mouseup mousewheel offline online pagehide pageshow paste pause play pointer popstate \
    progress ratechange readystatechange rejectionhandled reset resize scroll search seeked seeking select \
    show slotchange stalled storage submit suspend timeupdate toggle touch transition unhandledrejection unload \
    volumechange waiting webkit wheel";

#[cfg(test)]
mod tests {
    use super::*;

    /// The supplement goes by what begins like an event; each of its names must be, or begin, one that
    /// libinjection knows, so that it adds no kind of finding.
    #[test]
    fn every_event_is_known_to_libinjection() {
        let endings = ["", "start", "end", "down", "in", "context", "animationend", "cancel", "anslate"];
        let known = |event: &str, ending: &str| {
            let name = format!("<x on{event}{ending}=1>");
            libinjectionrs::detect_xss(name.as_bytes()).is_injection()
        };
        let events = EVENTS.split_ascii_whitespace();
        let unknown: Vec<&str> = events.filter(|event| !endings.iter().any(|e| known(event, e))).collect();
        assert!(unknown.is_empty(), "libinjection does not know {unknown:?}");
        assert!(EVENTS.split_ascii_whitespace().all(|event| event.len() + 2 <= LONGEST_HANDLER));
    }

    #[test]
    fn into_is_found_in_any_case() {
        assert_eq!(with_upper_case_into(b"x iNto y into"), Some(b"x INTO y INTO".to_vec()));
        assert_eq!(with_upper_case_into(b"INTO int"), None);
    }
}
