//! What is evaluated: a request, perhaps with its answer, and what is not known of it.

use super::form::{self, Upload};
use super::recorded::{Recorded, RecordedFile, RecordedHit};
use crate::audit::{MASK, restore};
use crate::engine::{FileRecord, Report};
use crate::http::MediaType;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A request as it came or would come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The client.
    pub client: SocketAddr,
    /// The address on which it came in.
    pub server: SocketAddr,
    /// The method.
    pub method: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// `HTTP/1.1`, …
    pub protocol: Vec<u8>,
    /// Headers in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, chunks undone.
    pub body: Vec<u8>,
    /// The answer, where one is known.
    pub reply: Option<Reply>,
    /// What is not known of it or had to be made up, a sentence each.
    pub gaps: Vec<String>,
}

/// An upstream's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            client: LOCAL,
            server: LOCAL,
            method: b"GET".to_vec(),
            target: b"/".to_vec(),
            protocol: b"HTTP/1.1".to_vec(),
            headers: Vec::new(),
            body: Vec::new(),
            reply: None,
            gaps: Vec::new(),
        }
    }
}

/// A client and server of which nothing is known.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

impl Exchange {
    /// The value of the first header `name`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// The request of an audit record, as far as it holds it.
    pub fn of_record(record: &Recorded) -> Self {
        let mut out = Self::default();
        let address = |end: &Option<super::recorded::End>| {
            let end = end.as_ref()?;
            Some(SocketAddr::new(end.ip.parse().ok()?, end.port))
        };
        out.client = address(&record.client).unwrap_or(LOCAL);
        out.server = address(&record.server).unwrap_or(LOCAL);
        let request = &record.request;
        out.method = restore(&request.method);
        out.target = restore(&request.uri);
        out.protocol = restore(&request.protocol);
        let pairs = |list: &[(String, String)]| list.iter().map(|(n, v)| (restore(n), restore(v))).collect();
        match &request.headers {
            Some(headers) => out.headers = pairs(headers),
            None => out.gaps.push("the record has no request headers (SecAuditLogParts lacks B)".to_owned()),
        }
        match &request.body {
            Some(body) => {
                out.body = restore(&body.text);
                if body.truncated || body.text.ends_with(" more bytes]") {
                    out.gaps.push("the record holds only the beginning of the body".to_owned());
                }
                let upload = |file: &RecordedFile| Upload {
                    field: restore(&file.field),
                    name: restore(&file.name),
                    content_type: restore(&file.content_type),
                };
                let files: Vec<Upload> = request.files.iter().flatten().map(upload).collect();
                if !files.is_empty() {
                    out.without_files(&form::fields(&out.body), &files);
                }
            }
            None if has_body(&out) => out.without_body(&record.rules),
            None => {}
        }
        if out.is_redacted() {
            out.gaps.push(format!("secrets of the request are {MASK} in the record"));
        }
        if record.omitted.headers > 0 {
            out.gaps.push(format!("{} headers were left out of the record", record.omitted.headers));
        }
        out.reply =
            record.response.upstream_status.filter(|_| record.response.body.is_some()).map(|status| Reply {
                status,
                headers: as_inspected(record.response.headers.as_deref().map(pairs).unwrap_or_default()),
                body: record.response.body.as_ref().map(|body| restore(&body.text)).unwrap_or_default(),
            });
        out
    }

    /// The request of a report, nothing of it redacted.
    pub fn of_report(report: &Report) -> Self {
        let request = &report.request;
        let mut out = Self {
            client: report.client.unwrap_or(LOCAL),
            server: report.server.unwrap_or(LOCAL),
            method: request.method.clone(),
            target: request.uri.clone(),
            protocol: request.protocol.clone(),
            headers: request.headers.clone(),
            body: request.body.bytes.clone(),
            reply: report.response.as_ref().filter(|response| !response.body.bytes.is_empty()).map(
                |response| Reply {
                    status: response.status,
                    headers: as_inspected(response.headers.clone()),
                    body: response.body.bytes.clone(),
                },
            ),
            gaps: Vec::new(),
        };
        if request.body.truncated || (request.body.bytes.len() as u64) < request.body.inspected {
            if request.body.bytes.is_empty() {
                // What the query holds as well does no harm in a form.
                let in_query = |name: &[u8]| memchr::memmem::find(&request.uri, name).is_some();
                let fields: Vec<_> =
                    request.arguments.iter().filter(|(name, _)| !in_query(name)).cloned().collect();
                let upload = |(field, name, _, content_type): &FileRecord| Upload {
                    field: field.clone(),
                    name: name.clone(),
                    content_type: content_type.clone(),
                };
                let files: Vec<Upload> = request.files.iter().map(upload).collect();
                if files.is_empty() {
                    out.as_form(&fields);
                    out.gaps.push("the body was not kept; a form was made of the arguments".to_owned());
                } else {
                    out.without_files(&fields, &files);
                }
            } else {
                out.gaps.push("only the beginning of the body was kept".to_owned());
            }
        }
        out
    }

    /// Makes up a body from what rules matched in one that was not recorded.
    fn without_body(&mut self, hits: &[RecordedHit]) {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (variable, value) in hits.iter().flat_map(RecordedHit::matches) {
            let Some((collection, member)) = variable.split_once(':') else { continue };
            let in_query = memchr::memmem::find(&self.target, member.as_bytes()).is_some();
            let known = fields.iter().any(|(name, _)| name == member.as_bytes());
            if !matches!(collection, "ARGS" | "ARGS_POST") || in_query || known {
                continue;
            }
            fields.push((restore(member), restore(value)));
        }
        if fields.is_empty() {
            self.gaps.push(
                "the record does not hold the request's body (SecAuditLogParts lacks C and I)".to_owned(),
            );
            return;
        }
        self.as_form(&fields);
        self.gaps.push(
            "the record does not hold the request's body (SecAuditLogParts lacks C and I); a form was made of what rules \
             matched in it, as it was after their transformations"
                .to_owned(),
        );
    }

    /// The body is the form again that it was, its files without contents.
    fn without_files(&mut self, fields: &[(Vec<u8>, Vec<u8>)], files: &[Upload]) {
        let kind = self.header("content-type").map(MediaType::parse);
        match kind.as_ref().and_then(MediaType::boundary) {
            Some(boundary) => self.body = form::multipart(boundary, fields, files),
            None => self.as_form(fields),
        }
        self.gaps.push(
            "what uploaded files hold is not known; they were taken for empty, in a form made up anew"
                .to_owned(),
        );
    }

    /// The body is a form of these fields now, whatever it was.
    fn as_form(&mut self, fields: &[(Vec<u8>, Vec<u8>)]) {
        self.body = form::urlencoded(fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
        self.headers.retain(|(name, _)| {
            !name.eq_ignore_ascii_case(b"content-type") && !name.eq_ignore_ascii_case(b"content-length")
        });
        self.headers.push((b"Content-Type".to_vec(), b"application/x-www-form-urlencoded".to_vec()));
        self.headers.push((b"Content-Length".to_vec(), self.body.len().to_string().into_bytes()));
    }

    fn is_redacted(&self) -> bool {
        let masked = |text: &[u8]| memchr::memmem::find(text, MASK.as_bytes()).is_some();
        masked(&self.target) || masked(&self.body) || self.headers.iter().any(|(_, value)| masked(value))
    }
}

/// Headers of an answer whose body is as it was inspected: without its coding.
fn as_inspected(mut headers: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"));
    headers
}

/// Whether the head says that a body follows.
fn has_body(exchange: &Exchange) -> bool {
    let length = exchange.header("content-length").is_some_and(|length| length != b"0");
    length || exchange.header("transfer-encoding").is_some()
}
