//! The `Cookie` header, taken apart as ModSecurity does. Values are never decoded.

use super::Pairs;
use memchr::memchr;

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
/// whether the limit left some out.
///
/// As in ModSecurity v3, white space before a name and after the last cookie is dropped, a piece without `=` is a
/// name with an empty value, and cookies with empty names are left out, though browsers send them (`=value`).
/// Applications see such a value nowhere but in the raw header, and rules see it there.
pub fn parse_cookies(
    value: &[u8],
    format: CookieFormat,
    separator: u8,
    limit: usize,
    out: &mut Pairs,
) -> bool {
    match format {
        CookieFormat::Netscape => parse_netscape(value, separator, limit, out),
        CookieFormat::Version1 => parse_version1(value, limit, out),
    }
}

fn parse_netscape(value: &[u8], separator: u8, limit: usize, out: &mut Pairs) -> bool {
    for piece in value.trim_ascii_end().split(|b| *b == separator) {
        let at = memchr(b'=', piece).unwrap_or(piece.len());
        let name = trim_start(piece.get(..at).unwrap_or_default());
        if name.is_empty() {
            continue;
        }
        if out.len() >= limit || !out.push(name, piece.get(at + 1..).unwrap_or_default()) {
            return true;
        }
    }
    false
}

fn parse_version1(value: &[u8], limit: usize, out: &mut Pairs) -> bool {
    let mut rest = value;
    let mut cookie: &[u8] = b"";
    let mut name_buffer = Vec::new();
    let mut value_buffer = Vec::new();
    while !rest.is_empty() {
        rest = trim_start(rest);
        let end = rest.iter().position(|b| matches!(b, b'=' | b';' | b',')).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim_ascii_end();
        let has_value = rest.get(end) == Some(&b'=');
        rest = rest.get(end + 1..).unwrap_or_default();
        value_buffer.clear();
        if has_value {
            rest = read_value(rest, &mut value_buffer);
        }
        name_buffer.clear();
        match name {
            [] => continue,
            [b'$', attribute @ ..] if !cookie.is_empty() => {
                name_buffer.push(b'$');
                name_buffer.extend_from_slice(cookie);
                name_buffer.push(b'.');
                name_buffer.extend_from_slice(attribute);
            }
            [b'$', ..] => name_buffer.extend_from_slice(name),
            _ => {
                cookie = name;
                name_buffer.extend_from_slice(name);
            }
        }
        if out.len() >= limit || !out.push(&name_buffer, &value_buffer) {
            return true;
        }
    }
    false
}

/// Reads a value, quoted or not, into `out`; gives what follows its separator.
fn read_value<'a>(input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut rest = trim_start(input);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        rest = quoted;
        loop {
            match rest {
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

/// Without leading white space as C's `isspace` sees it (with vertical tab, which Rust's does not count).
fn trim_start(input: &[u8]) -> &[u8] {
    let at = input.iter().position(|b| !matches!(b, b' ' | b'\t'..=b'\r')).unwrap_or(input.len());
    input.get(at..).unwrap_or_default()
}
