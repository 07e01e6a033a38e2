//! Answers of the admin listener.

use super::guard::Refusal;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::convert::Infallible;

/// An answer: whole, or a stream.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn bytes(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    harden(&mut answer);
    answer
}

/// What every answer says: it is not to be stored, not to be taken for something else, and no other site's page may
/// have it.
pub(super) fn harden(answer: &mut Answer) {
    let headers = answer.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // For data, which is never a document of its own; the console's page has its own policy.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry("content-security-policy").or_insert(nothing);
}

pub(super) fn text(text: impl Into<String>) -> Answer {
    bytes(StatusCode::OK, TEXT, text.into())
}

pub(super) fn json(value: &Value) -> Answer {
    json_with(StatusCode::OK, value)
}

pub(super) fn json_with(status: StatusCode, value: &Value) -> Answer {
    bytes(status, "application/json", format!("{value}\n"))
}

pub(super) fn problem(status: StatusCode, what: &str) -> Answer {
    json_with(status, &json!({ "error": what }))
}

pub(super) fn refusal(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Host => problem(StatusCode::MISDIRECTED_REQUEST, "this Host is not served; see admin.hosts"),
        Refusal::Origin => problem(StatusCode::FORBIDDEN, "web pages of other origins are not answered"),
        Refusal::Remote => {
            problem(StatusCode::FORBIDDEN, "without a configured token only loopback may use the API")
        }
        Refusal::ReadOnly => problem(
            StatusCode::FORBIDDEN,
            "changes need a token: set admin.token or admin.token_file (SIGHUP reloads without one)",
        ),
        Refusal::Token => {
            let mut answer = problem(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
        Refusal::Rate(seconds) => {
            let mut answer = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests; wait");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            answer
        }
    }
}
