//! What has been found in the body so far, with the limits on it.

use crate::body::{BodyLimits, LimitHit, ParsedBody};
use crate::limits;

/// What has been found so far.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) limits: BodyLimits,
    pub(super) body: ParsedBody,
}

impl Found {
    /// Adds an argument. Those beyond the limit become the value of one more with an empty name, so that the limit
    /// is no place to hide in.
    pub(super) fn argument(&mut self, name: &[u8], value: &[u8]) {
        let args = &mut self.body.args;
        let limit = self.limits.arguments;
        if args.len() < limit {
            if !args.push(name, value) {
                self.hit(LimitHit::Arguments);
            }
            return;
        }
        let is_first = args.len() == limit;
        if !is_first || args.push(b"", b"") {
            args.extend_last(|rest| {
                if !is_first {
                    rest.push(b'&');
                }
                rest.extend_from_slice(name);
                rest.push(b'=');
                rest.extend_from_slice(value);
            });
        }
        self.hit(LimitHit::Arguments);
    }

    /// Notes a limit once.
    pub(super) fn hit(&mut self, limit: LimitHit) {
        self.body.hit(limit);
    }

    /// Notes what is wrong; the first reason is the one that is told.
    pub(super) fn fail(&mut self, reason: &str) {
        self.body.flags.error = true;
        self.body.error.get_or_insert_with(|| format!("Multipart parsing error: Multipart: {reason}"));
    }

    /// [`Self::fail`] with the beginning of what was met.
    pub(super) fn fail_quoting(&mut self, reason: &str, met: &[u8]) {
        self.body.flags.error = true;
        if self.body.error.is_none() {
            let met = met.get(..limits::ERROR_QUOTE_BYTES).unwrap_or(met);
            self.fail(&format!("{reason}{}", String::from_utf8_lossy(met).trim_end()));
        }
    }
}
