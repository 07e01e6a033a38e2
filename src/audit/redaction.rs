//! Which names mean secrets.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

/// Names to redact beside the built-in lists. A `*` at either end stands for anything. Case does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Arguments, JSON members and form fields.
    pub arguments: Vec<String>,
    /// Request and response headers.
    pub headers: Vec<String>,
    /// Built-in names that may be shown after all (arguments or headers), e.g. `token` for an application which
    /// uses it for something public.
    pub show: Vec<String>,
}

/// Arguments redacted by default. Word separators (`_`, `-`, `.`, space) are left out of names before they are
/// compared, so that `api_key`, `api-key` and `apiKey` are one.
pub const ARGUMENTS: [&str; 36] = [
    "*accesskey*",
    "*apikey*",
    "auth",
    "*authorization*",
    "*authkey*",
    "bearer",
    "*cardno*",
    "*cardnum*",
    "*clientsecret*",
    "*creditcard*",
    "*credential*",
    "csc",
    "cvc*",
    "cvv*",
    "*iban*",
    "jwt",
    "*jsessionid*",
    "*mfa",
    "otp*",
    "pass",
    "*passcode*",
    "*passphrase*",
    "*passwd*",
    "*passwort*",
    "*password*",
    "*phpsessid*",
    "pin",
    "*privatekey*",
    "psw",
    "*pwd*",
    "*secret*",
    "*sessionid*",
    "sessid",
    "sid",
    "ssn",
    "*token*",
];

/// Headers redacted by default, by their whole value; [`COOKIES`] keep their cookies' names.
pub const HEADERS: [&str; 16] = [
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "x-api-key",
    "x-auth*",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
    "x-vault-token",
    "x-goog-api-key",
    "apikey",
    "api-key",
    "*-token",
    "*-secret",
];

/// Headers that carry cookies.
pub const COOKIES: [&str; 4] = ["cookie", "cookie2", "set-cookie", "set-cookie2"];

/// [`Redaction`] and the built-in lists, ready to ask.
#[derive(Clone, Debug)]
pub(super) struct Names {
    arguments: Patterns,
    headers: Patterns,
    show: Patterns,
}

impl Names {
    pub(super) fn new(redaction: &Redaction) -> Self {
        let list = |built_in: &[&str], own: &[String]| {
            Patterns::new(built_in.iter().copied().chain(own.iter().map(String::as_str)))
        };
        Self {
            arguments: list(&ARGUMENTS, &redaction.arguments),
            headers: list(&[&HEADERS[..], &COOKIES].concat(), &redaction.headers),
            show: list(&[], &redaction.show),
        }
    }

    /// Whether an argument of this name holds a secret. Of a path such as `json.user.password` or
    /// `user[password]` every member counts, since `password.0` is as secret as `password`.
    pub(super) fn argument(&self, name: &[u8]) -> bool {
        self.arguments.match_path(name) && !self.show.match_path(name)
    }

    /// Whether a header of this name holds a secret.
    pub(super) fn header(&self, name: &[u8]) -> bool {
        self.headers.matches(name) && !self.show.matches(name)
    }
}

/// What separates the members of a path in an argument's name.
const SEPARATORS: &[u8] = b".[]:/";

/// Names longer than this are compared by their beginning: no application calls a secret by such a name.
const NAME_BYTES: usize = 256;

/// `name` without word separators and in lower case, at the beginning of `room`.
fn squeeze<'a>(name: &[u8], room: &'a mut [u8; NAME_BYTES]) -> &'a [u8] {
    let mut length = 0;
    for letter in name.iter().take(NAME_BYTES) {
        if let Some(to) = room.get_mut(length) {
            *to = letter.to_ascii_lowercase();
        }
        length += usize::from(!matches!(letter, b'_' | b'-' | b'.' | b' '));
    }
    room.get(..length).unwrap_or_default()
}

/// Names with a `*` at either end, or none, all looked for at once: a record asks about every word of every text
/// that stands before a `=` or `:`.
#[derive(Clone, Debug)]
struct Patterns {
    /// Finds what stands between the stars.
    finder: Option<AhoCorasick>,
    /// Of each pattern of `finder`, whether it has a star at its start and at its end.
    open: Vec<(bool, bool)>,
    /// With which three bytes patterns begin. Most words begin none, and an automaton takes longer to say so.
    starts: Starts,
    /// The fewest bytes of a name that can match.
    least: usize,
    /// There is a pattern of nothing but stars.
    all: bool,
    /// There is an empty pattern.
    empty: bool,
}

impl Patterns {
    fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Self {
        let (mut texts, mut open) = (Vec::new(), Vec::new());
        let (mut all, mut empty) = (false, false);
        for pattern in patterns {
            let ends = (pattern.starts_with('*'), pattern.ends_with('*'));
            let mut room = [0; NAME_BYTES];
            let text = squeeze(pattern.trim_matches('*').as_bytes(), &mut room);
            if text.is_empty() {
                all |= ends.0 || ends.1;
                empty = true;
            } else {
                texts.push(text.to_vec());
                open.push(ends);
            }
        }
        let mut builder = AhoCorasickBuilder::new();
        // A prefilter pays in long texts only.
        builder.match_kind(MatchKind::Standard).prefilter(false);
        // Building fails only for more patterns than fit an index; then every name is one of a secret.
        let finder = if texts.is_empty() { Ok(None) } else { builder.build(&texts).map(Some) };
        all |= finder.is_err();
        let least = texts.iter().map(Vec::len).min().unwrap_or(usize::MAX);
        let starts = Starts::new(&texts);
        Self { finder: finder.ok().flatten(), open, starts, least, all, empty }
    }

    fn matches(&self, name: &[u8]) -> bool {
        if self.all {
            return true;
        }
        if name.len() < self.least && !self.empty {
            return false;
        }
        let mut room = [0; NAME_BYTES];
        let name = squeeze(name, &mut room);
        if name.is_empty() {
            return self.empty;
        }
        self.finder.as_ref().filter(|_| self.starts.may_be_in(name)).is_some_and(|finder| {
            finder.find_overlapping_iter(name).any(|found| {
                let &(start, end) = self.open.get(found.pattern().as_usize()).unwrap_or(&(true, true));
                (start || found.start() == 0) && (end || found.end() == name.len())
            })
        })
    }

    /// Whether a name matches as a whole or by one of its members.
    fn match_path(&self, name: &[u8]) -> bool {
        // What a member would begin a match with, the whole name has as well.
        if !self.all && !self.empty && name.len() <= NAME_BYTES {
            let mut room = [0; NAME_BYTES];
            if !self.starts.may_be_in(squeeze(name, &mut room)) {
                return false;
            }
        }
        self.matches(name)
            || (name.iter().any(|b| SEPARATORS.contains(b))
                && name.split(|b| SEPARATORS.contains(b)).any(|part| !part.is_empty() && self.matches(part)))
    }
}

/// The first three bytes of texts, as a set that may hold more than was put in. Empty when a text is shorter, and
/// then of no use.
#[derive(Clone, Debug)]
struct Starts(Vec<u64>);

impl Starts {
    fn new(texts: &[Vec<u8>]) -> Self {
        let mut bits = vec![0; Self::BITS / 64];
        for text in texts {
            let [a, b, c, ..] = *text.as_slice() else { return Self(Vec::new()) };
            let (word, bit) = Self::place(a, b, c);
            if let Some(bits) = bits.get_mut(word) {
                *bits |= bit;
            }
        }
        Self(bits)
    }

    /// Five bits of each byte tell letters apart.
    const BITS: usize = 1 << 15;

    fn place(a: u8, b: u8, c: u8) -> (usize, u64) {
        let index = usize::from(a & 31) << 10 | usize::from(b & 31) << 5 | usize::from(c & 31);
        (index / 64, 1 << (index % 64))
    }

    fn may_be_in(&self, name: &[u8]) -> bool {
        let has = |three: &[u8]| {
            let [a, b, c] = *three else { return false };
            let (word, bit) = Self::place(a, b, c);
            self.0.get(word).is_some_and(|bits| bits & bit != 0)
        };
        self.0.is_empty() || name.windows(3).any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_secrets_are_known() {
        let names = Names::new(&Redaction::default());
        for name in [
            "password",
            "Password",
            "user[password]",
            "json.user.new_password",
            "pwd",
            "pass",
            "api-key",
            "apiKey",
            "X-API-KEY",
            "access_token",
            "csrfmiddlewaretoken",
            "cardNumber",
            "cvv2",
            "password.0",
            "PHPSESSID",
        ] {
            assert!(names.argument(name.as_bytes()), "{name}");
        }
        for name in ["id", "q", "passage", "bypass", "author", "pinned", "sidebar", "compass", "comment", ""]
        {
            assert!(!names.argument(name.as_bytes()), "{name}");
        }
        for name in ["Authorization", "COOKIE", "Set-Cookie", "X-Api-Key", "X-Auth-User", "X-Gitlab-Token"] {
            assert!(names.header(name.as_bytes()), "{name}");
        }
        for name in ["Host", "User-Agent", "Accept", "X-Forwarded-For"] {
            assert!(!names.header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_operator_may_add_and_show() {
        let names = Names::new(&Redaction {
            arguments: vec!["Mother*".to_owned()],
            headers: vec!["X-Internal".to_owned()],
            show: vec!["csrf_token".to_owned(), "x-api-key".to_owned()],
        });
        assert!(names.argument(b"mothers_name") && names.header(b"x-internal") && names.argument(b"token"));
        assert!(!names.argument(b"csrf-token") && !names.header(b"X-Api-Key"));
    }

    /// One pattern by itself, as the documentation puts it.
    fn matches_alone(pattern: &str, name: &[u8]) -> bool {
        let squeezed = |text: &[u8]| squeeze(text, &mut [0; NAME_BYTES]).to_vec();
        let (text, name) = (squeezed(pattern.trim_matches('*').as_bytes()), squeezed(name));
        match (pattern.starts_with('*'), pattern.ends_with('*')) {
            (false, false) => name == text,
            (true, false) => name.ends_with(&text),
            (false, true) => name.starts_with(&text),
            (true, true) => memchr::memmem::find(&name, &text).is_some(),
        }
    }

    proptest! {
        /// All patterns at once find what each of them finds.
        #[test]
        fn patterns_together_are_patterns_alone(
            patterns in prop::collection::vec("\\*?[abA_]{0,3}\\*?", 0..6),
            name in "[abAB_. \\[/]{0,12}|[a_]{250,270}",
        ) {
            let name = name.as_bytes();
            let together = Patterns::new(patterns.iter().map(String::as_str));
            let alone = |name: &[u8]| patterns.iter().any(|p| matches_alone(p, name));
            prop_assert_eq!(together.matches(name), alone(name));
            let by_part = name.split(|b| SEPARATORS.contains(b)).any(|part| !part.is_empty() && alone(part));
            prop_assert_eq!(together.match_path(name), alone(name) || by_part);
        }
    }
}
