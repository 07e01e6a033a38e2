//! The boundary in a multipart body's `Content-Type`, judged as strictly as ModSecurity does.

use crate::body::MultipartFlags;
use crate::http::MediaType;

/// What `Content-Type` says of the boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Boundary {
    /// The boundary without its two leading hyphens. With an error it is what a lenient recipient would take, so
    /// that the body can be looked at all the same; `None` when there is no such thing.
    pub(super) value: Option<Vec<u8>>,
    /// Why ModSecurity refuses it.
    pub(super) error: Option<&'static str>,
}

/// Reads the boundary of `content_type` and raises the flags that it deserves.
pub(super) fn read_boundary(content_type: &[u8], flags: &mut MultipartFlags) -> Boundary {
    match read_strictly(content_type, flags) {
        Ok(value) => Boundary { value: Some(value), error: None },
        Err(error) => {
            let lenient = MediaType::parse(content_type).boundary().map(<[u8]>::to_vec);
            let value = lenient.filter(|b| !b.is_empty() && b.len() <= MAX_BOUNDARY);
            Boundary { value, error: Some(error) }
        }
    }
}

const MAX_HEADER: usize = 1024;
const MAX_BOUNDARY: usize = MAX_HEADER;
const TYPE: &[u8] = b"multipart/form-data";
const WORD: &[u8] = b"boundary";

fn read_strictly(header: &[u8], flags: &mut MultipartFlags) -> Result<Vec<u8>, &'static str> {
    if header.is_empty() {
        return Err("Content-Type header not available.");
    }
    if header.len() > MAX_HEADER {
        return Err("Invalid boundary in C-T (length).");
    }
    if !header.get(..TYPE.len()).is_some_and(|t| t.eq_ignore_ascii_case(TYPE)) {
        return Err("Invalid MIME type.");
    }
    if count_boundary_params(header) > 1 {
        return Err("Multiple boundary parameters in C-T.");
    }
    let Some(at) = memchr::memmem::find(header, WORD) else {
        return Err(match count_boundary_params(header) {
            0 => "Boundary not found in C-T.",
            _ => "Invalid boundary in C-T (case sensitivity).",
        });
    };
    let mut semicolon = false;
    for &byte in header.get(TYPE.len()..at).unwrap_or_default() {
        match byte {
            b';' if !semicolon => semicolon = true,
            byte if is_space(byte) => {}
            _ => return Err("Invalid boundary in C-T (malformed)."),
        }
    }
    flags.missing_semicolon = !semicolon;
    let after = header.get(at + WORD.len()..).unwrap_or_default();
    let Some(equals) = memchr::memchr(b'=', after) else {
        return Err("Invalid boundary in C-T (malformed).");
    };
    let (gap, value) = (after.get(..equals).unwrap_or_default(), after.get(equals + 1..).unwrap_or_default());
    if !gap.iter().all(|b| is_space(*b)) {
        return Err("Invalid boundary in C-T (parameter name).");
    }
    if !gap.is_empty() || value.first().is_some_and(|b| is_space(*b)) {
        flags.boundary_whitespace = true;
    }
    let value = match value {
        [b'"', quoted @ .., b'"'] => {
            flags.boundary_quoted = true;
            quoted
        }
        [b'"', ..] | [_, .., b'"'] => return Err("Invalid boundary in C-T (quote)."),
        bare => bare,
    };
    if value.is_empty() {
        return Err("Invalid boundary in C-T (empty).");
    }
    if count_boundary_params(value) != 0 {
        return Err("Invalid boundary in C-T (content).");
    }
    // RFC 2046 §5.1.1: a space may not be the last character.
    let is_valid = |b: &u8| b.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(b);
    if !value.iter().all(is_valid) || value.ends_with(b" ") {
        return Err("Invalid boundary in C-T (characters).");
    }
    Ok(value.to_vec())
}

/// How often the word occurs with an `=` somewhere behind it.
fn count_boundary_params(header: &[u8]) -> usize {
    let lower = header.to_ascii_lowercase();
    let Some(last_equals) = memchr::memrchr(b'=', &lower) else { return 0 };
    memchr::memmem::find_iter(&lower, WORD).filter(|at| at + WORD.len() <= last_equals).count()
}

/// C's `isspace`.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
