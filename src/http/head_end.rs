//! Where a head ends, in bytes that may still be coming.

use memchr::memchr;

/// The offset after the empty line that ends a head, if it has come. Bare LF ends lines too, so that a head with
/// them is read and refused instead of waited for. Empty lines at the beginning end nothing.
pub fn find_head_end(bytes: &[u8]) -> Option<usize> {
    HeadScan::default().find(bytes)
}

/// [`find_head_end`] for a growing buffer: each call looks only at what is new.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    seen: usize,
    started: bool,
}

impl HeadScan {
    /// Looks at `bytes`, which must begin with what the last call was given.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.started {
            let fresh = bytes.get(self.seen..).unwrap_or_default();
            let empty = fresh.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            self.seen += empty;
            self.started = empty < fresh.len();
        }
        while let Some(at) = memchr(b'\n', bytes.get(self.seen..).unwrap_or_default()) {
            let lf = self.seen + at;
            match bytes.get(lf + 1..).unwrap_or_default() {
                [b'\n', ..] => return Some(lf + 2),
                [b'\r', b'\n', ..] => return Some(lf + 3),
                // Too little to tell: look at this LF again when there is more.
                [] | [b'\r'] => {
                    self.seen = lf;
                    return None;
                }
                _ => self.seen = lf + 1,
            }
        }
        self.seen = self.seen.max(bytes.len());
        None
    }
}
