//! An HTTP/1 request head as it was received: its parts, its faults, and what follows from them.
//!
//! Whether it may be served at all is [`RequestHead::is_acceptable`].

use super::head_reader;
use super::{Fault, Target, TargetForm};
use crate::limits;
use std::borrow::Cow;

/// How much a head may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Bytes of the request line.
    pub line: usize,
    /// Header fields; what follows is not read.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: limits::HEAD_BYTES, line: limits::REQUEST_LINE_BYTES, fields: limits::HEADER_FIELDS }
    }
}

/// How the body's end is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// It cannot be told, or not be trusted: a fault is fatal.
    Ambiguous,
}

/// A request head as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The request line without its line end (`REQUEST_LINE`).
    pub line: Vec<u8>,
    /// The method; may be empty or no token when there are faults.
    pub method: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// The last word of the request line (`HTTP/1.1`); empty when there is none.
    pub protocol: Vec<u8>,
    /// Header fields in order: names as received, values without the white space around them. A folded value is
    /// joined with one space.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How the body's end is told.
    pub framing: Framing,
    /// What is wrong, each kind once, in the order of [`Fault::ALL`].
    pub faults: Vec<Fault>,
}

impl RequestHead {
    /// Reads a head: everything up to and including the empty line, as [`find_head_end`](super::find_head_end) finds it.
    pub fn parse(bytes: &[u8], limits: &HeadLimits) -> Self {
        head_reader::read(bytes, limits)
    }

    /// Whether no fault is fatal.
    pub fn is_acceptable(&self) -> bool {
        !self.faults.iter().any(|f| f.is_fatal())
    }

    /// The first fatal fault.
    pub fn fatal(&self) -> Option<Fault> {
        self.faults.iter().copied().find(|f| f.is_fatal())
    }

    /// Whether the connection must not carry another request after this one: the client says that it is its last
    /// (RFC 9112 §9.6), on whichever of several `Connection` lines; or its end was told in two ways, and whoever goes by
    /// the other one begins the next request elsewhere (RFC 9112 §6.3).
    pub fn ends_connection(&self) -> bool {
        let says_close = |value: &[u8]| {
            value.split(|b| *b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        };
        self.faults.contains(&Fault::ContentLengthDropped) || self.values("connection").any(says_close)
    }

    /// Whether this is a request of HTTP/0.9, which is a line and nothing else (RFC 1945 §4.1). Who sends one reads
    /// everything that comes as content, so that the answer may have no head.
    pub fn is_simple(&self) -> bool {
        let is_location = || {
            matches!(
                Target::parse(&self.method, &self.target).form,
                TargetForm::Origin | TargetForm::Absolute
            )
        };
        self.method == b"GET" && self.faults.contains(&Fault::VersionMissing) && is_location()
    }

    /// The values of all fields of that name, in any case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The target as it may go upstream: with everything percent-encoded that RFC 3986 does not allow as it is. An
    /// existing `%` is never touched, so that rules and origin decode the same bytes.
    pub fn normalised_target(&self) -> Cow<'_, [u8]> {
        let target = self.target.as_slice();
        if !target.iter().any(|b| must_be_encoded(*b)) {
            return Cow::Borrowed(target);
        }
        let mut out = Vec::with_capacity(target.len() + 16);
        for &byte in target {
            if must_be_encoded(byte) {
                out.push(b'%');
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            } else {
                out.push(byte);
            }
        }
        Cow::Owned(out)
    }
}

/// Bytes that stand in no URI as they are (RFC 3986 §2), but for `%`, `#` and those that are always refused.
pub(super) fn must_be_encoded(byte: u8) -> bool {
    byte >= 0x80 || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
