//! Comments of SQL, C, HTML and shells: `replaceComments`, `removeComments`, `removeCommentsChar`.

use super::byte_set::ByteSet;
use super::patch::Patch;

pub(super) fn replace_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = find(input, from, b"/*") {
        // A comment that does not end takes the rest with it; no further search can follow, so this is linear.
        from = find(input, start + 2, b"*/").map_or(input.len(), |end| end + 2);
        patch.replace(start, from, b' ');
    }
    patch.finish()
}

pub(super) fn remove_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(at) = OPENERS.find(input, from) {
        let text = input.get(at..).unwrap_or_default();
        let opener = match text {
            [b'/', b'*', ..] => 2,
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'#', ..] | [b'-', b'-', ..] => {
                patch.cut(at, input.len());
                break;
            }
            _ => {
                from = at + 1;
                continue;
            }
        };
        let end = end_of_comment(input, at + opener);
        from = end.unwrap_or(input.len());
        let rest = patch.cut(at, from);
        match end {
            None => rest.push(b' '),
            // ModSecurity copies the byte after a comment; after the last one that is C's terminator.
            Some(end) if end == input.len() => rest.push(0),
            Some(_) => {}
        }
    }
    patch.finish()
}

pub(super) fn remove_comments_char(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(at) = MARKS.find(input, from) {
        let mark = match input.get(at..).unwrap_or_default() {
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', b'>', ..] => 3,
            [b'/', b'*', ..] | [b'*', b'/', ..] | [b'-', b'-', ..] => 2,
            [b'#', ..] => 1,
            _ => {
                from = at + 1;
                continue;
            }
        };
        from = at + mark;
        patch.cut(at, from);
    }
    patch.finish()
}

/// The offset of `needle` at or after `from`.
fn find(input: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(input.get(from..)?, needle).map(|i| from + i)
}

/// The offset after the first `*/` or `-->` at or after `from`: ModSecurity lets either end any comment. One search
/// for both, as two searches in turn would be quadratic when only one of them occurs.
fn end_of_comment(input: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr::memchr2(b'*', b'-', input.get(from..)?)?;
        match input.get(at..)? {
            [b'*', b'/', ..] => return Some(at + 2),
            [b'-', b'-', b'>', ..] => return Some(at + 3),
            _ => from = at + 1,
        }
    }
}

const OPENERS: ByteSet = ByteSet::of(b"/<-#");
const MARKS: ByteSet = ByteSet::of(b"/*<-#");
