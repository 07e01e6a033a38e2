//! Values that are never printed: a token, a password.

use super::place::{Place, read_bounded};
use super::reader::Section;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret. Compare in constant time; never print.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret that stands in the file as `key`, or in a file of its own as `key` with `_file`.
pub(super) fn read(
    section: &Section<'_>,
    key: &str,
    place: &mut Place<'_>,
    out: &mut Diagnostics,
) -> Option<Secret> {
    let file_key = format!("{key}_file");
    let inline = section.text(key, out);
    let file = place.existing(section, &file_key, out);
    match (inline, file) {
        (Some(_), Some(_)) => {
            let what = format!("`{key}` and `{file_key}` are two words for one thing; give one");
            out.push(Diagnostic::error("config-conflict", section.span(), what));
            None
        }
        (Some(secret), None) => Some(Secret::new(secret)),
        (None, Some(path)) => match read_bounded(&path) {
            Ok(text) => Some(Secret::new(text.trim())),
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                out.push(Diagnostic::error("config-unreadable", section.span(), what));
                None
            }
        },
        (None, None) => None,
    }
}
