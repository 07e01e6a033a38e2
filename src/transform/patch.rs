//! A changed copy of a value that is only written once there is a change, and a search for bytes of a range.

/// Writes `input` with parts replaced to `out`. As long as nothing is replaced, nothing is copied or allocated.
pub(super) struct Patch<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    /// How much of the input has been copied or replaced; `None` before the first replacement.
    copied: Option<usize>,
}

impl<'a> Patch<'a> {
    pub(super) fn new(input: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self { input, out, copied: None }
    }

    /// Leaves out `start..end` and returns where its replacement is to be appended. Parts must be given in
    /// order and must not overlap; the caller only cuts where the value does change.
    pub(super) fn cut(&mut self, start: usize, end: usize) -> &mut Vec<u8> {
        let from = match self.copied {
            Some(copied) => copied,
            None => {
                self.out.reserve(self.input.len());
                0
            }
        };
        if from < start {
            self.out.extend_from_slice(self.input.get(from..start).unwrap_or_default());
        }
        self.copied = Some(end);
        self.out
    }

    /// Replaces `start..end` by one byte.
    pub(super) fn replace(&mut self, start: usize, end: usize, byte: u8) {
        self.cut(start, end).push(byte);
    }

    /// Copies what is left. Whether anything was replaced.
    pub(super) fn finish(self) -> bool {
        let Some(copied) = self.copied else { return false };
        self.out.extend_from_slice(self.input.get(copied..).unwrap_or_default());
        true
    }
}

/// The offset of the first `byte` at or after `from`.
pub(super) fn find_byte(value: &[u8], from: usize, byte: u8) -> Option<usize> {
    let rest = value.get(from..)?;
    // Where one is found, the next is often its neighbour.
    if rest.first() == Some(&byte) {
        return Some(from);
    }
    memchr::memchr(byte, rest).map(|at| from + at)
}

/// The offset of the first byte at or after `from` between `low` and `high`, both included.
pub(super) fn find_in_range(value: &[u8], from: usize, low: u8, high: u8) -> Option<usize> {
    let rest = value.get(from..)?;
    let span = high.wrapping_sub(low);
    let inside = |b: &u8| b.wrapping_sub(low) <= span;
    // As above.
    if rest.first().is_some_and(inside) {
        return Some(from);
    }
    // Without an early exit inside a chunk the test compiles to vector instructions.
    let (chunks, tail) = rest.as_chunks::<32>();
    let skipped =
        chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |any, b| any | inside(b))).count();
    let at = match chunks.get(skipped) {
        Some(chunk) => chunk.iter().position(inside),
        None => tail.iter().position(inside),
    };
    at.map(|i| from + skipped * 32 + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpatched_value_allocates_nothing() {
        let mut out = Vec::new();
        assert!(!Patch::new(b"value", &mut out).finish());
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn parts_between_the_cuts_are_kept() {
        let mut out = Vec::new();
        let mut patch = Patch::new(b"0123456789", &mut out);
        patch.replace(0, 1, b'a');
        patch.cut(3, 5);
        patch.cut(5, 6).extend_from_slice(b"five");
        assert!(patch.finish());
        assert_eq!(out, b"a12five6789");
    }

    #[test]
    fn ranges_are_found_at_every_offset() {
        for at in 0..100 {
            let mut value = vec![b'a'; 100];
            value[at] = b'M';
            assert_eq!(find_in_range(&value, 0, b'A', b'Z'), Some(at));
            assert_eq!(find_in_range(&value, at, b'M', b'M'), Some(at));
            assert_eq!(find_in_range(&value, at + 1, b'A', b'Z'), None);
        }
        assert_eq!(find_in_range(b"", 0, 0, 255), None);
        assert_eq!(find_in_range(b"\x7f\x80", 0, 0x80, 0xff), Some(1));
    }
}
