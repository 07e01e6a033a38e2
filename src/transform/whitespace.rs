//! White space: `compressWhitespace`, `removeWhitespace`, `trim`, `trimLeft`, `trimRight`.

use super::byte_set::ByteSet;

/// What C's `isspace` takes for white space: space, tab, line feed, vertical tab, form feed, carriage return.
pub(super) const SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");

/// What `removeWhitespace` removes: the no-break space as well, `A0` in ISO 8859-1 and `C2 A0` in UTF-8. Both bytes go
/// wherever they stand, as in ModSecurity 3.
pub(super) const SPACE_AND_NBSP: ByteSet = SPACE.union(ByteSet::of(b"\xc2\xa0"));

pub(super) fn compress_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = first_odd_block(input) else { return false };
    let (before, rest) = input.split_at(first);
    out.reserve(input.len() + 16);
    out.extend_from_slice(before);
    let mut in_run = before.last() == Some(&b' ');
    compact(rest, out, |byte| {
        let space = SPACE_TABLE[usize::from(byte)] & IS_SPACE != 0;
        let kept = u8::from(!(space & in_run));
        in_run = space;
        (if space { b' ' } else { byte }, kept)
    });
    true
}

pub(super) fn remove_whitespace(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = SPACE_AND_NBSP.find(input, 0) else { return false };
    let (before, rest) = input.split_at(first);
    out.reserve(input.len() + 16);
    out.extend_from_slice(before);
    compact(rest, out, |byte| (byte, KEPT[usize::from(byte)]));
    true
}

/// Where the first block begins that has white space other than single spaces. Text mostly has none.
fn first_odd_block(input: &[u8]) -> Option<usize> {
    const BLOCK: usize = 16;
    let other = |b: &u8| b.wrapping_sub(b'\t') < 5;
    let mut from = 0;
    // With the byte behind the block.
    while let Some(window) = input.get(from..).and_then(|rest| rest.first_chunk::<{ BLOCK + 1 }>()) {
        let (block, shifted) = (&window[..BLOCK], &window[1..]);
        let any = block
            .iter()
            .zip(shifted)
            .fold(false, |any, (a, b)| any | other(a) | ((*a == b' ') & ((*b == b' ') | other(b))));
        if any {
            return Some(from);
        }
        from += BLOCK;
    }
    let tail = input.get(from..)?;
    let odd = tail.iter().any(other) || tail.windows(2).any(|pair| pair == b"  ");
    odd.then_some(from)
}

/// Appends those bytes of `input` that `keep` says are kept (1, or 0), as what it says. No branch depends on a byte, so
/// that the time does not depend on how white space is spread.
fn compact(input: &[u8], out: &mut Vec<u8>, mut keep: impl FnMut(u8) -> (u8, u8)) {
    const BLOCK: usize = 16;
    let (blocks, rest) = input.as_chunks::<BLOCK>();
    for block in blocks {
        let mut kept = [0; BLOCK];
        let mut count = 0;
        for byte in block {
            let (byte, is_kept) = keep(*byte);
            kept[count % BLOCK] = byte;
            count += usize::from(is_kept);
        }
        // All of a block is copied, which takes no call.
        let end = out.len() + count;
        out.extend_from_slice(&kept);
        out.truncate(end);
    }
    for byte in rest {
        let (byte, is_kept) = keep(*byte);
        if is_kept != 0 {
            out.push(byte);
        }
    }
}

/// What is in [`SPACE`].
const SPACE_TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        if SPACE.contains(i as u8) {
            table[i] = IS_SPACE;
        }
        i += 1;
    }
    table
};
const IS_SPACE: u8 = 1;
/// 1 for what `removeWhitespace` keeps.
const KEPT: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = !SPACE_AND_NBSP.contains(i as u8) as u8;
        i += 1;
    }
    table
};

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Blocks and their ends make no difference.
        #[test]
        fn they_are_those_of_one_byte_after_the_other(
            pieces in proptest::collection::vec(proptest::sample::select(
                vec!["a", " ", "  ", "\t", "\n", "\u{a0}", "\u{e9}", "word ", "two words", "0123456789abcdef"],
            ), 0..40)
        ) {
            let input = pieces.concat().into_bytes();
            let removed: Vec<u8> = input.iter().copied().filter(|b| !SPACE_AND_NBSP.contains(*b)).collect();
            let mut compressed: Vec<u8> = Vec::new();
            for (at, byte) in input.iter().enumerate() {
                let space = SPACE.contains(*byte);
                if !space || at == 0 || !SPACE.contains(input[at - 1]) {
                    compressed.push(if space { b' ' } else { *byte });
                }
            }
            type Apply = fn(&[u8], &mut Vec<u8>) -> bool;
            let both: [(Apply, Vec<u8>); 2] = [(remove_whitespace, removed), (compress_whitespace, compressed)];
            for (apply, wanted) in both {
                let mut out = Vec::new();
                let changed = apply(&input, &mut out);
                prop_assert_eq!(changed, wanted != input);
                prop_assert!(!changed || out == wanted, "{:?}: {:?}, not {:?}", input, out, wanted);
            }
        }
    }
}
