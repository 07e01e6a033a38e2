//! The part that is being read: its headers, its content, and what becomes of them.

use super::boundary::is_space;
use super::disposition::{Disposition, read_disposition};
use super::found::Found;
use super::mime::{TransferEncoding, decode_words};
use crate::body::reread::{charsets, readings};
use crate::body::{FilePart, LimitHit};
use crate::http::Charset;
use crate::limits;
use memchr::memchr;

/// The part that is being read.
#[derive(Debug, Default)]
pub(super) struct Part {
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

impl Part {
    /// Begins to be read.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.headers.capacity() + self.value.capacity()
    }

    /// Bytes that are kept of a file's content.
    pub(super) fn file_content(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.content.len())
    }

    /// Takes a line of the headers, or its beginning (`complete` is false). Whether it ends them.
    pub(super) fn header_line(&mut self, line: &[u8], complete: bool, found: &mut Found) -> bool {
        found.body.no_files_length += line.len() as u64;
        let text = match line {
            [text @ .., b'\r', b'\n'] => {
                found.body.flags.crlf_line = true;
                text
            }
            [text @ .., b'\n'] => {
                found.body.flags.lf_line = true;
                text
            }
            text => text,
        };
        if text.is_empty() && complete {
            self.end_of_headers(found);
            return true;
        }
        if memchr(0, text).is_some() {
            found.fail("Nul byte in part headers.");
        }
        let is_over_budget = self.headers.len() + text.len() > found.limits.part_header_bytes
            || self.header_ends.len() >= limits::PART_HEADERS;
        if is_over_budget || line.len() >= limits::MULTIPART_LINE_BYTES {
            found.hit(LimitHit::PartHeader);
            found.fail("Part header too long.");
        }
        if is_over_budget {
            self.can_fold = false;
            return false;
        }
        if text.first().is_some_and(|b| is_space(*b)) {
            self.folded_line(text, found);
        } else {
            self.new_header(text, found);
        }
        false
    }

    fn folded_line(&mut self, text: &[u8], found: &mut Found) {
        found.body.flags.header_folding = true;
        let at = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
        if text.get(..at).unwrap_or_default().iter().any(|b| !matches!(b, b' ' | b'\t')) {
            found.body.flags.invalid_header_folding = true;
        }
        if !self.can_fold {
            found.fail("Invalid part header (folding error).");
            self.push_header(text);
            return;
        }
        self.headers.push(b' ');
        self.headers.extend_from_slice(text.get(at..).unwrap_or_default());
        if let Some(end) = self.header_ends.last_mut() {
            *end = self.headers.len();
        }
    }

    fn new_header(&mut self, text: &[u8], found: &mut Found) {
        match memchr(b':', text) {
            None => found.fail_quoting("Invalid part header (colon missing): ", text),
            Some(0) => found.fail("Invalid part header (header name missing)."),
            Some(at) => {
                let name = text.get(..at).unwrap_or_default();
                if name.iter().any(|b| !(33..=126).contains(b)) {
                    found.fail("Invalid part header (contains invalid character).");
                }
                if self.header(name).is_some() {
                    found.fail_quoting("Duplicate part header: ", name);
                }
            }
        }
        self.push_header(text);
        self.can_fold = true;
    }

    fn end_of_headers(&mut self, found: &mut Found) {
        self.can_fold = false;
        let Some(header) = self.header(b"content-disposition").map(<[u8]>::to_vec) else {
            found.fail("Part missing Content-Disposition header.");
            return;
        };
        let disposition = read_disposition(&header);
        found.body.flags.invalid_quoting |= disposition.invalid_quoting;
        if let Some(code) = disposition.error {
            found.fail_quoting(&format!("Invalid Content-Disposition header ({code}): "), &header);
        }
        let Disposition { name, filename, other_names, other_filenames, .. } = disposition;
        if let Some(name) = name {
            found.body.multipart_names.push(name.clone());
            self.other_names.extend(decode_words(&name));
            self.name = name;
        }
        self.other_names.extend(other_names);
        self.other_filenames.extend(filename.iter().filter_map(|name| decode_words(name)));
        self.other_filenames.extend(other_filenames);
        if self.name.is_empty() && disposition.error.is_none() {
            found.fail("Content-Disposition header missing name field.");
        }
        let Some(filename) = filename else { return };
        found.body.multipart_filenames.push(filename.clone());
        if filename.is_empty() {
            return;
        }
        // Crude parsers look for this very text, and would take the file for a field.
        if memchr::memmem::find(&header, b"filename=").is_none() {
            found.fail("Invalid Content-Disposition header (filename).");
        }
        if found.body.files.len() >= found.limits.files {
            found.hit(LimitHit::Files);
            found.body.flags.file_limit_exceeded = true;
            let limit = found.limits.files;
            found.fail(&format!(
                "Upload file limit exceeded {limit}. Use SecUploadFileLimit to change the limit."
            ));
        }
        self.file = Some(FilePart {
            field: self.name.clone(),
            filename,
            content_type: self.header(b"content-type").unwrap_or_default().to_vec(),
            ..FilePart::default()
        });
    }

    /// Adds content.
    pub(super) fn content(&mut self, bytes: &[u8], found: &mut Found) {
        match &mut self.file {
            Some(file) => {
                file.size += bytes.len() as u64;
                let room = found.limits.file_content.saturating_sub(file.content.len()).min(bytes.len());
                file.content.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            None => {
                found.body.no_files_length += bytes.len() as u64;
                self.value.extend_from_slice(bytes);
            }
        }
    }

    /// Ends it, if it has been opened: it becomes a file or arguments.
    pub(super) fn close(&mut self, found: &mut Found) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        if self.name.is_empty() {
            found.body.flags.invalid_part = true;
        }
        let mut start = 0;
        for &end in &self.header_ends {
            found.body.part_headers.push(&self.name, self.headers.get(start..end).unwrap_or_default());
            start = end;
        }
        let transfer = self.header(b"content-transfer-encoding").map(TransferEncoding::from_header);
        let transfer = transfer.unwrap_or(TransferEncoding::Plain);
        if transfer == TransferEncoding::Unknown {
            found.fail("Unknown Content-Transfer-Encoding.");
        }
        match self.file.take() {
            Some(file) => self.leave_file(file, transfer, found),
            // Headers without a body are no argument.
            None if self.name.is_empty() && self.value.is_empty() && self.other_names.is_empty() => {}
            None => self.leave_arguments(transfer, found),
        }
        // A million parts share one part's buffers.
        self.headers.clear();
        self.header_ends.clear();
        self.can_fold = false;
        self.name.clear();
        self.value.clear();
        self.other_names.clear();
        self.other_filenames.clear();
    }

    fn leave_file(&mut self, mut file: FilePart, transfer: TransferEncoding, found: &mut Found) {
        if let Some(decoded) = transfer.decode(&file.content) {
            file.content.push(b'\n');
            file.content.extend_from_slice(&decoded);
        }
        for filename in std::mem::take(&mut self.other_filenames) {
            let field = file.field.clone();
            let content_type = file.content_type.clone();
            found.body.files.push(FilePart { field, filename, content_type, ..FilePart::default() });
        }
        found.body.files.push(file);
    }

    fn leave_arguments(&self, transfer: TransferEncoding, found: &mut Found) {
        let charsets = self.header(b"content-type").map(charsets).unwrap_or_default();
        if charsets.contains(&Charset::Unreadable) {
            found.fail("The character set of a part cannot be read.");
        }
        found.argument(&self.name, &self.value);
        // What recipients may make of it that mind the part's headers.
        let decoded = transfer.decode(&self.value);
        for text in decoded.iter().flat_map(|value| readings(&charsets, value)) {
            found.argument(&self.name, &text);
        }
        for text in readings(&charsets, &self.value).into_iter().chain(decoded) {
            found.argument(&self.name, &text);
        }
        for name in &self.other_names {
            found.argument(name, &self.value);
        }
    }

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
