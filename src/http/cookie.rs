//! The `Cookie` header, taken apart as ModSecurity does, and as readers of the older syntaxes do. Percent-encoding is
//! never undone.

use super::Pairs;
use memchr::memchr;
use std::collections::HashSet;

/// The separator of cookies unless `SecCookieV0Separator` says otherwise.
pub const COOKIE_SEPARATOR: u8 = b';';

/// `SecCookieFormat`: the syntax of cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieFormat {
    /// 0: Netscape's, which everybody sends. Quotes belong to the value.
    #[default]
    Netscape,
    /// 1: RFC 2965's: values may be quoted strings (given without their quotes), `,` separates too, and an
    /// attribute such as `$Path` is listed as `$name.Path` of the cookie before it, as ModSecurity v2 does.
    Version1,
}

/// Appends the cookies of one `Cookie` header's value to `out`, at most until `out` holds `limit` pairs; says
/// whether there were more. Those are then one more pair with an empty name and the rest of the header as its value:
/// a limit on what rules look at one by one must not be a place to hide in.
///
/// As in ModSecurity v3, white space before a name and after the last cookie is dropped, and a piece without `=` is a
/// name with an empty value. Unlike there, a cookie with an empty name (`=value`, which browsers send) is kept, for
/// some frameworks hand it on. Where values are quoted, what readers of the older syntaxes make of them follows: quoted
/// strings that run over separators (RFC 2965), with what their backslashes escape, also in octal (Python). An attack
/// is seen whichever reader the application has.
pub fn parse_cookies(
    value: &[u8],
    format: CookieFormat,
    separator: u8,
    limit: usize,
    out: &mut Pairs,
) -> bool {
    let is_cut = match format {
        CookieFormat::Netscape => parse_netscape(value, separator, limit, out),
        CookieFormat::Version1 => parse_version1(value, Escapes::Quoted, limit, out),
    };
    if memchr(b'"', value).is_some() && memchr(b'\\', value).is_some() {
        let mut others = Pairs::new();
        let room = limit.saturating_sub(out.len());
        for escapes in [Escapes::Quoted, Escapes::Octal] {
            parse_version1(value, escapes, room, &mut others);
        }
        let mut known: HashSet<(Vec<u8>, Vec<u8>)> =
            out.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        for (name, value) in others.iter() {
            if known.insert((name.to_vec(), value.to_vec())) {
                out.push(name, value);
            }
        }
    }
    is_cut
}

/// What a backslash in a quoted string stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    /// Any byte, which stands for itself (RFC 2109).
    Quoted,
    /// Besides, three octal digits, which stand for one byte (Python's `http.cookies`).
    Octal,
}

fn parse_netscape(value: &[u8], separator: u8, limit: usize, out: &mut Pairs) -> bool {
    let mut rest = value.trim_ascii_end();
    let pieces = memchr::memchr_iter(separator, rest).count() + 1;
    out.reserve(pieces.min(limit.saturating_sub(out.len()).saturating_add(1)), rest.len());
    while !rest.is_empty() {
        let end = memchr(separator, rest).unwrap_or(rest.len());
        let piece = rest.get(..end).unwrap_or_default();
        let at = memchr(b'=', piece).unwrap_or(piece.len());
        let name = trim_start(piece.get(..at).unwrap_or_default());
        let content = piece.get(at + 1..).unwrap_or_default();
        if !name.is_empty() || !content.is_empty() {
            if out.len() >= limit {
                out.push(b"", rest);
                return true;
            }
            if !out.push(name, content) {
                return true;
            }
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    false
}

fn parse_version1(value: &[u8], escapes: Escapes, limit: usize, out: &mut Pairs) -> bool {
    let mut rest = value;
    let mut cookie: &[u8] = b"";
    let mut name_buffer = Vec::new();
    let mut value_buffer = Vec::new();
    while !rest.is_empty() {
        rest = trim_start(rest);
        let all = rest;
        let end = rest.iter().position(|b| matches!(b, b'=' | b';' | b',')).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim_ascii_end();
        let has_value = rest.get(end) == Some(&b'=');
        rest = rest.get(end + 1..).unwrap_or_default();
        value_buffer.clear();
        if has_value {
            rest = read_value(rest, escapes, &mut value_buffer);
        }
        name_buffer.clear();
        match name {
            [] if value_buffer.is_empty() => continue,
            [b'$', attribute @ ..] if !cookie.is_empty() => {
                name_buffer.push(b'$');
                name_buffer.extend_from_slice(cookie.get(..MAX_PREFIX).unwrap_or(cookie));
                name_buffer.push(b'.');
                name_buffer.extend_from_slice(attribute);
            }
            [b'$', ..] => name_buffer.extend_from_slice(name),
            _ => {
                cookie = name;
                name_buffer.extend_from_slice(name);
            }
        }
        if out.len() >= limit {
            out.push(b"", all);
            return true;
        }
        if !out.push(&name_buffer, &value_buffer) {
            return true;
        }
    }
    false
}

/// Reads a value, quoted or not, into `out`; gives what follows its separator.
fn read_value<'a>(input: &'a [u8], escapes: Escapes, out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = trim_start(input);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        rest = quoted;
        loop {
            match rest {
                [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]
                    if escapes == Escapes::Octal =>
                {
                    // The digits are at most 3, 7 and 7: a byte.
                    out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                    rest = after;
                }
                [b'\\', escaped, after @ ..] => {
                    out.push(*escaped);
                    rest = after;
                }
                [b'"', after @ ..] => {
                    rest = after;
                    break;
                }
                [byte, after @ ..] => {
                    out.push(*byte);
                    rest = after;
                }
                [] => break,
            }
        }
    }
    let end = rest.iter().position(|b| matches!(b, b';' | b',')).unwrap_or(rest.len());
    // What stands between a closing quote and the separator belongs to nothing by the RFC; dropped it would be
    // hidden from rules, so it stays part of the value.
    out.extend_from_slice(rest.get(..end).unwrap_or_default().trim_ascii_end());
    rest.get(end + 1..).unwrap_or_default()
}

/// Bytes of a cookie's name that its attributes' names repeat. A longer one would be repeated by each of a thousand.
const MAX_PREFIX: usize = 256;

/// Without leading white space as C's `isspace` sees it (with vertical tab, which Rust's does not count).
fn trim_start(input: &[u8]) -> &[u8] {
    let at = input.iter().position(|b| !matches!(b, b' ' | b'\t'..=b'\r')).unwrap_or(input.len());
    input.get(at..).unwrap_or_default()
}
