//! libinjection: `@detectSQLi` and `@detectXSS`.
//!
//! SQL injection is detected in [`super::sqli`]; XSS by the crate `libinjectionrs`, a port of libinjection's C code,
//! which misses two kinds of attack that this detects. They are supplemented here, behind a test that is cheap and
//! nearly always negative:
//!
//! * `<img onerror%09=…>`: the crate wants an event handler's name whole, where C takes what begins with one.
//! * `x%00onerror=…`: to C, a NUL between attributes is white space.

use super::contract::{Built, Capture, Found, Lookup, Operator, Outcome, Resources, Wanted};
use super::sqli;
use crate::transform::ByteSet;
use aho_corasick::AhoCorasick;
use libinjectionrs::xss::{Html5Flags, Html5State, TokenType, XssDetector};
use smallvec::SmallVec;
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
        let Some(fingerprint) = sqli::detect(input) else { return Outcome::NoMatch };
        if found.wanted != Wanted::Nothing {
            found.captures.push(Capture::Text(fingerprint.as_bytes().to_vec()));
        }
        Outcome::Match
    }

    fn needs(&self) -> Option<ByteSet> {
        Some(sqli::NEEDED)
    }
}

/// `TX.0` is the whole input.
#[derive(Debug)]
struct Xss;

impl Operator for Xss {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        if !may_be_xss(input) || !is_xss(input) && !spaced(input).is_some_and(|text| is_xss(&text)) {
            return Outcome::NoMatch;
        }
        found.whole(0..input.len());
        Outcome::Match
    }

    fn needs(&self) -> Option<ByteSet> {
        Some(ByteSet::of(b"<="))
    }
}

/// Whether the value has what every finding of libinjection needs.
///
/// It finds tags, declarations and comments, all of which its tokenizer begins at `<` only; and values of
/// attributes whose name it has seen, between which it wants `=`.
///
/// Names of tags and attributes, declarations and what is looked for in comments have letters, all but a backquote in a
/// comment.
fn may_be_xss(input: &[u8]) -> bool {
    memchr::memchr2(b'<', b'=', input).is_some()
        && (input.iter().any(u8::is_ascii_alphabetic) || memchr::memchr(b'`', input).is_some())
}

/// Whether libinjection finds XSS, or an event handler stands where it imagines an attribute.
fn is_xss(input: &[u8]) -> bool {
    // The tokenizer skips NUL in names, so the search for whole names does not see them then.
    let may_have_handlers = HANDLERS.is_match(input) || memchr::memchr(0, input).is_some();
    let mut known = Known::new(input);
    PLACES.into_iter().any(|place| is_xss_at(input, place, may_have_handlers, &mut known))
}

/// Where names of attributes began from which on nothing was found.
///
/// What follows a name of an attribute follows from where that begins, unless the tokenizer thinks that it is in a tag that
/// closes: wherever it came from. So the places, which soon come to the same names, are told apart up to there only.
struct Known {
    /// A bit for each place of the input.
    names: SmallVec<[u64; 8]>,
    /// Where a tag may first close.
    close: usize,
}

impl Known {
    fn new(input: &[u8]) -> Self {
        let close = memchr::memmem::find(input, b"</").unwrap_or(input.len());
        Self { names: SmallVec::from_elem(0, close / 64 + 1), close }
    }

    /// Notes that a name begins at `at`, and tells whether that is known.
    fn note(&mut self, at: usize) -> bool {
        let (word, bit) = (at / 64, 1 << (at % 64));
        match self.names.get_mut(word) {
            Some(word) if at < self.close => std::mem::replace(word, *word | bit) & bit != 0,
            _ => false,
        }
    }
}

/// The five places of a page where libinjection imagines the input.
const PLACES: [Html5Flags; 5] = [
    Html5Flags::DataState,
    Html5Flags::ValueNoQuote,
    Html5Flags::ValueSingleQuote,
    Html5Flags::ValueDoubleQuote,
    Html5Flags::ValueBackQuote,
];

/// The same for one place. The crate compares each name with hundreds, so it is asked only where a token may be one that
/// it objects to; and an attribute with a value may have a name that begins with an event handler's.
fn is_xss_at(input: &[u8], place: Html5Flags, may_have_handlers: bool, known: &mut Known) -> bool {
    let mut tokens = Html5State::new(input, place);
    let (mut handler, mut attribute, mut is_asked) = (false, false, false);
    while tokens.next() {
        let token = tokens.token_start.get(..tokens.token_len).unwrap_or_default();
        let may_be_black = match tokens.token_type {
            TokenType::AttrName => {
                let at = input.len() - tokens.token_start.len();
                if known.note(at) {
                    return false;
                }
                handler = may_have_handlers && begins_with_handler(token);
                attribute = begins_like(token, &ATTRIBUTES);
                continue;
            }
            TokenType::AttrValue if handler => return true,
            TokenType::AttrValue => attribute,
            TokenType::TagNameOpen => begins_like(token, &TAGS),
            TokenType::TagComment => may_be_black_comment(token),
            TokenType::Doctype => true,
            _ => false,
        };
        (handler, attribute) = (false, false);
        if may_be_black && !is_asked {
            if XssDetector::is_xss(input, place) {
                return true;
            }
            if !may_have_handlers {
                return false;
            }
            is_asked = true;
        }
    }
    false
}

/// Whether a name begins in one of these ways, or has NUL, which libinjection skips. It knows no shorter ones.
fn begins_like(name: &[u8], known: &[[u8; 2]]) -> bool {
    // Some other bytes pass for letters then, which only has the crate asked in vain.
    let begins = |two: &[u8; 2]| known.contains(&two.map(|byte| byte | 0x20));
    name.first_chunk().is_some_and(|two| begins(two) || memchr::memchr(0, name).is_some())
}

/// How the attributes begin that libinjection knows.
const ATTRIBUTES: [[u8; 2]; 20] = [
    *b"on", *b"xm", *b"xl", *b"ac", *b"at", *b"by", *b"ba", *b"da", *b"dy", *b"fi", *b"fo", *b"fr", *b"ha",
    *b"hr", *b"lo", *b"po", *b"sr", *b"st", *b"to", *b"va",
];
/// How the tags begin that it knows.
const TAGS: [[u8; 2]; 19] = [
    *b"ap", *b"ba", *b"co", *b"em", *b"fr", *b"ha", *b"if", *b"im", *b"is", *b"li", *b"me", *b"no", *b"ob",
    *b"sc", *b"st", *b"sv", *b"vm", *b"xm", *b"xs",
];

/// Whether a comment has a backquote, or begins like a conditional comment, a declaration of XML, an import or an entity.
fn may_be_black_comment(comment: &[u8]) -> bool {
    let begins =
        comment.first().is_some_and(|b| matches!(b.to_ascii_lowercase(), b'[' | b'x' | b'i' | b'e' | 0));
    begins || memchr::memchr(b'`', comment).is_some()
}

/// The input with a space for each NUL, if there are any.
fn spaced(input: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(0, input)?;
    Some(input.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect())
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

    /// Without a look at single tokens first.
    fn is_xss_to_the_crate(input: &[u8]) -> bool {
        let has_handler = |place: Html5Flags| {
            let mut tokens = Html5State::new(input, place);
            let mut handler = false;
            while tokens.next() {
                match tokens.token_type {
                    TokenType::AttrName => {
                        handler = begins_with_handler(&tokens.token_start[..tokens.token_len]);
                    }
                    TokenType::AttrValue if handler => return true,
                    _ => handler = false,
                }
            }
            false
        };
        libinjectionrs::detect_xss(input).is_injection() || PLACES.into_iter().any(has_handler)
    }

    #[test]
    fn all_that_the_crate_finds_is_found() {
        let words = "action attributename by background dataformatas datasrc dynsrc filter formaction folder from \
            handler href lowsrc poster src style to values xlink:href xmlns xlink onx onerror onerrors onclick \
            applet base comment embed frame frameset iframe import isindex link listener meta noscript object script \
            vmlframe xml xss svg xsl svgx a data: javascript:a view-source:a vbscript: &#x6a;ava entity doctype";
        let marks = "< < < = = = ! - -- / > > \0 \t \n ' \" ` % ? [ [if ]]> <!-- <!doctype <? <% </ [cdata[ \u{e9} 1 on x";
        let mut state = 7_usize;
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let marks: Vec<&str> = marks.split(' ').chain([" ", " "]).collect();
        let mut attacks = 0;
        for _ in 0..60_000 {
            let mut value = Vec::new();
            for _ in 0..2 + below(9) {
                value.extend_from_slice(marks[below(marks.len())].as_bytes());
                if below(3) > 0 {
                    let word = words[below(words.len())].as_bytes();
                    value.extend_from_slice(&if below(4) == 0 {
                        word.to_ascii_uppercase()
                    } else {
                        word.to_vec()
                    });
                }
            }
            if below(9) == 0 {
                value.insert(below(value.len()), 0);
            }
            let wanted = is_xss_to_the_crate(&value);
            assert_eq!(is_xss(&value), wanted, "{}", value.escape_ascii());
            attacks += usize::from(wanted);
        }
        assert!((6_000..54_000).contains(&attacks), "{attacks} are attacks");
    }

    /// To a tokenizer that thinks so, the script is a tag that closes.
    #[test]
    fn what_follows_in_a_tag_that_closes_is_not_known_elsewhere() {
        let value = b"</a x=1 ><script>";
        assert!(!is_xss_at(value, Html5Flags::DataState, false, &mut Known::new(value)));
        assert!(is_xss_to_the_crate(value) && is_xss(value));
        let mut known = Known::new(b"x y</a z");
        assert_eq!([2, 2, 4, 4, 100].map(|at| known.note(at)), [false, true, false, false, false]);
    }

    #[test]
    fn nothing_is_found_without_letters_and_backquotes() {
        let mut state = 1_usize;
        let mut attacks = 0;
        for _ in 0..200_000 {
            let mut value = Vec::new();
            for _ in 0..10 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                value.push(b"<<!!--[]?%/=>> \0\"'1\n`\xe9"[(state >> 33) % 22]);
            }
            let is_found = is_xss(&value) || spaced(&value).is_some_and(|text| is_xss(&text));
            attacks += usize::from(is_found);
            assert!(!is_found || value.contains(&b'`'), "{value:?}");
        }
        assert!(attacks > 100, "only {attacks} are attacks with a backquote");
    }

    /// Rows of what HTML is made of, but for the two bytes without which nothing is found.
    #[test]
    fn nothing_is_found_without_less_than_or_equals() {
        let parts = [
            "x",
            " ",
            "\0",
            "\"",
            "'",
            "`",
            "/",
            ">",
            "!",
            "-",
            "onerror",
            "style",
            "href",
            "javascript:a",
            "script",
            "svg",
            "!DOCTYPE",
            "!--",
            "[if",
            "xml",
            "?import",
            "%",
            "\n",
            "\u{e9}",
        ];
        let mut state = 1_usize;
        let mut attacks = 0;
        for _ in 0..20_000 {
            let mut value = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                value.push_str(parts[(state >> 33) % parts.len()]);
            }
            let value = value.as_bytes();
            assert!(!is_xss(value) && !spaced(value).is_some_and(|text| is_xss(&text)), "{value:?}");
            attacks += usize::from(is_xss(&[b"<", value].concat()));
        }
        assert!(attacks > 500, "only {attacks} are attacks with what was left out");
    }
}
