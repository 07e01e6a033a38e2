//! The `Cookie` header as ModSecurity v3 takes it apart. Values are neither decoded nor unquoted.

use super::Pairs;

/// `SecCookieFormat`: the syntax of cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieFormat {
    /// 0: Netscape's, which everybody sends.
    #[default]
    Netscape,
    /// 1: RFC 2965's, with `$Version` and quoted values.
    Version1,
}

/// Appends the cookies of one `Cookie` header's value to `out`, at most until `out` holds `limit` pairs; says
/// whether the limit left some out.
pub fn parse_cookies(
    value: &[u8],
    format: CookieFormat,
    separator: u8,
    limit: usize,
    out: &mut Pairs,
) -> bool {
    let _ = format;
    for piece in value.split(|b| *b == separator) {
        let piece = piece.trim_ascii_start();
        if piece.is_empty() {
            continue;
        }
        if out.len() >= limit {
            return true;
        }
        let at = piece.iter().position(|b| *b == b'=').unwrap_or(piece.len());
        out.push(piece.get(..at).unwrap_or_default(), piece.get(at + 1..).unwrap_or_default());
    }
    false
}
