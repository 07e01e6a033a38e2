//! HTTP/2 as no library would send it: header blocks with whatever names and values a case has.

use crate::support::http2::{Identity, connect_tls};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A request of HTTP/2 as data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// Where it is known from.
    pub source: String,
    /// The header block: names and values, with the escapes `\r`, `\n`, `\0` and `\t`.
    pub fields: Vec<(String, String)>,
    /// The body; none ends the stream with its head.
    pub body: Option<String>,
    /// Trailers.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
    /// Other fields, each in its turn put in the place of the field `{}`.
    #[serde(default)]
    pub each: Vec<Vec<(String, String)>>,
    /// The request lines that the upstream gets, without the version. Where it is a matter of which frame is looked at
    /// first, none: nothing, or what was inspected.
    pub upstream: Option<Vec<String>>,
}

impl Case {
    /// The case with each of its variants.
    pub fn expand(&self) -> Vec<Case> {
        if self.each.is_empty() {
            return vec![self.clone()];
        }
        let with = |variant: &Vec<(String, String)>| {
            let mut case = Case { each: Vec::new(), ..self.clone() };
            let place = case.fields.iter().position(|(name, _)| name == "{}").expect("a field {}");
            case.fields.splice(place..=place, variant.iter().cloned());
            case.name = format!("{} {variant:?}", self.name);
            case
        };
        self.each.iter().map(with).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        out.extend(frame(SETTINGS, 0, 0, &[]));
        let is_only_head = self.body.is_none() && self.trailers.is_empty();
        let end = if is_only_head { END_STREAM } else { 0 };
        out.extend(frame(HEADERS, END_HEADERS | end, 1, &block(&self.fields)));
        if let Some(body) = &self.body {
            let end = if self.trailers.is_empty() { END_STREAM } else { 0 };
            out.extend(frame(DATA, end, 1, &plain(body)));
        }
        if !self.trailers.is_empty() {
            out.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&self.trailers)));
        }
        out
    }
}

/// Sends the case on a connection of its own, and waits until its stream is answered or refused. Returns the
/// connection's address on our side, of which `is_new` says that no other had it; an error when nothing comes of it.
pub async fn send(
    server: SocketAddr,
    identity: &Identity,
    case: &Case,
    is_new: impl Fn(SocketAddr) -> bool,
) -> Result<SocketAddr, String> {
    let (mut stream, own) = loop {
        let stream = connect_tls(server, identity, "a.test", &["h2"]).await.map_err(|e| e.to_string())?;
        let own = stream.get_ref().0.local_addr().map_err(|e| e.to_string())?;
        if is_new(own) {
            break (stream, own);
        }
    };
    let _ = stream.write_all(&case.bytes()).await;
    let answered = async {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while !is_answered(&bytes) {
            match stream.read(&mut buffer).await {
                Ok(n @ 1..) => bytes.extend_from_slice(&buffer[..n]),
                _ => return,
            }
        }
    };
    let is_in_time = tokio::time::timeout(Duration::from_secs(20), answered).await.is_ok();
    let _ = stream.shutdown().await;
    if is_in_time { Ok(own) } else { Err("no answer, no reset and no end in 20 s".to_owned()) }
}

/// Whether the frames end or reset stream 1, or the connection.
fn is_answered(mut bytes: &[u8]) -> bool {
    while let [a, b, c, kind, flags, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let has_ended = matches!(*kind, HEADERS | DATA) && flags & END_STREAM != 0;
        if rest.len() < 4 + length {
            return false;
        }
        if has_ended || matches!(*kind, RST_STREAM | GOAWAY) {
            return true;
        }
        bytes = &rest[4 + length..];
    }
    false
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Literals without indexing and without Huffman's code (RFC 7541 §6.2.2).
fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [plain(name), plain(value)] {
            match u8::try_from(text.len()) {
                Ok(length @ ..127) => out.push(length),
                _ => {
                    let left = text.len() - 127;
                    assert!(left < 1 << 14, "a literal of a case is too long");
                    out.push(127);
                    if left < 128 {
                        out.push(u8::try_from(left).expect("small"));
                    } else {
                        out.push(u8::try_from(left % 128).expect("small") | 128);
                        out.push(u8::try_from(left / 128).expect("small"));
                    }
                }
            }
            out.extend(text);
        }
    }
    out
}

fn plain(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").replace("\\t", "\t").into_bytes()
}
