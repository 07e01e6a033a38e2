//! libinjection: `@detectSQLi` and `@detectXSS`.

use super::registry::{Built, Capture, Found, Lookup, Operator, Outcome, Resources};
use libinjectionrs::{SqliFlags, SqliState};
use std::sync::Arc;

/// `@detectSQLi`.
pub(super) fn sqli(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Sqli))
}

/// `@detectXSS`.
pub(super) fn xss(_: Option<&str>, _: &dyn Resources) -> Built {
    Ok(Arc::new(Xss))
}

/// `TX.0` is the fingerprint.
#[derive(Debug)]
struct Sqli;

impl Operator for Sqli {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let mut state = SqliState::new(input, SqliFlags::FLAG_NONE);
        if !state.detect() {
            return Outcome::NoMatch;
        }
        if found.want_captures {
            let fingerprint = state.fingerprint.iter().copied().take_while(|b| *b != 0).collect();
            found.captures.push(Capture::Text(fingerprint));
        }
        Outcome::Match
    }
}

/// `TX.0` is the whole input.
#[derive(Debug)]
struct Xss;

impl Operator for Xss {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        if !libinjectionrs::detect_xss(input).is_injection() {
            return Outcome::NoMatch;
        }
        if found.want_captures {
            found.captures.push(Capture::Input(0..input.len()));
        }
        found.matched = Some(0..input.len());
        Outcome::Match
    }
}
