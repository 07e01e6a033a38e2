//! `multipart/form-data`, line by line in a stream, with all of ModSecurity's `MULTIPART_*` findings.
//!
//! ModSecurity v3's reading is followed, but for three things which it gives away: what follows an error is read
//! on as well as it can be, since a body that no rule refuses reaches the application whole; a part without a name
//! is an argument with an empty name; and a last line without line end is not lost. File contents are counted,
//! never kept beyond what [`BodyLimits::file_content`] says.

use super::boundary::{is_space, read_boundary};
use super::disposition::{Disposition, read_disposition};
use super::mime::{TransferEncoding, decode_words};
use super::reread::{charsets, readings};
use super::{BodyLimits, FilePart, LimitHit, ParsedBody};
use crate::http::Charset;
use crate::limits;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

/// A streaming parser of one multipart body.
#[derive(Debug)]
pub(super) struct MultipartParser {
    limits: BodyLimits,
    /// `--` and the boundary; empty when there is none, and then nothing is read.
    delimiter: Vec<u8>,
    finder: Finder<'static>,
    /// Finds `--`, which every delimiter begins with.
    dashes: Finder<'static>,
    state: State,
    /// The beginning of the current line, up to [`limits::MULTIPART_LINE_BYTES`].
    line: Vec<u8>,
    /// The current line's beginning has been dealt with; only its rest is to come.
    mid_line: bool,
    /// The current line's last byte so far was a CR, which may belong to its end.
    held_cr: bool,
    /// The line end before the current line: data, unless a boundary follows.
    reserve: &'static [u8],
    part: Part,
    parts: usize,
    boundaries: usize,
    seen_data: bool,
    out: ParsedBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Headers,
    Data,
    Epilogue,
    /// A limit ended the reading.
    Ended,
}

/// The part that is being read.
#[derive(Debug, Default)]
struct Part {
    is_open: bool,
    /// Header lines without line ends, one after the other.
    headers: Vec<u8>,
    header_ends: Vec<usize>,
    /// Whether the last header line can be continued.
    can_fold: bool,
    name: Vec<u8>,
    file: Option<FilePart>,
    value: Vec<u8>,
    /// Other names that a recipient may take for the part's or the file's.
    other_names: Vec<Vec<u8>>,
    other_filenames: Vec<Vec<u8>>,
}

impl MultipartParser {
    pub(super) fn new(limits: &BodyLimits, content_type: &[u8]) -> Self {
        let mut out = ParsedBody::default();
        let boundary = read_boundary(content_type, &mut out.flags);
        let delimiter = match boundary.value {
            Some(value) => [b"--", value.as_slice()].concat(),
            None => Vec::new(),
        };
        let finder = Finder::new(&delimiter).into_owned();
        let mut parser = Self {
            limits: limits.clone(),
            delimiter,
            finder,
            dashes: Finder::new(b"--"),
            state: State::Preamble,
            line: Vec::new(),
            mid_line: false,
            held_cr: false,
            reserve: b"",
            part: Part::default(),
            parts: 0,
            boundaries: 0,
            seen_data: false,
            out,
        };
        if let Some(error) = boundary.error {
            parser.fail(error);
        }
        parser
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.line.capacity() + self.part.headers.capacity() + self.part.value.capacity() + self.out.held()
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.seen_data |= !chunk.is_empty();
        if self.delimiter.is_empty() {
            return;
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            match self.state {
                State::Epilogue => {
                    self.out.flags.data_after = true;
                    return;
                }
                State::Ended => return,
                _ if self.mid_line => rest = self.feed_rest_of_line(rest),
                State::Data if self.line.is_empty() => {
                    let (lines, after) = rest.split_at(self.plain_lines(rest));
                    if lines.is_empty() {
                        rest = self.feed_line(rest);
                    } else {
                        self.data_piece(lines, true);
                        rest = after;
                    }
                }
                _ => rest = self.feed_line(rest),
            }
        }
    }

    pub(super) fn finish(mut self) -> ParsedBody {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            let is_final = line.strip_prefix(self.delimiter.as_slice()) == Some(b"--") && self.boundaries > 0;
            if is_final {
                self.boundary(true);
            } else {
                self.line_begins(&line, false);
            }
        }
        if self.state == State::Data {
            let end = self.reserve;
            self.data(end);
            if self.held_cr {
                self.data(b"\r");
            }
        }
        if self.seen_data && self.state != State::Epilogue && !self.delimiter.is_empty() {
            self.fail(match self.boundaries {
                0 => "No boundaries found in payload.",
                _ => "Final boundary missing.",
            });
        }
        self.close_part();
        self.out
    }

    /// How much of `chunk`, which begins at the beginning of a line, are whole lines without two dashes: no boundary, nor
    /// anything that hides one. These are data, all at once; most of a file is.
    fn plain_lines(&self, chunk: &[u8]) -> usize {
        let end = self.dashes.find(chunk).unwrap_or(chunk.len());
        memrchr(b'\n', chunk.get(..end).unwrap_or_default()).map_or(0, |at| at + 1)
    }

    /// Takes from `chunk`, which begins at or in the beginning of a line; gives what is left.
    fn feed_line<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let room = limits::MULTIPART_LINE_BYTES.saturating_sub(self.line.len()).max(1).min(chunk.len());
        let window = chunk.get(..room).unwrap_or(chunk);
        let (taken, complete) = match memchr(b'\n', window) {
            Some(at) => (at + 1, true),
            None => (room, false),
        };
        let (piece, rest) = chunk.split_at_checked(taken).unwrap_or((chunk, &[]));
        if complete && self.line.is_empty() {
            self.line_begins(piece, true);
            return rest;
        }
        self.line.extend_from_slice(piece);
        if complete || self.line.len() >= limits::MULTIPART_LINE_BYTES {
            let mut line = std::mem::take(&mut self.line);
            self.line_begins(&line, complete);
            line.clear();
            self.line = line;
            self.mid_line = !complete;
        }
        rest
    }

    /// Takes from `chunk`, which goes on in a line whose beginning has been dealt with; gives what is left.
    fn feed_rest_of_line<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let end = memchr(b'\n', chunk).map(|at| at + 1);
        let (piece, rest) = chunk.split_at_checked(end.unwrap_or(chunk.len())).unwrap_or((chunk, &[]));
        if self.state == State::Data {
            self.data_piece(piece, end.is_some());
        }
        self.mid_line = end.is_none();
        rest
    }

    /// Deals with a line, or with its beginning when it is longer than the buffer (`complete` is false).
    fn line_begins(&mut self, line: &[u8], complete: bool) {
        if self.looks_like_boundary(line) && self.try_boundary(line, complete) {
            return;
        }
        match self.state {
            State::Preamble => self.out.flags.data_before = true,
            State::Headers => self.header_line(line, complete),
            State::Data => self.data_piece(line, complete),
            State::Epilogue | State::Ended => {}
        }
    }

    /// Whether the line begins as a boundary does; notes one that hides within a line.
    fn looks_like_boundary(&mut self, line: &[u8]) -> bool {
        if line.len() > 3 && line.starts_with(b"--") {
            return true;
        }
        if self.finder.find(line).is_some() {
            self.out.flags.unmatched_boundary = 1;
        }
        false
    }

    /// Takes a line that begins with `--` for a boundary if it is one.
    fn try_boundary(&mut self, line: &[u8], complete: bool) -> bool {
        let Some(after) = line.strip_prefix(self.delimiter.as_slice()) else {
            self.unmatched_boundary(line);
            return false;
        };
        let (is_final, after) = match after.strip_prefix(b"--") {
            Some(after) => (true, after),
            None => (false, after),
        };
        let is_padding = after.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        match after {
            b"\r\n" => self.out.flags.crlf_line = true,
            b"\n" => self.out.flags.lf_line = true,
            // RFC 2046 allows padding, ModSecurity does not. It is a boundary for most recipients.
            _ if is_padding && complete => self.fail_quoting("Invalid boundary: ", line),
            _ => {
                self.fail_quoting("Invalid boundary: ", line);
                return false;
            }
        }
        if self.out.flags.unmatched_boundary == 1 && self.boundaries > 0 {
            self.out.flags.unmatched_boundary = 2;
        }
        self.boundary(is_final);
        true
    }

    /// Judges a line that begins with `--` and goes on differently.
    fn unmatched_boundary(&mut self, line: &[u8]) {
        let boundary = self.delimiter.get(2..).unwrap_or_default();
        let after = line.get(2..).unwrap_or_default();
        let unspaced =
            after.iter().position(|b| !is_space(*b)).and_then(|at| after.get(at..)).unwrap_or_default();
        if self.out.flags.boundary_quoted
            && after.strip_prefix(b"\"").is_some_and(|a| a.starts_with(boundary))
        {
            self.fail("Invalid boundary (quotes).");
        } else if unspaced.len() < after.len() && unspaced.starts_with(boundary) {
            self.fail("Invalid boundary (whitespace).");
        }
        self.out.flags.unmatched_boundary = 1;
    }

    fn boundary(&mut self, is_final: bool) {
        self.boundaries += 1;
        self.close_part();
        self.reserve = b"";
        self.held_cr = false;
        if is_final {
            self.state = State::Epilogue;
        } else if self.parts >= self.limits.parts {
            self.hit(LimitHit::Parts);
            self.fail("Too many parts.");
            self.state = State::Ended;
        } else {
            self.parts += 1;
            self.part.is_open = true;
            self.state = State::Headers;
        }
    }

    fn header_line(&mut self, line: &[u8], complete: bool) {
        self.out.no_files_length += line.len() as u64;
        let text = match line {
            [text @ .., b'\r', b'\n'] => {
                self.out.flags.crlf_line = true;
                text
            }
            [text @ .., b'\n'] => {
                self.out.flags.lf_line = true;
                text
            }
            text => text,
        };
        if text.is_empty() && complete {
            self.end_of_headers();
            return;
        }
        if memchr(0, text).is_some() {
            self.fail("Nul byte in part headers.");
        }
        let is_over_budget = self.part.headers.len() + text.len() > self.limits.part_header_bytes
            || self.part.header_ends.len() >= limits::PART_HEADERS;
        if is_over_budget || line.len() >= limits::MULTIPART_LINE_BYTES {
            self.hit(LimitHit::PartHeader);
            self.fail("Part header too long.");
        }
        if is_over_budget {
            self.part.can_fold = false;
            return;
        }
        if text.first().is_some_and(|b| is_space(*b)) {
            self.folded_line(text);
        } else {
            self.new_header(text);
        }
    }

    fn folded_line(&mut self, text: &[u8]) {
        self.out.flags.header_folding = true;
        let at = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
        if text.get(..at).unwrap_or_default().iter().any(|b| !matches!(b, b' ' | b'\t')) {
            self.out.flags.invalid_header_folding = true;
        }
        if !self.part.can_fold {
            self.fail("Invalid part header (folding error).");
            self.part.push_header(text);
            return;
        }
        self.part.headers.push(b' ');
        self.part.headers.extend_from_slice(text.get(at..).unwrap_or_default());
        if let Some(end) = self.part.header_ends.last_mut() {
            *end = self.part.headers.len();
        }
    }

    fn new_header(&mut self, text: &[u8]) {
        match memchr(b':', text) {
            None => self.fail_quoting("Invalid part header (colon missing): ", text),
            Some(0) => self.fail("Invalid part header (header name missing)."),
            Some(at) => {
                let name = text.get(..at).unwrap_or_default();
                if name.iter().any(|b| !(33..=126).contains(b)) {
                    self.fail("Invalid part header (contains invalid character).");
                }
                if self.part.header(name).is_some() {
                    self.fail_quoting("Duplicate part header: ", name);
                }
            }
        }
        self.part.push_header(text);
        self.part.can_fold = true;
    }

    fn end_of_headers(&mut self) {
        self.state = State::Data;
        self.part.can_fold = false;
        let Some(header) = self.part.header(b"content-disposition").map(<[u8]>::to_vec) else {
            self.fail("Part missing Content-Disposition header.");
            return;
        };
        let disposition = read_disposition(&header);
        self.out.flags.invalid_quoting |= disposition.invalid_quoting;
        if let Some(code) = disposition.error {
            self.fail_quoting(&format!("Invalid Content-Disposition header ({code}): "), &header);
        }
        let Disposition { name, filename, other_names, other_filenames, .. } = disposition;
        if let Some(name) = name {
            self.out.multipart_names.push(name.clone());
            self.part.other_names.extend(decode_words(&name));
            self.part.name = name;
        }
        self.part.other_names.extend(other_names);
        self.part.other_filenames.extend(filename.iter().filter_map(|name| decode_words(name)));
        self.part.other_filenames.extend(other_filenames);
        if self.part.name.is_empty() && disposition.error.is_none() {
            self.fail("Content-Disposition header missing name field.");
        }
        let Some(filename) = filename else { return };
        self.out.multipart_filenames.push(filename.clone());
        if filename.is_empty() {
            return;
        }
        // Crude parsers look for this very text, and would take the file for a field.
        if memchr::memmem::find(&header, b"filename=").is_none() {
            self.fail("Invalid Content-Disposition header (filename).");
        }
        if self.out.files.len() >= self.limits.files {
            self.hit(LimitHit::Files);
            self.out.flags.file_limit_exceeded = true;
            let limit = self.limits.files;
            self.fail(&format!(
                "Upload file limit exceeded {limit}. Use SecUploadFileLimit to change the limit."
            ));
        }
        self.part.file = Some(FilePart {
            field: self.part.name.clone(),
            filename,
            content_type: self.part.header(b"content-type").unwrap_or_default().to_vec(),
            ..FilePart::default()
        });
    }

    /// Adds a piece of a line, or whole lines, to the part, and holds its end back, which may belong to a boundary.
    fn data_piece(&mut self, piece: &[u8], complete: bool) {
        if self.held_cr {
            self.held_cr = false;
            if piece == b"\n" {
                self.reserve = b"\r\n";
                return;
            }
            self.data(b"\r");
        }
        let end = std::mem::take(&mut self.reserve);
        self.data(end);
        let body = match piece {
            [body @ .., b'\r', b'\n'] if complete => {
                self.reserve = b"\r\n";
                body
            }
            [body @ .., b'\n'] if complete => {
                self.reserve = b"\n";
                body
            }
            [body @ .., b'\r'] => {
                self.held_cr = true;
                body
            }
            body => body,
        };
        self.data(body);
    }

    fn data(&mut self, bytes: &[u8]) {
        match &mut self.part.file {
            Some(file) => {
                file.size += bytes.len() as u64;
                let room = self.limits.file_content.saturating_sub(file.content.len()).min(bytes.len());
                file.content.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            None => {
                self.out.no_files_length += bytes.len() as u64;
                self.part.value.extend_from_slice(bytes);
            }
        }
    }

    /// Ends the part that is being read, if any.
    fn close_part(&mut self) {
        if !std::mem::take(&mut self.part.is_open) {
            return;
        }
        let part = &mut self.part;
        if part.name.is_empty() {
            self.out.flags.invalid_part = true;
        }
        let mut start = 0;
        for &end in &part.header_ends {
            self.out.part_headers.push(&part.name, part.headers.get(start..end).unwrap_or_default());
            start = end;
        }
        let mut part = std::mem::take(&mut self.part);
        let charsets = part.header(b"content-type").map(charsets).unwrap_or_default();
        let transfer = part.header(b"content-transfer-encoding").map(TransferEncoding::from_header);
        let transfer = transfer.unwrap_or(TransferEncoding::Plain);
        if transfer == TransferEncoding::Unknown {
            self.fail("Unknown Content-Transfer-Encoding.");
        }
        match part.file.take() {
            Some(mut file) => {
                if let Some(decoded) = transfer.decode(&file.content) {
                    file.content.push(b'\n');
                    file.content.extend_from_slice(&decoded);
                }
                for filename in std::mem::take(&mut part.other_filenames) {
                    let field = file.field.clone();
                    let content_type = file.content_type.clone();
                    self.out.files.push(FilePart { field, filename, content_type, ..FilePart::default() });
                }
                self.out.files.push(file);
            }
            // Headers without a body are no argument.
            None if part.name.is_empty() && part.value.is_empty() && part.other_names.is_empty() => {}
            None => {
                if charsets.contains(&Charset::Unreadable) {
                    self.fail("The character set of a part cannot be read.");
                }
                self.argument(&part.name, &part.value);
                // What recipients may make of it that mind the part's headers.
                let decoded = transfer.decode(&part.value);
                for text in decoded.iter().flat_map(|value| readings(&charsets, value)) {
                    self.argument(&part.name, &text);
                }
                for text in readings(&charsets, &part.value).into_iter().chain(decoded) {
                    self.argument(&part.name, &text);
                }
                for name in &part.other_names {
                    self.argument(name, &part.value);
                }
            }
        }
        // A million parts share one part's buffers.
        part.headers.clear();
        part.header_ends.clear();
        part.can_fold = false;
        part.name.clear();
        part.value.clear();
        part.other_names.clear();
        part.other_filenames.clear();
        self.part = part;
    }

    /// Adds an argument. Those beyond the limit become the value of one more with an empty name, so that the limit
    /// is no place to hide in.
    fn argument(&mut self, name: &[u8], value: &[u8]) {
        let args = &mut self.out.args;
        let limit = self.limits.arguments;
        if args.len() < limit {
            if !args.push(name, value) {
                self.hit(LimitHit::Arguments);
            }
            return;
        }
        let is_first = args.len() == limit;
        if !is_first || args.push(b"", b"") {
            args.extend_last(|rest| {
                if !is_first {
                    rest.push(b'&');
                }
                rest.extend_from_slice(name);
                rest.push(b'=');
                rest.extend_from_slice(value);
            });
        }
        self.hit(LimitHit::Arguments);
    }

    fn hit(&mut self, limit: LimitHit) {
        self.out.hit(limit);
    }

    fn fail(&mut self, reason: &str) {
        self.out.flags.error = true;
        self.out.error.get_or_insert_with(|| format!("Multipart parsing error: Multipart: {reason}"));
    }

    /// [`Self::fail`] with the beginning of what was met.
    fn fail_quoting(&mut self, reason: &str, met: &[u8]) {
        self.out.flags.error = true;
        if self.out.error.is_none() {
            let met = met.get(..limits::ERROR_QUOTE_BYTES).unwrap_or(met);
            self.fail(&format!("{reason}{}", String::from_utf8_lossy(met).trim_end()));
        }
    }
}

impl Part {
    fn push_header(&mut self, text: &[u8]) {
        self.headers.extend_from_slice(text);
        self.header_ends.push(self.headers.len());
    }

    /// The value of the first header of that name, in any case.
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let mut start = 0;
        for &end in &self.header_ends {
            let line = self.headers.get(start..end)?;
            start = end;
            if let Some(at) = memchr(b':', line)
                && line.get(..at)?.eq_ignore_ascii_case(name)
            {
                let value = line.get(at + 1..)?;
                let at = value.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(value.len());
                return value.get(at..);
            }
        }
        None
    }
}
