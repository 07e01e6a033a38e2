//! The page that a refused request is answered with: HTML, `application/problem+json` (RFC 9457) or text, as the
//! client's `Accept` asks.
//!
//! It shows the status and the transaction's id, by which an operator finds the audit record, and nothing about
//! rules: what matched is an attacker's business least of all.

use bytes::Bytes;
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A complete response of Portcullis' own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    /// Name and value of the header that carries the transaction's id, if the site wants one.
    pub(super) request_id: Option<(String, String)>,
    /// `Strict-Transport-Security`.
    pub(super) hsts: Option<String>,
    /// Seconds after which the client should come back.
    pub(super) retry_after: Option<u64>,
    /// The body is the operator's own, which may load what it likes.
    is_own: bool,
    pub(super) body: Bytes,
}

impl Page {
    /// The page for `status`, of the type that the `Accept` header's values ask for. `location` makes it a
    /// redirect.
    pub(super) fn new(
        status: u16,
        accept: &[&[u8]],
        id: &str,
        location: Option<String>,
        request_id_header: Option<&str>,
    ) -> Self {
        let format = Format::negotiate(accept);
        let body = match status {
            // RFC 9110 §15.3.5, §15.3.6, §15.4.5: no content.
            204 | 205 | 304 => Bytes::new(),
            _ => Bytes::from(format.text(status, id)),
        };
        Self {
            status,
            content_type: format.content_type(),
            location,
            request_id: request_id_header.map(|name| (name.to_owned(), id.to_owned())),
            hsts: None,
            retry_after: None,
            is_own: false,
            body,
        }
    }

    /// Says that the site is closed for maintenance: by `html`, where there is one and the client takes it.
    pub(super) fn in_maintenance(&mut self, html: Option<&str>) {
        if let Some(html) = html
            && self.content_type == Format::Html.content_type()
        {
            (self.body, self.is_own) = (Bytes::copy_from_slice(html.as_bytes()), true);
            return;
        }
        let text = String::from_utf8_lossy(&self.body).replace(sentence(503), MAINTENANCE);
        self.body = Bytes::from(text);
    }

    /// Its fields, in the order in which they are sent.
    fn fields(&self) -> Vec<(&str, String)> {
        let mut fields = vec![
            ("Content-Type", self.content_type.to_owned()),
            ("Content-Length", self.body.len().to_string()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'".to_owned()),
        ];
        if self.is_own {
            fields.retain(|(name, _)| *name != "Content-Security-Policy");
        }
        if let Some(hsts) = &self.hsts {
            fields.push(("Strict-Transport-Security", hsts.clone()));
        }
        if let Some(seconds) = self.retry_after {
            fields.push(("Retry-After", seconds.to_string()));
        }
        // RFC 9110 §8.6: no Content-Length with 204.
        if self.status == 204 {
            fields.retain(|(name, _)| *name != "Content-Length");
        }
        if let Some(location) = &self.location {
            fields.push(("Location", location.clone()));
        }
        if let Some((name, id)) = &self.request_id {
            fields.push((name, id.clone()));
        }
        fields
    }

    /// Its head.
    pub(super) fn head(&self) -> Result<ResponseHeader> {
        let fields = self.fields();
        let mut head = ResponseHeader::build(self.status, Some(fields.len()))?;
        for (name, value) in fields {
            // A location comes from a rule and may hold anything; what cannot stand in a header is left out
            // rather than let the refusal itself fail.
            if ::http::HeaderValue::from_str(&value).is_ok() {
                head.insert_header(name.to_owned(), value)?;
            }
        }
        Ok(head)
    }

    /// Sends it, as the whole response to `session`'s request.
    pub(super) async fn send(&self, session: &mut ServerSession) -> Result<()> {
        let is_head = session.req_header().method == ::http::Method::HEAD;
        session.write_response_header(Box::new(self.head()?)).await?;
        if !is_head && !self.body.is_empty() {
            session.write_response_body(self.body.clone(), true).await
        } else {
            session.finish_body().await
        }
    }

    /// The page as bytes for an HTTP/1 connection that is closed after it.
    pub(super) fn to_http1(&self, with_body: bool) -> Vec<u8> {
        let reason = reason(self.status);
        let mut out = format!("HTTP/1.1 {} {reason}\r\n", self.status).into_bytes();
        for (name, value) in self.fields() {
            if ::http::HeaderValue::from_str(&value).is_ok() {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        // RFC 9110 §6.6.1. Formatting a date of this century cannot fail.
        if let Ok(date) = OffsetDateTime::from(SystemTime::now()).format(IMF_FIXDATE) {
            out.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
        }
        out.extend_from_slice(b"Connection: close\r\n\r\n");
        if with_body {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

/// The types a page comes in, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Problem,
    Text,
}

impl Format {
    const ALL: [Format; 3] = [Format::Html, Format::Problem, Format::Text];

    fn content_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Problem => "application/problem+json",
            Format::Text => "text/plain; charset=utf-8",
        }
    }

    /// Proactive negotiation (RFC 9110 §12.5.1): the most specific range that fits a type gives its weight, the
    /// greatest weight wins, and HTML wins a tie. When nothing fits, HTML: a refusal must say something.
    fn negotiate(accept: &[&[u8]]) -> Format {
        let ranges: Vec<Range<'_>> = accept
            .iter()
            .flat_map(|value| value.split(|b| *b == b','))
            .filter_map(Range::parse)
            .take(MAX_RANGES)
            .collect();
        let weight = |format: Format| {
            let fits = ranges.iter().filter_map(|r| Some((r.specificity(format)?, r.weight)));
            fits.max_by_key(|(specificity, _)| *specificity).map_or(0, |(_, weight)| weight)
        };
        let mut best = (Format::Html, weight(Format::Html));
        for format in Format::ALL {
            let weight = weight(format);
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    fn text(self, status: u16, id: &str) -> String {
        let reason = reason(status);
        let sentence = sentence(status);
        match self {
            Format::Html => format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {reason}</title>\n\
                 <style>body{{font-family:system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;\
                 color:#222}}code{{background:#eee;padding:.1em .3em}}</style>\n</head>\n<body>\n\
                 <h1>{status} {reason}</h1>\n<p>{sentence}</p>\n\
                 <p>If you ask for help, please give this number: <code>{id}</code></p>\n</body>\n</html>\n"
            ),
            Format::Problem => {
                let problem = serde_json::json!({
                    "type": "about:blank",
                    "title": reason,
                    "status": status,
                    "detail": sentence,
                    "id": id,
                });
                format!("{problem}\n")
            }
            Format::Text => format!("{status} {reason}\n{sentence}\nNumber: {id}\n"),
        }
    }
}

/// One media range of an `Accept` header.
struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    /// Thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let range = parts.next()?;
        let slash = range.iter().position(|b| *b == b'/')?;
        let mut weight = 1_000;
        for parameter in parts {
            if let [b'q' | b'Q', b'=', value @ ..] = parameter {
                weight = parse_weight(value);
            }
        }
        Some(Self { kind: range.get(..slash)?, subtype: range.get(slash + 1..)?, weight })
    }

    /// How exactly this range names `format`; `None` when it does not.
    fn specificity(&self, format: Format) -> Option<u8> {
        let names: &[(&str, &str, u8)] = match format {
            Format::Html => &[("text", "html", 3), ("application", "xhtml+xml", 2)],
            Format::Problem => &[("application", "problem+json", 3), ("application", "json", 2)],
            Format::Text => &[("text", "plain", 3)],
        };
        let is = |range: &[u8], name: &str| range.eq_ignore_ascii_case(name.as_bytes());
        for (kind, subtype, specificity) in names {
            if is(self.kind, kind) && is(self.subtype, subtype) {
                return Some(*specificity);
            }
        }
        let own_kind = names.first().map_or("", |(kind, _, _)| kind);
        match (self.kind, self.subtype) {
            (b"*", b"*") => Some(0),
            (kind, b"*") if is(kind, own_kind) => Some(1),
            _ => None,
        }
    }
}

/// `0`, `1`, `0.123` → thousandths; what is no weight counts as 1, as browsers' own parsers take it.
fn parse_weight(text: &[u8]) -> u16 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.trim().parse::<f32>().ok())
        .filter(|w| (0.0..=1.0).contains(w))
        .map_or(1_000, |w| (w * 1_000.0) as u16)
}

fn reason(status: u16) -> &'static str {
    ::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Refused")
}

fn sentence(status: u16) -> &'static str {
    match status {
        200..=399 => "Your request has been answered by the gateway in front of this site.",
        404 => "There is no site here.",
        408 => "Your request did not arrive completely in time.",
        413 => "Your request is larger than this site accepts.",
        414 | 431 => "Your request's address or headers are longer than this site accepts.",
        400 | 405 | 411 | 415 | 501 | 505 => "Your request could not be understood.",
        502 | 504 => "The site did not give a usable answer. Please try again later.",
        503 => "The site is busy. Please try again in a moment.",
        500 => "Something went wrong while your request was handled.",
        _ => "Your request was refused.",
    }
}

/// What stands in the place of [`sentence`].
const MAINTENANCE: &str = "The site is being worked on. Please come back later.";

/// RFC 9110 §5.6.7.
const IMF_FIXDATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Media ranges that are looked at; no client sends more.
const MAX_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_accept() {
        for (accept, expected) in [
            ("", Format::Html),
            ("*/*", Format::Html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Html),
            ("application/json", Format::Problem),
            ("application/problem+json, text/html;q=0.5", Format::Problem),
            ("application/*", Format::Problem),
            ("text/plain", Format::Text),
            ("text/plain;q=0.3, application/json;q=0.7", Format::Problem),
            ("application/json;q=0, */*;q=0.1", Format::Html),
            ("text/html;q=0, text/*", Format::Text),
            ("image/png", Format::Html),
            ("/;;q=,", Format::Html),
        ] {
            assert_eq!(Format::negotiate(&[accept.as_bytes()]), expected, "{accept}");
        }
        assert_eq!(Format::negotiate(&[b"text/html;q=0.1", b"application/json"]), Format::Problem);
    }

    #[test]
    fn every_type_shows_the_id_and_the_status() {
        for accept in ["text/html", "application/json", "text/plain"] {
            let page = Page::new(403, &[accept.as_bytes()], "01ABC", None, Some("X-Request-Id"));
            let text = String::from_utf8(page.to_http1(true)).expect("text");
            assert!(text.contains("403") && text.contains("01ABC"), "{text}");
            assert!(text.contains(&format!("Content-Length: {}\r\n", page.body.len())), "{text}");
        }
    }

    #[test]
    fn a_location_that_would_break_the_head_is_left_out() {
        let page = Page::new(302, &[], "1", Some("https://a.test/\r\nSet-Cookie: a=b".into()), None);
        assert!(page.head().expect("head").headers.get("location").is_none());
        assert!(!String::from_utf8_lossy(&page.to_http1(true)).contains("Set-Cookie"));
    }

    #[test]
    fn statuses_without_content_have_none() {
        assert!(Page::new(204, &[], "1", None, None).body.is_empty());
    }
}
