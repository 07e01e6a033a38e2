//! White space: `compressWhitespace`, `removeWhitespace`, `trim`, `trimLeft`, `trimRight`.

use super::byte_set::ByteSet;
use super::patch::Patch;

/// What C's `isspace` takes for white space: space, tab, line feed, vertical tab, form feed, carriage return.
pub(super) const SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");

/// What `removeWhitespace` removes: the no-break space as well, `A0` in ISO 8859-1 and `C2 A0` in UTF-8. Both bytes go
/// wherever they stand, as in ModSecurity 3.
pub(super) const SPACE_AND_NBSP: ByteSet = SPACE.union(ByteSet::of(b"\xc2\xa0"));

pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(start) = SPACE.find(input, from) {
        if let Some([b' ', next]) = input.get(start..start + 2)
            && !SPACE.contains(*next)
        {
            from = start + 2;
            continue;
        }
        let run = input.iter().skip(start).take_while(|b| SPACE.contains(**b)).count();
        if run > 1 || input.get(start) != Some(&b' ') {
            patch.replace(start, start + run, b' ');
        }
        from = start + run;
    }
    patch.finish()
}

pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    let mut from = 0;
    while let Some(at) = SPACE_AND_NBSP.find(input, from) {
        patch.cut(at, at + 1);
        from = at + 1;
    }
    patch.finish()
}

pub(super) fn trim(input: &[u8], out: &mut Vec<u8>) -> bool {
    keep(input, left(right(input)), out)
}

pub(super) fn trim_left(input: &[u8], out: &mut Vec<u8>) -> bool {
    keep(input, left(input), out)
}

pub(super) fn trim_right(input: &[u8], out: &mut Vec<u8>) -> bool {
    keep(input, right(input), out)
}

fn keep(input: &[u8], kept: &[u8], out: &mut Vec<u8>) -> bool {
    if kept.len() == input.len() {
        return false;
    }
    out.extend_from_slice(kept);
    true
}

fn left(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && SPACE.contains(*first)
    {
        value = rest;
    }
    value
}

fn right(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., last] = value
        && SPACE.contains(*last)
    {
        value = rest;
    }
    value
}
