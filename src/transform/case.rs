//! `lowercase` and `uppercase`, of ASCII letters.

use super::patch::find_in_range;

pub(super) fn lowercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = find_in_range(input, 0, b'A', b'Z') else { return false };
    out.extend_from_slice(input);
    out[first..].make_ascii_lowercase();
    true
}

pub(super) fn uppercase(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = find_in_range(input, 0, b'a', b'z') else { return false };
    out.extend_from_slice(input);
    out[first..].make_ascii_uppercase();
    true
}
