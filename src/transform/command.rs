//! `cmdLine`.

use super::byte_set::ByteSet;

/// What is removed.
const QUOTES: ByteSet = ByteSet::of(b"\"'\\^");
/// What becomes one space, or nothing before `/` and `(`.
const SEPARATORS: ByteSet = ByteSet::of(b" ,;\t\r\n");
const GAP: ByteSet = QUOTES.union(SEPARATORS);

/// The bytes that can make a difference.
pub(super) const CHANGEABLE: ByteSet = GAP.union(ByteSet::range(b'A', b'Z'));

pub(super) fn cmd_line(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = first_change(input) else { return false };
    let (before, mut rest) = input.split_at(first);
    out.reserve(input.len());
    out.extend_from_slice(before);
    // Whether the last byte of `out` is a space that stands for separators, of which there may come more.
    let mut in_gap = false;
    while !rest.is_empty() {
        // Most blocks of most texts need nothing but lower case, which vector instructions do.
        if let (Some(block), Some(shifted)) =
            (rest.first_chunk(), rest.get(1..).and_then(|r| r.first_chunk()))
            && !(in_gap && block[0] == b' ')
            && is_easy(block, shifted)
        {
            let mut lower = *block;
            lower.make_ascii_lowercase();
            out.extend_from_slice(&lower);
            in_gap = block[BLOCK - 1] == b' ';
            rest = rest.get(BLOCK..).unwrap_or_default();
            continue;
        }
        let (block, next) = rest.split_at(BLOCK.min(rest.len()));
        // A space that has been written may have to be taken back.
        let mut text = [b' '; 2 * BLOCK];
        let mut length = 0;
        if in_gap {
            out.pop();
            length = 1;
        }
        // Without branches, which what has come to be here would have taken at random.
        let mut gap = usize::from(in_gap);
        for byte in block {
            let Work { made, quote, separator, swallows } = WORK[usize::from(*byte)];
            let (quote, separator) = (usize::from(quote), usize::from(separator));
            length -= gap & usize::from(swallows);
            text[length % (2 * BLOCK)] = made;
            length += 1 ^ (quote | separator & gap);
            // Removed bytes do not interrupt a run of separators.
            gap = separator | quote & gap;
        }
        in_gap = gap == 1;
        out.extend_from_slice(text.get(..length).unwrap_or_default());
        rest = next;
    }
    true
}

/// The first byte that does not stay as it is. A space stays unless more of a gap follows it, or what swallows it.
fn first_change(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = CHANGEABLE.find(input, from)?;
        match input.get(at..) {
            Some([b' ']) => return None,
            Some([b' ', next, ..]) if WORK[usize::from(*next)].is_plain() => from = at + 1,
            _ => return Some(at),
        }
    }
}

const BLOCK: usize = 16;

/// Whether a block has neither two spaces in a row nor anything that is removed, replaced or takes a space away. May
/// say no where that is so. `shifted` is the block that begins one byte later; with it, this compiles to vector
/// instructions.
fn is_easy(block: &[u8; BLOCK], shifted: &[u8; BLOCK]) -> bool {
    // `\` and `^`, `'` and `/`, `(` and `,` differ in one bit each. Tabs and line breaks are below the space.
    let special = |b: u8| {
        (b | 0x02 == b'^') | (b | 0x08 == b'/') | (b | 0x04 == b',') | (b == b'"') | (b == b';') | (b < b' ')
    };
    let mut any = 0;
    for (byte, next) in block.iter().zip(shifted) {
        any |= u8::from(special(*byte)) | u8::from((*byte == b' ') & (*next == b' '));
    }
    any == 0
}

/// What is done with a byte.
#[derive(Clone, Copy)]
struct Work {
    /// What it becomes, unless it is removed.
    made: u8,
    /// It is removed.
    quote: bool,
    /// It is a space, or removed behind one that stands for such.
    separator: bool,
    /// A space before it goes.
    swallows: bool,
}

impl Work {
    const fn is_plain(self) -> bool {
        !self.quote && !self.separator && !self.swallows
    }
}

const WORK: [Work; 256] = {
    let mut table = [Work { made: 0, quote: false, separator: false, swallows: false }; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let separator = SEPARATORS.contains(byte);
        table[i] = Work {
            made: if separator { b' ' } else { byte.to_ascii_lowercase() },
            quote: QUOTES.contains(byte),
            separator,
            swallows: matches!(byte, b'/' | b'('),
        };
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_easy_only_if_each_of_its_bytes_is() {
        let ask = |text: &[u8; BLOCK + 1]| {
            is_easy(text.first_chunk().expect("long enough"), text.last_chunk().expect("long enough"))
        };
        for at in 0..BLOCK {
            for byte in 0..=u8::MAX {
                let mut text = [b'a'; BLOCK + 1];
                text[at] = byte;
                let easy = byte == b' ' || WORK[usize::from(byte)].is_plain();
                assert!(easy || !ask(&text), "{byte:#x} at {at}");
                assert!(!easy || byte < b' ' || ask(&text), "{byte:#x} at {at}");
                text[at + 1] = b' ';
                assert!(byte != b' ' || !ask(&text), "two spaces at {at}");
            }
        }
    }

    proptest! {
        /// Blocks and their ends make no difference.
        #[test]
        fn it_is_that_of_one_byte_after_the_other(
            pieces in proptest::collection::vec(proptest::sample::select(
                vec!["a", "B", " ", "  ", "\t", ",", ";", "'", "\"", "\\", "^", "/", "(", "A long word ", "0123456789abcdef"],
            ), 0..40)
        ) {
            let input = pieces.concat().into_bytes();
            let mut wanted: Vec<u8> = Vec::new();
            let mut in_gap = false;
            for byte in &input {
                match byte {
                    b'\'' | b'"' | b'\\' | b'^' => continue,
                    b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                        if !in_gap {
                            wanted.push(b' ');
                        }
                        in_gap = true;
                        continue;
                    }
                    b'/' | b'(' if in_gap => _ = wanted.pop(),
                    _ => {}
                }
                in_gap = false;
                wanted.push(byte.to_ascii_lowercase());
            }
            let mut out = Vec::new();
            let changed = cmd_line(&input, &mut out);
            prop_assert_eq!(changed, wanted != input);
            prop_assert!(!changed || out == wanted, "{:?}: {:?}, not {:?}", input, out, wanted);
        }
    }
}
