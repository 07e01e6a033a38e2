//! The response body on its way into variables.

use super::refusal::refusal;
use super::transaction::Transaction;
use super::{BodyStep, EventKind};
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
    /// `Content-Encoding`, all its lines joined.
    pub(super) codings: Vec<u8>,
    /// Bytes fed, as received.
    pub(super) received: u64,
    /// More followed that was not inspected.
    pub(super) truncated: bool,
    inflater: Option<Inflater>,
    bytes: Vec<u8>,
    started: bool,
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
            codings: Vec::new(),
            received: 0,
            truncated: false,
            inflater: None,
            bytes: Vec::new(),
            started: false,
            broken: false,
        }
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
        let types = &self.ruleset.settings.response_body_types;
        body.access && (body.force || types.iter().any(|t| t.eq_ignore_ascii_case(&body.essence)))
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
        self.decode_response_body(&chunk[..fits]);
        self.response_body.received += fits as u64;
        if fits == chunk.len() && self.response_body.bytes.len() as u64 <= self.response_body.limit {
            return BodyStep::Continue;
        }
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
            }
            Err(error) => self.response_coding_failed(&error),
        }
    }

    fn decode_response_body(&mut self, chunk: &[u8]) {
        let body = &mut self.response_body;
        if body.broken {
            return;
        }
        let bytes = &mut body.bytes;
        let outcome = match &mut body.inflater {
            Some(inflater) => inflater.feed(chunk, &mut |decoded: &[u8]| bytes.extend_from_slice(decoded)),
            None => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            self.response_coding_failed(&error);
        }
    }

    /// Gets what the decompressor still holds, unless the body was cut off at its limit.
    fn finish_response_decoding(&mut self) {
        let body = &mut self.response_body;
        let Some(inflater) = body.inflater.take() else { return };
        if body.broken || body.truncated || body.received == 0 {
            return;
        }
        let bytes = &mut body.bytes;
        if let Err(error) = inflater.finish(&mut |decoded: &[u8]| bytes.extend_from_slice(decoded)) {
            self.response_coding_failed(&error);
        }
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

    /// Ends the response body and fills the variables of phase 4.
    pub(super) fn finish_response_body(&mut self) {
        self.finish_response_decoding();
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
    }
}

/// The body with ASCII where rules expect it; `None` when its character set is known and not decoded.
fn readable<'a>(content_type: &[u8], body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let named = || MediaType::parse(content_type).charset().map(Charset::from_label);
    match Charset::sniff(body).or_else(named) {
        // An unknown label does not make bytes unreadable: browsers fall back to an ASCII-compatible one.
        None | Some(Charset::Unknown) => Some(Cow::Borrowed(body)),
        Some(charset) => charset.to_readable(body),
    }
}
