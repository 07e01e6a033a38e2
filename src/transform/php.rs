//! `phpArgsNames`: how PHP rewrites the name of a request parameter before an application sees it.

use super::byte_set::ByteSet;
use super::patch::Patch;

pub(super) fn php_args_names(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    if matches!(input.first(), Some(b'[' | b'=')) {
        // PHP registers no variable for such a name.
        patch.cut(0, input.len());
        return patch.finish();
    }
    let start = input.iter().take_while(|b| **b == b' ').count();
    if start > 0 {
        patch.cut(0, start);
    }
    let bracket = memchr::memchr(b'[', input);
    let head = input.get(..bracket.unwrap_or(input.len())).unwrap_or_default();
    let mut from = start;
    while let Some(at) = BECOMES_UNDERSCORE.find(head, from) {
        patch.replace(at, at + 1, b'_');
        from = at + 1;
    }
    let Some(mut index) = bracket else { return patch.finish() };
    let Some(mut close) = closing(input, index) else {
        // A bracket that is never closed is one more character that a variable cannot have, and the last one that
        // PHP looks at.
        patch.replace(index, index + 1, b'_');
        return patch.finish();
    };
    loop {
        if input.get(index..=close) == Some(b"[ ]") {
            patch.cut(index + 1, close);
        }
        index = close + 1;
        match closing(input, index) {
            Some(next) if input.get(index) == Some(&b'[') => close = next,
            // What follows the last index is lost.
            _ => break,
        }
    }
    if index < input.len() {
        patch.cut(index, input.len());
    }
    patch.finish()
}

const BECOMES_UNDERSCORE: ByteSet = ByteSet::of(b" .");

fn closing(input: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b']', input.get(from..)?).map(|i| from + i)
}
