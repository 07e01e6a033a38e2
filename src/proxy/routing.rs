//! Under which host and path a request is looked up among the sites.
//!
//! The origin will decode the path and resolve its dot segments, so the site must be chosen by the path that it
//! ends up with. Otherwise `/open/%2e%2e/admin` would be served under the rules of `/open`.

use crate::http::{RequestHead, Target};

/// The host asked for, without port and brackets; empty when the request names none.
pub(super) fn host(head: &RequestHead) -> String {
    let target = Target::parse(&head.method, &head.target);
    host_of(head.values("host").next().or(target.authority).unwrap_or_default())
}

/// The host that the target itself names, likewise.
pub(super) fn target_host(head: &RequestHead) -> String {
    host_of(Target::parse(&head.method, &head.target).authority.unwrap_or_default())
}

fn host_of(authority: &[u8]) -> String {
    let authority = String::from_utf8_lossy(authority);
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_owned()
}

/// The path asked for: percent-decoded once, dot segments resolved, runs of slashes collapsed.
pub(super) fn path(head: &RequestHead) -> String {
    let target = Target::parse(&head.method, &head.target);
    normalise(target.path)
}

fn normalise(path: &[u8]) -> String {
    let has_dots = path.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if path.starts_with(b"/") && !has_dots && !path.iter().any(|b| matches!(b, b'%' | b'\\')) {
        return String::from_utf8_lossy(path).into_owned();
    }
    resolve(path)
}

fn resolve(path: &[u8]) -> String {
    let decoded = decode(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    // A backslash separates for some origins; for those that take it literally, no route contains one.
    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let ends_open =
        matches!(decoded.last(), Some(b'/' | b'\\')) || decoded.ends_with(b"/.") || decoded.ends_with(b"/..");
    let mut out = String::with_capacity(decoded.len() + 1);
    for segment in &segments {
        out.push('/');
        out.push_str(&String::from_utf8_lossy(segment));
    }
    if out.is_empty() || ends_open {
        out.push('/');
    }
    out
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (byte, after) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = tail;
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Paths that are as they should be are known to be, and only those.
        #[test]
        fn the_short_way_leads_to_the_same_path(path in "[/.%a2ef\\\\é]{0,12}") {
            prop_assert_eq!(normalise(path.as_bytes()), resolve(path.as_bytes()));
        }
    }

    #[test]
    fn paths_are_compared_as_the_origin_will_see_them() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("*", "/*"),
            ("/app", "/app"),
            ("/app/", "/app/"),
            ("/open/%2e%2e/admin", "/admin"),
            ("/open/..%2fadmin", "/admin"),
            ("/open/..\\admin", "/admin"),
            ("//admin//x", "/admin/x"),
            ("/../../admin", "/admin"),
            ("/a/./b/.", "/a/b/"),
            ("/%61dmin", "/admin"),
            ("/100%", "/100%"),
        ] {
            assert_eq!(normalise(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn the_host_loses_port_and_brackets() {
        for (value, expected) in [("A.test:80", "A.test"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("", "")] {
            let headers = vec![(b"Host".to_vec(), value.as_bytes().to_vec())];
            let head = RequestHead { headers, ..RequestHead::default() };
            assert_eq!(host(&head), expected);
        }
    }
}
