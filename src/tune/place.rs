//! Places: paths and members of variables, of which parts may count.

use crate::audit::{MASK, restore};
use crate::explain::{Place, literal_pattern, plain_target};
use crate::http::Target;

/// The place of a request: method and path, segments that are numbers or identifiers left open.
pub(super) fn of_request(method: &str, uri: &str) -> Place {
    let (method, uri) = (restore(method), restore(uri));
    let target = Target::parse(&method, &uri);
    let path = target.request_filename();
    let mut is_open = false;
    let mut pattern = String::new();
    for (at, segment) in path.split(|b| *b == b'/').enumerate() {
        if at > 0 {
            pattern.push('/');
        }
        let text = String::from_utf8_lossy(segment);
        let open = if text.contains(MASK) {
            Some("[^/]+")
        } else if !segment.is_empty() && segment.iter().all(u8::is_ascii_digit) {
            Some("[0-9]+")
        } else if is_identifier(segment) {
            Some("[0-9A-Fa-f-]+")
        } else {
            None
        };
        is_open |= open.is_some();
        match open {
            Some(open) => pattern.push_str(open),
            None => pattern.push_str(&literal_pattern(segment)),
        }
    }
    let exact = Place::of(&method, &path);
    if is_open { Place { path: Some(format!("@rx ^{pattern}$")), ..exact } } else { exact }
}

/// A hexadecimal identifier, such as a UUID.
fn is_identifier(segment: &[u8]) -> bool {
    segment.len() >= 16
        && segment.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
        && segment.iter().any(u8::is_ascii_digit)
}

/// The target of a variable and member, numbers between the parts of the member's name left open.
pub(super) fn target(variable: &str, member: Option<&[u8]>) -> String {
    let Some(name) = member else { return variable.to_owned() };
    let mut pattern = String::new();
    let mut is_open = false;
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        let run = name.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
        let before = at.checked_sub(1).and_then(|at| name.get(at));
        let borders = |b: Option<&u8>| b.is_none_or(|b| matches!(b, b'.' | b'[' | b']'));
        if run > 0 && before.is_some() && borders(before) && borders(name.get(at + run)) {
            pattern.push_str("[0-9]+");
            is_open = true;
            at += run;
        } else if run > 0 {
            pattern.push_str(&literal_pattern(name.get(at..at + run).unwrap_or_default()));
            at += run;
        } else {
            pattern.push_str(&literal_pattern(&[*byte]));
            at += 1;
        }
    }
    if is_open {
        format!("{variable}:/^{}$/", pattern.replace('/', "\\x2f"))
    } else {
        plain_target(variable, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_left_open() {
        let path = |uri: &str| of_request("GET", uri).path.expect("a path");
        assert_eq!(path("/a/b?c"), "@streq /a/b");
        assert_eq!(path("/order/17/edit?c"), "@rx ^/order/[0-9]+/edit$");
        assert_eq!(path("/o/01234567-89ab-cdef-0123-456789abcdef"), "@rx ^/o/[0-9A-Fa-f-]+$");
        let of = |name: &str| target("ARGS", Some(name.as_bytes()));
        assert_eq!(of("json.items.3.name"), "ARGS:/^json\\.items\\.[0-9]+\\.name$/");
        assert_eq!(of("items[12][x]"), "ARGS:/^items\\x5b[0-9]+\\x5d\\x5bx\\x5d$/");
        assert_eq!(of("field2"), "ARGS:field2");
        assert_eq!(of("7"), "ARGS:7");
    }
}
