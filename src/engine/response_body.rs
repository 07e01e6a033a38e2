//! The response body on its way into variables.

use super::refusal::refusal;
use super::transaction::Transaction;
use super::{BodyStep, EventKind, Interruption};
use crate::body::{Coding, InflateError, InflateLimits, Inflater};
use crate::http::{Charset, MediaType};
use crate::ruleset::{BodyLimitAction, Mode, Settings};
use crate::variable::Variable as V;
use std::borrow::Cow;

/// The response body of one transaction.
pub(super) struct ResponseBody {
    /// `SecResponseBodyAccess`, after `ctl`.
    pub(super) access: bool,
    /// `SecResponseBodyLimit`, after `ctl`; bytes.
    pub(super) limit: u64,
    /// `ctl:forceResponseBodyVariable`: whatever the type.
    pub(super) force: bool,
    /// The media type in lower case, without parameters.
    pub(super) essence: String,
    /// The header's value.
    pub(super) content_type: Vec<u8>,
    /// It is a part of what it was taken from (206), so that patterns may be cut in two.
    pub(super) is_partial: bool,
    /// `Content-Encoding`, all its lines joined.
    pub(super) codings: Vec<u8>,
    /// Bytes fed, as received.
    pub(super) received: u64,
    /// More followed that was not inspected.
    pub(super) truncated: bool,
    inflater: Option<Inflater>,
    bytes: Vec<u8>,
    started: bool,
    /// A content coding is undone.
    is_inflated: bool,
    /// Nothing more can be decoded.
    broken: bool,
}

impl ResponseBody {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            access: settings.response_body_access,
            limit: settings.response_body_limit,
            force: false,
            essence: String::new(),
            content_type: Vec::new(),
            is_partial: false,
            codings: Vec::new(),
            received: 0,
            truncated: false,
            inflater: None,
            bytes: Vec::new(),
            started: false,
            is_inflated: false,
            broken: false,
        }
    }

    /// Whether a content coding was undone.
    pub(super) fn is_inflated(&self) -> bool {
        self.is_inflated && !self.broken
    }

    /// Bytes that are held of it.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes that rules look at, as far as they have come.
    pub(super) fn text(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// The decoded bytes, given away.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
impl Transaction {
    /// Whether the response's body is of a type that is inspected.
    pub(super) fn is_response_inspected(&self) -> bool {
        let body = &self.response_body;
        body.access
            && (body.force || self.is_inspected_type(body.essence.as_bytes()) || self.has_byte_ranges())
    }

    fn is_inspected_type(&self, essence: &[u8]) -> bool {
        self.ruleset.settings.response_body_types.iter().any(|t| t.as_bytes().eq_ignore_ascii_case(essence))
    }

    /// Several parts of one representation, in a type that says nothing of theirs (RFC 9110 §14.6).
    pub(super) fn has_byte_ranges(&self) -> bool {
        self.response_body.is_partial && self.response_body.essence == "multipart/byteranges"
    }

    /// A part of a page may not say what the whole would: a client that asks for it piece by piece gets every byte
    /// past patterns. So it is told, at the end of the head or, for parts in a type of their own, of the body.
    pub(super) fn judge_partial_response(&mut self) {
        if !self.response_body.access || !self.response_body.is_partial {
            return;
        }
        let is_inspected = match self.has_byte_ranges() {
            true => {
                let essence = first_part_type(&self.response_body.bytes);
                essence.is_some_and(|essence| self.is_inspected_type(&essence))
            }
            false => self.is_response_inspected(),
        };
        if is_inspected {
            let detail = "a part of a response that would be inspected as a whole";
            self.set(V::ResBodyError, b"1");
            self.set(V::ResBodyErrorMsg, detail.as_bytes());
            self.note(EventKind::ResponsePartial, detail);
        }
    }

    /// Takes the next bytes of the response body.
    pub(super) fn feed_response_body(&mut self, chunk: &[u8]) -> BodyStep {
        if let Some(step) = self.inactive_step() {
            return step;
        }
        if self.response_body.truncated {
            return BodyStep::LimitReached;
        }
        self.start_response_body();
        let room = self.response_body.limit.saturating_sub(self.response_body.received);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        let is_full = self.decode_response_body(&chunk[..fits]);
        self.response_body.received += fits as u64;
        if !is_full
            && fits == chunk.len()
            && self.response_body.bytes.len() as u64 <= self.response_body.limit
        {
            return BodyStep::Continue;
        }
        self.response_limit_reached()
    }

    /// `SecResponseBodyLimitAction` when the limit is reached, by what was received or by what it inflates to.
    fn response_limit_reached(&mut self) -> BodyStep {
        self.response_body.truncated = true;
        self.set(V::OutboundDataError, b"1");
        self.note(EventKind::ResponseBodyTruncated, "the response body exceeds SecResponseBodyLimit");
        if self.ruleset.settings.response_body_limit_action == BodyLimitAction::Reject
            && self.mode == Mode::On
        {
            return self.refuse_body(refusal(502, 4));
        }
        BodyStep::LimitReached
    }

    fn start_response_body(&mut self) {
        if std::mem::replace(&mut self.response_body.started, true) {
            return;
        }
        match Coding::from_headers([self.response_body.codings.as_slice()]) {
            Ok(Coding::Identity) => {}
            Ok(coding) => {
                let limits = InflateLimits { output: self.response_body.limit, ..InflateLimits::default() };
                self.response_body.inflater = Some(Inflater::new(coding, &limits));
                self.response_body.is_inflated = true;
            }
            Err(error) => self.response_coding_failed(&error),
        }
    }

    /// Whether the limit of what it may inflate to is reached.
    fn decode_response_body(&mut self, chunk: &[u8]) -> bool {
        let body = &mut self.response_body;
        if body.broken {
            return false;
        }
        let bytes = &mut body.bytes;
        let outcome = match &mut body.inflater {
            Some(inflater) => inflater.feed(chunk, &mut |decoded: &[u8]| bytes.extend_from_slice(decoded)),
            None => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
        };
        match outcome {
            Ok(()) => false,
            Err(InflateError::OutputLimit) => true,
            Err(error) => {
                self.response_coding_failed(&error);
                false
            }
        }
    }

    /// Gets what the decompressor still holds, unless the body was cut off at its limit; the refusal, if that
    /// exceeds it.
    fn finish_response_decoding(&mut self) -> Option<Interruption> {
        let body = &mut self.response_body;
        let inflater = body.inflater.take()?;
        if body.broken || body.truncated || body.received == 0 {
            return None;
        }
        let bytes = &mut body.bytes;
        match inflater.finish(&mut |decoded: &[u8]| bytes.extend_from_slice(decoded)) {
            Ok(()) => {}
            Err(InflateError::OutputLimit) => {
                if let BodyStep::Interrupt(interruption) = self.response_limit_reached() {
                    return Some(interruption);
                }
            }
            Err(error) => self.response_coding_failed(&error),
        }
        None
    }

    /// The application's own answer is not held against it: what was decoded is inspected, and the rest counted.
    fn response_coding_failed(&mut self, error: &InflateError) {
        self.response_body.broken = true;
        self.set(V::ResBodyError, b"1");
        let detail = format!("Content-Encoding of the response: {error}");
        self.set(V::ResBodyErrorMsg, detail.as_bytes());
        self.note(EventKind::ContentCoding, &detail);
        self.note(EventKind::ResponseBodyUninspected, &detail);
    }

    /// Ends the response body and fills the variables of phase 4; a refusal, if it must be refused.
    pub(super) fn finish_response_body(&mut self) -> Option<Interruption> {
        let refused = self.finish_response_decoding();
        if self.has_byte_ranges() {
            self.judge_partial_response();
        }
        let bytes = std::mem::take(&mut self.response_body.bytes);
        if !bytes.is_empty() {
            match readable(&self.response_body.content_type, &bytes) {
                Some(text) => self.set(V::ResponseBody, &text),
                None => {
                    self.note(
                        EventKind::ResponseBodyUninspected,
                        "the response is in a character set that is not decoded",
                    );
                    self.set(V::ResponseBody, &bytes);
                }
            }
            self.scalars[V::StreamOutputBody as usize] = self.scalars[V::ResponseBody as usize];
            self.set_number(V::ResponseContentLength, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        }
        self.response_body.bytes = bytes;
        refused
    }
}

/// The type of the first part of a `multipart/byteranges` body; those of the others are the same, since all are parts
/// of one representation. Empty when it has none.
fn first_part_type(body: &[u8]) -> Option<Vec<u8>> {
    let mut lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).skip_while(|l| !l.starts_with(b"--"));
    lines.next()?;
    let headers = lines.take(MAX_PART_HEADERS).take_while(|line| !line.is_empty());
    let value = headers
        .filter_map(|line| line.split_at_checked(PART_TYPE.len()))
        .find(|(name, _)| name.eq_ignore_ascii_case(PART_TYPE))
        .map(|(_, value)| value);
    Some(MediaType::parse(value.unwrap_or_default()).essence)
}

const PART_TYPE: &[u8] = b"content-type:";
const MAX_PART_HEADERS: usize = 16;

/// The body with ASCII where rules expect it; `None` when its character set is known and not decoded.
fn readable<'a>(content_type: &[u8], body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let named = || MediaType::parse(content_type).charset().map(Charset::from_label);
    match Charset::sniff(body).or_else(named) {
        // An unknown label does not make bytes unreadable: browsers fall back to an ASCII-compatible one.
        None | Some(Charset::Unknown) => Some(Cow::Borrowed(body)),
        Some(charset) => charset.to_readable(body),
    }
}
