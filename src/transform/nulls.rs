//! `removeNulls` and `replaceNulls`.

pub(super) fn remove_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = memchr::memchr(0, input) else { return false };
    let (before, mut rest) = input.split_at(first);
    out.reserve(input.len());
    out.extend_from_slice(before);
    // There may be one behind every other byte, where to copy runs would cost more than the bytes.
    while let Some((run, after)) = next_run(rest) {
        match run {
            [] => {}
            [byte] => out.push(*byte),
            _ => out.extend_from_slice(run),
        }
        rest = after;
    }
    true
}

/// The bytes before the next NUL, if any, and those behind it.
fn next_run(input: &[u8]) -> Option<(&[u8], &[u8])> {
    match input {
        [] => None,
        [0, after @ ..] => Some((&[], after)),
        [_, 0, after @ ..] => Some((&input[..1], after)),
        _ => {
            let end = memchr::memchr(0, input).unwrap_or(input.len());
            Some((&input[..end], input.get(end + 1..).unwrap_or_default()))
        }
    }
}

pub(super) fn replace_nulls(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = memchr::memchr(0, input) else { return false };
    out.extend_from_slice(input);
    for byte in out.iter_mut().skip(first) {
        *byte = if *byte == 0 { b' ' } else { *byte };
    }
    true
}
