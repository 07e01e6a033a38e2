//! The secrets of one transaction, and where they stand in a text.
//!
//! Two means work together. Values known to be secret (an argument called `password`, a cookie, credentials) are
//! looked for in every text of the record, whatever variable quotes them. And every text is scanned for
//! `name=value`, `"name": value` and `<name>value` with a secret's name, since a body that could not be parsed has
//! no arguments and may hold a password all the same.
//!
//! All of it is linear in the text, but for secrets which begin alike: their comparison has a budget, and a text
//! that uses it up is masked from there to its end.

use super::redaction::Names;
use super::shaped::shaped;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

/// What stands in the place of a secret.
pub const MASK: &str = "[redacted]";

/// Values that must not be shown.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    values: Vec<Vec<u8>>,
    /// More than can be looked for: every text that quotes the client is masked as a whole.
    overflow: bool,
}

impl Secrets {
    /// Adds a value that is looked for if it has at least `least` bytes: shorter ones would tear holes into
    /// everything, and are masked only where they stand as the secret itself.
    pub(super) fn add(&mut self, value: &[u8], least: usize) {
        let value = value.trim_ascii();
        if value.len() < least.max(1) || self.values.iter().any(|v| v == value) {
            return;
        }
        if self.values.len() >= SECRETS {
            self.overflow = true;
            return;
        }
        self.values.push(value.get(..SECRET_BYTES).unwrap_or(value).to_vec());
        if value.iter().any(|b| matches!(b, b'%' | b'+')) {
            self.add(&unescape(value), least);
        }
    }

    /// Arranges the values for search.
    pub(super) fn searcher(self) -> Searcher {
        self.searcher_with(FEW)
    }

    fn searcher_with(self, few: usize) -> Searcher {
        let mut by_start: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for value in self.values {
            let start = value.get(..START).unwrap_or(&value).to_ascii_lowercase();
            by_start.entry(start).or_default().push(value);
        }
        let (starts, values): (Vec<_>, Vec<_>) = by_start.into_iter().unzip();
        // Making an automaton takes longer than a record of a usual request does without one.
        let finder = match starts.len() {
            0 => Some(Finder::Nothing),
            n if n <= few => Some(Finder::Few(Box::new(Few::new(starts)))),
            _ => {
                let mut builder = AhoCorasickBuilder::new();
                builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
                // This fails only for more patterns than fit an index; then everything is masked.
                builder.build(&starts).ok().map(Finder::Many)
            }
        };
        let overflow = self.overflow || finder.is_none();
        Searcher { finder: finder.unwrap_or(Finder::Nothing), values, overflow }
    }
}

/// Secrets of one transaction that are looked for. A request with more of them is no one's login form.
const SECRETS: usize = 512;
/// Bytes of a secret that are compared. A longer secret is masked by its beginning and on to the end of the text.
const SECRET_BYTES: usize = 4_096;
/// Bytes by which a secret is found before it is compared.
const START: usize = 8;
/// Bytes compared for one text before the rest of it is masked.
const COMPARED: usize = 1 << 20;

/// Different beginnings of secrets that are looked for one by one. Most requests have a few cookies.
const FEW: usize = 16;

/// Finds secrets in texts.
#[derive(Debug)]
pub(super) struct Searcher {
    finder: Finder,
    /// For each beginning that `finder` knows the secrets that begin so.
    values: Vec<Vec<Vec<u8>>>,
    overflow: bool,
}

/// Finds where a secret may begin.
#[derive(Debug)]
enum Finder {
    Nothing,
    Few(Box<Few>),
    Many(AhoCorasick),
}

/// A few beginnings in lower case, with a filter in front: for each byte, of which beginnings it is the first or
/// the second. A beginning's bit is its index modulo eight.
#[derive(Debug)]
struct Few {
    starts: Vec<Vec<u8>>,
    first: [u8; 256],
    second: [u8; 256],
}

impl Few {
    fn new(starts: Vec<Vec<u8>>) -> Self {
        let (mut first, mut second) = ([0; 256], [0; 256]);
        for (index, start) in starts.iter().enumerate() {
            let bit = 1 << (index % 8);
            let set = |table: &mut [u8; 256], byte: u8| {
                for byte in [byte, byte.to_ascii_uppercase()] {
                    if let Some(bits) = table.get_mut(usize::from(byte)) {
                        *bits |= bit;
                    }
                }
            };
            match start.as_slice() {
                [] => {}
                [one] => {
                    set(&mut first, *one);
                    second.iter_mut().for_each(|bits| *bits |= bit);
                }
                [one, two, ..] => {
                    set(&mut first, *one);
                    set(&mut second, *two);
                }
            }
        }
        Self { starts, first, second }
    }

    /// Calls `found` with each beginning in `text`, its index and its place, until that says no. Says whether it
    /// never did.
    fn each(&self, text: &[u8], mut found: impl FnMut(usize, usize) -> bool) -> bool {
        let bits = |table: &[u8; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
        let mut from = 0;
        loop {
            let left = text.get(from..).unwrap_or_default();
            let pair =
                |pair: &[u8]| matches!(pair, [a, b] if bits(&self.first, *a) & bits(&self.second, *b) != 0);
            // Behind the last byte stands nothing; a beginning of one byte has any second one.
            let Some(at) = left.windows(2).position(pair).or(left.len().checked_sub(1)) else { return true };
            let at = from + at;
            from = at + 1;
            let rest = text.get(at..).unwrap_or_default();
            for (index, start) in self.starts.iter().enumerate() {
                let begins = rest.get(..start.len()).is_some_and(|b| b.eq_ignore_ascii_case(start));
                if begins && !found(index, at) {
                    return false;
                }
            }
        }
    }
}

impl Searcher {
    /// Where secrets stand in `text`, in order and apart from each other; none when all of it is to be masked.
    pub(super) fn hidden(&self, text: &[u8], names: &Names) -> Option<Vec<Range<usize>>> {
        if self.overflow {
            return None;
        }
        let mut ranges = named_values(text, names);
        self.known_values(text, &mut ranges);
        ranges.retain(|r| r.start < r.end);
        ranges.sort_by_key(|r| r.start);
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        Some(apart)
    }

    /// `text` with every secret masked.
    pub(super) fn mask<'a>(&self, text: &'a [u8], names: &Names) -> Cow<'a, [u8]> {
        if self.overflow {
            return Cow::Borrowed(if text.is_empty() { b"" } else { MASK.as_bytes() });
        }
        let mut ranges = named_values(text, names);
        self.known_values(text, &mut ranges);
        shaped(text, &mut ranges);
        replace(text, ranges)
    }

    fn known_values(&self, text: &[u8], ranges: &mut Vec<Range<usize>>) {
        let mut budget = COMPARED;
        // Says no when the budget is used up.
        let mut compare = |index: usize, start: usize| {
            let rest = text.get(start..).unwrap_or_default();
            for secret in self.values.get(index).map_or(&[][..], Vec::as_slice) {
                // A text may have been cut in the middle of a secret.
                let length = secret.len().min(rest.len());
                let Some(left) = budget.checked_sub(length) else {
                    ranges.push(start..text.len());
                    return false;
                };
                budget = left;
                let same = rest
                    .get(..length)
                    .zip(secret.get(..length))
                    .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
                if same {
                    let end = if secret.len() == SECRET_BYTES { text.len() } else { start + length };
                    ranges.push(start..end);
                }
            }
            true
        };
        let is_searched = match &self.finder {
            Finder::Nothing => return,
            Finder::Few(few) => few.each(text, compare),
            Finder::Many(finder) => finder
                .find_overlapping_iter(text)
                .all(|found| compare(found.pattern().as_usize(), found.start())),
        };
        if is_searched {
            self.cut_values(text, ranges);
        }
    }

    /// A text that was cut within the first bytes of a secret, where `finder` cannot see it.
    fn cut_values(&self, text: &[u8], ranges: &mut Vec<Range<usize>>) {
        for length in (CUT..START).rev() {
            let Some(tail) = text.len().checked_sub(length).and_then(|at| text.get(at..)) else { continue };
            let begins = |s: &Vec<u8>| {
                s.len() > length && s.get(..length).is_some_and(|b| b.eq_ignore_ascii_case(tail))
            };
            if self.values.iter().flatten().any(begins) {
                ranges.push(text.len() - length..text.len());
                return;
            }
        }
    }
}

/// A cut secret of fewer bytes than this is left: it gives away too little to tear at every word's end.
const CUT: usize = 4;

/// Where values of secret names stand in free text.
pub(super) fn named_values(text: &[u8], names: &Names) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let mut escaped = escaped_equals(text, 0);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let plain = memchr::memchr3(b'=', b':', b'>', rest).map(|step| at + step);
        if escaped.is_some_and(|escaped| escaped < at) {
            escaped = escaped_equals(text, at);
        }
        let Some(here) = plain.into_iter().chain(escaped).min() else { break };
        let before = text.get(..here).unwrap_or_default();
        let mut next = here + 1;
        let value = match text.get(here) {
            Some(b'>') => {
                element(before).filter(|name| names.argument(name)).map(|_| until(text, next, b"<"))
            }
            Some(b'%') => {
                next = here + ESCAPED_EQUALS.len();
                names.argument(&word(before)).then(|| until(text, next, b"&\"'< \r\n"))
            }
            Some(sign) => pair(text, before, here, *sign, names),
            None => None,
        };
        if let Some(range) = value {
            next = next.max(range.end);
            ranges.push(range);
        }
        at = next;
    }
    ranges
}

/// `=` in a URL.
const ESCAPED_EQUALS: &[u8] = b"%3d";

/// Where the next [`ESCAPED_EQUALS`] stands, in either case, not before `from`.
fn escaped_equals(text: &[u8], from: usize) -> Option<usize> {
    static START: LazyLock<memchr::memmem::Finder<'static>> =
        LazyLock::new(|| memchr::memmem::Finder::new("%3"));
    let rest = text.get(from..)?;
    let is_whole = |at: &usize| {
        rest.get(*at..at + ESCAPED_EQUALS.len()).is_some_and(|e| e.eq_ignore_ascii_case(ESCAPED_EQUALS))
    };
    START.find_iter(rest).find(is_whole).map(|at| from + at)
}

/// The value after the sign at `here`, if the name before it is a secret's.
fn pair(text: &[u8], before: &[u8], here: usize, sign: u8, names: &Names) -> Option<Range<usize>> {
    let name = word(before);
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = here + 1;
    let start = start + text.get(start..)?.iter().take_while(|b| blank(b)).count();
    if sign == b'=' && name.eq_ignore_ascii_case(b"name") {
        return part(text, start, names);
    }
    if sign == b':' && names.header(&name) {
        return Some(until(text, start, b"\r\n"));
    }
    if !names.argument(&name) {
        return None;
    }
    Some(match text.get(start)? {
        quote @ (b'"' | b'\'') => quoted(text, start + 1, *quote),
        b'[' | b'{' => start..bracketed(text, start),
        // In a query string or form a value runs to the next `&`, whatever it holds; in other text it is a word.
        _ if sign == b'=' => until(text, start, b"&\"<> \t\r\n"),
        _ => until(text, start, b"&;,\"'<>)}] \t\r\n"),
    })
}

/// The content of a multipart part: `start` is after `name=` in its `Content-Disposition`.
fn part(text: &[u8], start: usize, names: &Names) -> Option<Range<usize>> {
    let near = text.get(..start + PART_HEAD).unwrap_or(text);
    let name = match text.get(start)? {
        quote @ (b'"' | b'\'') => quoted(near, start + 1, *quote),
        _ => until(near, start, b";\r\n "),
    };
    if !names.argument(text.get(name.clone())?) {
        return None;
    }
    let rest = text.get(name.end..)?;
    let head = rest.get(..PART_HEAD).unwrap_or(rest);
    let blank = memchr::memmem::find(head, b"\r\n\r\n").map(|i| i + 4);
    let blank = blank.or_else(|| memchr::memmem::find(head, b"\n\n").map(|i| i + 2))?;
    let content = name.end + blank;
    let end = memchr::memmem::find(text.get(content..)?, b"\n--").map_or(text.len(), |i| content + i);
    Some(content..end)
}

/// Bytes of a part's header in which its name's and its own end are looked for.
const PART_HEAD: usize = 1_024;

/// The word that ends `before`, blanks and quotes around it left out, percent escapes undone.
fn word(before: &[u8]) -> Cow<'_, [u8]> {
    let before = before.get(before.len().saturating_sub(WORD)..).unwrap_or_default();
    let trimmed = before.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b"\\\"").or(trimmed.strip_suffix(b"\"")).unwrap_or(trimmed);
    let trimmed = trimmed.strip_suffix(b"'").unwrap_or(trimmed);
    let in_word = |b: &u8| {
        b.is_ascii_alphanumeric()
            || *b >= 0x80
            || matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'%' | b'+' | b':')
    };
    let length = trimmed.iter().rev().take_while(|b| in_word(b)).count();
    let word = trimmed.get(trimmed.len() - length..).unwrap_or_default();
    if word.iter().any(|b| matches!(b, b'%' | b'+')) { unescape(word).into() } else { word.into() }
}

/// Bytes before a sign in which its name is looked for.
const WORD: usize = 128;

/// The name of the element whose tag `before` would close.
fn element(before: &[u8]) -> Option<&[u8]> {
    let near = before.get(before.len().saturating_sub(TAG)..)?;
    let open = near.iter().rposition(|b| *b == b'<')?;
    let tag = near.get(open + 1..)?;
    let end = tag.iter().position(|b| b.is_ascii_whitespace() || *b == b'/').unwrap_or(tag.len());
    tag.get(..end).filter(|name| !name.is_empty())
}

/// Bytes before a `>` in which its `<` is looked for.
const TAG: usize = 512;

fn until(text: &[u8], start: usize, ends: &[u8]) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    start..start + rest.iter().position(|b| ends.contains(b)).unwrap_or(rest.len())
}

fn quoted(text: &[u8], start: usize, quote: u8) -> Range<usize> {
    let mut escaped = false;
    for (i, byte) in text.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b if *b == quote => return start..i,
            _ => {}
        }
    }
    start..text.len()
}

/// After the bracket which closes the one at `start`; brackets within strings do not count.
fn bracketed(text: &[u8], start: usize) -> usize {
    let (mut depth, mut string, mut escaped) = (0_usize, false, false);
    for (i, byte) in text.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => string = !string,
            _ if string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Undoes `%HH` and `+` once; what is no escape stays.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let hex = match tail {
            [high, low, ..] if first == b'%' => {
                char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16))
            }
            _ => None,
        };
        match hex {
            Some((high, low)) => {
                out.push(u8::try_from(high << 4 | low).unwrap_or(b'?'));
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    out
}

fn replace(text: &[u8], mut ranges: Vec<Range<usize>>) -> Cow<'_, [u8]> {
    ranges.retain(|r| r.start < r.end);
    if ranges.is_empty() {
        return text.into();
    }
    ranges.sort_by_key(|r| r.start);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut ranges = ranges.into_iter().peekable();
    while let Some(range) = ranges.next() {
        let mut end = range.end;
        while let Some(next) = ranges.next_if(|next| next.start <= end) {
            end = end.max(next.end);
        }
        out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(MASK.as_bytes());
        at = end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::super::redaction::Redaction;
    use super::*;
    use proptest::prelude::*;

    fn mask(text: &str, values: &[&str]) -> String {
        let names = Names::new(&Redaction::default());
        let mut secrets = Secrets::default();
        for value in values {
            secrets.add(value.as_bytes(), 4);
        }
        String::from_utf8_lossy(&secrets.searcher().mask(text.as_bytes(), &names)).into_owned()
    }

    #[test]
    fn values_of_secret_names_are_masked_in_any_text() {
        for (text, expected) in [
            ("/login?user=joe&password=hunter2&x=1", "/login?user=joe&password=[redacted]&x=1"),
            ("user=joe&pass%77ord=a;b", "user=joe&pass%77ord=[redacted]"),
            (
                "{\"user\":\"joe\",\"password\" : \"hun\\\"ter\",\"n\":1}",
                "{\"user\":\"joe\",\"password\" : \"[redacted]\",\"n\":1}",
            ),
            ("{\"pin\":1234,\"a\":2}", "{\"pin\":[redacted],\"a\":2}"),
            ("{\"tokens\":[\"a]\",[\"b\"]],\"a\":2}", "{\"tokens\":[redacted],\"a\":2}"),
            (
                "<u>joe</u><ns:Password t=\"x\">hunter2</ns:Password>",
                "<u>joe</u><ns:Password t=\"x\">[redacted]</ns:Password>",
            ),
            ("Authorization: Basic am9lOmh1bnRlcg==\r\nHost: x", "Authorization: [redacted]\r\nHost: x"),
            ("name=\"password\"\r\n\r\nhunter2\r\n--b", "name=\"password\"\r\n\r\n[redacted]\n--b"),
            ("password%3Dhunter2&x", "password%3D[redacted]&x"),
            ("a=b&c=d: e=f>g", "a=b&c=d: e=f>g"),
            ("password=", "password="),
        ] {
            assert_eq!(mask(text, &[]), expected);
        }
    }

    #[test]
    fn known_values_are_masked_wherever_they_stand() {
        assert_eq!(mask("x Hunter2-long y hunter2-LONG", &["hunter2-long"]), "x [redacted] y [redacted]");
        assert_eq!(mask("found within hunter2-lo", &["hunter2-long"]), "found within [redacted]");
        assert_eq!(mask("found within hunt", &["hunter2-long"]), "found within [redacted]");
        assert_eq!(mask("abcdabcd", &["abcd"]), "[redacted]");
        assert_eq!(mask("my pass", &["my+pass"]), "[redacted]");
        assert_eq!(mask("abc", &["abc"]), "abc");
    }

    #[test]
    fn hostile_secrets_are_masked_and_bounded() {
        let names = Names::new(&Redaction::default());
        let mut secrets = Secrets::default();
        for i in 0..SECRETS {
            secrets.add(format!("{}{i}", "a".repeat(2_000)).as_bytes(), 4);
        }
        let searcher = secrets.searcher();
        let text = "a".repeat(100_000);
        let masked = searcher.mask(text.as_bytes(), &names);
        assert!(masked.ends_with(MASK.as_bytes()) && masked.len() < 1_000);

        let mut too_many = Secrets::default();
        for i in 0..=SECRETS {
            too_many.add(format!("secret{i}").as_bytes(), 4);
        }
        assert_eq!(&too_many.searcher().mask(b"anything", &names)[..], MASK.as_bytes());
    }

    proptest! {
        /// Few secrets are found as many are.
        #[test]
        fn both_ways_of_searching_find_the_same(
            values in prop::collection::vec("[abA]{1,3}|[abA]{7,10}|[ab]\\+[ab]", 0..20),
            text in "[abAB =]{0,60}",
        ) {
            let secrets = || {
                let mut secrets = Secrets::default();
                for value in &values {
                    secrets.add(value.as_bytes(), 1);
                }
                secrets
            };
            let names = Names::new(&Redaction::default());
            let (few, many) = (secrets().searcher_with(usize::MAX), secrets().searcher_with(0));
            prop_assert_eq!(few.mask(text.as_bytes(), &names), many.mask(text.as_bytes(), &names));
        }
    }
}
