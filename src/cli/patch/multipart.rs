//! Multipart bodies (RFC 7578) in parts, and with another value in the place of one.
//!
//! Tolerant, since it reads what somebody pasted: bare line feeds count as line ends, and the last boundary may be
//! missing.

use crate::cli::source::SourceRequest;
use std::ops::Range;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The name of the field.
    pub(super) name: String,
    /// Where the file's name stands in the body, if the part is a file.
    pub(super) file_name: Option<Range<usize>>,
    /// Where the content stands.
    pub(super) content: Range<usize>,
}

/// The parts of the body of `request`; none if it is no multipart form.
pub(super) fn sections(request: &SourceRequest) -> Vec<Section> {
    let Some(boundary) = boundary(request) else { return Vec::new() };
    let body = &request.body;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut starts = Vec::new();
    let mut from = 0;
    while let Some(at) = find(body, &delimiter, from) {
        // A boundary begins a line.
        if at == 0 || body.get(at - 1) == Some(&b'\n') {
            starts.push(at);
        }
        from = at + delimiter.len();
    }
    let mut out = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let head = start + delimiter.len();
        if body.get(head..head + 2) == Some(b"--") {
            break;
        }
        let end = starts.get(index + 1).copied().unwrap_or(body.len());
        out.extend(section(body, head, end));
    }
    out
}

/// `request` with `value` at `range` of its body.
pub(super) fn replaced(request: &SourceRequest, range: &Range<usize>, value: &[u8]) -> SourceRequest {
    let mut out = request.clone();
    out.body.splice(range.clone(), value.iter().copied());
    out
}

/// Gives a multipart body that was pasted as text the line ends that it had.
pub(super) fn restore_line_ends(request: &mut SourceRequest) {
    if boundary(request).is_some() && !request.body.contains(&b'\r') {
        let lines: Vec<_> = request.body.split(|byte| *byte == b'\n').collect();
        request.body = lines.join(&b"\r\n"[..]);
        if !request.body.ends_with(b"\r\n") {
            request.body.extend_from_slice(b"\r\n");
        }
    }
}

fn section(body: &[u8], head: usize, end: usize) -> Option<Section> {
    let blank = [&b"\r\n\r\n"[..], b"\n\n"].into_iter();
    let (at, length) = blank.filter_map(|b| Some((find(body, b, head)?, b.len()))).min()?;
    let start = at + length;
    if start > end {
        return None;
    }
    // The line end before the next boundary is the boundary's.
    let mut stop = end;
    for ending in *b"\n\r" {
        if stop > start && body.get(stop - 1) == Some(&ending) {
            stop -= 1;
        }
    }
    let headers = body.get(head..at)?;
    let name = parameter(headers, b"name=")
        .map(|range| String::from_utf8_lossy(headers.get(range).unwrap_or_default()).into_owned())?;
    let file_name = parameter(headers, b"filename=").map(|range| head + range.start..head + range.end);
    Some(Section { name, file_name, content: start..stop })
}

/// Where the value of the parameter `key` (with its `=`) stands in `headers`, without its quotes.
fn parameter(headers: &[u8], key: &[u8]) -> Option<Range<usize>> {
    let lower = headers.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let at = find(&lower, key, from)?;
        from = at + key.len();
        // `name=` is the end of `filename=` as well.
        if at > 0 && lower.get(at - 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
        {
            continue;
        }
        let rest = headers.get(from..)?;
        let (skip, until) = match rest.first() {
            Some(b'"') => (1, rest.iter().skip(1).position(|b| *b == b'"')? + 1),
            _ => (0, rest.iter().position(|b| b";\r\n".contains(b)).unwrap_or(rest.len())),
        };
        return Some(from + skip..from + until);
    }
}

fn boundary(request: &SourceRequest) -> Option<String> {
    let kind = request.header("Content-Type")?;
    if !kind.trim_start().get(..10)?.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    let range = parameter(kind.as_bytes(), b"boundary=")?;
    kind.get(range).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(haystack.get(from..)?, needle).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str, kind: &str) -> SourceRequest {
        SourceRequest {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: body.as_bytes().to_vec(),
            host: None,
        }
    }

    #[test]
    fn parts_are_found_and_exchanged() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b\r\n\
                    Content-Disposition: form-data; filename=\"x.php\"; name=\"f\"\r\nContent-Type: image/png\r\n\r\n\
                    two --b\r\nthree\r\n--b--\r\n";
        for (kind, body) in [
            ("multipart/form-data; boundary=b", body.to_owned()),
            ("Multipart/Form-Data; charset=utf-8; boundary=\"b\"", body.to_owned()),
            ("multipart/form-data; boundary=b", body.replace('\r', "")),
        ] {
            let request = form(&body, kind);
            let found = sections(&request);
            let names: Vec<_> = found.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, ["a", "f"], "{body:?}");
            assert_eq!(&request.body[found[0].content.clone()], b"one");
            let name = found[1].file_name.clone().expect("it is a file");
            assert_eq!(&request.body[name.clone()], b"x.php");
            assert!(request.body[found[1].content.clone()].starts_with(b"two --b"));
            let changed = replaced(&request, &name, b"longer.jsp");
            let again = sections(&changed);
            assert_eq!(&changed.body[again[1].file_name.clone().expect("still")], b"longer.jsp");
        }
    }

    #[test]
    fn broken_bodies_have_no_parts_or_fewer() {
        for body in
            ["", "--b", "--b\r\n", "--b--", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "x"]
        {
            assert_eq!(sections(&form(body, "multipart/form-data; boundary=b")), [], "{body:?}");
        }
        assert_eq!(sections(&form("a=b", "application/x-www-form-urlencoded")), []);
        assert_eq!(sections(&form("--", "multipart/form-data; boundary=")), []);
    }

    #[test]
    fn pasted_bodies_get_their_line_ends_back() {
        let mut request = form(
            "--b\nContent-Disposition: form-data; name=a\n\n1\n--b--",
            "multipart/form-data; boundary=b",
        );
        restore_line_ends(&mut request);
        assert!(request.body.ends_with(b"\r\n1\r\n--b--\r\n"));
        let mut other = form("a\nb", "text/plain");
        restore_line_ends(&mut other);
        assert_eq!(other.body, b"a\nb");
    }
}
