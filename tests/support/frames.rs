//! An HTTP/2 client that sends the frames it is told, in order or not.

use super::http2::{Identity, connect_tls};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection.
pub struct Raw {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// Streams whose end has been read.
    ended: Vec<u32>,
}

impl Raw {
    /// Connects, and sends the preface and these settings.
    pub async fn open(server: SocketAddr, identity: &Identity, settings: &[(u16, u32)]) -> Self {
        Self::try_open(server, identity, settings).await.expect("connected")
    }

    /// The same; none where nobody is let in.
    pub async fn try_open(server: SocketAddr, identity: &Identity, settings: &[(u16, u32)]) -> Option<Self> {
        let name = identity.names[0].clone();
        let stream = connect_tls(server, identity, &name, &["h2"]).await.ok()?;
        let mut raw = Self { stream, buffer: Vec::new(), ended: Vec::new() };
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &payload)[..]].concat();
        raw.send(&preface).await.then_some(raw)
    }

    /// Sends bytes; whether they could be written.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = async { self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok() };
        timeout(Duration::from_secs(5), sent).await.unwrap_or(false)
    }

    /// The next frame; none at the end of the connection. Waits for it.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                let is_end =
                    frame.kind == RST_STREAM || frame.kind <= HEADERS && frame.flags & END_STREAM != 0;
                if is_end {
                    self.ended.push(frame.stream);
                }
                return Some(frame);
            }
            let read = timeout(Duration::from_secs(30), self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("neither a frame nor the end") {
                Ok(1..) => {}
                _ => return None,
            }
        }
    }

    /// The next frame that `is_it`; none when the connection ends before.
    pub async fn find(&mut self, is_it: impl Fn(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.next().await {
            if is_it(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// Whether the server has ended or reset `stream`, or does so in time.
    pub async fn is_over(&mut self, stream: u32) -> bool {
        while !self.ended.contains(&stream) {
            if self.next().await.is_none() {
                return false;
            }
        }
        true
    }

    /// Reads to the end of the connection; gives the codes of all GOAWAY frames.
    pub async fn end(&mut self) -> Vec<u32> {
        let mut codes = Vec::new();
        while let Some(frame) = self.next().await {
            if let (GOAWAY, [_, _, _, _, code @ ..]) = (frame.kind, &frame.payload[..]) {
                codes.push(u32::from_be_bytes(code[..4].try_into().expect("four bytes")));
            }
        }
        codes
    }
}

fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = bytes else { return None };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    let payload = rest.get(..length)?.to_vec();
    let stream = u32::from_be_bytes([*d & 0x7f, *e, *f, *g]);
    Some((Frame { kind: *kind, flags: *flags, stream, payload }, 9 + length))
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block: literals without indexing and without Huffman's code (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            length(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn length(out: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        out.push(u8::try_from(length).expect("short"));
        return;
    };
    out.push(127);
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).expect("short") | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).expect("short"));
}

/// The block of a request for `path` with `more` fields.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let first = [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path)];
    block(&[&first, more].concat())
}
