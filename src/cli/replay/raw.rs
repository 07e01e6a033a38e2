//! Requests as they are sent, and curl commands.

use super::record::{Recorded, Unusable};
use crate::cli::source;
use crate::http::{HeadLimits, RequestHead, find_head_end};

/// The requests of a file.
pub(super) fn read(text: &[u8]) -> Result<Vec<Recorded>, Unusable> {
    let strict = find_head_end(text).and_then(|end| text.split_at_checked(end));
    // Without any carriage return it was written in an editor, and no client has sent it so.
    if let Some((head, body)) = strict.filter(|(head, _)| head.contains(&b'\r')) {
        let head = RequestHead::parse(head, &HeadLimits::default());
        if head.fatal().is_some() {
            return Err(Unusable::Refused);
        }
        let mut recorded = Recorded {
            method: head.method,
            target: head.target,
            protocol: head.protocol,
            headers: head.headers,
            body: body.to_vec(),
            ..Recorded::default()
        };
        recorded.miss_body();
        return Ok(vec![recorded]);
    }
    let text = std::str::from_utf8(text).map_err(|_| Unusable::Unreadable)?;
    let source = source::read(text).map_err(|_| Unusable::Unreadable)?;
    let request = |request: source::SourceRequest| {
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> = request
            .headers
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect();
        if !request.body.is_empty() {
            headers.push((b"Content-Length".to_vec(), request.body.len().to_string().into_bytes()));
        }
        Recorded {
            method: request.method.into_bytes(),
            target: request.target.into_bytes(),
            protocol: b"HTTP/1.1".to_vec(),
            headers,
            body: request.body,
            ..Recorded::default()
        }
    };
    Ok(source.requests.into_iter().map(request).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are() {
        let one = &read(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n\xff\n").expect("read")[0];
        assert_eq!((one.target.as_slice(), one.body.as_slice()), (&b"/a"[..], &b"\xff\n"[..]));
        let one = &read(b"POST /a HTTP/1.1\nHost: h\n\na=b\n").expect("read")[0];
        assert_eq!((one.body.as_slice(), one.header("content-length")), (&b"a=b"[..], Some(&b"3"[..])));
        let one = &read(b"curl http://h/x -d a=b").expect("read")[0];
        assert_eq!((one.method.as_slice(), one.target.as_slice()), (&b"POST"[..], &b"/x"[..]));
        assert_eq!(read(b"GET / HTTP/1.1\r\nNo Colon\r\n\r\n").err(), Some(Unusable::Refused));
        assert_eq!(read(b"hello").err(), Some(Unusable::Unreadable));
    }
}
