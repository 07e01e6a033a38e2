//! What a site demands of connections and adds to responses, between client and rules: HTTPS, client certificates,
//! headers.

use super::document::{Data, Node};
use super::reader::{Section, complain, lone_word};
use super::schema;
use crate::source::Span;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::time::Duration;

/// What a site demands of connections and adds to responses. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// Requests in cleartext are sent to this port of the same host, over HTTPS.
    pub redirect: Option<u16>,
    /// The value of `Strict-Transport-Security` on answers over HTTPS.
    pub hsts: Option<String>,
    /// Names and values of headers that responses get unless the application sends its own.
    pub response_headers: Vec<(String, String)>,
    /// Names of headers that responses lose.
    pub remove_response_headers: Vec<String>,
    /// What is asked of clients' certificates.
    pub client_certificate: ClientCertificate,
}

/// What a site asks of clients' certificates, which listeners with `client_ca` verify, and tells its upstreams of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Without a verified one, requests are refused.
    pub required: bool,
    /// Header that gets the subject (RFC 2253). Clients' own headers of that name, and of the other names here, are
    /// removed.
    pub subject_header: Option<String>,
    /// Header that gets `SUCCESS` or `NONE`.
    pub verify_header: Option<String>,
    /// Header that gets the SHA-256 fingerprint in lower-case hex.
    pub fingerprint_header: Option<String>,
    /// Header that gets the certificate: PEM, percent-encoded.
    pub certificate_header: Option<String>,
}

impl ClientCertificate {
    /// All headers that it sets.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let all =
            [&self.subject_header, &self.verify_header, &self.fingerprint_header, &self.certificate_header];
        all.into_iter().flatten().map(String::as_str)
    }
}

/// The headers of `security_headers: on`.
const SECURITY_HEADERS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
];

/// Reads what `site` says about it.
pub(super) fn read(site: &Section<'_>, out: &mut Diagnostics) -> Edge {
    let mut response_headers: Vec<(String, String)> = site.list("response_headers", out, header);
    if site.boolean_word("security_headers", out).unwrap_or(false) {
        for (name, value) in SECURITY_HEADERS {
            if response_headers.iter().all(|(given, _)| !given.eq_ignore_ascii_case(name)) {
                response_headers.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    Edge {
        redirect: redirect(site, out),
        hsts: site.get("hsts").and_then(|node| hsts(node, out)),
        response_headers,
        remove_response_headers: site.list("remove_response_headers", out, header_name),
        client_certificate: site
            .get("client_certificate")
            .map_or_else(Default::default, |n| certificate(n, out)),
    }
}

/// `on`, `off` or a port.
fn redirect(site: &Section<'_>, out: &mut Diagnostics) -> Option<u16> {
    site.value("redirect_to_https", out, |text| match text {
        "on" | "true" => Ok(Some(443)),
        "off" | "false" => Ok(None),
        port => match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Some(port)),
            _ => Err("expected `on`, `off` or the port of the HTTPS listener"),
        },
    })?
}

/// `off`, a duration, or a mapping.
fn hsts(node: &Node, out: &mut Diagnostics) -> Option<String> {
    let whole = |age: Duration| (age.as_secs() > 0).then_some(age);
    if let Data::Scalar(text) = &node.data {
        if text == "off" {
            return None;
        }
        let age = complain(super::reader::duration(text), node.span, "hsts", out).and_then(whole)?;
        return Some(format!("max-age={}", age.as_secs()));
    }
    let section = Section::new(&schema::HSTS, node, out);
    let age = section.duration("max_age", (1, 10 * 366 * 86_400), out);
    let mut value = format!("max-age={}", age.unwrap_or(Duration::from_secs(31_536_000)).as_secs());
    let subdomains = section.boolean("include_subdomains", out).unwrap_or(false);
    let preload = section.boolean("preload", out).unwrap_or(false);
    if subdomains {
        value.push_str("; includeSubDomains");
    }
    if preload {
        if !subdomains {
            let span = section.get("preload").map_or(section.span(), |node| node.span);
            let complaint =
                Diagnostic::error("config-conflict", span, "`preload` needs `include_subdomains`");
            out.push(complaint.help("browsers take no domain into their lists without it"));
        }
        value.push_str("; preload");
    }
    Some(value)
}

fn certificate(node: &Node, out: &mut Diagnostics) -> ClientCertificate {
    let words = [("optional", false), ("required", true)];
    if let Data::Scalar(_) = &node.data {
        let required = lone_word(node, "client_certificate", &words, out).unwrap_or(true);
        return ClientCertificate { required, ..ClientCertificate::default() };
    }
    let section = Section::new(&schema::CLIENT_CERTIFICATE, node, out);
    ClientCertificate {
        required: section.word("mode", &words, out).unwrap_or(false),
        subject_header: section.value("subject_header", out, header_name),
        verify_header: section.value("verify_header", out, header_name),
        fingerprint_header: section.value("fingerprint_header", out, header_name),
        certificate_header: section.value("certificate_header", out, header_name),
    }
}

/// Complains about a site that asks for certificates when no listener asks clients for one.
pub(super) fn complain_of_unasked(edge: &Edge, site: &str, span: Span, out: &mut Diagnostics) {
    let what = format!("site `{site}` requires client certificates, and no listener has a `client_ca`");
    if edge.client_certificate.required {
        out.push(
            Diagnostic::error("config-conflict", span, what)
                .help("name the authority of clients' certificates as `client_ca` of a TLS listener"),
        );
    }
}

/// `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `Name: value`")?;
    let value = value.trim();
    http::HeaderValue::from_str(value).map_err(|_| "the value has characters that no header may have")?;
    Ok((header_name(name.trim())?, value.to_owned()))
}

/// A header's name that is the configuration's to choose.
fn header_name(text: &str) -> Result<String, String> {
    let name = http::HeaderName::from_bytes(text.as_bytes()).map_err(|_| "expected a header's name")?;
    if FRAMING.contains(&name.as_str()) {
        return Err(format!("`{text}` belongs to the protocol"));
    }
    Ok(text.to_owned())
}

/// Headers that say where a message ends, or whom a connection is for.
const FRAMING: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
