//! `normalizePath` and `normalizePathWin`.
//!
//! A path is a list of segments. ModSecurity decides on the last two bytes of a segment instead, and so takes
//! `/admin..` for a step upwards, loses the root of `/..`, and keeps the `..` of `a/../b/..`; none of that is
//! copied, since no server reads paths so.

pub(super) fn normalize_path(input: &[u8], out: &mut Vec<u8>) -> bool {
    if is_normal(input) {
        return false;
    }
    normalize(input, |b| b == b'/', out);
    true
}

pub(super) fn normalize_path_win(input: &[u8], out: &mut Vec<u8>) -> bool {
    // Most of what is asked about has dots and no separators.
    if memchr::memchr2(b'/', b'\\', input).is_none() && input != b"." {
        return false;
    }
    if memchr::memchr(b'\\', input).is_none() {
        return normalize_path(input, out);
    }
    normalize(input, |b| b == b'/' || b == b'\\', out);
    true
}

fn is_normal(input: &[u8]) -> bool {
    if memchr::memchr(b'/', input).is_none() {
        return input != b".";
    }
    let rest = input.strip_prefix(b"/");
    let absolute = rest.is_some();
    let rest = rest.unwrap_or(input);
    if rest.is_empty() {
        return true;
    }
    // Only one slash may end it, and only after a segment.
    let body = rest.strip_suffix(b"/").unwrap_or(rest);
    let mut may_step_up = absolute;
    body.split(|b| *b == b'/').all(|segment| match segment {
        b"" | b"." => false,
        b".." => !may_step_up,
        _ => {
            may_step_up = true;
            true
        }
    })
}

fn normalize(input: &[u8], is_separator: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let absolute = input.first().is_some_and(|b| is_separator(*b));
    let trailing = input.last().is_some_and(|b| is_separator(*b));
    out.reserve(input.len());
    if absolute {
        out.push(b'/');
    }
    let root = out.len();
    // Up to here nothing can be taken back: the root, or steps upwards out of a relative path.
    let mut floor = root;
    for segment in input.split(|b| is_separator(*b)) {
        match segment {
            b"" | b"." => continue,
            b".." if out.len() > floor => {
                let kept = out.get(floor..).and_then(|s| memchr::memrchr(b'/', s)).unwrap_or(0);
                out.truncate(floor + kept);
                continue;
            }
            b".." if absolute => continue,
            _ => {}
        }
        if out.len() > root {
            out.push(b'/');
        }
        out.extend_from_slice(segment);
        if segment == b".." {
            floor = out.len();
        }
    }
    if trailing && out.len() > root {
        out.push(b'/');
    }
}
