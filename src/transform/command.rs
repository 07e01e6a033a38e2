//! `cmdLine`.

use super::byte_set::ByteSet;
use super::patch::Patch;

/// What is removed.
const QUOTES: ByteSet = ByteSet::of(b"\"'\\^");
/// What becomes one space, or nothing before `/` and `(`.
const SEPARATORS: ByteSet = ByteSet::of(b" ,;\t\r\n");
const GAP: ByteSet = QUOTES.union(SEPARATORS);

/// A space before any other byte stays as it is, which is the common case.
const AFTER_A_CHANGED_SPACE: ByteSet = GAP.union(ByteSet::of(b"/("));

/// The bytes that can make a difference.
pub(super) const CHANGEABLE: ByteSet = GAP.union(ByteSet::range(b'A', b'Z'));

pub(super) fn cmd_line(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = CHANGEABLE.find(input, from) {
        let text = input.get(start..).unwrap_or_default();
        if let [b' ', next, ..] = text
            && !AFTER_A_CHANGED_SPACE.contains(*next)
        {
            from = start + 1;
            continue;
        }
        // Removed bytes do not interrupt a run of separators.
        let length = text.iter().take_while(|b| GAP.contains(**b)).count();
        let (gap, rest) = text.split_at(length);
        from = start + length.max(1);
        if gap.is_empty() {
            patch.cut(start, from).extend(text.first().map(u8::to_ascii_lowercase));
            continue;
        }
        let space = gap.iter().any(|b| SEPARATORS.contains(*b)) && !matches!(rest.first(), Some(b'/' | b'('));
        if gap != b" " || !space {
            patch.cut(start, from).extend(space.then_some(b' '));
        }
    }
    patch.finish()
}
