//! The request body on its way into variables.

use super::refusal::refusal;
use super::transaction::Transaction;
use super::{BodyStep, EventKind, FileRecord, Interruption};
use crate::body::{
    BodyLimits, BodyParser, Coding, InflateError, InflateLimits, Inflater, LimitHit, ParsedBody, Processor,
    Selected, XPathError, XmlDocument, XmlIntoArgs, body_texts, is_readable,
};
use crate::limits;
use crate::ruleset::{BodyLimitAction, Mode, Settings};
use crate::variable::Variable as V;

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
    /// It lists several types. Which of them the origin goes by is not known, so that no parser's word is enough:
    /// rules see the bytes too, and are told that the body cannot be read for certain.
    pub(super) has_several_types: bool,
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
    /// What its end was answered with, until phase 2 says so.
    pub(super) refused: Option<Interruption>,
    /// Bytes of text that were in it, known at its end; and those that were made of them.
    text: u64,
    made: u64,
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
            has_several_types: false,
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
            refused: None,
            text: 0,
            made: 0,
            xml: None,
        }
    }

    /// Whether bytes are wanted.
    pub(super) fn wanted(&self) -> bool {
        self.access && !self.truncated
    }

    /// Whether `REQUEST_BODY` is filled. Not with a multipart body unless its type is in doubt: files would be most
    /// of it.
    fn is_variable(&self) -> bool {
        match self.processor {
            Some(Processor::Urlencoded | Processor::Raw) => true,
            Some(Processor::Multipart) => self.has_several_types,
            Some(Processor::Json | Processor::Xml) | None => self.force_variable || self.has_several_types,
        }
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

    /// Bytes that are held of it and of what has been made of it, roughly.
    pub(super) fn held(&self) -> usize {
        let parser = self.parser.as_ref().map_or(0, BodyParser::held);
        let xml = self.xml.as_ref().map_or(0, XmlDocument::held);
        let files: usize = self.files.len() * size_of::<FileRecord>();
        self.bytes.capacity() + parser + xml + files
    }

    /// Bytes of it that rules look at, as far as it has come: decoded, and without the files that no rule looks into. A short
    /// document may become many arguments with long names; once it has ended, those count where they are more.
    pub(super) fn text(&self) -> u64 {
        let read = match &self.parser {
            Some(parser) if !self.has_several_types => parser.text(),
            None if !self.is_variable() => 0,
            _ => self.length,
        };
        read.max(self.text).max(self.made)
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
            return self.refuse_body(interruption);
        }
        let room = self.request_body.limit.saturating_sub(self.request_body.received);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        let mut over = fits < chunk.len();
        // What fits is read first, so that the answer does not depend on how the body was cut into chunks.
        match self.decode_request_body(&chunk[..fits]) {
            Ok(()) => {}
            Err(InflateError::OutputLimit) => over = true,
            Err(error) => return self.request_coding_failed(&error),
        }
        self.request_body.received += fits as u64;
        if over || self.request_body.length > self.request_body.limit {
            return self.request_limit_reached();
        }
        BodyStep::Continue
    }

    /// `SecRequestBodyLimitAction` when the limit is reached, by what was received or by what it inflates to.
    fn request_limit_reached(&mut self) -> BodyStep {
        self.set(V::InboundDataError, b"1");
        if self.ruleset.settings.request_body_limit_action == BodyLimitAction::Reject && self.mode == Mode::On
        {
            self.note(EventKind::RequestBodyRefused, "the request body exceeds SecRequestBodyLimit");
            return self.refuse_body(refusal(413, 2));
        }
        self.request_body.truncated = true;
        self.note(EventKind::RequestBodyTruncated, "the request body exceeds SecRequestBodyLimit");
        BodyStep::LimitReached
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
        self.refuse_body(refusal(status, 2))
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
        body.keep_bytes = body.is_variable() || self.audit_parts.has(b'C') || self.audit_parts.has(b'I');
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
        {
            let step = match error {
                InflateError::OutputLimit => self.request_limit_reached(),
                error => self.request_coding_failed(&error),
            };
            if let BodyStep::Interrupt(interruption) = step {
                return Some(interruption);
            }
        }
        let received_any = self.request_body.length > 0;
        self.request_body.text = self.request_body.text();
        let parsed = self.request_body.parser.take().map(BodyParser::finish);
        if parsed.is_none() && received_any && !self.request_body.keep_bytes {
            self.note(EventKind::RequestBodyUninspected, "no request body processor for its type");
        }
        let length = self.request_body.length;
        self.set_number(V::RequestBodyLength, i64::try_from(length).unwrap_or(i64::MAX));
        if received_any && self.request_body.is_variable() {
            self.set_request_body_variable();
        }
        if received_any && parsed.is_none() && !is_readable(&self.request_body.content_type) {
            let message = "the character set of the body cannot be read";
            self.note(EventKind::RequestBodyError, message);
            self.request_error(message);
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
            let before = self.values.length();
            self.take_parsed(parsed);
            self.request_body.made = u64::try_from(self.values.length() - before).unwrap_or(u64::MAX);
        }
        if self.request_body.has_several_types && received_any {
            let message = "Content-Type names several types, and an origin may read the body as any of them";
            self.note(EventKind::RequestBodyError, message);
            self.request_error(message);
        }
        self.set_arguments_size();
        None
    }

    /// `REQUEST_BODY`: the bytes and, where their character set hides ASCII, each text that they may be, on lines of
    /// their own behind them. A recipient may decode or not, and rules see what either does.
    fn set_request_body_variable(&mut self) {
        let bytes = std::mem::take(&mut self.request_body.bytes);
        let texts = body_texts(&self.request_body.content_type, &bytes);
        if texts.is_empty() {
            self.set(V::RequestBody, &bytes);
        } else {
            let lines: Vec<&[u8]> =
                std::iter::once(bytes.as_slice()).chain(texts.iter().map(Vec::as_slice)).collect();
            self.set(V::RequestBody, &lines.join(&b'\n'));
        }
        self.scalars[V::StreamInputBody as usize] = self.scalars[V::RequestBody as usize];
        self.request_body.bytes = bytes;
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
        for name in &parsed.multipart_names {
            self.add_member(V::MultipartName, name, name);
        }
        for name in &parsed.multipart_filenames {
            self.add_member(V::MultipartFilename, name, name);
        }
    }
}
