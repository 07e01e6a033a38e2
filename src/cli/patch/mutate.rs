//! Variants of an exploit: what a filter that looked at the exploit alone would let through.

use super::part::{Part, Place, escaped, further_on, path, with, written};
use super::shape::Shape;
use crate::cli::source::{SourceRequest, encode};

/// A variant, and what is different in it.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) what: &'static str,
    pub(super) request: SourceRequest,
}

/// Variants of `request`, whose hostile value is `part`.
pub(super) fn variants(request: &SourceRequest, part: &Part, shape: Option<&Shape>) -> Vec<Variant> {
    let mut out = vec![Variant { what: "as it was", request: request.clone() }];
    let mut add = |what: &'static str, request: Option<SourceRequest>| {
        let new = request.filter(|request| out.iter().all(|known| known.request != *request));
        out.extend(new.map(|request| Variant { what, request }));
    };
    let value = String::from_utf8_lossy(&part.value).into_owned();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    match &part.place {
        Place::Query(_) | Place::Form(_) | Place::Cookie(_) => {
            add("percent-encoded", with(request, &part.place, &hex(&part.value)));
            if matches!(part.place, Place::Query(_) | Place::Form(_)) {
                let twice = hex(&part.value).replace('%', "%25");
                if shape.is_some_and(twice_decoded) {
                    add("percent-encoded twice", with(request, &part.place, &twice));
                }
            }
            add("blanks as %20", with(request, &part.place, &written(&part.place, &part.value)));
            let tabs = written(&part.place, &part.value).replace("%20", "%09");
            add("tabs for blanks", with(request, &part.place, &tabs));
            add(
                "a blank before it",
                with(request, &part.place, &format!("%20{}", written(&part.place, &part.value))),
            );
            add(
                "a blank after it",
                with(request, &part.place, &format!("{}%20", written(&part.place, &part.value))),
            );
        }
        Place::Path => {
            let encoded: String = value
                .split('/')
                .map(|s| if s == ".." { "%2e%2e".to_owned() } else { s.to_owned() })
                .collect::<Vec<_>>()
                .join("/");
            add("dots percent-encoded", with(request, &part.place, &encoded));
        }
        Place::Json(_) | Place::Header(_) | Place::Body | Place::Field(_) | Place::Content(_) => {
            add("a blank before it", with(request, &part.place, &format!(" {value}")));
            if matches!(part.place, Place::Json(_)) {
                add("a blank after it", with(request, &part.place, &format!("{value} ")));
                add("written as escapes", escaped(request, &part.place, &value));
                add("further on in its list", further_on(request, &part.place, "1"));
            }
            if matches!(part.place, Place::Field(_)) {
                add("a blank after it", with(request, &part.place, &format!("{value} ")));
                add("tabs for blanks", with(request, &part.place, &value.replace(' ', "\t")));
            }
        }
        Place::Name(_) => add("percent-encoded", with(request, &part.place, &hex(&part.value))),
        Place::FileName(_) => {
            add("a dot after it", with(request, &part.place, &format!("{value}.")));
            add("a picture's ending after it", with(request, &part.place, &format!("{value}.jpg")));
            add("percent-encoded", with(request, &part.place, &hex(&part.value)));
        }
    }
    if shape.is_some_and(|shape| shape.any_case) {
        let encode = |text: &str| written(&part.place, text.as_bytes());
        add("in upper case", with(request, &part.place, &encode(&value.to_ascii_uppercase())));
        let mixed: String = value
            .chars()
            .enumerate()
            .map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        add("in mixed case", with(request, &part.place, &encode(&mixed)));
    }
    // In a path, a wildcard would begin the query.
    let free = !matches!(part.place, Place::Path | Place::FileName(_));
    if free && shape.is_some_and(|shape| shape.or == "@detectShell") {
        for (what, value) in respelled(&value) {
            add(what, with(request, &part.place, &written(&part.place, value.as_bytes())));
        }
    }
    elsewhere(request, part, &mut add);
    if !matches!(part.place, Place::Path | Place::Header(_) | Place::Cookie(_)) {
        let (path, rest) = (path(request), request.target.get(path(request).len()..).unwrap_or(""));
        let at = |path: String| Some(SourceRequest { target: format!("{path}{rest}"), ..request.clone() });
        add("a slash more in the path", at(format!("/{path}")));
        add("a parameter in the path", at(format!("{path};x=y")));
        add("a slash at the end of the path", at(format!("{}/", path.trim_end_matches('/'))));
    }
    out
}

/// `value` with its first command written as no text is, though a shell reads the same: `w''hoami`, `c'a't`, `/bin/c?t`.
fn respelled(value: &str) -> Vec<(&'static str, String)> {
    let from = value.find([';', '|', '&', '`', '(', '{', '\n']).map_or(0, |at| at + 1);
    let Some(after) = value.get(from..) else { return Vec::new() };
    let start = from + after.len()
        - after.trim_start_matches([' ', '\t', ';', '|', '&', '`', '(', '{', '\r', '\n']).len();
    let word = value.get(start..).unwrap_or_default();
    let word =
        word.split(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)).next().unwrap_or_default();
    let name = word.rsplit('/').next().unwrap_or_default();
    let (Some(first), Some(rest)) = (name.get(..1), name.get(1..)) else { return Vec::new() };
    if rest.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Vec::new();
    }
    let directory = word.get(..word.len() - name.len()).unwrap_or_default();
    let (before, behind) =
        (value.get(..start).unwrap_or_default(), value.get(start + word.len()..).unwrap_or_default());
    let spelled = |text: &str| format!("{before}{text}{behind}");
    let mut out = vec![
        ("quotes within the command", spelled(&format!("{directory}{first}''{rest}"))),
        (
            "part of the command in quotes",
            spelled(&format!("{directory}{first}'{}'{}", &rest[..1], &rest[1..])),
        ),
        ("a backslash within the command", spelled(&format!("{directory}{first}\\{rest}"))),
    ];
    if rest.len() > 1 {
        out.push(("the command by a wildcard", spelled(&format!("/bin/{first}?{}", &rest[1..]))));
    }
    out
}

/// All parameters among others, and in another place.
fn together(request: &SourceRequest, add: &mut impl FnMut(&'static str, Option<SourceRequest>)) {
    let form = request.header("Content-Type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with(FORM));
    let body = String::from_utf8_lossy(&request.body).into_owned();
    if let Some((path, query)) = request.target.split_once('?') {
        let at = |query: String| Some(SourceRequest { target: format!("{path}?{query}"), ..request.clone() });
        add("after another parameter", at(format!("zz=1&{query}")));
        add("before another parameter", at(format!("{query}&zz=1")));
        if body.is_empty() {
            add("in the body", Some(as_form(request, path, query)));
        }
    } else if form {
        let changed = |body: String| Some(SourceRequest { body: body.into_bytes(), ..request.clone() });
        add("after another parameter", changed(format!("zz=1&{body}")));
        add("before another parameter", changed(format!("{body}&zz=1")));
        add("in the query string", Some(as_query(request, format!("{}?{body}", request.target))));
    }
}

/// `request` as a form that is sent to `path`.
fn as_form(request: &SourceRequest, path: &str, body: &str) -> SourceRequest {
    let mut headers = request.headers.clone();
    headers.retain(|(header, _)| !header.eq_ignore_ascii_case("content-type"));
    headers.push(("Content-Type".to_owned(), FORM.to_owned()));
    SourceRequest {
        method: "POST".to_owned(),
        target: path.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        ..request.clone()
    }
}

/// `request` without a body.
fn as_query(request: &SourceRequest, target: String) -> SourceRequest {
    let mut headers = request.headers.clone();
    headers.retain(|(header, _)| !header.eq_ignore_ascii_case("content-type"));
    SourceRequest { method: "GET".to_owned(), target, headers, body: Vec::new(), ..request.clone() }
}

/// The hostile parameter in another place.
fn elsewhere(
    request: &SourceRequest,
    part: &Part,
    add: &mut impl FnMut(&'static str, Option<SourceRequest>),
) {
    let (name, value) = match &part.place {
        Place::Query(name) | Place::Form(name) => (name, written(&part.place, &part.value)),
        Place::Field(name) => (name, encode(&part.value)),
        Place::Name(_) => return together(request, add),
        _ => return,
    };
    let name = encode(name.as_bytes());
    match &part.place {
        Place::Query(_) => {
            let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
            add(
                "after another parameter",
                Some(SourceRequest { target: format!("{path}?zz=1&{query}"), ..request.clone() }),
            );
            add(
                "before another parameter",
                Some(SourceRequest { target: format!("{path}?{query}&zz=1"), ..request.clone() }),
            );
            if request.body.is_empty() {
                add("in the body", Some(as_form(request, path, &format!("{name}={value}"))));
            }
        }
        Place::Form(_) | Place::Field(_) => {
            let changed = |body: String| Some(SourceRequest { body: body.into_bytes(), ..request.clone() });
            if let Place::Form(_) = part.place {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                add("after another parameter", changed(format!("zz=1&{body}")));
                add("before another parameter", changed(format!("{body}&zz=1")));
            } else {
                let mut headers = request.headers.clone();
                headers.retain(|(header, _)| !header.eq_ignore_ascii_case("content-type"));
                headers.push(("Content-Type".to_owned(), FORM.to_owned()));
                let form = changed(format!("{name}={value}"));
                add("in a form that is not multipart", form.map(|form| SourceRequest { headers, ..form }));
            }
            let separator = if request.target.contains('?') { '&' } else { '?' };
            let target = format!("{}{separator}{name}={value}", request.target);
            add("in the query string", Some(as_query(request, target)));
        }
        _ => {}
    }
}

/// Whether the shape is looked for behind two layers of percent-encoding.
fn twice_decoded(shape: &Shape) -> bool {
    shape.transformations.iter().filter(|name| **name == "urlDecodeUni").count() > 1
}

const FORM: &str = "application/x-www-form-urlencoded";
