//! The one place where things are redacted: every text of a record that may quote a client passes here.

use super::bounds;
use super::from_report::hit;
use super::record::Hit;
use super::redaction::{COOKIES, Names};
use super::secrets::{MASK, Searcher, Secrets, named_values};
use super::shaped::shaped;
use super::text::bounded;
use super::text::lossless;
use crate::engine::{Report, RuleHit};
use base64::Engine as _;
use serde::Serialize;
use std::borrow::Cow;
use std::ops::Range;

/// A piece of a value that has been masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The text, bytes that are none written as [`lossless`] does.
    pub text: String,
    /// Whether it is of what an operator matched.
    #[serde(rename = "match", skip_serializing_if = "std::ops::Not::not")]
    pub matched: bool,
    /// Whether something secret stood here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// What must be masked in one transaction.
pub struct Masker<'a> {
    names: &'a Names,
    report: &'a Report,
    searcher: Searcher,
}

impl<'a> Masker<'a> {
    pub(super) fn new(names: &'a Names, report: &'a Report) -> Self {
        Self { names, report, searcher: collect(names, report).searcher() }
    }

    /// Free text, cut to `limit` bytes.
    pub fn text<'t>(&self, text: &'t [u8], limit: usize) -> Cow<'t, str> {
        // Cut some way behind the limit first: a secret that lies across it is recognised by its beginning, and
        // the work is bounded.
        let near = text.get(..limit.saturating_add(limit)).unwrap_or(text);
        let masked = self.searcher.mask(near, self.names);
        let missing = text.len() - near.len();
        let is_short = masked.len() <= limit;
        let mut shown = match masked {
            Cow::Borrowed(masked) => bounded(masked, limit),
            Cow::Owned(masked) => bounded(&masked, limit).into_owned().into(),
        };
        if missing > 0 && is_short {
            shown.to_mut().push_str(&format!("…[{missing} more bytes]"));
        }
        shown
    }

    /// A body.
    pub fn body<'t>(&self, body: &'t [u8]) -> Cow<'t, str> {
        self.text(body, bounds::BODY)
    }

    /// Arguments as a form, for bodies that are shown without their files.
    pub(super) fn form(&self, arguments: &[(Vec<u8>, Vec<u8>)]) -> String {
        let mut form = Vec::new();
        for (name, value) in arguments {
            if form.len() > bounds::BODY {
                break;
            }
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(name);
            form.push(b'=');
            form.extend_from_slice(if self.secret_argument(name) { MASK.as_bytes() } else { value });
        }
        self.body(&form).into_owned()
    }

    /// A request header's value.
    pub fn request_header<'t>(&self, name: &[u8], value: &'t [u8]) -> Cow<'t, str> {
        self.header(name, value, &self.report.sanitised.request_headers)
    }

    pub(super) fn response_header<'t>(&self, name: &[u8], value: &'t [u8]) -> Cow<'t, str> {
        self.header(name, value, &self.report.sanitised.response_headers)
    }

    /// A matched value, as a member of `variable`.
    pub(super) fn value<'t>(&self, variable: &str, value: &'t [u8]) -> Cow<'t, str> {
        if self.is_secret(variable) {
            return if value.is_empty() { "" } else { MASK }.into();
        }
        self.text(value, bounds::DATA)
    }

    /// Text which a hit composed from its matches: their values and matched pieces are masked in it when one of
    /// them is secret.
    pub(super) fn quoting<'t>(
        &self,
        text: &'t [u8],
        limit: usize,
        hit: &RuleHit,
        quotes_secret: bool,
    ) -> Cow<'t, str> {
        if !quotes_secret {
            return self.text(text, limit);
        }
        let mut secrets = Secrets::default();
        for m in hit.matches.iter().filter(|m| self.is_secret(&m.variable)) {
            secrets.add(&m.value, 1);
            let piece = m.range.clone().and_then(|r| m.value.get(r)).unwrap_or_default();
            secrets.add(piece, PIECE);
        }
        let masked =
            secrets.searcher().mask(text.get(..limit.saturating_add(limit)).unwrap_or(text), self.names);
        self.text(&masked, limit).into_owned().into()
    }

    /// A rule's record.
    pub fn hit<'t>(&self, rule: &'t RuleHit) -> Hit<'t> {
        hit(rule, self)
    }

    /// A value of `variable` in pieces: what matched (`range`), what is secret, and the rest. Where a secret and what
    /// matched overlap, all of the secret counts as matched.
    pub fn pieces(&self, variable: &str, value: &[u8], range: Option<&Range<usize>>) -> Vec<Piece> {
        if value.is_empty() {
            return Vec::new();
        }
        let matched = range.filter(|r| r.start < r.end && r.end <= value.len());
        let masked = |matched| Piece { text: MASK.to_owned(), matched, redacted: true };
        let hidden = match self.searcher.hidden(value, self.names) {
            Some(hidden) if !self.is_secret(variable) => hidden,
            _ => return vec![masked(matched.is_some())],
        };
        let mut pieces = Vec::new();
        let mut hidden = hidden.into_iter().peekable();
        let mut at = 0;
        while at < value.len() {
            if let Some(secret) = hidden.next_if(|secret| secret.start <= at) {
                pieces.push(masked(matched.is_some_and(|m| m.start < secret.end && secret.start < m.end)));
                at = secret.end.max(at + 1);
                continue;
            }
            let borders = [hidden.peek().map(|s| s.start), matched.map(|m| m.start), matched.map(|m| m.end)];
            let end =
                borders.into_iter().flatten().filter(|border| *border > at).min().unwrap_or(value.len());
            let text = lossless(value.get(at..end).unwrap_or_default()).into_owned();
            let matched = matched.is_some_and(|m| m.contains(&at));
            pieces.push(Piece { text, matched, redacted: false });
            at = end;
        }
        pieces
    }

    /// Whether what `variable` holds is a secret by its name.
    pub fn is_secret(&self, variable: &str) -> bool {
        let (collection, member) = variable.split_once(':').unwrap_or((variable, ""));
        let member = member.as_bytes();
        let collection = collection.trim_start_matches(['&', '!']);
        let collection: Cow<'_, str> = if collection.bytes().any(|b| b.is_ascii_lowercase()) {
            collection.to_ascii_uppercase().into()
        } else {
            collection.into()
        };
        match &*collection {
            "ARGS" | "ARGS_GET" | "ARGS_POST" | "FILES" | "FILES_SIZES" | "MULTIPART_NAME"
            | "MULTIPART_FILENAME" => self.secret_argument(member),
            "REQUEST_HEADERS" => self.secret_header(member, &self.report.sanitised.request_headers),
            "RESPONSE_HEADERS" => self.secret_header(member, &self.report.sanitised.response_headers),
            "REQUEST_COOKIES" => true,
            "SESSIONID" => true,
            // Captures and copies of whatever matched before; their values are found by the searcher. A name
            // of a secret in a member (`SESSION:token`) makes it one too.
            _ => {
                !member.is_empty()
                    && !collection.ends_with("_NAMES")
                    && collection != "TX"
                    && self.names.argument(member)
            }
        }
    }

    fn header<'t>(&self, name: &[u8], value: &'t [u8], sanitised: &[Vec<u8>]) -> Cow<'t, str> {
        if !self.secret_header(name, sanitised) {
            return self.text(value, bounds::VALUE);
        }
        if value.is_empty() {
            return "".into();
        }
        let cookies = COOKIES.iter().any(|c| c.as_bytes().eq_ignore_ascii_case(name));
        let named = sanitised.iter().any(|s| s.eq_ignore_ascii_case(name));
        if !cookies || named {
            return MASK.into();
        }
        let set = name.get(..4).is_some_and(|n| n.eq_ignore_ascii_case(b"set-"));
        bounded(&cookie_names(value, set), bounds::VALUE).into_owned().into()
    }

    fn secret_header(&self, name: &[u8], sanitised: &[Vec<u8>]) -> bool {
        self.names.header(name) || sanitised.iter().any(|s| s.eq_ignore_ascii_case(name))
    }

    fn secret_argument(&self, name: &[u8]) -> bool {
        self.names.argument(name)
            || self.report.sanitised.arguments.iter().any(|s| s.eq_ignore_ascii_case(name))
    }
}

/// An argument's value of at least this many bytes is masked wherever it occurs.
const ARGUMENT: usize = 4;
/// The same for a cookie's value, of which most are no secrets: `dark`, `en`, `true`.
const COOKIE: usize = 8;
/// The same for the matched piece of a secret.
const PIECE: usize = 3;

/// `Cookie`'s or `Set-Cookie`'s value with names and attributes, without the cookies' values.
fn cookie_names(value: &[u8], set: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, pair) in value.split(|b| *b == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        match pair.iter().position(|b| *b == b'=') {
            Some(at) if !set || index == 0 => {
                out.extend_from_slice(pair.get(..=at).unwrap_or_default());
                out.extend_from_slice(MASK.as_bytes());
            }
            // An attribute of Set-Cookie.
            _ if set && index > 0 => out.extend_from_slice(pair),
            // A cookie without a name is all value.
            _ if !pair.trim_ascii().is_empty() => out.extend_from_slice(MASK.as_bytes()),
            _ => {}
        }
    }
    out
}

/// Everything secret that the transaction holds.
fn collect(names: &Names, report: &Report) -> Secrets {
    let mut secrets = Secrets::default();
    for value in &report.sanitised.values {
        secrets.add(value, 1);
    }
    let named = |name: &[u8], list: &[Vec<u8>]| list.iter().any(|s| s.eq_ignore_ascii_case(name));
    for (name, value) in &report.request.headers {
        if names.header(name) || named(name, &report.sanitised.request_headers) {
            header_secrets(&mut secrets, name, value);
        }
    }
    for (name, value) in report.response.iter().flat_map(|r| &r.headers) {
        if names.header(name) || named(name, &report.sanitised.response_headers) {
            header_secrets(&mut secrets, name, value);
        }
    }
    for (name, value) in &report.request.arguments {
        if names.argument(name) || named(name, &report.sanitised.arguments) {
            secrets.add(value, ARGUMENT);
        }
    }
    // What no parser understood may hold secrets all the same.
    let body = |bytes: &'_ [u8]| bytes.get(..bounds::BODY).map_or(bytes.len(), <[u8]>::len);
    let request = &report.request;
    let response = report.response.as_ref().map_or(&[][..], |r| r.body.bytes.as_slice());
    for text in [&request.uri, &request.body.bytes, response] {
        let text = text.get(..body(text)).unwrap_or_default();
        let mut ranges = named_values(text, names);
        shaped(text, &mut ranges);
        for range in ranges {
            secrets.add(text.get(range).unwrap_or_default(), ARGUMENT);
        }
    }
    secrets
}

fn header_secrets(secrets: &mut Secrets, name: &[u8], value: &[u8]) {
    if COOKIES.iter().any(|c| c.as_bytes().eq_ignore_ascii_case(name)) {
        let set = name.get(..4).is_some_and(|n| n.eq_ignore_ascii_case(b"set-"));
        let pairs = value.split(|b| *b == b';').take(if set { 1 } else { usize::MAX });
        for pair in pairs {
            let at = pair.iter().position(|b| *b == b'=').map_or(0, |at| at + 1);
            secrets.add(pair.get(at..).unwrap_or_default().trim_ascii().trim_ascii_start(), COOKIE);
        }
        return;
    }
    secrets.add(value, ARGUMENT);
    // `Basic am9l…`: the credentials by themselves, and what they decode to.
    let mut words = value.splitn(2, |b| *b == b' ');
    let (scheme, credentials) =
        (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_ascii());
    secrets.add(credentials, ARGUMENT);
    if scheme.eq_ignore_ascii_case(b"basic")
        && let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(credentials)
    {
        let password = decoded.iter().position(|b| *b == b':').and_then(|at| decoded.get(at + 1..));
        secrets.add(password.unwrap_or_default(), ARGUMENT);
        secrets.add(&decoded, ARGUMENT);
    }
}
