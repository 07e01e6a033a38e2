//! The one door to all body parsers: choose a processor, feed bytes, take the result.

use super::json::JsonParser;
use super::multipart::MultipartParser;
use super::reread::Reread;
use super::urlencoded::UrlencodedParser;
use super::xml::XmlParser;
use super::{BodyLimits, FilePart, LimitHit, MultipartFlags, XmlDocument};
use crate::http::Pairs;

/// A request body processor (`REQBODY_PROCESSOR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Processor {
    /// `URLENCODED`.
    Urlencoded,
    /// `MULTIPART`.
    Multipart,
    /// `JSON`.
    Json,
    /// `XML`.
    Xml,
    /// `RAW`: nothing is parsed; the body is `REQUEST_BODY` only.
    Raw,
}

impl Processor {
    /// The name that `REQBODY_PROCESSOR` shows and `ctl:requestBodyProcessor` takes.
    pub fn name(self) -> &'static str {
        match self {
            Processor::Urlencoded => "URLENCODED",
            Processor::Multipart => "MULTIPART",
            Processor::Json => "JSON",
            Processor::Xml => "XML",
            Processor::Raw => "RAW",
        }
    }

    /// The processor of that name, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Urlencoded, Self::Multipart, Self::Json, Self::Xml, Self::Raw]
            .into_iter()
            .find(|p| p.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What a body held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedBody {
    /// Arguments in order (`ARGS_POST`).
    pub args: Pairs,
    /// Uploaded files in order (`FILES`, `FILES_SIZES`, …).
    pub files: Vec<FilePart>,
    /// Part name → `Name: value` header line (`MULTIPART_PART_HEADERS`).
    pub part_headers: Pairs,
    /// Each part's `name` (`MULTIPART_NAME`), in order.
    pub multipart_names: Vec<Vec<u8>>,
    /// Each part's `filename` (`MULTIPART_FILENAME`), in order.
    pub multipart_filenames: Vec<Vec<u8>>,
    /// The `MULTIPART_*` flags.
    pub flags: MultipartFlags,
    /// Why the body could not be read to its end (`REQBODY_ERROR` = 1, `REQBODY_PROCESSOR_ERROR_MSG`). What was
    /// read before the error is in the other fields all the same.
    pub error: Option<String>,
    /// An argument was encoded invalidly (`URLENCODED_ERROR`).
    pub urlencoded_error: bool,
    /// Limits that left something out, each at most once.
    pub limits: Vec<LimitHit>,
    /// The document, when the processor is `XML` and it was well-formed as far as it was read.
    pub xml: Option<XmlDocument>,
    /// Body bytes that are not file contents (`REQUEST_BODY_NO_FILES_LENGTH`).
    pub no_files_length: u64,
}

impl ParsedBody {
    /// Bytes that it occupies, roughly.
    pub(super) fn held(&self) -> usize {
        let files: usize = self.files.iter().map(|file| file.content.capacity() + FILE_BYTES).sum();
        let names = self.multipart_names.len() + self.multipart_filenames.len();
        self.args.held() + self.part_headers.held() + files + names * NAME_BYTES
    }

    /// Notes a limit once.
    pub(super) fn hit(&mut self, limit: LimitHit) {
        if !self.limits.contains(&limit) {
            self.limits.push(limit);
        }
    }
}

/// What a file's names, and a name by itself, occupy: most are short, and each is an allocation.
const FILE_BYTES: usize = 256;
const NAME_BYTES: usize = 64;

/// A streaming parser of one body.
///
/// However the bytes are cut into chunks, the result is the same. It never fails: a body that cannot be read has
/// [`ParsedBody::error`], and what could be read.
#[derive(Debug)]
pub struct BodyParser {
    processor: Processor,
    inner: Inner,
    reread: Reread,
}

/// The parsers.
#[derive(Debug)]
pub(super) enum Inner {
    Urlencoded(Box<UrlencodedParser>),
    Multipart(Box<MultipartParser>),
    Json(JsonParser),
    Xml(XmlParser),
    Raw(u64),
}

impl BodyParser {
    /// A parser of a body with this `Content-Type` (the header's raw value; empty when there is none).
    pub fn new(processor: Processor, limits: &BodyLimits, content_type: &[u8]) -> Self {
        Self {
            processor,
            inner: Inner::new(processor, limits, content_type),
            reread: Reread::new(processor, limits, content_type),
        }
    }

    /// The processor.
    pub fn processor(&self) -> Processor {
        self.processor
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.inner.feed(chunk);
        self.reread.feed(chunk);
    }

    /// Bytes that it holds, roughly: of the body, and of what has been made of it.
    pub fn held(&self) -> usize {
        let inner = match &self.inner {
            Inner::Urlencoded(p) => p.held(),
            Inner::Multipart(p) => p.held(),
            Inner::Json(p) => p.held(),
            Inner::Xml(p) => p.held(),
            Inner::Raw(_) => 0,
        };
        inner + self.reread.held()
    }

    /// Bytes of the body so far that are text: all but the contents of files, unless these are kept for rules.
    pub fn text(&self) -> u64 {
        match &self.inner {
            Inner::Urlencoded(p) => p.text(),
            Inner::Multipart(p) => p.text(),
            Inner::Json(p) => p.text(),
            Inner::Xml(p) => p.text(),
            Inner::Raw(length) => *length,
        }
    }

    /// Ends the body and gives the result.
    pub fn finish(self) -> ParsedBody {
        let mut parsed = self.inner.finish();
        self.reread.finish(&mut parsed);
        parsed
    }
}

impl Inner {
    pub(super) fn new(processor: Processor, limits: &BodyLimits, content_type: &[u8]) -> Self {
        match processor {
            Processor::Urlencoded => Inner::Urlencoded(Box::new(UrlencodedParser::new(limits))),
            Processor::Multipart => Inner::Multipart(Box::new(MultipartParser::new(limits, content_type))),
            Processor::Json => Inner::Json(JsonParser::new(limits)),
            Processor::Xml => Inner::Xml(XmlParser::new(limits, content_type)),
            Processor::Raw => Inner::Raw(0),
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        match self {
            Inner::Urlencoded(p) => p.feed(chunk),
            Inner::Multipart(p) => p.feed(chunk),
            Inner::Json(p) => p.feed(chunk),
            Inner::Xml(p) => p.feed(chunk),
            Inner::Raw(length) => *length += chunk.len() as u64,
        }
    }

    pub(super) fn finish(self) -> ParsedBody {
        match self {
            Inner::Urlencoded(p) => p.finish(),
            Inner::Multipart(p) => p.finish(),
            Inner::Json(p) => p.finish(),
            Inner::Xml(p) => p.finish(),
            Inner::Raw(length) => ParsedBody { no_files_length: length, ..ParsedBody::default() },
        }
    }
}
