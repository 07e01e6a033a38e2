//! The request target and the variables that are cut from it.
//!
//! ModSecurity v3 decodes the whole target once and cuts `REQUEST_URI`, `REQUEST_FILENAME` and
//! `REQUEST_BASENAME` from the decoded form. The same values are given here, except that the cut comes first: in
//! v3 a `%3F` in the path ends the path and hides what follows from `REQUEST_FILENAME`. Scheme and host of the
//! absolute form are in `REQUEST_URI_RAW` only, as in v2.

use memchr::memchr;
use std::borrow::Cow;

/// The four forms of RFC 9112 §3.2, and what fits none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only.
    Asterisk,
    /// None of these; treated as a path.
    Other,
}

/// A request target, taken apart without decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// As received (`REQUEST_URI_RAW`).
    pub raw: &'a [u8],
    /// Its form.
    pub form: TargetForm,
    /// Scheme of the absolute form, without the colon.
    pub scheme: Option<&'a [u8]>,
    /// Authority of the absolute and the authority form.
    pub authority: Option<&'a [u8]>,
    /// The path, not decoded. Empty for the authority form, and for `http://host`.
    pub path: &'a [u8],
    /// What follows the first `?` (`QUERY_STRING`), up to a fragment; not decoded.
    pub query: Option<&'a [u8]>,
    /// What follows the first `#`. A client must not send it (RFC 9112 §3.2); it goes nowhere.
    pub fragment: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes `raw` apart. Never fails: what is odd gets [`TargetForm::Other`].
    pub fn parse(method: &[u8], raw: &'a [u8]) -> Self {
        let (without_fragment, fragment) = split_at_byte(raw, b'#');
        let mut target = Target {
            raw,
            form: TargetForm::Other,
            scheme: None,
            authority: None,
            path: b"",
            query: None,
            fragment,
        };
        let rest = if without_fragment.first() == Some(&b'/') {
            target.form = TargetForm::Origin;
            without_fragment
        } else if let Some((scheme, authority, rest)) = split_absolute(without_fragment) {
            target.form = TargetForm::Absolute;
            target.scheme = Some(scheme);
            target.authority = Some(authority);
            rest
        } else if method == b"CONNECT" && is_authority(without_fragment) {
            target.form = TargetForm::Authority;
            target.authority = Some(without_fragment);
            &[]
        } else {
            if raw == b"*" && method == b"OPTIONS" {
                target.form = TargetForm::Asterisk;
            }
            without_fragment
        };
        (target.path, target.query) = split_at_byte(rest, b'?');
        target
    }

    /// `REQUEST_URI`: path and query without scheme, host and fragment, percent-decoded once.
    pub fn request_uri(&self) -> Cow<'a, [u8]> {
        let end = self.raw.len() - self.fragment.map_or(0, |f| f.len() + 1);
        let start = match self.form {
            TargetForm::Absolute => end - self.path.len() - self.query.map_or(0, |q| q.len() + 1),
            _ => 0,
        };
        match self.raw.get(start..end) {
            Some([]) | None if self.form == TargetForm::Absolute => Cow::Borrowed(b"/"),
            part => percent_decode(part.unwrap_or_default()),
        }
    }

    /// `REQUEST_FILENAME`, and `PATH_INFO` as v3 has it: the path, percent-decoded once.
    pub fn request_filename(&self) -> Cow<'a, [u8]> {
        match self.form {
            TargetForm::Absolute if self.path.is_empty() => Cow::Borrowed(b"/"),
            TargetForm::Authority => Cow::Borrowed(self.raw),
            _ => percent_decode(self.path),
        }
    }

    /// `REQUEST_BASENAME`: what follows the last `/` or `\` of the decoded path; empty when nothing does, or when
    /// there is neither.
    pub fn request_basename(&self) -> Cow<'a, [u8]> {
        let cut = |path: &[u8]| memchr::memrchr2(b'/', b'\\', path).map_or(path.len(), |at| at + 1);
        match self.request_filename() {
            Cow::Borrowed(path) => Cow::Borrowed(path.get(cut(path)..).unwrap_or_default()),
            Cow::Owned(mut path) => {
                path.drain(..cut(&path));
                Cow::Owned(path)
            }
        }
    }

    /// `QUERY_STRING`: as received, empty when there is none.
    pub fn query_string(&self) -> &'a [u8] {
        self.query.unwrap_or_default()
    }
}

/// Decodes each valid `%HH` once; everything else, `+` too, stays. Borrows when there is nothing to decode.
pub fn percent_decode(input: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', input).is_none() {
        return Cow::Borrowed(input);
    }
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = memchr(b'%', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        match tail {
            [_, high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(super::query::hex(*high) << 4 | super::query::hex(*low));
                rest = after;
            }
            [percent, after @ ..] => {
                out.push(*percent);
                rest = after;
            }
            [] => rest = tail,
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Before and after the first `byte`; the second is `None` when it does not occur.
fn split_at_byte(input: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(byte, input) {
        Some(at) => (input.get(..at).unwrap_or_default(), input.get(at + 1..)),
        None => (input, None),
    }
}

/// Scheme, authority and rest of `scheme://authority…` (RFC 3986 §3).
fn split_absolute(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = memchr(b':', input)?;
    let scheme = input.get(..colon)?;
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let after = input.get(colon + 1..)?.strip_prefix(b"//")?;
    if !is_scheme {
        return None;
    }
    let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
    Some((scheme, after.get(..end)?, after.get(end..)?))
}

/// Whether this looks like `host:port`.
fn is_authority(input: &[u8]) -> bool {
    let Some(at) = memchr::memrchr(b':', input) else { return false };
    let (host, port) = input.split_at(at);
    let port = port.get(1..).unwrap_or_default();
    !host.is_empty()
        && !host.iter().any(|b| matches!(b, b'/' | b'?' | b'@'))
        && !port.is_empty()
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basename_and_filename_are_cut_before_decoding() {
        let t = Target::parse(b"GET", b"/a/b%2Fc.php%3Fx?q=%2F/z#f");
        assert_eq!(&*t.request_filename(), b"/a/b/c.php?x");
        assert_eq!(&*t.request_basename(), b"c.php?x");
        assert_eq!(t.query_string(), b"q=%2F/z");
        assert_eq!(t.fragment, Some(&b"f"[..]));
        assert_eq!(&*t.request_uri(), b"/a/b/c.php?x?q=//z");
    }

    #[test]
    fn percent_decoding_keeps_what_is_invalid() {
        assert_eq!(&*percent_decode(b"%4%41%zz+%"), b"%4A%zz+%");
        assert!(matches!(percent_decode(b"a+b"), Cow::Borrowed(_)));
    }
}
