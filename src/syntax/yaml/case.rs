//! `matches:` and `passes:` → [`RuleTest`]s.

use super::node::{Node, Value};
use super::reader::{Context, Fields, list, paragraph};
use crate::source::Spanned;
use crate::syntax::ast::{RuleTest, TestRequest, TestResponse};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};

/// The tests of the rule `id`.
pub(crate) fn lower(rule: &Fields<'_>, id: u64, context: &mut Context<'_>) -> Vec<RuleTest> {
    let mut tests = Vec::new();
    for (key, matches) in [("matches", true), ("passes", false)] {
        let Some(node) = rule.get(key) else { continue };
        for member in list(node, key, context.diagnostics) {
            if let Some((request, response)) = exchange(member, context.diagnostics) {
                tests.push(RuleTest { rule: id, request, response, matches, span: member.span });
            }
        }
    }
    tests
}

fn exchange(node: &Node, diagnostics: &mut Diagnostics) -> Option<(TestRequest, Option<TestResponse>)> {
    if let Value::Scalar { .. } = node.value {
        let text = paragraph(node, diagnostics)?;
        return Some((from_text(&text, diagnostics)?, None));
    }
    let fields = Fields::of(node, "a test", REQUEST, diagnostics)?;
    let method = fields.text("method", diagnostics).map(|text| text.node);
    let uri = fields.text("uri", diagnostics).map_or_else(|| "/".to_owned(), |text| text.node);
    let headers = fields.get("headers").map(|node| headers(node, diagnostics)).unwrap_or_default();
    let body = fields.get("body").and_then(|node| paragraph(node, diagnostics));
    let body = body.map(|text| text.node).unwrap_or_default();
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let request = TestRequest { method, uri: sendable(&uri), headers: with_type(headers, &body), body };
    let response = fields.get("response").and_then(|node| response(node, diagnostics));
    Some((request, response))
}

fn response(node: &Node, diagnostics: &mut Diagnostics) -> Option<TestResponse> {
    let fields = Fields::of(node, "a response", RESPONSE, diagnostics)?;
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
    let body = fields.get("body").and_then(|node| paragraph(node, diagnostics));
    Some(TestResponse { status, headers, body: body.map(|text| text.node).unwrap_or_default() })
}

fn headers(node: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let Value::Map(map) = &node.value else {
        let message = format!("headers must be a mapping, and this is {}", node.kind());
        diagnostics.push(Diagnostic::error("yaml-type", node.span, message));
        return Vec::new();
    };
    let value = |node| super::reader::text(node, diagnostics).map(|text| text.node).unwrap_or_default();
    let (names, nodes): (Vec<_>, Vec<_>) = map.iter().map(|(name, node)| (name.node.clone(), node)).unzip();
    names.into_iter().zip(nodes.into_iter().map(value)).collect()
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
    let uri = uri.strip_suffix("HTTP/1.1").map_or(uri, str::trim_end);
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
    let request = TestRequest {
        method: method.to_owned(),
        uri: sendable(uri),
        headers: with_type(headers, &body),
        body,
    };
    Some(request)
}

fn next_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

/// `headers` with a type for a body that has none, which nobody would look into.
fn with_type(mut headers: Vec<(String, String)>, body: &str) -> Vec<(String, String)> {
    if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    headers
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

const REQUEST: &[&str] = &["method", "uri", "headers", "body", "response"];
const RESPONSE: &[&str] = &["status", "headers", "body"];
