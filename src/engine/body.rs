//! Request and response bodies on their way into variables.

use super::transaction::Transaction;
use super::{BodyStep, Disruption, EventKind, FileRecord, Interruption};
use crate::body::{
    BodyLimits, BodyParser, Coding, InflateError, InflateLimits, Inflater, LimitHit, ParsedBody, Processor,
    Selected, XPathError, XmlDocument, XmlIntoArgs,
};
use crate::http::{Charset, MediaType};
use crate::limits;
use crate::ruleset::{BodyLimitAction, Mode, Settings};
use crate::variable::Variable as V;
use std::borrow::Cow;

/// The request body of one transaction.
pub(super) struct RequestBody {
    /// `SecRequestBodyAccess`, after `ctl`.
    pub(super) access: bool,
    /// `SecRequestBodyLimit`, after `ctl`; bytes, of the body as received and of what it inflates to.
    pub(super) limit: u64,
    /// `ctl:forceRequestBodyVariable`
    pub(super) force_variable: bool,
    /// The processor in force.
    pub(super) processor: Option<Processor>,
    /// `SecParseXmlIntoArgs`, after `ctl`.
    pub(super) xml_into_args: XmlIntoArgs,
    /// The header's value.
    pub(super) content_type: Vec<u8>,
    /// `Content-Encoding`, all its lines joined.
    pub(super) codings: Vec<u8>,
    /// Bytes fed, as received.
    pub(super) received: u64,
    /// More followed that was not inspected.
    pub(super) truncated: bool,
    /// Uploaded files, for the report.
    pub(super) files: Vec<FileRecord>,
    inflater: Option<Inflater>,
    parser: Option<BodyParser>,
    /// The decoded bytes, where a variable or the audit log wants them.
    bytes: Vec<u8>,
    keep_bytes: bool,
    length: u64,
    started: bool,
    finished: bool,
    xml: Option<XmlDocument>,
}

impl RequestBody {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            access: settings.request_body_access,
            limit: settings.request_body_limit,
            force_variable: false,
            processor: None,
            xml_into_args: settings.xml_args,
            content_type: Vec::new(),
            codings: Vec::new(),
            received: 0,
            truncated: false,
            files: Vec::new(),
            inflater: None,
            parser: None,
            bytes: Vec::new(),
            keep_bytes: false,
            length: 0,
            started: false,
            finished: false,
            xml: None,
        }
    }

    /// Whether bytes are wanted.
    pub(super) fn wanted(&self) -> bool {
        self.access && !self.truncated
    }

    /// Takes decoded bytes.
    fn take(&mut self, decoded: &[u8]) {
        self.length += decoded.len() as u64;
        if self.keep_bytes {
            self.bytes.extend_from_slice(decoded);
        }
        if let Some(parser) = &mut self.parser {
            parser.feed(decoded);
        }
    }

    /// The decoded bytes that were kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The decoded bytes that were kept, given away.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.processor == Some(Processor::Json)
    }

    /// Evaluates an XPath expression, when there is a document.
    pub(super) fn select_xml(
        &self,
        path: &str,
        namespaces: &[(&str, &str)],
    ) -> Option<Result<Selected, XPathError>> {
        self.xml.as_ref().map(|xml| xml.select(path, namespaces))
    }
}

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
    /// Takes the next bytes of the request body.
    pub(super) fn feed_request_body(&mut self, chunk: &[u8]) -> BodyStep {
        if let Some(step) = self.inactive_step() {
            return step;
        }
        if !self.request_body.wanted() {
            return if self.request_body.truncated { BodyStep::LimitReached } else { BodyStep::Continue };
        }
        if let Err(interruption) = self.start_request_body() {
            return self.step(interruption);
        }
        let room = self.request_body.limit.saturating_sub(self.request_body.received);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        let over = fits < chunk.len();
        // What fits is read first, so that the answer does not depend on how the body was cut into chunks.
        if let Err(error) = self.decode_request_body(&chunk[..fits]) {
            return self.request_coding_failed(&error);
        }
        self.request_body.received += fits as u64;
        if over || self.request_body.length > self.request_body.limit {
            if let Some(step) = self.request_limit_reached() {
                return step;
            }
            self.request_body.truncated = true;
            self.note(EventKind::RequestBodyTruncated, "the request body exceeds SecRequestBodyLimit");
            return BodyStep::LimitReached;
        }
        BodyStep::Continue
    }

    /// `SecRequestBodyLimitAction` when the limit is reached: the refusal, if it is one.
    fn request_limit_reached(&mut self) -> Option<BodyStep> {
        self.set(V::InboundDataError, b"1");
        if self.ruleset.settings.request_body_limit_action == BodyLimitAction::Reject && self.mode == Mode::On
        {
            self.note(EventKind::RequestBodyRefused, "the request body exceeds SecRequestBodyLimit");
            return Some(self.step(refusal(413, 2)));
        }
        None
    }

    fn step(&mut self, interruption: Interruption) -> BodyStep {
        match self.decide(interruption) {
            super::Decision::Pass => BodyStep::LimitReached,
            super::Decision::Interrupt(interruption) => BodyStep::Interrupt(interruption),
        }
    }

    /// A body that cannot be decoded would reach the origin uninspected.
    fn request_coding_failed(&mut self, error: &InflateError) -> BodyStep {
        let detail = format!("Content-Encoding of the request: {error}");
        self.note(EventKind::ContentCoding, &detail);
        self.request_error(&detail);
        self.request_body.truncated = true;
        let status = match error {
            InflateError::UnknownCoding | InflateError::StackedCodings => 415,
            InflateError::OutputLimit | InflateError::RatioLimit => 413,
            InflateError::Corrupt(_) | InflateError::Truncated | InflateError::TrailingData => 400,
        };
        self.step(refusal(status, 2))
    }

    fn request_error(&mut self, detail: &str) {
        self.set(V::ReqbodyError, b"1");
        self.set(V::ReqbodyErrorMsg, detail.as_bytes());
        self.set(V::ReqbodyProcessorError, b"1");
        self.set(V::ReqbodyProcessorErrorMsg, detail.as_bytes());
    }

    fn start_request_body(&mut self) -> Result<(), Interruption> {
        if std::mem::replace(&mut self.request_body.started, true) {
            return Ok(());
        }
        match Coding::from_headers([self.request_body.codings.as_slice()]) {
            Ok(Coding::Identity) => {}
            Ok(coding) => {
                let limits = InflateLimits { output: self.request_body.limit, ..InflateLimits::default() };
                self.request_body.inflater = Some(Inflater::new(coding, &limits));
            }
            Err(error) => {
                let detail = format!("Content-Encoding of the request: {error}");
                self.note(EventKind::ContentCoding, &detail);
                self.request_error(&detail);
                self.request_body.truncated = true;
                return Err(refusal(415, 2));
            }
        }
        let settings = &self.ruleset.settings;
        let body = &mut self.request_body;
        let limits = BodyLimits {
            arguments: settings.arguments_limit,
            argument_separator: settings.argument_separator,
            json_depth: settings.json_depth_limit,
            buffer: usize::try_from(body.limit).unwrap_or(usize::MAX).min(limits::BODY_BUFFER_BYTES),
            files: settings.upload_file_limit,
            file_content: if settings.inspects_file_content { limits::FILE_CONTENT_BYTES } else { 0 },
            xml_into_args: body.xml_into_args,
            ..BodyLimits::default()
        };
        let whole = match body.processor {
            Some(Processor::Urlencoded | Processor::Raw) => true,
            Some(_) => false,
            None => body.force_variable,
        };
        body.keep_bytes = whole || self.audit_parts.has(b'C') || self.audit_parts.has(b'I');
        body.parser = body.processor.map(|p| BodyParser::new(p, &limits, &body.content_type));
        Ok(())
    }

    fn decode_request_body(&mut self, chunk: &[u8]) -> Result<(), InflateError> {
        match self.request_body.inflater.take() {
            Some(mut inflater) => {
                let outcome = inflater.feed(chunk, &mut |decoded| self.request_body.take(decoded));
                self.request_body.inflater = Some(inflater);
                outcome
            }
            None => {
                self.request_body.take(chunk);
                Ok(())
            }
        }
    }

    fn finish_decoding(&mut self) -> Result<(), InflateError> {
        match self.request_body.inflater.take() {
            Some(inflater) => inflater.finish(&mut |decoded| self.request_body.take(decoded)),
            None => Ok(()),
        }
    }

    /// Ends the request body and fills the variables of phase 2; a refusal, if it must be refused.
    pub(super) fn finish_request_body(&mut self) -> Option<Interruption> {
        if std::mem::replace(&mut self.request_body.finished, true) || !self.request_body.access {
            return None;
        }
        if self.request_body.received > 0
            && !self.request_body.truncated
            && let Err(error) = self.finish_decoding()
            && let BodyStep::Interrupt(interruption) = self.request_coding_failed(&error)
        {
            return Some(interruption);
        }
        let received_any = self.request_body.length > 0;
        let parsed = self.request_body.parser.take().map(BodyParser::finish);
        if parsed.is_none() && received_any && !self.request_body.keep_bytes {
            self.note(EventKind::RequestBodyUninspected, "no request body processor for its type");
        }
        let length = self.request_body.length;
        self.set_number(V::RequestBodyLength, i64::try_from(length).unwrap_or(i64::MAX));
        let is_variable = match self.request_body.processor {
            Some(Processor::Urlencoded | Processor::Raw) => true,
            Some(_) => false,
            None => self.request_body.force_variable,
        };
        if is_variable && received_any {
            let bytes = std::mem::take(&mut self.request_body.bytes);
            self.set(V::RequestBody, &bytes);
            self.scalars[V::StreamInputBody as usize] = self.scalars[V::RequestBody as usize];
            self.request_body.bytes = bytes;
        }
        if let Some(parsed) = parsed {
            let limit = self.ruleset.settings.request_body_no_files_limit;
            if parsed.no_files_length > limit {
                self.set(V::InboundDataError, b"1");
                // All of it has been inspected; whether that is too much is for rules to say, as in ModSecurity 3.
                let message = "the request body without files exceeds SecRequestBodyNoFilesLimit";
                self.note(EventKind::RequestBodyError, message);
                self.request_error(message);
            }
            self.take_parsed(parsed);
        }
        self.set_arguments_size();
        None
    }

    fn take_parsed(&mut self, parsed: ParsedBody) {
        for (name, value) in parsed.args.iter() {
            self.add_member(V::ArgsPost, name, value);
        }
        if parsed.urlencoded_error {
            self.set(V::UrlencodedError, b"1");
        }
        for hit in &parsed.limits {
            let kind = match hit {
                LimitHit::Arguments => EventKind::ArgumentsLimit,
                _ => EventKind::RequestBodyError,
            };
            self.note(
                kind,
                &format!("the request body exceeds the limit on {}", hit.name().replace('_', " ")),
            );
        }
        if let Some(error) = &parsed.error {
            self.note(EventKind::RequestBodyError, error);
            self.request_error(error);
        }
        self.take_files(&parsed);
        for (name, line) in parsed.part_headers.iter() {
            self.add_member(V::MultipartPartHeaders, name, line);
        }
        if self.request_body.processor == Some(Processor::Multipart) {
            self.set_multipart_flags(&parsed);
        }
        self.request_body.xml = parsed.xml;
    }

    fn take_files(&mut self, parsed: &ParsedBody) {
        let mut combined = 0;
        for (n, file) in parsed.files.iter().enumerate() {
            self.add_member(V::Files, &file.field, &file.filename);
            self.add_member(V::FilesNames, &file.field, &file.field);
            self.add_member(V::FilesSizes, &file.field, file.size.to_string().as_bytes());
            self.add_member(V::FilesTmpnames, &file.field, format!("{}-file-{n}", self.id).as_bytes());
            if !file.content.is_empty() {
                self.add_member(V::FilesTmpContent, &file.field, &file.content);
            }
            combined += file.size;
        }
        self.set_number(V::FilesCombinedSize, i64::try_from(combined).unwrap_or(i64::MAX));
        self.request_body.files = parsed
            .files
            .iter()
            .map(|f| (f.field.clone(), f.filename.clone(), f.size, f.content_type.clone()))
            .collect();
    }

    fn set_multipart_flags(&mut self, parsed: &ParsedBody) {
        let flags = parsed.flags;
        for (variable, flag) in [
            (V::MultipartBoundaryQuoted, flags.boundary_quoted),
            (V::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (V::MultipartCrlfLfLines, flags.crlf_lf_lines()),
            (V::MultipartDataAfter, flags.data_after),
            (V::MultipartDataBefore, flags.data_before),
            (V::MultipartFileLimitExceeded, flags.file_limit_exceeded),
            (V::MultipartHeaderFolding, flags.header_folding),
            (V::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (V::MultipartInvalidPart, flags.invalid_part),
            (V::MultipartInvalidQuoting, flags.invalid_quoting),
            (V::MultipartLfLine, flags.lf_line),
            (V::MultipartMissingSemicolon, flags.missing_semicolon),
            (V::MultipartStrictError, flags.strict_error()),
        ] {
            self.set(variable, if flag { b"1" } else { b"0" });
        }
        self.set_number(V::MultipartUnmatchedBoundary, i64::from(flags.unmatched_boundary));
        if let Some(name) = &parsed.multipart_name {
            self.add_member(V::MultipartName, name, name);
        }
        if let Some(name) = &parsed.multipart_filename {
            self.add_member(V::MultipartFilename, name, name);
        }
    }

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
            return self.step(refusal(502, 4));
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

fn refusal(status: u16, phase: u8) -> Interruption {
    Interruption { disruption: Disruption::Deny, status, rule_id: 0, phase }
}
