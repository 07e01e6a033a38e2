//! Comments of SQL, C, HTML and shells: `replaceComments`, `removeComments`, `removeCommentsChar`.

use super::byte_set::ByteSet;
use super::patch::{Patch, find_byte};

pub(super) fn replace_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = beginning(input, from) {
        // A comment that does not end takes the rest with it; no further search can follow, so this is linear.
        from = end(input, start + 2).unwrap_or(input.len());
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

/// The offset of the first `/*` at or after `from`. Slashes are common, stars are not.
fn beginning(input: &[u8], from: usize) -> Option<usize> {
    let mut star = from;
    loop {
        star = find_byte(input, star + 1, b'*')?;
        if input.get(star - 1) == Some(&b'/') {
            return Some(star - 1);
        }
    }
}

/// The offset after the first `*/` at or after `from`.
fn end(input: &[u8], from: usize) -> Option<usize> {
    let mut next = from;
    loop {
        next = find_byte(input, next, b'*')? + 1;
        if input.get(next) == Some(&b'/') {
            return Some(next + 1);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comments_are_found_as_by_looking_everywhere(
            pieces in proptest::collection::vec(proptest::sample::select(vec!["/", "*", "/*", "*/", "a", "word "]), 0..20)
        ) {
            let input = pieces.concat().into_bytes();
            let find = |from: usize, mark: &[u8; 2]| {
                (from..input.len()).find(|at| input[*at..].starts_with(mark))
            };
            let (mut wanted, mut from) = (Vec::new(), 0);
            while let Some(start) = find(from, b"/*") {
                wanted.extend_from_slice(&input[from..start]);
                wanted.push(b' ');
                from = find(start + 2, b"*/").map_or(input.len(), |end| end + 2);
            }
            wanted.extend_from_slice(&input[from..]);
            let mut out = Vec::new();
            let changed = replace_comments(&input, &mut out);
            prop_assert_eq!(changed, wanted != input);
            prop_assert!(!changed || out == wanted, "{:?}: {:?}, not {:?}", input, out, wanted);
        }
    }
}
