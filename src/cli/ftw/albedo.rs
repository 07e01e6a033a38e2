//! A backend that answers as CRS's albedo does: `/reflect` with what the request asks for, everything else with
//! an empty 200.

use crate::cli::{Origin, OriginReply, OriginRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

/// The running backend; it ends when this is dropped.
pub struct Albedo(Origin);

impl Albedo {
    /// Starts it on `address`; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// As [`Origin::start`].
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        Origin::start(address, |request: OriginRequest| {
            respond(request.method.as_bytes(), request.path.as_bytes(), &request.body)
        })
        .map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// An answer of the backend.
pub type Reply = OriginReply;

/// What the backend answers to a request for `path` (without query).
pub fn respond(method: &[u8], path: &[u8], body: &[u8]) -> Reply {
    match path {
        b"/reflect" | b"/reflect/" if method == b"POST" => reflect(body),
        b"/capabilities" | b"/capabilities/" => Reply {
            status: 200,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: CAPABILITIES.into(),
        },
        b"/inspect" | b"/inspect/" => {
            with_sniffed_type(Reply { status: 200, headers: Vec::new(), body: body.to_vec() })
        }
        _ => Reply { status: 200, ..Reply::default() },
    }
}

/// The answer that the request's body describes.
fn reflect(body: &[u8]) -> Reply {
    #[derive(Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    #[derive(Default)]
    struct Specification {
        status: i64,
        headers: Option<BTreeMap<String, String>>,
        body: String,
        encoded_body: String,
    }
    let refuse = |why: &str| with_sniffed_type(Reply { status: 400, headers: Vec::new(), body: why.into() });
    let Ok(wanted) = serde_json::from_slice::<Specification>(body) else {
        return refuse("Invalid JSON in request body");
    };
    let status = match (wanted.status, u16::try_from(wanted.status)) {
        (0, _) => 200,
        (100..600, Ok(status)) => status,
        (status, _) => return refuse(&format!("Invalid status code: {status}")),
    };
    let body = if wanted.body.is_empty() {
        STANDARD.decode(&wanted.encoded_body)
    } else {
        Ok(wanted.body.into_bytes())
    };
    let Ok(body) = body else { return refuse("invalid base64 encoding of response body") };
    let headers = wanted.headers.unwrap_or_default().into_iter().collect();
    with_sniffed_type(Reply { status, headers, body })
}

const CAPABILITIES: &str =
    r#"{"endpoints":[{"path":"/*"},{"path":"/capabilities"},{"path":"/inspect"},{"path":"/reflect"}]}"#;

/// Adds the `Content-Type` that Go's server finds when none is given; rules on responses look at it.
fn with_sniffed_type(mut reply: Reply) -> Reply {
    let has_type = reply.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
    if !has_type && !reply.body.is_empty() {
        reply.headers.push(("Content-Type".into(), sniff(&reply.body).into()));
    }
    reply
}

/// The part of the MIME Sniffing Standard that tells text from markup and binary.
fn sniff(body: &[u8]) -> &'static str {
    let start = body.get(..512).unwrap_or(body);
    let text = start.trim_ascii_start();
    let is_tag = |tag: &&[u8]| {
        let (Some(head), Some(end)) = (text.get(..tag.len()), text.get(tag.len())) else { return false };
        head.eq_ignore_ascii_case(tag) && matches!(end, b' ' | b'>')
    };
    let magic = |m: &(&[u8], &'static str)| start.starts_with(m.0).then_some(m.1);
    if HTML_TAGS.iter().any(is_tag) || text.starts_with(b"<!--") {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if let Some(found) = MAGIC.iter().find_map(magic) {
        found
    } else if start.iter().any(|b| matches!(b, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

const HTML_TAGS: [&[u8]; 16] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
];

const MAGIC: [(&[u8], &str); 7] = [
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1A\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(reply: &Reply) -> Option<&str> {
        reply.headers.iter().find(|(n, _)| n == "Content-Type").map(|(_, v)| v.as_str())
    }

    #[test]
    fn reflects_what_is_asked_for() {
        let body = br#"{"status": 203, "headers": {"X-A": "b", "Content-Type": "x/y"}, "body": "hello", "logMessage": "z"}"#;
        let reply = respond(b"POST", b"/reflect", body);
        assert_eq!((reply.status, reply.body.as_slice()), (203, &b"hello"[..]));
        assert_eq!(content_type(&reply), Some("x/y"));
        assert_eq!(respond(b"POST", b"/reflect/", br#"{"encodedBody": "aGk="}"#).body, b"hi");
        assert_eq!(respond(b"GET", b"/reflect", body).body, b"");
        assert_eq!(respond(b"POST", b"/anything", body), Reply { status: 200, ..Reply::default() });
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert_eq!(respond(b"POST", b"/reflect", b"<%").status, 400);
        assert_eq!(respond(b"POST", b"/reflect", br#"{"status": 99}"#).status, 400);
        assert_eq!(respond(b"POST", b"/reflect", br#"{"status": 600}"#).status, 400);
        assert_eq!(respond(b"POST", b"/reflect", br#"{"encodedBody": "*"}"#).status, 400);
        assert_eq!(respond(b"POST", b"/reflect", b"{}"), Reply { status: 200, ..Reply::default() });
    }

    #[test]
    fn content_types_are_sniffed() {
        for (body, expected) in [
            ("hello", "text/plain; charset=utf-8"),
            ("  <html>", "text/html; charset=utf-8"),
            ("<p class", "text/html; charset=utf-8"),
            ("<pre>", "text/plain; charset=utf-8"),
            ("<?xml version", "text/xml; charset=utf-8"),
            ("PK\u{3}\u{4}", "application/zip"),
            ("a\u{1}b", "application/octet-stream"),
        ] {
            assert_eq!(sniff(body.as_bytes()), expected, "{body:?}");
        }
    }

    #[test]
    fn listens() {
        let albedo = Albedo::start(([127, 0, 0, 1], 0).into()).unwrap();
        assert_ne!(albedo.address().port(), 0);
    }
}
