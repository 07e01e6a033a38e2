//! A patch in the making, and the file that it becomes.

use super::part::{Part, Place, path};
use super::shape::Shape;
use crate::cli::source::{About, SourceRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use time::Date;

/// Everything that the file says.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) about: About,
    pub(super) owner: String,
    pub(super) created: Date,
    pub(super) review_by: Date,
    /// The request that the patch is about, and in it what is hostile.
    pub(super) request: SourceRequest,
    pub(super) part: Option<Part>,
    /// Names beside it that are hostile too.
    pub(super) also: Vec<Place>,
    pub(super) shape: Option<&'static Shape>,
    /// A pattern for the whole of ordinary values, where they are known to fit one and the hostile one does not.
    pub(super) ordinary: Option<&'static str>,
    pub(super) matches: Vec<(String, SourceRequest)>,
    pub(super) passes: Vec<(String, SourceRequest)>,
    /// What is left to a person.
    pub(super) open: Vec<String>,
}

impl Draft {
    /// The path as a condition on it; none where what is hostile can come on any path.
    pub(super) fn path_pattern(&self) -> Option<String> {
        let anywhere = matches!(
            self.part.as_ref().map(|part| &part.place),
            Some(Place::Path | Place::Header(_) | Place::Cookie(_))
        );
        if anywhere {
            return None;
        }
        let decoded = super::part::decode(path(&self.request));
        let path = String::from_utf8_lossy(&decoded).to_ascii_lowercase();
        let mut pattern = String::from(r"\A");
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let segment = segment.split(';').next().unwrap_or(segment);
            let number = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
            let text = if number { "[0-9]+".to_owned() } else { regex::escape(segment) };
            let _ = write!(pattern, "/{text}(?:;[^/]*)?");
        }
        pattern.push_str(r"(?:/(?:;[^/]*)?)?\z");
        Some(pattern)
    }

    /// What the patch blocks, in a sentence.
    fn blocks(&self) -> String {
        let what = match (&self.part, self.shape, self.ordinary) {
            (Some(part), Some(shape), _) => format!("{} in {}", shape.name, part.place.named()),
            (Some(part), None, Some(_)) => format!("Values of {} that are not ordinary", part.place.named()),
            (Some(Part { place: place @ (Place::Header(_) | Place::Name(_)), .. }), None, None) => {
                format!("requests with {}", place.named().trim_start_matches("the name of "))
            }
            _ => format!("{} requests", self.request.method),
        };
        let place = match self.path_pattern() {
            Some(_) => format!(", on {}", path(&self.request)),
            None => ", on every path".to_owned(),
        };
        let mut text = format!("{what}{place}.");
        if let Some(first) = text.get(..1).map(str::to_ascii_uppercase) {
            text.replace_range(..1, &first);
        }
        text
    }

    /// The file.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        let about = &self.about;
        let title = about.title.clone().unwrap_or_else(|| self.blocks().trim_end_matches('.').to_owned());
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let severity = about.severity.as_deref().map_or("critical", severity);
        // Infallible here and below: the target is a string.
        let _ = writeln!(out, "patch:\n  title: {}", quoted(&title));
        if !about.cve.is_empty() {
            let _ = writeln!(out, "  cve: [{}]", about.cve.join(", "));
        }
        let product = about.product.clone().unwrap_or_else(|| "unknown".to_owned());
        let _ = writeln!(out, "  product: {}\n  affected: unknown", quoted(&product));
        let _ = writeln!(out, "  blocks: {}", quoted(&self.blocks()));
        let cwe = self.shape.map(|shape| shape.cwe.to_owned());
        let references: Vec<_> = about.references.iter().map(|text| quoted(text)).chain(cwe).collect();
        if !references.is_empty() {
            let _ = writeln!(out, "  references: [{}]", references.join(", "));
        }
        let _ = writeln!(out, "  severity: {severity}\n  owner: {}", quoted(&self.owner));
        let _ = writeln!(out, "  created: {}\n  review_by: {}\n", self.created, self.review_by);
        for line in &self.open {
            let _ = writeln!(out, "# To decide: {}", line.replace(['\r', '\n'], " "));
        }
        let _ = writeln!(out, "rules:\n  - id: {}\n    description: {}", self.name, quoted(&self.blocks()));
        if let Some(shape) = self.shape {
            let _ = writeln!(out, "    tags: {}", shape.tag);
        }
        if let Some(Part { place: Place::Body, .. }) = self.part {
            out.push_str("    raw_body: true\n");
        }
        out.push_str("    when:\n");
        if let Some(pattern) = self.path_pattern() {
            let _ = writeln!(out, "      - variables: REQUEST_FILENAME");
            let _ = writeln!(out, "        transformations: [urlDecodeUni, normalizePathWin, lowercase]");
            let _ = writeln!(out, "        operator: {}", quoted(&format!("@rx {pattern}")));
        }
        match (&self.part, self.shape, self.ordinary) {
            (Some(part), Some(shape), _) => {
                let any = shape.operators().count() > 1;
                if any {
                    out.push_str("      - any:\n");
                }
                let indent = if any { "          " } else { "      " };
                for operator in shape.operators() {
                    let _ = writeln!(out, "{indent}- variables: {}", quoted(&part.place.target()));
                    let names = shape.transformations.join(", ");
                    let _ = writeln!(out, "{indent}  transformations: [{names}]");
                    let _ = writeln!(out, "{indent}  operator: {}", quoted(operator));
                }
            }
            (Some(part), None, Some(pattern)) => {
                let _ = writeln!(out, "      - variables: {}", quoted(&part.place.target()));
                let _ = writeln!(out, "        operator: {}", quoted(&format!(r"!@rx \A(?:{pattern})\z")));
            }
            (Some(Part { place: place @ (Place::Header(_) | Place::Name(_)), .. }), None, None) => {
                let _ = writeln!(out, "      - variables: {}", quoted(&format!("&{}", place.presence())));
                let _ = writeln!(out, "        operator: '@gt 0'");
            }
            _ => {
                let _ = writeln!(out, "      - variables: REQUEST_METHOD");
                let _ =
                    writeln!(out, "        operator: {}", quoted(&format!("@streq {}", self.request.method)));
            }
        }
        for (key, tests) in [("matches", &self.matches), ("passes", &self.passes)] {
            if tests.is_empty() {
                continue;
            }
            let _ = writeln!(out, "    {key}:");
            for (note, request) in tests {
                out.push_str(&test(note, request));
            }
        }
        out
    }
}

/// A test, in a form that keeps every byte.
fn test(note: &str, request: &SourceRequest) -> String {
    let mut out = format!("      - note: {}\n", quoted(note));
    let _ = writeln!(out, "        method: {}", quoted(&request.method));
    let _ = writeln!(out, "        uri: {}", quoted(&request.target));
    if !request.headers.is_empty() {
        out.push_str("        headers:\n");
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &request.headers {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name);
            }
        }
        for name in names {
            let values = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let values: Vec<_> = values.map(|(_, value)| quoted(value)).collect();
            let _ = writeln!(out, "          {}: [{}]", quoted(name), values.join(", "));
        }
    }
    match std::str::from_utf8(&request.body) {
        Ok("") => {}
        Ok(text) if !text.contains(|c: char| c.is_control()) => {
            let _ = writeln!(out, "        body: {}", quoted(text));
        }
        // The reader makes the line ends of a multipart body what they have to be.
        Ok(text) if is_multipart(request) && is_lines(text) => {
            out.push_str("        body: |2\n");
            for line in text.split_terminator("\r\n") {
                let indent = if line.is_empty() { "" } else { "          " };
                let _ = writeln!(out, "{indent}{line}");
            }
        }
        Ok(text) if !text.contains(|c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) => {
            let _ = writeln!(out, "        body: {}", quoted(text));
        }
        _ => {
            let _ = writeln!(out, "        body_base64: {}", STANDARD.encode(&request.body));
        }
    }
    out
}

fn is_multipart(request: &SourceRequest) -> bool {
    request.header("Content-Type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/"))
}

/// Whether `text` is lines that end in CRLF, the last one too, and that YAML keeps as they are.
fn is_lines(text: &str) -> bool {
    let plain = |line: &str| {
        !line.contains(|c: char| c.is_control())
            && line.trim_end() == line
            && !line.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'])
    };
    text.strip_suffix("\r\n").is_some_and(|text| !text.is_empty() && text.split("\r\n").all(plain))
}

/// `text` as YAML. What quotes cannot hold is written as an escape.
fn quoted(text: &str) -> String {
    if text.contains(|c: char| c.is_control()) {
        // JSON's strings are YAML's, too.
        return serde_json::Value::String(text.to_owned()).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

fn severity(given: &str) -> &'static str {
    match given.to_ascii_lowercase().as_str() {
        "high" | "error" => "error",
        "medium" | "warning" => "warning",
        "low" | "notice" => "notice",
        "info" => "info",
        _ => "critical",
    }
}
