//! HAR files (HTTP Archive 1.2), entry by entry: a browser's archive of a day does not fit in memory twice.

use super::record::{Answered, Flaw, Recorded, Unusable};
use crate::cli::source::encode;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::io::Read;

/// Hands the text of each entry to `take`, until that says `false`.
///
/// # Errors
///
/// Where the text is no HAR file.
pub(super) fn entries(input: impl Read, take: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_reader(input);
    Key { name: Some("log"), take }.deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// The member `log` of the top level, then `entries` of that, then each item.
struct Key<'a> {
    name: Option<&'static str>,
    take: &'a mut dyn FnMut(&[u8]) -> bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.name.is_some() {
            deserializer.deserialize_map(self)
        } else {
            deserializer.deserialize_seq(self)
        }
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a HAR file, an object with log.entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if Some(key.as_str()) == self.name {
                let name = (self.name == Some("log")).then_some("entries");
                map.next_value_seed(Key { name, take: &mut *self.take })?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::custom("there is no log.entries")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Box<RawValue>>()? {
            if !(self.take)(entry.get().as_bytes()) {
                return Err(A::Error::custom("nobody takes what is read"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    #[serde(default)]
    response: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    http_version: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    post_data: Value,
    #[serde(default)]
    body_size: Value,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

/// The transaction of an entry.
pub(super) fn read(entry: &[u8]) -> Result<Recorded, Unusable> {
    let entry: Entry = serde_json::from_slice(entry).map_err(|_| Unusable::Unreadable)?;
    let request = entry.request;
    let (authority, target) = split(&request.url).ok_or(Unusable::Unreadable)?;
    let mut recorded = Recorded {
        method: request.method.into_bytes(),
        target: target.into_bytes(),
        protocol: protocol(&request.http_version),
        ..Recorded::default()
    };
    for pair in request.headers {
        // Pseudo-headers of HTTP/2 say what stands above already.
        if !pair.name.starts_with(':') {
            recorded.headers.push((pair.name.into_bytes(), pair.value.into_bytes()));
        }
    }
    if recorded.header("host").is_none() && !authority.is_empty() {
        recorded.headers.insert(0, (b"Host".to_vec(), authority.into_bytes()));
    }
    let posted = &request.post_data;
    recorded.body = match posted["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let pair = |p: &Value| Some((p["name"].as_str()?.to_owned(), p["value"].as_str()?.to_owned()));
            let pairs = posted["params"].as_array().into_iter().flatten().filter_map(pair);
            let form =
                |(n, v): (String, String)| format!("{}={}", encode(n.as_bytes()), encode(v.as_bytes()));
            pairs.map(form).collect::<Vec<_>>().join("&").into_bytes()
        }
    };
    if let (Some(kind), None) = (posted["mimeType"].as_str(), recorded.header("content-type")) {
        recorded.headers.push((b"Content-Type".to_vec(), kind.as_bytes().to_vec()));
    }
    let has_body = request.body_size.as_i64().is_some_and(|size| size > 0);
    if recorded.body.is_empty() && has_body {
        recorded.flaws.add(Flaw::BodyMissing);
    } else if !recorded.body.is_empty() && recorded.header("content-length").is_none() {
        let length = recorded.body.len().to_string().into_bytes();
        recorded.headers.push((b"Content-Length".to_vec(), length));
    }
    recorded.response = answered(&entry.response);
    Ok(recorded)
}

fn answered(response: &Value) -> Option<Answered> {
    let status =
        response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).filter(|s| *s > 0)?;
    let content = &response["content"];
    let body = content["text"].as_str().filter(|_| content["encoding"].as_str().is_none_or(str::is_empty));
    let mut headers = Vec::new();
    for pair in response["headers"].as_array().into_iter().flatten() {
        let (Some(name), Some(value)) = (pair["name"].as_str(), pair["value"].as_str()) else { continue };
        // The content is recorded without its coding.
        let is_undone = body.is_some() && name.eq_ignore_ascii_case("content-encoding");
        if !is_undone && !name.starts_with(':') {
            headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
    }
    let protocol = protocol(response["httpVersion"].as_str().unwrap_or_default());
    Some(Answered { status, protocol, headers, body: body.map(|body| body.as_bytes().to_vec()) })
}

/// Browsers write `h2`, `http/2.0`, `HTTP/1.1`, or nothing.
fn protocol(text: &str) -> Vec<u8> {
    match text.to_ascii_lowercase().as_str() {
        "h2" | "http/2" | "http/2.0" | "h3" | "http/3" | "http/3.0" => b"HTTP/2.0".to_vec(),
        "http/1.0" => b"HTTP/1.0".to_vec(),
        _ => b"HTTP/1.1".to_vec(),
    }
}

/// Authority and target of a URL.
fn split(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split('#').next().unwrap_or(rest);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Some((authority.rsplit('@').next().unwrap_or(authority).to_owned(), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAR: &str = r#"{"log": {"version": "1.2", "pages": [{"x": [1, {"entries": []}]}], "entries": [
        {"request": {"method": "GET", "url": "https://h.example?a=b#c", "httpVersion": "h2", "headers": [{"name": ":path", "value": "/"}], "bodySize": 0},
         "response": {"status": 200, "headers": [{"name": "Content-Encoding", "value": "br"}], "content": {"text": "hi"}}},
        {"request": {"method": "POST", "url": "http://h/x", "headers": [], "bodySize": 7,
         "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "b c"}]}}},
        {"request": {"method": "POST", "url": "http://h/x", "headers": [], "bodySize": 7}}]}, "more": 1}"#;

    #[test]
    fn entries_come_one_by_one() {
        let mut found = Vec::new();
        let mut take = |entry: &[u8]| {
            found.push(read(entry).expect("it is read"));
            true
        };
        entries(HAR.as_bytes(), &mut take).expect("it is sound");
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].target.as_slice(), found[0].protocol.as_slice()),
            (&b"/?a=b"[..], &b"HTTP/2.0"[..])
        );
        assert_eq!(found[0].header("host"), Some(&b"h.example"[..]));
        let response = found[0].response.as_ref().expect("a response");
        assert_eq!((response.headers.len(), response.body.as_deref()), (0, Some(&b"hi"[..])));
        assert_eq!(
            (found[1].body.as_slice(), found[1].header("content-length")),
            (&b"a=b%20c"[..], Some(&b"7"[..]))
        );
        assert!(found[2].flaws.has(Flaw::BodyMissing) && found[2].verdict.is_none());
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bad in ["{}", "[]", r#"{"log": {}}"#, r#"{"log": {"entries": 1}}"#, r#"{"log": {"entries": [{}"#]
        {
            assert!(entries(bad.as_bytes(), &mut |_| true).is_err(), "{bad}");
        }
        assert!(read(b"{}").is_err() && read(br#"{"request": {"method": "GET", "url": "x"}}"#).is_err());
    }
}
