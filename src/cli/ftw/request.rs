//! The bytes of a test's request, as go-ftw builds them. What it does to data is part of the format: CRS's tests
//! are written against it.

use super::Input;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The request as it goes over the wire.
///
/// # Errors
///
/// Says what is wrong with the test: broken base64, a template other than `repeat`, two kinds of data at once.
pub fn request_bytes(input: &Input) -> Result<Vec<u8>, String> {
    let whole = input.encoded_request.as_deref().filter(|r| !r.is_empty());
    let raw = input.raw_request.as_deref().filter(|r| !r.is_empty());
    if (whole.is_some() || raw.is_some()) && input.data.as_deref().is_some_and(|d| !d.is_empty()) {
        return Err("`data` and `encoded_request` exclude each other".into());
    }
    if let Some(encoded) = whole {
        return decode(encoded, "encoded_request");
    }
    if let Some(raw) = raw {
        return Ok(raw.as_bytes().to_vec());
    }

    let autocomplete = input.autocompletes();
    let mut headers = input.headers.clone();
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut data = match (&input.data, &input.encoded_data) {
        (Some(text), _) => expand(text)?,
        (None, Some(encoded)) => decode(encoded, "encoded_data")?,
        (None, None) => Vec::new(),
    };
    if autocomplete && !data.is_empty() {
        if !has(&headers, "Content-Type") {
            headers.push(("Content-Type".into(), FORM.into()));
        }
        let is_form = |(n, v): &(String, String)| {
            n.eq_ignore_ascii_case("Content-Type") && v.eq_ignore_ascii_case(FORM)
        };
        if headers.iter().any(is_form) {
            data = encode_form(data);
        }
    }
    // Test files are written with LF; a multipart body is not read by anybody without CRLF.
    let is_multipart = |(n, v): &(String, String)| {
        n.eq_ignore_ascii_case("Content-Type") && v.to_ascii_lowercase().contains("multipart/form-data;")
    };
    if headers.iter().any(is_multipart) {
        data = lf_to_crlf(&data);
    }
    let method = input.method.as_deref().unwrap_or("GET");
    if autocomplete {
        if !has(&headers, "Connection") {
            headers.push(("Connection".into(), "close".into()));
        }
        if !has(&headers, "Content-Length") && (!data.is_empty() || expects_body(method)) {
            headers.push(("Content-Length".into(), data.len().to_string()));
        }
    }

    let uri = input.uri.as_deref().unwrap_or("/");
    let version = input.version.as_deref().unwrap_or("HTTP/1.1");
    let mut out = format!("{method} {uri} {version}\r\n").into_bytes();
    for (name, value) in &headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&data);
    Ok(out)
}

const FORM: &str = "application/x-www-form-urlencoded";

/// A template may not ask for more than this; CRS's largest is 64,200 bytes.
const MAX_EXPANSION: usize = 64 << 20;

fn decode(encoded: &str, what: &str) -> Result<Vec<u8>, String> {
    let compact: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|e| format!("`{what}` is not base64: {e}"))
}

/// go-ftw tests methods against `^POST|PUT|PATCH|DELETE$`, whose anchors bind to the outer words only.
fn expects_body(method: &str) -> bool {
    method.starts_with("POST")
        || method.contains("PUT")
        || method.contains("PATCH")
        || method.ends_with("DELETE")
}

/// Data is a Go template in go-ftw; the one function that test files use is `repeat`.
fn expand(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.extend_from_slice(before.as_bytes());
        let (template, tail) = after.split_once("}}").ok_or("`{{` in data has no `}}`")?;
        let (unit, count) = repeat(template)
            .ok_or_else(|| format!("template `{{{{{template}}}}}`: only `\"text\" | repeat N` is known"))?;
        if unit.len().saturating_mul(count).saturating_add(out.len()) > MAX_EXPANSION {
            return Err(format!("template expands to more than {MAX_EXPANSION} bytes"));
        }
        out.extend_from_slice(unit.repeat(count).as_bytes());
        rest = tail;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The parts of `"text" | repeat N`.
fn repeat(template: &str) -> Option<(&str, usize)> {
    let template = template.strip_prefix('-').unwrap_or(template);
    let template = template.strip_suffix('-').unwrap_or(template).trim();
    let (unit, count) = template.strip_prefix('"')?.split_once('"')?;
    let count = count.trim_start().strip_prefix('|')?.trim_start().strip_prefix("repeat")?;
    Some((unit, count.trim().parse().ok()?))
}

/// Encodes names and values of form data, unless it looks encoded already: when decoding would change it.
fn encode_form(data: Vec<u8>) -> Vec<u8> {
    if data.iter().any(|b| matches!(b, b'%' | b'+')) {
        return data;
    }
    let mut out = Vec::with_capacity(data.len());
    let data = data.strip_suffix(b"&").unwrap_or(&data);
    for (i, pair) in data.split(|b| *b == b'&').enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..)),
            None => (pair, None),
        };
        encode_component(name, &mut out);
        if let Some(value) = value {
            out.push(b'=');
            encode_component(value, &mut out);
        }
    }
    out
}

fn encode_component(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

fn lf_to_crlf(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 32);
    for &byte in data {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(yaml: &str) -> String {
        let input: Input = serde_yaml::from_str(yaml).unwrap();
        String::from_utf8(request_bytes(&input).unwrap()).unwrap()
    }

    fn fails(yaml: &str) -> String {
        request_bytes(&serde_yaml::from_str(yaml).unwrap()).unwrap_err()
    }

    #[test]
    fn defaults_and_standard_headers() {
        assert_eq!(built("{}"), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert_eq!(
            built("{method: POST, headers: {connection: keep-alive, Host: h}}"),
            "POST / HTTP/1.1\r\nHost: h\r\nconnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            built(
                "{method: DELETED, uri: '/a b', version: 'HTTP/1.0', headers: {Host: h}, autocomplete_headers: false}"
            ),
            "DELETED /a b HTTP/1.0\r\nHost: h\r\n\r\n"
        );
    }

    #[test]
    fn form_data_is_encoded_unless_it_is_already() {
        let head =
            "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n";
        let body = |data: &str| {
            let all = built(&format!("{{method: POST, data: {data:?}}}"));
            let rest = all.strip_prefix(head).unwrap().strip_prefix("Content-Length: ").unwrap();
            let (length, body) = rest.split_once("\r\n\r\n").unwrap();
            assert_eq!(length, body.len().to_string());
            body.to_owned()
        };
        assert_eq!(body("a=b c&d"), "a=b+c&d");
        assert_eq!(body("a=<x>&b=ö=1&"), "a=%3Cx%3E&b=%C3%B6%3D1");
        assert_eq!(body("a&&b="), "a&&b=");
        assert_eq!(body("a=%20 <"), "a=%20 <");
        assert_eq!(body("a=x+y <"), "a=x+y <");
        assert!(
            built("{data: '<', headers: {Content-Type: text/plain}}").ends_with("Content-Length: 1\r\n\r\n<")
        );
        assert!(built("{data: '<', autocomplete_headers: false}").ends_with("HTTP/1.1\r\n\r\n<"));
    }

    #[test]
    fn multipart_gets_crlf() {
        let yaml = "{data: \"--x\\na\\n\", headers: {Content-Type: multipart/form-data; boundary=x}}";
        assert!(built(yaml).ends_with("Content-Length: 8\r\n\r\n--x\r\na\r\n"));
    }

    #[test]
    fn templates_repeat_and_nothing_else() {
        assert!(built(r#"{data: 'x={{ "ab" | repeat 3 }}y'}"#).ends_with("\r\n\r\nx=abababy"));
        assert!(fails(r#"{data: '{{7*7}}'}"#).contains("{{7*7}}"));
        assert!(fails(r#"{data: '{{ "ab" | repeat 99999999999 }}'}"#).contains("more than"));
    }

    #[test]
    fn encoded_requests_go_out_as_they_are() {
        let input = Input { encoded_request: Some("R0VUIC8KCg==".into()), ..Input::default() };
        assert_eq!(request_bytes(&input).unwrap(), b"GET /\n\n");
        assert!(fails("{encoded_request: '!'}").contains("base64"));
        assert!(fails("{encoded_request: 'R0VU', data: x}").contains("exclude"));
        assert_eq!(built("{encoded_data: 'PA==', headers: {Content-Type: a/b}}").lines().last(), Some("<"));
    }
}
