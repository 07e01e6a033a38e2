//! Reading answers off the wire, and undoing `chunked`.

/// An HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Head and body as received, for `response_contains`.
    pub raw: Vec<u8>,
}

impl Answer {
    /// The values of all fields of that name, in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }
}

/// What has been received so far, read as the answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come. `head` is there once the head is complete: then the end of the connection ends the body.
    Partial { head: Option<Answer> },
    /// Head and body are there.
    Complete(Answer),
    /// This is not HTTP.
    NotHttp(String),
}

/// Reads `bytes` as an answer; `bodiless` when the request was HEAD. Interim answers (1xx) are passed over.
pub(super) fn read_answer(mut bytes: &[u8], bodiless: bool) -> Progress {
    for _ in 0..MAX_INTERIM {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Progress::Partial { head: None },
            Err(e) => return Progress::NotHttp(format!("the answer is not HTTP: {e}")),
        };
        let status = response.code.unwrap_or(0);
        let body = bytes.get(length..).unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            bytes = body;
            continue;
        }
        let headers =
            response.headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect::<Vec<_>>();
        let answer = Answer { status, headers, raw: bytes.to_vec() };
        let complete = if bodiless || matches!(status, 101 | 204 | 304) {
            true
        } else if answer.values("Transfer-Encoding").any(|v| v.to_ascii_lowercase().ends_with(b"chunked")) {
            matches!(dechunk(body), Dechunked { complete: true, .. })
        } else {
            let length = answer.values("Content-Length").next();
            let length = length.and_then(|v| std::str::from_utf8(v).ok()?.trim().parse::<usize>().ok());
            length.is_some_and(|n| body.len() >= n)
        };
        return if complete { Progress::Complete(answer) } else { Progress::Partial { head: Some(answer) } };
    }
    Progress::NotHttp(format!("more than {MAX_INTERIM} interim answers"))
}

/// A body with its `chunked` framing taken off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dechunked {
    /// The chunks' data.
    pub(super) body: Vec<u8>,
    /// Whether the last chunk and the empty line after it were there.
    pub(super) complete: bool,
}

/// Undoes `chunked` as far as `bytes` goes; trailers are dropped.
pub(super) fn dechunk(mut bytes: &[u8]) -> Dechunked {
    let mut out = Dechunked::default();
    while let Ok(httparse::Status::Complete((at, size))) = httparse::parse_chunk_size(bytes) {
        bytes = bytes.get(at..).unwrap_or_default();
        if size == 0 {
            out.complete = bytes.starts_with(b"\r\n") || bytes.windows(4).any(|w| w == b"\r\n\r\n");
            break;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some((data, rest)) = bytes.split_at_checked(size) else {
            out.body.extend_from_slice(bytes);
            break;
        };
        out.body.extend_from_slice(data);
        let Some(rest) = rest.strip_prefix(b"\r\n") else { break };
        bytes = rest;
    }
    out
}

/// Fields of an answer's head that are read.
const MAX_FIELDS: usize = 256;
/// Interim answers before the final one. A server sends one or two.
const MAX_INTERIM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn complete(bytes: &[u8], bodiless: bool) -> Answer {
        match read_answer(bytes, bodiless) {
            Progress::Complete(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_ends_where_its_framing_says() {
        let full = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(complete(full, false).status, 200);
        for cut in 0..full.len() {
            assert!(matches!(read_answer(&full[..cut], false), Progress::Partial { .. }), "{cut}");
        }
        assert!(matches!(read_answer(&full[..full.len() - 1], false), Progress::Partial { head: Some(_) }));
        assert_eq!(complete(&full[..full.len() - 3], true).status, 200);
        complete(b"HTTP/1.1 204 No Content\r\n\r\n", false);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        complete(chunked, false);
        assert!(matches!(read_answer(&chunked[..chunked.len() - 2], false), Progress::Partial { .. }));
        assert_eq!(complete(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n", false).status, 204);
        assert!(matches!(read_answer(b"<html>", false), Progress::NotHttp(_)));
    }

    #[test]
    fn chunks_come_off() {
        let whole = dechunk(b"3\r\nHi \r\n3;x=y\r\nCRS\r\n0\r\nT: x\r\n\r\n");
        assert_eq!(whole, Dechunked { body: b"Hi CRS".to_vec(), complete: true });
        assert_eq!(dechunk(b"5\r\nab"), Dechunked { body: b"ab".to_vec(), complete: false });
        assert_eq!(dechunk(b"2\r\nabX"), Dechunked { body: b"ab".to_vec(), complete: false });
        assert_eq!(dechunk(b"zz"), Dechunked::default());
        assert_eq!(dechunk(b"ffffffffffffffff\r\nab").body, b"ab");
    }
}
