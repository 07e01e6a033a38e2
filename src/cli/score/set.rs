//! Labelled requests: a case a line, in JSON.
//!
//! ```json
//! {"id": "…", "source": "…", "category": "sqli:double-url", "label": "attack", "method": "GET", "path": "/?id=1",
//!  "headers": [["Host", "shop.example"]], "body_b64": "", "meta": {"q": "A", "pos": "query"}}
//! ```
//!
//! `path` is the request's target. Targets and header values are Latin-1 text, one character a byte. A category may
//! carry an evasion behind a colon. `meta.q` is how sure the label is (A to C), `meta.policy` marks legitimate requests
//! that a list of methods or content types refuses, `meta.pos` says where the payload stands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// What a case should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Label {
    /// To be refused.
    Attack,
    /// To pass.
    Legit,
}

impl Label {
    pub(super) fn name(self) -> &'static str {
        match self {
            Label::Attack => "attack",
            Label::Legit => "legit",
        }
    }
}

/// One request with its label.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub id: String,
    pub source: String,
    /// Without the evasion.
    pub category: String,
    pub evasion: Option<String>,
    pub label: Label,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `A`, `B` or `C`.
    pub tier: char,
    /// Refused by a usual list of methods, types or characters rather than as an attack.
    pub policy: bool,
    /// Where the payload stands: `query`, `form`, `json`, `cookie`, …; empty when it is not said.
    pub position: String,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    category: String,
    label: Label,
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_b64: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    q: Option<char>,
    #[serde(default)]
    policy: Option<serde_json::Value>,
    #[serde(default)]
    pos: Option<String>,
}

impl Case {
    /// The request as it goes over the wire. A body, and a method that usually has one, bring `Content-Length`.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut out = latin1(&format!("{} {} HTTP/1.1\r\n", self.method, self.path));
        for (name, value) in &self.headers {
            out.extend(latin1(&format!("{name}: {value}\r\n")));
        }
        if !self.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&self.method.as_str()) {
            out.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }
}

/// Reads a set; a name that ends in `.zst` is compressed.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, String> {
    let fail = |e: &dyn std::fmt::Display| format!("error: {}: {e}\n", path.display());
    let bytes = std::fs::read(path).map_err(|e| fail(&e))?;
    let mut text = Vec::new();
    if path.extension().is_some_and(|e| e == "zst") {
        let mut left = bytes.as_slice();
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut left).map_err(|e| fail(&e))?;
        decoder.read_to_end(&mut text).map_err(|e| fail(&e))?;
    } else {
        text = bytes;
    }
    let text = String::from_utf8(text).map_err(|e| fail(&e))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| case(line).map_err(|e| format!("error: {}:{}: {e}\n", path.display(), n + 1)))
        .collect()
}

fn case(line: &str) -> Result<Case, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let body = line.body_b64.as_deref().unwrap_or_default();
    let body = STANDARD.decode(body).map_err(|e| format!("body_b64: {e}"))?;
    let (category, evasion) = match line.category.split_once(':') {
        Some((category, evasion)) => (category.to_owned(), Some(evasion.to_owned())),
        None => (line.category, None),
    };
    Ok(Case {
        id: line.id,
        source: line.source,
        category,
        evasion,
        label: line.label,
        method: line.method,
        path: line.path,
        headers: line.headers,
        body,
        tier: line.meta.q.unwrap_or('A'),
        policy: line.meta.policy.is_some(),
        position: line.meta.pos.unwrap_or_default(),
    })
}

/// One byte a character; what Latin-1 does not have becomes a question mark.
pub(super) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_request() {
        let line = r#"{"id":"1","source":"s","category":"sqli:double-url","label":"attack","method":"POST",
            "path":"/é","headers":[["Host","h"]],"body_b64":"YT0x","meta":{"q":"B","pos":"form"}}"#;
        let case = case(&line.replace('\n', "")).unwrap();
        assert_eq!((case.category.as_str(), case.evasion.as_deref()), ("sqli", Some("double-url")));
        assert_eq!((case.tier, case.policy, case.position.as_str()), ('B', false, "form"));
        assert_eq!(case.wire(), b"POST /\xe9 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na=1");
    }

    #[test]
    fn faults_name_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.jsonl");
        std::fs::write(&path, "\n{\"id\":1}\n").unwrap();
        assert!(read(&path).unwrap_err().contains("set.jsonl:2: "));
        std::fs::write(dir.path().join("set.jsonl.zst"), "no zstd").unwrap();
        assert!(read(&dir.path().join("set.jsonl.zst")).is_err());
    }
}
