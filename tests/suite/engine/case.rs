//! What a case file may say.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Rules, what passes them, and what must come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// SecLang.
    pub rules: String,
    /// Overrides `SecRuleEngine`.
    pub mode: Option<String>,
    /// A part of the message with which the rules are refused; then nothing is sent.
    pub refused: Option<String>,
    /// Files that the rules name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    #[serde(default)]
    pub world: WorldCase,
    /// Codes of the warnings that the compiler gives, sorted.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Configurations that answer otherwise, each with its reason.
    #[serde(default)]
    pub except: BTreeMap<String, String>,
    #[serde(flatten)]
    pub step: Option<Step>,
    /// Several transactions with one store.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// One transaction.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Seconds that have passed since the transaction before.
    pub after: u64,
    pub request: Request,
    pub response: Option<Response>,
    pub expect: Expect,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldCase {
    /// The process's environment.
    pub env: BTreeMap<String, String>,
    /// Addresses of names.
    pub addresses: BTreeMap<String, String>,
    /// Names of addresses.
    pub names: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    pub method: String,
    pub uri: String,
    pub protocol: String,
    /// The exact request line, where it is not the three words above.
    pub line: Option<String>,
    /// `Name: value`
    pub headers: Vec<String>,
    /// What stands behind `uri`, for what is long.
    pub query: Body,
    pub body: Body,
    pub client: String,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            uri: "/".into(),
            protocol: "HTTP/1.1".into(),
            line: None,
            headers: Vec::new(),
            query: Body::default(),
            body: Body::default(),
            client: "192.0.2.7:40000".into(),
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Response {
    pub status: u16,
    pub protocol: String,
    pub headers: Vec<String>,
    pub body: Body,
}

impl Default for Response {
    fn default() -> Self {
        Self { status: 200, protocol: "HTTP/1.1".into(), headers: Vec::new(), body: Body::default() }
    }
}

/// A body in one of several spellings.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// As it stands, `\xHH` undone.
    Text(String),
    /// Lines, each followed by CRLF.
    Lines(Vec<String>),
    /// Built.
    Built(BuiltBody),
}

impl Default for Body {
    fn default() -> Self {
        Body::Text(String::new())
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuiltBody {
    pub text: String,
    pub hex: String,
    /// How often the text stands there.
    pub times: Option<usize>,
    /// `gzip`, `deflate` (with zlib's frame), `raw-deflate` or `zstd`.
    pub coding: Vec<String>,
    /// Bytes to cut off the end.
    pub cut: usize,
}

impl Body {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Body::Text(text) => unescaped(text),
            Body::Lines(lines) => {
                lines.iter().flat_map(|l| [unescaped(l), b"\r\n".to_vec()].concat()).collect()
            }
            Body::Built(built) => {
                let mut bytes = unescaped(&built.text).repeat(built.times.unwrap_or(1));
                bytes.extend(
                    (0..built.hex.len())
                        .step_by(2)
                        .map(|i| u8::from_str_radix(&built.hex[i..i + 2], 16).expect("hexadecimal digits")),
                );
                for coding in &built.coding {
                    bytes = coded(coding, &bytes);
                }
                bytes.truncate(bytes.len() - built.cut);
                bytes
            }
        }
    }
}

fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    use flate2::{Compression, write};
    let level = Compression::best();
    let written = match coding {
        "gzip" => {
            let mut encoder = write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        "deflate" => {
            let mut encoder = write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        "raw-deflate" => {
            let mut encoder = write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        "zstd" => {
            let level = ruzstd::encoding::CompressionLevel::Fastest;
            Ok(ruzstd::encoding::compress_to_vec(bytes, level))
        }
        other => panic!("no such coding: {other}"),
    };
    written.expect("writing to memory succeeds")
}

/// What must come of a transaction. What is absent or empty in the first half must be absent; what is absent in
/// the second half is not looked at.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// `1 deny 403 by 7`: phase, action, status, rule; a redirect's location follows.
    pub interrupted: Option<String>,
    /// The same, of what the mode did not permit.
    pub suppressed: Option<String>,
    /// Ids of the rules recorded, in order.
    pub rules: Vec<u64>,
    /// Kinds of the events, in order.
    pub events: Vec<String>,

    /// `logdata` by rule.
    pub data: BTreeMap<u64, String>,
    /// `msg` by rule.
    pub messages: BTreeMap<u64, String>,
    pub tags: BTreeMap<u64, Vec<String>>,
    /// `NAME=value` of what matched, by rule.
    pub matched: BTreeMap<u64, Vec<String>>,
    /// The bytes of each match, by rule.
    pub found: BTreeMap<u64, Vec<String>>,
    /// `log`, `auditlog`, `disruptive`, by rule.
    pub flags: BTreeMap<u64, String>,
    /// The phase in which a rule matched.
    pub phases: BTreeMap<u64, u8>,
    /// `severity` by rule.
    pub severities: BTreeMap<u64, u8>,
    /// A part of each event's text, in order.
    pub details: Option<Vec<String>>,
    /// Inbound, outbound, and their thresholds.
    pub scores: Option<[i64; 4]>,
    pub audited: Option<bool>,
    /// Letters, sorted.
    pub parts: Option<String>,
    /// `arg name`, `header name`, `response name`, `value …`.
    pub sanitised: Option<Vec<String>>,
    /// The mode at the end.
    pub mode: Option<String>,
    /// Bytes inspected of the request's body and the response's; `+` when more followed.
    pub inspected: Option<[String; 2]>,
    /// The request's body as the audit record has it.
    pub body: Option<String>,
    /// The response's body as the audit record has it.
    pub response_body: Option<String>,
    /// Changes of persistent collections, in order.
    pub changes: Option<Vec<String>>,
}

/// `text` as bytes; `\xHH` stands for a byte that YAML cannot hold.
pub fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match rest {
            [b'\\', b'x', high, low, ..] => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = &rest[4..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// `bytes` as text that [`unescaped`] reads.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' => out.push(character),
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}
