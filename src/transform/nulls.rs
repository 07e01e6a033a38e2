//! `removeNulls` and `replaceNulls`.

use super::patch::Patch;

pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    for at in memchr::memchr_iter(0, input) {
        patch.cut(at, at + 1);
    }
    patch.finish()
}

pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut patch = Patch::new(input, out);
    for at in memchr::memchr_iter(0, input) {
        patch.replace(at, at + 1, b' ');
    }
    patch.finish()
}
