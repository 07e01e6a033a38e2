//! `matches:` and `passes:` → [`RuleTest`]s.

use super::node::{Node, Value};
use super::reader::{Context, Fields, list, paragraph, texts};
use super::table;
use crate::source::Spanned;
use crate::syntax::ast::{RuleTest, TestRequest, TestResponse};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use base64::Engine as _;

/// The tests of the rule `id`, which became the rules `also` as well.
pub(crate) fn lower(rule: &Fields<'_>, id: u64, also: &[u64], context: &mut Context<'_>) -> Vec<RuleTest> {
    let mut tests = Vec::new();
    for (key, matches) in [("matches", true), ("passes", false)] {
        let Some(node) = rule.get(key) else { continue };
        for member in list(node, key, context.diagnostics) {
            if let Some((request, response)) = exchange(member, context.diagnostics) {
                let also = also.to_vec();
                tests.push(RuleTest { rule: id, also, request, response, matches, span: member.span });
            }
        }
    }
    tests
}

fn exchange(node: &Node, diagnostics: &mut Diagnostics) -> Option<(TestRequest, Option<TestResponse>)> {
    if let Value::Scalar { .. } = node.value {
        let text = paragraph(node, diagnostics)?;
        return Some((typed(from_text(&text, diagnostics)?), None));
    }
    let fields = Fields::of(node, &table::REQUEST, diagnostics)?;
    fields.text("note", diagnostics);
    let written = fields.get("request").and_then(|node| paragraph(node, diagnostics));
    let body = body(&fields, diagnostics);
    let mut request = match written {
        Some(text) => {
            for key in ["method", "uri"] {
                if let Some((span, _)) = fields.entry(key) {
                    let message = format!("the request has its {key} in its first line already");
                    diagnostics
                        .push(Diagnostic::error("bad-test", span, message).help("remove one of the two"));
                }
            }
            from_text(&text, diagnostics)?
        }
        None => {
            let method = fields.text("method", diagnostics).map(|text| text.node);
            let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
            let uri = fields.text("uri", diagnostics).map_or_else(|| "/".to_owned(), |text| text.node);
            TestRequest { method, uri: sendable(&uri), ..TestRequest::default() }
        }
    };
    request.headers.extend(fields.get("headers").map(|node| headers(node, diagnostics)).unwrap_or_default());
    if let Some(body) = body {
        request.body = body;
    }
    let response = fields.get("response").and_then(|node| response(node, diagnostics));
    Some((typed(request), response))
}

/// The body of a request or a response, if there is one.
fn body(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<u8>> {
    let plain = fields.get("body").and_then(|node| paragraph(node, diagnostics));
    let Some(encoded) = fields.get("body_base64").and_then(|node| paragraph(node, diagnostics)) else {
        return plain.map(|text| text.node.into_bytes());
    };
    if let Some(plain) = plain {
        let fault = Diagnostic::error("bad-test", encoded.span, "there are two bodies here");
        diagnostics.push(fault.related(plain.span, "the other one").help("remove one of the two"));
    }
    let compact: String = encoded.node.split_ascii_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(compact) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let message = format!("this is not base64: {error}");
            diagnostics.push(Diagnostic::error("bad-test", encoded.span, message));
            None
        }
    }
}

fn response(node: &Node, diagnostics: &mut Diagnostics) -> Option<TestResponse> {
    let fields = Fields::of(node, &table::RESPONSE, diagnostics)?;
    let status = match fields.number("status", diagnostics) {
        None => 200,
        Some(status) => match u16::try_from(status.node).ok().filter(|status| (100..=599).contains(status)) {
            Some(number) => number,
            None => {
                let message = format!("{} is not a status", status.node);
                diagnostics.push(Diagnostic::error("bad-test", status.span, message));
                return None;
            }
        },
    };
    let headers = fields.get("headers").map(|node| headers(node, diagnostics)).unwrap_or_default();
    Some(TestResponse { status, headers, body: body(&fields, diagnostics).unwrap_or_default() })
}

fn headers(node: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let Value::Map(map) = &node.value else {
        let message = format!("headers must be a mapping, and this is {}", node.kind());
        diagnostics.push(Diagnostic::error("yaml-type", node.span, message));
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, values) in map {
        // A list is a field for each member.
        out.extend(texts(values, diagnostics).into_iter().map(|value| (name.node.clone(), value.node)));
    }
    out
}

/// `METHOD TARGET`, then headers, an empty line and a body, if there are more lines.
fn from_text(text: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<TestRequest> {
    let mut rest = text.as_str();
    let first = next_line(&mut rest).unwrap_or("");
    let parts = first.split_once(' ').map(|(method, uri)| (method, uri.trim()));
    let Some((method, uri)) = parts.filter(|(method, uri)| is_token(method) && !uri.is_empty()) else {
        let fault = Diagnostic::error("bad-test", text.span, "this is not a request");
        diagnostics.push(fault.help("begin it with method and target, as in 'GET /search?q=x'"));
        return None;
    };
    let (uri, protocol) = match uri.rsplit_once(' ') {
        Some((uri, protocol)) if protocol.starts_with("HTTP/") => (uri.trim_end(), Some(protocol.to_owned())),
        _ => (uri, None),
    };
    let mut headers = Vec::new();
    while let Some(line) = next_line(&mut rest).filter(|line| !line.is_empty()) {
        match line.split_once(':').filter(|(name, _)| is_token(name)) {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => {
                let fault = Diagnostic::error("bad-test", text.span, "a header of this request has no name");
                diagnostics.push(fault.help("an empty line ends the headers"));
                return None;
            }
        }
    }
    // The newline which ends a YAML block is none of the body's.
    let body = rest.strip_suffix('\n').unwrap_or(rest).to_owned();
    Some(TestRequest {
        method: method.to_owned(),
        uri: sendable(uri),
        protocol: protocol.filter(|p| p != "HTTP/1.1"),
        headers,
        body: body.into_bytes(),
    })
}

fn next_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

/// `request` with a type for a body that has none, which nobody would look into, and with the line ends that
/// multipart bodies have (RFC 2046, section 5.1.1) and texts in YAML have not.
fn typed(mut request: TestRequest) -> TestRequest {
    let is_multipart = request.headers.iter().any(|(name, value)| {
        let kind = value.trim_start().get(..10);
        name.eq_ignore_ascii_case("content-type")
            && kind.is_some_and(|k| k.eq_ignore_ascii_case("multipart/"))
    });
    if is_multipart && !request.body.contains(&b'\r') {
        let lines: Vec<_> = request.body.split(|byte| *byte == b'\n').collect();
        request.body = lines.join(&b"\r\n"[..]);
    }
    let is_typed = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !request.body.is_empty() && !is_typed {
        request.headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    request
}

/// `uri` with blanks, controls and bytes beyond ASCII percent-encoded.
fn sendable(uri: &str) -> String {
    let mut out = String::with_capacity(uri.len());
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
