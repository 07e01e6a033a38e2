//! One bypass as data: the request's bytes, where it is known from, and what must come of it.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A known way past other firewalls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// Where it was published: a CVE, an advisory, an RFC's section, a paper.
    pub source: String,
    /// The request line and header lines. `Host` is added where it is missing, and `Content-Length` where a body has
    /// no framing.
    #[serde(default)]
    pub head: Vec<String>,
    #[serde(default)]
    pub body: Text,
    /// What is done to the body, in order.
    #[serde(default, rename = "as")]
    pub encodings: Vec<String>,
    /// Everything that is sent, instead of head and body.
    pub raw: Option<Text>,
    /// Values for `{{name}}` in head, body and raw bytes: each combination is a case.
    #[serde(default)]
    pub matrix: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub expect: Expect,
    /// The status over HTTP, where it is known.
    pub status: Option<u16>,
    /// The request lines that the upstream gets, in order, when the probe lets everything pass.
    pub upstream: Option<Vec<String>>,
    /// CRS's paranoia level, 1 unless given.
    #[serde(default = "one")]
    pub paranoia: u8,
    /// Rules of CRS of which one must match.
    #[serde(default)]
    pub crs: Vec<u64>,
    /// Why CRS is not asked.
    pub not_crs: Option<String>,
    /// Why the probe cannot tell.
    pub not_probe: Option<String>,
    /// What the application answers.
    pub response: Option<ResponseCase>,
}

/// An application's answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseCase {
    /// The status line and header lines. `Content-Length` is added where the body has no framing.
    pub head: Vec<String>,
    #[serde(default)]
    pub body: Text,
    #[serde(default, rename = "as")]
    pub encodings: Vec<String>,
}

/// Text with escapes (`\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`) and repetitions (`<<3*text>>`, in which `{i}` counts from
/// 0); a list is lines that each end with CRLF.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Text {
    Exact(String),
    Lines(Vec<String>),
}

impl Default for Text {
    fn default() -> Self {
        Text::Exact(String::new())
    }
}

/// What must be true.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Rules see the attack, or the request is refused before the upstream.
    #[default]
    Caught,
    /// Rules see the attack.
    Seen,
    /// The request is refused before the upstream, without any rule that looks for the attack.
    Refused,
    /// The client does not get what the response would give away.
    Hidden,
    /// No attack: it passes.
    Benign,
}

fn one() -> u8 {
    1
}

impl Case {
    /// The case for each combination of its matrix.
    pub fn expand(&self) -> Vec<Case> {
        let mut cases = vec![Case { matrix: BTreeMap::new(), ..self.clone() }];
        for (key, values) in &self.matrix {
            let key = format!("{{{{{key}}}}}");
            cases = cases.iter().flat_map(|c| values.iter().map(|v| c.with(&key, v))).collect();
        }
        cases
    }

    fn with(&self, key: &str, value: &str) -> Case {
        let mut case = self.clone();
        let replace = |text: &mut String| *text = text.replace(key, value);
        case.head.iter_mut().for_each(replace);
        case.body.each(replace);
        if let Some(raw) = &mut case.raw {
            raw.each(replace);
        }
        case.upstream.iter_mut().flatten().for_each(replace);
        case.name = format!("{} [{value}]", case.name);
        case
    }

    /// The bytes that the client sends.
    pub fn request(&self) -> Vec<u8> {
        match &self.raw {
            Some(raw) => raw.bytes(),
            None => message(&self.head, &self.body, &self.encodings, true),
        }
    }
}

impl ResponseCase {
    /// The bytes that the application sends.
    pub fn bytes(&self) -> Vec<u8> {
        message(&self.head, &self.body, &self.encodings, false)
    }
}

impl Text {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Text::Exact(text) => unescape(text),
            Text::Lines(lines) => {
                lines.iter().flat_map(|l| [unescape(l), b"\r\n".to_vec()].concat()).collect()
            }
        }
    }

    fn each(&mut self, change: impl Fn(&mut String)) {
        match self {
            Text::Exact(text) => change(text),
            Text::Lines(lines) => lines.iter_mut().for_each(change),
        }
    }
}

fn message(head: &[String], body: &Text, encodings: &[String], is_request: bool) -> Vec<u8> {
    let body = encodings.iter().fold(body.bytes(), |body, name| super::encode::encode(name, &body));
    let has = |name: &str| head.iter().any(|l| l.trim_start().to_ascii_lowercase().starts_with(name));
    let mut out = Vec::new();
    for (index, line) in head.iter().enumerate() {
        out.extend_from_slice(&unescape(line));
        out.extend_from_slice(b"\r\n");
        if index == 0 && is_request && !has("host") {
            out.extend_from_slice(b"Host: a.test\r\n");
        }
    }
    let is_framed = has("content-length") || has("transfer-encoding");
    if !is_framed && (!body.is_empty() || !is_request) {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("<<") {
        let Some((count, inner, after)) = repetition(&rest[start + 2..]) else { break };
        out.extend_from_slice(&plain(&rest[..start]));
        if inner.contains("{i}") {
            (0..count).for_each(|i| out.extend_from_slice(&plain(&inner.replace("{i}", &i.to_string()))));
        } else {
            out.extend_from_slice(&plain(inner).repeat(count));
        }
        rest = after;
    }
    out.extend_from_slice(&plain(rest));
    out
}

/// `N*text>>…`
fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (count, after) = text.split_once('*')?;
    let (inner, after) = after.split_once(">>")?;
    Some((count.parse().ok()?, inner, after))
}

fn plain(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let digits =
                    [bytes.next(), bytes.next()].map(|d| char::from(d.expect("two digits follow \\x")));
                let digit =
                    |d: char| d.to_digit(16).and_then(|d| u8::try_from(d).ok()).expect("a hexadecimal digit");
                out.push(digit(digits[0]) << 4 | digit(digits[1]));
            }
            // What escapes nothing here may escape something in JSON or a cookie.
            Some(other) => out.extend_from_slice(&[b'\\', other]),
            None => out.push(b'\\'),
        }
    }
    out
}
