//! Archives of a browser's session.

use super::{FormPart, Source, SourceRequest, encode, host_of, multipart, of_file, path_of};
use serde_json::Value;

/// The requests of a HAR file (HTTP Archive 1.2), of one of its entries, or one request of it.
pub(super) fn read(value: &Value) -> Result<Source, String> {
    let entries: Vec<&Value> = match (&value["log"]["entries"], value) {
        (Value::Array(entries), _) | (_, Value::Array(entries)) => entries.iter().collect(),
        _ => vec![value],
    };
    let mut source = Source::default();
    for entry in entries {
        let request = if entry["request"].is_object() { &entry["request"] } else { entry };
        let (Some(method), Some(url)) = (request["method"].as_str(), request["url"].as_str()) else {
            continue;
        };
        let pairs = |list: &Value| -> Vec<(String, String)> {
            let pair =
                |one: &Value| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()));
            list.as_array().into_iter().flatten().filter_map(pair).collect()
        };
        let mut headers = pairs(&request["headers"]);
        headers.retain(|(name, _)| !name.starts_with(':') && !name.eq_ignore_ascii_case("content-length"));
        let posted = &request["postData"];
        let is_multipart = posted["mimeType"].as_str().is_some_and(|kind| kind.starts_with("multipart/"));
        let body = match posted["text"].as_str().filter(|text| !(is_multipart && text.is_empty())) {
            Some(text) => text.to_owned(),
            None if is_multipart => {
                // Browsers keep the fields of an upload and leave out its bytes.
                let text = |one: &Value, key: &str| one[key].as_str().map(str::to_owned);
                let parts = posted["params"].as_array().into_iter().flatten().filter_map(|one| {
                    let file_name = text(one, "fileName");
                    let content = text(one, "value").unwrap_or_else(|| match &file_name {
                        Some(name) => of_file(name, &mut source.guesses),
                        None => String::new(),
                    });
                    Some(FormPart {
                        name: text(one, "name")?,
                        file_name,
                        kind: text(one, "contentType"),
                        content,
                    })
                });
                let mut form = SourceRequest {
                    method: method.to_owned(),
                    target: path_of(url),
                    headers,
                    body: Vec::new(),
                    host: None,
                };
                multipart(&mut form, &parts.collect::<Vec<_>>());
                source.requests.push(form);
                continue;
            }
            None => {
                let encoded = pairs(&posted["params"]).into_iter();
                encoded.map(|(n, v)| format!("{n}={}", encode(v.as_bytes()))).collect::<Vec<_>>().join("&")
            }
        };
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let (Some(kind), false) = (posted["mimeType"].as_str(), has_type) {
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        let target = path_of(url);
        source.requests.push(SourceRequest {
            method: method.to_owned(),
            target,
            host: host_of(url),
            headers,
            body: body.into_bytes(),
        });
    }
    if source.requests.is_empty() {
        return Err("there is no request in this JSON; a HAR file has log.entries[].request".to_owned());
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use crate::cli::source::read;

    #[test]
    fn uploads_in_archives_are_uploads() {
        let har = r#"{"request": {"method": "POST", "url": "http://h/u", "headers": [], "postData": {"mimeType":
            "multipart/form-data; boundary=x", "params": [{"name": "f", "fileName": "s.php", "contentType": "image/png"},
            {"name": "t", "value": "v"}]}}}"#;
        let source = read(har).unwrap();
        let body = String::from_utf8_lossy(&source.requests[0].body).into_owned();
        assert!(body.contains("filename=\"s.php\"") && body.contains("\r\n\r\nv\r\n"), "{body}");
        assert_eq!(source.requests[0].header("content-type"), Some("multipart/form-data; boundary=b"));
    }

    #[test]
    fn archives_and_templates_hold_several() {
        let har = r#"{"log": {"entries": [
            {"request": {"method": "GET", "url": "http://h/a", "headers": [{"name": ":path", "value": "/a"}]}},
            {"request": {"method": "POST", "url": "http://h/b", "headers": [],
             "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "c", "value": "d e"}]}}}]}}"#;
        let source = read(har).expect("it is sound");
        assert_eq!(source.requests[0].headers, []);
        assert_eq!(source.requests[1].body, b"c=d%20e");
        let template = "id: CVE-2024-1\ninfo:\n  name: A flaw\n  severity: high\n  classification: {cve-id: cve-2024-1}\n\
                        http:\n  - method: GET\n    path: ['{{BaseURL}}/a?b={{randstr}}']\n  - raw:\n      - |\n        \
                        POST /c HTTP/1.1\n        Host: {{Hostname}}\n\n        d=1\n";
        let source = read(template).expect("it is sound");
        assert_eq!(source.requests.iter().map(|r| r.target.as_str()).collect::<Vec<_>>(), ["/a?b=x1", "/c"]);
        assert_eq!(source.about.cve, ["CVE-2024-1"]);
        assert_eq!(source.guesses.len(), 1);
    }
}
