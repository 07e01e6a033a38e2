//! libinjection's detection of SQL injection, for `@detectSQLi`.
//!
//! A value is read as SQL three ways: as it stands, and as the rest of a string in single or double quotes. Each
//! reading is cut into tokens (`tokenizer`, by the table in `bytes`), runs of tokens that mean no more than one are
//! folded into it (`fold`), and the kinds of the first five that remain are the fingerprint, which is looked up among
//! those known from attacks (`words`, `detect`). The arbiter is libinjection's C code: the same fingerprint for the
//! same bytes, quirks included. Each place that looks odd for this reason says so.
//!
//! The words and fingerprints are those of the crate `libinjectionrs`, a translation of the C code; its own
//! detector is not used because it differs from C in a few places (the tests name them) and is several times slower.
//!
//! Everything here takes time linear in the value and memory for eight tokens. This module must not know
//! operators, rules or transactions.

mod bytes;
mod detect;
mod fold;
mod fold_rules;
mod token;
mod tokenizer;
mod words;

#[cfg(test)]
mod tests;

pub use bytes::NEEDED;
pub use detect::{Fingerprint, detect, folded, tokens};
pub use token::{Kind, LONGEST, Token};
