//! A request in parts: where each value came from, and how another value takes its place.

use super::multipart::{Section, replaced as replaced_in_body, sections};
use crate::cli::source::{SourceRequest, encode};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query(String),
    Form(String),
    /// A field of a multipart form that is no file.
    Field(String),
    /// What an upload in that field says that its file is called.
    FileName(String),
    /// What is in the file of that field.
    Content(String),
    /// A member of JSON, as `ARGS` calls it (`json.user.name`).
    Json(String),
    Header(String),
    Cookie(String),
    /// The whole of a body that no parameter is known of.
    Body,
    /// The name of a parameter, or of a member of JSON, as it is written.
    Name(String),
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) place: Place,
    /// Decoded once.
    pub(super) value: Vec<u8>,
}

impl Place {
    /// For people.
    pub(super) fn named(&self) -> String {
        match self {
            Place::Path => "the path".to_owned(),
            Place::Query(name) | Place::Form(name) | Place::Field(name) | Place::Json(name) => {
                format!("the parameter {name}")
            }
            Place::FileName(name) => format!("the file's name in the upload {name}"),
            Place::Content(name) => format!("the content of the upload {name}"),
            Place::Header(name) => format!("the header {name}"),
            Place::Cookie(name) => format!("the cookie {name}"),
            Place::Body => "the body".to_owned(),
            Place::Name(name) => format!("the name of the parameter {name}"),
        }
    }

    /// What a rule looks at.
    pub(super) fn target(&self) -> String {
        match self {
            Place::Path => "REQUEST_FILENAME".to_owned(),
            // In a list, every place is as good as this one.
            Place::Json(name) if name.split('.').any(is_index) => {
                let segments = name.split('.').map(|segment| {
                    if is_index(segment) {
                        "array_[0-9]+".to_owned()
                    } else {
                        regex::escape(segment).replace('/', "\\/")
                    }
                });
                format!("ARGS:/^{}$/", segments.collect::<Vec<_>>().join("\\."))
            }
            Place::Query(name) | Place::Form(name) | Place::Field(name) | Place::Json(name) => {
                format!("ARGS:{}", key(name))
            }
            Place::FileName(name) => format!("FILES:{}", key(name)),
            Place::Content(name) => format!("FILES_TMP_CONTENT:{}", key(name)),
            Place::Header(name) => format!("REQUEST_HEADERS:{}", key(name)),
            Place::Cookie(name) => format!("REQUEST_COOKIES:{}", key(name)),
            Place::Body => "REQUEST_BODY".to_owned(),
            Place::Name(_) => "ARGS_NAMES".to_owned(),
        }
    }
}

impl Place {
    /// What a rule counts to see whether something stands here at all.
    pub(super) fn presence(&self) -> String {
        match self {
            Place::Name(name) => format!("ARGS:{}", key(name)),
            other => other.target(),
        }
    }
}

/// Whether the engine calls a member of a list so.
pub(super) fn is_index(segment: &str) -> bool {
    segment.strip_prefix("array_").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A selector, quoted where SecLang would read something else in it.
fn key(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-[]".contains(&b);
    if name.bytes().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', "\\'")) }
}

/// The path of the target, without the query string.
pub(super) fn path(request: &SourceRequest) -> &str {
    request.target.split('?').next().unwrap_or("/")
}

/// All parts of `request` that an attacker chooses.
pub(super) fn parts(request: &SourceRequest) -> Vec<Part> {
    let mut out = vec![Part { place: Place::Path, value: decode(path(request)) }];
    if let Some((_, query)) = request.target.split_once('?') {
        let pairs = pairs(query).into_iter();
        out.extend(pairs.map(|(name, value)| Part { place: Place::Query(text(&name)), value }));
    }
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("cookie") {
            for cookie in value.split(';') {
                let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
                out.push(Part { place: Place::Cookie(name.trim().to_owned()), value: decode(value) });
            }
        } else if !ORDINARY.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            out.push(Part { place: Place::Header(name.clone()), value: value.clone().into_bytes() });
        }
    }
    if request.body.is_empty() {
        return out;
    }
    let kind = request.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    if is_json(request)
        && let Ok(value) = serde_json::from_slice(&request.body)
    {
        leaves(&value, "json", 0, &mut out);
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        let body = String::from_utf8_lossy(&request.body);
        let pairs = pairs(&body).into_iter();
        out.extend(pairs.map(|(name, value)| Part { place: Place::Form(text(&name)), value }));
    } else {
        let found = sections(request);
        if found.is_empty() {
            out.push(Part { place: Place::Body, value: request.body.clone() });
        }
        for Section { name, file_name, content } in found {
            let at = |range: std::ops::Range<usize>| request.body.get(range).unwrap_or_default().to_vec();
            let value = at(content);
            match file_name {
                Some(range) => {
                    out.push(Part { place: Place::FileName(name.clone()), value: at(range) });
                    out.push(Part { place: Place::Content(name), value });
                }
                None => out.push(Part { place: Place::Field(name), value }),
            }
        }
    }
    out
}

/// The names of the parameters of `request`, those of members of JSON too.
pub(super) fn names(request: &SourceRequest) -> Vec<Part> {
    let mut names: Vec<String> = Vec::new();
    for Part { place, .. } in parts(request) {
        if let Place::Query(name) | Place::Form(name) | Place::Field(name) = place {
            names.push(name);
        }
    }
    if is_json(request)
        && let Ok(value) = serde_json::from_slice(&request.body)
    {
        keys(&value, 0, &mut names);
    }
    let part = |name: String| Part { value: name.clone().into_bytes(), place: Place::Name(name) };
    names.into_iter().map(part).collect()
}

fn keys(value: &serde_json::Value, depth: usize, out: &mut Vec<String>) {
    if depth > DEPTH {
        return;
    }
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            out.push(key.clone());
            keys(value, depth + 1, out);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, depth + 1, out)),
        _ => {}
    }
}

/// `value` with `new` for each name `old`.
fn rename(value: &mut serde_json::Value, old: &str, new: &str) {
    match value {
        serde_json::Value::Object(map) => {
            let members = std::mem::take(map);
            for (key, mut value) in members {
                rename(&mut value, old, new);
                map.insert(if key == old { new.to_owned() } else { key }, value);
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| rename(value, old, new)),
        _ => {}
    }
}

fn is_json(request: &SourceRequest) -> bool {
    request.header("Content-Type").unwrap_or_default().to_ascii_lowercase().contains("json")
}

/// `request` with `written`, as it goes over the wire, in the place of the value at `place`; `None` where that cannot
/// be done.
pub(super) fn with(request: &SourceRequest, place: &Place, written: &str) -> Option<SourceRequest> {
    let mut out = request.clone();
    let replaced = |text: &str, separator: char, name: &str| -> String {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((known, _)) if self::text(&decode(known.trim())) == *name => format!("{known}={written}"),
            _ => pair.to_owned(),
        };
        text.split(separator).map(pair).collect::<Vec<_>>().join(&separator.to_string())
    };
    match place {
        Place::Query(name) => {
            let (path, query) = request.target.split_once('?')?;
            out.target = format!("{path}?{}", replaced(query, '&', name));
        }
        Place::Form(name) => {
            out.body = replaced(std::str::from_utf8(&request.body).ok()?, '&', name).into_bytes();
        }
        Place::Cookie(name) => {
            for (header, value) in &mut out.headers {
                if header.eq_ignore_ascii_case("cookie") {
                    *value = replaced(value, ';', name);
                }
            }
        }
        Place::Header(name) => {
            let header = out.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            written.clone_into(&mut header.1);
        }
        Place::Json(name) => {
            let mut value = serde_json::from_slice(&request.body).ok()?;
            let path: Vec<_> = name.split('.').skip(1).collect();
            set(&mut value, &path, written)?;
            out.body = value.to_string().into_bytes();
        }
        Place::Field(name) | Place::Content(name) | Place::FileName(name) => {
            let wants_file = !matches!(place, Place::Field(_));
            let found = sections(request)
                .into_iter()
                .find(|s| s.name == *name && s.file_name.is_some() == wants_file)?;
            let range = if let Place::FileName(_) = place { found.file_name? } else { found.content };
            out = replaced_in_body(request, &range, written.as_bytes());
        }
        Place::Body => out.body = written.as_bytes().to_vec(),
        Place::Name(name) => {
            let renamed = |text: &str| {
                let pair = |pair: &str| {
                    let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
                    if self::text(&decode(known)) == *name {
                        format!("{written}={value}")
                    } else {
                        pair.to_owned()
                    }
                };
                text.split('&').map(pair).collect::<Vec<_>>().join("&")
            };
            if let Some((path, query)) = request.target.split_once('?') {
                out.target = format!("{path}?{}", renamed(query));
            }
            if is_json(request) {
                let mut value = serde_json::from_slice(&request.body).ok()?;
                rename(&mut value, name, &self::text(&decode(written)));
                out.body = value.to_string().into_bytes();
            } else if !request.body.is_empty() && sections(request).is_empty() {
                out.body = renamed(std::str::from_utf8(&request.body).ok()?).into_bytes();
            }
            if out == *request {
                return None;
            }
        }
        Place::Path => {
            let query = request.target.split_once('?').map(|(_, query)| format!("?{query}"));
            out.target = format!("{written}{}", query.unwrap_or_default());
        }
    }
    Some(out)
}

/// The value at `place`, a member of JSON, with each of its characters as an escape.
pub(super) fn escaped(request: &SourceRequest, place: &Place, value: &str) -> Option<SourceRequest> {
    const STAND_IN: &str = "portcullis-stand-in";
    let mut out = with(request, place, STAND_IN)?;
    let escapes: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    out.body = String::from_utf8(out.body).ok()?.replace(STAND_IN, &escapes).into_bytes();
    Some(out)
}

/// The innermost list that `place` stands in, with its member once more before it, in which `ordinary` takes the place
/// of the value.
pub(super) fn further_on(request: &SourceRequest, place: &Place, ordinary: &str) -> Option<SourceRequest> {
    let Place::Json(name) = place else { return None };
    let path: Vec<_> = name.split('.').skip(1).collect();
    let list = path.iter().rposition(|segment| is_index(segment))?;
    let (to_list, rest) = path.split_at(list);
    let index: usize = rest.first()?.strip_prefix("array_")?.parse().ok()?;
    let mut value: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
    let mut at = &mut value;
    for segment in to_list {
        at = match at {
            serde_json::Value::Object(map) => map.get_mut(*segment)?,
            serde_json::Value::Array(list) => {
                list.get_mut(segment.strip_prefix("array_")?.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    let members = at.as_array_mut()?;
    let mut copy = members.get(index)?.clone();
    set(&mut copy, rest.get(1..)?, ordinary)?;
    members.insert(index, copy);
    Some(SourceRequest { body: value.to_string().into_bytes(), ..request.clone() })
}

fn set(value: &mut serde_json::Value, path: &[&str], written: &str) -> Option<()> {
    let Some((first, rest)) = path.split_first() else {
        *value = serde_json::Value::String(written.to_owned());
        return Some(());
    };
    match value {
        serde_json::Value::Object(map) => set(map.get_mut(*first)?, rest, written),
        serde_json::Value::Array(list) => {
            // The engine calls members of lists `array_0`, `array_1`, …
            let index: usize = first.strip_prefix("array_")?.parse().ok()?;
            set(list.get_mut(index)?, rest, written)
        }
        _ => None,
    }
}

fn leaves(value: &serde_json::Value, name: &str, depth: usize, out: &mut Vec<Part>) {
    if depth > DEPTH {
        return;
    }
    match value {
        serde_json::Value::Object(map) => {
            map.iter().for_each(|(key, value)| leaves(value, &format!("{name}.{key}"), depth + 1, out));
        }
        serde_json::Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                leaves(value, &format!("{name}.array_{index}"), depth + 1, out);
            }
        }
        serde_json::Value::String(text) => {
            out.push(Part { place: Place::Json(name.to_owned()), value: text.clone().into_bytes() });
        }
        other => {
            out.push(Part { place: Place::Json(name.to_owned()), value: other.to_string().into_bytes() });
        }
    }
}

fn pairs(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Undoes percent-encoding, and `+` for a blank.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(*byte),
        }
        at += 1;
    }
    out
}

/// `value` as it would be written at `place`, with as little encoding as will do.
pub(super) fn written(place: &Place, value: &[u8]) -> String {
    match place {
        Place::Json(_)
        | Place::Header(_)
        | Place::Body
        | Place::Path
        | Place::Field(_)
        | Place::Content(_) => text(value),
        // A quote would end the name.
        Place::FileName(_) => text(value).replace('"', "%22"),
        _ => encode(value),
    }
}

/// Headers that no exploit is told by, unless it is in their value all the same: browsers and tools send them.
const ORDINARY: [&str; 8] = [
    "host",
    "connection",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "te",
    "date",
];
/// Nesting of JSON that is looked into.
const DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_can_be_exchanged() {
        let form = SourceRequest {
            method: "POST".to_owned(),
            target: "/a?q=1&r=%32".to_owned(),
            headers: vec![
                ("Cookie".to_owned(), "s=1; t=2".to_owned()),
                ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("X".to_owned(), "y".to_owned()),
            ],
            body: b"b=c".to_vec(),
            ..SourceRequest::default()
        };
        let json = SourceRequest {
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: br#"{"u": {"n": ["x", 7]}}"#.to_vec(),
            ..form.clone()
        };
        let multipart = SourceRequest {
            headers: vec![("Content-Type".to_owned(), "multipart/form-data; boundary=b".to_owned())],
            body: b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\ny\r\n--b--\r\n".to_vec(),
            ..form.clone()
        };
        assert_eq!(parts(&multipart).len(), 7);
        for request in [form, json, multipart] {
            // Of another type, the body would have other parts.
            let is_type = |part: &Part| part.place == Place::Header("Content-Type".to_owned());
            for part in parts(&request).into_iter().filter(|part| !is_type(part)) {
                let changed = with(&request, &part.place, "/new").expect("it stands there");
                assert!(
                    parts(&changed).iter().any(|p| p.place == part.place && p.value == b"/new"),
                    "{part:?}"
                );
                assert_eq!(parts(&changed).len(), parts(&request).len());
            }
        }
    }

    #[test]
    fn names_can_be_exchanged() {
        let form = SourceRequest {
            target: "/a?q.x=1&r".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
            body: b"b%5Bc%5D=d".to_vec(),
            ..SourceRequest::default()
        };
        let json = SourceRequest {
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: br#"{"u": [{"n": 1}]}"#.to_vec(),
            ..form.clone()
        };
        for (request, count) in [(form, 3), (json, 4)] {
            assert_eq!(names(&request).len(), count);
            for part in names(&request) {
                let changed = with(&request, &part.place, "new").expect("it stands there");
                assert!(names(&changed).iter().any(|name| name.value == b"new"), "{part:?}");
                assert_eq!(names(&changed).len(), count);
            }
        }
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("%zz%4+a%41"), b"%zz%4 aA");
    }
}
